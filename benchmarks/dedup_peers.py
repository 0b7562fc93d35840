"""Whole MinHash dedup beside datatrove's four stages, text-dedup and datasketch's MinHashLSH, on the same documents.

    python -m benchmarks.dedup_peers [--runs N] [--slow-runs N] [--generated N] [--no-write]

Corpora: all pages of ../shared/data/html, and made-up documents with known duplicates (`dedup_corpus`). All read the
same Parquet shards and use 14 bands of 8 rows over shingles of five words; ours and datatrove write kept and removed
documents as Parquet, text-dedup the kept ones as a `datasets` folder, datasketch nothing but ids. Words: ours by UAX
#29, datatrove's by its English tokenizer (spaCy) as FineWeb ran it, both after datatrove's normalisation; text-dedup's
are what its pattern \\W leaves, in small letters; for datasketch the caller has to cut them (see peers/datasketch_lsh).

Each run is a new process, in turn with the others, ours without Ray. Seconds are without the start: by each system's
own clock after a first text (imports and tokenizers or kernels loaded), and of text-dedup the process's less those of
the same command on three short documents, which is the start of all in the table. Peak memory is Linux' of the
process. Documents a second and core are by CPU seconds of all threads, as the machine may be busy.

Agreement: of the pairs in each bin of true Jaccard (`dedup_pages`), the share of which one went; and the overlap of
the sets of removed documents with ours, which also tells of the choice of the kept copy: ours the longest, then
the first by id, datatrove the one with most neighbours found before, text-dedup and datasketch the first.
Writes benchmarks/results/dedup_peers.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .common import ROOT, write
from .dedup_pages import Pairs, all_pairs, deduplicated, pages, shingle_set, write_shards
from .texts import PEER

TEXT_DEDUP = Path(os.environ.get("GRISTMILL_TEXT_DEDUP", ROOT / ".venv-text-dedup" / "bin" / "python"))
"""The interpreter that has text-dedup (make peers)."""
SCRIPTS = Path(__file__).parent / "peers"
EDGES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0, 1.0 + 1e-9)
SLOW = ("datatrove", "text_dedup")
SEED, GENERATED_PER_SHARD = 71, 10_000
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def command(system: str, shards: Path, work: Path, small: Path) -> list[str]:
    """What to run; ours reads the `small` corpus first."""
    if system.startswith("gristmill"):
        verify = "no" if system.endswith("unverified") else "yes"
        return [sys.executable, "-m", "benchmarks.dedup_peers", "--child", str(shards), str(work), verify, str(small)]
    if system == "datatrove":
        return [str(PEER), str(SCRIPTS / "datatrove_minhash.py"), str(shards), str(work)]
    if system == "datasketch":
        return [str(PEER), str(SCRIPTS / "datasketch_lsh.py"), str(shards), str(work / "found.json")]
    given = {
        "path": "parquet", "data_files": f"{shards}/*.parquet", "split": "train", "cache_dir": str(work / "cache"),
        "output": str(work / "kept"), "column": "text", "ngram": 5, "min_length": 0, "num_perm": 112, "b": 14, "r": 8,
        "num_proc": 1,
    }  # fmt: skip
    flat = [str(one) for name, value in given.items() for one in (f"--{name}", value)]
    return [str(TEXT_DEDUP), "-m", "text_dedup.minhash", *flat]


def child(shards: Path, work: Path, verify: bool, small: Path) -> None:
    """Our run, in a process of its own, after one over a small corpus that loads all there is to load."""
    from pipeline.runner import InlineRunner
    from pipeline.steps import Artefact

    cpu: dict[str, float] = {}

    class Timed(InlineRunner):
        def map(self, function: Any, tasks: Any, **more: Any) -> None:
            start = time.process_time()
            super().map(function, tasks, **more)
            cpu[function.__name__] = cpu.get(function.__name__, 0.0) + time.process_time() - start

    def documents(folder: Path) -> Artefact:
        files = tuple(sorted(path.name for path in folder.glob("*.parquet")))
        rows = sum(pq.ParquetFile(folder / file).metadata.num_rows for file in files)
        return Artefact("documents", folder, "pages", files, rows)

    deduplicated(documents(small), work / "small", Timed(), verify=verify)
    cpu.clear()
    start, start_cpu = time.perf_counter(), time.process_time()
    table, report = deduplicated(documents(shards), work / "step", Timed(), verify=verify)
    whole = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - start_cpu}
    found = {"removed": table["id"].to_pylist(), "compared": report["compared"], "parts": cpu, **whole}
    (work / "found.json").write_text(json.dumps(found))


LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
out, err = (open(sys.argv[1] + name, "wb") for name in ("/stdout", "/stderr"))
process = subprocess.Popen(sys.argv[2:], stdout=out, stderr=err)
_, status, usage = os.wait4(process.pid, 0)
wall = time.perf_counter() - start
print(json.dumps([status, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""
"""Starts the measured process from a small one: Linux counts the memory of who starts it among a process's peak."""


