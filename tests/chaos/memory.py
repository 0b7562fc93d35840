"""Ray's own memory monitor, set so low that a task of a few gigabytes is killed, and a runner with such a task."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.runner import RayRunner, Task
from pipeline.runner.base import Observer, Silent

ABOVE_BYTES = 3 << 30
"""The limit, above what the machine uses when it is set: a Ray of two workers takes 0.6 GB, other tests some more."""
EATEN_BYTES = 2 * ABOVE_BYTES
"""What the greedy task takes at most, for other processes may end meanwhile."""
PIECE_BYTES = 32 << 20
SETTINGS = ("RAY_memory_usage_threshold", "RAY_memory_monitor_refresh_ms", "RAY_min_memory_free_bytes")


def too_little_memory() -> str:
    """Why the limit can't be tried here; "" where it can."""
    used, total = _used_and_total()
    return "" if total - used > EATEN_BYTES + ABOVE_BYTES / 2 else f"{(total - used) / 1e9:.1f} GB of memory are free"


def _used_and_total() -> tuple[int, int]:
    """Bytes of memory as Ray's monitor counts them: the cgroup's without file caches, else the machine's."""
    from ray._common.utils import get_system_memory
    from ray._private.utils import get_used_memory

    return get_used_memory(), get_system_memory()


@contextmanager
def low_limit() -> Iterator[None]:
    """A Ray that is started in the block kills tasks when the machine uses `ABOVE_BYTES` more than now."""
    used, total = _used_and_total()
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(zip(SETTINGS, (f"{(used + ABOVE_BYTES) / total:.6f}", "100", "-1"), strict=True))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass(frozen=True)
class Greedy:
    """A payload whose task takes memory until it is killed, in its first `tries` tries. Each leaves a mark."""

    payload: Any
    marks: Path
    tries: int


@dataclass(frozen=True)
class Fed:
    """A task's function that takes memory first where the payload says so."""

    function: Any

    def __call__(self, payload: Any) -> dict[str, Any]:
        if not isinstance(payload, Greedy):
            return dict(self.function(payload))
        (payload.marks / str(time.time_ns())).touch()
        if len(list(payload.marks.iterdir())) <= payload.tries:
            _eat()
        return dict(self.function(payload.payload))


def _eat() -> None:
    """Take memory until Ray kills this process. Raises RuntimeError where it doesn't."""
    held = [b"\1" * PIECE_BYTES for _ in range(EATEN_BYTES // PIECE_BYTES)]
    time.sleep(10)
    raise RuntimeError(f"took {len(held) * PIECE_BYTES} bytes and lives")


@dataclass(frozen=True)
class Retries:
    """An observer that notes the tries that failed, and tells another."""

    seen: list[tuple[str, str]]
    other: Observer

    def on_start(self, task: Task) -> None:
        self.other.on_start(task)

    def on_retry(self, task: Task, why: str) -> None:
        self.seen.append((task.name, why))
        self.other.on_retry(task, why)


class GreedyRunner(RayRunner):
    """The middle task of a step is greedy in its first `tries` tries."""

    def __init__(self, marks: Path, tries: int, step: str) -> None:
        super().__init__(workers=2)
        self.marks, self.tries, self.step, self.greedy = marks, tries, step, ""
        self._seen: list[tuple[str, str]] = []
        marks.mkdir()

    @property
    def retried(self) -> list[str]:
        """Why the greedy task was tried again, each time."""
        return [why for name, why in self._seen if name == self.greedy]

    def map(self, function: Any, tasks: Any, *, step: str, observer: Observer | None = None, **more: Any) -> None:
        if step == self.step:
            number = len(tasks) // 2
            self.greedy = tasks[number].name
            payload = Greedy(tasks[number].payload, self.marks, self.tries)
            tasks = [*tasks[:number], replace(tasks[number], payload=payload), *tasks[number + 1 :]]
            function, observer = Fed(function), Retries(self._seen, observer or Silent())
        super().map(function, tasks, step=step, observer=observer, **more)
