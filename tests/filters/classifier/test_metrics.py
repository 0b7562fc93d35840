"""Figures against scikit-learn and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.classifier import metrics


def by_hand(scores, positive):
    pairs = [
        (a, b)
        for a, p in zip(scores, positive, strict=True)
        if p
        for b, q in zip(scores, positive, strict=True)
        if not q
    ]
    return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_auc_by_hand(rows):
    scores, positive = [r[0] for r in rows], [r[1] for r in rows]
    if all(positive) or not any(positive):
        assert np.isnan(metrics.roc_auc(scores, positive))
    else:
        assert metrics.roc_auc(scores, positive) == pytest.approx(by_hand(scores, positive))


def test_same_as_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(3)
    for ties in (1, 3, 12):
        truth = random.random(500) < 0.3
        scores = np.round(random.normal(size=500) + truth, ties)
        assert metrics.roc_auc(scores, truth) == pytest.approx(reference.roc_auc_score(truth, scores))
        assert metrics.average_precision(scores, truth) == pytest.approx(
            reference.average_precision_score(truth, scores)
        )


def test_rates_at_the_threshold():
    found = metrics.rates([0.1, 0.5, 0.5, 0.9], [False, True, False, True], 0.5)
    assert found == (2 / 3, 1.0, 0.5, 0.75)
    assert np.isnan(metrics.rates([0.1], [True], 0.5).precision)


def test_thresholds():
    scores, truth = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [False, True, False, True, False, True]
    assert metrics.threshold_for_precision(scores, truth, 1.0) == 0.6
    assert metrics.threshold_for_precision(scores, truth, 2 / 3) == 0.4
    assert np.isnan(metrics.threshold_for_precision([0.5, 0.4], [False, True], 0.9))
    for wanted, limit in ((0.0, 0.6), (1 / 3, 0.4), (0.5, 0.4), (1.0, 0.1)):
        found = metrics.threshold_for_false_positives(scores, truth, wanted)
        assert found == limit and metrics.rates(scores, truth, found).false_positive_rate <= wanted
    above = metrics.threshold_for_false_positives([0.9, 0.1], [False, True], 0.0)
    assert above > 0.9 and metrics.rates([0.9, 0.1], [False, True], above).false_positive_rate == 0


def test_intervals_hold_the_value_and_grow_with_groups():
    random = np.random.default_rng(5)
    groups = np.repeat(np.arange(20), 30)
    shift = random.normal(size=20)[groups]
    truth = random.random(600) < 0.5
    scores = random.normal(size=600) + truth + 2 * shift * (2 * truth - 1)
    alone = metrics.bootstrap_auc(scores, truth, draws=200)
    grouped = metrics.bootstrap_auc(scores, truth, groups, draws=200)
    assert alone.low < alone.value < alone.high
    assert grouped.high - grouped.low > alone.high - alone.low
    assert metrics.bootstrap_auc(scores, truth, draws=200) == alone
    noise = random.normal(size=600)
    lead = metrics.paired_auc(scores, noise, truth, draws=200)
    assert lead.value == pytest.approx(metrics.roc_auc(scores, truth) - metrics.roc_auc(noise, truth))
    assert metrics.paired_auc(scores, scores, truth, draws=50) == (0, 0, 0)


def test_bad_input():
    with pytest.raises(ValueError, match="as many"):
        metrics.roc_auc([1.0], [True, False])
    with pytest.raises(ValueError, match="not a number"):
        metrics.roc_auc([float("nan"), 1.0], [True, False])
    assert np.isnan(metrics.roc_auc([], [])) and np.isnan(metrics.average_precision([], []))
