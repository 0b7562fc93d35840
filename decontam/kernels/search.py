"""Kernels that find where texts and items share tokens in a row, and how much of an item a passage of text holds.

All parts of all items lie in one row of tokens; a *place* is a position in it (place 0 is none). A *gram* is the
number of a distinct n-gram of items; `part_gram[q]` is the one that begins at place q, -2 where none does. `grams[k]`
is the one that begins at token k of the text, -1 where none does. A *run* is a maximal row of equal tokens.
"""

# mypy: disable-error-code="no-untyped-def,assignment"
from __future__ import annotations

import numpy as np

from dedup.kernels.shingling import BASE
from pipeline.kernels import kernel_part, plain_kernel, smaller

MIX = np.uint64(0xD6E8FEB86659FD93)
S32, S29, S24, S50, S57, S20, S21, S42, S43, S22, S6 = (
    np.uint64(i) for i in (32, 29, 24, 50, 57, 20, 21, 42, 43, 22, 6)
)
FIRST = 3
"""Tokens of a short part that its filter knows: as `index.SHORTEST`."""
COMMON, ALONE = 1, 2
"""Flags of a gram: no seed of a run; one alone is worth a look, as a short part has few."""
SIX, ONE, LOW32, BYTE, EIGHT = (np.uint64(i) for i in (63, 1, 0xFFFFFFFF, 255, 8))


@kernel_part
def spread(h):
    """Mix the bits of a polynomial."""
    h = (h ^ (h >> S32)) * MIX
    return h ^ (h >> S29)


@kernel_part
def passes(bloom, mask, m):
    """Whether hash m may be in the filter: two bits of one word."""
    word = bloom[m >> S24 & mask]
    return word >> (m >> S50 & SIX) & word >> (m >> S57 & SIX) & ONE


@kernel_part
def found(slots, mask, m):
    """The number that hash m has in the table; -1 for none. A slot: the hash's upper half, and the number and 1."""
    at = m & mask
    high = m >> S32
    while True:
        slot = slots[at]
        if slot == 0:
            return np.int64(-1)
        if slot >> S32 == high:
            return np.int64(slot & LOW32) - 1
        at = (at + ONE) & mask


@plain_kernel
def hash_grams(tokens, offsets, n, power, out):
    """out[k]: the hash of the n tokens from k on, as the scan has it; 0 where a part ends before."""
    for d in range(len(offsets) - 1):
        a = offsets[d]
        b = offsets[d + 1]
        h = np.uint64(0)
        for k in range(a, b):
            h = h * BASE + tokens[k]
            if k >= a + n:
                h -= tokens[k - n] * power
            if k >= a + n - 1:
                out[k - n + 1] = spread(h)


@kernel_part
def hash_of(tokens, a, b):
    """The hash of the tokens a to b and of their number: of a part that is shorter than an n-gram."""
    h = np.uint64(b - a)
    for k in range(a, b):
        h = h * BASE + tokens[k]
    return spread(h)


@kernel_part
def start_hash(tokens, k):
    """The hash of the FIRST tokens from k on; hashes of tokens are mixed already."""
    b = tokens[k + 1]
    c = tokens[k + 2]
    return tokens[k] + (b << S21 | b >> S43) + (c << S42 | c >> S22)


@plain_kernel
def fill_short(tokens, offsets, parts, bits, mask, whole):
    """Of each part number parts[i]: its first tokens into the filter, whole[i]: `hash_of` all."""
    for i in range(len(parts)):
        a = offsets[parts[i]]
        at = start_hash(tokens, a) >> S20 & mask
        bits[at >> S6] |= ONE << (at & SIX)
        whole[i] = hash_of(tokens, a, offsets[parts[i] + 1])


@plain_kernel
def fill_table(hashes, slots, slot_mask, bloom, bloom_mask):
    """Put hash number i into the table and the filter, for all i."""
    for i in range(len(hashes)):
        m = hashes[i] + np.uint64(0)
        at = m & slot_mask
        while slots[at] != 0:
            at = (at + ONE) & slot_mask
        slots[at] = m >> S32 << S32 | np.uint64(i + 1)
        bloom[m >> S24 & bloom_mask] |= ONE << (m >> S50 & SIX) | ONE << (m >> S57 & SIX)


