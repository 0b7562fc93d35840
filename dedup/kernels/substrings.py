"""Kernels of substring dedup: windows of tokens, anchors in them, classes of equal windows by a suffix array, cuts.

A window is the shortest run of tokens from one on whose weights reach `need`. Equal text makes equal windows, as a
token's weight goes by its own bytes.
"""

# mypy: disable-error-code="no-untyped-def,assignment"
from __future__ import annotations

import numpy as np

from filters.kernels.hashing import mixed, span_hash
from filters.kernels.line_breaks import trim_left, trim_right
from pipeline.kernels import kernel_part, plain_kernel

BASE = np.uint64(0xD6E8FEB86659FD93)
SEPARATOR = 0xFF
"""Ends a region in a block's text. UTF-8 has no such byte."""
MAX_TAIL = 4
M61 = np.uint64((1 << 61) - 1)
BASES = np.uint64(0x0B7E151628AED2A6), np.uint64(0x13198A2E03707344)
"""Of the two polynomials; digits of e and of pi, below 2^61 - 1."""
_1, _30, _31, _61 = (np.uint64(i) for i in (1, 30, 31, 61))
_LOW30, _LOW31 = np.uint64((1 << 30) - 1), np.uint64((1 << 31) - 1)
UNIQUE, CUT, FIRST = 0, 1, 2
"""Verdicts on a class of equal windows: it is no repeat; all of it goes; all but its first occurrence goes."""


@plain_kernel
def token_hashes(data, starts, ends, hashes):
    """The 64-bit hash of each token's bytes."""
    for i in range(len(starts)):
        hashes[i] = span_hash(data, starts[i], ends[i])


@plain_kernel
def find_windows(hashes, kinds, weights, offsets, need, k, power, queue, grams, window_ends, anchors):
    """The window from each token on, and its anchor: where its smallest hash of `k` tokens is, the leftmost of equals.

    `offsets`: of documents in tokens. window_ends: the token after the window, -1 where the document ends before.
    grams: the hash of the `k` tokens from each on. power: BASE to the k. `queue` has room for every token. A window
    has at least `k` tokens. Anchors grow within a document.
    """
    for d in range(len(offsets) - 1):
        begin = offsets[d]
        end = offsets[d + 1]
        h = np.uint64(0)
        for i in range(begin, end):
            h = h * BASE + hashes[i]
            if i - begin >= k:
                h -= power * hashes[i - k]
            if i - begin >= k - 1:
                grams[i - k + 1] = mixed(h, k)
        head = 0
        tail = 0
        pushed = begin
        after = begin
        weight = 0
        for i in range(begin, end):
            while after < end and weight < need:
                weight += weights[kinds[after]]
                after += 1
            if weight < need:
                window_ends[i] = -1
                anchors[i] = -1
                continue
            while pushed <= after - k:
                while tail > head and grams[queue[tail - 1]] > grams[pushed]:
                    tail -= 1
                queue[tail] = pushed
                tail += 1
                pushed += 1
            while queue[head] < i:
                head += 1
            window_ends[i] = after
            anchors[i] = queue[head]
            weight -= weights[kinds[i]]


@plain_kernel
def regions(
    data, starts, ends, kinds, offsets, bases, weights, window_ends, wanted, spaced, row, sizes, text, at, rows,
    from_bytes, to_bytes, lengths, tails,
):  # fmt: skip
    """Copy the tokens of wanted windows, document after document; sizes: [bytes, tokens] written.

    Tokens follow each other with a space after each if `spaced`; a SEPARATOR ends each run of tokens (a region), so
    that no window holds one. Per token: `at`, where it begins in `text`; its row, counted from `row`; its bytes
    in the document; how many tokens its window has, 0 for none, and how many its tail. A tail is up to MAX_TAIL tokens
    of no weight (marks) that follow the window without white space. bases: where documents begin in `data`.
    """
    o = 0
    m = 0
    for d in range(len(offsets) - 1):
        covered = np.int64(-1)
        base = bases[d] + 0
        end = offsets[d + 1]
        for i in range(offsets[d], end):
            after = np.int64(-1)
            tail = np.int64(-1)
            if wanted[i]:
                after = window_ends[i] + 0
                tail = after
                while tail < end and tail - after < MAX_TAIL and starts[tail] == ends[tail - 1]:
                    if weights[kinds[tail]] > 0:
                        break
                    tail += 1
                if tail > covered:
                    covered = tail
            if i >= covered:
                continue
            at[m] = o
            rows[m] = row + d
            from_bytes[m] = starts[i] - base
            to_bytes[m] = ends[i] - base
            lengths[m] = after - i if after >= 0 else 0
            tails[m] = tail - after
            m += 1
            for j in range(starts[i], ends[i]):
                text[o] = data[j]
                o += 1
            if spaced:
                text[o] = 32
                o += 1
            if i + 1 == covered:
                text[o] = SEPARATOR
                o += 1
    sizes[0] = o
    sizes[1] = m


@kernel_part
def token_end(text, at, t):
    """Where token t ends in a block's text, without the SEPARATOR."""
    end = at[t + 1] + 0
    return end - 1 if text[end - 1] == SEPARATOR else end


@plain_kernel
def sparse_order(suffixes, token_at, order, before):
    """From a suffix array over bytes to that of the suffixes that begin with a token.

    token_at: by byte the token that begins there, or -1. order: int32[tokens]; before: the token ahead in this order.
    """
    n = 0
    last = np.int32(-1)
    for r in range(len(suffixes)):
        t = token_at[suffixes[r]]
        if t >= 0:
            order[n] = t
            before[t] = last
            last = t
            n += 1


