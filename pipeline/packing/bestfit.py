"""Best-fit decreasing: each piece goes into the bin with the least room that still holds it.

Input is sorted by falling length. Bins of equal room form a stack; a tree over the rooms tells which are
taken, so a piece costs O(log T) whatever the number of bins. Among bins of equal room the one that came to
that room last is taken. Ding et al. 2024, "Fewer Truncations Improve Language Modeling", section 3
(https://arxiv.org/abs/2404.10830).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels import kernel_part, plain_kernel


@kernel_part
def _least_room(tree, leaves, room):  # type: ignore[no-untyped-def]
    """The least room of at least `room` that some bin has, or -1. `tree` is a heap of flags, leaves from `leaves`."""
    node = leaves + room
    if tree[node]:
        return room
    while node > 1:
        if node & 1 == 0 and tree[node + 1]:
            node += 1
            while node < leaves:
                node *= 2
                if not tree[node]:
                    node += 1
            return node - leaves
        node >>= 1
    return -1


@kernel_part
def _put(tree, leaves, tops, below, room, which):  # type: ignore[no-untyped-def]
    """Put bin `which` onto the stack of its room; a full bin is on none."""
    if room == 0:
        return
    below[which] = tops[room]
    tops[room] = which
    node = leaves + room
    while node > 0 and not tree[node]:
        tree[node] = 1
        node >>= 1


@kernel_part
def _take(tree, leaves, tops, below, room):  # type: ignore[no-untyped-def]
    """Take the bin off the top of a room's stack."""
    which = tops[room]
    tops[room] = below[which]
    if tops[room] < 0:
        node = leaves + room
        tree[node] = 0
        while node > 1 and not tree[node ^ 1]:
            node >>= 1
            tree[node] = 0
    return which


@plain_kernel
def _place(lengths, openers, capacity, leaves, tree, tops, below, bins):  # type: ignore[no-untyped-def]
    """Fill `bins` int64[n] with each piece's bin, -1 if it found none; only the first `openers` open new ones."""
    count = 0
    for i in range(len(lengths)):
        length = lengths[i]
        room = _least_room(tree, leaves, length)
        if room >= 0:
            which = _take(tree, leaves, tops, below, room)
        elif i < openers:
            which = count
            count += 1
            room = capacity
        else:
            bins[i] = -1
            continue
        bins[i] = which
        _put(tree, leaves, tops, below, room - length, which)
    return count


def best_fit(
    lengths: npt.NDArray[np.int64], capacity: int, openers: int | None = None
) -> tuple[npt.NDArray[np.int64], int]:
    """(bin of each piece, number of bins) for lengths in 1..capacity sorted descending.

    Only the first `openers` pieces (all by default) may open a bin; a later one that fits nowhere gets -1.
    """
    n = len(lengths)
    openers = n if openers is None else openers
    leaves = 1 << capacity.bit_length()
    bins = np.empty(n, np.int64)
    count = _place(
        np.ascontiguousarray(lengths, np.int64),
        openers,
        capacity,
        leaves,
        np.zeros(2 * leaves, np.uint8),
        np.full(capacity + 1, -1, np.int64),
        np.empty(max(1, openers), np.int64),
        bins,
    )
    return bins, int(count)
