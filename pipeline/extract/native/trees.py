"""Gradient-boosted trees as complete binary trees in flat arrays, and their sum over the blocks of a page.

Node k of a tree tests `x[feature] <= threshold` and goes to node 2k+1 if it holds, else to 2k+2; after `depth`
tests the number tells the leaf. A branch that ends earlier is filled up with tests that always hold. So the
walk has no branches to mispredict and no children to load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...kernels import kernel


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees of one judge: feature int16 and threshold float32 [trees, 2^depth - 1], leaf float32 [trees, 2^depth]."""

    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    leaf: NDArray[np.float32]

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sum of the leaves that each column of matrix (float32[features, blocks]) falls in."""
        total = np.zeros(matrix.shape[1], np.float32)
        sum_of_trees(matrix, self.feature, self.threshold, self.leaf, total)
        return total

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """The log-odds through the logistic function."""
        return 1 / (1 + np.exp(-self.log_odds(matrix)))


@kernel
def sum_of_trees(matrix, feature, threshold, leaf, total):
    """Add the trees' leaves for each column of matrix to total."""
    n = matrix.shape[1]
    inner = feature.shape[1]
    depth = 0
    while (1 << depth) - 1 < inner:
        depth += 1
    at = np.zeros(n, np.uint32)
    for tree in range(feature.shape[0]):
        features = feature[tree]
        thresholds = threshold[tree]
        root = matrix[features[0]]
        limit = thresholds[0]
        for b in range(n):
            at[b] = np.uint32(1) + np.uint32(root[b] > limit)
        for _ in range(depth - 1):
            for b in range(n):
                k = at[b]
                at[b] = np.uint32(2) * k + np.uint32(1) + np.uint32(matrix[features[k], b] > thresholds[k])
        leaves = leaf[tree]
        for b in range(n):
            total[b] += leaves[at[b] - np.uint32(inner)]
