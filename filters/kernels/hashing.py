"""Parts that hash bytes and number equal spans."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import kernel_part

from .reading import eight_bytes

MIX = np.uint64(0x9E3779B97F4A7C15)
SHIFT, BYTE = np.uint64(29), np.uint64(8)
EXACT = 8
"""Of spans of up to so many bytes the same hash and length mean the same bytes: `mixed` is one to one."""
_ALL = (1 << 64) - 1


@kernel_part
def mixed(packed, size):
    """The hash of a span of up to EXACT bytes from the number that they make."""
    h = packed + np.uint64(size) * MIX
    h = (h ^ (h >> SHIFT)) * MIX
    return h ^ (h >> SHIFT)


@kernel_part
def span_hash(data, i, end):
    """The 64-bit hash of bytes i to end; its lowest bits can number slots."""
    size = end - i
    h = np.uint64(0)
    while i + EXACT < end:
        h = mixed(h ^ eight_bytes(data, i), size)
        i += EXACT
    rest = np.uint64(0)
    while i < end:
        rest = rest << BYTE | data[i]
        i += 1
    return mixed(h ^ rest, size)


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
            if alike and (size <= EXACT or equal_bytes(data, starts[k], starts[other], size)):
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
    """`span_hash` of all bytes, in plain Python."""
    h, size = 0, len(raw)
    full = max(size - 1, 0) // EXACT * EXACT
    for at in range(0, full, EXACT):
        h = _mixed(h ^ int.from_bytes(raw[at : at + EXACT], "little"), size)
    return _mixed(h ^ int.from_bytes(raw[full:], "big"), size)


def _mixed(packed: int, size: int) -> int:
    h = packed + size * int(MIX) & _ALL
    h = (h ^ h >> int(SHIFT)) * int(MIX) & _ALL
    return h ^ h >> int(SHIFT)
