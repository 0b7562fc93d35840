"""fastText's tokens, hashes and rows: sums over a text's rows of a table, on Arrow's own buffers.

The hashes are FNV-1a in 32 bits with bytes taken as signed, as fastText's dictionary.cc has it. A text is split at
its white space (space, tab, line feed, carriage return, vertical tab, form feed, zero byte) and ends with `</s>`.
Unlike there, a `</s>` that stands in the text does not end it.

`params` (int64): see P_... ; `values` float32[rows * width]. All arrays are flat.
"""

# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import math

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

(P_WIDTH, P_WORD_NGRAMS, P_BUCKET, P_MINN, P_MAXN, P_WORDS, P_PRUNED, P_MAGIC, P_END, P_PLAIN) = range(10)
PARAMS = 10
# P_MAGIC: 2^64 // bucket + 1, for `modulo`; P_END: the number of the word `</s>`, -1 if the model has none
# P_PLAIN: 1 = `__label__` is nothing special
# P_PRUNED: 0 = every bucket has its row, 1 = rows by the table of kept buckets, 2 = no n-gram has a row
START = np.uint32(2166136261)
PRIME = np.uint32(16777619)
NGRAM = np.uint64(116049371)
SPREAD = np.uint32(0x9E3779B1)
END_HASH = np.uint32(3617362777)
"""The hash of `</s>`."""
LABEL = np.frombuffer(b"__label__", np.uint8)


@kernel_part
def step(h, c):
    """FNV-1a over one more byte, taken as signed."""
    byte = np.uint32(c)
    if byte >= 128:
        byte = np.uint32(byte | np.uint32(0xFFFFFF00))
    return np.uint32(np.uint32(h ^ byte) * PRIME)


@plain_kernel
def read_entries(data, at, starts, ends, hashes, counts, types):
    """Walk a dictionary's entries from data[at]; returns where they end, -1 if the file does before."""
    n = len(data)
    for i in range(len(starts)):
        starts[i] = at
        h = START
        while at < n and data[at] != 0:
            h = step(h, data[at])
            at += 1
        ends[i] = at
        hashes[i] = h
        if at + 10 > n:
            return -1
        count = np.uint64(0)
        for k in range(8):
            count |= np.uint64(data[at + 1 + k]) << np.uint64(8 * k)
        counts[i] = np.int64(count)
        types[i] = data[at + 9]
        at += 10
    return at


@plain_kernel
def place(keys, values, slot_keys, slot_values):
    """Put values by keys into a hash table (slot_values: -1 = free; its length is a power of two).

    Of equal keys the first is met first.
    """
    mask = len(slot_keys) - 1
    for i in range(len(keys)):
        slot = np.int64(np.uint32(keys[i] * SPREAD)) & mask
        while slot_values[slot] >= 0:
            slot = (slot + 1) & mask
        slot_keys[slot] = keys[i]
        slot_values[slot] = values[i]


@kernel_part
def find(data, start, stop, h, entries, entry_starts, entry_ends, slot_hash, slot_id):
    """The number of the entry data[start:stop], -1 if there is none."""
    mask = len(slot_hash) - 1
    slot = np.int64(np.uint32(h * SPREAD)) & mask
    size = stop - start
    while slot_id[slot] >= 0:
        if slot_hash[slot] == h:
            e = np.int64(slot_id[slot])
            if entry_ends[e] - entry_starts[e] == size:
                first = entry_starts[e]
                k = 0
                while k < size and entries[first + k] == data[start + k]:
                    k += 1
                if k == size:
                    return e
        slot = (slot + 1) & mask
    return -1


@kernel_part
def add_bucket(bucket_id, keys, rows, values, params, total):
    """Add an n-gram's row to `total`, if it has one; returns how many rows that were."""
    row = np.int64(bucket_id)
    if params[P_PRUNED] != 0:
        if params[P_PRUNED] == 2:
            return 0
        mask = len(keys) - 1
        key = np.uint32(bucket_id)
        slot = np.int64(np.uint32(key * SPREAD)) & mask
        while keys[slot] != key or rows[slot] < 0:
            if rows[slot] < 0:
                return 0
            slot = (slot + 1) & mask
        row = np.int64(rows[slot])
    width = params[P_WIDTH]
    at = row * width
    for w in range(width):
        total[w] += values[at + w]
    return 1


@kernel_part
def modulo(h, params):
    """h % bucket for 32 bits by two multiplications (Lemire, Kaser and Kurz 2019), for h and bucket below 2^32."""
    low = np.uint64(np.uint64(params[P_MAGIC]) * np.uint64(h))
    bucket = np.uint64(params[P_BUCKET])
    carry = np.uint64((low & np.uint64(0xFFFFFFFF)) * bucket) >> np.uint64(32)
    return np.int64(np.uint64((low >> np.uint64(32)) * bucket + carry) >> np.uint64(32))


