"""Logistic regression by iterated least squares with a ridge: a handful of features, the same numbers every time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEPS = 50


def fit_logistic(
    features: NDArray[np.float64], labels: NDArray[np.float64], weights: NDArray[np.float64], ridge: float = 1.0
) -> tuple[NDArray[np.float64], float]:
    """(weights float64[m], bias) for features float64[n, m], labels 0 or 1 and row weights; the bias has no ridge."""
    x = np.hstack([features, np.ones((len(features), 1))])
    row = weights * len(weights) / weights.sum()
    penalty = ridge * np.eye(x.shape[1])
    penalty[-1, -1] = 0
    beta = np.zeros(x.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        curve = (x * (row * p * (1 - p))[:, None]).T @ x + penalty
        step = np.linalg.solve(curve, x.T @ (row * (labels - p)) - penalty @ beta)
        beta = beta + step
        if np.abs(step).max() < 1e-9:
            break
    return beta[:-1], float(beta[-1])
