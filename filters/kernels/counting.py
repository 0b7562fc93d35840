"""The kernels behind `measures.characters`, `measures.signs` and `measures.line_holds`."""

from __future__ import annotations

from pipeline.kernels import kernel_part, plain_kernel

from . import tables as t
from .line_breaks import trim_left, trim_right
from .reading import char_bytes, properties

BLANK, BULLET, ANY_BULLET, ELLIPSIS_END, ANY_ELLIPSIS_END, TERMINAL_END = (1 << i for i in range(6))
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


@kernel_part
def spaced_ellipsis(data, end):  # type: ignore[no-untyped-def]
    """Whether the five bytes before `end` are ". . ."."""
    dots = data[end - 1] == 46 and data[end - 3] == 46 and data[end - 5] == 46
    return dots and data[end - 2] == 32 and data[end - 4] == 32


@plain_kernel
def count_signs(data, offsets, out):  # type: ignore[no-untyped-def]
    """out[5 * d ...] (int64): characters, "\\n", "#", "..." (counted without overlap) with "…", and ". . ."."""
    for d in range(len(offsets) - 1):
        end = offsets[d + 1]
        characters = 0
        breaks = 0
        hashes = 0
        ellipses = 0
        spaced = 0
        dots = 0
        spaced_from = offsets[d]
        for i in range(offsets[d], end):
            b = data[i]
            characters += b & 0xC0 != 0x80
            breaks += b == 10
            hashes += b == 35
            if b == 46:
                dots += 1
                if dots == 3:
                    ellipses += 1
                    dots = 0
                if i - 4 >= spaced_from and spaced_ellipsis(data, i + 1):
                    spaced += 1
                    spaced_from = i + 1
            else:
                dots = 0
                if b == 0xA6 and i - 2 >= offsets[d] and data[i - 1] == 0x80 and data[i - 2] == 0xE2:
                    ellipses += 1
        row = 5 * d
        out[row] = characters
        out[row + 1] = breaks
        out[row + 2] = hashes
        out[row + 3] = ellipses
        out[row + 4] = spaced


@kernel_part
def begins_with_bullet(data, i, end):  # type: ignore[no-untyped-def]
    """BULLET and ANY_BULLET, or ANY_BULLET alone, or 0."""
    b = data[i]
    if b == 45:
        return BULLET | ANY_BULLET
    if b == 42:
        return ANY_BULLET
    if b == 0xE2 and i + 2 < end:
        if data[i + 1] == 0x80 and data[i + 2] == 0xA2:
            return BULLET | ANY_BULLET
        if data[i + 1] == 0x97 and data[i + 2] == 0x8F:
            return ANY_BULLET
    return 0


@kernel_part
def ends_with_ellipsis(data, i, end):  # type: ignore[no-untyped-def]
    """ELLIPSIS_END and ANY_ELLIPSIS_END, or the latter alone, or 0."""
    if end - i >= 3:
        if data[end - 1] == 46 and data[end - 2] == 46 and data[end - 3] == 46:
            return ELLIPSIS_END | ANY_ELLIPSIS_END
        if data[end - 1] == 0xA6 and data[end - 2] == 0x80 and data[end - 3] == 0xE2:
            return ELLIPSIS_END | ANY_ELLIPSIS_END
    return ANY_ELLIPSIS_END if end - i >= 5 and spaced_ellipsis(data, end) else 0


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
        held = begins_with_bullet(data, i, j) | ends_with_ellipsis(data, i, j)
        out[k] = held | TERMINAL_END if last & t.TERMINAL else held
