"""What two processes hold in memory of a large file that both use, from Linux's `smaps_rollup`.

As a program it is one of these processes: it warms up with a small thing, waits, uses the large one, and waits again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(1 << 28), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
"""With these glibc gives nothing back to the system by itself, as may happen by chance when a small thing lies last."""


@dataclass(frozen=True)
class Held:
    """Bytes of a process's memory: its own (anonymous: of no file, so no other has them), and all that is mapped in."""

    private: int
    resident: int

    def __sub__(self, other: Held) -> Held:
        return Held(self.private - other.private, self.resident - other.resident)


def held(pid: int) -> Held:
    """What a process holds now."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kb = {words[0].rstrip(":"): int(words[1]) for words in lines}
    return Held(1024 * kb["Anonymous"], 1024 * kb["Rss"])


def grown(kind: str, small: Path, large: Path) -> list[Held]:
    """By how much two processes that use `large` at once have grown, after both have used `small`."""
    command = [sys.executable, "-m", "tests.sharing", kind, str(small), str(large)]
    environ = {**os.environ, **KEEPING}
    running = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ
        ) for _ in range(2)
    ]  # fmt: skip
    try:
        before = [_next(process) for process in running]
        for process in running:  # both at once: one makes what there is to make, the other waits for it
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in running:
            _line(process)
        return [held(process.pid) - first for process, first in zip(running, before, strict=True)]
    finally:
        for process in running:
            process.kill()
            process.communicate()


def _line(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"


def _next(process: subprocess.Popen[str]) -> Held:
    _line(process)
    return held(process.pid)


def score(path: Path) -> object:
    """Score texts of so many different words that most pages of the model's tables are read."""
    from filters.classifier.model import load

    draw = np.random.default_rng(1)
    texts = [" ".join(f"w{n}" for n in draw.integers(0, 400_000, 1000)) for _ in range(400)]
    model = load(path)
    model.probabilities(texts)
    return model


def item_text(number: int) -> str:
    """A benchmark item of 60 words that no other has."""
    draw = np.random.default_rng(number)
    return " ".join(f"w{n}" for n in draw.integers(0, 400_000, 60))


def look_up(path: Path) -> object:
    """Scan texts for an index's items, some of which they hold, and read all of its arrays."""
    import pyarrow as pa

    from decontam.index import Index
    from decontam.scan import scan

    index = Index.open(path)
    texts = pa.array([item_text(number) for number in range(500)], pa.large_string())
    assert scan(texts, index).num_rows
    for name in vars(index):
        array = getattr(index, name)
        if isinstance(array, np.ndarray):
            array.sum()
    return index


USES: dict[str, Callable[[Path], object]] = {"classifier": score, "index": look_up}


def main(kind: str, small: str, large: str) -> None:
    """Use the small thing, wait for a line, use the large one, wait for the end."""
    used = []
    for place in (small, large):
        used.append(USES[kind](Path(place)))  # stays in memory
        print("ready", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
