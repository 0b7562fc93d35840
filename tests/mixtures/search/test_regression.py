"""Regressions: leave-one-out errors against refitting, functions that must be found again, and the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from mixtures.search import regression
from mixtures.search.regression import FEATURES, Model, bootstrap, candidates, rank_correlation, ridge_errors


def proxies(n: int, k: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.7), n)


@pytest.mark.parametrize("kind", ["linear", "quadratic"])
@pytest.mark.parametrize("penalty", [1e-6, 0.1])
def test_leave_one_out_in_closed_form_is_refitting(kind: str, penalty: float) -> None:
    weights = proxies(14)
    target = np.random.default_rng(1).normal(size=14)
    quick = ridge_errors(FEATURES[kind], penalty, weights, target)
    for i in range(14):
        rest = np.arange(14) != i
        predicted = Model(kind, 0, 0, penalty).fit(weights[rest], target[rest])(weights[i : i + 1])[0]
        assert quick[i] == pytest.approx(target[i] - predicted, rel=1e-5, abs=1e-8)


@pytest.fixture(autouse=True)
def fewer_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as these tests need."""
    monkeypatch.setattr(regression, "ITERATIONS", 300)
    monkeypatch.setattr(regression, "MAX_FOLDS", 8)


def test_a_linear_and_a_quadratic_truth_are_found_again() -> None:
    weights, at = proxies(40), proxies(20, seed=9)
    slope = np.array([3.0, 2.5, 2.0, 4.0])
    model = candidates(weights, weights @ slope)[0]
    assert model.kind in ("linear", "quadratic") and model.error < 1e-4 and model.rank > 0.99
    assert model.fit(weights, weights @ slope)(at) == pytest.approx(at @ slope, abs=1e-3)
    target = weights @ slope - 2 * weights[:, 0] * weights[:, 2]
    model = candidates(weights, target)[0]
    assert model.kind == "quadratic" and model.error < 1e-4
    assert model.fit(weights, target)(at) == pytest.approx(at @ slope - 2 * at[:, 0] * at[:, 2], abs=1e-3)


def test_trees_win_where_the_truth_has_steps() -> None:
    pytest.importorskip("lightgbm")
    weights = proxies(150, 2)
    target = (np.floor(weights[:, 0] * 10) % 2) + 3.0
    assert candidates(weights, target)[0].kind == "lightgbm"


def test_without_lightgbm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regression, "find_spec", lambda name: None)
    assert {model.kind for model in candidates(proxies(8), np.arange(8.0))} == {"linear", "quadratic"}


def test_the_bootstrap_covers_the_truth() -> None:
    """Of 40 noisy experiments the true value lies between the 5 and 95 % quantiles nine times in ten, about."""
    slope, at = np.array([3.0, 2.5, 2.0, 4.0]), np.full((1, 4), 0.25)
    inside = 0
    for seed in range(40):
        weights = proxies(30, seed=seed)
        target = weights @ slope + np.random.default_rng(100 + seed).normal(0, 0.1, 30)
        drawn = bootstrap(Model("linear", 0, 0, 1e-3), weights, target, at, seed, 100)[:, 0]
        low, high = np.quantile(drawn, [0.05, 0.95])
        inside += low <= slope.mean() <= high
    assert 28 <= inside <= 40  # 36 expected; the bootstrap is a little narrow at 30 proxies
    again = bootstrap(Model("linear", 0, 0, 1e-3), weights, target, at, 39, 100)[:, 0]
    assert np.array_equal(drawn, again)


def test_rank_correlation() -> None:
    assert rank_correlation(np.array([1.0, 5.0, 2.0]), np.array([10.0, 30.0, 20.0])) == pytest.approx(1)
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    assert rank_correlation(np.array([1.0]), np.array([3.0])) == 0
