"""The tests of differences, against scipy, brute force and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pretrain.ablation.statistics import (
    Documents,
    Interval,
    holm,
    paired_bootstrap,
    paired_t,
    power,
    seeds_needed,
    verdict,
)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_paired_t_is_scipys(n):
    from scipy.stats import ttest_rel

    draw = np.random.default_rng(n)
    a, b = draw.normal(1.0, 0.1, n), draw.normal(1.05, 0.1, n)
    found, want = paired_t(a - b), ttest_rel(a, b)
    interval = want.confidence_interval(0.95)
    assert found.p == pytest.approx(want.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.deviation == pytest.approx(math.sqrt(sum((d - found.mean) ** 2 for d in a - b) / (n - 1)))


def test_one_difference_and_equal_differences():
    one = paired_t([0.3])
    assert (one.low, one.high, one.p) == (-math.inf, math.inf, 1.0) and math.isnan(one.deviation)
    assert paired_t([0.0, 0.0]) == Interval(0.0, 0.0, 0.0, 0.0, 1.0, 2)
    assert paired_t([-0.5, -0.5, -0.5]) == Interval(-0.5, 0.0, -0.5, -0.5, 0.0, 3)


@pytest.mark.parametrize("bad", [[], [0.1, math.nan], [math.inf, 1.0]])
def test_no_test_without_finite_differences(bad):
    with pytest.raises(ConfigError, match="finite"):
        paired_t(bad)


def test_holm_by_hand():
    # sorted .005 .01 .03 .04 times 4 3 2 1: .02 .03 .06 .04, made to rise: .02 .03 .06 .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02] and holm([]) == []


def sets(draw: np.random.Generator, gap: float) -> list[Documents]:
    """Two held-out sets of 60 and 25 documents of unlike size; the first arm needs `gap` bits per byte more."""
    made = []
    for count in (60, 25):
        size = draw.integers(50, 3000, count).astype(float)
        second = size * draw.normal(1.2, 0.2, count)
        made.append(Documents(second + size * math.log(2) * draw.normal(gap, 0.05, count), second, size))
    return made


def brute_bootstrap(parts: list[Documents], rounds: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    out = []
    for _ in range(rounds):
        total = 0.0
        for one in parts:
            chosen = [int(i) for i in draw.integers(0, len(one.first), len(one.first))]
            nats = sum(one.first[i] for i in chosen) - sum(one.second[i] for i in chosen)
            total += nats / math.log(2) / sum(one.text_bytes[i] for i in chosen)
        out.append(total / len(parts))
    return np.array(out)


def test_bootstrap_is_the_brute_force_one():
    parts = sets(np.random.default_rng(1), 0.03)
    found = paired_bootstrap(parts, 4000, 7)
    want = brute_bootstrap(parts, 1500, 3)
    error = want.std(ddof=1)
    gaps = [(one.first - one.second).sum() / math.log(2) / one.text_bytes.sum() for one in parts]
    assert found.mean == pytest.approx(np.mean(gaps), abs=1e-12)
    assert found.deviation == pytest.approx(error, rel=0.08)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(want, [0.025, 0.975])), abs=0.25 * error)
    assert found == paired_bootstrap(parts, 4000, 7) != paired_bootstrap(parts, 4000, 8)


def test_bootstrap_p_counts_rounds_on_either_side():
    none = paired_bootstrap(sets(np.random.default_rng(2), 0.0), 2000, 0)
    much = paired_bootstrap(sets(np.random.default_rng(2), 0.3), 2000, 0)
    assert none.p > 0.05 and none.low < 0 < none.high
    assert much.p == pytest.approx(2 / 2001) and much.low > 0.25


def test_macro_weighs_sets_alike_and_documents_by_bytes():
    big = Documents(np.array([math.log(2) * 100.0]), np.zeros(1), np.array([100.0]))  # one bit per byte
    small = Documents(np.zeros(2), np.zeros(2), np.array([1.0, 1.0]))
    assert paired_bootstrap([big, small], 100, 0).mean == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("mean", "half", "p", "want"),
    [
        (-0.05, 0.02, 0.001, "better"),
        (0.05, 0.02, 0.001, "worse"),
        (0.05, 0.06, 0.2, "undecided"),
        (0.001, 0.005, 0.6, "tie"),
        (0.005, 0.002, 0.001, "tie"),  # surely there, surely below the margin
        (0.009, 0.002, 0.001, "worse"),  # the interval leaves the margin
        (0.0, 0.011, 0.9, "undecided"),  # no difference seen, but one might be there
        (0.05, 0.02, 0.06, "undecided"),  # p corrected for several verdicts
    ],
)
def test_verdicts(mean, half, p, want):
    assert verdict(Interval(mean, 0.01, mean - half, mean + half, 0.001, 5), p, 0.01, 0.05) == want


def test_power_by_simulation_and_table():
    assert power(0.5, 1.0, 34) == pytest.approx(0.808, abs=0.001)  # Cohen's d = .5: n = 34 for 80 %
    assert seeds_needed(0.5, 1.0) == 34 and seeds_needed(0.0, 1.0) == 0 and seeds_needed(1e-6, 1.0) == 0
    draw = np.random.default_rng(0)
    hits = np.mean([paired_t(d).p < 0.05 for d in draw.normal(0.02, 0.015, (1500, 5))])
    assert hits == pytest.approx(power(0.02, 0.015, 5), abs=0.04)


def simulated(effect: float, rounds: int, arms: int = 3, seeds: int = 5) -> list[list[str]]:
    """Verdicts of ablations whose runs have a seed's effect, an arm's own noise, and a gap of the last arm's."""
    draw = np.random.default_rng(11)
    out = []
    for _ in range(rounds):
        runs = draw.normal(1.5, 0.05, (1, seeds)) + draw.normal(0, 0.01, (arms, seeds))
        runs[-1] += effect
        found = [paired_t(runs[i] - runs[j]) for i in range(arms) for j in range(i + 1, arms)]
        corrected = holm([one.p for one in found])
        out.append([verdict(one, p, 0.002, 0.05) for one, p in zip(found, corrected, strict=True)])
    return out


def test_false_positives_stay_at_the_level_over_all_verdicts():
    wrong = np.mean([any(word in ("better", "worse") for word in words) for words in simulated(0.0, 1500)])
    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1500)
    alone = np.mean([words[0] in ("better", "worse") for words in simulated(0.0, 1500, arms=2)])
    assert alone == pytest.approx(0.05, abs=3.5 * math.sqrt(0.05 * 0.95 / 1500))


def test_a_planted_difference_is_found_as_often_as_computed():
    found = np.mean([words[0] == "better" for words in simulated(0.03, 1000, arms=2)])
    assert found == pytest.approx(power(0.03, 0.01 * math.sqrt(2), 5), abs=0.04)
