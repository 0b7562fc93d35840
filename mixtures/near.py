"""Clusters of near-duplicates over all sources, by MinHash of the tokens, for held-out sets that nothing trained
on resembles.

Shingles are `SHINGLE` tokens. Documents that share one of `bands` keys of `rows` MinHash values are linked, and a
cluster is a connected component of links, without verification: too large a cluster keeps too much together, never
too little apart. The same out-of-core parts as in `dedup` do the work: sign -> link -> components.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.runner import Task
from pipeline.storage import local_file, place

if TYPE_CHECKING:
    from pipeline.steps import StepContext

SHINGLE = 5
_BASE = np.uint64(0xD1B54A32D192ED03)
FLUSH_ROWS = 1 << 16
WORK = ("bands", "links", "stars")

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


def shingles(ids: npt.NDArray[Any], offsets: Ints) -> tuple[Hashes, Ints]:
    """(hashes, offsets) of the runs of SHINGLE ids of each document; a shorter document is one shingle."""
    from dedup.lsh import mixed

    counts = np.diff(offsets)
    made = np.where(counts >= SHINGLE, counts - SHINGLE + 1, np.minimum(counts, 1))
    out_offsets = np.concatenate([[0], np.cumsum(made)]).astype(np.int64)
    padded = np.concatenate([mixed(ids.astype(np.uint64) + np.uint64(1)), np.zeros(SHINGLE, np.uint64)])
    document = np.repeat(np.arange(len(counts)), made)
    starts = np.arange(out_offsets[-1]) - out_offsets[document] + offsets[document]
    ends = offsets[1:][document]
    hashes = np.zeros(len(starts), np.uint64)
    with np.errstate(over="ignore"):
        for place in range(SHINGLE):
            here = np.where(starts + place < ends, padded[starts + place], np.uint64(0))
            hashes = hashes * _BASE + here
    return mixed(hashes), out_offsets


@dataclass(frozen=True)
class SignTask:
    """One token shard to sign."""

    shard: int
    path: str
    folder: str
    partitions: int
    bands: int
    rows: int


def sign(task: SignTask) -> dict[str, Any]:
    """Write `bands/<shard>-<part>.arrow`: the band keys of the shard's documents. The function that workers run."""
    from dedup.lsh import nodes_of, write_bands
    from dedup.signatures import band_keys, signatures_of_hashes

    entries: list[dict[str, Any]] = []
    keys: list[Hashes] = []
    nodes: list[Ints] = []

    def flush() -> None:
        path = place(task.folder) / "bands" / f"{task.shard:05d}-{len(entries):03d}.arrow"
        entries.append(write_bands(path, np.concatenate(keys), np.concatenate(nodes), task.partitions))
        keys.clear()
        nodes.clear()

    rows = 0
    for first, ids, offsets in _batches(task.path):
        counts = np.diff(offsets)
        some = np.flatnonzero(counts > 1)  # the last id only ends the document
        hashes, bounds = shingles(ids, offsets)
        signed = signatures_of_hashes(hashes, bounds, num_perm=task.bands * task.rows)
        keys.append(band_keys(signed[some], task.bands, task.rows))
        nodes.append(nodes_of(task.shard, first + some))
        rows += len(counts)
        if sum(map(len, nodes)) >= FLUSH_ROWS:
            flush()
    if sum(map(len, nodes)) or not entries:
        keys.append(np.zeros((0, task.bands), np.uint64))
        nodes.append(np.zeros(0, np.int64))
        flush()
    return {"intermediate": entries, "n_in": rows}


def _batches(path: str) -> Iterator[tuple[int, npt.NDArray[Any], Ints]]:
    """(number of the first row, ids, offsets) of the record batches of a token shard."""
    row = 0
    with pa.memory_map(local_file(path)) as source:
        file = pa.ipc.open_file(source)
        for number in range(file.num_record_batches):
            column = file.get_batch(number).column("input_ids")
            offsets = column.offsets.to_numpy().astype(np.int64)
            values = column.values.to_numpy()[offsets[0] : offsets[-1]]
            yield row, values, offsets - offsets[0]
            row += len(column)


