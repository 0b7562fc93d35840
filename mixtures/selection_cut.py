"""Where to cut a ranking that is too long to sort: the first document left out, found in a few passes over files.

Documents stand in the order of (key descending, tie descending, shard, row); kept is the longest head of it whose
sizes don't exceed the budget. Each pass counts sizes by ranges of the key, and the next looks into the range where
the budget ends, until that holds few documents: memory is bounded by these, whatever the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BINS = 16
MAX_SORTED = 2_000_000
"""Documents that are sorted at once, 40 bytes each."""

U64 = NDArray[np.uint64]


class Ranked(NamedTuple):
    """Some documents of a shard; arrays of one length."""

    shard: int
    rows: NDArray[np.int64]
    keys: U64
    ties: U64
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class Cut:
    """The first document left out. `kept` and `size`: documents before it, and their sizes summed."""

    key: int
    tie: int
    shard: int
    row: int
    kept: int
    size: int

    def before(self, ranked: Ranked) -> NDArray[np.bool_]:
        """Which documents stand before it: those that are kept."""
        key, tie = np.uint64(self.key), np.uint64(self.tie)
        places = np.full(len(ranked.rows), ranked.shard < self.shard) | (
            (ranked.shard == self.shard) & (ranked.rows < self.row)
        )
        return np.asarray(
            (ranked.keys > key) | ((ranked.keys == key) & ((ranked.ties > tie) | ((ranked.ties == tie) & places)))
        )


END = Cut(0, 0, 1 << 31, 1 << 62, 0, 0)
"""Behind the last document."""


def ordered(values: NDArray[np.float64]) -> U64:
    """uint64[n] in the order of finite numbers, -0 and 0 alike; never 0."""
    bits = (values + 0.0).view(np.uint64)
    top = np.uint64(1 << 63)
    return np.asarray(np.where(bits & top, ~bits, bits | top))


def find_cut(blocks: Callable[[], Iterable[Ranked]], budget: int, max_sorted: int = MAX_SORTED) -> Cut:
    """The cut of the documents that `blocks()` gives, anew at each call; with `kept` and `size`."""
    low, high = [0, 0], [(1 << 64) - 1] * 2
    before_rows = before_size = 0
    for level in (0, 1):
        while True:
            shift = max(0, (high[level] - low[level]).bit_length() - _BINS)
            rows, sizes = _histogram(blocks(), low, high, level, shift)
            if level == 0 and not before_rows and int(sizes.sum()) <= budget:
                return Cut(END.key, END.tie, END.shard, END.row, int(rows.sum()), int(sizes.sum()))
            downward = np.cumsum(sizes[::-1])
            at = int(np.searchsorted(downward, budget - before_size, side="right"))
            bin_ = len(sizes) - 1 - at
            before_size += int(downward[at - 1]) if at else 0
            before_rows += int(rows[bin_ + 1 :].sum())
            low[level] += bin_ << shift
            high[level] = min(high[level], low[level] + (1 << shift) - 1)
            if rows[bin_] <= max_sorted:
                return _sorted_cut(blocks(), low, high, budget, before_rows, before_size)
            if shift == 0:
                break
    return _sorted_cut(blocks(), low, high, budget, before_rows, before_size)


def _within(block: Ranked, low: list[int], high: list[int]) -> NDArray[np.bool_]:
    inside = (block.keys >= np.uint64(low[0])) & (block.keys <= np.uint64(high[0]))
    if low[1] > 0 or high[1] < (1 << 64) - 1:
        inside &= (block.ties >= np.uint64(low[1])) & (block.ties <= np.uint64(high[1]))
    return np.asarray(inside)


def _histogram(
    blocks: Iterable[Ranked], low: list[int], high: list[int], level: int, shift: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    count = ((high[level] - low[level]) >> shift) + 1
    rows, sizes = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for block in blocks:
        inside = _within(block, low, high)
        values = (block.ties if level else block.keys)[inside]
        bins = ((values - np.uint64(low[level])) >> np.uint64(shift)).astype(np.int64)
        rows += np.bincount(bins, minlength=count)
        np.add.at(sizes, bins, block.sizes[inside])
    return rows, sizes


def _sorted_cut(
    blocks: Iterable[Ranked], low: list[int], high: list[int], budget: int, before_rows: int, before_size: int
) -> Cut:
    parts = []
    for block in blocks:
        inside = _within(block, low, high)
        shards = np.full(int(inside.sum()), block.shard, np.int64)
        parts.append((block.rows[inside], shards, ~block.ties[inside], ~block.keys[inside], block.sizes[inside]))
    row, shard, tie, key, size = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((row, shard, tie, key))
    running = before_size + np.cumsum(size[order])
    at = int(np.searchsorted(running, budget, side="right"))
    first = order[at]
    return Cut(
        key=int(~key[first]),
        tie=int(~tie[first]),
        shard=int(shard[first]),
        row=int(row[first]),
        kept=before_rows + at,
        size=int(running[at - 1]) if at else before_size,
    )
