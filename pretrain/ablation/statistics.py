"""Tests of differences between two arms, in bits per byte; a negative difference means that the first arm is better.

Two questions are asked of each difference, and they have different answers:

- Would other seeds say the same? `paired_t`: Student's t on the differences of runs that share a seed.
- Would other documents of the same kind say the same? `paired_bootstrap`: documents drawn anew with replacement
  within each held-out set, the same ones for both arms, the models as they are.

The verdict is by the first, its p corrected by Holm (1979); the second stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import ConfigError

CONFIDENCE = 0.95
"""Of all intervals."""
VERDICTS = ("better", "worse", "tie", "undecided")
"""Of the first arm, held against the second."""
_RESAMPLES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Interval:
    """A mean difference with its 95 % interval and the two-sided p of a difference of none."""

    mean: float
    deviation: float  # of the single differences (t) or of the redrawn means (bootstrap); NaN where there is one
    low: float
    high: float
    p: float
    n: int  # seeds, or documents

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2


def paired_t(differences: ArrayLike) -> Interval:
    """Student's paired t test of n differences: t = mean / (s / sqrt n), n - 1 degrees of freedom, two-sided.

    One difference has no interval: its bounds are infinite and its p is 1. Equal differences have no deviation: p is 0,
    or 1 where all are 0. Raises ConfigError for none at all and for a value that is not finite.
    """
    from scipy.stats import t

    values = np.asarray(differences, np.float64).ravel()
    if not len(values) or not np.isfinite(values).all():
        raise ConfigError(f"a paired test needs finite differences, not {values.tolist()}; did a run diverge?")
    mean, n = float(values.mean()), len(values)
    if n == 1:
        return Interval(mean, math.nan, -math.inf, math.inf, 1.0, 1)
    deviation = float(values.std(ddof=1))
    error = deviation / math.sqrt(n)
    if error == 0.0:
        return Interval(mean, 0.0, mean, mean, 1.0 if mean == 0.0 else 0.0, n)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error
    return Interval(mean, deviation, mean - reach, mean + reach, float(2 * t.sf(abs(mean) / error, n - 1)), n)


@dataclass(frozen=True)
class Documents:
    """What two arms' models made of one held-out set: a value a document, the mean over seeds.

    `first`, `second`: nats, (D,); `text_bytes`: UTF-8 bytes, (D,).
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    text_bytes: NDArray[np.float64]


def paired_bootstrap(sets: Sequence[Documents], resamples: int, seed: int) -> Interval:
    """Percentile bootstrap over documents of the macro difference in bits per byte.

    In each of `resamples` rounds D documents of every set are drawn with replacement; a set's difference is
    (sum of nats of the first - of the second) / sum of bytes / ln 2, the round's value their mean over sets. The
    interval goes from the 2.5 to the 97.5 % quantile; p is twice the smaller of the shares of rounds at or below and
    at or above 0, each with one round added (Davison and Hinkley 1997, section 4.2). Rounds come of (seed, number of
    the set), so that the same call gives the same numbers.
    """
    rounds = np.zeros(resamples)
    means = []
    for number, one in enumerate(sets):
        gap = (one.first - one.second) / math.log(2)
        means.append(gap.sum() / one.text_bytes.sum())
        generator = np.random.Generator(np.random.Philox(key=(seed & (1 << 64) - 1, number)))
        count = len(gap)
        step = max(1, _RESAMPLES_AT_ONCE // count)
        for first in range(0, resamples, step):
            size = min(step, resamples - first)
            times = generator.multinomial(count, np.full(count, 1 / count), size).astype(np.float64)
            rounds[first : first + size] += (times @ gap) / (times @ one.text_bytes) / len(sets)
    low, high = np.quantile(rounds, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    tail = min((rounds <= 0).sum(), (rounds >= 0).sum())
    p = min(1.0, 2 * (int(tail) + 1) / (resamples + 1))
    total = sum(len(one.text_bytes) for one in sets)
    return Interval(float(np.mean(means)), float(rounds.std(ddof=1)), float(low), float(high), p, total)


def holm(p: Sequence[float]) -> list[float]:
    """p values corrected for their number, in the order given (Holm 1979): the k-th smallest of m, from 0, times
    m - k, never below the one before it and at most 1."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected = [0.0] * len(p)
    least = 0.0
    for k, i in enumerate(order):
        least = max(least, min(1.0, (len(p) - k) * p[i]))
        corrected[i] = least
    return corrected


def verdict(difference: Interval, p: float, margin: float, alpha: float) -> str:
    """One of `VERDICTS`, by the interval and the corrected p.

    `tie`: the 95 % interval lies inside (-margin, margin), whatever p is: a difference that small is none that
    matters. (Two one-sided tests at 5 % would use the 90 % interval; this is the stricter rule.) Else `better` or
    `worse` where p is below alpha, else `undecided`.
    """
    if -margin < difference.low and difference.high < margin:
        return "tie"
    if p < alpha:
        return "better" if difference.mean < 0 else "worse"
    return "undecided"


def power(effect: float, deviation: float, n: int, alpha: float = 0.05) -> float:
    """Chance that a paired t test of n differences, normal with mean `effect` and `deviation`, gives p < alpha."""
    from scipy.stats import nct, t

    if n < 2 or deviation <= 0:
        return float(n >= 2 and effect != 0)
    bound, shift = float(t.ppf(1 - alpha / 2, n - 1)), effect / deviation * math.sqrt(n)
    return float(nct.sf(bound, n - 1, shift) + nct.cdf(-bound, n - 1, shift))


def seeds_needed(effect: float, deviation: float, wanted: float = 0.8, alpha: float = 0.05, most: int = 1000) -> int:
    """The least number of seeds with which `power` reaches `wanted`; 0 where `most` do not suffice."""
    if effect == 0:
        return 0
    low, high = 1, 2
    while power(effect, deviation, high, alpha) < wanted:
        if high >= most:
            return 0
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, deviation, middle, alpha) >= wanted else (middle, high)
    return high
