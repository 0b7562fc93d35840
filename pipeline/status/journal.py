"""The driver's journal of a run: `progress.json`, the log, and metrics, kept up to date while the run goes on.

A thread writes what changed, at most every `EVERY_S` seconds, and a sign of life at least every `BEAT_S`. That the
journal can't be written (a full disk) never ends a run: the step whose data can't be written does.
"""

from __future__ import annotations

import json
import logging
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import Stopped
from ..runner import Runner, Task
from ..storage.urls import redacted
from ..store import atomic_path
from ..terminal import plain
from .counts import PhaseCounts, StepCounts
from .logs import LogFile, LogHandler
from .metrics import Metrics, metrics_of
from .observer import Phase, TaskCost
from .process import this_process

FILE = "progress.json"
FORMAT = 1
EVERY_S, BEAT_S = 2.0, 10.0
STORE_EVERY_S = 30.0
"""In an object store, where each write is a request, both are this."""

_ERRORS = 20
_SHOWN_WARNINGS = 20
"""Warnings of workers that the terminal shows; the log has all."""

log = logging.getLogger("gristmill")


class Journal:
    """A run's observer; a context manager around all its steps."""

    def __init__(
        self, output: Any, name: str, steps: Sequence[str], runner: Runner, *, price_per_cpu_hour: float | None = None
    ) -> None:
        self.output, self.name, self.runner, self.price = output, name, runner, price_per_cpu_hour
        self.run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"
        self.state = "running"
        self.every_s, self.beat_s = (EVERY_S, BEAT_S) if isinstance(output, Path) else (STORE_EVERY_S, STORE_EVERY_S)
        self._started = time.time()
        self._steps = {step: StepCounts(step) for step in steps}
        self._errors: deque[dict[str, Any]] = deque(maxlen=_ERRORS)
        self._earlier = _earlier(output)
        self._lock = threading.RLock()
        self._dirty, self._ended = threading.Event(), threading.Event()
        self._log = LogFile(output / "logs", self.run)
        self._handler = LogHandler(self._log)
        self._terminal = _Terminal()
        self._metrics: Metrics = metrics_of(runner, name)
        self._thread = threading.Thread(target=self._keep, name="gristmill-journal", daemon=True)

    def __enter__(self) -> Journal:
        self._level = log.level
        log.setLevel(min(logging.INFO, log.getEffectiveLevel()))
        log.addHandler(self._handler)
        log.addHandler(self._terminal)
        self._log.write("INFO", f"run of '{self.name}' begins", workers=self.runner.workers)
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            stopped = isinstance(error, (KeyboardInterrupt, Stopped))
            self.state = "finished" if error is None else "stopped" if stopped else "failed"
            for step in self._steps.values():
                if step.state == "running":
                    step.state, step.ended = self.state, step.clock()
                    step.failed = int(self.state == "failed")
            if error is not None:
                self._error("ERROR", f"{type(error).__name__}: {error}")
            self._log.write("INFO" if error is None else "ERROR", f"run {self.state}")
        self._ended.set()
        self._dirty.set()
        self._thread.join()
        log.removeHandler(self._handler)
        log.removeHandler(self._terminal)
        log.setLevel(self._level)

    @contextmanager
    def step(self, step: str) -> Iterator[StepCounts]:
        """Around one step; the block may set another `state` than "finished"."""
        with self._lock:
            counts = self._steps.setdefault(step, StepCounts(step))
            counts.state, counts.begun, counts.ended = "running", counts.clock(), None
        self._log.write("INFO", "step begins", step=step)
        self._dirty.set()
        yield counts
        with self._lock:
            counts.ended = counts.clock()
            if counts.state == "running":
                counts.state = "finished"
        self._log.write("INFO", f"step {counts.state}", step=step, wall_s=round(counts.wall_s(), 3))
        self._dirty.set()

    @contextmanager
    def phase(self, step: str, label: str, unit: str, tasks: Sequence[Task], done: int) -> Iterator[Phase]:
        """See `observer.Watch`. Rounds of a step within a step (a mixture reads files) count as that one's."""
        with self._lock:
            owner = self._steps.get(step) or next((s for s in self._steps.values() if s.state == "running"), None)
            owner = owner or self._steps.setdefault(step, StepCounts(step, "running"))
            counts = PhaseCounts(label, unit, len(tasks), done, sum(task.size for task in tasks))
            owner.phases.append(counts)
        watched = _Watched(self, owner.step, counts)
        self._metrics.gauges(owner.step, counts)
        self._dirty.set()
        try:
            yield watched
        finally:
            with self._lock:
                counts.ended = counts.clock()
            self._metrics.gauges(owner.step, counts)
            self._dirty.set()

    def costs(self) -> dict[str, dict[str, Any]]:
        """For `run.json`: what the tasks of each step took, round by round."""
        with self._lock:
            return {
                name: {
                    "driver_s": round(step.driver_s(), 3),
                    "phases": [phase.cost() for phase in step.phases],
                }
                for name, step in self._steps.items()
            }  # fmt: skip

    def _retried(self, step: str, counts: PhaseCounts, task: Task, why: str) -> None:
        with self._lock:
            counts.retried += 1
            counts.handed_out.discard(task.name)
            self._error("WARNING", f"{why}; tried again", step=step, shard=task.name)
        self._metrics.failed(step)
        self._dirty.set()

    def _done(self, step: str, counts: PhaseCounts, task: Task, cost: TaskCost, result: Mapping[str, Any]) -> None:
        files = result.get("files", ())
        size = sum(int(entry.get("bytes", 0)) for entry in files if isinstance(entry, Mapping))
        items = int(result.get("n_in", 0))
        with self._lock:
            counts.add(task, cost, items, size)
        self._metrics.done(step, items, size, cost.wall_s)
        self._log.write(
            "INFO", "shard done", step=step, shard=task.name, phase=counts.label, worker=cost.worker,
            wall_s=round(cost.wall_s, 3), items=items, bytes=size,
        )  # fmt: skip
        self._dirty.set()

    def _error(self, level: str, message: str, **more: Any) -> None:
        line = {"time": _utc(time.time()), "level": level, "message": redacted(message)[:2000], **more}
        self._errors.append(line)
        if level == "ERROR":
            self._log.write(level, message, **more)

    def to_json(self) -> dict[str, Any]:
        """What `progress.json` holds."""
        with self._lock:
            workers = self.runner.workers
            wall = time.time() - self._started
            busy = sum(step.busy_s() for step in self._steps.values())
            return {
                "format": FORMAT,
                "run": self.run,
                "recipe": self.name,
                "state": self.state,
                "driver": this_process(),
                "started": _utc(self._started),
                "updated": _utc(time.time()),
                "updated_s": round(time.time(), 3),
                "beat_s": self.beat_s,
                "workers": workers,
                "runner": type(self.runner).__name__,
                "wall_s": round(wall, 3),
                "cpu_s": {
                    "busy": round(busy, 3), "held": round(wall * workers, 3),
                    "busy_before": self._earlier[0], "held_before": self._earlier[1],
                },
                "price_per_cpu_hour": self.price,
                "steps": [step.to_json(workers) for step in self._steps.values()],
                "errors": list(self._errors),
            }  # fmt: skip

    def _write(self) -> None:
        value = self.to_json()
        try:
            with atomic_path(self.output / FILE) as temporary:
                temporary.write_text(json.dumps(value, ensure_ascii=True) + "\n", encoding="utf-8")
            self._log.flush()
        except OSError as error:
            if not self._terminal.said_unwritable:
                self._terminal.said_unwritable = True
                print(f"gristmill: the run's progress can't be written: {error}", file=sys.stderr)

    def _keep(self) -> None:
        """Write when something changed, not oftener than `every_s`, and once more at the end."""
        while not self._ended.is_set():
            self._dirty.wait(self.beat_s)
            self._dirty.clear()
            if not self._ended.is_set():
                self._write()
                self._ended.wait(self.every_s)
        self._write()


