"""What all runners share: tasks, what a task asks of a machine, and who is told how it went."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import StepFailed

Function = Callable[[Any], dict[str, Any]]
OnResult = Callable[["Task", dict[str, Any]], None]


@dataclass(frozen=True)
class Task:
    """A unit of work: `name` is unique within its step, `payload` is picklable and small.

    `size` (any unit, alike for all tasks of a step) lets the long ones start first, so that none is left for the end.
    """

    name: str
    payload: Any
    size: int = 0


@dataclass(frozen=True)
class Resources:
    """What a task asks of a machine. Only scheduling reads it: it enters no fingerprint and changes no byte.

    `memory_bytes`: 0 asks for none in particular. `cpus`: cores that a task keeps busy.
    """

    memory_bytes: int = 0
    cpus: float = 1.0

    def __or__(self, other: Resources) -> Resources:
        """What is enough for either."""
        return Resources(max(self.memory_bytes, other.memory_bytes), max(self.cpus, other.cpus))


class Observer(Protocol):
    """Is told of each task's fate, in the driver's main thread. Results carry `worker` and `node` by then."""

    def on_start(self, task: Task) -> None:
        """The task was handed out (on a cluster: it may still wait for a free core). Again at every new try."""
        ...

    def on_retry(self, task: Task, why: str) -> None:
        """A try failed or was lost, and the task goes to the queue again."""
        ...


class Silent:
    """The observer that does nothing."""

    def on_start(self, task: Task) -> None:
        return None

    def on_retry(self, task: Task, why: str) -> None:
        return None


class Runner(Protocol):
    """Runs tasks; a context manager, for it may hold a cluster."""

    workers: int

    def map(
        self,
        function: Function,
        tasks: Sequence[Task],
        *,
        step: str,
        on_result: OnResult,
        resources: Resources = ...,
        observer: Observer | None = None,
    ) -> None:
        """Run `function(task.payload)` for all tasks; raise StepFailed when one fails for good."""
        ...

    def __enter__(self) -> Runner: ...

    def __exit__(self, *exc: object) -> None: ...


def available_cpus() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def call(function: Function, payload: Any, node: str = "") -> dict[str, Any]:
    """Run a task's function and say who did: `worker` is `host:pid`, `node` a cluster node's id."""
    return {**function(payload), "worker": f"{socket.gethostname()}:{os.getpid()}", "node": node}


def failed(step: str, task: Task, attempts: int, why: str) -> StepFailed:
    """The error for a task that is given up."""
    return StepFailed(
        f"step '{step}', task '{task.name}' failed {attempts} time(s): {why}. "
        "What is finished is kept: mend the cause and run the same command again to go on from there"
    )


def said(error: BaseException) -> str:
    """An error's kind and message, without the traceback that some of Ray's carry within it."""
    before, _, traced = str(error).partition("Traceback (most recent call last)")
    message = before.strip().removesuffix("traceback:").strip() or (traced.strip().splitlines() or [""])[-1].strip()
    return f"{type(error).__name__}: {message}"
