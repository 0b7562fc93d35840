"""The cut of a ranking against sorting it whole, and budgets."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtures.selection_budget import Budget
from mixtures.selection_cut import Ranked, find_cut, ordered
from pipeline.errors import ConfigError

Row = tuple[int, int, int]
KEYS = st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1), st.sampled_from([0, 2**64 - 1, 2**63, 2**40]))
SHARDS = st.lists(st.lists(st.tuples(KEYS, KEYS, st.integers(0, 9)), max_size=12), max_size=4)


def blocks(shards: list[list[Row]]) -> Iterator[Ranked]:
    for number, rows in enumerate(shards):
        keys, ties, sizes = zip(*rows, strict=True) if rows else ((), (), ())
        where = np.arange(len(rows)) * 2  # rows between are of another group
        yield Ranked(number, where, *(np.array(x, t) for x, t in ((keys, "u8"), (ties, "u8"), (sizes, "i8"))))


def longest_head(shards: list[list[Row]], budget: int) -> set[tuple[int, int]]:
    everything = [(-k, -t, s, 2 * r, size) for s, rows in enumerate(shards) for r, (k, t, size) in enumerate(rows)]
    kept, total = set(), 0
    for _, _, shard, row, size in sorted(everything):
        total += size
        if total > budget:
            break
        kept.add((shard, row))
    return kept


@settings(max_examples=400, deadline=None)
@given(SHARDS, st.integers(0, 150), st.sampled_from([1, 3, 1000]))
def test_the_cut_is_that_of_a_sort(shards: list[list[Row]], budget: int, max_sorted: int) -> None:
    cut = find_cut(lambda: blocks(shards), budget, max_sorted)
    kept = {(b.shard, int(r)) for b in blocks(shards) for r, k in zip(b.rows, cut.before(b), strict=True) if k}
    assert kept == longest_head(shards, budget)
    assert cut.kept == len(kept)
    assert cut.size == sum(shards[s][r // 2][2] for s, r in kept)


def test_many_documents_with_one_key_and_tie() -> None:
    rng = random.Random(3)
    shards = [[(7, 5, rng.randrange(1, 4)) for _ in range(3000)] for _ in range(3)]
    cut = find_cut(lambda: blocks(shards), 9000, 10)
    kept = {(b.shard, int(r)) for b in blocks(shards) for r, k in zip(b.rows, cut.before(b), strict=True) if k}
    assert kept == longest_head(shards, 9000) and 8990 < cut.size <= 9000


@given(st.lists(st.floats(allow_nan=False), min_size=2))
def test_keys_are_ordered_as_numbers(values: list[float]) -> None:
    keys = ordered(np.array(values)).tolist()
    for a, b in zip(values, values[1:], strict=False):
        i, j = keys[values.index(a)], keys[values.index(b)]
        assert (a < b) == (i < j) and (a == b) == (i == j)
    assert min(keys) > 0


@pytest.mark.parametrize(
    ("text", "total", "expected", "unit"),
    [
        ("1000", 50, 1000, "documents"),
        (1000, 50, 1000, "documents"),
        (1e3, 50, 1000, "documents"),
        ("10%", 59, 5, "documents"),
        ("0.1 %", 3000, 3, "documents"),
        ("2e9 tokens", 0, 2_000_000_000, "tokens"),
        ("1.5M bytes", 0, 1_500_000, "bytes"),
        ("2B tokens", 0, 2_000_000_000, "tokens"),
        ("10_000 documents", 0, 10_000, "documents"),
        ("7 document", 0, 7, "documents"),
        ("100% tokens", 77, 77, "tokens"),
    ],
)
def test_budgets(text: object, total: int, expected: int, unit: str) -> None:
    budget = Budget.parse(text, "step")
    assert budget.of(total) == expected and budget.unit == unit


@pytest.mark.parametrize(
    "text", ["", "0", "0%", "101%", "0.5", "-3", "5 pages", "1e9 tokens please", "%", True, None, math.inf, math.nan]
)
def test_budgets_that_mean_nothing(text: object) -> None:
    with pytest.raises(ConfigError, match="keep"):
        Budget.parse(text, "step 'select_top'")


def test_shares_are_exact() -> None:
    assert Budget.parse("0.1%", "x").amount == Fraction(1, 1000)
    assert Budget.parse("29%", "x").of(100) == 29  # in floating point 28.999...
