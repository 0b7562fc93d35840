"""Metrics of a run for Prometheus, through Ray: each node's export port shows them (docs/status.md lists the names).

They are counted in the driver, which hears of every task, so that a lost worker loses no count.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..runner import Runner
from .counts import PhaseCounts

PREFIX = "gristmill"
NAMES = {
    "shards_done": ("counter", "tasks that ended well, by step"),
    "shards_failed": ("counter", "tries of tasks that failed or were lost and were made again, by step"),
    "shards_planned": ("gauge", "tasks of the step's present round"),
    "shards_running": ("gauge", "tasks of the step's present round that are handed out"),
    "documents": ("counter", "documents, pages or other units that tasks took in, by step"),
    "bytes_written": ("counter", "bytes of the data files that tasks wrote, by step"),
    "task_seconds": ("histogram", "seconds that a task took, by step"),
}
"""Without the prefix `gristmill_`; Ray puts `ray_` before it. Tags: `run` (the recipe's name) and `step`."""

_BOUNDS = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]


class Metrics(Protocol):
    """What a journal counts."""

    def done(self, step: str, items: int, size: int, wall_s: float) -> None: ...

    def failed(self, step: str) -> None: ...

    def gauges(self, step: str, counts: PhaseCounts) -> None: ...


class NoMetrics:
    """Without Ray there is nobody to export them."""

    def done(self, step: str, items: int, size: int, wall_s: float) -> None:
        return None

    def failed(self, step: str) -> None:
        return None

    def gauges(self, step: str, counts: PhaseCounts) -> None:
        return None


class RayMetrics:
    """Ray's own counters, gauges and histogram."""

    def __init__(self, run: str) -> None:
        from ray.util.metrics import Counter, Gauge, Histogram

        self._run = run
        self._of: dict[str, Any] = {}
        for name, (kind, text) in NAMES.items():
            more = {"boundaries": _BOUNDS} if kind == "histogram" else {}
            cls = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}[kind]
            self._of[name] = cls(f"{PREFIX}_{name}", description=text, tag_keys=("run", "step"), **more)

    def _tags(self, step: str) -> dict[str, str]:
        return {"run": self._run, "step": step}

    def done(self, step: str, items: int, size: int, wall_s: float) -> None:
        tags = self._tags(step)
        self._of["shards_done"].inc(1, tags)
        self._of["task_seconds"].observe(max(wall_s, 1e-6), tags)
        for name, value in (("documents", items), ("bytes_written", size)):
            if value > 0:  # Ray's counters refuse 0
                self._of[name].inc(value, tags)

    def failed(self, step: str) -> None:
        self._of["shards_failed"].inc(1, self._tags(step))

    def gauges(self, step: str, counts: PhaseCounts) -> None:
        self._of["shards_planned"].set(counts.total, self._tags(step))
        self._of["shards_running"].set(0 if counts.ended is not None else len(counts.handed_out), self._tags(step))


def metrics_of(runner: Runner, run: str) -> Metrics:
    """Ray's metrics where a Ray runner is at work."""
    import sys

    if type(runner).__name__ == "RayRunner" and "ray" in sys.modules and sys.modules["ray"].is_initialized():
        return RayMetrics(run)
    return NoMetrics()