class _Watched:
    """The phase of a journal."""

    def __init__(self, journal: Journal, step: str, counts: PhaseCounts) -> None:
        self._journal, self._step, self._counts = journal, step, counts

    def on_start(self, task: Task) -> None:
        with self._journal._lock:
            self._counts.handed_out.add(task.name)
        self._journal._dirty.set()

    def on_retry(self, task: Task, why: str) -> None:
        self._journal._retried(self._step, self._counts, task, why)

    def done(self, task: Task, cost: TaskCost, result: Mapping[str, Any]) -> None:
        self._journal._done(self._step, self._counts, task, cost, result)


class _Terminal(logging.StreamHandler[Any]):
    """Warnings on stderr, as without a journal; of those of workers the first ones."""

    def __init__(self) -> None:
        super().__init__()
        self.setLevel(logging.WARNING)
        self.said_unwritable = False
        self._of_workers = 0

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, "shard"):
            self._of_workers += 1
            if self._of_workers > _SHOWN_WARNINGS:
                return
        super().emit(record)
        if self._of_workers == _SHOWN_WARNINGS and hasattr(record, "shard"):
            self.stream.write("further warnings of workers stand in the run's logs/ only\n")

    def format(self, record: logging.LogRecord) -> str:
        return plain(redacted(super().format(record)))


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _earlier(output: Any) -> tuple[float, float]:
    """Busy and held core seconds of the earlier runs in this folder."""
    try:
        cost = json.loads((output / FILE).read_text(encoding="utf-8"))["cpu_s"]
        return cost["busy"] + cost["busy_before"], cost["held"] + cost["held_before"]
    except (OSError, ValueError, KeyError, TypeError):  # none, or what is left of one
        return 0.0, 0.0
