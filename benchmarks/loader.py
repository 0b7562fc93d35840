"""Tokens a second of the pack loader on one core from a warm page cache, beside two usual ways.

    python -m benchmarks.loader [--tokens 67108864] [--batch-size 32] [--sequence-length 2048] [--runs 7]

Everyone yields the same shuffled (B, T) int64 batches of the same sequences, in the same order:

    packs            PackLoader as it is: each batch in memory of its own
    packs_reuse      PackLoader(reuse=True): two buffers take turns, as the training loop uses it
    packs_segments   PackLoader(segments=True): document boundaries too
    memmap_stack     the loop known from nanoGPT, written here: slices of a numpy memmap of the same
                     ids widened one by one and stacked
    torch_dataloader torch's DataLoader (no workers) over PackDataset, widened after collation

One untimed pass of each warms the cache and sums every id: the sums must agree. Timed passes draw
batches and read one id of each. The process is bound to one core and torch to one thread. `copy` is
what one core of the machine does at best: int64 written from mapped uint16 in order, no shuffling.
Writes benchmarks/results/loader.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from tokenizers import Tokenizer, models

from benchmarks.common import alternate, medians, write
from pipeline.bpe import load_tokenizer
from pipeline.packing.draws import default_draws, draw_shard
from pipeline.packing.tasks import PackWork, make_pack, plan_tasks
from pipeline.packreader import PackReader, open_packs
from pipeline.packs import reserved_ids, write_manifest
from pipeline.permutation import permute
from pretrain.data import PackDataset, PackLoader

SEED = 1
VOCABULARY = 50_000
SEQUENCES_PER_FILE = 4096


def make_packs(folder: Path, tokens: int, sequence_length: int) -> PackReader:
    """A pack set of random ids in documents of 1 000 tokens on average."""
    vocabulary = {f"t{i}": i for i in range(VOCABULARY - 1)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="t0"))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(folder / "source.json"))
    loaded = load_tokenizer(folder / "source.json")
    random = np.random.default_rng(0)
    ids = random.integers(0, VOCABULARY - 1, tokens, np.uint16)
    cuts = np.unique(np.concatenate([[0, tokens], random.integers(1, tokens, tokens // 1000)]))
    ids[cuts[1:] - 1] = loaded.eos_id
    table = pa.table(
        {
            "id": [f"{i:032x}" for i in range(len(cuts) - 1)],
            "input_ids": pa.LargeListArray.from_arrays(pa.array(cuts), pa.array(ids)),
        }
    )
    shard = folder / "shard.arrow"
    with pa.ipc.new_file(str(shard), table.schema) as writer:
        writer.write_table(table, max_chunksize=1024)
    pad_id = reserved_ids(loaded.vocab_size)["pad"]
    drawn = draw_shard(
        folder / "draws" / "0.arrow", 0, str(shard), loaded.dtype, seed=0, order="natural", first=0, total=tokens,
        partitions=1,
    )  # fmt: skip
    draws = default_draws(folder, [str(shard)], [drawn], tokenizer=loaded.path)
    lengths = (sequence_length,)
    work = PackWork((str(folder),), lengths, "concatenate", loaded.dtype, pad_id, draws.files, draws.shards)
    tasks = plan_tasks(draws, "concatenate", lengths, SEQUENCES_PER_FILE)
    entries = [make_pack(work, task)["entries"][0] for task in tasks]
    write_manifest(folder, tokenizer=loaded, sequence_length=sequence_length, files=entries)
    shard.unlink()
    return open_packs(folder)


def memmap_stack(path: Path, order: np.ndarray, batch_size: int, length: int) -> Iterator[torch.Tensor]:
    """Batches as small training scripts make them from one flat file of uint16 ids."""
    data = np.memmap(path, np.uint16, mode="r")
    for i in range(0, len(order), batch_size):
        starts = order[i : i + batch_size] * length
        yield torch.stack([torch.from_numpy(data[s : s + length].astype(np.int64)) for s in starts])


def torch_dataloader(dataset: PackDataset, order: np.ndarray, batch_size: int) -> Iterator[torch.Tensor]:
    """Batches of torch's own loader, which collates one item at a time."""
    loader = torch.utils.data.DataLoader(_IdsOnly(dataset), batch_size, sampler=order.tolist())
    for batch in loader:
        yield batch.long()


