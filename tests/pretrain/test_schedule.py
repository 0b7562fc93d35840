"""The learning rate at every step against the schedules' own formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pretrain.config import OptimConfig
from pretrain.schedule import lr_share


def shares(steps: int, **options: Any) -> list[float]:
    return [lr_share(step, steps, OptimConfig(**options)) for step in range(steps)]


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "linear", "constant"])
def test_warm_up_is_a_straight_line_to_the_peak(schedule: str) -> None:
    for given in (10, 0.1):
        found = shares(100, schedule=schedule, warmup=given)
        assert found[:10] == pytest.approx([k / 10 for k in range(1, 11)])
        assert max(found) == 1.0


def test_cosine() -> None:
    found = shares(120, warmup=20, min_lr_share=0.2)
    for step in range(20, 120):
        x = (step - 20) / 100
        assert found[step] == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi * x)) / 2)
    assert found[70] == pytest.approx(0.6)


def test_warm_up_stable_decay() -> None:
    found = shares(100, schedule="wsd", warmup=10, decay=20, min_lr_share=0.1)
    assert found[10:80] == [1.0] * 70
    assert found[80:] == pytest.approx([1 - 0.9 * k / 20 for k in range(1, 21)])
    assert found == shares(100, schedule="wsd", warmup=0.1, decay=0.2, min_lr_share=0.1)


def test_linear_to_zero_and_constant() -> None:
    found = shares(110, schedule="linear", warmup=10)
    assert found[10:] == pytest.approx([1 - k / 100 for k in range(100)])
    assert shares(50, schedule="constant", warmup=0) == [1.0] * 50


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "linear", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_few_steps_and_long_warm_ups(schedule: str, steps: int) -> None:
    for warmup in (0, 0.1, 1, 50, 0.99):
        found = shares(steps, schedule=schedule, warmup=warmup, decay=1000)
        assert all(0 < share <= 1 for share in found)
