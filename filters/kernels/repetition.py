"""The kernels behind `measures.repeats` and `measures.repeated_ngrams`."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

from .hashing import MIX, number_spans, slots_for, span_hash
from .reading import characters

HIGH = np.uint64(32)


@plain_kernel
def repeated_spans(data, starts, ends, offsets, slots, counts, chars, ids, hashes, out):
    """chars, ids and hashes of long spans; out[4 * d ...]: (spans, characters) of second and later copies, then of all
    copies of what is there twice. `slots`: of `hashing.room_for`, not used before; counts: of the longest document."""
    for d in range(len(offsets) - 1):
        a = offsets[d]
        b = offsets[d + 1]
        for k in range(a, b):
            chars[k] = characters(data, starts[k], ends[k])
            hashes[k] = span_hash(data, starts[k], ends[k])
        number_spans(data, starts, ends, a, b, slots, ids, hashes)
        for k in range(a, b):
            counts[k - a] = 0
        for k in range(a, b):
            if counts[ids[k]]:
                out[4 * d] += 1
                out[4 * d + 1] += chars[k]
            counts[ids[k]] += 1
        for k in range(a, b):
            if counts[ids[k]] > 1:
                out[4 * d + 2] += 1
                out[4 * d + 3] += chars[k]


@kernel_part
def ngram_chars(chars, k, n):
    """Characters of n words from number k on."""
    total = 0
    for i in range(k, k + n):
        total += chars[i]
    return total


@kernel_part
def repeated_words(ids, a, b, counts, position, gram):
    """Write the positions and ids of words that are there twice; returns how many."""
    newest = 0
    for k in range(a, b):
        newest = ids[k] if ids[k] > newest else newest
    for j in range(newest + 1):
        counts[j] = 0
    for k in range(a, b):
        counts[ids[k]] += 1
    size = 0
    for k in range(a, b):
        position[size] = k - a
        gram[size] = ids[k]
        size += 1 if counts[ids[k]] > 1 else 0
    return size


@kernel_part
def longer_grams(ids, a, n, size, position, gram, counts, slots, keys, used):
    """From repeated (n-1)-grams to candidate n-grams, in place: (how many, how many different).

    An n-gram is there twice only if the (n-1)-grams that it begins and ends with are. Its key is the id of the one
    and the last word's id: exact, as ids are. A slot holds `used` and the number of a key and 1; up to `used` it is
    free.
    """
    into = 0
    for j in range(size - 1):  # which words follow each other can't be guessed: no branch
        k = position[j] + 0
        follows = 1 if position[j + 1] == k + 1 else 0
        position[into] = k
        gram[into] = gram[j]
        into += follows
    mask = slots_for(into)
    found = 0
    for j in range(into):
        key = np.uint64(gram[j]) << HIGH | np.uint64(ids[a + position[j] + n - 1])
        slot = np.int64((key * MIX) >> HIGH) & mask
        which = slots[slot] - used
        while which > 0 and keys[which - 1] != key:
            slot = (slot + 1) & mask
            which = slots[slot] - used
        if which <= 0:
            keys[found] = key
            counts[found] = 0
            found += 1
            which = found
            slots[slot] = used + found
        counts[which - 1] += 1
        gram[j] = which - 1
    return into, found


@kernel_part
def only_repeated(size, position, gram, counts):
    """Leave candidates that are there twice, in place; returns how many."""
    into = 0
    for j in range(size):
        position[into] = position[j]
        gram[into] = gram[j]
        into += 1 if counts[gram[j]] > 1 else 0
    return into


@kernel_part
def top_chars(n, a, b, size, position, gram, counts, chars, every):
    """Characters in all copies of the most frequent n-gram; -1 where the document has no n words.

    `every` (DCLM): of equally frequent ones the longest, words alone; 0 if none repeats. Else (datatrove): the first,
    with a space between words; if none repeats, the document's first n-gram.
    """
    if b - a < n:
        return -1
    if size == 0:
        return 0 if every else ngram_chars(chars, a, n) + n - 1
    most = 0
    length = 0
    for j in range(size):
        count = counts[gram[j]]
        if count > most:
            most = count
            length = ngram_chars(chars, a + position[j], n)
        elif every and count == most:
            other = ngram_chars(chars, a + position[j], n)
            if other > length:
                length = other
    return most * (length if every else length + n - 1)


@kernel_part
def repeated_chars(n, a, size, position, gram, counts, chars, every):
    """Characters in repeated n-grams.

    `every` (DCLM): of all words that are in one. Else (datatrove): reading on word by word, an n-gram that was read
    before counts, and reading goes on after it; the n-grams skipped that way are not read.
    """
    total = 0
    following = -1
    for j in range(size):
        k = a + position[j]
        if every:
            i = k if k > following else following
            total += ngram_chars(chars, i, k + n - i)
            following = k + n
        elif k >= following:
            if counts[gram[j]] < 0:
                total += ngram_chars(chars, k, n)
                following = k + n
            else:
                counts[gram[j]] = -1
    return total


@plain_kernel
def repeated_ngrams(ids, chars, offsets, every, position, gram, counts, keys, slots, out):
    """out[9 * d + n - 2]: for n = 2 to 4 `top_chars`, for n = 5 to 10 `repeated_chars`.

    Scratch, with room for the longest document's words and one: position, gram, counts (int32), keys (uint64), and
    `slots` of `hashing.room_for`, not used before.
    """
    used = np.int64(0)  # a literal would compile `longer_grams` twice
    for d in range(len(offsets) - 1):
        a = offsets[d]
        b = offsets[d + 1]
        size = repeated_words(ids, a, b, counts, position, gram)
        for n in range(2, 11):
            if size:
                size, found = longer_grams(ids, a, n, size, position, gram, counts, slots, keys, used)
                used += found
                size = only_repeated(size, position, gram, counts)
            if n <= 4:
                out[9 * d + n - 2] = top_chars(n, a, b, size, position, gram, counts, chars, every)
            else:
                out[9 * d + n - 2] = repeated_chars(n, a, size, position, gram, counts, chars, every)
