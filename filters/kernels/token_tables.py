"""The kernels behind `segments.describe`, `segments.trimmed` and `measures.stop_words`."""

from __future__ import annotations

from pipeline.kernels import kernel_part, plain_kernel

from .hashing import number_spans, span_hash
from .line_breaks import trim_left, trim_right
from .word_breaks import CHARACTER, span_facts

LONGEST_STOP_WORD = 4
"""So many characters may a stop word have in scripts without spaces."""


@plain_kernel
def describe_spans(data, starts, ends, offsets, first, blocks, slots, chars, holds, ids, hashes):  # type: ignore[no-untyped-def]
    """Fill chars, holds, ids and hashes of spans; `slots` of `hashing.room_for`, not used before."""
    for d in range(len(offsets) - 1):
        for k in range(offsets[d], offsets[d + 1]):
            count, held, h = span_facts(data, starts[k], ends[k], first, blocks)
            chars[k] = count
            holds[k] = held
            hashes[k] = h
        number_spans(data, starts, ends, offsets[d], offsets[d + 1], slots, ids, hashes)


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
                last = k + 1
                while last < offsets[d + 1] and last < k + LONGEST_STOP_WORD:
                    if kinds[last] < CHARACTER or starts[last] != ends[last - 1]:
                        break
                    h = span_hash(data, starts[k], ends[last])
                    count += mark_stop_word(h ^ salt, mask, keys, seen, d)
                    last += 1
        out[d] = count
