"""Targets against plain oracles: temperature, buckets, caps, epochs, phases."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtures.amounts import Stratum, chinchilla, effective_tokens, source_targets, targets, totals, water_fill, whole
from mixtures.planning import warnings
from mixtures.recipe import parse_mixture
from pipeline.errors import ConfigError


def recipe(**keys):
    return parse_mixture({"sources": {"a": {"run": "x"}}, **keys}, "test")


def fill_by_steps(total: Fraction, weights: list[int], caps: list[int]) -> list[Fraction]:
    """Water filling, round by round: share out by weight, fix those that overflow, share out again."""
    fixed: dict[int, Fraction] = {i: Fraction(0) for i, w in enumerate(weights) if w == 0}
    while True:
        rest = total - sum(fixed.values())
        weight = sum(w for i, w in enumerate(weights) if i not in fixed)
        if not weight:
            return [fixed[i] for i in range(len(weights))]
        shares = {i: rest * w / weight for i, w in enumerate(weights) if i not in fixed}
        over = [i for i, share in shares.items() if share > caps[i]]
        if not over:
            return [fixed.get(i, shares.get(i, Fraction(0))) for i in range(len(weights))]
        fixed.update({i: Fraction(caps[i]) for i in over})


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1000)), min_size=1, max_size=8), st.integers(0, 5000))
def test_water_filling(pairs, total):
    weights, caps = [w for w, _ in pairs], [c for _, c in pairs]
    made = water_fill(total, weights, caps)
    for one, other in zip(made, fill_by_steps(Fraction(total), weights, caps), strict=True):
        assert one == pytest.approx(float(other), abs=1e-6)
    numbers = whole(made, total, caps)
    assert all(0 <= n <= cap and abs(n - m) <= 1 for n, m, cap in zip(numbers, made, caps, strict=True))
    assert sum(numbers) == min(total, sum(c for w, c in pairs if w))


def test_effective_tokens_are_muennighoffs():
    """Section 3.1 of the paper: up to 4 epochs nearly as good as fresh; at R = R* repeats are worth 1 - 1/e."""
    assert effective_tokens(100, 60) == 60 and effective_tokens(100, 100) == 100
    assert effective_tokens(100, 400) == pytest.approx(100 + 1538.7756 * (1 - math.exp(-3 / 15.387756)))
    assert effective_tokens(100, 400) > 0.9 * 400
    repeated = effective_tokens(100, 100 * (1 + 15.387756)) - 100
    assert repeated / (100 * 15.387756) == pytest.approx(1 - 1 / math.e)


def test_chinchilla_position():
    at = chinchilla(70e9, 1.4e12)
    assert at["tokens_per_param"] == 20 and at["share_of_chinchilla"] == 1
    assert at["compute_flops"] == pytest.approx(5.88e23)  # the paper's Gopher budget, table 3: 5.76e23


STRATA = [Stratum("a", "de", -1, 1000, 10), Stratum("a", "en", -1, 8000, 80), Stratum("a", "fr", -1, 27, 1)]


@pytest.mark.parametrize("exponent", [0, 0.3, 0.7, 1])
def test_temperature(exponent):
    made = targets(recipe(temperature={"exponent": exponent}, max_epochs=1000, total_tokens=9000), STRATA)
    powers = [s.tokens**exponent for s in STRATA]
    for n, power in zip(made.tokens[0], powers, strict=True):
        assert abs(n - 9000 * power / sum(powers)) <= 1
    assert sum(made.tokens[0]) == 9000


def test_no_stratum_is_drawn_more_often_than_allowed_and_the_others_take_over():
    made = targets(recipe(temperature={"exponent": 0}, max_epochs=4, total_tokens=9000), STRATA)
    assert made.tokens[0][2] == 4 * 27 and made.tokens[0][0] == 4000 and made.tokens[0][1] == 9000 - 4000 - 108
    said = targets(recipe(max_epochs=2, total_tokens=90000), STRATA)
    assert said.tokens[0] == [2000, 16000, 54] and said.wanted[0]["a"] == 90000
    (row,) = totals(STRATA, said, recipe(max_epochs=2, total_tokens=90000))
    assert row["shortfall_tokens"] == 90000 - 18054 and row["epochs"] == 2
    told = warnings(recipe(max_epochs=2, total_tokens=90000), tuple(STRATA), said)
    assert len(told) == 1 and "falls short by 71,946 of 90,000" in told[0] and "more than 2 times" in told[0]


def test_past_four_epochs_a_warning_says_what_they_are_worth():
    mixture = recipe(max_epochs=10, total_tokens=80000)
    made = targets(mixture, STRATA[1:2])
    (told,) = warnings(mixture, tuple(STRATA[1:2]), made)
    assert "10.0 times" in told and f"{effective_tokens(8000, 80000):,.0f}" in told
    four = recipe(max_epochs=10, total_tokens=32000)
    assert warnings(four, tuple(STRATA[1:2]), targets(four, STRATA[1:2])) == []


def test_quality_buckets_are_repeated_in_proportion():
    strata = [Stratum("a", "", b, n, 1) for b, n in ((-1, 1000), (0, 4000), (1, 3000), (2, 2000))]
    quality = {"edges": [0.3, 0.7], "repeat": [0, 1, 3], "unscored": 0.5}
    made = targets(recipe(quality=quality, total_tokens=4750), strata)
    assert made.tokens[0] == [250, 0, 1500, 3000]


def test_late_phases_are_served_first():
    """The best bucket goes to the last phase as far as it lasts; the first phase has what is left."""
    strata = [Stratum("a", "", 0, 9000, 1), Stratum("a", "", 1, 1000, 1)]
    mixture = recipe(
        quality={"edges": [0.5], "repeat": [1, 1]}, total_tokens=10000, max_epochs=1,
        phases=[{"name": "main", "share": 9}, {"name": "best", "share": 1, "repeat": [0, 1]}],
    )  # fmt: skip
    assert targets(mixture, strata).tokens == [[9000, 0], [0, 1000]]


def test_sources_by_weight_tokens_and_epochs():
    sources = {"a": {"run": "x", "weight": 3}, "b": {"run": "y", "weight": 1}, "c": {"run": "z", "tokens": 500},
               "d": {"run": "w", "epochs": 2}}  # fmt: skip
    available = {"a": 9000, "b": 1000, "c": 9999, "d": 100}
    made = source_targets(parse_mixture({"sources": sources}, "t"), available)
    assert made == {"a": 3000, "b": 1000, "c": 500, "d": 200}  # b is the first to run out
    made = source_targets(parse_mixture({"sources": sources, "total_tokens": 8700}, "t"), available)
    assert made == {"a": 6000, "b": 2000, "c": 500, "d": 200}
    natural = parse_mixture({"sources": {"a": {"run": "x"}, "b": {"run": "y"}}}, "t")
    assert source_targets(natural, available) == {"a": 9000, "b": 1000}


def test_phases_with_weights_of_their_own():
    strata = [Stratum("a", "", -1, 10000, 1), Stratum("b", "", -1, 10000, 1)]
    mixture = parse_mixture(
        {
            "sources": {"a": {"run": "x", "weight": 1}, "b": {"run": "y", "weight": 1}},
            "total_tokens": 10000,
            "phases": [{"name": "m", "share": 8}, {"name": "l", "share": 2, "weights": {"a": 1, "b": 3}}],
        },
        "t",
    )
    assert targets(mixture, strata).tokens == [[4000, 4000], [500, 1500]]


def test_what_can_not_be_mixed_is_told():
    with pytest.raises(ConfigError, match="source 'a' has no token that may be drawn"):
        targets(recipe(), [])
    quality = {"edges": [0.5], "repeat": [0, 1]}
    with pytest.raises(ConfigError, match="repeat 0"):
        targets(recipe(quality=quality), [Stratum("a", "", 0, 100, 1)])
    both = parse_mixture({"sources": {"a": {"run": "x", "epochs": 2}, "b": {"run": "y"}}, "total_tokens": 150}, "t")
    with pytest.raises(ConfigError, match="nothing is left for b"):
        source_targets(both, {"a": 100, "b": 100})
