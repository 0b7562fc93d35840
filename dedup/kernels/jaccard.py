"""True similarity of sets of 64-bit hashes, and the choice of the documents that are kept."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

FREE = -1


@kernel_part
def shared(hashes, a, a_end, b, b_end, enough):
    """How many hashes the sorted sets hashes[a:a_end] and hashes[b:b_end] share; -1 once it can't be `enough`."""
    found = 0
    while a < a_end and b < b_end:
        x = hashes[a]
        y = hashes[b]
        if x == y:
            found += 1
            a += 1
            b += 1
        else:
            if x < y:
                a += 1
            else:
                b += 1
            left = a_end - a if a_end - a <= b_end - b else b_end - b
            if found + left < enough:
                return -1
    return found


@kernel_part
def similarity(hashes, offsets, i, j, threshold, containment):
    """Jaccard similarity |A & B| / |A | B|, or containment |A & B| / min(|A|, |B|); -1 below `threshold`."""
    m = offsets[i + 1] - offsets[i]
    n = offsets[j + 1] - offsets[j]
    small = m if m <= n else n
    most = m + n - small if not containment else small
    if small == 0 or small < threshold * most:  # all of the smaller one shared would not do
        return -1.0
    enough = threshold * small if containment else threshold / (1.0 + threshold) * (m + n)
    common = shared(hashes, offsets[i], offsets[i + 1], offsets[j], offsets[j + 1], enough - 1e-6)
    if common < 0:
        return -1.0
    value = common / (small if containment else m + n - common)
    return value if value >= threshold else -1.0


@plain_kernel
def similarities(hashes, offsets, left, right, threshold, containment, out):
    """out[k], float64[n]: the similarity of documents left[k] and right[k]; -1 below `threshold`."""
    for k in range(len(left)):
        out[k] = similarity(hashes, offsets, left[k], right[k], threshold, containment)


@kernel_part
def _slot(keys, heads, key, mask):
    slot = np.int64(key & mask)
    while heads[slot] != FREE and keys[slot] != key:
        slot = (slot + 1) & np.int64(mask)
    return slot


@kernel_part
def _sort(values, n):
    """Shell sort of values[:n] (gaps of Knuth)."""
    gap = 1
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            value = values[i]
            j = i
            while j >= gap and values[j - gap] > value:
                values[j] = values[j - gap]
                j -= gap
            values[j] = value
        gap //= 3


@plain_kernel
def choose(
    bands, hashes, offsets, fixed, grow, threshold, containment, most, keys, heads, tails, entries, following,
    seen, times, found, partners, values, facts,
):  # fmt: skip
    """Decide on documents in the keeper policy's order: each is kept unless a kept one before it is similar enough.

    bands: uint64[n, b], band keys. hashes, offsets: the documents' sets. The first `fixed` documents are kept whatever
    they share. partners: int64[n], holds -1 for each document to decide on and the number of the kept one afterwards;
    what else it holds on entry stays (a document already settled, never kept). values: float64[n], the similarity with
    it. grow: whether documents that are kept are compared with later ones (as the `fixed` ones always are). Only
    documents that share a band key are compared; of more than `most` kept ones those that share the most keys, then
    the first. Room: keys uint64[s], heads int64[s] of FREE, tails int64[s], s a power of two > n * b; entries and
    following int64[n * b]; seen int64[n] of -1, times int64[n],
    found int64[n]. facts: int64[3] += compared pairs, documents with more than `most`, similar pairs.
    """
    n = len(partners)
    width = len(bands) // n if n else 0
    mask = np.uint64(len(keys) - 1)
    used = 0
    for d in range(n):
        if d >= fixed and partners[d] == -1:
            count = 0
            for b in range(width):
                slot = _slot(keys, heads, bands[d * width + b], mask)
                e = heads[slot]
                while e != FREE:
                    k = entries[e]
                    if seen[k] != d:
                        seen[k] = d
                        times[k] = 0
                        found[count] = k
                        count += 1
                    times[k] += 1
                    e = following[e]
            if count > most:
                facts[1] += 1
                least = width
                taken = 0
                while taken < most and least > 0:  # those that share the most keys
                    more = 0
                    for c in range(count):
                        more += times[found[c]] == least
                    if taken + more > most:
                        break
                    taken += more
                    least -= 1
                _sort(found, count)
                room = most - taken
                kept = 0
                for c in range(count):
                    k = found[c]
                    if times[k] > least:
                        found[kept] = k
                        kept += 1
                    elif times[k] == least and room > 0:
                        room -= 1
                        found[kept] = k
                        kept += 1
                count = kept
            else:
                _sort(found, count)
            for c in range(count):
                facts[0] += 1
                value = similarity(hashes, offsets, d, found[c], threshold, containment)
                if value >= 0:
                    facts[2] += 1
                    partners[d] = found[c]
                    values[d] = value
                    break
        if d < fixed or (grow and partners[d] == -1):
            for b in range(width):
                key = bands[d * width + b]
                slot = _slot(keys, heads, key, mask)
                entries[used] = d
                following[used] = FREE
                if heads[slot] == FREE:
                    keys[slot] = key
                    heads[slot] = used
                else:
                    following[tails[slot]] = used
                tails[slot] = used
                used += 1