def label(context: StepContext, shards: Sequence[str], files: Sequence[str], documents: int, how: Any) -> Path:
    """Write `near/labels.parquet`, and return it: `shard, row, cluster, cluster_tokens, stale`.

    It has the documents that have company, and no others.

    `files` are the catalogue's; `how` is the mixture's HeldOut.
    """
    from dedup import lsh
    from dedup.clusters import components
    from dedup.shuffle import partition_count, remove

    folder = context.folder.path
    bands, rows = how.bands, how.rows
    partitions = partition_count(documents * bands, lsh.KEYS_PER_PARTITION)
    signed = context.map(
        sign,
        [
            Task(f"sign-{i:05d}", SignTask(i, path, str(folder), partitions, bands, rows))
            for i, path in enumerate(shards)
        ],
        label=f"{context.step}: sign",
    )
    written = sum(len(one["intermediate"]) for one in signed)
    spread = partition_count(documents * bands // 4, lsh.LINKS_PER_PARTITION)
    context.map(
        lsh.link_buckets,
        [Task(f"link-{p:05d}", lsh.Buckets(p, str(folder), written, spread)) for p in range(partitions)],
        unit="keys",
        label=f"{context.step}: link",
    )
    stars, _ = components(context, "links", partitions, spread)
    task = LabelTask(str(folder), stars, spread, tuple(map(str, files)), how.after)
    context.map(write_labels, [Task("labels", task)], label=f"{context.step}: clusters")
    remove(folder, *WORK, *(path.name for path in folder.glob("*-[0-9][0-9]") if path.name[:5] in ("large", "small")))
    return folder / "near" / "labels.parquet"


@dataclass(frozen=True)
class LabelTask:
    """All stars, to write as clusters."""

    folder: str
    stars: str
    partitions: int
    catalogue: tuple[str, ...]
    after: str | None


def write_labels(task: LabelTask) -> dict[str, Any]:
    """Write `near/labels.parquet` (see `label`). Holds the documents that have company, and no others, in memory."""
    import polars as pl

    from dedup.lsh import row_of, shard_of
    from dedup.shuffle import files_in, read_partition
    from pipeline.store import atomic_path, file_digest

    folder = place(task.folder)
    stars = files_in(folder / task.stars, task.partitions)
    tables = [read_partition(stars, p) for p in range(_partitions(stars[0]))]
    node = np.concatenate([table["node"].to_numpy() for table in tables])
    to = np.concatenate([table["to"].to_numpy() for table in tables])
    roots = np.unique(to)
    nodes, to = np.concatenate([node, roots]), np.concatenate([to, roots])
    links = pl.DataFrame(
        {"shard": shard_of(nodes).astype(np.int32), "row": row_of(nodes), "node": nodes, "root": to}
    ).unique(["node"], maintain_order=False)
    known = (
        pl.scan_parquet([local_file(file) for file in task.catalogue], glob=False)
        .join(links.lazy(), on=["shard", "row"], how="inner")
        .select("shard", "row", "node", "root", "key", "n_tokens", fresh=_fresh(task.after))
        .collect()
    )
    keys = known.select(root="node", cluster="key")
    stale = known.group_by("root").agg(stale=pl.col("fresh").any(), cluster_tokens=pl.col("n_tokens").sum())
    made = known.join(keys, on="root").join(stale, on="root")
    made = made.select("shard", "row", "cluster", "cluster_tokens", "stale")
    made = made.sort("shard", "row")
    target = folder / "near" / "labels.parquet"
    with atomic_path(target) as temporary:
        made.write_parquet(temporary, compression="zstd", compression_level=3)
    entry = {"file": "near/labels.parquet", "rows": made.height, "bytes": target.stat().st_size,
             "blake2b": file_digest(target)}  # fmt: skip
    return {"files": [entry], "n_in": made.height, "clusters": int(known["root"].n_unique())}


def _fresh(after: str | None) -> Any:
    import polars as pl

    return pl.lit(False) if after is None else (pl.col("date") > after).fill_null(False)


def _partitions(path: Path) -> int:
    with pa.memory_map(local_file(path)) as source:
        return int(pa.ipc.open_file(source).num_record_batches)
