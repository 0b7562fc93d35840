"""The queue of one step's tasks: which come next, how often each failed or was lost, and how long they take."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .base import Resources, Task
from .cluster import Size

BATCH_S = 0.25
"""Tasks shorter than this are handed out several at a time: to hand one out takes about a millisecond."""
BATCH_MAX = 64


@dataclass
class Job:
    """A task on its way. Only those handed out or tried before have one that differs from new."""

    task: Task
    failures: int = 0  # its own code raised
    losses: int = 0  # its worker or node went
    ooms: int = 0  # stopped for want of memory
    copies: int = 0  # in flight now
    done: bool = False


@dataclass
class Batch:
    """Jobs handed out together as one Ray task."""

    jobs: list[Job]
    started: float


@dataclass
class Queue:
    """The jobs that wait: new ones, the largest first; before them, one at a time, those to be tried again.

    `resting` holds jobs that may be tried again from some time on (of a monotonic clock).
    """

    tasks: Sequence[Task]
    again: deque[Job] = field(default_factory=deque)
    resting: list[tuple[float, Job]] = field(default_factory=list)
    _next: int = 0
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=501))

    def __post_init__(self) -> None:
        if any(task.size for task in self.tasks):
            self.tasks = sorted(self.tasks, key=lambda task: -task.size)

    def __len__(self) -> int:
        return len(self.tasks) - self._next + len(self.again)

    def wake(self, now: float) -> None:
        """Let the jobs be tried again that have rested long enough."""
        self.again.extend(job for until, job in self.resting if until <= now)
        self.resting = [(until, job) for until, job in self.resting if until > now]

    def took(self, seconds: float) -> None:
        """Note how long a task ran."""
        self._recent.append(seconds)

    def median(self) -> float | None:
        """Median seconds of the last few hundred tasks; None before the first."""
        return statistics.median(self._recent) if self._recent else None

    def take(self, slots: int) -> list[Job]:
        """The next jobs to hand out together: several only if short, and none that was tried before.

        All slots get many batches yet, so that the end isn't waited for.
        """
        if self.again:
            return [self.again.popleft()]
        count = min(self._per_batch(slots), len(self.tasks) - self._next)
        new = [Job(task) for task in self.tasks[self._next : self._next + count]]
        self._next += count
        return new

    def _per_batch(self, slots: int) -> int:
        if len(self._recent) < 8:
            return 1
        recent = list(self._recent)[-64:]
        mean = sum(recent) / len(recent)
        left = (len(self.tasks) - self._next) // (4 * max(1, slots))
        return max(1, min(BATCH_MAX, left, int(BATCH_S / max(mean, 1e-6))))


def asked(resources: Resources, ooms: int, size: Size) -> Resources:
    """What a task asks for at its next try: what some node has, at most; more memory after it ran out of it.

    The first time, twice as much and at least half of the largest node (the one with the most memory); then all of it.
    """
    largest = size.largest
    if largest is None:
        return resources
    if ooms == 1:
        resources = replace(resources, memory_bytes=max(2 * resources.memory_bytes, largest.memory // 2))
    elif ooms > 1:
        resources = Resources(*largest)
    if size.holds(resources.memory_bytes, resources.cpus):
        return resources
    return Resources(min(resources.memory_bytes, largest.memory), min(resources.cpus, largest.cpus))
