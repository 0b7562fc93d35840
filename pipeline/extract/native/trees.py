"""Gradient-boosted trees as complete binary trees in flat arrays, and their sum over the blocks of a page.

Node k of a tree tests `x[feature] <= threshold` and goes to node 2k+1 if it holds, else to 2k+2; after `depth`
tests the number tells the leaf. A branch that ends earlier is filled up with tests that always hold.

The sum does not walk: each test that fails strikes the leaves to the left of it out of a set of bits, whatever the
order of the tests, and the leaf reached is the lowest one left (QuickScorer, Lucchese and others 2015). So one test
runs over many blocks at once with vector instructions, and the tests that always hold cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import kernel

MAX_LEAVES = 64
_NONE, _ALL = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)
_SEQUENCE = np.uint64(0x03F79D71B4CB0A89)  # de Bruijn: its 64 runs of 6 bits all differ, so that a lone bit is numbered
_TOP = np.uint64(58)
_PLACE_OF_LEAF = np.array([(int(_SEQUENCE) << bit & int(_ALL)) >> 58 for bit in range(64)])


@dataclass(frozen=True)
class Forest:
    """Trees of one judge: feature int16 and threshold float32 [trees, 2^depth - 1], leaf float32 [trees, 2^depth].

    Raises ValueError for trees of more than MAX_LEAVES leaves.
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    leaf: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.leaf.shape[1] > MAX_LEAVES:
            raise ValueError(f"a tree has {self.leaf.shape[1]} leaves, more than {MAX_LEAVES}")

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sum of the leaves that each column of matrix (float32[features, blocks]) falls in."""
        total = np.zeros(matrix.shape[1], np.float32)
        sum_of_trees(matrix, *self._tests, np.empty(len(total), np.uint64), total)
        return total

    def probability(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """The log-odds through the logistic function."""
        return np.asarray(1 / (1 + np.exp(-self.log_odds(matrix))), np.float32)

    @cached_property
    def _tests(self) -> tuple[NDArray[Any], ...]:
        """Of the tests that can fail: feature, threshold, the leaves that stay; per tree: their end, its leaves."""
        trees, inner = self.feature.shape
        stay = np.empty(inner, np.uint64)
        for node in range(inner):
            level = (node + 1).bit_length() - 1
            width = (inner + 1) >> level
            first = (node + 1 - (1 << level)) * width
            stay[node] = int(_ALL) ^ ((1 << width // 2) - 1 << first)
        can_fail = self.threshold < np.inf
        leaf = np.zeros((trees, MAX_LEAVES), np.float32)
        leaf[:, _PLACE_OF_LEAF[: inner + 1]] = self.leaf
        return (
            self.feature[can_fail].astype(np.uint32),
            self.threshold[can_fail],
            np.broadcast_to(stay, can_fail.shape)[can_fail],
            np.cumsum(can_fail.sum(axis=1)).astype(np.int64),
            leaf,
        )


@kernel
def sum_of_trees(matrix, feature, threshold, stay, ends, leaf, left, total):
    """Add the trees' leaves for each column of matrix to total; left: uint64 per column, the rest: `Forest._tests`."""
    n = len(total)
    test = 0
    for tree in range(len(ends)):
        for b in range(n):
            left[b] = _ALL
        while test < ends[tree]:
            column = matrix[feature[test]]
            limit = threshold[test]
            mask = stay[test]
            for b in range(n):
                left[b] &= mask if column[b] > limit else _ALL
            test += 1
        leaves = leaf[tree]
        for b in range(n):
            lowest = left[b] & (_NONE - left[b])
            total[b] += leaves[(lowest * _SEQUENCE) >> _TOP]
