"""Kernels of published hash functions over spans of bytes: SHA-1 (FIPS 180-4), XXH32 and XXH64.

https://doi.org/10.6028/NIST.FIPS.180-4, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from filters.kernels.reading import eight_bytes
from pipeline.kernels import kernel_part, plain_kernel

SCRATCH = 80
"""Items of uint32 that `sha1` works in."""
LOW = np.uint64(0xFFFFFFFF)
H0, H1, H2, H3, H4 = (np.uint32(h) for h in (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0))
K0, K1, K2, K3 = (np.uint32(k) for k in (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6))
P1, P2, P3, P4, P5 = (np.uint64(p) for p in (2654435761, 2246822519, 3266489917, 668265263, 374761393))
Q1, Q2, Q3, Q4, Q5 = (
    np.uint64(q)
    for q in (11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261)
)
S32, S64 = np.uint64(32), np.uint64(64)
B15, B13, B16, B7, B12, B17, B18, B11 = (np.uint64(b) for b in (15, 13, 16, 7, 12, 17, 18, 11))
B33, B29, B31, B27, B1, B23 = (np.uint64(b) for b in (33, 29, 31, 27, 1, 23))


@kernel_part
def turn(x, bits):
    """A 32-bit number turned left by some of its bits."""
    return np.uint32(np.uint32(x << np.uint32(bits)) | np.uint32(x >> np.uint32(32 - bits)))


@kernel_part
def padded(data, i, end, position, total):
    """Byte `position` of data[i:end] as SHA-1 pads it to `total` bytes."""
    size = end - i
    if position < size:
        return np.uint32(data[i + position])
    if position == size:
        return np.uint32(0x80)
    if position >= total - 8:
        return np.uint32((np.uint64(size) * np.uint64(8) >> np.uint64(8 * (total - 1 - position))) & np.uint64(255))
    return np.uint32(0)


@kernel_part
def big_endian(data, at):
    """Four bytes as one number, the first the highest."""
    high = np.uint32(data[at]) << np.uint32(24) | np.uint32(data[at + 1]) << np.uint32(16)
    return np.uint32(high | np.uint32(data[at + 2]) << np.uint32(8) | np.uint32(data[at + 3]))


@kernel_part
def load_block(data, i, end, block, total, w):
    """w: the 80 words of the message schedule of the block that begins `block` bytes behind i."""
    for t in range(16):
        position = block + 4 * t
        if i + position + 4 <= end:
            w[t] = big_endian(data, i + position)
        else:
            word = padded(data, i, end, position, total) << np.uint32(24)
            word |= padded(data, i, end, position + 1, total) << np.uint32(16)
            word |= padded(data, i, end, position + 2, total) << np.uint32(8)
            w[t] = word | padded(data, i, end, position + 3, total)
    for t in range(16, 80):
        w[t] = turn(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1)


@plain_kernel
def sha1(data, starts, ends, size, w, out):
    """out[k]: the first `size` (4 or 8) bytes of the digest of data[starts[k]:ends[k]], the first byte the lowest."""
    for k in range(len(starts)):
        i = starts[k]
        end = ends[k]
        total = ((end - i + 8) // 64 + 1) * 64
        h0, h1, h2, h3, h4 = H0, H1, H2, H3, H4
        for block in range(0, total, 64):
            load_block(data, i, end, block, total, w)
            a, b, c, d, e = h0, h1, h2, h3, h4
            for t in range(80):
                if t < 20:
                    f = np.uint32(((c ^ d) & b ^ d) + K0)
                elif t < 40:
                    f = np.uint32((b ^ c ^ d) + K1)
                elif t < 60:
                    f = np.uint32((b & c | d & (b | c)) + K2)
                else:
                    f = np.uint32((b ^ c ^ d) + K3)
                f = np.uint32(turn(a, 5) + f + e + w[t])
                e = d
                d = c
                c = turn(b, 30)
                b = a
                a = f
            h0 = np.uint32(h0 + a)
            h1 = np.uint32(h1 + b)
            h2 = np.uint32(h2 + c)
            h3 = np.uint32(h3 + d)
            h4 = np.uint32(h4 + e)
        low = np.uint64(swapped(h0))
        out[k] = low if size == 4 else low | np.uint64(swapped(h1)) << S32


@kernel_part
def swapped(x):
    """The four bytes of a number in the other order."""
    x = np.uint32(x)
    high = x << np.uint32(24) | (x & np.uint32(0xFF00)) << np.uint32(8)
    return np.uint32(high | x >> np.uint32(8) & np.uint32(0xFF00) | x >> np.uint32(24))


@kernel_part
def four_bytes(data, i):
    """Bytes i to i + 4 as one number, the first the lowest."""
    low = np.uint64(data[i]) | np.uint64(data[i + 1]) << np.uint64(8)
    return low | np.uint64(data[i + 2]) << np.uint64(16) | np.uint64(data[i + 3]) << np.uint64(24)


@kernel_part
def turn32(x, bits):
    """A number below 2^32 turned left within 32 bits."""
    return (x << bits | x >> (S32 - bits)) & LOW


@kernel_part
def round32(acc, lane):
    """XXH32's round."""
    return turn32(acc + lane * P2 & LOW, B13) * P1 & LOW


