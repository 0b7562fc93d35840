"""Two workers of one run against two processes that know nothing of each other.

    python -m benchmarks.scaling --corpus DIR --prepare     builds the inputs: a crawl, made-up documents
    python -m benchmarks.scaling --corpus DIR [--turns 5]

What a second worker brings is measured against what the machine gives: two processes (`--inline`, no Ray) that each run
half of the input at the same time, on the same cores and memory bus. Their throughputs are summed (each half over its
own wall time); the run with two workers has the whole input. Only the steps' own wall time counts (`run.json`), not the
start of Python or Ray, which a long run doesn't see; the workers' imports do count. The two alternate, and the first
turn, which compiles the kernels, isn't counted.

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
from pathlib import Path
from typing import Any

import yaml

from benchmarks.common import ROOT, SHARED, write

DOCUMENTS = 400_000
ROWS_PER_SHARD = 20_000
SPLIT_BYTES = 2 << 20
COPIES = 2
"""Times that each WARC file is in the crawl, under names of their own."""
MAP = ["url", "consent", {"extract": {"engine": "gristmill"}}, "language", "gopher_repetition", "gopher_quality",
       "c4_documents", "fineweb_quality"]  # fmt: skip
SHUFFLE = ["exact_dedup", "minhash_dedup"]
TARGETS = {"map": 0.93, "shuffle": 0.85}


def prepare(corpus: Path, documents: int) -> None:
    """Write both inputs, in two halves each."""
    from benchmarks.dedup_corpus import write_shard

    files = sorted(SHARED.glob("html/*.warc.gz"), key=lambda path: -path.stat().st_size)
    if not files:
        raise SystemExit(f"no WARC files in {SHARED / 'html'}; see the README for the data")
    sizes = [0, 0]
    for copy in range(COPIES):
        for path in files:
            half = sizes.index(min(sizes))
            sizes[half] += path.stat().st_size
            target = corpus / "map" / str(half) / f"{copy}-{path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    for number, first in enumerate(range(0, documents, ROWS_PER_SHARD)):
        rows = min(ROWS_PER_SHARD, documents - first)
        write_shard(corpus / "shuffle" / str(number % 2) / f"{number:05d}.parquet", first, rows, documents, 71)


def recipe(part: str, inputs: list[Path]) -> dict[str, Any]:
    """The run of a part over these folders."""
    names = [str(path) for path in inputs]
    source: dict[str, Any] = {"documents": {"inputs": names}}
    if part == "map":
        source = {"warc": {"inputs": names, "split_bytes": SPLIT_BYTES}}
    return {"name": part, "source": source, "steps": MAP if part == "map" else SHUFFLE}


class Run:
    """A run in a process of its own."""

    def __init__(self, part: str, inputs: list[Path], folder: Path, *options: str) -> None:
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe(part, inputs)))
        self.output, self.part = folder / "run", part
        command = [sys.executable, "-m", "pipeline.cli", "run", str(folder / "recipe.yaml"), "--quiet", *options]
        self.process = subprocess.Popen([*command, "--output", str(self.output)], cwd=ROOT)

    def finish(self) -> dict[str, float]:
        """Documents and seconds of the part's steps."""
        if self.process.wait():
            raise SystemExit(f"the run in {self.output} failed")
        steps = json.loads((self.output / "run.json").read_text())["steps"]
        manifests = {name: json.loads((self.output / name / "manifest.json").read_text()) for name in steps}
        ours = [name for name in steps if self.part == "map" or name.split("-", 1)[1] in SHUFFLE]
        first = manifests[sorted(steps)[0]]
        return {
            "documents": first["documents_read"],
            "seconds": sum(steps[name]["wall_s"] for name in ours),
            **{f"{name}_s": steps[name]["wall_s"] for name in ours},
        }


def turn(part: str, corpus: Path, folder: Path) -> dict[str, Any]:
    """Both ways, one after the other."""
    halves = [corpus / part / "0", corpus / part / "1"]
    alone = [Run(part, [half], folder / f"alone-{i}", "--inline") for i, half in enumerate(halves)]
    separate = [run.finish() for run in alone]
    together = Run(part, halves, folder / "together", "--workers", "2").finish()
    shutil.rmtree(folder)
    summed = sum(one["documents"] / one["seconds"] for one in separate)
    reached = together["documents"] / together["seconds"]
    return {
        "separate": separate,
        "together": together,
        "summed_per_s": summed,
        "reached_per_s": reached,
        "share": reached / summed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, default=ROOT / "runs" / "scaling-corpus")
    parser.add_argument("--prepare", action="store_true", help="build the inputs and stop")
    parser.add_argument("--documents", type=int, default=DOCUMENTS, help="documents of the shuffle's input")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--parts", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    if args.prepare or not args.corpus.is_dir():
        prepare(args.corpus, args.documents)
    if args.prepare:
        return
    value: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="gristmill-scaling-") as name:
        for part in args.parts:
            turns = [turn(part, args.corpus, Path(name) / f"{part}-{k}") for k in range(args.turns + 1)][1:]
            share = statistics.median(one["share"] for one in turns)
            value[part] = {"share": share, "target": TARGETS[part], "met": share >= TARGETS[part], "turns": turns}
            print(f"{part}: {share:.3f} of the sum (target {TARGETS[part]})")
    if args.write:
        write("scaling", value, ("ray",))


if __name__ == "__main__":
    main()
