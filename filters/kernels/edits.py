"""From what an editing kernel wrote to the two columns of an editor: the new text and the spans taken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.stage import SPAN

from .columns import Column, text_of
from .origins import Cuts, remember_cuts

Kernel = Callable[..., int]


def edited(column: Column, editor: str, kinds: tuple[str, ...], run: Kernel, inline: int) -> tuple[pa.Array, pa.Array]:
    """(text, spans) of an editor.

    `run(data, offsets, document, out, seen, out_offsets, starts, ends, kinds, counts)` edits the documents from
    `document` on and returns the first one for whose spans there was no room. `seen` is `out` read only, of the type
    of `data`, so that parts that read either are compiled once. A text never gets longer. Texts without a span
    may change too (white space). `inline` is the number of the kind whose spans may lie inside of lines.
    """
    text = text_of(column)
    n = len(text)
    size = int(text.offsets[-1] - text.offsets[0]) if n else 0
    out, out_offsets = np.empty(size, np.uint8), np.zeros(n + 1, np.int64)
    seen = out.view()
    seen.setflags(write=False)
    room = size // 80 + n + 64
    starts, ends, which = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int8)
    counts = np.zeros(n + 1, np.int64)
    document = 0
    while document < n:
        document = run(text.data, text.offsets, document, out, seen, out_offsets, starts, ends, which, counts)
        if document < n:  # no span is shorter than a byte and a document's own size is always enough
            longest = int(text.offsets[document + 1] - text.offsets[document])
            room = 2 * len(starts) + longest + 64
            starts, ends, which = _grown(starts, room), _grown(ends, room), _grown(which, room)
    used = int(counts[-1])
    starts, ends, which = starts[:used], ends[:used], which[:used]
    made = _texts(out, out_offsets)
    remember_cuts(made, Cuts(text, starts, ends, counts, which == inline))
    return made, _spans(editor, kinds, starts, ends, which, counts)


def _grown(array: np.ndarray, room: int) -> np.ndarray:
    grown = np.empty(room, array.dtype)
    grown[: len(array)] = array
    return grown


def _texts(out: NDArray[np.uint8], offsets: NDArray[np.int64]) -> pa.Array:
    data = out[: int(offsets[-1])].copy() if int(offsets[-1]) < len(out) // 2 else out
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def _spans(
    editor: str,
    kinds: tuple[str, ...],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    which: NDArray[np.int8],
    counts: NDArray[np.int64],
) -> pa.Array:
    names = pa.DictionaryArray.from_arrays(pa.array(which), pa.array(kinds, pa.string())).cast(pa.string())
    items = pa.StructArray.from_arrays(
        [pa.repeat(pa.scalar(editor), len(starts)), pa.array(starts), pa.array(ends), names], fields=list(SPAN)
    )
    return pa.ListArray.from_arrays(pa.array(counts.astype(np.int32)), items)
