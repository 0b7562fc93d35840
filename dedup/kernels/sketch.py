"""Counters of a counting Bloom filter: 2 or 8 bits each, added to without overflow."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

_MIX, _SHIFT = np.uint64(0xFF51AFD7ED558CCD), np.uint64(33)


@kernel_part
def second_hash(h):
    """Another hash of the same value, odd."""
    h = (h ^ (h >> _SHIFT)) * _MIX
    return (h ^ (h >> _SHIFT)) | np.uint64(1)


@plain_kernel
def add(cells, counters, bits, probes, hashes):
    """Add one to each of a hash's `probes` counters, up to their largest value. cells: uint8 of 8 / bits counters."""
    top = (1 << bits) - 1
    per = 8 // bits
    for n in range(len(hashes)):
        h = hashes[n] + np.uint64(0)
        step = second_hash(h)
        for _ in range(probes):
            place = np.int64(h % np.uint64(counters))
            h += step
            shift = (place % per) * bits
            value = cells[place // per] >> shift & top
            if value < top:
                cells[place // per] += 1 << shift


@plain_kernel
def merge(cells, others, bits):
    """Add the other cells' counters to these, up to their largest value."""
    top = (1 << bits) - 1
    for n in range(len(cells)):
        if others[n] == 0:
            continue
        made = 0
        shift = 0
        while shift < 8:
            value = (cells[n] >> shift & top) + (others[n] >> shift & top)
            made |= (value if value < top else top) << shift
            shift += bits
        cells[n] = made


@plain_kernel
def estimates(cells, counters, bits, probes, hashes, out):
    """The least of each hash's counters: never below how often it was added, or the largest value."""
    top = (1 << bits) - 1
    per = 8 // bits
    for n in range(len(hashes)):
        h = hashes[n] + np.uint64(0)
        step = second_hash(h)
        least = top
        for _ in range(probes):
            place = np.int64(h % np.uint64(counters))
            h += step
            value = cells[place // per] >> (place % per) * bits & top
            if value < least:
                least = value
        out[n] = least
