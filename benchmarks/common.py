"""What all measurements share: alternating runs, medians, and the JSON that is committed."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
SHARED = ROOT.parent / "shared" / "data"


def alternate(parts: dict[str, Callable[[], Any]], runs: int = 5) -> dict[str, list[float]]:
    """Wall seconds of each part, `runs` times, one after the other in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(runs):
        for name, part in parts.items():
            start = time.perf_counter()
            part()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Median seconds of each part."""
    return {name: statistics.median(values) for name, values in seconds.items()}


def start_seconds(code: str) -> dict[str, dict[str, float]]:
    """Seconds of a first use in a process of its own, with an empty kernel cache and with a filled one.

    The code prints wall and CPU seconds, as it measures them.
    """
    out = {}
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cold", "warm"):
            environment = {**os.environ, "GRISTMILL_CACHE": cache}
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
            )
            wall, cpu = map(float, done.stdout.split())
            out[name] = {"wall_s": wall, "cpu_s": cpu}
    return out


def versions(*packages: str) -> dict[str, str]:
    """Python's and the packages' versions."""
    return {"python": platform.python_version(), **{p: metadata.version(p) for p in packages}}


def commit() -> str:
    """The checkout's commit, and whether files differ from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout.strip()
    return head + ("+uncommitted" if dirty else "")


def write(name: str, value: dict[str, Any], packages: tuple[str, ...] = (), *, bench: str | None = None) -> Path:
    """Write `results/<name>.json` with the command that makes it, the commit and the versions.

    `bench`: the module that is run, where the result has another name.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    head = {
        "command": f"make bench-{bench or name}",
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count()},
        "versions": versions(*packages),
    }
    path.write_text(json.dumps({**head, **value}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {path.relative_to(ROOT)}")
    return path


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        return platform.processor()
    return platform.machine()
