"""From repeated spans of bytes to an edited text: whole words, or lines or sentences, and the white space beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.kernels.columns import Spans, Text, view
from pipeline.stage import SPAN, Editor

EXTEND = ("words", "sentences", "lines")
KIND = "repeat"
SPANS = "repeated_spans"
MAX_SHIFT = 30


@dataclass(frozen=True, eq=False)
class Found:
    """Repeated spans of a shard's documents, sorted by row and place, disjoint; bytes within the document."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def of(self, row: int, count: int) -> Found:
        """Those of `count` documents from `row` on, rows counted from it."""
        low, high = np.searchsorted(self.rows, (row, row + count))
        return Found(self.rows[low:high] - row, self.starts[low:high], self.ends[low:high])


def united(rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Found:
    """Spans that overlap or touch as one; sorted."""
    if not len(rows):
        return Found(rows, starts, ends)
    order = np.lexsort((starts, rows))
    rows, starts, ends = rows[order], starts[order], ends[order]
    far = np.int64(1) << 40  # longer than a text
    number = np.unique(rows, return_inverse=True)[1] * far
    reach = np.maximum.accumulate(number + ends)
    new = np.ones(len(rows), np.bool_)
    new[1:] = (number + starts)[1:] > reach[:-1]
    at = np.flatnonzero(new)
    last = np.append(at[1:], len(rows)) - 1
    return Found(rows[at], starts[at], reach[last] - number[last])


def found_in_block(windows: pa.Table, verdicts: pa.Table) -> Found:
    """What goes of a block's windows, by the verdicts on their classes; a class without one is no repeat."""
    from .kernels.substrings import CUT, FIRST, UNIQUE

    rows, starts, ends, classes = (windows[name].to_numpy() for name in ("row", "start", "end", "class"))
    is_first = windows["first"].to_numpy()
    firsts = np.zeros(int(classes.max(initial=-1)) + 1, np.int64)
    at = np.flatnonzero(is_first)
    firsts[classes[at]] = at
    verdict = np.full(len(firsts), UNIQUE, np.int8)
    verdict[verdicts["class"].to_numpy()] = np.where(verdicts["first"].to_numpy(), FIRST, CUT)
    of_window = verdict[classes]
    goes = (of_window == CUT) | ((of_window == FIRST) & ~is_first)
    rows, starts, ends, classes, of_window = (one[goes] for one in (rows, starts, ends, classes, of_window))
    stays = firsts[classes]
    beside = (of_window == FIRST) & (windows["row"].to_numpy()[stays] == rows)
    starts = np.where(beside, np.maximum(starts, windows["end"].to_numpy()[stays]), starts)
    return united(rows, starts, ends)


def whole_words(text: Text, found: Found) -> Found:
    """Spans of any bytes, shortened to begin and end where words do; rows are the text's documents."""
    from filters.kernels import segments

    words = segments.words(text)
    base = text.offsets[found.rows]
    starts, ends = found.starts + base, found.ends + base
    if len(words):
        at = np.searchsorted(words.starts, starts, "left") - 1
        starts = np.where((at >= 0) & (words.ends[at] > starts), words.ends[at], starts)
        at = np.searchsorted(words.starts, ends, "left") - 1
        ends = np.where((at >= 0) & (words.ends[at] > ends), words.starts[at], ends)
    return _found(found.rows, *_whole_characters(text, starts, ends), base)


def extended(text: Text, found: Found, to: str) -> Found:
    """Spans extended to whole `sentences` or `lines`."""
    from filters.kernels import segments

    wholes = segments.sentences(text) if to == "sentences" else segments.lines(text)
    base = text.offsets[found.rows]
    return _found(found.rows, *_extended(wholes, found.starts + base, found.ends + base), base)


def _found(
    rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64], base: NDArray[np.int64]
) -> Found:
    left = starts < ends
    return united(rows[left], (starts - base)[left], (ends - base)[left])


