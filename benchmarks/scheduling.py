"""What a shard costs besides its work: very many shards of nothing through the real machinery of a step.

    python -m benchmarks.scheduling [--shards 100000] [--workers N]

Each task gets a payload like a map step's (its split, and with all others the stages and the list of all shards) and
writes nothing; the driver hands it out, takes its result in, writes its timing and its mark, and tells the watchers.
For every thousandth of the way: wall milliseconds and driver CPU milliseconds a shard, and the driver's memory. Flat
means that neither grows with the number of shards done: the slope of the milliseconds over the shards, with the
interval of least squares, and the bytes that a shard leaves in the driver.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import write
from pipeline.progress import Progress
from pipeline.runner import RayRunner, Task
from pipeline.steps import StepContext
from pipeline.store import StepFolder

PARTS = 100
"""Stretches of the way that are measured."""


@dataclass(frozen=True)
class Shard:
    """A payload: what is a task's own, and what all tasks have."""

    index: int
    name: str
    files: tuple[str, ...]


def nothing(shard: Shard) -> dict[str, Any]:
    """The work of a shard of nothing: a result like a map step's."""
    counts = [{"stage": f"stage{k}", "n_in": 0, "n_split": 0, "n_kept": 0, "dropped": {}} for k in range(8)]
    return {"files": [], "records": 0, "n_in": 0, "skipped": {}, "counts": counts, "index": shard.index}


def memory_bytes() -> int:
    """Memory that this process holds now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Bar(Progress):
    """Counts along, and notes time and memory at every hundredth of the way."""

    def __init__(self, every: int) -> None:
        super().__init__(quiet=True, stream=io.StringIO())
        self.every, self.done = every, 0
        self.seen: list[tuple[int, float, float, int]] = []

    def note(self) -> None:
        self.seen.append((self.done, time.perf_counter(), time.process_time(), memory_bytes()))

    def bar(self, *args: Any, **options: Any) -> Any:
        watching = self

        class Noting:
            def __enter__(self) -> Noting:
                return self

            def __exit__(self, *exc: object) -> None:
                return None

            def advance(self, tasks: int, items: int) -> None:
                watching.done += tasks
                if watching.done % watching.every == 0:
                    watching.note()

            def note(self, text: str) -> None:
                return None

        return Noting()


def slope(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Least-squares slope of y over x and its 95 % interval."""
    centred = x - x.mean()
    value = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - value * centred
    error = float(np.sqrt(rest @ rest / (len(x) - 2) / (centred @ centred)))
    return {"slope": value, "low": value - 1.96 * error, "high": value + 1.96 * error}


def measure(shards: int, workers: int, folder: Path) -> dict[str, Any]:
    """Run so many shards of nothing; the figures."""
    files = tuple(f"kept/{i:06d}.parquet" for i in range(shards))
    tasks = [Task(f"{i:06d}", Shard(i, files[i], files)) for i in range(shards)]
    progress = Bar(max(1, shards // PARTS))
    with RayRunner(workers=workers) as runner:
        context = StepContext("nothing", StepFolder(folder), {}, runner, progress)
        context.map(nothing, tasks[: 20 * workers])  # workers are up, and have what is shared
        progress.done, progress.seen = 0, []
        progress.note()
        start = time.perf_counter()
        results = context.map(nothing, tasks)
        wall = time.perf_counter() - start
        largest, shared = runner.sent_max_bytes, runner.shared_max_bytes
    assert [r["index"] for r in results] == list(range(shards))
    again = time.perf_counter()
    with RayRunner(workers=workers) as runner:
        context = StepContext("nothing", StepFolder(folder), {}, runner, Bar(shards + 1))
        started = time.perf_counter()
        context.map(nothing, tasks)
        resumed = time.perf_counter() - started
    seen = np.array(progress.seen, float)
    done, steps = seen[1:, 0], np.diff(seen, axis=0)
    per_wall, per_cpu = 1e3 * steps[:, 1] / steps[:, 0], 1e3 * steps[:, 2] / steps[:, 0]
    half = len(done) // 2
    return {
        "shards": shards,
        "workers": workers,
        "wall_s": wall,
        "ms_per_shard": 1e3 * wall / shards,
        "driver_cpu_ms_per_shard": float(per_cpu.mean()),
        "ms_per_shard_first_and_second_half": [float(per_wall[:half].mean()), float(per_wall[half:].mean())],
        "ms_per_shard_slope_per_100k_shards": {k: v * 1e5 for k, v in slope(done, per_wall).items()},
        "driver_bytes_per_shard": slope(seen[:, 0], seen[:, 3]),
        "driver_bytes_per_shard_second_half": slope(seen[half:, 0], seen[half:, 3]),
        "driver_peak_mb": float(seen[:, 3].max() / 1e6),
        "largest_payload_bytes": largest,
        "largest_shared_bytes": shared,
        "resume_s": resumed,
        "resume_start_s": started - again,
        "by_part": [
            {"shards": int(d), "ms": round(w, 4), "driver_cpu_ms": round(c, 4), "driver_mb": round(m / 1e6, 2)}
            for d, w, c, m in zip(done, per_wall, per_cpu, seen[1:, 3], strict=True)
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gristmill-scheduling-"))
    try:
        value = measure(args.shards, args.workers, folder)
    finally:
        shutil.rmtree(folder)
    for name, figure in value.items():
        if name != "by_part":
            print(f"{name}: {figure}")
    if args.write:
        write("scheduling", value, ("ray",))


if __name__ == "__main__":
    main()
