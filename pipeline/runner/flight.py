"""One step's tasks on a Ray cluster, from the first to the last."""

from __future__ import annotations

import logging
import pickle
import queue
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from ..errors import StepFailed
from .base import Function, Observer, OnResult, Resources, Task, failed, said
from .cluster import Size, Watch
from .jobs import Batch, Job, Queue, asked
from .shared import Packer
from .worker import Failure, Outcome, SharedLost, run_batch

log = logging.getLogger("gristmill")

OUT_OF_MEMORY = "it ran out of memory"
OOMS = 3
"""Tries of a task that runs out of memory: as asked, with more, alone on a node."""
OOM_PAUSES_S = (2.0, 15.0)
"""Before the second and the third of them. Ray kills the youngest tasks first, whoever holds the memory, which stays
short for a second or more after a kill: without a pause a task of 40 MB had its three tries in two seconds while
another process of the machine held the memory."""
_KILLED = re.compile(r"Selected to kill: \(Task: .*actual memory used=([\d.]+ ?\w+)")  # of Ray's message
TICK_S = 1.0
PENDING_S = 60.0
"""After so long without a result, with nothing running, it is said what the tasks wait for."""


@cache
def _run_batch() -> Any:
    """The one Ray function of this process: each `ray.remote` is kept by the head and by every worker for good."""
    import ray

    return ray.remote(run_batch)


@lru_cache(maxsize=64)
def _remote(step: str, want: Resources, spread: bool) -> Any:
    """`run_batch` with these requests; spread over nodes if there are several, for tasks read and write much."""
    options: dict[str, Any] = {"num_cpus": want.cpus, "max_retries": 0, "name": f"gristmill:{step}"}
    if want.memory_bytes:
        options["memory"] = want.memory_bytes
    if spread:
        options["scheduling_strategy"] = "SPREAD"
    return _run_batch().options(**options)


@dataclass(frozen=True)
class Limits:
    """How often, how many, how late: see RayRunner."""

    retries: int
    losses: int
    in_flight_per_worker: int
    straggler_factor: float
    straggler_s: float


