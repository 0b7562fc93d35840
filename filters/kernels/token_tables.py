"""The kernels behind `segments.describe`, `segments.trimmed` and `measures.stop_words`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import kernel_part, plain_kernel

from . import tables as t
from .line_breaks import trim_left, trim_right
from .reading import char_bytes, properties
from .word_breaks import CHARACTER

HAS_WORD, STARTS_ALNUM = 1, 2
"""Bits of a token's `holds` beside the flags of `tables`: a character that is not NO_WORD; the first one is a letter
or a number."""
FLAGS = t.NO_WORD - t.LETTER
START, PRIME, MIX = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(29)
LONGEST_STOP_WORD = 4
"""So many characters may a stop word have in scripts without spaces."""


@kernel_part
def hashed(data, i, end, h):  # type: ignore[no-untyped-def]
    """FNV-1a, 64 bit, of bytes i to end, going on from h."""
    while i < end:
        h = (h ^ data[i]) * PRIME
        i += 1
    return h


@kernel_part
def finished(h):  # type: ignore[no-untyped-def]
    """Its bits mixed, so that the lowest can number slots."""
    h = (h ^ (h >> SHIFT)) * MIX
    return h ^ (h >> SHIFT)


@kernel_part
def equal_bytes(data, a, b, size):  # type: ignore[no-untyped-def]
    """Whether `size` bytes from a and from b are the same."""
    k = 0
    while k < size and data[a + k] == data[b + k]:
        k += 1
    return k == size


@kernel_part
def slots_for(count):  # type: ignore[no-untyped-def]
    """A power of two of at least twice `count`, less one."""
    size = 16
    while size < 2 * count:
        size *= 2
    return size - 1


def slots_for_longest(counts: NDArray[np.int64]) -> int:
    """How many slots the kernels need for documents of so many spans."""
    size = 16
    while size < 2 * int(counts.max(initial=0)):
        size *= 2
    return size


@plain_kernel
def describe_spans(data, starts, ends, offsets, first, blocks, slots, chars, holds, ids, hashes):  # type: ignore[no-untyped-def]
    """Fill chars, holds, ids and hashes of spans; `slots` (int64, all -1) has room for `slots_for(longest) + 1`.

    Equal spans of a document get equal ids, by comparing bytes where hashes are equal. A slot holds a span's number;
    one of an earlier document is free.
    """
    for d in range(len(offsets) - 1):
        a = offsets[d]
        mask = slots_for(offsets[d + 1] - a)
        found = 0
        for k in range(a, offsets[d + 1]):
            i = starts[k]
            end = ends[k]
            count = 0
            held = 0
            h = START
            while i < end:
                b = data[i]
                count += 1
                if b < 0x80:
                    word = blocks[b] + 0
                    h = (h ^ b) * PRIME
                    i += 1
                else:
                    size = char_bytes(data, i, end)
                    word = properties(data, i, size, first, blocks)
                    h = hashed(data, i, i + size, h)
                    i += size
                if count == 1 and word & (t.LETTER | t.NUMBER):
                    held = STARTS_ALNUM
                held |= (word & FLAGS) | (0 if word & t.NO_WORD else HAS_WORD)
            h = finished(h)
            chars[k] = count
            holds[k] = held
            hashes[k] = h
            slot = h & mask
            while True:
                other = slots[slot]
                if other < a:
                    slots[slot] = k
                    ids[k] = found
                    found += 1
                    break
                size = end - starts[k]
                alike = hashes[other] == h and ends[other] - starts[other] == size
                if alike and equal_bytes(data, starts[k], starts[other], size):
                    ids[k] = ids[other]
                    break
                slot = (slot + 1) & mask


@plain_kernel
def trim_spans(data, starts, ends, offsets, first, blocks, into_starts, into_ends, into_offsets):  # type: ignore[no-untyped-def]
    """Take white space off both ends of spans and leave out what is empty then."""
    n = 0
    for d in range(len(offsets) - 1):
        for k in range(offsets[d], offsets[d + 1]):
            start = trim_left(data, starts[k], ends[k], first, blocks)
            if start < ends[k]:
                into_starts[n] = start
                into_ends[n] = trim_right(data, start, ends[k], first, blocks)
                n += 1
        into_offsets[d + 1] = n


@kernel_part
def mark_stop_word(h, mask, keys, seen, document):  # type: ignore[no-untyped-def]
    """1 if a hash is in the table and not seen before in this document, else 0."""
    slot = h & mask
    while keys[slot]:
        if keys[slot] == h:
            if seen[slot] == document:
                return 0
            seen[slot] = document
            return 1
        slot = (slot + 1) & mask
    return 0


@plain_kernel
def count_stop_words(data, starts, ends, offsets, kinds, ids, hashes, salts, mask, keys, seen, out):  # type: ignore[no-untyped-def]
    """out[d]: distinct stop words of document d. keys: open addressing by hash ^ salts[d], 0 = free; seen: all -1.

    In scripts without spaces a stop word may be several CHARACTER tokens that touch.
    """
    for d in range(len(offsets) - 1):
        count = 0
        newest = -1
        salt = salts[d]
        for k in range(offsets[d], offsets[d + 1]):
            if ids[k] > newest:
                newest = ids[k]
                count += mark_stop_word(hashes[k] ^ salt, mask, keys, seen, d)
            if kinds[k] >= CHARACTER:
                h = hashed(data, starts[k], ends[k], START)
                last = k + 1
                while last < offsets[d + 1] and last < k + LONGEST_STOP_WORD:
                    if kinds[last] < CHARACTER or starts[last] != ends[last - 1]:
                        break
                    h = hashed(data, starts[last], ends[last], h)
                    count += mark_stop_word(finished(h) ^ salt, mask, keys, seen, d)
                    last += 1
        out[d] = count
