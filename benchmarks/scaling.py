"""Two workers of one run against two processes that know nothing of each other.

    python -m benchmarks.scaling [--turns 7] [--parts map shuffle]

What a second worker brings is measured against what the machine gives: two processes (inline, no Ray) that each run
half of the input at the same time, on the same cores and memory bus. Their throughputs are summed (each half over its
own wall time); the run with two workers has the whole input. Every process does the part over a small input first, so
that the start of Ray and of its workers, imports, models and kernels are apart (`start_s`); then all are told to go.
Only the steps' own wall time counts (`run.json`). Both ways must keep as many documents. Where there is a file system
in memory, all files lie there (else disk writes of one way are felt by the next). The two ways alternate, and take
turns at being the first.

Writes results/scaling_map.json and scaling_shuffle.json.

`map`: WARC to text and the cheap filters, pages/s. `shuffle`: exact and MinHash dedup of documents, documents/s.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, SHARED, write

DOCUMENTS = 600_000
WARM_FILES, WARM_ROWS = 4, 1_000
"""Of the input that every process works on before it is timed: some for each worker."""
ROWS_PER_SHARD = 20_000
SEEDS = (71, 81)
"""Of the halves: no document of one is like any of the other, so that both ways find the same duplicates."""
SPLIT_BYTES = 2 << 20
MAP = ["url", "consent", {"extract": {"engine": "gristmill"}}, "language", "gopher_repetition", "gopher_quality",
       "c4_documents", "fineweb_quality"]  # fmt: skip
SHUFFLE = ["exact_dedup", "minhash_dedup"]
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
TARGETS = {"map": 0.93, "shuffle": 0.85}


def prepare(corpus: Path, documents: int) -> None:
    """Write both inputs, real WARC files and made-up documents, in two halves each."""
    from benchmarks.dedup_corpus import write_shard

    files = sorted(SHARED.glob("html/*.warc.gz"), key=lambda path: -path.stat().st_size)
    if not files:
        raise SystemExit(f"no WARC files in {SHARED / 'html'}; see the README for the data")
    sizes = [0, 0]
    for path in files:
        half = sizes.index(min(sizes))
        sizes[half] += path.stat().st_size
        target = corpus / "map" / str(half) / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (corpus / "map" / "warm").mkdir(exist_ok=True)
    for path in files[-WARM_FILES:]:
        shutil.copyfile(path, corpus / "map" / "warm" / path.name)
    for number in range(WARM_FILES):
        path = corpus / "shuffle" / "warm" / f"{number}.parquet"
        write_shard(path, number * WARM_ROWS, WARM_ROWS, WARM_FILES * WARM_ROWS, 72)
    size = documents // 2
    for half, seed in enumerate(SEEDS):
        for number, first in enumerate(range(0, size, ROWS_PER_SHARD)):
            rows = min(ROWS_PER_SHARD, size - first)
            path = corpus / "shuffle" / str(half) / f"{half}{number:04d}.parquet"
            write_shard(path, first, rows, size, seed, half * size)


def recipe(part: str, inputs: list[Path]) -> dict[str, Any]:
    """The run of a part over these folders."""
    names = [str(path) for path in inputs]
    source: dict[str, Any] = {"documents": {"inputs": names}}
    if part == "map":
        source = {"warc": {"inputs": names, "split_bytes": SPLIT_BYTES}}
    return {"name": part, "source": source, "steps": MAP if part == "map" else SHUFFLE}


def run_part(part: str, folder: Path, workers: int, warm: Path, inputs: list[Path]) -> None:
    """One process: the part over the warm-up's input, "ready", and at a line on stdin over its own; figures as JSON."""
    from pipeline.progress import Progress
    from pipeline.recipe import build
    from pipeline.run import execute
    from pipeline.runner import InlineRunner, RayRunner

    start = time.perf_counter()
    with RayRunner(workers=workers) if workers else nullcontext(InlineRunner()) as runner:
        execute(build(recipe(part, [warm])), folder / "warm", runner, Progress(quiet=True))
        started = time.perf_counter() - start
        print("ready", flush=True)
        sys.stdin.readline()
        execute(build(recipe(part, inputs)), folder / "run", runner, Progress(quiet=True))
    steps = json.loads((folder / "run" / "run.json").read_text())["steps"]
    ours = [name for name in sorted(steps) if part == "map" or name.split("-", 1)[1] in SHUFFLE]
    first = json.loads((folder / "run" / min(steps) / "manifest.json").read_text())
    figures = {name: round(steps[name]["wall_s"], 3) for name in ours}
    last = json.loads((folder / "run" / max(steps) / "manifest.json").read_text())
    value = {"documents": first["documents_read"], "kept": last["rows"]}
    value |= {"seconds": sum(figures.values()), "steps_s": figures}
    print(json.dumps({**value, "start_s": round(started, 2)}), flush=True)


