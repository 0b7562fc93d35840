"""Where the texts of a column were read before, so that their words are not cut a second time.

A filter that drops documents leaves rows of the column before it; an editor that takes whole lines leaves the words of
the lines that stay. Both are found here for the columns that `columns.text_of` still remembers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .columns import Text, kept_columns, remembered, text_of, view
from .segments import KINDS, WORDS_PER_TOKEN, words

Ints = NDArray[np.int64]
_MIN_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Cuts:
    """What an editor took: spans of whole lines, in bytes of each document of `text`, in order."""

    text: Text
    starts: Ints
    ends: Ints
    offsets: Ints
    """Those of document i are numbers `offsets[i]` to `offsets[i + 1]`."""
    inline: NDArray[np.bool_]
    """Spans that may begin or end inside of a line."""


def remember_cuts(column: pa.Array, cuts: Cuts) -> None:
    """Note for an edited column what it came from. Only white space may have gone beside the spans."""
    text_of(column).found["cuts"] = cuts


def rows_of(text: Text) -> tuple[Text, Ints] | None:
    """The remembered column that holds these texts, byte for byte and in this order, and their rows in it."""

    def make() -> tuple[Text, Ints] | None:
        for other in kept_columns():
            rows = _rows(text, other) if other is not text else None
            if rows is not None:
                before = other.found.get("rows")
                return (before[0], before[1][rows]) if before else (other, rows)
        return None

    return remembered(text, "rows", make)


def _rows(text: Text, other: Text) -> Ints | None:
    lengths, others = np.diff(text.offsets).tolist(), np.diff(other.offsets).tolist()
    data, before = text.array.buffers()[2], other.array.buffers()[2]
    if not lengths or len(lengths) > len(others) or data is None or before is None:
        return None
    rows = np.empty(len(lengths), np.int64)
    starts, places = text.offsets.tolist(), other.offsets.tolist()
    at = 0
    for row, size in enumerate(lengths):
        while at < len(others):
            if others[at] == size and data.slice(starts[row], size).equals(before.slice(places[at], size)):
                break
            at += 1
        if at == len(others):
            return None
        rows[row] = at
        at += 1
    return rows


def read_before(text: Text, what: str) -> tuple[Text, Ints | None]:
    """The column of which `what` is known and these texts are rows, and which; else (text, None).

    Where less than half of its bytes are left, reading these texts anew is less work than reading it.
    """
    if what in text.found:
        return text, None
    found = rows_of(text)
    if found is None or what not in found[0].found:
        return text, None
    size, whole = (int(t.offsets[-1] - t.offsets[0]) for t in (text, found[0]))
    return found if size >= _MIN_SHARE * whole else (text, None)


def word_counts(text: Text) -> NDArray[np.float64]:
    """float64[n]: as `measures.word_counts` of `segments.words`, without cutting words where that is not needed."""
    kinds = word_kinds(text)
    counts = kinds.sum(axis=1).astype(np.float64)
    for kind in np.flatnonzero(WORDS_PER_TOKEN != 1):
        counts -= kinds[:, kind] * (1 - WORDS_PER_TOKEN[kind])
    return counts


def word_kinds(text: Text) -> Ints:
    """int64[n, KINDS]: words of each kind."""
    found = remembered(text, "word_kinds", lambda: _word_kinds(text))
    text.found.pop("cuts", None)  # which holds the older column
    return found


def _word_kinds(text: Text) -> Ints:
    from .token_sums import cut_kinds

    cuts: Cuts | None = text.found.get("cuts")
    if "words" in text.found:
        return _counted(text)
    if cuts is None:
        before = rows_of(text)
        known = before is not None and before[0].found.keys() & {"words", "word_kinds", "cuts"}
        return word_kinds(before[0])[before[1]] if before and known else _counted(text)
    if "words" not in cuts.text.found:
        return _counted(text)
    spans = words(cuts.text)
    out = _counted(cuts.text)
    anew = np.zeros(len(text), np.bool_)
    cut_kinds(
        spans.starts, spans.ends, spans.kinds, spans.offsets, cuts.text.offsets, cuts.starts, cuts.ends, cuts.inline,
        cuts.offsets, anew, out,
    )  # fmt: skip
    rows = np.flatnonzero(anew)
    if len(rows):
        out[rows] = _counted(view(text.array.take(pa.array(rows))))
    return out


def _counted(text: Text) -> Ints:
    from .token_sums import count_kinds

    spans = words(text)
    out = np.zeros((len(text), KINDS), np.int64)
    count_kinds(spans.kinds, spans.offsets, out)
    return out
