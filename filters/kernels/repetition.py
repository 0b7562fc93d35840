"""The kernels behind `measures.duplicates` and `measures.repeated_ngrams`."""

from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

from .token_tables import slots_for

TOP = (2, 3, 4)
ALL = (5, 6, 7, 8, 9, 10)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
HIGH = np.uint64(32)


@plain_kernel
def duplicate_spans(ids, chars, offsets, counts, out):  # type: ignore[no-untyped-def]
    """out[4 * d ...]: (spans, characters) of second and later copies, then of all copies of what is there twice."""
    for d in range(len(offsets) - 1):
        a = offsets[d]
        b = offsets[d + 1]
        newest = -1
        for k in range(a, b):
            if ids[k] > newest:
                newest = ids[k]
                counts[newest] = 1
            else:
                counts[ids[k]] += 1
                out[4 * d] += 1
                out[4 * d + 1] += chars[k]
        for k in range(a, b):
            if counts[ids[k]] > 1:
                out[4 * d + 2] += 1
                out[4 * d + 3] += chars[k]


@kernel_part
def ngram_chars(chars, k, n):  # type: ignore[no-untyped-def]
    """Characters of n words from number k on."""
    total = 0
    for i in range(k, k + n):
        total += chars[i]
    return total


@kernel_part
def repeated_words(ids, a, b, counts, position, gram):  # type: ignore[no-untyped-def]
    """Write the positions and ids of words that are there twice; returns how many."""
    newest = -1
    for k in range(a, b):
        if ids[k] > newest:
            newest = ids[k]
            counts[newest] = 1
        else:
            counts[ids[k]] += 1
    size = 0
    for k in range(a, b):
        if counts[ids[k]] > 1:
            position[size] = k
            gram[size] = ids[k]
            size += 1
    return size


@kernel_part
def longer_grams(ids, n, size, position, gram, counts, slot_key, slot_id, slot_turn, turn):  # type: ignore[no-untyped-def]
    """From repeated (n-1)-grams to candidate n-grams, in place: (how many, how many different).

    An n-gram is there twice only if the (n-1)-grams that it begins and ends with are. Its key is the id of the one
    and the last word's id: exact, as ids are.
    """
    mask = slots_for(size)
    into = 0
    found = 0
    for j in range(size - 1):
        k = position[j]
        if position[j + 1] != k + 1:
            continue
        key = np.uint64(gram[j]) << HIGH | np.uint64(ids[k + n - 1])
        slot = (key * MULTIPLIER) >> HIGH & mask
        while slot_turn[slot] == turn and slot_key[slot] != key:
            slot = (slot + 1) & mask
        if slot_turn[slot] != turn:
            slot_turn[slot] = turn
            slot_key[slot] = key
            slot_id[slot] = found
            counts[found] = 0
            found += 1
        which = slot_id[slot]
        counts[which] += 1
        position[into] = k
        gram[into] = which
        into += 1
    return into, found


@kernel_part
def only_repeated(size, position, gram, counts):  # type: ignore[no-untyped-def]
    """Leave candidates that are there twice, in place; returns how many."""
    into = 0
    for j in range(size):
        if counts[gram[j]] > 1:
            position[into] = position[j]
            gram[into] = gram[j]
            into += 1
    return into


@kernel_part
def top_chars(n, a, b, size, position, gram, counts, chars, every):  # type: ignore[no-untyped-def]
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
            length = ngram_chars(chars, position[j], n)
        elif every and count == most:
            other = ngram_chars(chars, position[j], n)
            if other > length:
                length = other
    return most * (length if every else length + n - 1)


@kernel_part
def repeated_chars(n, size, position, gram, counts, chars, every):  # type: ignore[no-untyped-def]
    """Characters in repeated n-grams.

    `every` (DCLM): of all words that are in one. Else (datatrove): reading on word by word, an n-gram that was read
    before counts, and reading goes on after it; the n-grams skipped that way are not read.
    """
    total = 0
    following = -1
    for j in range(size):
        k = position[j]
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
def repeated_ngrams(ids, chars, offsets, every, position, gram, counts, slot_key, slot_id, slot_turn, out):  # type: ignore[no-untyped-def]
    """out[9 * d + n - 2]: for n = 2 to 4 `top_chars`, for n = 5 to 10 `repeated_chars`.

    Scratch: position, gram (int64), counts (int64) of the longest document's words; the slots of
    `slots_for(longest) + 1`, slot_turn zeros.
    """
    turn = 0
    for d in range(len(offsets) - 1):
        a = offsets[d]
        b = offsets[d + 1]
        size = repeated_words(ids, a, b, counts, position, gram)
        for n in range(2, 11):
            if size:
                turn += 1
                size, found = longer_grams(ids, n, size, position, gram, counts, slot_key, slot_id, slot_turn, turn)
                size = only_repeated(size, position, gram, counts)
            if n <= 4:
                out[9 * d + n - 2] = top_chars(n, a, b, size, position, gram, counts, chars, every)
            else:
                out[9 * d + n - 2] = repeated_chars(n, size, position, gram, counts, chars, every)