@kernel_part
def add_subwords(data, start, stop, keys, rows, values, params, total):
    """Add the character n-grams of the word data[start:stop] between `<` and `>`; returns the number of rows."""
    count = 0
    minn = params[P_MINN]
    maxn = params[P_MAXN]
    for i in range(start - 1, stop + 1):
        c = np.uint8(60) if i < start else (np.uint8(62) if i == stop else data[i])
        if c & 0xC0 == 0x80:
            continue
        h = START
        j = i
        n = 1
        while j <= stop and n <= maxn:
            c = np.uint8(60) if j < start else (np.uint8(62) if j == stop else data[j])
            h = step(h, c)
            j += 1
            while start < j < stop and data[j] & 0xC0 == 0x80:
                h = step(h, data[j])
                j += 1
            if n >= minn and not (n == 1 and (i < start or j > stop)):
                count += add_bucket(modulo(h, params), keys, rows, values, params, total)
            n += 1
    return count


@kernel_part
def end_word(h, ngrams, held, keys, rows, values, params, total):
    """Add the word n-grams that end with the word of hash h; returns the number of rows.

    ngrams[d] is the hash of the d + 1 last words (uint64, word hashes taken as signed), of which `held` are set.
    """
    count = 0
    signed = np.uint64(np.int64(np.int32(h)))
    most = params[P_WORD_NGRAMS] - 1
    d = held if held < most else most
    while d > 0:
        ngrams[d] = np.uint64(ngrams[d - 1] * NGRAM + signed)
        bucket = np.int64(ngrams[d] % np.uint64(params[P_BUCKET]))
        count += add_bucket(bucket, keys, rows, values, params, total)
        d -= 1
    ngrams[0] = signed
    return count


@kernel_part
def is_label(data, start, stop):
    """Whether an unknown word begins with `__label__`: fastText takes it for a label and leaves it out."""
    if stop - start < 9 or data[start] != 95:
        return False
    k = 1
    while k < 9 and data[start + k] == LABEL[k]:
        k += 1
    return k == 9


@plain_kernel
def sums(data, starts, ends, entries, entry_starts, entry_ends, slot_hash, slot_id, word_values, word_counts,
         keys, rows, values, params, ngrams, total, out, counts):  # fmt: skip
    """For each text data[starts[i]:ends[i]]: the sum of its rows (out[i * width]) and their number (counts[i]).

    ngrams uint64[P_WORD_NGRAMS] and total float64[width] are scratch.
    """
    width = params[P_WIDTH]
    words = params[P_WORDS]
    for i in range(len(starts)):
        at = starts[i]
        stop = ends[i]
        held = 0
        count = 0
        for w in range(width):
            total[w] = 0.0
        while True:
            while at < stop and (data[at] == 32 or 9 <= data[at] <= 13 or data[at] == 0):
                at += 1
            begin = at
            ended = at >= stop
            h = START
            if ended:
                h = END_HASH
                e = params[P_END]
            else:
                while at < stop and not (data[at] == 32 or 9 <= data[at] <= 13 or data[at] == 0):
                    h = step(h, data[at])
                    at += 1
                if h == END_HASH and at - begin == 4:
                    continue
                e = find(data, begin, at, h, entries, entry_starts, entry_ends, slot_hash, slot_id)
            if e >= words or (e < 0 and not ended and params[P_PLAIN] == 0 and is_label(data, begin, at)):
                continue
            if e >= 0:
                for w in range(width):
                    total[w] += word_values[e * width + w]
                count += word_counts[e]
            elif not ended and params[P_MAXN] > 0:
                count += add_subwords(data, begin, at, keys, rows, values, params, total)
            if params[P_WORD_NGRAMS] > 1:
                count += end_word(h, ngrams, held, keys, rows, values, params, total)
                held += 1
            if ended:
                break
        for w in range(width):
            out[i * width + w] = total[w]
        counts[i] = count


@plain_kernel
def best_label(sums, counts, width, output, children, nodes, scores, best, score):
    """The label of highest probability in a tree (see losses.tree) for each text, and the logarithm of that.

    output: float32[inner nodes * width]. Depth first, left first, and past what can't win any more, as fastText's
    loss.cc walks; nodes int64[depth] and scores float64[depth] are scratch. best[i] is -1 where counts[i] is 0.
    """
    labels = len(children) // 2 + 1
    for i in range(len(counts)):
        best[i] = -1
        score[i] = -math.inf
        if counts[i] == 0:
            continue
        nodes[0] = 2 * labels - 2
        scores[0] = 0.0
        held = 1
        while held > 0:
            held -= 1
            node = nodes[held]
            so_far = scores[held]
            if so_far < score[i]:
                continue
            if node < labels:
                best[i] = node
                score[i] = so_far
                continue
            inner = node - labels
            logit = 0.0
            for w in range(width):
                logit += sums[i * width + w] * output[inner * width + w]
            right = 1.0 / (1.0 + math.exp(-logit / counts[i]))
            nodes[held] = children[2 * inner + 1]
            scores[held] = so_far + math.log(right + 1e-5)
            nodes[held + 1] = children[2 * inner]
            scores[held + 1] = so_far + math.log(1.0 - right + 1e-5)
            held += 2
