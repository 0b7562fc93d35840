"""Parts that read one character of UTF-8, for all kernels here. Positions past the end are never read."""

from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part

_1, _2, _3, _4, _5, _6, _7 = (np.uint64(i) for i in range(1, 8))
_8, _16, _24, _32, _40, _48, _56 = (np.uint64(8 * i) for i in range(1, 8))
_TOPS, _ONES = np.uint64(0x8080808080808080), np.uint64(0x0101010101010101)
_FEEDS = np.uint64(0x0A0A0A0A0A0A0A0A)


@kernel_part
def char_bytes(data, i, end):  # type: ignore[no-untyped-def]
    """How many bytes the character at i has, cut at `end`; a stray continuation byte counts as one."""
    b = data[i]
    if b < 0xC0:
        return 1
    size = 2 if b < 0xE0 else (3 if b < 0xF0 else 4)
    return size if i + size <= end else end - i


@kernel_part
def properties(data, i, size, first, blocks):  # type: ignore[no-untyped-def]
    """The property word of the character at i of `size` bytes (`tables`)."""
    point = data[i] + 0
    if size == 2:
        point = (point & 31) << 6 | (data[i + 1] & 63)
    elif size == 3:
        point = (point & 15) << 12 | (data[i + 1] & 63) << 6 | (data[i + 2] & 63)
    elif size == 4:
        point = (point & 7) << 18 | (data[i + 1] & 63) << 12 | (data[i + 2] & 63) << 6 | (data[i + 3] & 63)
        if point > 0x10FFFF:
            point = 0x10FFFF
    return blocks[(first[point >> 7] + 0) << 7 | (point & 127)] + 0


@kernel_part
def eight_bytes(data, i):  # type: ignore[no-untyped-def]
    """Bytes i to i + 8 as one number; the machine reads them at once."""
    k = np.uint64(i)
    low = np.uint64(data[k]) | np.uint64(data[k + _1]) << _8 | np.uint64(data[k + _2]) << _16
    low |= np.uint64(data[k + _3]) << _24 | np.uint64(data[k + _4]) << _32 | np.uint64(data[k + _5]) << _40
    return low | np.uint64(data[k + _6]) << _48 | np.uint64(data[k + _7]) << _56


@kernel_part
def continued(eight):  # type: ignore[no-untyped-def]
    """How many of eight bytes go on with a character that began before."""
    return np.int64(((eight & ~(eight << _1) & _TOPS) >> _7) * _ONES >> _56)


@kernel_part
def characters(data, i, end):  # type: ignore[no-untyped-def]
    """How many characters begin in data[i:end]."""
    count = end - i
    while i + 8 <= end:
        count -= continued(eight_bytes(data, i))
        i += 8
    while i < end:
        count -= 1 if data[i] & 0xC0 == 0x80 else 0
        i += 1
    return count


@kernel_part
def line_end(data, i, end):  # type: ignore[no-untyped-def]
    """The position of the first line feed from i on, `end` if there is none."""
    while i + 8 <= end:
        eight = eight_bytes(data, i) ^ _FEEDS
        if (eight - _ONES) & ~eight & _TOPS:
            break
        i += 8
    while i < end and data[i] != 10:
        i += 1
    return i


@kernel_part
def copied(data, i, end, out, o):  # type: ignore[no-untyped-def]
    """Where `out` ends after data[i:end] was written to it from o on."""
    into = np.uint64(o)
    source = np.uint64(i)
    for k in range(end - i):
        out[into + np.uint64(k)] = data[source + np.uint64(k)]
    return o + end - i if end > i else o