def measured(argv: list[str], work: Path) -> dict[str, float]:
    """Wall and CPU seconds and peak memory of a process and of what it waited for."""
    work.mkdir(parents=True)
    environment = {**os.environ, **ONE_THREAD, "HF_HOME": str(work / "hf"), "HF_DATASETS_OFFLINE": "1"}
    start = [sys.executable, "-S", "-c", LAUNCHER, str(work)]
    done = subprocess.run([*start, *argv], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    status, wall, cpu, peak = json.loads(done.stdout)
    if status:
        raise SystemExit(f"{' '.join(argv[:3])} failed: {(work / 'stderr').read_text()[-2000:]}")
    return {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak}


def inner(system: str, work: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Wall and CPU seconds without the start, and CPU seconds by part, by a system's own clock if it has one."""
    if system == "text_dedup":
        return {}, {}
    if system == "datatrove":
        stages = json.loads((work / "stdout").read_text().splitlines()[-1])["stages"]
        whole = {key: sum(one[key] for one in stages.values()) for key in ("wall_s", "cpu_s")}
        return whole, {name: one["cpu_s"] for name, one in stages.items()}
    found = json.loads((work / "found.json").read_text())
    return {key: found[key] for key in ("wall_s", "cpu_s")}, found["parts"]


def removed(system: str, shards: Path, work: Path) -> set[str]:
    """Ids of the documents that a run removed."""
    if system == "datatrove":
        found = json.loads((work / "stdout").read_text().splitlines()[-1])["removed"]
        ids = [pq.read_table(path, columns=["id"])["id"].to_pylist() for path in sorted(shards.glob("*.parquet"))]
        return {ids[shard][row] for shard, row in found}
    if system == "text_dedup":
        every = pq.read_table(shards, columns=["id"])["id"].to_pylist()
        kept: set[str] = set()
        for path in sorted((work / "kept").glob("*.arrow")):
            with pa.memory_map(str(path)) as source:
                kept.update(pa.ipc.open_stream(source).read_all()["id"].to_pylist())
        return set(every) - kept
    return set(json.loads((work / "found.json").read_text())["removed"])


def real(folder: Path) -> list[str]:
    """The pages as shards; their texts' ids in order."""
    docs = pages()
    write_shards(docs, folder)
    return list(docs["id"].to_pylist())


def generated(count: int) -> Callable[[Path], list[str]]:
    """The same for made-up documents."""

    def make(folder: Path) -> list[str]:
        from .dedup_corpus import write_shard

        for i, first in enumerate(range(0, count, GENERATED_PER_SHARD)):
            write_shard(folder / f"{i:05d}.parquet", first, min(GENERATED_PER_SHARD, count - first), count, SEED)
        return list(pq.read_table(folder, columns=["id"])["id"].to_pylist())

    return make


def tiny(shards: Path, folder: Path) -> None:
    """Three short documents of the same schema."""
    folder.mkdir()
    table = pq.read_table(next(iter(sorted(shards.glob("*.parquet"))))).slice(0, 3)
    texts = pa.array(["one two three four five six"] * 2 + ["another short text of a few words"], pa.large_string())
    table = table.set_column(table.column_names.index("text"), "text", texts)
    pq.write_table(table, folder / "00000.parquet")


def agreement(gone: dict[str, set[str]], ids: list[str], pairs: Pairs) -> dict[str, Any]:
    """Of the pairs in each bin the share of which one went, by system; overlaps with our removals."""
    ours = gone["gristmill"]
    masks = {name: np.array([one in found for one in ids]) for name, found in gone.items()}
    bins = []
    for low, high in zip(EDGES[:-1], EDGES[1:], strict=True):
        inside = (pairs.jaccard >= low) & (pairs.jaccard < high)
        a, b = pairs.a[inside], pairs.b[inside]
        shares = {name: round(float((mask[a] | mask[b]).mean()), 4) for name, mask in masks.items() if len(a)}
        bins.append({"jaccard": [low, min(high, 1.0)], "pairs": len(a), "one_went": shares})
    overlap = {name: round(len(ours & found) / max(1, len(ours | found)), 4) for name, found in gone.items()}
    return {"overlap_of_removed_with_ours": overlap, "bins": bins}


def corpus(make: Callable[[Path], list[str]], systems: list[str], runs: int, slow_runs: int) -> dict[str, Any]:
    """Measure all systems on one corpus."""
    raw: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    start: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    gone: dict[str, set[str]] = {}
    own: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    inside: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards, small = folder / "shards", folder / "tiny"
        shards.mkdir()
        ids = make(shards)
        tiny(shards, small)
        texts = pq.read_table(shards, columns=["text"])["text"]
        size = texts.nbytes
        pairs = all_pairs([shingle_set(text) for text in texts.to_pylist()], EDGES[0])
        measured(command("gristmill", small, folder / "warm", small), folder / "warm")  # kernels compiled and kept
        for turn in range(runs):
            for system in systems:
                if system in SLOW and turn >= slow_runs:
                    continue
                for source, into in ((small, start), (shards, raw)):
                    work = folder / f"{system}-{turn}-{source.name}"
                    into[system].append(measured(command(system, source, work, small), work))
                whole, inside[system] = inner(system, folder / f"{system}-{turn}-shards")
                own[system].append(whole or _difference(raw[system][-1], start[system][-1]))
                gone.setdefault(system, removed(system, shards, folder / f"{system}-{turn}-shards"))
                print(system, turn, raw[system][-1], flush=True)
    out: dict[str, Any] = {"documents": len(ids), "text_mb": round(size / 1e6, 1), "systems": {}}
    for system in systems:
        wall, cpu = (statistics.median(one[key] for one in own[system]) for key in ("wall_s", "cpu_s"))
        out["systems"][system] = {
            "runs": len(raw[system]),
            "wall_s": round(wall, 2),
            "cpu_s": round(cpu, 2),
            "start_wall_s": round(statistics.median(one["wall_s"] for one in start[system]), 2),
            "start_cpu_s": round(statistics.median(one["cpu_s"] for one in start[system]), 2),
            "documents_per_cpu_s": round(len(ids) / cpu, 1),
            "mb_per_cpu_s": round(size / 1e6 / cpu, 2),
            "peak_mb": round(statistics.median(one["peak_mb"] for one in raw[system])),
            "removed": len(gone[system]),
            "parts_cpu_s_of_last_run": {name: round(value, 2) for name, value in inside[system].items()},
            "raw": {"without_start": own[system], "processes": raw[system], "starts": start[system]},
        }
    base = out["systems"]["gristmill"]["documents_per_cpu_s"]
    out["times_as_fast_per_core"] = {
        name: round(base / row["documents_per_cpu_s"], 1) for name, row in out["systems"].items() if name != "gristmill"
    }
    return {**out, "agreement": agreement(gone, ids, pairs)}


def _difference(whole: dict[str, float], start: dict[str, float]) -> dict[str, float]:
    return {key: whole[key] - start[key] for key in ("wall_s", "cpu_s")}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="alternating runs of ours and of datasketch")
    parser.add_argument("--slow-runs", type=int, default=3, help="of datatrove and text-dedup, which take minutes")
    parser.add_argument("--generated", type=int, default=50_000, help="made-up documents; 0: the real pages alone")
    parser.add_argument("--systems", nargs="+", default=["gristmill", "gristmill_unverified", *SLOW, "datasketch"])
    parser.add_argument("--no-write", action="store_true", help="print, and leave the result file alone")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        shards, work, verify, small = args.child
        child(Path(shards), Path(work), verify == "yes", Path(small))
        return
    result = {"real": corpus(real, args.systems, args.runs, args.slow_runs)}
    if args.generated:
        result["generated"] = corpus(generated(args.generated), args.systems, args.runs, args.slow_runs)
    for one in result.values():
        rows = {name: {k: v for k, v in row.items() if k != "raw"} for name, row in one["systems"].items()}
        print(json.dumps({**one, "systems": rows}, indent=1))
    if not args.no_write:
        write("dedup_peers", {"peers": peer_versions(), **result}, ("numba", "polars", "pyarrow", "numpy"))


def peer_versions() -> dict[str, str]:
    """What was measured against."""
    found = {}
    for python, packages in ((PEER, ("datatrove", "spacy", "datasketch", "numpy")), (TEXT_DEDUP, ("text-dedup",))):
        code = f"from importlib.metadata import version as v; print(*[v(p) for p in {packages!r}])"
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
        found.update(zip(packages, done.stdout.split(), strict=True))
    return found


if __name__ == "__main__":
    main()
