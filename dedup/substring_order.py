"""The place of each document in the keeper policy's order, as a number, for any number of documents.

Where one task can't sort them all, they are sorted in ranges: a sample of all shards gives the bounds, each shard
sends its documents to the ranges, each range is sorted by itself and counts on from the ones before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.runner import Task
from pipeline.steps import StepContext
from pipeline.storage import place

from .keeper import KeeperPolicy
from .removal import block_of, blocks
from .shuffle import files_in, partition_count, read_partition, write_partitions

if TYPE_CHECKING:
    import polars as pl

ROWS_PER_RANGE = 4_000_000
"""Documents that one task sorts: about 600 MB with the default policy."""
SAMPLE_PER_RANGE = 100
PLACE = ("shard", "row")


@dataclass(frozen=True)
class OrderTask:
    """One shard (`index` of `shards`) or one range (`index` of `ranges`)."""

    index: int
    shards: int
    ranges: int
    rows: int
    folder: str
    keep: tuple[str, ...]
    step: str
    first_rank: int = 0

    @property
    def policy(self) -> KeeperPolicy:
        """The keeper policy."""
        return KeeperPolicy.parse(self.keep, f"step '{self.step}'")


def order_values(table: pa.Table, shard: int, row: int, policy: KeeperPolicy) -> pa.Table:
    """The policy's values, id, shard and row of documents, the first of which has this row."""
    n = table.num_rows
    place = {"shard": np.full(n, shard, np.int32), "row": np.arange(row, row + n)}
    return pa.table({**policy.values(table), "id": table["id"].cast(pa.string()), **place})


def write_documents(folder: Path, shard: int, values: Sequence[pa.Table]) -> dict[str, Any]:
    """Write `documents/<shard>.arrow`: the `order_values` of all of the shard's documents."""
    table = pa.concat_tables(values)
    path = folder / "documents" / f"{shard:05d}.arrow"
    return write_partitions(path, table, np.zeros(table.num_rows, np.int64), 1)


def _frame(table: pa.Table) -> pl.DataFrame:
    import polars as pl

    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def write_bounds(task: OrderTask) -> dict[str, Any]:
    """Write `bounds/0.arrow`: the first documents of all ranges but the first, by a sample of all shards."""
    every = max(1, task.rows // (task.ranges * SAMPLE_PER_RANGE))
    parts = []
    for path in files_in(place(task.folder) / "documents", task.shards):
        table = read_partition([path], 0)
        parts.append(table.take(pa.array(np.arange(0, table.num_rows, every))))
    sample = task.policy.sorted(_frame(pa.concat_tables(parts)), last=PLACE)
    at = [sample.height * p // task.ranges for p in range(1, task.ranges)]
    bounds = sample[at].to_arrow().cast(parts[0].schema)
    path = place(task.folder) / "bounds" / "0.arrow"
    return {"files": [write_partitions(path, bounds, np.zeros(len(at), np.int64), 1)]}


def split_documents(task: OrderTask) -> dict[str, Any]:
    """Write `ranges/<shard>.arrow`: the shard's documents by range; returns how many went to each."""
    import polars as pl

    folder = place(task.folder)
    bounds = _frame(read_partition([folder / "bounds" / "0.arrow"], 0)).with_columns(bound=pl.lit(1))
    own = _frame(read_partition([folder / "documents" / f"{task.index:05d}.arrow"], 0)).with_columns(bound=pl.lit(0))
    ordered = task.policy.sorted(pl.concat([bounds, own]), last=PLACE).with_columns(range=pl.col("bound").cum_sum())
    ordered = ordered.filter(pl.col("bound") == 0)
    number = ordered["range"].to_numpy()
    table = ordered.drop("bound", "range").to_arrow()
    entry = write_partitions(folder / "ranges" / f"{task.index:05d}.arrow", table, number, task.ranges)
    return {"files": [entry], "in_range": np.bincount(number, minlength=task.ranges).tolist()}


def rank_documents(task: OrderTask) -> dict[str, Any]:
    """Write `ranks/<range>.arrow`: shard, row and rank of the range's documents."""
    folder = place(task.folder)
    source = folder / ("ranges" if task.ranges > 1 else "documents")
    table = read_partition(files_in(source, task.shards), task.index)
    ordered = task.policy.sorted(_frame(table), last=PLACE).select(PLACE).to_arrow()
    ranks = pa.array(np.arange(task.first_rank, task.first_rank + ordered.num_rows))
    ordered = ordered.append_column("rank", ranks)
    path = folder / "ranks" / f"{task.index:05d}.arrow"
    number = block_of(ordered["shard"].to_numpy().astype(np.int64), task.shards)
    return {"files": [write_partitions(path, ordered, number, blocks(task.shards))]}


def rank_all(context: StepContext, shards: int, rows: int, keep: tuple[str, ...]) -> None:
    """Leave `ranks/` in the step's folder, where `write_documents` has been called for every shard."""
    folder, step = str(context.folder.path), context.step
    ranges = partition_count(rows, ROWS_PER_RANGE)
    label = f"{step}: order"
    first = [0] * ranges
    if ranges > 1:
        context.map(write_bounds, [Task("bounds", OrderTask(0, shards, ranges, rows, folder, keep, step))], label=label)
        tasks = [Task(f"range-{i:05d}", OrderTask(i, shards, ranges, rows, folder, keep, step)) for i in range(shards)]
        counts = np.sum([one["in_range"] for one in context.map(split_documents, tasks, label=label)], axis=0)
        first = [0, *np.cumsum(counts)[:-1].tolist()]
    context.map(
        rank_documents,
        [
            Task(f"rank-{p:05d}", OrderTask(p, shards, ranges, rows, folder, keep, step, first[p]))
            for p in range(ranges)
        ],
        label=label,
    )


def ranks_of(folder: Path, shard: int, shards: int) -> NDArray[np.int64]:
    """The rank of each document of a shard, by row."""
    table = read_partition(files_in(folder / "ranks"), int(block_of(shard, shards)))
    table = table.filter(pc.equal(table["shard"], shard))
    ranks = np.empty(table.num_rows, np.int64)
    ranks[table["row"].to_numpy()] = table["rank"].to_numpy()
    return ranks
