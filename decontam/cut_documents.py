"""A table of documents with what matches cut out of them: new texts, spans taken, pieces as rows of their own."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from filters.kernels.columns import Text, text_of
from pipeline.stage import SPAN, with_cuts

from .cut import Cutting, cutting
from .found import benchmark_of, found_in, surest

JOINT = b"\n\n"
"""What stands between pieces that are joined."""
SHORT = "min_fragment"
"""The kind of spans that went because they were too short; other spans have their benchmark's name."""


@dataclass(frozen=True, eq=False)
class CutDocuments:
    """The documents of a table after the cuts; a document with a reason to go keeps its text."""

    docs: pa.Table
    text: Text
    editor: str
    cuttings: dict[int, Cutting]
    """By row, of documents that had something to cut."""
    kinds: dict[int, list[str]]
    """The benchmark of each cut."""
    reasons: dict[int, str]
    """`max_fragments` or `min_fragment`, by row."""
    rows: list[tuple[int, int]]
    """(row of docs, number of its piece) of each row made; -1: the whole document, or its pieces joined."""

    def drop_reasons(self) -> pa.Array:
        """One a row made, null for those that stay."""
        return pa.array([self.reasons.get(row) for row, _ in self.rows], pa.string())

    def texts(self) -> pa.LargeStringArray:
        """The text of each row made."""
        data, offsets = self.text.data, self.text.offsets
        parts: list[memoryview | bytes] = []
        ends = np.zeros(len(self.rows) + 1, np.int64)
        for made, (row, piece) in enumerate(self.rows):
            begin = int(offsets[row])
            own = self.cuttings.get(row)
            if own is None or row in self.reasons:
                written = [data[begin : int(offsets[row + 1])].data]
            else:
                pieces = own.pieces if piece < 0 else own.pieces[piece : piece + 1]
                written = [data[begin + a : begin + b].data for a, b in pieces]
            for number, one in enumerate(written):
                parts += [JOINT, one] if number else [one]
            ends[made + 1] = sum(map(len, written)) + len(JOINT) * max(len(written) - 1, 0)
        return pa.LargeStringArray.from_buffers(
            len(self.rows), pa.py_buffer(np.cumsum(ends)), pa.py_buffer(b"".join(parts))
        )

    def spans(self) -> pa.ListArray:
        """What was taken for each row made, in bytes of the text as it was.

        Of a document in several rows each span is in one: that of the piece behind it, or of the last piece.
        """
        return pa.array([self._spans(row, piece) for row, piece in self.rows], pa.list_(SPAN))

    def _spans(self, row: int, piece: int) -> list[dict[str, Any]]:
        own = self.cuttings.get(row)
        if own is None:
            return []
        taken = [(a, b, kind) for (a, b), kind in zip(own.cuts, self.kinds[row], strict=True)]
        taken = sorted([*taken, *((a, b, SHORT) for a, b in own.short)])
        if piece >= 0:
            starts = [start for start, _ in own.pieces]
            taken = [one for one in taken if min(bisect_left(starts, one[0]), len(starts) - 1) == piece]
        return [{"editor": self.editor, "start": a, "end": b, "kind": kind} for a, b, kind in taken]

    def table(self) -> pa.Table:
        """The rows made, without the reasons."""
        docs = self.docs
        if len(self.rows) != docs.num_rows:
            docs = docs.take(pa.array([row for row, _ in self.rows]))
            if "id" in docs.column_names:
                ids = docs["id"].to_pylist()
                ids = [
                    f"{name}#{piece}" if piece >= 0 else name for name, (_, piece) in zip(ids, self.rows, strict=True)
                ]
                at = docs.column_names.index("id")
                docs = docs.set_column(at, docs.schema.field("id"), pa.array(ids, docs.schema.field("id").type))
        return with_cuts(docs, self.texts(), self.spans())


def cut_documents(
    docs: pa.Table,
    column: str,
    verdicts: tuple[str, ...],
    *,
    editor: str,
    context: int,
    min_fragment: int,
    max_fragments: int | None,
    split: bool,
) -> CutDocuments:
    """Cut the items of these verdicts that `column` names out of the texts; see `cut.cutting`.

    `split`: a document that is left in several pieces becomes as many rows, `id#0`, `id#1` and so on.
    """
    text = text_of(docs["text"])
    cuttings: dict[int, Cutting] = {}
    kinds: dict[int, list[str]] = {}
    reasons: dict[int, str] = {}
    for row, found in found_in(docs[column]):
        acted = [one for one in found if one["verdict"] in verdicts]
        if not acted:
            continue
        raw = text.data[int(text.offsets[row]) : int(text.offsets[row + 1])]
        own = cutting(raw, [(one["start"], one["end"]) for one in acted], context, min_fragment)
        cuttings[row] = own
        kinds[row] = _kinds(own, acted)
        if max_fragments is not None and own.fragments > max_fragments:
            reasons[row] = "max_fragments"
        elif not own.pieces:
            reasons[row] = SHORT
    rows: list[tuple[int, int]] = []
    for row in range(docs.num_rows):
        several = split and row in cuttings and row not in reasons and len(cuttings[row].pieces) > 1
        rows += [(row, piece) for piece in range(len(cuttings[row].pieces))] if several else [(row, -1)]
    return CutDocuments(docs, text, editor, cuttings, kinds, reasons, rows)


def _kinds(own: Cutting, acted: list[dict[str, Any]]) -> list[str]:
    """The benchmark of the surest item within each cut."""
    inside: list[list[dict[str, Any]]] = [[] for _ in own.cuts]
    ends = [end for _, end in own.cuts]
    for one in acted:
        inside[bisect_left(ends, one["end"])].append(one)
    return [benchmark_of(surest(ones)) for ones in inside]
