"""Weights of sources: simple baselines, and samples around the natural weights.

Weights are float64[k], sum to 1, and stand in the order of the sources. `tokens` float64[k] says what there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError

Weights = NDArray[np.float64]

PRIOR_EXPONENT = 0.5
"""The samples' mean goes with the natural weights to this power; this and the strengths: RegMix's published code."""
STRENGTHS = (0.1, 5.0)
MINIMUM = 2e-4
"""A sampled weight below is 0."""
_TRIES = 2000


def natural(tokens: Sequence[float] | Weights) -> Weights:
    """In proportion to what there is."""
    there = np.asarray(tokens, np.float64)
    return np.asarray(there / there.sum())


def temperature(tokens: Sequence[float], exponent: float) -> Weights:
    """In proportion to what there is to the power `exponent`: 1 natural, 0 uniform, 0.3 as in mT5 (1 / temperature)."""
    return natural(natural(tokens) ** exponent)


def unimax(tokens: Sequence[float], budget: float, max_epochs: float) -> Weights:
    """UniMax (Chung et al. 2023, arXiv 2304.09151, algorithm 1): as even as a cap on epochs allows.

    From the smallest source to the largest each gets an equal part of the budget that is left, and `max_epochs` times
    what it has at most. Where all sources together can't fill the budget, all are capped.
    """
    there = np.asarray(tokens, np.float64)
    given = np.zeros(len(there))
    left = float(budget)
    order = sorted(range(len(there)), key=lambda i: (there[i], i))
    for done, i in enumerate(order):
        given[i] = min(left / (len(order) - done), max_epochs * there[i])
        left -= given[i]
    return natural(given)


def caps(tokens: Sequence[float], budget: float, max_epochs: float) -> Weights:
    """The largest weight of each source in a training of `budget` tokens, for the cap on epochs.

    Raises ConfigError where all sources together can't fill the budget.
    """
    found = np.minimum(1.0, max_epochs * np.asarray(tokens, np.float64) / budget)
    if found.sum() < 1 - 1e-9:
        raise ConfigError(
            f"the sources have {sum(tokens):,.0f} tokens, and {max_epochs:g} epochs of them don't make {budget:,.0f};"
            " lower total_tokens or raise max_epochs"
        )
    return found


def sample(tokens: Sequence[float], limits: Weights, rng: np.random.Generator) -> Weights:
    """One Dirichlet sample as RegMix draws them: its mean follows the tempered natural weights, its strength is
    log-uniform between `STRENGTHS`, so that some samples lie in corners and some near the mean. None is over `limits`
    (float64[k]): samples are drawn anew until one fits, and the last one is cut down.
    """
    prior = temperature(tokens, PRIOR_EXPONENT)
    low, high = map(math.log, STRENGTHS)
    for _ in range(_TRIES):
        gamma = rng.standard_gamma(prior * math.exp(rng.uniform(low, high)))
        if gamma.sum() <= 0:
            continue
        made = gamma / gamma.sum()
        made[made < MINIMUM] = 0.0
        made /= made.sum()
        if np.all(made <= limits):
            return np.asarray(made)
    return within(prior, limits)


def within(weights: Weights, limits: Weights) -> Weights:
    """The weights with none over its limit; what is over goes to the others by their weights."""
    out = np.array(weights, np.float64)
    fixed = np.zeros(len(out), bool)
    while np.any(over := (out > limits + 1e-12) & ~fixed):
        fixed |= over
        out[fixed] = limits[fixed]
        rest = 1.0 - out[fixed].sum()
        free = out[~fixed].sum()
        out[~fixed] = out[~fixed] * rest / free if free > 0 else rest * limits[~fixed] / limits[~fixed].sum()
    return out


def samples(tokens: Sequence[float], limits: Weights, seed: int, first: int, count: int) -> NDArray[np.float64]:
    """float64[count, k]: samples number `first` and on; each depends on (seed, its number) alone."""
    if len(tokens) == 1:
        return np.ones((count, 1))
    return np.stack([sample(tokens, limits, np.random.default_rng([seed, i])) for i in range(first, first + count)])
