"""Texts normalised for exact comparison: lower case, runs of white space as one space, none at the ends.

The same as Python's `re.sub(r"\\s+", " ", text).strip().lower()`, byte for byte, for every text. The tables are made
from Python's own functions, so they follow its Unicode version.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from filters.kernels.normalise import decode, encode
from filters.kernels.reading import char_bytes
from pipeline.kernels import kernel_part, plain_kernel

_DENSE = 0x20000
_TAGS, _TAGS_END = 0xE0000, 0xE0200  # beyond the dense part only these have a property that matters here
ROWS = _DENSE + _TAGS_END - _TAGS + 1
SPACE, CASED, IGNORABLE = 32, 1, 2
_SIGMA, _FINAL_SIGMA, _DOTTED_I, _DOT = 0x3A3, 0x3C2, 0x130, 0x307


@functools.lru_cache(maxsize=1)
def tables() -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """(lower int32[ROWS], kinds uint8[ROWS]) by `row_of`: the small letter, SPACE for white space; CASED or IGNORABLE.

    CASED is a cased character at which the search around a sigma ends; IGNORABLE one that it passes over (Unicode's
    Final_Sigma, section 3.13). Both are read off what Python makes of a sigma beside the character.
    """
    points = [*range(_DENSE), *range(_TAGS, _TAGS_END)]
    lower = np.arange(ROWS, dtype=np.int32)
    lower[_DENSE:] = 0  # their own small letters; `row_of` gives no code point there
    kinds = np.zeros(ROWS, np.uint8)
    for row, point in enumerate(points):
        if 0xD800 <= point < 0xE000:
            continue
        char = chr(point)
        if row < _DENSE:
            lower[row] = ord(char.lower()[0])
        if char.isspace():
            lower[row] = SPACE
        elif f"{char}\u03a3".lower()[-1] == "\u03c2":
            kinds[row] = CASED
        elif f"a{char}\u03a3".lower()[-1] == "\u03c2":
            kinds[row] = IGNORABLE
    return lower, kinds


@kernel_part
def row_of(point):
    """The row of the tables for a code point."""
    if point < _DENSE:
        return point
    if point >= _TAGS and point < _TAGS_END:
        return point - _TAGS + _DENSE
    return ROWS - 1


@kernel_part
def ends_word(data, start, i, end, kinds):
    """Whether the sigma of two bytes at i is a final one: a cased letter before it and none after it."""
    j = i
    kind = IGNORABLE
    while j > start and kind == IGNORABLE:
        j -= 1
        while j > start and data[j] & 0xC0 == 0x80:
            j -= 1
        kind = kinds[row_of(decode(data, j, char_bytes(data, j, end)))] + 0
    if kind != CASED:
        return False
    j = i + 2
    while j < end:
        size = char_bytes(data, j, end)
        kind = kinds[row_of(decode(data, j, size))] + 0
        if kind != IGNORABLE:
            return kind != CASED
        j += size
    return True


@plain_kernel
def normalise_texts(data, offsets, lower, kinds, out, out_offsets):
    """Write the normalised texts to `out` and `out_offsets` (int64[n + 1]); `out` needs half as much again and 8."""
    o = 0
    for d in range(len(offsets) - 1):
        start = offsets[d]
        end = offsets[d + 1]
        i = start
        first = o
        spaced = 1  # nothing yet, or a space was written last
        while i < end:
            b = data[i] + 0
            if b < 0x80:  # without a branch: spaces come too often, and too unevenly, to be guessed
                small = lower[b] + 0
                space = 1 if small == SPACE else 0
                out[o] = small
                o += 1 - (space & spaced)
                spaced = space
                i += 1
                continue
            size = char_bytes(data, i, end)
            point = decode(data, i, size)
            small = point if point >= _DENSE else np.int64(lower[point])
            if small == point:
                for k in range(size):
                    out[o + k] = data[i + k]
                o += size
            elif small == SPACE:
                out[o] = SPACE
                o += 1 - spaced
                spaced = 1
                i += size
                continue
            else:
                if point == _SIGMA and ends_word(data, start, i, end, kinds):
                    small = _FINAL_SIGMA
                o = encode(small, out, o)
                if point == _DOTTED_I:
                    o = encode(_DOT, out, o)
            spaced = 0
            i += size
        if spaced == 1 and o > first:
            o -= 1
        out_offsets[d + 1] = o
    return o
