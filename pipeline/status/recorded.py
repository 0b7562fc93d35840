"""The worker's side: a task's function with what it took and what it logged beside its result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MAX_WARNINGS = 20
"""Messages of a task that travel to the driver; more are counted."""

_MAX_CHARS = 500


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[dict[str, Any]] = []
        self.left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.lines) == MAX_WARNINGS:
            self.left_out += 1
            return
        self.lines.append({"level": record.levelname, "message": record.getMessage()[:_MAX_CHARS]})


@contextmanager
def collected() -> Iterator[_Collector]:
    """Warnings and errors that Gristmill's code logs in the block, and not those of a driver in this process."""
    log, collector = logging.getLogger("gristmill"), _Collector()
    others, propagates = log.handlers[:], log.propagate
    log.handlers[:] = [collector]  # inline, the driver's own handlers would write each line twice
    log.propagate = False
    try:
        yield collector
    finally:
        log.handlers[:] = others
        log.propagate = propagates


_run_before: set[tuple[str, str]] = set()


def recorded(step: str, function: Callable[..., dict[str, Any]], *payload: Any) -> dict[str, Any]:
    """The function's result with `cost` (`wall_s`, `peak_bytes`, `first`) and `warnings` (level, message).

    `first`: this process ran the step's function for the first time, so that models were loaded and kernels compiled.
    """
    kind = (step, getattr(function, "__qualname__", repr(function)))
    first = kind not in _run_before
    _run_before.add(kind)
    start = time.perf_counter()
    with collected() as seen:
        result = function(*payload)
    if seen.left_out:
        text = f"{seen.left_out} more warnings of this task are left out"
        seen.lines.append({"level": "WARNING", "message": text})
    cost = {"wall_s": time.perf_counter() - start, "peak_bytes": peak_bytes(), "first": first}
    return {**result, "cost": cost, "warnings": seen.lines}


def say_again(warnings: Sequence[Mapping[str, Any]], step: str, shard: str, worker: str) -> None:
    """The driver's side: log what a task logged."""
    for line in warnings:
        level = logging.getLevelName(line["level"])
        where = {"step": step, "shard": shard, "worker": worker}
        logging.getLogger("gristmill").log(level, "%s", line["message"], extra=where)


def peak_bytes() -> int:
    """The most resident memory that this process ever held, with what its children hold; 0 where /proc is not."""
    try:
        total = _peak(Path("/proc/self"))
        for children in Path("/proc/self/task").glob("*/children"):
            total += sum(_peak(Path("/proc") / pid) for pid in children.read_text().split())
        return total
    except OSError:
        return 0


def _peak(process: Path) -> int:
    try:
        for line in (process / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:  # it has ended
        return 0
    return 0
