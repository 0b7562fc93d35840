"""What a step tells whoever watches it: its rounds of tasks, and what becomes of each task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from ..runner import Task


@dataclass(frozen=True)
class TaskCost:
    """What a finished task took: seconds of a core, and the most memory that its process and children ever held.

    `first`: the first of its kind in its process, which had models to load and kernels to compile.
    """

    worker: str
    wall_s: float
    peak_bytes: int
    first: bool


class Phase(Protocol):
    """A round of tasks of a step (one `context.map`); the first two methods are those of a runner's observer."""

    def on_start(self, task: Task) -> None:
        """The task was handed out."""
        ...

    def on_retry(self, task: Task, why: str) -> None:
        """A try failed or was lost, and the task is to be run again."""
        ...

    def done(self, task: Task, cost: TaskCost, result: Mapping[str, Any]) -> None:
        """The task is finished, and marked so."""
        ...


class Watch(Protocol):
    """Sees the rounds of all steps."""

    def phase(
        self, step: str, label: str, unit: str, tasks: Sequence[Task], done: int
    ) -> AbstractContextManager[Phase]:
        """A round of tasks begins, `done` of which an earlier run finished."""
        ...


class _Nothing:
    def on_start(self, task: Task) -> None:
        return None

    def on_retry(self, task: Task, why: str) -> None:
        return None

    def done(self, task: Task, cost: TaskCost, result: Mapping[str, Any]) -> None:
        return None


class Unwatched:
    """What watches steps that nobody watches."""

    @contextmanager
    def phase(self, step: str, label: str, unit: str, tasks: Sequence[Task], done: int) -> Iterator[Phase]:
        yield _Nothing()
