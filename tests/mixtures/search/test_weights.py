"""Baselines against the papers' definitions, and what samples of weights must hold."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtures.search.weights import MINIMUM, caps, natural, samples, temperature, unimax, within
from pipeline.errors import ConfigError

COUNTS = st.lists(st.integers(1, 10**12), min_size=1, max_size=9)


def unimax_of_the_paper(counts: list[int], budget: int, epochs: int) -> list[Fraction]:
    """Chung et al. 2023, algorithm 1, in exact numbers: from the lowest count to the highest."""
    order = sorted(range(len(counts)), key=lambda i: counts[i])
    left = Fraction(budget)
    given = [Fraction(0)] * len(counts)
    for i, language in enumerate(order):
        per_language = left / (len(counts) - i)
        given[language] = min(per_language, Fraction(counts[language] * epochs))
        left -= given[language]
    return [one / sum(given) for one in given]


@settings(deadline=None)
@given(COUNTS, st.integers(1, 10**14), st.integers(1, 8))
def test_unimax_is_that_of_the_paper(counts: list[int], budget: int, epochs: int) -> None:
    expected = [float(one) for one in unimax_of_the_paper(counts, budget, epochs)]
    assert unimax(counts, budget, epochs).tolist() == pytest.approx(expected, rel=1e-9)


def test_unimax_by_hand() -> None:
    # 100 tokens of budget, one epoch: 5 and 20 are capped, the rest of 75 is parted evenly.
    assert unimax([1000, 5, 20, 1000], 100, 1).tolist() == pytest.approx([0.375, 0.05, 0.2, 0.375])
    assert unimax([10, 30], 100, 1).tolist() == pytest.approx([0.25, 0.75])  # more budget than there is


def test_temperature() -> None:
    assert temperature([1, 3], 1).tolist() == [0.25, 0.75]
    assert temperature([1, 3], 0).tolist() == [0.5, 0.5]
    assert temperature([1, 16], 0.5).tolist() == pytest.approx([0.2, 0.8])
    assert natural([2, 6]).tolist() == [0.25, 0.75]


@settings(max_examples=50, deadline=None)
@given(COUNTS.filter(lambda c: len(c) > 1), st.integers(0, 5))
def test_samples_are_weights_within_their_limits(counts: list[int], seed: int) -> None:
    limits = caps(counts, sum(counts), 2.0)
    made = samples(counts, limits, seed, 0, 4)
    assert made.shape == (4, len(counts))
    assert made.sum(axis=1) == pytest.approx(1)
    assert np.all(made >= 0) and np.all(made <= limits + 1e-9)


def test_a_sample_depends_on_its_number_alone() -> None:
    counts, limits = [5, 3, 2], np.ones(3)
    many = samples(counts, limits, 3, 0, 10)
    assert np.array_equal(samples(counts, limits, 3, 4, 3), many[4:7])
    assert not np.array_equal(samples(counts, limits, 4, 4, 3), many[4:7])


def test_samples_lie_about_the_tempered_natural_weights_in_corners_and_inside() -> None:
    counts = [100, 25, 25]
    made = samples(counts, np.ones(3), 0, 0, 3000)
    prior = temperature(counts, 0.5)
    assert made.mean(axis=0) == pytest.approx(prior, abs=4 * 0.45 / 3000**0.5)
    assert ((made > 0) & (made < MINIMUM)).sum() == 0
    assert (made.max(axis=1) > 0.99).mean() > 0.2 and (made.min(axis=1) > 0.05).mean() > 0.1


def test_limits() -> None:
    assert caps([10, 90], 100, 4).tolist() == [0.4, 1.0]
    with pytest.raises(ConfigError, match="lower total_tokens"):
        caps([10, 10], 100, 4)
    assert within(np.array([0.7, 0.2, 0.1]), np.array([0.4, 0.3, 1.0])).tolist() == pytest.approx([0.4, 0.3, 0.3])
    assert within(np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.25, 0.75])).tolist() == pytest.approx([0.5, 0.125, 0.375])