class Run:
    """`run_part` in a process of its own."""

    def __init__(self, part: str, folder: Path, workers: int, warm: Path, *inputs: Path) -> None:
        folder.mkdir(parents=True)
        command = [sys.executable, "-m", "benchmarks.scaling", "--part", part, str(folder), str(workers), str(warm)]
        self.process = subprocess.Popen(
            [*command, *map(str, inputs)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.folder = folder

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.endswith("\n"):
            raise SystemExit(f"the run in {self.folder} failed (status {self.process.wait()})")
        return line

    def ready(self) -> Run:
        """Wait until it has started."""
        self._line()
        return self

    def go(self) -> Run:
        """Let it begin."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self

    def figures(self) -> dict[str, Any]:
        """Documents and seconds of the part's steps, when it is done."""
        found: dict[str, Any] = json.loads(self._line())
        self.process.communicate()
        return found


def turn(part: str, corpus: Path, folder: Path, together_first: bool) -> dict[str, Any]:
    """Both ways, one after the other."""
    halves = [corpus / part / "0", corpus / part / "1"]
    warm = corpus / part / "warm"

    def separate() -> list[dict[str, Any]]:
        runs = [Run(part, folder / f"alone-{i}", 0, warm, half) for i, half in enumerate(halves)]
        return [run.figures() for run in [run.go() for run in [run.ready() for run in runs]]]

    def together() -> dict[str, Any]:
        return Run(part, folder / "together", 2, warm, *halves).ready().go().figures()

    if together_first:
        one, two = together(), separate()
    else:
        two, one = separate(), together()
    shutil.rmtree(folder)
    if one["kept"] != sum(half["kept"] for half in two):
        raise SystemExit(f"{part}: the two ways kept different documents: {one} {two}")
    summed = sum(half["documents"] / half["seconds"] for half in two)
    reached = one["documents"] / one["seconds"]
    return {
        "separate": two,
        "together": one,
        "summed_per_s": summed,
        "reached_per_s": reached,
        "share": reached / summed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--documents", type=int, default=DOCUMENTS, help="documents of the shuffle's input")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--parts", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    if args.part:
        part, folder, workers, *inputs = args.part
        run_part(part, Path(folder), int(workers), Path(inputs[0]), [Path(one) for one in inputs[1:]])
        return
    with tempfile.TemporaryDirectory(prefix="gristmill-scaling-", dir=MEMORY) as name:
        corpus = Path(name) / "corpus"
        prepare(corpus, args.documents)
        for part in args.parts:
            turns = [turn(part, corpus, Path(name) / f"{part}-{k}", k % 2 == 1) for k in range(args.turns)]
            share = statistics.median(one["share"] for one in turns)
            value = {"share": share, "target": TARGETS[part], "met": share >= TARGETS[part], "turns": turns}
            print(f"{part}: {share:.3f} of the sum (target {TARGETS[part]})", flush=True)
            if args.write:
                write(f"scaling_{part}", value, ("ray",), bench="scaling")


if __name__ == "__main__":
    main()
