"""LightGBM's trees as the complete binary trees of `native.trees`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..native.trees import Forest


def below(threshold: float) -> np.float32:
    """The greatest float32 that is not above a threshold: `x <= t` then holds for the same float32 x."""
    nearest = np.float32(threshold)
    return nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf))


def forest(trees: Sequence[dict[str, Any]], depth: int) -> Forest:
    """From the `tree_info` entries of a booster's `dump_model()`; no tree may be deeper than `depth`."""
    inner = 2**depth - 1
    feature = np.zeros((len(trees), inner), np.int16)
    threshold = np.full((len(trees), inner), np.inf, np.float32)
    leaf = np.zeros((len(trees), inner + 1), np.float32)
    for number, tree in enumerate(trees):
        pending: list[tuple[dict[str, Any], int]] = [(tree["tree_structure"], 0)]
        while pending:
            node, at = pending.pop()
            if "leaf_value" in node:
                while at < inner:  # tests that always hold lead down to the left
                    at = 2 * at + 1
                leaf[number, at - inner] = node["leaf_value"]
                continue
            if node["decision_type"] != "<=":
                raise ValueError(f"a tree tests by {node['decision_type']}, not by <=")
            feature[number, at] = node["split_feature"]
            threshold[number, at] = below(node["threshold"])
            pending.append((node["right_child"], 2 * at + 2))
            pending.append((node["left_child"], 2 * at + 1))
    return Forest(feature, threshold, leaf)
