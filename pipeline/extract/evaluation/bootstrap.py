"""Paired bootstrap intervals for the difference of two engines over the same pages.

Whole groups of pages are drawn with replacement (cluster bootstrap), since pages of one site fail together; each
draw is used for both engines (Efron and Tibshirani 1993, chapters 8 and 13; the percentile interval).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95

Statistic = Callable[[np.ndarray], np.ndarray]
"""From sums over pages, shape (..., columns), to the figure, shape (...)."""


class Interval(NamedTuple):
    """A difference with the ends of its interval, None if there is a single group and so nothing to draw."""

    difference: float
    low: float | None
    high: float | None


def mean(sums: np.ndarray) -> np.ndarray:
    """The statistic for `mean_difference`: column 0 summed over column 1, the number of pages."""
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def mean_difference(
    one: Sequence[float], other: Sequence[float], groups: Sequence[int], *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Mean of `one` less mean of `other`, both with a figure for each page, and its 95 % interval."""
    pages = np.ones(len(one))
    return paired_difference(
        np.column_stack([one, pages]), np.column_stack([other, pages]), groups, mean, resamples=resamples, seed=seed
    )


def paired_difference(
    one: np.ndarray,
    other: np.ndarray,
    groups: Sequence[int],
    statistic: Statistic,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The statistic of `one` less that of `other`, and its 95 % interval.

    Both have shape (pages, columns) and are summed over the pages of a draw before the statistic is taken, as
    counts must be; `groups` has a group number for each page. Raises ValueError for unequal lengths or no page.
    """
    if not len(one) == len(other) == len(groups) or not len(groups):
        raise ValueError("paired_difference: there must be as many rows of each engine as groups, and at least one")
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    columns = one.shape[1]
    by_group = np.zeros((len(names), 2 * columns))
    np.add.at(by_group, place, np.hstack([one, other]).astype(np.float64))
    total = by_group.sum(axis=0)
    difference = float(statistic(total[:columns]) - statistic(total[columns:]))
    if len(names) < 2:
        return Interval(difference, None, None)
    sums = _draws(len(names), resamples, seed) @ by_group
    differences = statistic(sums[:, :columns]) - statistic(sums[:, columns:])
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return Interval(difference, float(low), float(high))


def _draws(groups: int, resamples: int, seed: int) -> np.ndarray:
    """How often each group is in each draw, shape (resamples, groups)."""
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(0, groups, (resamples, groups))
    flat = drawn + np.arange(resamples)[:, None] * groups
    return np.bincount(flat.ravel(), minlength=resamples * groups).reshape(resamples, groups)
