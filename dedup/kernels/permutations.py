"""Kernels that take the least value of each permutation over a text's shingles, and those of band keys.

The permutations are datasketch's (2.0.0, datasketch/minhash.py; https://github.com/ekzhu/datasketch): a * h + b
modulo 2^32 or 2^64 of a mixed h, or, the old way, modulo 2^61 - 1 and then 2^32.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

from .mixing import LOW, fmix32, fmix64

MERSENNE, S61, ONE = np.uint64((1 << 61) - 1), np.uint64(61), np.uint64(1)
MOST_32, MOST_64 = np.uint32(0xFFFFFFFF), np.uint64(0xFFFFFFFFFFFFFFFF)
EMPTY_KEY = np.uint64(0)
BAND_START, BAND_STEP, S32 = np.uint64(0xA0761D6478BD642F), np.uint64(0xE7037ED1A0B428DB), np.uint64(32)


@kernel_part
def least(a, b):
    """The smaller of two unsigned numbers."""
    return a if a < b else b


@plain_kernel
def affine32(values, offsets, a, b, out):
    """out[d * len(a) + j] (uint32): least of a[j] * mixed + b[j] over the values (below 2^32) of text d."""
    size = np.uint64(len(a))
    base = np.uint64(0)
    for d in range(len(offsets) - 1):
        for j in range(size):
            out[base + j] = MOST_32
        k = offsets[d]
        end = offsets[d + 1]
        while k + 8 <= end:
            x0 = np.uint32(fmix32(values[k] & LOW))
            x1 = np.uint32(fmix32(values[k + 1] & LOW))
            x2 = np.uint32(fmix32(values[k + 2] & LOW))
            x3 = np.uint32(fmix32(values[k + 3] & LOW))
            x4 = np.uint32(fmix32(values[k + 4] & LOW))
            x5 = np.uint32(fmix32(values[k + 5] & LOW))
            x6 = np.uint32(fmix32(values[k + 6] & LOW))
            x7 = np.uint32(fmix32(values[k + 7] & LOW))
            for j in range(size):
                s = a[j]
                t = b[j]
                m = least(np.uint32(s * x0 + t), np.uint32(s * x1 + t))
                m = least(m, least(np.uint32(s * x2 + t), np.uint32(s * x3 + t)))
                m = least(m, least(np.uint32(s * x4 + t), np.uint32(s * x5 + t)))
                m = least(m, least(np.uint32(s * x6 + t), np.uint32(s * x7 + t)))
                out[base + j] = least(out[base + j], m)
            k += 8
        while k < end:
            x = np.uint32(fmix32(values[k] & LOW))
            for j in range(size):
                out[base + j] = least(out[base + j], np.uint32(a[j] * x + b[j]))
            k += 1
        base += size


@plain_kernel
def affine64(values, offsets, a, b, out):
    """As `affine32`, modulo 2^64, into uint64."""
    size = np.uint64(len(a))
    base = np.uint64(0)
    for d in range(len(offsets) - 1):
        for j in range(size):
            out[base + j] = MOST_64
        for k in range(offsets[d], offsets[d + 1]):
            x = fmix64(values[k])
            for j in range(size):
                out[base + j] = least(out[base + j], a[j] * x + b[j])
        base += size


@plain_kernel
def legacy(values, offsets, a, b, out):
    """As datasketch before 2.0: (a * h + b) modulo 2^64, then 2^61 - 1, then 2^32, into uint64."""
    size = np.uint64(len(a))
    base = np.uint64(0)
    for d in range(len(offsets) - 1):
        for j in range(size):
            out[base + j] = LOW
        for k in range(offsets[d], offsets[d + 1]):
            x = values[k] & LOW
            for j in range(size):
                v = a[j] * x + b[j]
                v = (v & MERSENNE) + (v >> S61)
                v = v - MERSENNE if v >= MERSENNE else v
                out[base + j] = least(out[base + j], v & LOW)
        base += size


@plain_kernel
def fold_bands(values, size, bands, rows, out):
    """out[d * bands + i]: 64-bit key of the values i * rows to (i + 1) * rows of text d, of `size` values.

    EMPTY_KEY, which no other key is, where all are the largest number of 32 or of 64 bits.
    """
    for d in range(len(out) // bands):
        base = d * size
        most = np.uint64(values[base])
        empty = most == LOW
        if most == MOST_64:
            empty = True
        for j in range(base, base + bands * rows):
            empty = empty and np.uint64(values[j]) == most
        for i in range(bands):
            h = np.uint64(i + 1) * BAND_START
            for j in range(base + i * rows, base + (i + 1) * rows):
                h = (h ^ np.uint64(values[j])) * BAND_STEP
                h ^= h >> S32
            h = fmix64(h)
            out[d * bands + i] = EMPTY_KEY if empty else (h if h != EMPTY_KEY else ONE)
