"""Texts made ready for a classifier, on Arrow's own buffers: small letters, zeros for digits, signs set apart.

Tables by code point, of one length: `kinds` uint8 (bits K_...) and `lower` int32 (the small letter of each).
"""

# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

K_DIGIT, K_PUNCTUATION, K_CJK, K_MARK, K_SPACE, K_ALPHA, K_UPPER, K_NOT_UPPER = (1 << i for i in range(8))
SIGMA, FINAL_SIGMA = 0x3A3, 0x3C2
LOWERCASE, DIGITS_TO_ZERO, SPLIT_PUNCTUATION, SPLIT_CJK, MARK_CAPITALS, LETTERS_ONLY = 1, 2, 4, 8, 16, 32


@kernel_part
def size_of(c):
    """Bytes of the UTF-8 sequence that begins with c."""
    return 1 if c < 0x80 else (2 if c < 0xE0 else (3 if c < 0xF0 else 4))


@kernel_part
def decode(data, at, size):
    """The code point of the UTF-8 sequence of `size` bytes at data[at]."""
    point = np.int64(data[at])
    if size > 1:
        point &= 0x7F >> size
        for k in range(at + 1, at + size):
            point = point << 6 | (data[k] & 63)
    return point


@kernel_part
def encode(point, out, o):
    """Write a code point as UTF-8 to out[o]; returns where it ends."""
    if point < 0x80:
        out[o] = point
        return o + 1
    if point < 0x800:
        out[o] = 0xC0 | point >> 6
        out[o + 1] = 0x80 | point & 63
        return o + 2
    if point < 0x10000:
        out[o] = 0xE0 | point >> 12
        out[o + 1] = 0x80 | point >> 6 & 63
        out[o + 2] = 0x80 | point & 63
        return o + 3
    out[o] = 0xF0 | point >> 18
    out[o + 1] = 0x80 | point >> 12 & 63
    out[o + 2] = 0x80 | point >> 6 & 63
    out[o + 3] = 0x80 | point & 63
    return o + 4


@kernel_part
def letter_follows(data, at, stop, kinds):
    """Whether a letter stands at data[at]."""
    if at >= stop:
        return False
    size = size_of(data[at])
    if at + size > stop:
        return False
    point = decode(data, at, size)
    return point < len(kinds) and kinds[point] & K_ALPHA != 0


@plain_kernel
def normalise(data, starts, ends, kinds, lower, flags, out, out_starts, out_ends):
    """Each text data[starts[i]:ends[i]] into out; `out` has room for twice the bytes. Returns the bytes written."""
    split = (K_PUNCTUATION if flags & SPLIT_PUNCTUATION else 0) | (K_CJK if flags & SPLIT_CJK else 0)
    o = 0
    for i in range(len(starts)):
        at = starts[i]
        stop = ends[i]
        out_starts[i] = o
        apart = False  # the last character is to stand by itself
        spaced = True
        in_word = False
        word_before = False  # the last character but spaces is of a word, on the same line
        while at < stop:
            size = size_of(data[at])
            if at + size > stop:
                break
            point = decode(data, at, size)
            at += size
            if flags & MARK_CAPITALS:
                sign = point < len(kinds) and kinds[point] & K_PUNCTUATION != 0
                if spaced and word_before and not sign and point < len(lower) and lower[point] != point:
                    out[o] = 94  # ^
                    out[o + 1] = 32
                    o += 2
                word_before = word_before if point == 32 else point > 32 and not sign
            kind = np.int64(kinds[point]) if point < len(kinds) else (K_CJK if 0x20000 <= point < 0x40000 else 0)
            if flags & LETTERS_ONLY and kind & (K_DIGIT | K_PUNCTUATION):
                point, kind = 32, 0
            if kind & K_DIGIT and flags & DIGITS_TO_ZERO:
                point = 48
            elif flags & LOWERCASE and point < len(lower):
                final = point == SIGMA and in_word and not letter_follows(data, at, stop, kinds)
                point = FINAL_SIGMA if final else np.int64(lower[point])
            if (kind & split or apart) and not kind & K_MARK and not spaced and point != 32:
                out[o] = 32
                o += 1
            if not kind & K_MARK:
                in_word = kind & K_ALPHA != 0
                apart = kind & split != 0
            spaced = point == 32
            o = encode(point, out, o)
        out_ends[i] = o
    return o
