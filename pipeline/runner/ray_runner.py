"""Tasks on Ray: a local cluster, or one named by an address."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError, StepFailed
from .base import Function, Observer, OnResult, Resources, Silent, Task, available_cpus
from .cluster import Watch, join, start
from .flight import Flight, Limits


class RayRunner:
    """Runs tasks on Ray: a local cluster that it starts and stops itself, or one named by `address`.

    About `in_flight_per_worker` times as many tasks are handed out as the cluster has cores for; the number follows the
    cluster as it grows and shrinks, and the excess is the demand that an autoscaler acts on. A task that raises is run
    again `retries` times; one whose worker or node goes is run again without counting towards that, `losses` times; one
    that ran out of memory is run again with more. When nothing is left to hand out and a task has run
    `straggler_factor` times as long as the median (and longer than `straggler_s`), a second copy is started; the first
    to finish counts. That is safe because tasks write the same bytes under a temporary name and then rename.

    `memory_per_task` (bytes) is what each task reserves, in place of what the steps ask for. After a run
    `sent_max_bytes`, `received_max_bytes` and `shared_max_bytes` are the largest payload, the largest result and the
    largest common part of a step's payloads that passed through the driver, pickled.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        workers: int | None = None,
        retries: int = 3,
        losses: int = 10,
        in_flight_per_worker: int = 2,
        straggler_factor: float = 4.0,
        straggler_s: float = 120.0,
        memory_per_task: int | None = None,
    ) -> None:
        self.address = address
        self.workers = workers or available_cpus()
        self.limits = Limits(retries, losses, in_flight_per_worker, straggler_factor, straggler_s)
        self.memory_per_task = memory_per_task
        self.sent_max_bytes = self.received_max_bytes = self.shared_max_bytes = 0
        self._watch: Watch | None = None

    def __enter__(self) -> RayRunner:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise ConfigError("Ray is not installed: pip install ray, or use --inline") from error
        if self.address:
            join(self.address)
        else:
            start(self.workers)
        self._watch = Watch(self.address)
        if self.address:
            self.workers = max(1, int(self._watch.size().cpus))
        return self

    def __exit__(self, *exc: object) -> None:
        if self._watch is not None:
            import ray

            self._watch.close()
            if not self._watch.head_gone:  # it would wait for the head
                ray.shutdown()
            self._watch = None

    def map(
        self,
        function: Function,
        tasks: Sequence[Task],
        *,
        step: str,
        on_result: OnResult,
        resources: Resources = Resources(),  # noqa: B008  frozen
        observer: Observer | None = None,
    ) -> None:
        if self._watch is None:
            raise StepFailed("RayRunner.map outside its context; write `with RayRunner(...) as runner`")
        if not tasks:
            return
        if self.memory_per_task is not None:
            resources = Resources(self.memory_per_task, resources.cpus)
        flight = Flight(step, function, tasks, resources, self.limits, self._watch, on_result, observer or Silent())
        try:
            flight.run()
        finally:
            self._note(flight)
            self.workers = max(1, int(self._watch.size().cpus))

    def _note(self, flight: Any) -> None:
        self.sent_max_bytes = max(self.sent_max_bytes, flight.sent_max_bytes)
        self.received_max_bytes = max(self.received_max_bytes, flight.received_max_bytes)
        self.shared_max_bytes = max(self.shared_max_bytes, flight.shared_max_bytes)
