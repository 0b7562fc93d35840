"""The kernel that makes texts alike before they are cut into shingles; its tables are made in `foldings`.

One pass over UTF-8: small letters, zeros for numbers, spaces for punctuation, single spaces, no accents.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from filters.kernels.normalise import decode
from filters.kernels.reading import char_bytes, eight_bytes
from pipeline.kernels import kernel_part, plain_kernel

TOPS = np.uint64(0x8080808080808080)
SPACE, DIGIT, SEPARATOR, SIGMA, CASED, IGNORABLE, CHANGED = (1 << i for i in range(7))
"""Bits of a table's entry: white space that collapses; decimal digit; sign that may stand inside of a number; capital
sigma; cased letter; sign that the case of others passes over; has another spelling. Bits 8 to 11: bytes of that
spelling; from bit 12 on: where it begins in the pool."""
LENGTH_SHIFT, POOL_SHIFT = 8, 12
PLAIN_POINTS = 0x20000
"""Below, an entry's number is the code point."""
IDEOGRAPHS, IDEOGRAPHS_END = 0x2F800, 0x2FA20
SELECTORS, SELECTORS_END = 0xE0000, 0xE0200
ENTRIES = PLAIN_POINTS + (IDEOGRAPHS_END - IDEOGRAPHS) + (SELECTORS_END - SELECTORS)
LARGEST_GROWTH = 3
"""No spelling has more than three times the bytes of what it stands for."""


@kernel_part
def entry_of(data, i, size, entries):
    """The entry of the character of `size` bytes at i; 0 for what stays as it is."""
    if size == 1:
        return 0 if data[i] > 0x7F else entries[data[i]] + 0
    point = decode(data, i, size)
    if point < PLAIN_POINTS:
        return entries[point] + 0
    if point >= IDEOGRAPHS and point < IDEOGRAPHS_END:
        return entries[PLAIN_POINTS + point - IDEOGRAPHS] + 0
    if point >= SELECTORS and point < SELECTORS_END:
        return entries[PLAIN_POINTS + (IDEOGRAPHS_END - IDEOGRAPHS) + point - SELECTORS] + 0
    return 0


@kernel_part
def after_digits(data, i, end, entries):
    """The end of the run of digits from i on."""
    while i < end:
        size = char_bytes(data, i, end)
        if not entry_of(data, i, size, entries) & DIGIT:
            break
        i += size
    return i


@kernel_part
def number_end(data, i, end, entries):
    """The end of a number that begins at i: digits, and once a separator with digits behind it."""
    i = after_digits(data, i, end, entries)
    if i < end:
        size = char_bytes(data, i, end)
        if entry_of(data, i, size, entries) & SEPARATOR:
            further = after_digits(data, i + size, end, entries)
            if further > i + size:
                return further
    return i


@kernel_part
def is_final(data, start, i, end, entries):
    """Whether the capital sigma of two bytes at i ends a word (Unicode, Final_Sigma)."""
    before = i
    while before > start:
        before -= 1
        while before > start and data[before] & 0xC0 == 0x80:
            before -= 1
        entry = entry_of(data, before, char_bytes(data, before, i), entries)
        if not entry & IGNORABLE:
            if not entry & CASED:
                return False
            break
        if before == start:
            return False
    if before == i:
        return False
    after = i + 2
    while after < end:
        size = char_bytes(data, after, end)
        entry = entry_of(data, after, size, entries)
        if not entry & IGNORABLE:
            return not entry & CASED
        after += size
    return True


@kernel_part
def ascii_end(data, i, end):
    """The end of the ASCII from i on, counted by eights."""
    while i + 8 <= end and not eight_bytes(data, i) & TOPS:
        i += 8
    return i


@kernel_part
def lower_ascii(data, i, size, out, o):
    """Write ASCII with small letters for capitals; the machine does many bytes at once."""
    start = np.uint64(i)
    to = np.uint64(o)
    for j in range(np.uint64(size)):
        b = np.uint8(data[start + j])
        out[to + j] = np.uint8(b | np.uint8((np.uint8(b - 65) < 26) << 5))


@plain_kernel
def normalise(data, offsets, fast, entries, pool, simple, out, out_offsets):
    """Write each text anew to `out`, which has room for LARGEST_GROWTH times the bytes.

    `fast` is uint16[256]: the new byte of an ASCII character that needs no look at its neighbours, with SPACE at bit
    8 where white space collapses; 0xFFFF for all others. `simple`: ASCII has its capitals made small and no more.
    """
    o = 0
    for d in range(len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        begin = o
        last = 1  # the last character written is a space, or there is none
        while i < end:
            if simple:
                stop = ascii_end(data, i, end)
                lower_ascii(data, i, stop - i, out, o)
                o += stop - i
                i = stop
                if i == end:
                    break
            code = fast[data[i]] + 0
            if code != 0xFFFF:
                space = code >> 8
                out[o] = code & 0xFF
                o += 1 - (space & last)
                last = space
                i += 1
                continue
            size = char_bytes(data, i, end)
            entry = entry_of(data, i, size, entries)
            if entry & DIGIT:  # before punctuation: CCNet's signs hold a full-width 1
                out[o] = 48
                o += 1
                last = 0
                i = number_end(data, i, end, entries)
                continue
            if entry & SPACE:
                if not last:
                    out[o] = 32
                    o += 1
                last = 1
            elif entry & CHANGED:
                at = entry >> POOL_SHIFT
                length = entry >> LENGTH_SHIFT & 15
                last = 1 if length == 0 and o == begin else 0  # at the beginning no space stays behind what is left out
                if entry & SIGMA and is_final(data, offsets[d], i, end, entries):
                    at += length
                for k in range(at, at + length):
                    out[o] = pool[k]
                    o += 1
            else:
                for k in range(i, i + size):
                    out[o] = data[k]
                    o += 1
                last = 0
            i += size
        if fast[32] >> 8 == 1:
            while o > begin and out[o - 1] == 32:
                o -= 1
        out_offsets[d + 1] = o
    return o
