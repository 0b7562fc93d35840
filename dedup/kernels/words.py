"""Kernels that cut texts into words and hash them in the same pass.

A word's hash goes on with each byte, h = (h ^ (byte + 1)) * STEP from 0, so that runs of ASCII need no branch: what is
no part of a word has the factor 0. `hash_words` cuts where `filters.kernels.segments.words` cuts.
"""

# numba settles the types of the kernels' variables:
# mypy: disable-error-code="no-untyped-def,assignment"
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.kernels import tables
from filters.kernels.reading import char_bytes, properties
from filters.kernels.word_breaks import IGNORED, MIDDLE, NOT_ASCII, RUN_BITS, ascii_table, kind_of, segment_end
from pipeline.kernels import kernel_part, plain_kernel

from .mixing import fmix64

STEP = np.uint64(0xD6E8FEB86659FD93)
ONE = np.uint64(1)
SPACE, RUN, SLOW = 0, 1, 2
"""What a byte is: no part of a word; a part, whatever stands beside it; to be looked at."""


@kernel_part
def bytes_hash(data, i, end, h):
    """The hash of bytes i to end, going on from h."""
    while i < end:
        h = (h ^ (np.uint64(data[i]) + ONE)) * STEP
        i += 1
    return h


@kernel_part
def mix_all(out, k):
    """Mix the bits of the first k hashes."""
    for j in range(k):
        out[j] = fmix64(out[j])


@kernel_part
def run_start(data, i, low, classes):
    """Where the run of RUN bytes that ends at i began, not before `low`."""
    while i > low and classes[data[i - 1]] == RUN:
        i -= 1
    return i


@kernel_part
def space_start(data, i, low):
    """Where the segment of white space that ends at i began: one byte, or a run of spaces. i for none."""
    if i > low and data[i - 1] < 33 and data[i - 1] != 10 and data[i - 1] != 13:
        i -= 1
        if data[i] == 32:
            while i > low and data[i - 1] == 32:
                i -= 1
    return i


@plain_kernel
def hash_words(data, offsets, classes, factors, ascii, first, blocks, out, counts):
    """out: hashes of UAX #29 words; counts[d + 1]: words up to text d. `out` has room for one more than all bytes."""
    k = 0
    for d in range(len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        low = i + 0  # no segment before begins again
        inside = 0
        h = np.uint64(0)
        while i < end:
            c = np.int64(classes[data[i]])
            if c != SLOW:
                out[k] = h
                k += inside & (1 - c)
                inside = c
                h = (h ^ (np.uint64(data[i]) + ONE)) * factors[data[i]]
                i += 1
                continue
            held = ascii[data[i]] + 0
            start = i + 0
            whole = False  # the segment is read by its characters' properties
            if inside:
                start = run_start(data, i, low, classes)
                whole = held & NOT_ASCII != 0
                if held & MIDDLE and i + 1 < end:
                    whole = ascii[data[i + 1]] & (RUN_BITS | MIDDLE | NOT_ASCII) != 0
                if not whole:
                    out[k] = h
                    k += 1
                    start = i
            elif held & NOT_ASCII:
                word = properties(data, i, char_bytes(data, i, end), first, blocks)
                if IGNORED >> (word & tables.WORD_MASK) & 1:
                    start = space_start(data, i, low)
                whole = True
            if not whole:
                whole = i + 1 < end and data[i + 1] > 0x7F
                if not whole:
                    out[k] = bytes_hash(data, i, i + 1, np.uint64(0))
                    k += 1
                    i += 1
            if whole:
                i, holds = segment_end(data, start, end, first, blocks)
                if kind_of(holds):
                    out[k] = bytes_hash(data, start, i, np.uint64(0))
                    k += 1
            low = i + 0
            inside = 0
            h = np.uint64(0)
        out[k] = h
        k += inside
        counts[d + 1] = k
    mix_all(out, k)


@plain_kernel
def hash_runs(data, offsets, classes, factors, flags, wanted, first, blocks, out, counts):
    """As `hash_words`, for runs of characters that have any of the `flags` (wanted) or none (not wanted)."""
    k = 0
    for d in range(len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        inside = 0
        h = np.uint64(0)
        while i < end:
            c = np.int64(classes[data[i]])
            if c != SLOW:
                out[k] = h
                k += inside & (1 - c)
                inside = c
                h = (h ^ (np.uint64(data[i]) + ONE)) * factors[data[i]]
                i += 1
                continue
            size = char_bytes(data, i, end)
            has = properties(data, i, size, first, blocks) & flags != 0
            if has == wanted:
                h = bytes_hash(data, i, i + size, h)
                inside = 1
            else:
                out[k] = h
                k += inside
                inside = 0
                h = np.uint64(0)
            i += size
        out[k] = h
        k += inside
        counts[d + 1] = k
    mix_all(out, k)


def byte_classes(splitter: str) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """(classes, factors) of all 256 bytes for a splitter of `Shingling`."""
    _, blocks = tables.load()
    properties_of = blocks[:128]
    classes = np.full(256, SLOW, np.uint8)
    if splitter == "uax29":
        runs = ascii_table(blocks)[:128] & RUN_BITS != 0
        classes[:128][runs] = RUN
        classes[:128][properties_of & tables.SPACE != 0] = SPACE
    elif splitter == "whitespace":
        classes[:128] = np.where(properties_of & tables.SPACE, SPACE, RUN)
    else:
        classes[:128] = np.where(properties_of & (tables.LETTER | tables.NUMBER), RUN, SPACE)
        classes[ord("_")] = RUN
    return classes, np.where(classes == RUN, STEP, np.uint64(0))
