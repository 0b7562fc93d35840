"""What a driver knows of its run: steps, rounds of tasks, rates and cost, as plain JSON values."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ..planning.fixed import Costs
from ..runner import Task
from .observer import TaskCost

_SAMPLES = 256
"""Points in time, at least a second apart, over which a rate is taken: some minutes."""


@dataclass
class FirstTasks:
    """The tasks that were their process's first of the kind: what a worker's start costs is found from them."""

    tasks: int = 0
    items: int = 0
    size: int = 0
    task_s: float = 0.0

    def add(self, wall_s: float, items: int, size: int) -> None:
        self.tasks, self.items, self.size = self.tasks + 1, self.items + items, self.size + size
        self.task_s += wall_s


@dataclass
class PhaseCounts:
    """A round of tasks."""

    label: str
    unit: str
    total: int
    resumed: int  # done by an earlier run
    size: int = 0  # of all its tasks, in the unit that the step's tasks have (bytes of input)
    clock: Callable[[], float] = time.monotonic
    fresh: int = 0
    items: int = 0
    bytes: int = 0
    handed_out: set[str] = field(default_factory=set)
    retried: int = 0
    task_s: float = 0.0
    first: FirstTasks = field(default_factory=FirstTasks)
    others: Costs = field(default_factory=Costs)  # seconds by size of all that were no first ones
    peak_bytes: int = 0
    ended: float | None = None
    begun: float = field(init=False)
    samples: deque[tuple[float, int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()
        self.samples = deque([(self.begun, 0, 0)], maxlen=_SAMPLES)

    @property
    def left(self) -> int:
        return self.total - self.resumed - self.fresh

    def add(self, task: Task, cost: TaskCost, items: int, size: int) -> None:
        """A task is done that took in `items` and wrote `size` bytes."""
        self.fresh += 1
        self.handed_out.discard(task.name)
        self.items += items
        self.bytes += size
        self.task_s += cost.wall_s
        self.peak_bytes = max(self.peak_bytes, cost.peak_bytes)
        if cost.first:
            self.first.add(cost.wall_s, items, task.size)
        else:
            self.others.add(task.size if self.size else items, cost.wall_s)
        now = self.clock()
        if now - self.samples[-1][0] >= 1.0:
            self.samples.append((now, self.fresh, self.items))

    def wall_s(self) -> float:
        """Seconds since it began, or that it took."""
        return (self.clock() if self.ended is None else self.ended) - self.begun

    def speed(self) -> tuple[float, float]:
        """Tasks and items a second, of the last minutes."""
        at, fresh, items = self.samples[0]
        elapsed = max((self.clock() if self.ended is None else self.ended) - at, 1e-9)
        return (self.fresh - fresh) / elapsed, (self.items - items) / elapsed

    def cost(self) -> dict[str, Any]:
        """For `run.json`."""
        return {
            "label": self.label, "tasks": self.fresh, "of": self.total, "items": self.items, "unit": self.unit,
            "size": self.size, "wall_s": round(self.wall_s(), 3), "task_s": round(self.task_s, 6),
            "peak_bytes": self.peak_bytes,
            "first": {
                "tasks": self.first.tasks, "items": self.first.items, "size": self.first.size,
                "task_s": round(self.first.task_s, 6),
            },
            "others": asdict(self.others),
        }  # fmt: skip

    def to_json(self, workers: int, failed: int) -> dict[str, Any]:
        tasks_s, items_s = self.speed()
        running = 0 if self.ended is not None else min(len(self.handed_out), workers, self.left)
        eta = self.left / tasks_s if tasks_s > 0 and self.ended is None else None
        return {
            "label": self.label,
            "unit": self.unit,
            "shards": {
                "total": self.total, "done": self.resumed + self.fresh, "resumed": self.resumed, "running": running,
                "failed": failed, "retried": self.retried,
            },
            "items": self.items,
            "items_per_s": round(items_s, 3) if self.items else None,
            "shards_per_s": round(tasks_s, 4) if self.fresh else None,
            "bytes_written": self.bytes,
            "eta_s": None if eta is None else round(eta, 1),
            "wall_s": round(self.wall_s(), 3),
            "task_s": round(self.task_s, 3),
            "peak_bytes": self.peak_bytes,
        }  # fmt: skip


@dataclass
class StepCounts:
    """A step; `state` is pending, running, finished, resumed (finished by an earlier run), skipped, failed, stopped."""

    step: str
    state: str = "pending"
    phases: list[PhaseCounts] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    begun: float | None = None
    ended: float | None = None
    failed: int = 0

    def wall_s(self) -> float:
        if self.begun is None:
            return 0.0
        return (self.clock() if self.ended is None else self.ended) - self.begun

    def driver_s(self) -> float:
        """Seconds in which the driver itself worked: outside all rounds of tasks."""
        return max(0.0, self.wall_s() - sum(phase.wall_s() for phase in self.phases))

    def busy_s(self) -> float:
        """Seconds of cores: tasks, and the driver between them."""
        return sum(phase.task_s for phase in self.phases) + self.driver_s()

    def to_json(self, workers: int) -> dict[str, Any]:
        phases = [phase.to_json(workers, self.failed if phase is self.phases[-1] else 0) for phase in self.phases]
        return {
            "step": self.step,
            "state": self.state,
            "wall_s": round(self.wall_s(), 3),
            "driver_s": round(self.driver_s(), 3),
            "phases": phases,
        }  # fmt: skip
