"""Kernels that roll the hashes of n units in a row into one, and that find characters and runs as spans of bytes."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from filters.kernels.normalise import decode
from filters.kernels.reading import char_bytes, properties
from filters.kernels.tables import LETTER, NUMBER
from pipeline.kernels import plain_kernel

from .mixing import fmix64

BASE = np.uint64(0x9E3779B97F4A7C15 | 1)
"""Of the polynomial whose coefficients are the units' hashes, modulo 2^64."""


@plain_kernel
def hash_characters(data, offsets, out, counts):
    """A hash for each character of each text, one to one; counts[d + 1]: characters up to text d."""
    k = 0
    for d in range(len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        while i < end:
            size = char_bytes(data, i, end)
            out[k] = fmix64(np.uint64(decode(data, i, size) + 1) * BASE)
            i += size
            k += 1
        counts[d + 1] = k


@plain_kernel
def character_spans(data, offsets, starts, ends, counts):
    """Where each character begins and ends; counts[d + 1]: characters up to text d."""
    k = 0
    for d in range(len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        while i < end:
            starts[k] = i
            i += char_bytes(data, i, end)
            ends[k] = i
            k += 1
        counts[d + 1] = k


@plain_kernel
def alnum_spans(data, offsets, first, blocks, starts, ends, counts):
    """Runs of letters, numbers and `_`, as `\\w+` in Python; counts[d + 1]: runs up to text d."""
    k = 0
    for d in range(len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        inside = False
        while i < end:
            size = char_bytes(data, i, end)
            word = blocks[data[i]] + 0 if data[i] < 0x80 else properties(data, i, size, first, blocks)
            if word & (LETTER | NUMBER) or data[i] == 95:
                if not inside:
                    starts[k] = i
                    inside = True
            elif inside:
                ends[k] = i
                k += 1
                inside = False
            i += size
        if inside:
            ends[k] = end
            k += 1
        counts[d + 1] = k


@plain_kernel
def roll(units, unit_offsets, n, power, shingle_offsets, out):
    """Hashes of n units in a row, `power` = BASE ** n. A text of fewer units has one shingle of all, if it has any."""
    for d in range(len(unit_offsets) - 1):
        start = unit_offsets[d]
        end = unit_offsets[d + 1]
        if start == end:
            continue
        o = shingle_offsets[d]
        h = np.uint64(0)
        whole = start + n if start + n < end else end
        for k in range(start, whole):
            h = h * BASE + units[k]
        out[o] = fmix64(h)
        for k in range(whole, end):
            h = h * BASE + units[k] - units[k - n] * power
            o += 1
            out[o] = fmix64(h)


@plain_kernel
def join_spans(data, starts, ends, out, out_starts, out_ends):
    """Copy spans to `out` with a space behind each, so that words in a row are one span of bytes."""
    o = 0
    for k in range(len(starts)):
        out_starts[k] = o
        for i in range(starts[k], ends[k]):
            out[o] = data[i]
            o += 1
        out_ends[k] = o
        out[o] = 32
        o += 1
