"""The kernel that cuts texts into normalised tokens, hashes them and keeps where each one lies in the text.

A token's hash goes on with each byte of its folded spelling, as in `dedup.kernels.words`.
"""

# mypy: disable-error-code="no-untyped-def,assignment"
from __future__ import annotations

import numpy as np

from dedup.kernels.mixing import fmix64
from dedup.kernels.words import ONE, STEP
from filters.kernels.normalise import decode
from filters.kernels.reading import char_bytes
from pipeline.kernels import kernel_part, plain_kernel

SEPARATOR, WORD, CHARACTER, MARK = 0, 1, 2, 3
"""Classes of characters: parts tokens; goes on with a word; is a token of its own; goes on with any token.

A MARK of no bytes leaves no trace: accents, apostrophes, signs without width.
"""
SLOW = 255
BACKSLASH = 92
"""Where commands are dropped it is slow and a separator, and takes the letters behind it along."""
SHORT_COMMAND = 3
"""Commands of up to so many letters are words too: \\sin, \\log, \\pi; longer ones mostly say how a formula looks."""
LENGTH_SHIFT, POOL_SHIFT = 2, 7
LENGTH_MASK = 31
PLAIN_POINTS = 0x20000
"""Below, an entry's number is the code point; from here on (rare ideographs, tags) a letter is a token."""
TAGS, TAGS_END = 0xE0000, 0xE01F0


@kernel_part
def entry_at(data, i, size, entries):
    """The entry of the character of `size` bytes at i; -1 for a rare ideograph, which stands for itself."""
    point = decode(data, i, size)
    if point < PLAIN_POINTS:
        return np.int64(entries[point])
    if point >= TAGS and point < TAGS_END:
        return np.int64(MARK)
    return np.int64(-1)


@kernel_part
def folded_hash(pool, at, length, h):
    """The hash that goes on with `length` bytes of the pool."""
    for k in range(at, at + length):
        h = (h ^ (np.uint64(pool[k]) + ONE)) * STEP
    return h


@plain_kernel
def cut(data, offsets, ascii, entries, pool, hashes, starts, ends, counts):
    """hashes, starts, ends: of each token; counts[d + 1]: tokens up to text d.

    `ascii` is uint8[256]: the folded byte of an ASCII character of a word, 0 for one that parts words, SLOW for what
    needs a look. The arrays have room as `normalise.cut_text` says.
    """
    k = 0
    for d in range(len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        h = np.uint64(0)
        inside = 0
        stop = i
        while i < end:
            b = ascii[data[i]]
            if b == 0:
                if inside:
                    hashes[k] = fmix64(h)
                    ends[k] = stop
                    k += 1
                    inside = 0
                    h = np.uint64(0)
                i += 1
                continue
            if b != SLOW:
                if inside != WORD:
                    if inside:
                        hashes[k] = fmix64(h)
                        ends[k] = stop
                        k += 1
                        h = np.uint64(0)
                    starts[k] = i
                    inside = WORD
                while b != 0 and b != SLOW:
                    h = (h ^ (np.uint64(b) + ONE)) * STEP
                    i += 1
                    if i == end:
                        break
                    b = ascii[data[i]]
                stop = i + 0
                continue
            if data[i] == BACKSLASH and entries[BACKSLASH] == SEPARATOR:
                if inside:
                    hashes[k] = fmix64(h)
                    ends[k] = stop
                    k += 1
                    inside = 0
                    h = np.uint64(0)
                stop = i + 1
                while stop < end and (data[stop] | 32) - 97 < 26 and (data[stop] | 32) >= 97:
                    stop += 1
                i = stop if stop - i - 1 > SHORT_COMMAND else i + 1
                continue
            size = char_bytes(data, i, end)
            entry = entry_at(data, i, size, entries)
            kind = CHARACTER if entry < 0 else entry & 3
            length = 0 if entry < 0 else entry >> LENGTH_SHIFT & LENGTH_MASK
            if kind == MARK:
                if inside or length:
                    if not inside:
                        starts[k] = i
                        inside = WORD
                    h = folded_hash(pool, entry >> POOL_SHIFT, length, h)
                    if length:
                        stop = i + size
                i += size
                continue
            if inside and (kind != WORD or inside != WORD):
                hashes[k] = fmix64(h)
                ends[k] = stop
                k += 1
                inside = 0
                h = np.uint64(0)
            if kind != SEPARATOR:
                if not inside:
                    starts[k] = i
                inside = kind + 0
                h = folded_hash(data, i, size, h) if entry < 0 else folded_hash(pool, entry >> POOL_SHIFT, length, h)
                stop = i + size
            i += size
        if inside:
            hashes[k] = fmix64(h)
            ends[k] = stop
            k += 1
        counts[d + 1] = k
