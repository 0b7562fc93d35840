"""The lines or paragraphs of texts, and texts without those that `line_dedup` cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.stage import DROP_REASON, SPAN, Editor, split
from pipeline.storage import local_file, place
from pipeline.store import parquet_shards

from .shuffle import document_batches

if TYPE_CHECKING:
    from filters.kernels.columns import Spans, Text

    from .lines import LineDedup, LineTask


@dataclass(frozen=True)
class Lines:
    """All lines (or paragraphs) of some texts in a row."""

    text: Text
    spans: Spans
    hashes: NDArray[np.uint64]
    blank: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    """Those that may be cut: neither too short nor indented."""
    rows: NDArray[np.int64]
    """The document's number."""

    @classmethod
    def of(cls, column: pa.ChunkedArray, step: LineDedup, first: int) -> Lines:
        """Lines of a column of texts whose first document has the number `first`."""
        from filters.kernels import segments

        from .kernels import lines as kernels

        text = segments.text_of(column)
        spans = segments.lines(text) if step.unit == "line" else segments.breaks(text, 2, strip=False)
        n = len(spans)
        hashes, columns, words = np.empty(n, np.uint64), np.empty(n, np.int64), np.empty(n, np.int64)
        tables = kernels.tables(step.normalise == "space")
        kernels.line_hashes(text.data, spans.starts, spans.ends, *tables, hashes, columns, words)
        counted = (columns >= max(1, step.min_chars)) & (words >= 4 * step.min_words)
        if not step.indented and n:
            counted &= ~_indented(text, spans)
        rows = np.repeat(np.arange(first, first + len(text)), spans.counts)
        return cls(text, spans, hashes, words < 0, counted, rows)


def _indented(text: Text, spans: Spans) -> NDArray[np.bool_]:
    some = spans.ends > spans.starts
    begin = np.where(some, text.data[np.minimum(spans.starts, len(text.data) - 1)], 0) if len(text.data) else some
    two = spans.ends - spans.starts > 1
    second = np.where(two, text.data[np.minimum(spans.starts + 1, len(text.data) - 1)], 0) if len(text.data) else two
    found: NDArray[np.bool_] = (begin == 9) | ((begin == 32) & (second == 32))
    return found


@dataclass(frozen=True, kw_only=True)
class _Cutter(Editor):
    """Puts what was cut into tables, in the form of editors."""

    name: ClassVar[str] = "line_dedup"
    min_left: float


def write_texts(task: LineTask) -> dict[str, Any]:
    """Write a shard's `kept/` and `dropped/` files."""
    from .lines import repeated

    step, folder = task.step, place(task.folder)
    cut_hashes = repeated(task)
    first = task.told("first") if step.keep == "first" else pa.table({"hash": pa.array([], pa.uint64()), "row": []})
    first = first.sort_by("hash")
    told = first["hash"].to_numpy(), first["row"].to_numpy().astype(np.int64)
    empty = pq.read_schema(local_file(task.path)).empty_table()
    kept_schema, dropped_schema = (t.schema for t in _edited(empty, 0, task, cut_hashes, told)[:2])
    facts = np.zeros(3, np.int64)
    rows, reasons = 0, dict[str, int]()
    name = f"{task.index:05d}.parquet"
    with parquet_shards((folder / "kept" / name, kept_schema), (folder / "dropped" / name, dropped_schema)) as out:
        for number, table in document_batches(task.path):
            kept, dropped, seen = _edited(table, number, task, cut_hashes, told)
            out[0].write(kept)
            out[1].write(dropped)
            facts += seen
            rows += table.num_rows
            for why in dropped[DROP_REASON].to_pylist():
                reasons[why] = reasons.get(why, 0) + 1
        files = [one.close() for one in out]
    count = {"stage": step.name, "n_in": rows, "n_split": 0, "n_kept": files[0]["rows"], "dropped": reasons}
    sums = dict(zip(("lines_cut", "bytes_in", "bytes_cut"), facts.tolist(), strict=True))
    return {"files": files, "n_in": rows, "counts": [count], **sums}


def _edited(
    table: pa.Table,
    number: int,
    task: LineTask,
    cut_hashes: NDArray[np.uint64],
    told: tuple[NDArray[np.uint64], NDArray[np.int64]],
) -> tuple[pa.Table, pa.Table, NDArray[np.int64]]:
    """(kept, dropped, [lines cut, bytes before, bytes gone]) of a batch."""
    from .kernels import lines as kernels
    from .lines import LEFT, places

    lines = Lines.of(table["text"], task.step, number)
    text, spans = lines.text, lines.spans
    cut = lines.counted & places(lines.hashes, cut_hashes)[1]
    at, there = places(lines.hashes, told[0])
    if there.any():
        cut &= ~(there & ((told[1][at] == lines.rows) | (told[1][at] < 0)))
    n = len(text)
    size = int(text.offsets[-1] - text.offsets[0]) if n else 0
    out, offsets = np.empty(size, np.uint8), np.zeros(n + 1, np.int64)
    kernels.joined(text.data, text.offsets, spans.starts, spans.ends, spans.offsets, cut, lines.blank, out, offsets)
    new = pa.LargeStringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(out[: int(offsets[-1])]))
    before, after = np.diff(text.offsets), np.diff(offsets)
    begins = np.repeat(text.offsets[:-1], spans.counts)[cut]
    passed = np.concatenate([[0], np.cumsum(cut)])
    items = pa.StructArray.from_arrays(
        [
            pa.repeat(task.step.name, len(begins)),
            pa.array(spans.starts[cut] - begins),
            pa.array(spans.ends[cut] - begins),
            pa.repeat(f"repeated_{task.step.unit}", len(begins)),
        ],
        fields=list(SPAN),
    )
    spans_column = pa.ListArray.from_arrays(pa.array(passed[spans.offsets].astype(np.int32)), items)
    made = _Cutter(min_left=task.step.min_left).edited(table, new, spans_column)
    share = np.where(before > 0, after / np.maximum(before, 1), 1.0)
    reasons = np.full(n, None, object)
    reasons[share < task.step.min_left] = "min_left"
    reasons[(after == 0) & (before > 0)] = "empty"
    made = made.drop_columns([LEFT]) if LEFT in made.column_names else made
    made = made.append_column(pa.field(LEFT, pa.float64()), pa.array(share))
    made = made.append_column(DROP_REASON, pa.array(reasons, pa.string()))
    kept, dropped = split(made, _Cutter(min_left=task.step.min_left))
    was = table["text"].filter(pc.is_valid(made[DROP_REASON])).cast(pa.large_string())  # lower limits may take them up
    dropped = dropped.set_column(dropped.column_names.index("text"), "text", was)
    return kept, dropped, np.array([int(cut.sum()), int(before.sum()), int((before - after).sum())])
