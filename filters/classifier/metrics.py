"""How well scores tell two classes apart: ROC-AUC, average precision, rates at a threshold, bootstrap intervals.

`scores` float[n], `positive` bool[n] throughout; a document counts as positive if its score >= threshold.
Definitions: Fawcett 2006 (ROC), Manning et al. 2008 ch. 8 (average precision), Efron and Tibshirani 1993 ch. 13
(percentile intervals); whole groups (sites, sources) are drawn where `groups` are given.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 1000
LEVEL = 0.95


class Rates(NamedTuple):
    """What a threshold does; nan where there is nothing to divide by."""

    precision: float
    recall: float
    false_positive_rate: float
    share: float  # of all documents at or above the threshold


class Interval(NamedTuple):
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def _ordered(scores: ArrayLike, positive: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """(order of falling scores, which of them end a run of ties, positive in that order)."""
    values, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)
    if values.shape != truth.shape or values.ndim != 1:
        raise ValueError(f"as many scores as labels are needed, not {values.shape} and {truth.shape}")
    if np.isnan(values).any():
        raise ValueError("a score is not a number")
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.diff(values[order]) != 0, True) if len(order) else np.zeros(0, bool)
    return order, ends, truth[order]


def _auc(truth: NDArray, ends: NDArray, weights: NDArray) -> float:
    """Area under the ROC curve of ordered documents with weights; nan if a class is missing."""
    positives, negatives = np.cumsum(weights * truth)[ends], np.cumsum(weights * ~truth)[ends]
    if not len(positives) or not positives[-1] or not negatives[-1]:
        return float("nan")
    steps = np.diff(negatives, prepend=0.0)
    heights = (positives + np.concatenate([[0.0], positives[:-1]])) / 2
    return float((steps * heights).sum() / (positives[-1] * negatives[-1]))


def roc_auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Probability that a random positive scores above a random negative (ties half); nan if a class is missing."""
    order, ends, truth = _ordered(scores, positive)
    return _auc(truth, ends, np.ones(len(order)))


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float:
    """Sum of precision times gain in recall over falling thresholds; nan without positives."""
    _, ends, truth = _ordered(scores, positive)
    hits, seen = np.cumsum(truth)[ends], (np.flatnonzero(ends) + 1)
    if not len(hits) or not hits[-1]:
        return float("nan")
    return float((np.diff(hits, prepend=0) / hits[-1] * hits / seen).sum())


def rates(scores: ArrayLike, positive: ArrayLike, threshold: float) -> Rates:
    """Precision, recall and false-positive rate at a threshold."""
    truth = np.asarray(positive, bool)
    said = np.asarray(scores, np.float64) >= threshold
    hits, false = int((said & truth).sum()), int((said & ~truth).sum())

    def part(a: int, b: int) -> float:
        return a / b if b else float("nan")

    return Rates(
        part(hits, hits + false), part(hits, int(truth.sum())), part(false, int((~truth).sum())),
        part(hits + false, len(truth)),
    )  # fmt: skip


def _weights(count: int, groups: ArrayLike | None, draws: int, seed: int) -> NDArray[np.float64]:
    """How often each document is in each draw, [draws, count]; whole groups are drawn."""
    names = np.arange(count) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    size = int(names.max()) + 1 if count else 0
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.integers(0, max(size, 1), (draws, size))
    found = np.stack([np.bincount(row, minlength=size) for row in drawn]) if size else np.zeros((draws, 0))
    return found[:, names].astype(np.float64)


def bootstrap_auc(
    scores: ArrayLike, positive: ArrayLike, groups: ArrayLike | None = None, *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """ROC-AUC with its interval; draws that lack a class are left out."""
    order, ends, truth = _ordered(scores, positive)
    weights = _weights(len(order), groups, draws, seed)
    found = np.array([_auc(truth, ends, row[order]) for row in weights])
    return _interval(roc_auc(scores, positive), found)


def paired_auc(
    one: ArrayLike,
    other: ArrayLike,
    positive: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """ROC-AUC of `one` less that of `other` over the same documents, each draw used for both."""
    sides = [_ordered(one, positive), _ordered(other, positive)]
    weights = _weights(len(sides[0][0]), groups, draws, seed)
    (a, a_ends, a_truth), (b, b_ends, b_truth) = sides
    found = np.array([_auc(a_truth, a_ends, row[a]) - _auc(b_truth, b_ends, row[b]) for row in weights])
    return _interval(roc_auc(one, positive) - roc_auc(other, positive), found)


def _interval(value: float, found: NDArray) -> Interval:
    found = found[~np.isnan(found)]
    if not len(found):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))


def threshold_for_precision(scores: ArrayLike, positive: ArrayLike, wanted: float) -> float:
    """The lowest score at which precision is still `wanted`; nan if none reaches it."""
    order, ends, truth = _ordered(scores, positive)
    at = np.flatnonzero(ends)
    good = at[np.cumsum(truth)[at] / (at + 1) >= wanted]
    return float(np.asarray(scores, np.float64)[order[good[-1]]]) if len(good) else float("nan")


def threshold_for_false_positives(scores: ArrayLike, positive: ArrayLike, wanted: float) -> float:
    """The lowest score at which at most a share `wanted` of negatives lies; just above all negatives if need be."""
    values, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)
    negatives = np.sort(values[~truth])[::-1]
    if not len(negatives):
        return float("nan")
    allowed = int(np.floor(wanted * len(negatives) + 1e-9))
    if allowed >= len(negatives):
        return float(values.min())
    above = values[values > negatives[allowed]]
    return float(above.min()) if len(above) else float(np.nextafter(negatives[0], np.inf))
