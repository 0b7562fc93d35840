"""Parts that hash bytes and number equal spans."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import kernel_part

START, PRIME, MIX = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(29)
_ALL = (1 << 64) - 1


@kernel_part
def hashed(data, i, end, h):
    """FNV-1a, 64 bit, of bytes i to end, going on from h."""
    while i < end:
        h = (h ^ data[i]) * PRIME
        i += 1
    return h


@kernel_part
def finished(h):
    """Its bits mixed, so that the lowest can number slots."""
    h = (h ^ (h >> SHIFT)) * MIX
    return h ^ (h >> SHIFT)


@kernel_part
def equal_bytes(data, a, b, size):
    """Whether `size` bytes from a and from b are the same."""
    k = 0
    while k < size and data[a + k] == data[b + k]:
        k += 1
    return k == size


@kernel_part
def slots_for(count):
    """A power of two of at least twice `count`, less one."""
    size = 16
    while size < 2 * count:
        size *= 2
    return size - 1


@kernel_part
def number_spans(data, starts, ends, a, b, slots, ids, hashes):
    """ids[a:b]: equal spans get equal ones, 0, 1, 2 ... by first appearance; bytes are compared where hashes agree.

    `slots` has room for `slots_for(b - a) + 1`. A slot holds a span's number and 1; up to `a` it is free.
    """
    mask = slots_for(b - a)
    found = 0
    for k in range(a, b):
        h = hashes[k] + np.uint64(0)
        size = ends[k] - starts[k]
        slot = h & mask
        while True:
            other = slots[slot] - 1
            if other < a:
                slots[slot] = k + 1
                ids[k] = found
                found += 1
                break
            alike = hashes[other] == h and ends[other] - starts[other] == size
            if alike and equal_bytes(data, starts[k], starts[other], size):
                ids[k] = ids[other]
                break
            slot = (slot + 1) & mask


def room_for(longest: int, spans: int) -> NDArray[np.generic]:
    """Free slots for documents of up to `longest` spans, in a column of up to `spans`."""
    size = 16
    while size < 2 * longest:
        size *= 2
    return np.zeros(size, np.int32 if spans < 1 << 31 else np.int64)


def hash_of(raw: bytes) -> int:
    """`finished(hashed(...))` of all bytes, in plain Python."""
    h = int(START)
    for byte in raw:
        h = (h ^ byte) * int(PRIME) & _ALL
    h = (h ^ h >> int(SHIFT)) * int(MIX) & _ALL
    return h ^ h >> int(SHIFT)
