"""The last part of every dedup: each shard of documents split into kept and dropped ones.

Reduce tasks leave verdicts, partitioned by shard: `shard, row, copies`, and of a dropped document `duplicate_of`, the
id of the kept one ("" where that has none), with whatever else the step knows of it. A document without a verdict is
kept. Map tasks may join equal documents of their shard before that and leave followers, a file a shard: `row, leader`
(the leader's row), `leader_id, reason`. A follower goes with its leader's verdict, or for its leader if that is kept.
Kept documents get `copies`: how many documents of the corpus they stand for, themselves included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.runner import Task
from pipeline.stage import DROP_FILTER, DROP_REASON
from pipeline.steps import Artefact, StepContext, shard_results
from pipeline.storage import local_file, place
from pipeline.store import parquet_shards

from .shuffle import document_batches, files_in, partition_tables, read_partition, write_partitions

COPIES = "copies"
DUPLICATE_OF = "duplicate_of"
MAX_BLOCKS = 256
"""Verdicts are partitioned by blocks of shards, at most so many: the number of small parts stays in bounds."""
VERDICT = (("shard", pa.int32()), ("row", pa.int64()), (COPIES, pa.int64()), (DUPLICATE_OF, pa.string()))
"""Columns that every file of verdicts has; `duplicate_of` is null for kept documents."""


def blocks(shards: int) -> int:
    """How many partitions verdicts on so many shards have."""
    return max(1, min(shards, MAX_BLOCKS))


def block_of(shard: Any, shards: int) -> Any:
    """The partition of a shard's verdicts."""
    return shard * blocks(shards) // max(1, shards)


def write_verdicts(path: Path, verdicts: pa.Table, shards: int) -> dict[str, Any]:
    """Write a reduce task's verdicts; the file's entry for its mark."""
    return write_partitions(
        path, verdicts, block_of(verdicts["shard"].to_numpy().astype(np.int64), shards), blocks(shards)
    )


@dataclass(frozen=True)
class ShardSplit:
    """One shard to split: `extra` are the verdict's columns that dropped rows get; `columns`: see `split_all`."""

    index: int
    shards: int
    path: str
    folder: str
    verdicts: str
    step: str
    reason: str
    extra: tuple[tuple[str, Any], ...] = ()
    columns: str = ""
    followers: str = ""


def split_shard(task: ShardSplit) -> dict[str, Any]:
    """Write a shard's `kept/` and `dropped/` files. A verdict's `reason`, where it has one, goes before the task's."""
    folder = place(task.folder)
    files = files_in(folder / task.verdicts)
    own = _own(files, task)
    base = pq.read_schema(local_file(task.path)).empty_table()
    more = read_partition([folder / task.columns / f"{task.index:05d}.arrow"], 0) if task.columns else None
    kept_schema = _with_copies(_with_columns(base, more, 0), None).schema
    dropped_schema = pa.schema(
        [
            *kept_schema,
            *(pa.field(n, t) for n, t in ((DUPLICATE_OF, pa.string()), *task.extra) if n not in kept_schema.names),
            *(pa.field(n, pa.string()) for n in (DROP_FILTER, DROP_REASON) if n not in kept_schema.names),
        ]
    )
    name = f"{task.index:05d}.parquet"
    row = 0
    reasons: dict[str, int] = {}
    with parquet_shards((folder / "kept" / name, kept_schema), (folder / "dropped" / name, dropped_schema)) as (
        kept_file,
        dropped_file,
    ):
        for first, batch in document_batches(task.path):
            table = _with_columns(batch, more, first)
            places = pa.array(np.arange(first, first + table.num_rows))
            row += table.num_rows
            found = own.take(pc.index_in(places, value_set=own["row"]))
            lost = pc.is_valid(found[DUPLICATE_OF])
            kept_file.write(_with_copies(table, found[COPIES]).filter(pc.invert(lost)))
            gone = _with_copies(table, None).filter(lost)
            verdict = found.filter(lost)
            values = {n: verdict[n] for n in (DUPLICATE_OF, *(n for n, _ in task.extra))}
            values[DROP_FILTER] = pa.chunked_array([pa.repeat(task.step, gone.num_rows)], pa.string())
            usual = pa.scalar(task.reason)
            values[DROP_REASON] = (
                pc.coalesce(verdict["reason"], usual)
                if "reason" in verdict.column_names
                else pa.chunked_array([pa.repeat(usual, gone.num_rows)], pa.string())
            )
            for column, value in values.items():
                gone = gone.drop_columns([column]) if column in gone.column_names else gone
                gone = gone.append_column(column, value)
            for one in gone[DROP_REASON].to_pylist():
                reasons[one] = reasons.get(one, 0) + 1
            dropped_file.write(gone)
        entries = [kept_file.close(), dropped_file.close()]
    count = {"stage": task.step, "n_in": row, "n_split": 0, "n_kept": entries[0]["rows"], "dropped": reasons}
    return {"files": entries, "n_in": row, "counts": [count]}


