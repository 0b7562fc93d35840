"""MinHash dedup of 1, 3 and 10 million made-up documents on two cores: time, memory, disk, and what was removed.

Each size runs in a process of its own with two Ray workers. Memory is the sum of the proportional set sizes of that
process and all its children, looked at twice a second; disk the sizes of the step's files, looked at every two seconds.
The documents' families are known (`dedup_corpus`): removals are counted by the copies' kind, beside the S-curve's
expectation at their true similarity (brute force over 2 000 of them), and removals outside of a family are named.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .common import ROOT, write

SEED = 71
ROWS_PER_SHARD = 100_000
SIZES = (1_000_000, 3_000_000, 10_000_000)
SHINGLE = 5


def tree_pss(root: int) -> int:
    """Bytes of a process and its descendants, shared pages counted once."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry))
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        total += next((int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return total


def folder_bytes(folder: Path) -> int:
    """Sizes of all files that are there."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


class Watch(threading.Thread):
    """Peaks of memory and disk while a process runs."""

    def __init__(self, pid: int, folder: Path) -> None:
        super().__init__(daemon=True)
        self.pid, self.folder = pid, folder
        self.memory = self.disk = 0
        self.stop = threading.Event()

    def run(self) -> None:
        turn = 0
        while not self.stop.wait(0.5):
            self.memory = max(self.memory, tree_pss(self.pid))
            if turn % 4 == 0:
                self.disk = max(self.disk, folder_bytes(self.folder))
            turn += 1


def make_corpus(folder: Path, documents: int) -> dict[str, Any]:
    """Write the shards, if they aren't there."""
    from .dedup_corpus import write_shard

    marker = folder / "made.json"
    if not marker.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        made = [
            write_shard(folder / f"{i:05d}.parquet", first, min(ROWS_PER_SHARD, documents - first), documents, SEED)
            for i, first in enumerate(range(0, documents, ROWS_PER_SHARD))
        ]
        marker.write_text(json.dumps({"shards": len(made), "text_bytes": sum(one["text_bytes"] for one in made)}))
    return dict(json.loads(marker.read_text()))


def child(source: Path, target: Path, workers: int) -> None:
    """The run itself, in a process of its own; prints JSON."""
    import io

    import pyarrow.parquet as pq

    from dedup.minhash import MinhashDedup
    from pipeline.progress import Progress
    from pipeline.runner import RayRunner
    from pipeline.steps import Artefact, StepContext
    from pipeline.store import StepFolder

    files = tuple(sorted(path.name for path in source.glob("*.parquet")))
    rows = sum(pq.ParquetFile(source / file).metadata.num_rows for file in files)
    folder = StepFolder(target)
    folder.begin("scale", {})
    with RayRunner(workers=workers) as runner:
        documents = Artefact("documents", source, "scale", files, rows)
        context = StepContext(
            "minhash", folder, {"documents": documents}, runner, Progress(quiet=True, stream=io.StringIO())
        )
        start = time.perf_counter()
        manifest = MinhashDedup().run(context)
        seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "report": manifest["report"], "kept": manifest["rows"]}))


def parts(target: Path, start: float) -> dict[str, float]:
    """Wall seconds of each part, from the times at which its tasks were marked as done."""
    last: dict[str, float] = {}
    for path in (target / "done").glob("*.json"):
        name = path.name.split("-")[0]
        name = "components" if name in ("large", "small", "stars") else name
        last[name] = max(last.get(name, 0.0), path.stat().st_mtime)
    found = {}
    for name, end in sorted(last.items(), key=lambda item: item[1]):
        found[name] = round(end - start, 1)
        start = end
    return found


