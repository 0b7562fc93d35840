"""From documents to packs: what packing costs and saves, its speed and memory, and the whole stage beside two peers.

    python -m benchmarks.packing [--copies 4] [--runs 5] [--memory 1 10] [--limit N]

The documents are the texts of all real pages (benchmarks/texts.py), `--copies` times under different ids, in Parquet
shards (and gzipped JSON lines for Dolma).

layout   utilisation and truncated documents at T = 2048 of best fit and of concatenation, and with long contexts
packing  token shards -> pack files, by this process alone: MB/s of ids, both methods and orders in turn
whole    documents -> shuffled packs on two cores, the commands from start to end, in turn:
         `gristmill pack --workers 2`; datatrove's DocumentTokenizer and merger (make peers, or GRISTMILL_PEERS);
         Dolma's `dolma tokens` (GRISTMILL_DOLMA names the program). A peer that isn't there is left out. The start
         (Ray, imports, tokenizers) is timed apart, on one document a file.
memory   peak resident memory of `gristmill pack` in one process at 1 and 10 times the texts

Writes benchmarks/results/packing.json.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.bpe import load_tokenizer
from pipeline.packing.draws import default_draws, draw_shard, token_places
from pipeline.packing.layout import fit
from pipeline.packing.statistics import cut_by_concatenation, shares
from pipeline.packing.tasks import PackWork, make_pack, partitions_for, plan_tasks
from pipeline.packs import reserved_ids

from .common import ROOT, SHARED, alternate, medians, write
from .texts import PEER, real_texts

TOKENIZER = SHARED / "tokenizers" / "allenai_gpt-neox-olmo-dolma-v1_5.json"
EOS = "<|endoftext|>"
LENGTH = 2048
LONG = (2048, 8192, 32768)
SHARDS = 4
DOLMA = os.environ.get("GRISTMILL_DOLMA", "")


def documents(texts: pa.Table, copies: int) -> pa.Table:
    """The texts `copies` times, each with an id and a URL of its own."""
    parts = []
    for copy in range(copies):
        ids = pa.array([f"{copy:04x}{i:028x}" for i in range(texts.num_rows)])
        parts.append(pa.table({"id": ids, "text": texts["text"], "url": texts["url"]}))
    return pa.concat_tables(parts)


def write_inputs(table: pa.Table, folder: Path) -> None:
    """`parquet/` and `jsonl/documents/` (where Dolma looks) in `SHARDS` files each."""
    (folder / "parquet").mkdir(parents=True)
    (folder / "jsonl" / "documents").mkdir(parents=True)
    size = -(-table.num_rows // SHARDS)
    for number in range(SHARDS):
        part = table.slice(number * size, size)
        pq.write_table(part, folder / "parquet" / f"{number}.parquet", row_group_size=1000)
        if not DOLMA:
            continue
        with gzip.open(folder / "jsonl" / "documents" / f"{number}.jsonl.gz", "wt", 1, encoding="utf-8") as out:
            for row in part.to_pylist():
                out.write(json.dumps({"id": row["id"], "text": row["text"], "source": "pages"}) + "\n")


def pack_command(inputs: Path, output: Path, *options: str) -> list[str]:
    """The command line of `gristmill pack`."""
    command = [sys.executable, "-m", "pipeline.cli", "pack", str(inputs), "-o", str(output), "--quiet"]
    return [*command, "--tokenizer", str(TOKENIZER), "--sequence-length", str(LENGTH), *options]


def tokens_of(folder: Path) -> list[str]:
    """Token shards of the Parquet files, made once by the steps of a recipe."""
    recipe = folder / "tokens.yaml"
    value = {
        "name": "tokens",
        "source": {"documents": {"inputs": [str(folder / "parquet")]}},
        "steps": [{"tokenize": {"tokenizer": str(TOKENIZER), "eos": EOS}}],
    }
    recipe.write_text(json.dumps(value))
    command = [sys.executable, "-m", "pipeline.cli", "run", str(recipe), "--output", str(folder / "tokens"), "--quiet"]
    subprocess.run([*command, "--inline"], check=True, cwd=ROOT)
    return sorted(str(path) for path in (folder / "tokens").glob("*-tokenize/tokens/*.arrow"))


def layouts(shards: list[str], dtype: str) -> dict[str, Any]:
    """Utilisation and truncation of each method over all documents at once."""
    counts = np.concatenate([token_places(shard, dtype)[1] for shard in shards])
    counts = counts[counts > 0]
    total, n = int(counts.sum()), len(counts)
    (own,) = fit(counts, (LENGTH,))
    several = fit(counts, LONG)
    cut = cut_by_concatenation(counts, 0, LENGTH)
    too_long = int((counts > LENGTH).sum())
    return {
        "documents": n,
        "tokens": total,
        "sequence_length": LENGTH,
        "longer_than_a_sequence": too_long,
        "concatenate": {**shares(n, cut, total, -(-total // LENGTH) * LENGTH), "cut_though_they_fit": cut - too_long},
        "best_fit": {**shares(n, too_long, total, own.sequences * LENGTH), "cut_though_they_fit": 0},
        "best_fit_long": {
            "lengths": LONG,
            **shares(n, int((counts > LONG[-1]).sum()), total, sum(one.sequences * one.length for one in several)),
            "sequences": [one.sequences for one in several],
        },
    }


def pack_shards(shards: list[str], folder: Path, method: str, order: str, text_dtype: str, pad: int) -> None:
    """Token shards -> draws -> pack files, as the step does it, in this process."""
    shutil.rmtree(folder, ignore_errors=True)
    counts = [int(token_places(shard, text_dtype)[1].sum()) for shard in shards]
    per_file = (256 << 20) // (np.dtype(text_dtype).itemsize * LENGTH)
    partitions = partitions_for(sum(counts), LENGTH, per_file)
    made = [
        draw_shard(
            folder / "draws" / f"{i}.arrow", i, shard, text_dtype, seed=0, order=order, first=sum(counts[:i]),
            total=sum(counts), partitions=partitions,
        )
        for i, shard in enumerate(shards)
    ]  # fmt: skip
    draws = default_draws(folder, shards, made, tokenizer=TOKENIZER)
    work = PackWork((str(folder),), (LENGTH,), method, text_dtype, pad, draws.files, draws.shards)
    for task in plan_tasks(draws, method, (LENGTH,), per_file):
        make_pack(work, task)


def run_gristmill(inputs: Path, output: Path) -> dict[str, Any]:
    """Documents -> packs on two workers."""
    shutil.rmtree(output, ignore_errors=True)
    subprocess.run(pack_command(inputs / "parquet", output, "--workers", "2"), check=True, cwd=ROOT)
    return {"tokens": json.loads((output / "packset" / "manifest.json").read_text())["tokens"]}


def run_datatrove(inputs: Path, output: Path) -> dict[str, Any]:
    """The same by datatrove."""
    shutil.rmtree(output, ignore_errors=True)
    script = ROOT / "benchmarks" / "peers" / "datatrove_tokens.py"
    command = [str(PEER), str(script), str(inputs / "parquet"), str(output), str(TOKENIZER), EOS, "2"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_dolma(inputs: Path, output: Path) -> dict[str, Any]:
    """The same by Dolma; it shuffles by taking turns among the files that it reads."""
    shutil.rmtree(output, ignore_errors=True)
    tokenizer = load_tokenizer(TOKENIZER, EOS)
    command = [
        DOLMA, "tokens", "--documents", str(inputs / "jsonl" / "documents" / "*.jsonl.gz"), "--destination",
        str(output), "--tokenizer.name_or_path", str(TOKENIZER), "--tokenizer.eos_token_id", str(tokenizer.eos_id),
        "--tokenizer.pad_token_id", "1", "--dtype", "uint16", "--processes", "2",
    ]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return {"tokens": sum(path.stat().st_size for path in output.rglob("*.npy")) // 2}


def peak_mb(inputs: Path, output: Path) -> int:
    """Peak resident MB of `gristmill pack` in one process, measured from a process that has no other child."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-c", code, *pack_command(inputs / "parquet", output)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return int(done.stdout.split()[-1]) // 1024


