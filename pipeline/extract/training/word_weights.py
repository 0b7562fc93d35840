"""Weights of words: logistic regressions on the words around a block, in it, and in the heading above it.

x counts how often each word occurs there, y says whether the block belongs to the main content. Only words that
several groups of pages have take part, so that none is learnt from one site.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .dataset import Example

MIN_GROUPS = 15
RIDGE = {"attributes": 5000.0, "own": 600.0, "heading": 600.0}
"""L2 penalty on each weight. Attributes are judged by blocks weighted by the root of their length, about 8 on average;
words of the text by blocks of equal weight, since it is the short ones that they tell apart."""

MAX_WEIGHT = 3.0
MAX_LETTERS = 24


def fit_words(examples: Sequence[Example], which: str) -> dict[str, float]:
    """Weight by word of the bags of that name; zero weights are left out. Deterministic."""
    from scipy.optimize import minimize
    from scipy.sparse import csr_matrix

    groups_of: dict[str, set[int]] = {}
    for example in examples:
        for bag in example.bags[which].bags:
            for word, _ in bag:
                groups_of.setdefault(word, set()).add(example.group)
    usual = sorted(w for w, groups in groups_of.items() if len(groups) >= MIN_GROUPS and len(w) <= MAX_LETTERS)
    known = {word: i for i, word in enumerate(usual)}
    columns: list[int] = []
    counts: list[int] = []
    ends, labels, weights = [0], [], []
    for example in examples:
        sums = np.zeros((len(example.bags[which].bags), 2))
        with_label = example.labels >= 0
        weight_of = example.weights if which == "attributes" else np.ones(len(example.labels))
        np.add.at(sums, (example.bags[which].of_block[with_label], example.labels[with_label]), weight_of[with_label])
        for bag, by_label in zip(example.bags[which].bags, sums.tolist(), strict=True):
            pairs = [(known[w], n) for w, n in bag if w in known]
            for label, weight in enumerate(by_label):
                if weight > 0:
                    columns.extend(i for i, _ in pairs)
                    counts.extend(n for _, n in pairs)
                    ends.append(len(columns))
                    labels.append(label)
                    weights.append(weight)
    x = csr_matrix((np.array(counts, np.float64), columns, ends), shape=(len(labels), len(known)))
    x.data = np.minimum(x.data, 4)
    y, w = np.array(labels, np.float64), np.array(weights)

    def loss(b):  # type: ignore[no-untyped-def]
        z = x @ b[:-1] + b[-1]
        p = 1 / (1 + np.exp(-z))
        slope = w * (p - y)
        value = np.sum(w * (np.logaddexp(0, z) - y * z)) + RIDGE[which] / 2 * np.sum(b[:-1] ** 2)
        return value, np.append(x.T @ slope + RIDGE[which] * b[:-1], slope.sum())

    found = minimize(loss, np.zeros(len(known) + 1), jac=True, method="L-BFGS-B", options={"maxiter": 80})
    rounded = {word: round(float(np.clip(found.x[i], -MAX_WEIGHT, MAX_WEIGHT)), 2) for word, i in known.items()}
    return {word: weight for word, weight in rounded.items() if weight}
