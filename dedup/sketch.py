"""A counting Bloom filter over 64-bit hashes: how often each was added, in a memory that is set beforehand.

Counters are added to and merged without regard to order (sums up to the largest value), so that the filter is the same
whatever the order of files and the number of workers; a plain Bloom filter, which answers while it is filled, is not.
An estimate is never too small (below the counters' largest value); it is too large with a probability of at most
`error_rate` as long as no more than `items` different hashes were added: the Bloom filter's own rate (Bloom 1970).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.store import atomic_path

_BLOCK = 1 << 24


@dataclass(frozen=True)
class SketchSize:
    """`counters` of `bits` bits, of which each hash has `probes`."""

    counters: int
    bits: int
    probes: int

    @classmethod
    def wanted(cls, items: int, error_rate: float, largest: int) -> SketchSize:
        """For so many different hashes, so large a share of wrong answers, and counts up to `largest` (at most 255)."""
        per_item = -math.log(error_rate) / math.log(2) ** 2
        counters = max(64, math.ceil(items * per_item))
        return cls(counters, 2 if largest <= 3 else 8, max(1, round(per_item * math.log(2))))

    @property
    def bytes(self) -> int:
        """Memory of a filter, and size of its file."""
        return -(-self.counters * self.bits // 8)

    def error_rate(self, filled: float) -> float:
        """The share of hashes never added that seem so once, by the share of counters that are not zero."""
        return float(filled**self.probes)


class Sketch:
    """A filter in memory, or mapped from its file."""

    def __init__(self, size: SketchSize, cells: NDArray[np.uint8] | None = None) -> None:
        self.size = size
        self.cells = np.zeros(size.bytes, np.uint8) if cells is None else cells

    @classmethod
    def open(cls, size: SketchSize, path: Path) -> Sketch:
        """From a file, read-only and shared by all processes of a machine."""
        return cls(size, np.asarray(np.memmap(path, np.uint8, "r", shape=(size.bytes,))))

    def write(self, path: Path) -> None:
        """The cells, atomically."""
        with atomic_path(path) as temporary:
            self.cells.tofile(temporary)

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Count each hash once more."""
        from .kernels import sketch

        sketch.add(self.cells, self.size.counters, self.size.bits, self.size.probes, hashes)

    def merge(self, path: Path) -> None:
        """Add what another filter of this size has counted."""
        from .kernels import sketch

        others = np.memmap(path, np.uint8, "r", shape=(self.size.bytes,))
        for a in range(0, self.size.bytes, _BLOCK):
            sketch.merge(self.cells[a : a + _BLOCK], np.array(others[a : a + _BLOCK]), self.size.bits)

    def estimates(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """How often each hash was added at most, up to the counters' largest value."""
        from .kernels import sketch

        out = np.zeros(len(hashes), np.uint8)
        sketch.estimates(self.cells, self.size.counters, self.size.bits, self.size.probes, hashes, out)
        return out

    def filled(self) -> float:
        """The share of counters that are not zero."""
        some = 0
        for a in range(0, self.size.bytes, _BLOCK):
            block = self.cells[a : a + _BLOCK]
            for shift in range(0, 8, self.size.bits):
                some += int(np.count_nonzero(block >> shift & ((1 << self.size.bits) - 1)))
        return some / self.size.counters
