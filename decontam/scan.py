"""One pass over texts for all benchmarks and methods: tokens, seeds, shared runs, and what the methods say of them.

A text is cut into tokens once. Each n-gram of it is asked for in a small filter and, where that says maybe, in the
index's table. Only parts of items that share enough n-grams with the text are looked at any closer, and methods see
only these: `Evidence`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.kernels.columns import Column
from pipeline.errors import ConfigError

from .evidence import Evidence, Hits
from .index import ANSWER, CHOICES, Index, N
from .methods import Method
from .seeds import Room, seeds_of
from .shared import SharedQuestions

LONG_RUN = 8
"""Equal tokens in a row that make a pair worth a look, whatever else it shares: the shortest published n-gram but 5."""
HITS = pa.schema(
    [
        ("row", pa.int64()), ("item", pa.string()), ("method", pa.string()), ("part", pa.string()),
        ("verdict", pa.string()), ("score", pa.float64()), ("start", pa.int64()), ("end", pa.int64()),
        ("matched", pa.int32()),
    ]
)  # fmt: skip
"""row: of the column; part: what the score was read from; start, end: bytes of the text; matched: tokens."""


@dataclass(frozen=True, kw_only=True)
class ScanOptions:
    """What the pass looks at closer. The guard and the rest hold for all methods alike."""

    max_items: int | None = field(
        default=20,
        metadata={"help": "n-grams of more items than this alone are no match: templates, instructions, licences"},
    )
    max_benchmarks: int | None = field(default=5, metadata={"help": "nor are those of more benchmarks than this"})
    max_places: int | None = field(
        default=200, metadata={"help": "n-grams that occur more often than this in the items are no match alone"}
    )
    max_documents: float | None = field(
        default=0.0005,
        metadata={"help": "nor are those in a greater share of the background sample, if the index has one"},
    )
    min_share: float = field(default=0.12, metadata={"help": "share of an item's n-grams to find before it is aligned"})
    min_score: float = field(default=0.4, metadata={"help": "weighted share of its tokens to align before it is kept"})
    gap: int = field(default=40, metadata={"help": "tokens of text between two pieces of the same copy"})

    def __post_init__(self) -> None:
        for name in ("min_share", "min_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")
        for name in ("max_items", "max_benchmarks", "max_places", "max_documents", "gap"):
            if (getattr(self, name) or 0) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must not be negative (null for no limit)")


class Scanner:
    """An index made ready for scanning, with room that is used again. Use one a thread."""

    def __init__(self, index: Index, options: ScanOptions | None = None) -> None:
        self.index = index
        self.options = options or ScanOptions()
        grams = np.maximum(index.part_lengths - (N - 1), 1)
        need = np.maximum(np.ceil(grams * self.options.min_share), 1)
        support = np.isin(index.part_kind, (CHOICES, ANSWER))
        self._need = np.where(support, np.maximum(2, np.ceil(grams * 0.75)), need).astype(np.int32)
        self._flags = self._gram_flags()
        self._shared = SharedQuestions(index, self._common())
        n = len(index.part_kind)
        self._tally = np.zeros(4 * n + 4, np.int64)
        self._cursor = np.full(n, -1, np.int64)
        self._touched = np.zeros(n + 1, np.int32)
        self._covered = np.zeros(int(index.part_lengths.max(initial=0)) + 1, np.int64)
        self._stamp = 0
        self._room = 1 << 12
        self._space = Room()

    def _common(self) -> NDArray[np.bool_]:
        options = self.options
        return self.index.common(options.max_items, options.max_benchmarks, options.max_places, options.max_documents)

    def _gram_flags(self) -> NDArray[np.uint8]:
        from .kernels.search import ALONE, COMMON

        index = self.index
        flags = np.where(self._common(), COMMON, 0).astype(np.uint8)
        few = np.concatenate([self._need == 1, [False]])
        alone = index.part_gram[few[index.part_of]]
        flags[alone[alone >= 0]] |= ALONE
        return flags

    def evidence(self, column: Column) -> Iterator[Evidence]:
        """What texts and items share, a chunk of texts after the other; chunks that share nothing are left out."""
        for seeds in seeds_of(column, self.index, self._space):
            hashes, offsets, starts, ends = seeds.tokens
            pairs = self._pairs(hashes, offsets, seeds.grams, seeds.at, seeds.counts)
            short_text, short_part = self._short(hashes, offsets)
            shared_text, shared_part = self._shared.standing(seeds)
            if len(pairs["pair_part"]) or len(short_part) or len(shared_part):
                yield Evidence(
                    index=self.index,
                    row=seeds.row,
                    text=seeds.text,
                    tokens=hashes,
                    starts=starts,
                    ends=ends,
                    offsets=offsets,
                    short_document=np.searchsorted(offsets, short_text, side="right") - 1,
                    short_part=short_part,
                    short_text=short_text,
                    shared_document=np.searchsorted(offsets, shared_text, side="right") - 1,
                    shared_part=shared_part,
                    shared_text=shared_text,
                    **pairs,
                )

    def _pairs(self, tokens: Any, offsets: Any, grams: Any, at: Any, counts: Any) -> dict[str, NDArray[Any]]:
        from .kernels.pairs import find_pairs

        index, options = self.index, self.options
        state = np.array([0, 0, 0, self._stamp, 0], np.int64)
        document, last = 0, len(offsets) - 1
        arrays: list[NDArray[Any]] = []
        kinds = (
            (np.int64, np.int32, np.int32), (np.int64, np.int32, np.int64, np.int64),
            (np.float64, np.float64, np.int64, np.int64, np.int32),
        )  # fmt: skip
        while document < last:
            flat = [np.zeros(self._room, kind) for group in kinds for kind in group]
            for old, new in zip(arrays, flat, strict=False):
                new[: len(old)] = old
            arrays = flat
            document = find_pairs(
                tokens, offsets, grams, at, counts, document, N, options.gap, options.min_score, LONG_RUN - N + 1,
                self._need, index.posted, index.postings, index.part_gram, index.part_of, index.part_offsets,
                index.tokens, index.weights, self._flags, self._tally, self._cursor, self._touched, self._covered,
                *arrays, state,
            )  # fmt: skip
            if document < last:
                self._room *= 2
        self._stamp = int(state[3])
        pairs, runs, clusters = (int(i) for i in state[:3])
        names = (
            "run_text", "run_place", "run_length", "pair_document", "pair_part", "run_offsets", "cluster_offsets",
            "cluster_score", "cluster_missing", "cluster_start", "cluster_end", "cluster_matched",
        )  # fmt: skip
        sizes = (runs, runs, runs, pairs, pairs, pairs + 1, pairs + 1, *(clusters,) * 5)
        return {name: array[:size] for name, array, size in zip(names, arrays, sizes, strict=True)}

    def _short(self, tokens: Any, offsets: Any) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """(first token, part) of each whole occurrence of a part that is too short for an n-gram."""
        from .kernels.search import find_short

        index = self.index
        if not len(index.short_parts):
            return np.zeros(0, np.int64), np.zeros(0, np.int32)
        room, made = 1 << 10, -1
        maybe = self._space.of("maybe", len(tokens) + 1, np.int64)
        while made < 0:
            at, number = np.empty(room, np.int64), np.empty(room, np.int64)
            made = find_short(
                tokens, offsets, N, index.short_slots, np.uint64(len(index.short_slots) - 1), index.short_bloom,
                np.uint64(len(index.short_bloom) * 64 - 1), maybe, at, number,
            )  # fmt: skip
            room *= 4
        number = number[:made] // N
        lows, highs = index.short_posted[number], index.short_posted[number + 1]
        sizes = highs - lows
        each = np.repeat(lows - np.concatenate([[0], np.cumsum(sizes)])[:-1], sizes) + np.arange(sizes.sum())
        return np.repeat(at[:made], sizes), index.short_parts[each]


def scan(
    column: Column | pa.ChunkedArray,
    index: Index,
    methods: Sequence[Method] | None = None,
    options: ScanOptions | None = None,
) -> pa.Table:
    """Hits (`HITS`) of all methods in a column of texts, in the order of rows, methods, places and items.

    Clean pairs are left out. Raises SchemaError for a column of no text.
    """
    from .methods import default_methods

    scanner = Scanner(index, options)
    methods = list(methods) if methods is not None else default_methods()
    tables = [table_of(found, methods) for found in scanner.evidence(column)]
    return pa.concat_tables(tables) if tables else HITS.empty_table()


def table_of(evidence: Evidence, methods: Sequence[Method]) -> pa.Table:
    """The hits of one chunk's evidence."""
    found = [(number, method.name, method.decide(evidence)) for number, method in enumerate(methods)]
    found = [one for one in found if len(one[2])]
    if not found:
        return HITS.empty_table()
    joined = pa.concat_tables([_hits_table(hits, evidence, name) for _, name, hits in found])
    keys = np.concatenate(
        [np.stack([hits.document, np.full(len(hits), n), hits.start, hits.item, hits.kind]) for n, _, hits in found],
        axis=1,
    )
    return joined.take(pa.array(np.lexsort(keys[::-1])))


def _hits_table(hits: Hits, evidence: Evidence, name: str) -> pa.Table:
    from .evidence import VERDICTS
    from .index import PARTS

    items = evidence.index.item_names.take(pa.array(hits.item))
    begin = evidence.text.offsets[hits.document]
    columns = [
        pa.array(evidence.row + hits.document), items, pa.array([name] * len(hits), pa.string()),
        pa.array(np.array(PARTS)[hits.kind], pa.string()), pa.array(np.array(VERDICTS)[hits.verdict], pa.string()),
        pa.array(hits.score), pa.array(evidence.starts[hits.start] - begin),
        pa.array(evidence.ends[hits.end - 1] - begin), pa.array(hits.matched),
    ]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=HITS)
