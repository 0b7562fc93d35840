"""Trees in flat arrays: against LightGBM's own answers, leaf by leaf, and against a walk in plain Python."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.native.trees import Forest
from pipeline.extract.training.export import below, forest

DEPTH = 4
ZERO = np.float32(1e-35)


def walk(trees: Forest, tree: int, column: np.ndarray) -> np.float32:
    """The leaf of one tree for one column of features, by the definition in the module's docstring."""
    at, inner = 0, trees.feature.shape[1]
    while at < inner:
        at = 2 * at + 1 + int(column[trees.feature[tree, at]] > trees.threshold[tree, at])
    return trees.leaf[tree, at - inner]


def summed(trees: Forest, matrix: np.ndarray) -> np.ndarray:
    totals = []
    for column in matrix.T:
        total = np.float32(0)
        for tree in range(len(trees.feature)):
            total = np.float32(total + walk(trees, tree, column))
        totals.append(total)
    return np.array(totals, np.float32)


@st.composite
def forests(draw):
    count, depth, features = draw(st.integers(0, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    steps = np.array([-1, 0, 0.5, 1, np.inf], np.float32)
    inner = 2**depth - 1
    trees = Forest(
        random.integers(0, features, (count, inner)).astype(np.int16),
        random.choice(steps, (count, inner)).astype(np.float32),
        random.normal(size=(count, inner + 1)).astype(np.float32),
    )
    blocks = draw(st.integers(0, 9))
    return trees, random.choice(np.append(steps, np.float32(7)), (features, blocks)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(forests())
def test_the_kernel_walks_as_defined(made):
    trees, matrix = made
    assert np.array_equal(trees.log_odds(matrix), summed(trees, matrix))
    probability = trees.probability(matrix)
    assert np.allclose(probability, 1 / (1 + np.exp(-summed(trees, matrix).astype(np.float64))), atol=1e-6)


@settings(max_examples=300, deadline=None)
@given(st.floats(-1e30, 1e30), st.integers(-3, 3))
def test_thresholds_decide_every_float32_as_the_double_does(threshold, ulps):
    x = np.float32(threshold)
    for _ in range(abs(ulps)):
        x = np.nextafter(x, np.float32(np.inf if ulps > 0 else -np.inf))
    assert (float(x) <= threshold) == bool(x <= below(threshold))


def trained(objective="binary", classes=1):
    random = np.random.default_rng(5)
    # few values a feature, some that float32 can't hold exactly, and ties: where export could go wrong
    values = np.array([0, 1, -1, 1 / 3, 0.1, 1e-40, -1e-40, 16777217, 1e20], np.float32)
    x = np.column_stack(
        [random.choice(values, 1500), random.normal(size=1500), random.integers(0, 4, 1500), np.full(1500, 2.0)]
    ).astype(np.float32)
    y = (x[:, 0] > 0.2).astype(int) ^ (x[:, 1] > 0.3).astype(int)
    if classes > 1:
        y = (y + x[:, 2].astype(int)) % (classes - 1)  # the last class never occurs
    settings_ = {"objective": objective, "num_leaves": 9, "max_depth": DEPTH, "verbose": -1, "seed": 3,
                 "min_data_in_leaf": 5, "num_threads": 1, "deterministic": True, "max_bin": 31}  # fmt: skip
    if classes > 1:
        settings_["num_class"] = classes
    return lightgbm.train(settings_, lightgbm.Dataset(x, y), 12), x


def edges(booster, x):
    """Rows with values at, right below and right above every threshold of the booster."""
    rows = [x[:400]]

    def visit(node):
        if "split_feature" not in node:
            return
        nearest = np.float32(node["threshold"])
        for value in (nearest, np.nextafter(nearest, np.float32(np.inf)), np.nextafter(nearest, np.float32(-np.inf))):
            if abs(value) == ZERO:
                continue  # of a row's own values LightGBM takes those up to it for 0
            changed = x[:3].copy()
            changed[:, node["split_feature"]] = value
            rows.append(changed)
        visit(node["left_child"])
        visit(node["right_child"])

    for tree in booster.dump_model()["tree_info"]:
        visit(tree["tree_structure"])
    return np.concatenate(rows)


def test_each_exported_tree_reaches_lightgbms_leaf():
    booster, x = trained()
    trees = forest(booster.dump_model()["tree_info"], DEPTH)
    rows = edges(booster, x)
    leaves = booster.predict(rows, pred_leaf=True)
    assert leaves.shape[1] == len(trees.feature) == 12 and len(np.unique(leaves)) > 4
    for tree in range(leaves.shape[1]):
        expected = [np.float32(booster.get_leaf_output(tree, leaf)) for leaf in leaves[:, tree]]
        assert [walk(trees, tree, row) for row in rows] == expected
    assert np.allclose(trees.log_odds(rows.T.copy()), booster.predict(rows, raw_score=True), atol=1e-5)
    assert np.allclose(trees.probability(rows.T.copy()), booster.predict(rows), atol=1e-6)


def test_one_forest_a_class_agrees_with_a_multiclass_booster_also_for_a_class_that_never_occurs():
    booster, x = trained("multiclass", 4)
    infos = booster.dump_model()["tree_info"]
    rows = edges(booster, x)
    mine = np.column_stack([forest(infos[k::4], DEPTH).log_odds(rows.T.copy()) for k in range(4)])
    assert np.allclose(mine, booster.predict(rows, raw_score=True), rtol=1e-5, atol=1e-5)
    assert (mine.argmax(axis=1) != 3).all()


def test_a_tree_of_one_leaf_gives_it_everywhere():
    trees = forest([{"tree_structure": {"leaf_value": 0.25}}], 3)
    wild = np.array([[np.inf, -np.inf, np.nan, 0, 3e38]], np.float32)
    assert trees.log_odds(wild).tolist() == [0.25] * 5


def test_no_tree_gives_even_odds():
    assert forest([], 3).probability(np.ones((2, 3), np.float32)).tolist() == [0.5] * 3


def test_what_the_arrays_cannot_hold_is_refused():
    leaf = {"leaf_value": 1.0}
    split = {"split_feature": 0, "threshold": 1.0, "decision_type": "<=", "left_child": leaf, "right_child": leaf}
    with pytest.raises(ValueError, match="=="):
        forest([{"tree_structure": split | {"decision_type": "=="}}], 2)
    with pytest.raises(IndexError):
        forest([{"tree_structure": split | {"left_child": split}}], 1)