@kernel_part
def roll(tokens, a, b, n, power, mixed):
    """mixed[k]: the hash of the n tokens from k on, for a <= k <= b - n."""
    h = np.uint64(0)
    for k in range(a, a + n - 1):
        h = h * BASE + tokens[k]
    for k in range(a + n - 1, b):
        h = h * BASE + tokens[k]
        mixed[k - n + 1] = spread(h)
        h -= tokens[k - n + 1] * power


@kernel_part
def passing(mixed, a, many, bloom, mask):
    """A bit for each of up to 64 hashes from a on: whether it passes the filter, the first one lowest.

    Without a store the loop becomes gathers of several words at once; that and the many reads under way at a time
    take two thirds of the time of one that writes positions as it goes.
    """
    bits = np.uint64(0)
    for j in range(many):
        bits |= passes(bloom, mask, mixed[a + j]) << np.uint64(j)
    return bits


@kernel_part
def written(bits, k, at, i):
    """Write the positions from k on whose bits are set, from at[i] on; returns where they end.

    Each position of eight is written, and stays if the next one goes elsewhere: one more than are set is touched.
    """
    while bits:
        if bits & BYTE:
            for j in range(8):
                at[i] = k + j
                i += np.int64(bits & ONE)
                bits >>= ONE
        else:
            bits >>= EIGHT
        k += 8
    return i


@kernel_part
def sift(mixed, a, b, bloom, mask, at, i):
    """Write the positions from a to b whose hashes pass the filter, from at[i] on; returns where they end."""
    for low in range(a, b, 64):
        many = smaller(b - low, 64)
        i = written(passing(mixed, low, many, bloom, mask), low, at, i)
    return i


@kernel_part
def starting(tokens, a, many, bits, mask):
    """As `passing`, for the FIRST tokens from each position on."""
    out = np.uint64(0)
    for j in range(many):
        at = start_hash(tokens, a + j) >> S20 & mask
        out |= (bits[at >> S6] >> (at & SIX) & ONE) << np.uint64(j)
    return out


@kernel_part
def sift_starts(tokens, a, b, bits, mask, at, i):
    """As `sift`, for positions from a to b at which a short part may begin."""
    for low in range(a, b, 64):
        many = smaller(b - low, 64)
        i = written(starting(tokens, low, many, bits, mask), low, at, i)
    return i


@plain_kernel
def find_grams(tokens, offsets, n, power, slots, slot_mask, bloom, bloom_mask, mixed, at, grams, counts):
    """grams[k]: the gram at token k, -1 for none; counts[d]: how many tokens of text d begin one; at: which these are.

    `power` is BASE ** (n - 1). `mixed` and `grams` have room for all tokens, `at` for one more: of the texts before d
    no more tokens stand there than they have, so there is room for those of d. Returns how many there are.
    """
    many = np.int64(0)
    for d in range(len(offsets) - 1):
        a = offsets[d]
        b = offsets[d + 1]
        counts[d] = 0
        for k in range(a, b):
            grams[k] = -1
        if b - a >= n:
            roll(tokens, a, b, n, power, mixed)
            many = sift(mixed, a, b - n + 1, bloom, bloom_mask, at, many)
    done = np.int64(0)
    d = 0
    for i in range(many):
        k = at[i]
        gram = found(slots, slot_mask, mixed[k])
        if gram >= 0:
            while offsets[d + 1] <= k:
                d += 1
            counts[d] += 1
            grams[k] = gram
            at[done] = k
            done += 1
    return done


@plain_kernel
def find_short(tokens, offsets, n, slots, slot_mask, bits, mask, maybe, at, found_at):
    """Short parts in texts: at[i] the first token, found_at[i] the table's number * n and the length, under n.

    `maybe` has room for one more than all tokens. Returns how many there are, -1 where at and found_at have no room.
    """
    many = np.int64(0)
    for d in range(len(offsets) - 1):
        many = sift_starts(tokens, offsets[d], offsets[d + 1] - FIRST + 1, bits, mask, maybe, many)
    done = 0
    d = 0
    for i in range(many):
        k = maybe[i]
        while offsets[d + 1] <= k:
            d += 1
        b = offsets[d + 1]
        for size in range(FIRST, n if k + n - 1 <= b else b - k + 1):
            number = found(slots, slot_mask, hash_of(tokens, k, k + size))
            if number >= 0:
                if done == len(at):
                    return -1
                at[done] = k
                found_at[done] = number * n + size
                done += 1
    return done


