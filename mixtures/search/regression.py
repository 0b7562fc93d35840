"""Regressions from weights to held-out bits per byte, chosen by their leave-one-out error, and their uncertainty.

linear      ridge regression on the weights
quadratic   ridge regression on the weights and their products in pairs
lightgbm    gradient-boosted trees, with RegMix's options (Liu et al. 2024), where lightgbm is installed

The intercept is not penalised, the penalty is chosen by leave-one-out error too, in closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Predict = Callable[[Matrix], Matrix]

PENALTIES = tuple(10.0**e for e in range(-6, 3))
MAX_FOLDS = 32
"""LightGBM is fitted so often at most to estimate its error: one proxy left out each, or a part of them."""
LIGHTGBM: dict[str, Any] = {"objective": "regression", "learning_rate": 1e-2, "verbosity": -1, "seed": 42}
ITERATIONS = 1000
BOOTSTRAPS = 200


@dataclass(frozen=True)
class Model:
    """A kind of regression with its penalty.

    `error`: leave-one-out root mean squared error, in bits per byte; `rank`: Spearman's correlation of the
    leave-one-out predictions with the truth.
    """

    kind: str
    error: float
    rank: float
    penalty: float = 0.0

    def fit(self, weights: Matrix, target: Matrix) -> Predict:
        """Fitted to weights float64[n, k] and a target float64[n]."""
        if self.kind == "lightgbm":
            return _fit_lightgbm(weights, target)
        return _fit_ridge(FEATURES[self.kind], self.penalty, weights, target)


def quadratic(weights: Matrix) -> Matrix:
    """The weights and their products in pairs, float64[n, k + k (k - 1) / 2]; squares follow, as weights sum to 1."""
    i, j = np.triu_indices(weights.shape[1], 1)
    return np.concatenate([weights, weights[:, i] * weights[:, j]], axis=1)


def _same(weights: Matrix) -> Matrix:
    return weights


FEATURES: dict[str, Callable[[Matrix], Matrix]] = {"linear": _same, "quadratic": quadratic}


def _solve(x: Matrix, penalty: float) -> Matrix:
    """(x'x + penalty I)^-1 x' of centred x."""
    return np.asarray(np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T))


def _fit_ridge(features: Callable[[Matrix], Matrix], penalty: float, weights: Matrix, target: Matrix) -> Predict:
    x = features(weights)
    middle, mean = x.mean(axis=0), target.mean()
    slope = _solve(x - middle, penalty) @ (target - mean)

    def predict(at: Matrix) -> Matrix:
        return np.asarray((features(at) - middle) @ slope + mean)

    return predict


def ridge_errors(features: Callable[[Matrix], Matrix], penalty: float, weights: Matrix, target: Matrix) -> Matrix:
    """Error at each proxy of the regression on all others, float64[n]: residual / (1 - leverage), which is exact."""
    x = features(weights)
    x = x - x.mean(axis=0)
    hat = x @ _solve(x, penalty) + 1 / len(x)
    return np.asarray((target - hat @ target) / np.maximum(1 - np.diag(hat), 1e-12))


def _fit_lightgbm(weights: Matrix, target: Matrix) -> Predict:
    import lightgbm

    n = len(target)
    options = {**LIGHTGBM, "min_data_in_leaf": min(20, max(2, n // 8)), "num_threads": 1, "deterministic": True}
    data = lightgbm.Dataset(weights, target, params={"min_data_in_bin": 1, "verbosity": -1})
    booster = lightgbm.train(options, data, num_boost_round=ITERATIONS)
    return partial(booster.predict, num_threads=1)


def _lightgbm_errors(weights: Matrix, target: Matrix) -> Matrix:
    n = len(target)
    fold = np.arange(n) % min(n, MAX_FOLDS)
    errors = np.empty(n)
    for one in range(min(n, MAX_FOLDS)):
        out = fold == one
        errors[out] = target[out] - _fit_lightgbm(weights[~out], target[~out])(weights[out])
    return errors


def _model(kind: str, errors: Matrix, target: Matrix, penalty: float = 0.0) -> Model:
    error = float(np.sqrt(np.mean(np.square(errors))))
    return Model(kind, error, rank_correlation(target - errors, target), penalty)


def candidates(weights: Matrix, target: Matrix) -> list[Model]:
    """All kinds of regression with their errors, the best first. Needs three proxies."""
    found = []
    for kind, features in FEATURES.items():
        made = [_model(kind, ridge_errors(features, p, weights, target), target, p) for p in PENALTIES]
        found.append(min(made, key=lambda model: model.error))
    if find_spec("lightgbm") is not None and len(target) >= 4:
        found.append(_model("lightgbm", _lightgbm_errors(weights, target), target))
    return sorted(found, key=lambda model: model.error)


def bootstrap(
    model: Model, weights: Matrix, target: Matrix, at: Matrix, seed: int, count: int = BOOTSTRAPS
) -> NDArray[np.float64]:
    """float64[count, m]: predictions at `at` (float64[m, k]) of regressions on proxies drawn with replacement."""
    out = np.empty((count, len(at)))
    n = len(target)
    for one in range(count):
        rng = np.random.default_rng([seed, one])
        drawn = rng.integers(0, n, n)
        while len(np.unique(drawn)) < min(n, 3):
            drawn = rng.integers(0, n, n)
        out[one] = model.fit(weights[drawn], target[drawn])(at)
    return out


def rank_correlation(a: Matrix, b: Matrix) -> float:
    """Spearman's rank correlation, ties by their order; 0 for fewer than two values."""
    if len(a) < 2:
        return 0.0
    one, other = (np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64) for values in (a, b))
    return float(np.corrcoef(one, other)[0, 1])