FOLLOWERS = pa.schema(
    [("row", pa.int64()), ("leader", pa.int64()), ("leader_id", pa.string()), ("reason", pa.string())]
)


def _own(files: list[Path], task: ShardSplit) -> pa.Table:
    """The verdicts on a shard's documents, followers among them."""
    own = pa.table({n: pa.array([], t) for n, t in [*VERDICT, *task.extra]})
    if files:
        block = partition_tables(files, int(block_of(task.index, task.shards)))
        parts = [table.filter(pc.equal(table["shard"], task.index)) for table in block]
        own = pa.concat_tables(parts, promote_options="permissive").combine_chunks()
    if not task.followers:
        return own
    followers = read_partition([place(task.folder) / task.followers / f"{task.index:05d}.arrow"], 0)
    at = pc.index_in(followers["leader"], value_set=own["row"])
    columns = {
        "shard": pa.repeat(pa.scalar(task.index, pa.int32()), followers.num_rows),
        "row": followers["row"],
        DUPLICATE_OF: pc.coalesce(own[DUPLICATE_OF].take(at), followers["leader_id"], pa.scalar("")),
        "reason": followers["reason"],
        **{name: own[name].take(at) for name, _ in task.extra},
    }
    return pa.concat_tables([own, pa.table(columns)], promote_options="permissive").combine_chunks()


def _with_columns(table: pa.Table, more: pa.Table | None, first: int) -> pa.Table:
    """The rows from number `first` on with the shard's further columns."""
    if more is None:
        return table
    for name in more.column_names:
        table = table.drop_columns([name]) if name in table.column_names else table
        table = table.append_column(name, more[name].slice(first, table.num_rows))
    return table


def _with_copies(table: pa.Table, copies: pa.ChunkedArray | None) -> pa.Table:
    before = (
        table[COPIES] if COPIES in table.column_names else pa.chunked_array([pa.repeat(1, table.num_rows)], pa.int64())
    )
    if COPIES in table.column_names:
        table = table.drop_columns([COPIES])
    return table.append_column(COPIES, before if copies is None else pc.coalesce(copies, before))


def split_all(
    context: StepContext,
    documents: Artefact,
    *,
    step: str,
    reason: str,
    verdicts: str = "verdicts",
    extra: Sequence[tuple[str, Any]] = (),
    columns: str = "",
    followers: str = "",
) -> dict[str, Any]:
    """Split all shards by the verdicts that lie in the step's folder `verdicts`; returns the step's manifest.

    `followers`: the folder where each shard has a file of followers, "" for none; `columns`: one where each has a file
    of columns that its rows get. All three folders may go afterwards.
    """
    shards = len(documents.files)
    tasks = [
        ShardSplit(
            i,
            shards,
            str(documents.path / file),
            str(context.folder.path),
            verdicts,
            step,
            reason,
            tuple(extra),
            columns,
            followers,
        )
        for i, file in enumerate(documents.files)
    ]
    results = context.map(split_shard, [Task(f"apply-{t.index:05d}", t) for t in tasks], label=f"{context.step}: split")
    return shard_results(results)
