"""The kernels behind `measures.characters`, `measures.signs` and `measures.line_holds`."""

from __future__ import annotations

from pipeline.kernels import kernel_part, plain_kernel

from . import tables as t
from .line_breaks import trim_left, trim_right
from .reading import char_bytes, characters, properties

BLANK, BULLET, ELLIPSIS_END, TERMINAL_END = (1 << i for i in range(4))
"""What a line holds, see `measures.line_holds`."""
CLASSES = 10
"""Columns of `count_classes`: characters, then LETTER, NUMBER, ... to CONTROL without PICTURE, and no-space scripts."""


@plain_kernel
def count_classes(data, offsets, first, blocks, out):  # type: ignore[no-untyped-def]
    """out[10 * d ...] (int64, zeros): characters, letters, numbers, punctuation, symbols, spaces, upper, lower, marks,
    and letters of scripts without spaces."""
    for d in range(len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        row = CLASSES * d
        while i < end:
            size = 1
            b = data[i]
            if b < 0x80:
                word = blocks[b] + 0
            else:
                size = char_bytes(data, i, end)
                word = properties(data, i, size, first, blocks)
                script = word >> t.SCRIPT_SHIFT & 15
                if script > 0 and script <= t.LAST_SPACELESS:
                    out[row + 9] += 1
            bits = word >> 13
            for k in range(8):
                out[row + 1 + k] += bits >> k & 1
            out[row] += 1
            i += size


@plain_kernel
def count_signs(data, offsets, marks, mark_offsets, out):  # type: ignore[no-untyped-def]
    """out[4 * d ...] (int64): characters, "\\n", "#", "..." (counted without overlap) with "…".

    marks: of `segments.marks`.
    """
    for d in range(len(offsets) - 1):
        end = offsets[d + 1]
        breaks = 0
        hashes = 0
        ellipses = 0
        dots = 0
        before = -2
        for m in range(mark_offsets[d], mark_offsets[d + 1]):
            i = marks[m]
            b = data[i]
            if b == 10:
                breaks += 1
            elif b == 35:
                hashes += 1
            elif b == 46:
                dots = dots + 1 if i == before + 1 else 1
                before = i
                if dots == 3:
                    ellipses += 1
                    dots = 0
            elif b == 0xE2 and i + 2 < end and data[i + 1] == 0x80 and data[i + 2] == 0xA6:
                ellipses += 1
        row = 4 * d
        out[row] = characters(data, offsets[d], end)
        out[row + 1] = breaks
        out[row + 2] = hashes
        out[row + 3] = ellipses


@kernel_part
def is_sign(data, i, end, ascii, last):  # type: ignore[no-untyped-def]
    """Whether at i are the bytes E2 80 `last`, or (if it is positive) the byte `ascii`."""
    return data[i] == ascii or (i + 2 < end and data[i] == 0xE2 and data[i + 1] == 0x80 and data[i + 2] == last)


@plain_kernel
def hold_lines(data, starts, ends, first, blocks, out):  # type: ignore[no-untyped-def]
    """out[k] (uint8): what line k holds."""
    for k in range(len(starts)):
        end = ends[k]
        i = trim_left(data, starts[k], end, first, blocks)
        if i == end:
            out[k] = BLANK
            continue
        j = end - 1
        while j > i and data[j] & 0xC0 == 0x80 and end - j < 4:
            j -= 1
        last = properties(data, j, char_bytes(data, j, end), first, blocks)
        j = trim_right(data, i, end, first, blocks)
        held = BULLET if is_sign(data, i, j, 45, 0xA2) else 0
        if j - i >= 3:
            dots = data[j - 1] == 46 and data[j - 2] == 46 and data[j - 3] == 46
            if dots or is_sign(data, j - 3, j, -1, 0xA6):
                held |= ELLIPSIS_END
        out[k] = held | TERMINAL_END if last & t.TERMINAL else held