@plain_kernel
def sparse_common(text, at, before, common):
    """common[t]: bytes that token t's suffix shares with the one before it, up to the end of t's region.

    Kasai et al. 2001 over tokens: what a suffix shares, the one a token further on shares but for this token. Linear.
    """
    size = len(text)
    shared = np.int64(0)
    for t in range(len(before)):
        j = before[t]
        if j < 0:
            shared = 0
        else:
            a = at[t] + shared
            b = at[j] + shared
            while b < size and text[a] == text[b] and text[a] != SEPARATOR:
                a += 1
                b += 1
            shared = a - at[t]
        common[t] = shared
        step = at[t + 1] - at[t]
        ended = text[at[t + 1] - 1] == SEPARATOR
        shared = shared - step if shared > step and not ended else 0


@plain_kernel
def window_classes(order, common, sizes, rows, ranks, classes, counts, firsts):
    """Number equal windows alike, from 0 on in their order; returns how many classes there are.

    order: the tokens that windows begin with, sorted by suffix; common: bytes shared with the one before; sizes: of
    the windows, in bytes, per token. classes: int32 per token. counts, firsts: per class, windows in it and the one
    first by ranks[row] and place.
    """
    found = 0
    for r in range(len(order)):
        t = order[r]
        if r == 0 or common[r] < sizes[t]:
            counts[found] = 0
            firsts[found] = t
            found += 1
        c = found - 1
        classes[t] = c
        counts[c] += 1
        f = firsts[c]
        if rows[t] == rows[f]:
            firsts[c] = t if t < f else f
        elif ranks[rows[t]] < ranks[rows[f]]:
            firsts[c] = t
    return found


@kernel_part
def reduced(x):
    """x modulo 2^61 - 1."""
    x = (x >> _61) + (x & M61)
    return x - M61 if x >= M61 else x


@kernel_part
def times(a, b):
    """a * b modulo 2^61 - 1, of numbers below it."""
    au = a >> _31
    ad = a & _LOW31
    bu = b >> _31
    bd = b & _LOW31
    middle = ad * bu + au * bd
    return reduced(((au * bu) << _1) + (middle >> _30) + ((middle & _LOW30) << _31) + ad * bd)


@plain_kernel
def prefix_sums(text, at, base_1, base_2, sums_1, sums_2):
    """sums[t]: the bytes before token t, SEPARATORs left out, as a polynomial in the base modulo 2^61 - 1."""
    h_1 = np.uint64(0)
    h_2 = np.uint64(0)
    for t in range(len(sums_1) - 1):
        sums_1[t] = h_1
        sums_2[t] = h_2
        for i in range(at[t], token_end(text, at, t)):
            byte = np.uint64(text[i]) + _1
            h_1 = reduced(times(h_1, base_1) + byte)
            h_2 = reduced(times(h_2, base_2) + byte)
    sums_1[len(sums_1) - 1] = h_1
    sums_2[len(sums_2) - 1] = h_2


@plain_kernel
def powers(base, out):
    """out[i]: base to the i."""
    out[0] = 1
    for i in range(1, len(out)):
        out[i] = times(out[i - 1], base)


@plain_kernel
def window_hashes(begins, lengths, sizes, classes, firsts, sums, powers, hashes):
    """hashes[c]: the bytes of class c's first window as a polynomial, by the sums before and after it.

    begins: the tokens that windows begin with. Two windows of n bytes agree with a probability of n / 2^61 over the
    choice of the base.
    """
    for i in range(len(begins)):
        t = begins[i]
        c = classes[t]
        if firsts[c] == t:
            hashes[c] = reduced(sums[t + lengths[t]] + M61 - times(sums[t], powers[sizes[t]]))


@plain_kernel
def cut(
    data, offsets, document, first, blocks, span_offsets, span_starts, span_ends, out, out_offsets, starts, ends, kinds,
    counts,
):  # fmt: skip
    """Take spans out of the documents from `document` on; the arrays after `blocks` as in `filters.kernels.edits`.

    The spans (positions in `data`, sorted, disjoint within a document) lose white space at their ends; those with
    nothing but white space between become one. Then each takes the white space beside it on one side: before it, if
    there are as many line breaks after it as before it or if nothing follows; else after it.
    """
    k = counts[document]
    for d in range(document, len(offsets) - 1):
        begin = offsets[d]
        end = offsets[d + 1]
        o = out_offsets[d]
        copied = begin
        if k + span_offsets[d + 1] - span_offsets[d] > len(starts):
            return d
        s = span_offsets[d]
        while s < span_offsets[d + 1]:
            a = trim_left(data, span_starts[s], span_ends[s], first, blocks)
            b = trim_right(data, a, span_ends[s], first, blocks)
            s += 1
            if a == b:
                continue
            after = trim_left(data, b, end, first, blocks)
            while s < span_offsets[d + 1] and span_starts[s] <= after:
                if span_ends[s] > after:
                    b = trim_right(data, after, span_ends[s], first, blocks)
                    after = trim_left(data, b, end, first, blocks)
                s += 1
            before = trim_right(data, copied, a, first, blocks)
            if before == begin or (breaks(data, b, after) < breaks(data, before, a) and after < end):
                b = after
            else:
                a = before
            for i in range(copied, a):
                out[o] = data[i]
                o += 1
            copied = b
            starts[k] = a - begin
            ends[k] = b - begin
            kinds[k] = 0
            k += 1
        for i in range(copied, end):
            out[o] = data[i]
            o += 1
        out_offsets[d + 1] = o
        counts[d + 1] = k
    return len(offsets) - 1


@kernel_part
def breaks(data, i, end):
    """Line feeds in data[i:end]."""
    found = 0
    while i < end:
        found += data[i] == 10
        i += 1
    return found