class _IdsOnly(torch.utils.data.Dataset[torch.Tensor]):
    """`PackDataset` without the segment ids, so that the peer isn't charged for what it doesn't yield."""

    def __init__(self, dataset: PackDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.dataset.ids(index)


def copy_in_order(reader: PackReader, batch_size: int) -> Iterator[torch.Tensor]:
    """The ceiling: rows in file order, widened into one small buffer."""
    out = torch.empty((batch_size, reader.sequence_length), dtype=torch.int64)
    view = out.numpy()
    for block in reader.blocks:
        for i in range(0, block.rows, batch_size):
            rows = block.input_ids[i : i + batch_size]
            view[: len(rows)] = rows
            yield out[: len(rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack loader beside two usual ways, tokens/s on one core")
    parser.add_argument("--tokens", type=int, default=1 << 26)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--sequence-length", type=int, default=2048)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    load_before = os.getloadavg()[0]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size, length = args.batch_size, args.sequence_length
        reader = make_packs(folder, args.tokens // length * length, length)
        flat = folder / "flat.bin"
        with flat.open("wb") as file:
            for block in reader.blocks:
                file.write(block.input_ids.tobytes())
        order = permute(np.arange(len(reader)), len(reader), SEED, 0)
        dataset = PackDataset(reader)
        ways: dict[str, Callable[[], Iterator[torch.Tensor]]] = {
            "packs": lambda: (b.input_ids for b in PackLoader(reader, size, SEED)),
            "packs_reuse": lambda: (b.input_ids for b in PackLoader(reader, size, SEED, reuse=True)),
            "packs_segments": lambda: (b.input_ids for b in PackLoader(reader, size, SEED, segments=True)),
            "memmap_stack": lambda: memmap_stack(flat, order, size, length),
            "torch_dataloader": lambda: torch_dataloader(dataset, order, size),
            "copy": lambda: copy_in_order(reader, size),
        }
        sums = {way: _sums(batches()) for way, batches in ways.items()}
        if len({total for total, _ in sums.values()}) != 1:
            raise SystemExit(f"the ways don't yield the same ids: {sums}")
        if len({first for way, (_, first) in sums.items() if way != "copy"}) != 1:
            raise SystemExit(f"the ways don't yield the same order: {sums}")
        seconds = alternate({way: partial(_drain, batches) for way, batches in ways.items()}, args.runs)
        tokens = len(reader) * length
    rates = {way: tokens / s for way, s in medians(seconds).items()}
    value: dict[str, Any] = {
        "tokens": tokens,
        "sum_of_ids": sums["packs"][0],
        "batch_size": size,
        "sequence_length": length,
        "pack_files": len(reader.manifest["files"]),
        "cores": 1,
        "load_average": {"before": load_before, "after": os.getloadavg()[0]},
        "seconds": seconds,
        "million_tokens_per_s": {way: round(rate / 1e6, 1) for way, rate in rates.items()},
        "packs_over": {w: round(rates["packs"] / rates[w], 2) for w in ("memmap_stack", "torch_dataloader", "copy")},
    }
    print(f"million tokens/s: {value['million_tokens_per_s']}")
    write("loader", value, ("torch", "numpy", "pyarrow"))


def _sums(batches: Iterator[torch.Tensor]) -> tuple[int, int]:
    """(sum of all ids, a sum that depends on the order of the sequences)."""
    total = ordered = 0
    for number, batch in enumerate(batches):
        assert batch.dtype == torch.int64
        rows = batch.sum(1)
        total += int(rows.sum())
        ordered += (number + 1) * int((rows * torch.arange(1, len(rows) + 1)).sum())
    return total, ordered


def _drain(batches: Callable[[], Iterator[torch.Tensor]]) -> int:
    return sum(int(batch[0, 0]) for batch in batches())


if __name__ == "__main__":
    main()
