"""The result as JSON, CSV and tables for the terminal.

JSON: the fields of `AuditResult` by name, tables as lists of objects with the columns of `result`; see
docs/decontamination-report.md.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.report import Section, Share
from pipeline.store import atomic_path

from ..left_out import counts_of, files_that_fit_none
from .result import AuditResult
from .unions import note_on

TABLES = ("benchmarks", "items", "matches", "corpus_wide")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula (OWASP, CSV injection); such cells get an apostrophe."""
MANY = 40
"""Rows of benchmarks beyond which the terminal shows only those with hits."""
MOST_COPIED = 10


def json_text(result: AuditResult, ascii_only: bool = False) -> Iterator[str]:
    """The result as one JSON object, in pieces: a row of a table a line, so that no text of all of it is ever held."""
    encode = json.JSONEncoder(ensure_ascii=ascii_only, sort_keys=True).encode  # without indent: the fast encoder in C
    before = "{\n"
    for name in ("corpus", "settings", *TABLES, "unmatchable", "gate"):
        value = getattr(result, name)
        yield f"{before}{encode(name)}: "
        before = ",\n"
        if not isinstance(value, pa.Table):
            yield encode(value)
            continue
        between = "[\n"
        for batch in value.to_batches(1024):
            yield between + ",\n".join(map(encode, batch.to_pylist())) if batch.num_rows else ""
            between = ",\n" if batch.num_rows else between
        yield "\n]" if value.num_rows else "[]"
    yield "\n}\n"


