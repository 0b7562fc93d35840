"""From logits to the label probabilities that fastText's `predict` returns (its loss.cc), in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ADDED = 1e-5
"""fastText reports exp(log(p + 1e-5)), so that a probability may be up to 1.00001."""


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of n x labels logits; n x 1 is the difference of the second label's from the first's."""
    if logits.shape[1] == 1:
        with np.errstate(over="ignore"):
            second = 1 / (1 + np.exp(-logits))
            first = 1 / (1 + np.exp(logits))
        return np.hstack([first, second]) + ADDED
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True) + ADDED


_SIGMOID_LIMIT, _SIGMOID_STEPS = 8.0, 512
_SIGMOID = 1 / (1 + np.exp(-(np.arange(_SIGMOID_STEPS + 1) * 2 * _SIGMOID_LIMIT / _SIGMOID_STEPS - _SIGMOID_LIMIT)))


def one_versus_all(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each label by itself, by fastText's table of 512 steps."""
    clipped = np.clip(logits, -_SIGMOID_LIMIT, _SIGMOID_LIMIT)
    at = ((clipped + _SIGMOID_LIMIT) * _SIGMOID_STEPS / _SIGMOID_LIMIT / 2).astype(np.int64)
    found = _SIGMOID[at]
    found[logits < -_SIGMOID_LIMIT] = 0.0
    found[logits > _SIGMOID_LIMIT] = 1.0
    return found + ADDED


def tree(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The Huffman tree over labels in falling order of count: [inner nodes, 2], the left and right child of each.

    Nodes below len(counts) are labels, node len(counts) + i is the i-th inner one; children come before parents.
    """
    n = len(counts)
    weight = np.full(max(2 * n - 1, 1), 10**15, np.int64)
    weight[:n] = counts
    children = np.zeros((max(n - 1, 0), 2), np.int64)
    leaf, node = n - 1, n
    for i in range(n, 2 * n - 1):
        for side in range(2):
            if leaf >= 0 and weight[leaf] < weight[node]:
                children[i - n, side], leaf = leaf, leaf - 1
            else:
                children[i - n, side], node = node, node + 1
        weight[i] = weight[children[i - n]].sum()
    return children


def hierarchical(logits: NDArray[np.float64], children: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities of all labels, n x labels: the product along each label's path of a tree of `children`."""
    inner = len(children)
    labels = inner + 1
    score = np.zeros((labels + inner, len(logits)))  # logarithms
    with np.errstate(over="ignore"):
        right = 1 / (1 + np.exp(-np.ascontiguousarray(logits[:, :inner].T)))
    log_right, log_left = np.log(right + ADDED), np.log(1 - right + ADDED)
    for i in range(inner - 1, -1, -1):
        score[children[i, 0]] = score[labels + i] + log_left[i]
        score[children[i, 1]] = score[labels + i] + log_right[i]
    return np.exp(score[:labels].T)
