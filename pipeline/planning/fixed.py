"""What a task or a file takes whatever its size, where many of different sizes tell it, else nothing.

The cost of one is taken to be fixed + rate x size. Extrapolated to a million times the work the fixed part hardly
counts, so one that is taken for too large makes the whole plan too small: shards of nearly equal size leave it to
noise, which may call all of the work fixed. It is believed only as far as it is certain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FEWEST = 5
"""Fewer costs than this don't show how much they scatter about a line: two of them are used up by the line itself."""
SPREAD = 2.0
"""The largest must be so many times the smallest. A scatter of costs comes back in the fixed part multiplied by about
mean size / deviation of sizes: 5 and less where sizes lie evenly between 1 and 2, hundreds for shards within 1 %."""
STANDARD_ERRORS = 3.0
"""Subtracted from the fixed part: with `FEWEST` costs one in 35 that is none would pass (Student's t, 3 degrees of
freedom), with many one in 700."""
MOST = 0.25
"""Of the mean cost, at most: however wrong the line, a plan for larger tasks keeps three quarters of what linear growth
gives."""


@dataclass
class Costs:
    """Moments of (size, cost) pairs, gathered one by one (Welford): means, and sums of products of deviations."""

    count: int = 0
    least: float = 0.0
    most: float = 0.0
    mean_size: float = 0.0
    mean_cost: float = 0.0
    size_size: float = 0.0
    size_cost: float = 0.0
    cost_cost: float = 0.0

    def add(self, size: float, cost: float) -> None:
        """One more, of `size` in any unit."""
        self.least = min(self.least, size) if self.count else size
        self.most = max(self.most, size)
        self.count += 1
        off_size, off_cost = size - self.mean_size, cost - self.mean_cost
        self.mean_size += off_size / self.count
        self.mean_cost += off_cost / self.count
        self.size_size += off_size * (size - self.mean_size)
        self.size_cost += off_size * (cost - self.mean_cost)
        self.cost_cost += off_cost * (cost - self.mean_cost)

    def fixed(self) -> float:
        """The part of a cost that is there whatever the size: what is certain of the least squares line's intercept."""
        if self.count < FEWEST or self.most < SPREAD * self.least or self.size_size <= 0:
            return 0.0
        rate = self.size_cost / self.size_size
        variance = max(0.0, self.cost_cost - rate * self.size_cost) / (self.count - 2)
        error = math.sqrt(variance * (1 / self.count + self.mean_size**2 / self.size_size))
        certain = self.mean_cost - rate * self.mean_size - STANDARD_ERRORS * error
        return min(max(certain, 0.0), MOST * self.mean_cost)