def write_csv(folder: Path, result: AuditResult) -> list[Path]:
    """Write benchmarks.csv, items.csv, matches.csv and corpus_wide.csv; lists stand as JSON in their cells."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in TABLES:
        table: pa.Table = getattr(result, name)
        with (
            atomic_path(folder / f"{name}.csv") as temporary,
            temporary.open("w", encoding="utf-8", newline="") as handle,
        ):
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(table.column_names)
            for batch in table.to_batches(1024):
                writer.writerows([_cell(value) for value in row.values()] for row in batch.to_pylist())
        written.append(folder / f"{name}.csv")
    return written


def _cell(value: Any) -> Any:
    """A value that no spreadsheet runs; NUL, which CSV readers refuse, as U+FFFD."""
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return value
    value = value.replace("\0", "\ufffd")
    return f"'{value}" if value.startswith(FORMULA) else value


def write_clean_ids(path: Path, ids: Sequence[str]) -> None:
    """Write one id a line."""
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")


def sections(result: AuditResult) -> list[Section]:
    """Tables for the terminal."""
    return [
        _corpus(result),
        _benchmarks(result),
        *_methods(result),
        *_corpus_wide(result),
        *_copied(result),
        *_notes(result),
    ]


def _corpus(result: AuditResult) -> Section:
    corpus = result.corpus
    facts = [f"{corpus['documents']:,} documents", f"{corpus['bytes']:,} bytes of text"]
    if corpus["tokens"] is not None:
        facts.append(f"{corpus['tokens']:,} tokens")
    if corpus["fragments"]:
        facts.append(f"{corpus['fragments']:,} documents without their beginning")
    facts += [f"{n:,} records skipped ({reason})" for reason, n in corpus["skipped"].items()]
    return Section(f"Corpus ({corpus['kind']})", text=", ".join(facts))


def _own(result: AuditResult) -> list[dict[str, Any]]:
    """The rows of the default method."""
    return [row for row in result.benchmarks.to_pylist() if row["method"] == result.settings["default"]]


def _benchmarks(result: AuditResult) -> Section:
    rows = _own(result)
    gate = {(one["benchmark"], one["split"]): one for one in result.gate}
    columns = ["benchmark", "split", "items", "dirty", "suspect", "clean", "too short", "dirty share"]
    shown = [row for row in rows if row["dirty"] or row["suspect"]] if len(rows) > MANY else rows
    cells: list[list[Any]] = []
    for row in shown:
        numbers = [row[name] for name in ("benchmark", "split", "items", "dirty", "suspect", "clean", "unmatchable")]
        one = gate.get((row["benchmark"], row["split"]))
        limit = [Share(one["limit"]) if one else None, ("FAILED" if one["failed"] else "passed") if one else None]
        cells.append([*numbers, Share(row["dirty"] / row["items"]), *(limit if gate else [])])
    title = f"Benchmarks (by the method {result.settings['default']})"
    if len(shown) < len(rows):
        title += f"; {len(rows) - len(shown)} others without a hit"
    return Section(title, [*columns, *(["limit", "gate"] if gate else [])], cells)


def _methods(result: AuditResult) -> list[Section]:
    names = list(result.settings["methods"])
    if len(names) < 2:
        return []
    rows: list[list[Any]] = []
    for name in names:
        mine = [row for row in result.benchmarks.to_pylist() if row["method"] == name]
        rows.append([name, *(sum(row[key] for row in mine) for key in ("dirty", "suspect", "clean", "unmatchable"))])
    return [Section("Methods", ["method", "dirty", "suspect", "clean", "too short"], rows)]


def _corpus_wide(result: AuditResult) -> list[Section]:
    """Verdicts by one document and by all together, side by side."""
    keys = ("dirty", "corpus_dirty", "suspect", "corpus_suspect")
    rows = [row for row in result.benchmarks.to_pylist() if row["corpus_dirty"] is not None]
    cells = [[row[name] for name in ("benchmark", "split", "method", *keys)] for row in rows if any(map(row.get, keys))]
    if not cells:
        return []
    title = "Coverage over the whole corpus"
    if len(cells) > MANY:
        title += f"; {len(cells) - MANY} more rows stand in the other outputs"
    columns = ["benchmark", "split", "method", "dirty alone", "dirty together", "suspect alone", "suspect together"]
    return [Section(title, columns, cells[:MANY], text=note_on(result.settings))]


def _copied(result: AuditResult) -> list[Section]:
    names = ["item", "verdict", "score", "documents", "copies", "exposure"]
    found = [row for row in result.items.select(names).to_pylist() if row["verdict"] != "clean"]
    if not found:
        return []
    found.sort(key=lambda row: (row["verdict"] != "dirty", -(row["exposure"] or 0), -row["copies"]))
    urls: dict[str, str] = {}
    for match in result.matches.select(["item", "url", "source"]).to_pylist():
        urls.setdefault(match["item"], match["url"] or match["source"])
    weighted = result.settings["mixture"] is not None
    columns = ["item", "verdict", "score", "documents", "copies", *(["exposure"] if weighted else []), "where"]
    rows = [
        [
            row["item"], row["verdict"], row["score"], row["documents"], row["copies"],
            *([row["exposure"]] if weighted else []), urls.get(row["item"]),
        ]
        for row in found[:MOST_COPIED]
    ]  # fmt: skip
    title = "Items that were found" + (f" (the {MOST_COPIED} of most copies)" if len(found) > MOST_COPIED else "")
    return [Section(title, columns, rows)]


def _notes(result: AuditResult) -> list[Section]:
    notes = []
    if result.unmatchable:
        notes.append(
            Section(
                f"{len(result.unmatchable):,} items can't be looked for",
                text="no part of theirs has three words; they count as clean, but nothing is known of them",
            )
        )
    rejected, unknown = (result.settings["index"].get(key) for key in ("rejected", "unknown"))
    if rejected:
        way = "`--on-error raise` names the first"
        notes.append(Section("Benchmark records that were not used", text=f"{counts_of(rejected)}; {way}"))
    if unknown:
        notes.append(Section("Benchmark files that were not read", text=f"{files_that_fit_none(unknown)} (--registry)"))
    counted, share = result.settings["index"].get("background"), result.settings["guard"].get("max_documents")
    if counted and share is not None and share * counted < 1:
        told = "an n-gram that a single one of them has is no match; take thousands, or set --max-documents"
        notes.append(Section(f"A background of {counted:,} documents", text=told))
    failed = [f"{one['benchmark']}/{one['split']}" for one in result.gate if one["failed"]]
    if result.gate:
        number = len(result.gate)
        within = f"all {number:,} splits of benchmarks are within limits" if number > 1 else "within its limit"
        verdict = f"FAILED: {', '.join(failed)}" if failed else within
        notes.append(Section("Gate (--fail-above)", text=verdict))
    return notes