def truth(target: Path, documents: int) -> dict[str, Any]:
    """Removals by kind of copy, the S-curve's expectation of them, and removals of what is no copy."""
    import numpy as np
    import pyarrow.parquet as pq

    from dedup.minhash import MinhashDedup
    from dedup.signatures import s_curve

    from . import dedup_corpus as made

    kinds: Counter[str] = Counter()
    strangers = 0
    for path in sorted((target / "dropped").glob("*.parquet")):
        table = pq.read_table(path, columns=["id", "duplicate_of"])
        gone, kept = (np.array([int(x, 16) for x in table[name].to_pylist()], np.int64) for name in table.column_names)
        strangers += int((made.family(gone) != made.family(kept)).sum())
        copy = np.where(made.family(gone) != gone, gone, kept)  # either of the two may be the one that stays
        kinds.update((copy % made.BLOCK - (made.BLOCK - made.COPIED)).tolist())
    step = MinhashDedup()
    wanted, rows = {}, {}
    blocks = np.random.default_rng(1).permutation(documents // made.BLOCK)
    blocks = blocks[blocks % made.SITE_EVERY != 0]
    for kind in range(made.COPIED):
        copies = blocks[:500] * made.BLOCK + made.BLOCK - made.COPIED + kind
        alike = np.array([_jaccard(copies[i], made) for i in range(len(copies))])
        found = np.where(alike >= step.least_similarity, s_curve(alike, step.parameters.bands, step.parameters.rows), 0)
        rows[str(int(made.EDITS[kind]))] = {
            "copies": int(len(blocks)),
            "removed_share": round(kinds[kind] / len(blocks), 4),
            "expected_share": round(float(found.mean()), 4),
            "standard_error_of_expected": round(float(found.std() / np.sqrt(len(found))), 4),
            "mean_jaccard": round(float(alike.mean()), 4),
        }
    wanted["by_edits_per_thousand_words"] = rows
    return {**wanted, "removed_for_a_stranger": strangers}


def _jaccard(copy: int, made: Any) -> float:
    import numpy as np

    both = made.texts(np.array([copy, int(made.family(np.array([copy]))[0])]), SEED).to_pylist()
    a, b = ({tuple(w[i : i + SHINGLE]) for i in range(len(w) - SHINGLE + 1)} for w in (t.split() for t in both))
    return len(a & b) / len(a | b)


def measure(documents: int, folder: Path, workers: int) -> dict[str, Any]:
    """One size: make the corpus, run, look at the result, and delete both."""
    source, target = folder / f"in-{documents}", folder / f"out-{documents}"
    made = make_corpus(source, documents)
    shutil.rmtree(target, ignore_errors=True)
    start = time.time()
    command = [sys.executable, "-m", "benchmarks.dedup_scale", "--child", str(source), str(target), str(workers)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    watch = Watch(process.pid, target)
    watch.start()
    output, _ = process.communicate()
    watch.stop.set()
    if process.returncode:
        raise SystemExit(f"the run of {documents:,} documents failed ({process.returncode})")
    found = json.loads(output.splitlines()[-1])
    report = found["report"]
    result = {
        "documents": documents,
        "text_gb": round(made["text_bytes"] / 1e9, 2),
        "seconds": round(found["seconds"], 1),
        "documents_per_s": round(documents / found["seconds"]),
        "text_mb_per_s": round(made["text_bytes"] / 1e6 / found["seconds"], 1),
        "peak_memory_gb": round(watch.memory / 1e9, 2),
        "peak_disk_gb": round(watch.disk / 1e9, 2),
        "kept_and_dropped_gb": round(folder_bytes(target) / 1e9, 2),
        "state_bytes_per_document": {
            "band keys and nodes, before compression": 16 * 14,
            "peak of all working files": round((watch.disk - 0) / documents),
        },
        "parts_s": parts(target, start),
        "kept": found["kept"],
        "report": {k: report[k] for k in report if k not in ("largest_components", "sampled_components")},
        "largest_component": report["largest_components"][:1],
        "truth": truth(target, documents),
    }
    shutil.rmtree(target)
    shutil.rmtree(source)
    return result


def main() -> None:
    """Measure and write `results/dedup_scale.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "dedup-scale")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(Path(args.child[0]), Path(args.child[1]), int(args.child[2]))
        return
    results = []
    for size in args.sizes:
        results.append(measure(size, args.folder, args.workers))
        print(json.dumps(results[-1], indent=1), flush=True)
    write(
        "dedup_scale", {"workers": args.workers, "seed": SEED, "sizes": results}, ("ray", "polars", "pyarrow", "numba")
    )


if __name__ == "__main__":
    main()