@kernel_part
def run_start(grams, part_gram, flags, d, q, a):
    """Where the run through (d, q) begins; -1 where an earlier gram of it, that is not common, found it already."""
    d -= 1
    q -= 1
    while d >= a and grams[d] == part_gram[q]:
        if not flags[grams[d]] & COMMON:
            return np.int64(-1)
        d -= 1
        q -= 1
    return np.int64(d + 1)


@kernel_part
def run_end(grams, part_gram, d, q, b):
    """The token behind the last whose gram goes on from (d, q)."""
    while d < b and grams[d] == part_gram[q]:
        d += 1
        q += 1
    return d


@kernel_part
def count_runs(grams, a, b, at, low, high, posted, postings, part_gram, part_of, flags, strict, tally, touched):
    """Runs of the tokens a to b of one text, by part; returns how many parts were touched, which `touched` lists.

    at[low:high] are the tokens that begin a gram.
    tally[4 * p]: grams of part p's runs, then those of the longest, then how many runs. A run of common grams alone
    counts not; where `strict`, nor does a run of one gram that is not ALONE.
    """
    t = 0
    for i in range(low, high):
        d = at[i]
        g = grams[d]
        weak = strict and not flags[g] & ALONE
        if weak and (d == a or grams[d - 1] < 0) and (d + 1 == b or grams[d + 1] < 0):
            continue
        if flags[g] & COMMON:
            continue
        for j in range(posted[g], posted[g + 1]):
            q = np.int64(postings[j])
            start = run_start(grams, part_gram, flags, d, q, a)
            if start < 0:
                continue
            length = run_end(grams, part_gram, d, q, b) - start
            if weak and length == 1:
                continue
            p = part_of[q]
            row = np.int64(p) * 4
            if tally[row + 2] == 0:
                touched[t] = p
                t += 1
            tally[row] += length
            if length > tally[row + 1]:
                tally[row + 1] = length
            tally[row + 2] += 1
    return t


@kernel_part
def take_runs(
    grams, a, b, at, low, high, posted, postings, part_gram, part_of, flags, cursor, n,
    run_text, run_place, run_length,
):  # fmt: skip
    """Write the runs of the parts whose cursor is not negative, each part's from its cursor on; lengths in tokens."""
    for i in range(low, high):
        d = at[i]
        g = grams[d]
        if flags[g] & COMMON:
            continue
        for j in range(posted[g], posted[g + 1]):
            q = np.int64(postings[j])
            k = cursor[part_of[q]]
            if k < 0:
                continue
            start = run_start(grams, part_gram, flags, d, q, a)
            if start < 0:
                continue
            run_text[k] = start
            run_place[k] = q - (d - start)
            run_length[k] = run_end(grams, part_gram, d, q, b) - start + n - 1
            cursor[part_of[q]] = k + 1


@plain_kernel
def count_grams(grams, offsets, document, last, seen):
    """Add 1 to seen[g] for each text that has gram g; `last` is the last text that had it, texts count on."""
    for d in range(len(offsets) - 1):
        for k in range(offsets[d], offsets[d + 1]):
            g = grams[k]
            if g >= 0 and last[g] != document + d:
                last[g] = document + d
                seen[g] += 1


@plain_kernel
def count_places(grams, offsets, document, row, posted, postings, part_gram, last, seen):
    """As `count_grams`, for places at which `row` grams on end begin that a text has on end."""
    for d in range(len(offsets) - 1):
        b = offsets[d + 1]
        inside = 0
        for k in range(offsets[d], b):
            inside = inside + 1 if grams[k] >= 0 else 0
            if inside < row:
                continue
            e = k - row + 1
            for j in range(posted[grams[e]], posted[grams[e] + 1]):
                q = np.int64(postings[j])
                i = 0
                while i < row and grams[e + i] == part_gram[q + i]:
                    i += 1
                if i == row and last[q] != document + d:
                    last[q] = document + d
                    seen[q] += 1
