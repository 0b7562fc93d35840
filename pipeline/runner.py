"""The runner: where tasks run. Ray sits behind this module and nowhere else.

A task's function is a module-level callable from a small picklable payload to a small JSON value; it
reads and writes files itself, so that no table of documents passes through the driver. Both runners
give each result to `on_result` as it comes, whatever the order, so that a straggler blocks nobody.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import ConfigError, GristmillError, StepFailed

log = logging.getLogger("gristmill")

Function = Callable[[Any], dict[str, Any]]
OnResult = Callable[["Task", dict[str, Any]], None]


@dataclass(frozen=True)
class Task:
    """A unit of work: `name` is unique within its step, `payload` is picklable and small."""

    name: str
    payload: Any


class Runner(Protocol):
    """Runs tasks; a context manager, for it may hold a cluster."""

    workers: int

    def map(self, function: Function, tasks: Sequence[Task], *, step: str, on_result: OnResult) -> None:
        """Run `function(task.payload)` for all tasks; raise StepFailed when one fails for good."""
        ...

    def __enter__(self) -> Runner: ...

    def __exit__(self, *exc: object) -> None: ...


def available_cpus() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def call(function: Function, payload: Any) -> dict[str, Any]:
    """Run a task's function and say who did: `worker` is `host:pid`."""
    return {**function(payload), "worker": f"{socket.gethostname()}:{os.getpid()}"}


def _probe(address: str) -> None:
    """Raise ConfigError at once where nothing listens at `host:port`; Ray itself would wait for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ConfigError(f"no Ray cluster answers at '{address}': {error}") from error


def _failed(step: str, task: Task, attempts: int, error: BaseException) -> StepFailed:
    return StepFailed(
        f"step '{step}', task '{task.name}' failed {attempts} time(s): {type(error).__name__}: {error}. "
        "What is finished is kept: mend the cause and run the same command again to go on from there"
    )


class InlineRunner:
    """Runs every task in this process, in order. For debugging, tests and small files."""

    workers = 1

    def __init__(self, retries: int = 0) -> None:
        self.retries = retries

    def map(self, function: Function, tasks: Sequence[Task], *, step: str, on_result: OnResult) -> None:
        for task in tasks:
            for attempt in range(self.retries + 1):
                try:
                    result = call(function, task.payload)
                    break
                except GristmillError:
                    raise
                except Exception as error:
                    if attempt == self.retries:
                        raise _failed(step, task, attempt + 1, error) from error
                    log.warning("step '%s', task '%s': %s; trying again", step, task.name, error)
            on_result(task, result)

    def __enter__(self) -> InlineRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


class RayRunner:
    """Runs tasks on Ray: a local cluster that it starts and stops itself, or one named by `address`.

    At most `in_flight_per_worker * workers` tasks are submitted at once. A task that loses its worker
    is run again by Ray, one that raises is run again here, `retries` times each. When nothing is left
    to submit and a task has run `straggler_factor` times as long as the median (and longer than
    `straggler_s`), a second copy is started; the first to finish counts. That is safe because tasks
    write the same bytes under a temporary name and then rename.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        workers: int | None = None,
        retries: int = 3,
        in_flight_per_worker: int = 2,
        straggler_factor: float = 4.0,
        straggler_s: float = 120.0,
        memory_per_task: int | None = None,
    ) -> None:
        self.address = address
        self.workers = workers or available_cpus()
        self.retries = retries
        self.in_flight_per_worker = in_flight_per_worker
        self.straggler_factor = straggler_factor
        self.straggler_s = straggler_s
        self.memory_per_task = memory_per_task
        self._started = False

    def __enter__(self) -> RayRunner:
        try:
            import ray
        except ImportError as error:
            raise ConfigError("Ray is not installed: pip install ray, or use --inline") from error
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address:
            _probe(self.address)
            try:
                ray.init(address=self.address, **options)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise ConfigError(f"no Ray cluster answers at '{self.address}': {error}") from error
            self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
        else:
            ray.init(
                address="local",
                num_cpus=self.workers,
                include_dashboard=False,
                object_store_memory=160 << 20,  # results are small JSON values; Ray's minimum is 75 MB
                **options,
            )
        self._started = True
        return self

    def __exit__(self, *exc: object) -> None:
        if self._started:
            import ray

            ray.shutdown()
            self._started = False

    def map(self, function: Function, tasks: Sequence[Task], *, step: str, on_result: OnResult) -> None:
        import ray

        if not self._started:
            raise StepFailed("RayRunner.map outside its context; write `with RayRunner(...) as runner`")
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": self.retries}
        if self.memory_per_task:
            options["memory"] = self.memory_per_task
        remote = ray.remote(**options)(call)
        waiting = list(reversed(tasks))
        flying: dict[Any, tuple[Task, float]] = {}
        attempts: dict[str, int] = {}
        copies: dict[str, int] = {}
        done: set[str] = set()
        durations: list[float] = []
        limit = max(1, self.in_flight_per_worker * self.workers)

        def submit(task: Task) -> None:
            flying[remote.remote(function, task.payload)] = (task, time.monotonic())
            copies[task.name] = copies.get(task.name, 0) + 1

        try:
            while waiting or any(task.name not in done for task, _ in flying.values()):
                while waiting and len(flying) < limit:
                    submit(waiting.pop())
                ready, _ = ray.wait(list(flying), num_returns=1, timeout=1.0)
                for ref in ready:
                    task, started = flying.pop(ref)
                    copies[task.name] -= 1
                    if task.name in done:
                        continue
                    try:
                        result = ray.get(ref)
                    except ray.exceptions.RayTaskError as error:
                        cause = error.cause if isinstance(error.cause, Exception) else error
                        if isinstance(cause, GristmillError):
                            raise cause from error
                        attempts[task.name] = attempts.get(task.name, 0) + 1
                        if attempts[task.name] > self.retries:
                            raise _failed(step, task, attempts[task.name], cause) from error
                        log.warning("step '%s', task '%s': %s; trying again", step, task.name, cause)
                        waiting.append(task)
                        continue
                    except ray.exceptions.RayError as error:
                        raise _failed(step, task, self.retries + 1, error) from error
                    done.add(task.name)
                    durations.append(time.monotonic() - started)
                    on_result(task, result)
                if not waiting and not ready and durations:
                    self._second_copies(flying, copies, done, durations, submit)
        finally:
            for ref in flying:
                ray.cancel(ref, force=True)

    def _second_copies(
        self,
        flying: dict[Any, tuple[Task, float]],
        copies: dict[str, int],
        done: set[str],
        durations: list[float],
        submit: Callable[[Task], None],
    ) -> None:
        """Start a second copy of each straggler while there are idle workers."""
        median = sorted(durations)[len(durations) // 2]
        late = max(self.straggler_s, self.straggler_factor * median)
        for task, started in list(flying.values()):
            idle = len(flying) < self.workers
            if idle and task.name not in done and copies[task.name] < 2 and time.monotonic() - started > late:
                log.warning("task '%s' is late (%.0f s); starting a second copy", task.name, late)
                submit(task)