class Flight:
    """Hands out the tasks, a bounded number at a time, takes in what comes back, and tries again what failed.

    What comes back comes by callback into a queue: nothing is polled, and nothing costs more where more is in flight.
    """

    def __init__(
        self,
        step: str,
        function: Function,
        tasks: Sequence[Task],
        resources: Resources,
        limits: Limits,
        watch: Watch,
        on_result: OnResult,
        observer: Observer,
    ) -> None:
        self.step, self.limits, self.watch = step, limits, watch
        self.resources, self.on_result, self.observer = resources, on_result, observer
        self.left = len(tasks)
        self.queue = Queue(tasks)
        self.packer = Packer(function, [task.payload for task in (tasks[0], tasks[-1])] if len(tasks) > 1 else [])
        self.sent_max_bytes = self.received_max_bytes = 0
        self.shared_max_bytes = len(self.packer.shared)
        self._batches: dict[Any, Batch] = {}
        self._arrived: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self._late_looked = 0.0
        self._heard = time.monotonic()
        self._put()

    def run(self) -> None:
        """Until every task is done; raises StepFailed, or an error of ours that a task raised, and cancels the rest."""
        import ray

        try:
            while self.left:
                self._hand_out()
                self._take_in()
                self.queue.wake(time.monotonic())
                if self.watch.head_gone:
                    raise self._head_gone("no longer answers")
                if not len(self.queue):
                    self._second_copies()
        except ConnectionError as error:  # of ray://
            raise self._head_gone(str(error)) from error
        finally:
            if not self.watch.head_gone:
                for reference in self._batches:
                    ray.cancel(reference, force=True)

    def _head_gone(self, why: str) -> StepFailed:
        return StepFailed(
            f"step '{self.step}': the Ray cluster's head at {self.watch.head} {why}. What is finished is kept: "
            "start the cluster again and run the same command to go on from there"
        )

    def _put(self) -> None:
        """Put what the payloads share where workers can fetch it, under a new name."""
        import ray

        self._key = uuid.uuid4().hex
        self._reference = ray.put(self.packer.shared)

    def _slots(self, size: Size) -> int:
        """Tasks that the cluster can run at once."""
        want = asked(self.resources, 0, size)
        return max(1, size.slots(want.memory_bytes, max(want.cpus, 0.01)))

    def _hand_out(self) -> None:
        size = self.watch.size()
        slots = self._slots(size)
        limit = max(slots + 1, self.limits.in_flight_per_worker * slots)
        while len(self.queue) and len(self._batches) < limit:
            self._submit(self.queue.take(slots), size)

    def _submit(self, jobs: list[Job], size: Size) -> None:
        blobs = [self.packer.dumps(job.task.payload) for job in jobs]
        self.sent_max_bytes = max(self.sent_max_bytes, *map(len, blobs))
        remote = _remote(self.step, asked(self.resources, max(job.ooms for job in jobs), size), size.nodes > 1)
        reference = remote.remote(self._key, [self._reference], blobs)
        for job in jobs:
            job.copies += 1
            self.observer.on_start(job.task)
        self._batches[reference] = Batch(jobs, time.monotonic())
        reference.future().add_done_callback(lambda future: self._arrived.put((reference, future)))

    def _take_in(self) -> None:
        """Wait for something to come back, and take in all that has."""
        try:
            arrived = [self._arrived.get(timeout=TICK_S)]
        except queue.Empty:
            self._say_what_is_waited_for()
            return
        self._heard = time.monotonic()
        while not self._arrived.empty():
            arrived.append(self._arrived.get())
        for reference, future in arrived:
            batch = self._batches.pop(reference)
            for job in batch.jobs:
                job.copies -= 1
            error = future.exception()
            if error is None:
                for job, outcome in zip(batch.jobs, future.result(), strict=True):
                    self._settle(job, outcome)
            else:
                self._lost([job for job in batch.jobs if not job.done], error)

    def _settle(self, job: Job, outcome: Outcome) -> None:
        """A task came back: with its result, or with its own error."""
        if job.done:
            return
        if outcome.failure is None:
            self.received_max_bytes = max(self.received_max_bytes, len(outcome.result))
            job.done = True
            self.left -= 1
            self.queue.took(outcome.seconds)
            self.on_result(job.task, pickle.loads(outcome.result))
            return
        self._failed(job, outcome.failure)

    def _failed(self, job: Job, failure: Failure) -> None:
        if failure.ours is not None:
            raise pickle.loads(failure.ours)
        job.failures += 1
        if job.failures > self.limits.retries:
            log.debug("%s", failure.trace)
            raise failed(self.step, job.task, job.failures, failure.text)
        self._again(job, failure.text)

    def _again(self, job: Job, why: str, pause_s: float = 0.0) -> None:
        if job.copies == 0:
            log.warning("step '%s', task '%s': %s; trying again", self.step, job.task.name, why)
            self.observer.on_retry(job.task, why)
            self.queue.resting.append((time.monotonic() + pause_s, job))

    def _lost(self, jobs: list[Job], error: BaseException) -> None:
        """A Ray task went without coming back: its worker, its node, its memory or the shared object is gone."""
        import ray

        gone = ray.exceptions
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, SharedLost):
            self._put()
        for job in jobs:
            if isinstance(error, gone.OutOfMemoryError):
                if len(jobs) == 1:  # else it isn't known which of them it was
                    job.ooms += 1
                if job.ooms >= OOMS:
                    raise self._out_of_memory(job, error)
                self._again(job, OUT_OF_MEMORY, OOM_PAUSES_S[max(job.ooms, 1) - 1])
            elif isinstance(error, gone.RayTaskError) and not isinstance(cause, SharedLost):
                self._failed(job, Failure(said(cause)))
            elif isinstance(error, gone.RaySystemError) and self.watch.head_gone:
                raise self._head_gone(str(error)) from error
            else:
                job.losses += 1
                if job.losses > self.limits.losses:
                    raise failed(
                        self.step,
                        job.task,
                        job.losses,
                        f"its worker or node was lost each time ({said(error)}). Where only this task is hit, it "
                        "crashes its process, or is killed for its memory (try --memory-per-task), or leave it out",
                    ) from error
                self._again(job, said(error).splitlines()[0])

    def _out_of_memory(self, job: Job, error: BaseException) -> StepFailed:
        asked_now = asked(self.resources, job.ooms - 1, self.watch.size())
        held = _KILLED.findall(str(error))
        return StepFailed(
            f"step '{self.step}', task '{job.task.name}' ran out of memory {job.ooms} times, at last alone on a node "
            f"with {asked_now.memory_bytes / 1e9:.1f} GB. Use nodes with more memory and say how much a task takes "
            f"(--memory-per-task 8GB), or make its input smaller; where it held little itself, see what else the node "
            f"runs. What is finished is kept. Ray says: {str(error).strip().splitlines()[0]}"
            f"{', of which killed tasks held ' + ' and '.join(held) if held else ''}"
        )

    def _say_what_is_waited_for(self) -> None:
        if time.monotonic() - self._heard > PENDING_S and not self.watch.size().cpus:
            self._heard = time.monotonic()
            log.warning("step '%s': the cluster has no node that can run a task; waiting for one", self.step)

    def _second_copies(self) -> None:
        """Start a second copy of each straggler while there are idle workers. At most once a second."""
        now = time.monotonic()
        median = self.queue.median()
        if median is None or now - self._late_looked < TICK_S:
            return
        self._late_looked = now
        size = self.watch.size()
        idle = self._slots(size) - len(self._batches)
        late = max(self.limits.straggler_s, self.limits.straggler_factor * median)
        for batch in [b for b in self._batches.values() if now - b.started > late]:
            for job in batch.jobs:
                if idle > 0 and not job.done and job.copies < 2:
                    log.warning("task '%s' is late (%.0f s); starting a second copy", job.task.name, late)
                    self._submit([job], size)
                    idle -= 1
