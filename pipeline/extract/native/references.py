"""Character references (`&amp;`, `&#x2014;`) as the HTML standard resolves them in text."""

# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import numpy as np

from ...kernels import kernel_part, smaller
from . import tables as t

_KEYS, _POINTS, _WINDOWS = t.ENTITY_KEYS, t.ENTITY_POINTS, t.WINDOWS_1252
_SLOTS = len(_KEYS)
_LONGEST = t.MAX_ENTITY_NAME


@kernel_part
def put(out, o, point):
    """Append a code point as UTF-8; returns the new length of out."""
    if point < 0x80:
        out[o] = np.uint8(point)
        return o + 1
    if point < 0x800:
        out[o] = np.uint8(0xC0 | (point >> 6))
        out[o + 1] = np.uint8(0x80 | (point & 63))
        return o + 2
    if point < 0x10000:
        out[o] = np.uint8(0xE0 | (point >> 12))
        out[o + 1] = np.uint8(0x80 | ((point >> 6) & 63))
        out[o + 2] = np.uint8(0x80 | (point & 63))
        return o + 3
    out[o] = np.uint8(0xF0 | (point >> 18))
    out[o + 1] = np.uint8(0x80 | ((point >> 12) & 63))
    out[o + 2] = np.uint8(0x80 | ((point >> 6) & 63))
    out[o + 3] = np.uint8(0x80 | (point & 63))
    return o + 4


@kernel_part
def reference(src, i, n):
    """The reference at src[i] == `&`: (bytes read, code point, second code point or 0); (1, 38, 0) if it is none.

    A surrogate, zero or a number beyond Unicode gives U+FFFD; 128 to 159 mean windows-1252.
    """
    none = (1, 38, 0)
    j = i + 1
    if j >= n:
        return none
    if src[j] == 35:
        j += 1
        hexadecimal = j < n and (src[j] | 32) == 120
        if hexadecimal:
            j += 1
        first = j
        value = 0
        while j < n:
            c = src[j]
            if 48 <= c <= 57:
                digit = np.int64(c) - 48
            elif hexadecimal and 97 <= (c | 32) <= 102:
                digit = np.int64(c | 32) - 87
            else:
                break
            value = smaller(value * (16 if hexadecimal else 10) + digit, 0x110000)
            j += 1
        if j == first:
            return none
        if j < n and src[j] == 59:
            j += 1
        if value == 0 or value > 0x10FFFF or 0xD800 <= value < 0xE000:
            value = 0xFFFD
        elif 0x80 <= value < 0xA0:
            value = np.int64(_WINDOWS[value - 0x80])
        return j - i, value, 0
    key = np.uint32(0x811C9DC5)
    width = 1
    point = 38
    second = 0
    stop = smaller(n, j + _LONGEST)
    while j < stop:
        c = src[j]
        letter = 97 <= (c | 32) <= 122 or 48 <= c <= 57
        if not letter and c != 59:
            break
        key = np.uint32((key ^ c) * np.uint32(0x01000193))
        slot = key % _SLOTS
        while _KEYS[slot] != 0:
            if _KEYS[slot] == key:
                width = j + 1 - i
                point = np.int64(_POINTS[slot, 0])
                second = np.int64(_POINTS[slot, 1])
                break
            slot = (slot + 1) % _SLOTS
        j += 1
        if c == 59:
            break
    return width, point, second
