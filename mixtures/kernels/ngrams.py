"""The kernel of DSIR's features: words of small-letter text, and the buckets of their n-grams.

Words are the matches of the regular expression `\\w+|[^\\w\\s]+` (NLTK's WordPunctTokenizer): runs of letters,
numbers and underscores, and runs of what is neither that nor white space. An n-gram's bucket is the SHA-256 of its
words with a space between them, read as a number, modulo the number of buckets: that of the published code.
"""

# mypy: disable-error-code="no-untyped-def,assignment"
from __future__ import annotations

import numpy as np

from filters.kernels.hashing import MIX, SHIFT, span_hash
from filters.kernels.reading import char_bytes, properties
from filters.kernels.tables import LETTER, NUMBER, SPACE
from pipeline.kernels import kernel_part, plain_kernel

from .sha256 import add_byte, add_bytes, begin, remainder

LETTERS = LETTER | NUMBER
GAP, WORD, SIGNS = 0, 1, 2


@kernel_part
def kind_at(data, i, size, classes, first, blocks):
    """GAP, WORD or SIGNS of the character of `size` bytes at i; `classes` uint8[128] has those of ASCII."""
    if data[i] < 0x80:
        return classes[data[i]] + 0
    found = properties(data, i, size, first, blocks)
    if found & LETTERS:
        return WORD
    return GAP if found & SPACE else SIGNS


@kernel_part
def bucket_of(data, starts, ends, newest, length, ring, buckets, block, schedule, state, initial, rounds):
    """The bucket of the n-gram of `length` words that ends with number `newest` of the ring."""
    begin(state, initial)
    size = 0
    for back in range(length):
        k = (newest - (length - 1 - back)) & ring
        if back:
            size = add_byte(32, size, block, schedule, state, rounds)
        size = add_bytes(data, starts[k], ends[k], size, block, schedule, state, rounds)
    return remainder(size, buckets, block, schedule, state, rounds)


@plain_kernel
def count_ngrams(  # type: ignore[no-untyped-def]
    data, offsets, classes, first, blocks, longest, buckets, differences, counts, words, weights, keys, values,
    starts, ends, hashes, block, schedule, state, initial, rounds,
):  # fmt: skip
    """Add every n-gram of 1 to `longest` words to `counts` (int64[buckets]); fill `words` (int64[n]) with the words of
    each text and `weights` (float64[n]) with the sum of `differences` (float64[buckets]) over its n-grams.

    `keys` (uint64, zeros) and `values` (int32) remember buckets of n-grams by their 64-bit hash; their length is a
    power of two. starts, ends, hashes: rings of the last words, of a length that is a power of two above `longest`.
    """
    mask = len(keys) - 1
    ring = len(starts) - 1
    for d in range(len(offsets) - 1):
        i = offsets[d] + 0
        end = offsets[d + 1] + 0
        n = 0
        total = 0.0
        while i < end:
            size = char_bytes(data, i, end)
            kind = kind_at(data, i, size, classes, first, blocks)
            at = i
            i += size
            if kind == GAP:
                continue
            while i < end:
                size = char_bytes(data, i, end)
                if kind_at(data, i, size, classes, first, blocks) != kind:
                    break
                i += size
            newest = n & ring
            starts[newest] = at
            ends[newest] = i
            hashes[newest] = span_hash(data, at, i)
            n += 1
            h = np.uint64(0)
            for length in range(1, longest + 1):
                if length > n:
                    break
                # goes back word by word: the n-gram's hash goes on from that of its last words
                h = (h ^ hashes[(n - length) & ring]) * MIX
                h ^= h >> SHIFT
                key = h * MIX | np.uint64(1)
                slot = np.int64(key >> SHIFT) & mask
                if keys[slot] != key:
                    values[slot] = bucket_of(
                        data, starts, ends, newest, length, ring, buckets, block, schedule, state, initial, rounds
                    )
                    keys[slot] = key
                bucket = values[slot]
                counts[bucket] += 1
                total += differences[bucket]
        words[d] = n
        weights[d] = total