def main() -> None:
    """Measure and write `results/packing.json`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--memory", type=int, nargs="*", default=[1, 10])
    parser.add_argument("--limit", type=int, help="take the first N texts only, to try it")
    args = parser.parse_args()
    texts = real_texts()
    texts = texts.slice(0, args.limit) if args.limit else texts
    loaded = load_tokenizer(TOKENIZER, EOS)
    pad = int(reserved_ids(loaded.vocab_size)["pad"])
    value: dict[str, Any] = {"tokenizer": TOKENIZER.name, "load_average": {"before": os.getloadavg()[0]}}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        table = documents(texts, args.copies)
        megabytes = table["text"].combine_chunks().nbytes / 1e6
        write_inputs(table, folder)
        shards = tokens_of(folder)
        single = documents(texts, 1)
        value["layout"] = layouts(shards, loaded.dtype)
        ids_mb = value["layout"]["tokens"] * np.dtype(loaded.dtype).itemsize / 1e6
        print("layout", json.dumps(value["layout"], indent=1), flush=True)

        ways: dict[str, Callable[[], Any]] = {
            f"{method}, {order}": partial(pack_shards, shards, folder / "packed", method, order, loaded.dtype, pad)
            for method in ("best_fit", "concatenate")
            for order in ("shuffle", "natural")
        }
        for way in ways.values():
            way()
        seconds = alternate(ways, args.runs)
        value["packing"] = {
            "ids_mb": ids_mb,
            "text_mb": megabytes,
            "seconds": seconds,
            "ids_mb_per_s": {way: round(ids_mb / s, 1) for way, s in medians(seconds).items()},
            "text_mb_per_s": {way: round(megabytes / s, 1) for way, s in medians(seconds).items()},
        }
        print("packing", value["packing"]["ids_mb_per_s"], flush=True)

        stages: dict[str, Callable[[Path, Path], dict[str, Any]]] = {"gristmill": run_gristmill}
        if PEER.exists():
            stages["datatrove"] = run_datatrove
        if DOLMA:
            stages["dolma"] = run_dolma
        said: dict[str, Any] = {}
        commands = {
            stage: partial(lambda stage, run: said.update({stage: run(folder, folder / "out")}), stage, run)
            for stage, run in stages.items()
        }
        seconds = alternate(commands, args.runs)
        rates = {stage: megabytes / s for stage, s in medians(seconds).items()}
        write_inputs(table.slice(0, SHARDS), folder / "start")
        starts = alternate({name: partial(run, folder / "start", folder / "out") for name, run in stages.items()}, 5)
        running = {name: megabytes / (s - medians(starts)[name]) for name, s in medians(seconds).items()}
        value["whole"] = {
            "text_mb": megabytes,
            "workers": 2,
            "said": said,
            "seconds": seconds,
            "text_mb_per_s": {stage: round(rate, 2) for stage, rate in rates.items()},
            "gristmill_over": {s: round(rates["gristmill"] / r, 2) for s, r in rates.items() if s != "gristmill"},
            "start_seconds": starts,
            "without_start": {
                "text_mb_per_s": {name: round(rate, 2) for name, rate in running.items()},
                "gristmill_over": {
                    stage: round(running["gristmill"] / rate, 2)
                    for stage, rate in running.items()
                    if stage != "gristmill"
                },
            },
            "left_out": [s for s in ("datatrove", "dolma") if s not in stages],
        }
        print("whole", value["whole"]["text_mb_per_s"], value["whole"]["gristmill_over"], flush=True)

        value["memory"] = {}
        for times in args.memory:
            inputs = folder / f"memory{times}"
            write_inputs(documents(texts, times), inputs)
            value["memory"][f"{times}x"] = {
                "text_mb": round(single["text"].combine_chunks().nbytes / 1e6 * times),
                "peak_mb": peak_mb(inputs, folder / "out"),
            }
            shutil.rmtree(inputs)
        print("memory", value["memory"], flush=True)
    value["load_average"]["after"] = os.getloadavg()[0]
    value["self_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    write("packing", value, ("pyarrow", "tokenizers", "numpy", "ray"))


if __name__ == "__main__":
    main()
