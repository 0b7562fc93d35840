"""A task that Ray's own memory monitor kills, at its first try or at each (the scripted ones: test_runner_parts.py)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StepFailed
from pipeline.runner import Task, flight

from .memory import GreedyRunner, low_limit, too_little_memory

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def square(number: int) -> dict[str, Any]:
    return {"square": number * number}


def squares(marks: Path, tries: int) -> tuple[GreedyRunner, dict[str, int], str]:
    """Twelve tasks, one greedy: the runner, the results, and the error that ended it."""
    if lacking := too_little_memory():
        pytest.skip(lacking)
    found: dict[str, int] = {}
    with low_limit(), GreedyRunner(marks, tries, "squares") as runner:
        try:
            runner.map(
                square,
                [Task(str(number), number) for number in range(12)],
                step="squares",
                on_result=lambda task, result: found.__setitem__(task.name, result["square"]),
            )
        except StepFailed as error:
            return runner, found, str(error)
    return runner, found, ""


def test_a_task_that_ray_kills_for_its_memory_is_done_at_the_next_try(tmp_path):
    runner, found, error = squares(tmp_path / "marks", 1)
    assert not error
    assert found == {str(number): number**2 for number in range(12)}
    assert set(runner.retried) == {"it ran out of memory"}
    assert len(list(runner.marks.iterdir())) >= 2, "it was to begin twice"


def test_a_task_that_ray_kills_each_time_ends_the_step_and_says_how_much_it_held(tmp_path, monkeypatch):
    monkeypatch.setattr(flight, "OOM_PAUSES_S", (1.0, 1.0))
    runner, found, error = squares(tmp_path / "marks", 99)
    assert "task '6' ran out of memory 3 times, at last alone on a node" in error
    held = re.search(r"--memory-per-task.*of which killed tasks held ([\d.]+)GB$", error)
    assert held and float(held[1]) > 0.2, "a worker that does nothing holds 0.06"
    assert runner.retried == ["it ran out of memory"] * 2
    assert {name: square for name, square in found.items() if square != int(name) ** 2} == {}
    assert len(found) == 11, "the others were to be done"
