"""What an audit found: the contract between the audit and what shows it (terminal, JSON, CSV, the HTML page).

All lengths of text in it are bounded (`excerpts`), so that a page or a file of it stays small whatever the items are.
Characters are Unicode code points, bytes are of UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32())])
"""Characters [start, end)."""

BENCHMARKS = pa.schema(
    [
        ("benchmark", pa.string()), ("split", pa.string()), ("method", pa.string()), ("items", pa.int64()),
        ("dirty", pa.int64()), ("suspect", pa.int64()), ("clean", pa.int64()), ("unmatchable", pa.int64()),
        ("corpus_dirty", pa.int64()), ("corpus_suspect", pa.int64()),
    ]
)  # fmt: skip
"""One row a benchmark, split and method; by benchmark, split, and methods in the order of the settings.

`items` = `dirty` + `suspect` + `clean`. `unmatchable` of the `clean` are too short for the method's rule (no 13-gram in
12 words): of these it can tell nothing. `corpus_dirty`, `corpus_suspect`: the same over the whole corpus, for methods
that take its documents together (`aggregate`); null for the others.
"""

CORPUS_WIDE = pa.schema(
    [
        ("item", pa.string()), ("method", pa.string()), ("verdict", pa.string()), ("share", pa.float64()),
        ("covered", pa.int64()), ("tokens", pa.int64()), ("alone", pa.string()),
    ]
)  # fmt: skip
"""Items that are dirty or suspect by what all documents together cover of them, in the order of the items and methods.

`share` = `covered` / `tokens` of the item's parts that the method looks for; `alone`: the method's verdict by the best
single document.
"""

BY_METHOD = pa.struct(
    [
        ("method", pa.string()), ("verdict", pa.string()), ("score", pa.float64()), ("documents", pa.int64()),
        ("copies", pa.int64()),
    ]
)  # fmt: skip

ITEMS = pa.schema(
    [
        ("item", pa.string()),  # BENCHMARK/SPLIT/NUMBER
        ("benchmark", pa.string()),
        ("split", pa.string()),
        ("question", pa.string()),  # texts of the item, shortened at the end (excerpts.PART_CHARS)
        ("choices", pa.list_(pa.string())),
        ("answer", pa.string()),
        ("passage", pa.string()),
        ("verdict", pa.string()),  # of the default method: dirty | suspect | clean
        ("score", pa.float64()),  # the highest score with that verdict; null where clean
        ("documents", pa.int64()),  # different texts in which the default method finds it, with that verdict
        ("copies", pa.int64()),  # occurrences of it: repeated documents and several places in one document all count
        ("exposure", pa.float64()),  # copies, each times the epochs of its document; null without a mixture
        ("by_method", pa.list_(BY_METHOD)),  # methods that call the item dirty or suspect
    ]
)
"""Items that any method calls dirty or suspect; dirty ones of the default method first, then suspect, then the rest;
within these in the order of the benchmarks' items."""

MATCHES = pa.schema(
    [
        ("item", pa.string()),
        ("method", pa.string()),
        ("part", pa.string()),  # question | choices | answer | passage: what the score was read from
        ("verdict", pa.string()),
        ("score", pa.float64()),
        ("document", pa.string()),  # its id
        ("url", pa.string()),
        # WARC file and byte; of documents that name no record, the file and row they came from; null where not known
        ("record_file", pa.string()),
        ("record_offset", pa.int64()),
        ("source", pa.string()),  # where in the corpus: "FILE row N" | "packs/00000.arrow sequence N token M", from 0
        ("start", pa.int64()),  # bytes of the document's text
        ("end", pa.int64()),
        ("before", pa.string()),  # context, up to excerpts.CONTEXT_CHARS
        ("text", pa.string()),  # the match, up to excerpts.TEXT_CHARS of its beginning
        ("after", pa.string()),  # context behind `end`; of a shortened match what follows `text`
        ("shortened", pa.bool_()),  # `text` is not all of the match
        ("overlap", pa.list_(SPAN)),  # characters of `text` whose tokens the item has too, in the same order
        # characters of the item's parts as they stand in ITEMS; `part`: question, answer, passage, choice 1, choice 2
        (
            "item_overlap",
            pa.list_(pa.struct([("part", pa.string()), ("start", pa.int32()), ("end", pa.int32())])),
        ),
    ]
)
"""The best few matches of each item: of the default method first, by verdict, score, place in the corpus; behind them
one of each other method that found a place which is not shown yet. Items in the order of ITEMS."""


@dataclass(frozen=True, eq=False)
class AuditResult:
    """All that an audit tells."""

    corpus: dict[str, Any]
    """inputs: list of str; kind: "packs" | "documents" | "run" (or several, as "packs and documents"); documents,
    bytes (of text): int; fragments: documents of packs whose beginning is not there; tokens: int, null where the corpus
    has none; skipped: {reason: records}."""
    settings: dict[str, Any]
    """methods: {name: {parameter: value}}; default: name; guard: {option: value}; normalisation: {option: value};
    index: {items, benchmarks, fingerprint}; level: "dirty" | "suspect", from which verdict on an item is not clean;
    mixture: {source: epochs} or null; versions: {package: version}."""
    benchmarks: pa.Table
    """BENCHMARKS"""
    items: pa.Table
    """ITEMS"""
    matches: pa.Table
    """MATCHES"""
    corpus_wide: pa.Table = field(default_factory=CORPUS_WIDE.empty_table)
    """CORPUS_WIDE"""
    unmatchable: list[str] = field(default_factory=list)
    """Items of which no part is long enough to be looked for."""
    gate: list[dict[str, Any]] = field(default_factory=list)
    """One a benchmark and split, if --fail-above was given: benchmark, split, share (of items that are not clean by
    the default method), limit, failed (bool)."""