@plain_kernel
def xxhash32(data, starts, ends, out):
    """out[k]: XXH32 of data[starts[k]:ends[k]] with seed 0."""
    for k in range(len(starts)):
        i = starts[k]
        end = ends[k]
        size = np.uint64(end - i)
        h = P5
        if end - i >= 16:
            a, b, c, d = P1 + P2 & LOW, P2, np.uint64(0), np.uint64(0) - P1 & LOW
            while i + 16 <= end:
                a = round32(a, four_bytes(data, i))
                b = round32(b, four_bytes(data, i + 4))
                c = round32(c, four_bytes(data, i + 8))
                d = round32(d, four_bytes(data, i + 12))
                i += 16
            h = turn32(a, B1) + turn32(b, B7) + turn32(c, B12) + turn32(d, B18)
        h = h + size & LOW
        while i + 4 <= end:
            h = turn32(h + four_bytes(data, i) * P3 & LOW, B17) * P4 & LOW
            i += 4
        while i < end:
            h = turn32(h + np.uint64(data[i]) * P5 & LOW, B11) * P1 & LOW
            i += 1
        h = (h ^ h >> B15) * P2 & LOW
        h = (h ^ h >> B13) * P3 & LOW
        out[k] = h ^ h >> B16


@kernel_part
def turn64(x, bits):
    """A 64-bit number turned left."""
    return x << bits | x >> (S64 - bits)


@kernel_part
def round64(acc, lane):
    """XXH64's round."""
    return turn64(acc + lane * Q2, B31) * Q1


@kernel_part
def merged(h, acc):
    """XXH64: one accumulator taken into the hash."""
    return (h ^ round64(np.uint64(0), acc)) * Q1 + Q4


@plain_kernel
def xxhash64(data, starts, ends, out):
    """out[k]: XXH64 of data[starts[k]:ends[k]] with seed 0."""
    for k in range(len(starts)):
        i = starts[k]
        end = ends[k]
        size = np.uint64(end - i)
        h = Q5
        if end - i >= 32:
            a, b, c, d = Q1 + Q2, Q2, np.uint64(0), np.uint64(0) - Q1
            while i + 32 <= end:
                a = round64(a, eight_bytes(data, i))
                b = round64(b, eight_bytes(data, i + 8))
                c = round64(c, eight_bytes(data, i + 16))
                d = round64(d, eight_bytes(data, i + 24))
                i += 32
            h = turn64(a, B1) + turn64(b, B7) + turn64(c, B12) + turn64(d, B18)
            h = merged(merged(merged(merged(h, a), b), c), d)
        h = h + size
        while i + 8 <= end:
            h = turn64(h ^ round64(np.uint64(0), eight_bytes(data, i)), B27) * Q1 + Q4
            i += 8
        if i + 4 <= end:
            h = turn64(h ^ four_bytes(data, i) * Q1, B23) * Q2 + Q3
            i += 4
        while i < end:
            h = turn64(h ^ np.uint64(data[i]) * Q5, B11) * Q1
            i += 1
        h = (h ^ h >> B33) * Q2
        h = (h ^ h >> B29) * Q3
        out[k] = h ^ h >> S32
