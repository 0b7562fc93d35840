"""Tokens a second of the training loop on a CPU, beside a plain nanoGPT-style loop of the same shape in the same run.

    python -m benchmarks.pretrain_speed [--runs 5] [--shapes tiny small documents] [--threads 1 2] [--steps-scale 1]

    tiny        4 layers, width 128, sequences of 64, 12 a step, 256 ids (nanoGPT's CPU settings)
    small       6 layers, width 384, sequences of 256, 4 a step, 8 320 ids
    documents   4 layers, width 128, sequences of 512, 8 a step, 8 320 ids; documents of 150 tokens on average, which
                see only themselves: our loop masks, the plain one does not

Ours is `pretrain.loop` as `gristmill pretrain` runs it (packs by memory map, shuffled, causal objective, clipping,
guard against spikes); the peer is benchmarks/peers/nanogpt_shape.py (random windows of a memmap, GPT-2-like model).
Both have the same width, depth, heads and rows of the embedding; parameters differ by under 3 %. Ids are random. After
a first untimed run of each, `--runs` runs take turns; figures are medians of positions (batch x length) a second.

`loader_share` is the time in drawing batches, of the whole step; `prepare_share` that of making inputs and targets.
Each side has a process of its own, so that the peak memory and what our loop sets in it (pretrain.allocator) are its
own; the process's start is not timed. Writes benchmarks/results/pretrain_speed.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from tokenizers import Tokenizer, models

from benchmarks.common import ROOT, write
from benchmarks.peers.nanogpt_shape import Gpt, Loop, Shape
from pipeline.bpe import load_tokenizer
from pipeline.packing.draws import default_draws, draw_shard
from pipeline.packing.tasks import PackWork, make_pack, plan_tasks
from pipeline.packreader import PackReader, open_packs
from pipeline.packs import RESERVED, reserved_ids, write_manifest
from pretrain.config import train_config
from pretrain.loop import optimise
from pretrain.model import Transformer
from pretrain.objectives import make_objective
from pretrain.sizes import model_config, parameters
from pretrain.sources import PackSource
from pretrain.throughput import memory


@dataclass(frozen=True)
class Case:
    """One shape; `steps` of a run. `document` is the mean length of documents, 0 for one document in all."""

    size: str
    length: int
    batch_size: int
    vocabulary: int  # rows of the embedding
    steps: int
    document: int = 0


CASES = {
    "tiny": Case("tiny", 64, 12, 256, 60),
    "small": Case("small", 256, 4, 8320, 4),
    "documents": Case("tiny", 512, 8, 8320, 10, 150),
}


def make_data(folder: Path, case: Case) -> PackReader:
    """A pack set of random ids, and the same ids as nanoGPT's file beside it (`ids.bin`)."""
    words = case.vocabulary - RESERVED - 1
    tokenizer = Tokenizer(models.WordLevel({f"t{i}": i for i in range(words)}, unk_token="t0"))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(folder / "source.json"))
    loaded = load_tokenizer(folder / "source.json")
    random = np.random.default_rng(0)
    tokens = case.length * case.batch_size * 100
    ids = random.integers(0, words, tokens, np.uint16)
    cuts = np.array([0, tokens])
    if case.document:
        cuts = np.unique(np.concatenate([cuts, random.integers(1, tokens, tokens // case.document)]))
    ids[cuts[1:] - 1] = loaded.eos_id
    ids.tofile(folder / "ids.bin")
    columns = {
        "id": [f"{i:032x}" for i in range(len(cuts) - 1)],
        "input_ids": pa.LargeListArray.from_arrays(pa.array(cuts), pa.array(ids)),
    }
    shard = folder / "shard.arrow"
    with pa.ipc.new_file(str(shard), pa.table(columns).schema) as writer:
        writer.write_table(pa.table(columns))
    drawn = draw_shard(
        folder / "draws" / "0.arrow", 0, str(shard), loaded.dtype, seed=0, order="natural", first=0, total=tokens,
        partitions=1,
    )  # fmt: skip
    draws = default_draws(folder, [str(shard)], [drawn], tokenizer=loaded.path)
    pad = reserved_ids(loaded.vocab_size)["pad"]
    work = PackWork((str(folder),), (case.length,), "concatenate", loaded.dtype, pad, draws.files, draws.shards)
    tasks = plan_tasks(draws, "concatenate", (case.length,), 1 << 20)
    entries = [make_pack(work, task)["entries"][0] for task in tasks]
    write_manifest(folder, tokenizer=loaded, sequence_length=case.length, files=entries)
    return open_packs(folder)


class Timed:
    """A source whose drawing is timed."""

    def __init__(self, source: PackSource) -> None:
        self.source, self.seconds = source, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.source)
        while True:
            start = time.perf_counter()
            batch = next(batches)
            self.seconds += time.perf_counter() - start
            yield batch


def ours(reader: PackReader, case: Case, steps: int) -> dict[str, float]:
    """Seconds of a run of our loop, and of them those of drawing and preparing batches."""
    config = train_config(
        {"size": case.size, "steps": steps, "batch_size": case.batch_size, "optim": {"lr": 1e-3, "warmup": 10}}
    )
    objective = make_objective("causal", {}, reader)
    torch.manual_seed(0)
    model = Transformer(model_config(case.size, reader.total_ids))
    source, prepare, spent = Timed(PackSource(reader, case.batch_size, 0)), objective.prepare, [0.0]

    def timed(*given: Any) -> Any:
        start = time.perf_counter()
        made = prepare(*given)
        spent[0] += time.perf_counter() - start
        return made

    objective.prepare = timed  # type: ignore[method-assign]
    start = time.perf_counter()
    for _ in optimise(model, objective, source, config):
        pass
    return {"seconds": time.perf_counter() - start, "loader": source.seconds, "prepare": spent[0]}


def peer(path: Path, case: Case, steps: int) -> dict[str, float]:
    """Seconds of a run of the plain loop."""
    torch.manual_seed(0)
    loop = Loop(Gpt(_shape(case)), path, case.length, case.batch_size, steps, warmup=10)
    return {"seconds": loop.run(0)}


def _shape(case: Case) -> Shape:
    sizes = model_config(case.size, case.vocabulary)
    return Shape(sizes.vocab_size, sizes.d_model, sizes.n_layers, sizes.n_heads, case.length)


class Side:
    """A process of its own for one side, so that neither's memory and settings are the other's."""

    def __init__(self, name: str, shape: str, folder: Path, steps: int, threads: int) -> None:
        command = [sys.executable, "-m", "benchmarks.pretrain_speed", "--side", name, "--shapes", shape,
                   "--folder", str(folder), "--steps", str(steps), "--threads", str(threads)]  # fmt: skip
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def run(self) -> dict[str, float]:
        """One run: its seconds, and `peak_rss_bytes` until now."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(file=self.process.stdin, flush=True)
        found: dict[str, float] = json.loads(self.process.stdout.readline())
        return found

    def close(self) -> None:
        self.process.communicate()


def serve(name: str, folder: Path, case: Case, steps: int) -> None:
    """The process: a run for each line that comes in."""
    for _ in sys.stdin:
        found = ours(open_packs(folder), case, steps) if name == "ours" else peer(folder / "ids.bin", case, steps)
        print(json.dumps({**found, **memory()}), flush=True)


def measure(shape: str, threads: list[int], runs: int, scale: float) -> dict[str, Any]:
    """All runs of a shape."""
    case = CASES[shape]
    steps = max(2, round(case.steps * scale))
    sizes = model_config(case.size, case.vocabulary)
    result: dict[str, Any] = {
        "sequence_length": case.length,
        "batch_size": case.batch_size,
        "steps": steps,
        "parameters": {"ours": parameters(sizes), "peer": Gpt(_shape(case)).parameter_count(positions=True)},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder, case)
        for count in threads:
            sides = {which: Side(which, shape, folder, steps, count) for which in ("ours", "peer")}
            found: dict[str, list[dict[str, float]]] = {which: [] for which in sides}
            for number in range(runs + 1):
                for which, one in sides.items():
                    made = one.run()
                    if number:
                        found[which].append(made)
            for one in sides.values():
                one.close()
            result[f"threads_{count}"] = _figures(found, case.batch_size * case.length * steps)
    return result


def _figures(found: dict[str, list[dict[str, float]]], positions: int) -> dict[str, Any]:
    rates = {which: [positions / one["seconds"] for one in there] for which, there in found.items()}
    medians = {which: statistics.median(values) for which, values in rates.items()}
    mine = found["ours"]
    return {
        "tokens_per_s": {which: round(value) for which, value in medians.items()},
        "ratio": medians["ours"] / medians["peer"],
        "ratio_by_run": [a / b for a, b in zip(rates["ours"], rates["peer"], strict=True)],
        "loader_share": statistics.median(one["loader"] / one["seconds"] for one in mine),
        "prepare_share": statistics.median(one["prepare"] / one["seconds"] for one in mine),
        "seconds": {which: [one["seconds"] for one in there] for which, there in found.items()},
        "peak_rss_mb": {which: round(there[-1]["peak_rss_bytes"] / 1e6) for which, there in found.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--shapes", nargs="+", choices=tuple(CASES), default=list(CASES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--steps-scale", type=float, default=1.0, help="more or fewer steps a run")
    parser.add_argument("--no-write", action="store_true", help="print the result only")
    for name in ("--side", "--folder", "--steps"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        torch.set_num_threads(args.threads[0])
        serve(args.side, Path(args.folder), CASES[args.shapes[0]], int(args.steps))
        return
    result = {}
    for shape in args.shapes:
        result[shape] = measure(shape, args.threads, args.runs, args.steps_scale)
        print(shape, json.dumps(result[shape]), flush=True)
    if not args.no_write:
        write("pretrain_speed", {"runs": args.runs, **result}, ("torch", "numpy", "pyarrow"))


if __name__ == "__main__":
    main()
