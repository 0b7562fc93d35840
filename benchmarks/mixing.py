"""The step `mix` at growing sizes: documents a second, peak memory, and how far sources are from their targets.

    python -m benchmarks.mixing [--documents 100000 1000000] [--runs 5]

The documents are made up: random ids, lengths log-normal around 90 tokens, languages and domains by Zipf's law, in
token shards of 25 000. The mixture asks for everything: temperature over languages, quality buckets by quantiles, a cap
on domains, held-out clusters and days, two phases. `plain` leaves out the search for near-duplicates. Each run is a
process of its own, with all work in it. Writes benchmarks/results/mixing.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers

from pipeline.schema import RECORD

from .common import ROOT, write

SHARD = 25_000
TOLERANCE = 2048
MIXTURE: dict[str, Any] = {
    "temperature": {"by": "lang", "exponent": 0.7},
    "quality": {"edges": [0.3, 0.7], "quantiles": True, "repeat": [0.5, 1, 2]},
    "domain_cap": {"share": 0.01},
    "held_out": {"share": 0.01, "newest_share": 0.01},
    "phases": [{"name": "main", "share": 9}, {"name": "best", "share": 1, "repeat": [0, 0, 1]}],
}


def make_run(folder: Path, documents: int) -> None:
    """A run's folder with a finished step `tokenize`."""
    step = folder / "01-tokenize"
    (step / "tokens").mkdir(parents=True)
    (step / "documents").mkdir()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(step / "tokenizer.json"))
    draw = np.random.default_rng(0)
    files = []
    for number, begin in enumerate(range(0, documents, SHARD)):
        n = min(SHARD, documents - begin)
        counts = np.maximum(2, draw.lognormal(4, 1, n).astype(np.int64))
        offsets = np.concatenate([[0], np.cumsum(counts)])
        ids = pa.LargeListArray.from_arrays(
            pa.array(offsets), pa.array(draw.integers(0, 256, offsets[-1]).astype(np.uint16))
        )
        names = [f"{number:08x}{i:024x}" for i in range(n)]
        tokens = pa.table({"id": names, "input_ids": ids, "title_tokens": np.zeros(n, np.int32)})
        with pa.ipc.new_file(str(step / "tokens" / f"{number:05d}.arrow"), tokens.schema) as out:
            out.write_table(tokens, max_chunksize=256)
        described = pa.table(
            {
                "id": names,
                "url": [f"https://d{d % 50_000}.example/{i}" for i, d in enumerate(draw.zipf(1.3, n))],
                "record": pa.array(
                    [{"file": "f", "offset": i, "date": f"2025-01-{1 + i % 28:02d}"} for i in range(n)], RECORD
                ),
                "title": pa.nulls(n, pa.string()),
                "n_tokens": counts,
                "text_bytes": 4 * counts,
                "lang": [f"l{d % 100}" for d in draw.zipf(1.5, n)],
                "quality": draw.random(n).astype(np.float32),
            }
        )
        pq.write_table(described, step / "documents" / f"{number:05d}.parquet")
        files.append(f"tokens/{number:05d}.arrow")
    (folder / "00-pages" / "kept").mkdir(parents=True)
    for path, files_, rows in ((step, files, documents), (folder / "00-pages", ["kept/0.parquet"], 0)):
        manifest = {"fingerprint": f"{documents}", "artefact": files_, "rows": rows, "eos": "", "allow_tokens": []}
        (path / "manifest.json").write_text(json.dumps(manifest))


def one(run: str, output: str, near: bool) -> None:
    """Mix once in this process, and print what it took as JSON."""
    from mixtures.step import Mix
    from pipeline.progress import Progress
    from pipeline.runner import InlineRunner
    from pipeline.steps import StepContext
    from pipeline.store import StepFolder

    held = {**MIXTURE["held_out"], "near_duplicates": near}
    recipe = {"sources": {"pages": {"run": run}}, **MIXTURE, "held_out": held}
    path = Path(output).with_suffix(".yaml")
    path.write_text(yaml.safe_dump(recipe))
    step = Mix(mixture=str(path), tolerance_tokens=TOLERANCE)
    folder = StepFolder(Path(output))
    folder.begin("benchmark", {})
    start = time.perf_counter()
    made = step.run(StepContext("mix", folder, {}, InlineRunner(), Progress(quiet=True)))
    value = {
        "wall_s": time.perf_counter() - start,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "drawn": made["report"]["drawn"],
    }
    print(json.dumps(value))


def measure(folder: Path, documents: int, near: bool, runs: int) -> dict[str, Any]:
    """Figures of `runs` mixes of a run of so many documents."""
    found = []
    for _ in range(runs):
        command = [sys.executable, "-m", "benchmarks.mixing", "--one", str(folder / "run"), str(folder / "mixed")]
        done = subprocess.run(
            [*command, *(["--near"] if near else [])], capture_output=True, text=True, check=True, cwd=ROOT
        )
        found.append(json.loads(done.stdout))
        shutil.rmtree(folder / "mixed")
    seconds = [value["wall_s"] for value in found]
    return {
        "documents": documents,
        "tokens_drawn": sum(row["tokens"] for row in found[0]["drawn"]),
        "documents_per_s": documents / statistics.median(seconds),
        "peak_mb": max(value["peak_mb"] for value in found),
        "most_tokens_off_target": max(abs(row["tokens"] - row["target_tokens"]) for row in found[0]["drawn"]),
        "wall_s": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--near", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(*args.one, near=args.near)
        return
    results: dict[str, list[dict[str, Any]]] = {"plain": [], "near_duplicates": []}
    for documents in args.documents:
        with tempfile.TemporaryDirectory() as name:
            make_run(Path(name) / "run", documents)
            for key, rows in results.items():
                rows.append(measure(Path(name), documents, key == "near_duplicates", args.runs))
                print(key, {k: v for k, v in rows[-1].items() if k != "wall_s"})
    write("mixing", {"tolerance_tokens": TOLERANCE, "mixture": MIXTURE, **results}, ("polars", "numpy", "pyarrow"))


if __name__ == "__main__":
    main()