def between_words(text: Text, found: Found) -> Found:
    """Spans that don't begin or end inside of what may be a word of a script without spaces.

    An end between two such characters moves inward to the next mark, space or other script, by up to MAX_SHIFT tokens;
    where there is none so near it stays. Spans are of whole tokens.
    """
    from filters.kernels import segments

    from .substring_windows import closing_marks

    words = segments.words(text)
    base = text.offsets[found.rows]
    first = np.searchsorted(words.starts, found.starts + base, "left")
    after = np.searchsorted(words.ends, found.ends + base, "right")
    inside = np.zeros(len(words) + 1, np.bool_)  # between a token and the one before it
    character = words.kinds >= segments.CHARACTER
    inside[1:-1] = character[1:] & character[:-1] & (words.starts[1:] == words.ends[:-1])
    inside[words.offsets] = False
    begins = inside.copy()
    begins[:-1] |= closing_marks(text, words)
    left, right = np.where(inside[first], first + 1, first), after.copy()
    for _ in range(MAX_SHIFT):
        left += begins[left] & (left > first) & (left < after)
        right -= inside[right] & (right > first)
    left = np.where(begins[left], first, left)
    right = np.where(inside[right], after, right)
    kept = left < right
    left, right, base, rows = left[kept], right[kept], base[kept], found.rows[kept]
    return united(rows, words.starts[left] - base, words.ends[right - 1] - base)


def _whole_characters(
    text: Text, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A space may have several bytes too: starts go on, ends go back to where a character begins."""
    limit = int(text.offsets[-1])
    for _ in range(3):
        inside = (starts < limit) & (text.data[np.minimum(starts, limit - 1)] & 0xC0 == 0x80)
        starts = starts + inside
        inside = (ends < limit) & (text.data[np.minimum(ends, limit - 1)] & 0xC0 == 0x80)
        ends = ends - inside
    return starts, ends


def _extended(
    wholes: Spans, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not len(wholes):
        return starts, ends
    first = np.searchsorted(wholes.starts, starts, "right") - 1
    inside = (first >= 0) & (wholes.ends[first] > starts)
    last = np.searchsorted(wholes.starts, ends, "left") - 1
    reached = (last >= 0) & (wholes.ends[last] > ends)
    return np.where(inside, wholes.starts[first], starts), np.where(reached, wholes.ends[last], ends)


@dataclass(frozen=True, kw_only=True)
class SpanEditor(Editor):
    """Takes given spans out of texts; the step's own editor, not for recipes."""

    name: ClassVar[str] = "substring_dedup"
    min_words: int = 0

    def cut(self, docs: pa.Table, found: Found) -> tuple[pa.Table, pa.Array]:
        """(documents with their new text and `cut_spans`, reasons to drop); rows of `found` are those of `docs`.

        Reasons for documents that were cut: `too_short`, with fewer words left than `min_words`, and `empty`.
        """
        docs = self.edited(docs, *cut_column(view(docs["text"]), found))
        touched = np.unique(found.rows)
        reasons = np.full(docs.num_rows, None, object)
        left = words_in(docs["text"].take(pa.array(touched)))
        reasons[touched[left < self.min_words]] = "too_short"
        reasons[touched[left == 0]] = "empty"
        return docs, pa.array(reasons, pa.string())


def cut_column(text: Text, found: Found) -> tuple[pa.Array, pa.Array]:
    """(text, spans) without the spans and the white space beside them: the text less exactly the spans given back."""
    from filters.kernels import tables
    from filters.kernels.edits import edited

    from .kernels import substrings as kernels

    first, blocks = tables.load()
    base = text.offsets[found.rows]
    starts, ends = found.starts + base, found.ends + base
    offsets = np.searchsorted(found.rows, np.arange(len(text) + 1))

    def run(data, text_offsets, document, out, seen, *rest):  # type: ignore[no-untyped-def]
        made = (out, *rest)
        return int(kernels.cut(data, text_offsets, document, first, blocks, offsets, starts, ends, *made))

    return edited(text, SpanEditor.name, (KIND,), run, inline=0)


def words_in(column: pa.ChunkedArray | pa.Array) -> NDArray[np.float64]:
    """Words of each text, marks left out, characters of scripts without spaces by `WORDS_PER_TOKEN`."""
    from filters.kernels import segments

    from .substring_windows import PART_OF_WORD, weights

    spans = segments.words(view(column))
    sums = np.concatenate([[0], np.cumsum(weights("words")[spans.kinds])])
    return (sums[spans.offsets[1:]] - sums[spans.offsets[:-1]]) / PART_OF_WORD


def span_column(documents: int, found: Found) -> pa.Array:
    """The spans as a column list<SPAN>."""
    n = len(found.rows)
    items = pa.StructArray.from_arrays(
        [pa.repeat(pa.scalar(SpanEditor.name), n), pa.array(found.starts), pa.array(found.ends),
         pa.repeat(pa.scalar(KIND), n)], fields=list(SPAN),
    )  # fmt: skip
    offsets = np.searchsorted(found.rows, np.arange(documents + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), items)
