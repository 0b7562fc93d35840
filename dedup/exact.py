"""Exact deduplication by normalised URL and by normalised text, over any number of shards.

Map hashes each shard's documents (128 bits), keeps one of each group of equal ones within the shard, and writes hash,
id and the keeper policy's columns of the others to files partitioned by hash. Reduce takes one partition of all shards:
polars groups by hash and chooses by policy. Where a second key follows, the winners of the first are partitioned by
it and reduced once more. Last, each shard is split by the verdicts. No task holds more than one partition, or one
shard's keys, or one batch of documents.

With two keys they count one after the other, as two steps would: of all documents of one URL the policy's first stays,
and of those that stay, of all with one text the policy's first. `duplicate_of` always names a document that is kept in
the end: that with the same URL or text, or, where this one went for its text, the one that it went for. Documents of
indexes (`against`) go before all others by their texts; `duplicate_in` then names the index.

Reads `text` and `url` as `by` says, and the policy's columns; adds `text_hash` (where `by` has `text`) and `copies`;
dropped rows get `duplicate_of` and the reason `duplicate_url` or `duplicate_text`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, SchemaError, nearest
from pipeline.runner import Task
from pipeline.steps import Step, StepContext, register_step
from pipeline.storage import local_file, place

from .index import Index
from .keeper import HELP, KeeperPolicy
from .known_texts import FOLDER as KNOWN
from .known_texts import KnownTask, map_known, without_known
from .removal import COPIES, FOLLOWERS, VERDICT, split_all, write_verdicts
from .settle import DUPLICATE_IN
from .shuffle import AT_ONCE, document_batches, files_in, partition_count, read_partition, remove, write_partitions

if TYPE_CHECKING:
    import polars as pl

ROWS_PER_PARTITION = 1_000_000
"""Documents that one reduce task sorts: about 300 MB with the default policy."""

KEYS = ("url", "text")
_LAST = ("content", "shard", "row")
"""What parts documents of one id, or of none: their own bytes first, so that the order of files plays no part."""


def reason(key: str) -> str:
    """Why a document goes that is not the first of its URL or text."""
    return f"duplicate_{key}"


@dataclass(frozen=True)
class _Shard:
    index: int
    path: str
    folder: str
    partitions: int
    by: tuple[str, ...]
    keep: tuple[str, ...]


@dataclass(frozen=True)
class _Partition:
    index: int
    shards: int
    folder: str
    partitions: int
    by: tuple[str, ...]
    keep: tuple[str, ...]
    against: tuple[str, ...]
    known: int
    """Files of hashes of the texts of indexes."""

    def without_known(self, winners: pl.DataFrame, losers: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """See `known_texts.without_known`."""
        return without_known(place(self.folder), self.index, self.known, self.against, winners, losers)


def _halves(key: str) -> list[str]:
    return [f"{key}_high", f"{key}_low"]


def _hashed(table: pa.Table, key: str) -> dict[str, pa.Array]:
    """Both halves of each document's hash, null for those that have no such key; of texts `text_hash` too."""
    from .hashing import key_hashes, text_hashes
    from .urls import url_key

    if key == "text":
        found = text_hashes(table["text"])
        both = {name: pa.array(half) for name, half in zip(_halves(key), found.halves, strict=True)}
        return {**both, "text_hash": found.hex()}
    keys = [url_key(url) for url in table["url"].to_pylist()]
    without = np.array([one is None for one in keys], bool)
    halves = key_hashes(one or "" for one in keys).halves
    return {name: pa.array(half, mask=without) for name, half in zip(_halves(key), halves, strict=True)}


def _rows(table: pa.Table, first: int, task: _Shard, policy: KeeperPolicy) -> pa.Table:
    """What reduce tasks need to know of documents; `first` is the number of the first."""
    from .hashing import raw_hashes

    n = table.num_rows
    columns: dict[str, Any] = {}
    for key in task.by:
        columns |= _hashed(table, key)
    columns["shard"] = pa.repeat(pa.scalar(task.index, pa.int32()), n)
    columns["row"] = pa.array(np.arange(first, first + n))
    columns["id"] = table["id"].cast(pa.string())
    columns["content"] = pa.array(raw_hashes(table["text"]))
    before = table[COPIES].cast(pa.int64()) if COPIES in table.column_names else pa.nulls(n, pa.int64())
    columns[COPIES] = pc.fill_null(before, 1)
    columns["joined"] = pa.repeat(False, n)
    return pa.table({**columns, **policy.values(table)})


def _chosen(frame: pl.DataFrame, key: str, policy: KeeperPolicy) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(winners, losers): the policy's first of each hash with the sum of `copies`, and the others.

    Losers get their winner's place and id as `to_shard, to_row, to_id`. Documents without the key all win.
    """
    import polars as pl

    halves = _halves(key)
    several = pl.len().over(halves) > 1
    grouped = frame.filter(pl.col(halves[0]).is_not_null()).filter(several)
    alone = frame.filter(pl.col(halves[0]).is_null() | ~several)
    grouped = policy.sorted(grouped, tuple(halves), _LAST).with_columns(
        pl.col("shard").first().over(halves).alias("to_shard"),
        pl.col("row").first().over(halves).alias("to_row"),
        pl.col("id").first().over(halves).fill_null("").alias("to_id"),
        (pl.int_range(pl.len()).over(halves) == 0).alias("wins"),
        pl.col(COPIES).sum().over(halves).alias("sum"),
    )
    winners = grouped.filter("wins").with_columns(pl.col("sum").alias(COPIES), pl.lit(True).alias("joined"))
    return pl.concat([alone, winners.select(frame.columns)]), grouped.filter(~pl.col("wins"))


def _partition_of(frame: pl.DataFrame, keys: tuple[str, ...], partitions: int) -> np.ndarray:
    """int64[n]: the partition by the first of the keys that a document has; one without any is put by its content."""
    import polars as pl

    names = [*(_halves(key)[0] for key in keys), "content"]
    return frame.select(pl.coalesce(names) % partitions).to_series().cast(pl.Int64).to_numpy()


def map_keys(task: _Shard) -> dict[str, Any]:
    """Write `keys/<shard>.arrow`, one document of each hash, `followers/`, the others, and `hashes/` of all texts."""
    import polars as pl

    policy = KeeperPolicy.parse(task.keep, ExactDedup.name)
    needed = list(dict.fromkeys([*task.by, "text", COPIES, *policy.reads]))
    schema = pq.read_schema(local_file(task.path))
    needed = [name for name in needed if name in schema.names]
    parts = [_rows(pa.schema([schema.field(n) for n in needed]).empty_table(), 0, task, policy)]
    parts += [_rows(table, first, task, policy) for first, table in document_batches(task.path, needed)]
    whole = pa.concat_tables(parts)
    files = []
    folder, name = place(task.folder), f"{task.index:05d}.arrow"
    if "text" in task.by:
        hashes = whole.select(["text_hash"])
        files.append(write_partitions(folder / "hashes" / name, hashes, np.zeros(len(hashes), np.int64), 1))
        whole = whole.drop_columns(["text_hash"])
    keys = pl.from_arrow(whole)
    assert isinstance(keys, pl.DataFrame)
    winners, losers = _chosen(keys, task.by[0], policy)
    winners = winners.sort("row")
    followers = losers.sort("row").select(
        "row",
        pl.col("to_row").alias("leader"),
        pl.col("to_id").alias("leader_id"),
        pl.lit(reason(task.by[0])).alias("reason"),
    )
    partition = _partition_of(winners, task.by, task.partitions)
    files += [
        write_partitions(folder / "keys" / name, winners.to_arrow().cast(whole.schema), partition, task.partitions),
        write_partitions(
            folder / "followers" / name, followers.to_arrow().cast(FOLLOWERS), np.zeros(len(followers), np.int64), 1
        ),
    ]
    return {"files": files, "n_in": keys.height}


_PLACE = ["shard", "row"]


def _frame(folder: Path, partition: int, count: int) -> pl.DataFrame:
    import polars as pl

    frame = pl.from_arrow(read_partition(files_in(folder, count), partition))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _verdicts(task: _Partition, winners: pl.DataFrame, lost: pl.DataFrame) -> dict[str, Any]:
    """Write `verdicts/<partition>.arrow`: the documents that go, and those that now stand for several."""
    import polars as pl

    kept = winners.filter("joined").select(*_PLACE, COPIES)
    verdicts = pl.concat([lost, kept], how="diagonal").sort(_PLACE)
    schema = pa.schema([*VERDICT, ("reason", pa.string()), (DUPLICATE_IN, pa.string())])
    table = verdicts.select(schema.names).to_arrow().cast(schema)
    return write_verdicts(place(task.folder) / "verdicts" / f"{task.index:05d}.arrow", table, task.shards)


def _lost(losers: pl.DataFrame, key: str) -> pl.DataFrame:
    import polars as pl

    told = pl.col("to_id").alias("duplicate_of"), pl.lit(reason(key)).alias("reason")
    return losers.select(*_PLACE, *told, DUPLICATE_IN)


def reduce_only(task: _Partition) -> dict[str, Any]:
    """Choose by the only key, in one partition."""
    keys = _frame(place(task.folder) / "keys", task.index, task.shards)
    winners, losers = _chosen(keys, task.by[0], KeeperPolicy.parse(task.keep, ExactDedup.name))
    winners, losers = task.without_known(winners, losers)
    return {"files": [_verdicts(task, winners, _lost(losers, task.by[0]))], "n_in": keys.height}


def reduce_first(task: _Partition) -> dict[str, Any]:
    """Choose by the first of two keys: winners and losers go to files partitioned by the winner's second key."""
    folder, name = place(task.folder), f"{task.index:05d}.arrow"
    keys = _frame(folder / "keys", task.index, task.shards)
    winners, losers = _chosen(keys, task.by[0], KeeperPolicy.parse(task.keep, ExactDedup.name))
    order = (task.by[1], task.by[0])
    winners, losers = winners.sort(_PLACE), losers.sort(_PLACE)
    to = losers.select("to_shard", "to_row").join(
        winners, left_on=["to_shard", "to_row"], right_on=_PLACE, how="left", maintain_order="left"
    )
    waiting = losers.select(*_PLACE, "to_shard", "to_row", "to_id")
    files = [
        write_partitions(
            folder / "winners" / name,
            winners.to_arrow(),
            _partition_of(winners, order, task.partitions),
            task.partitions,
        ),
        write_partitions(
            folder / "waiting" / name, waiting.to_arrow(), _partition_of(to, order, task.partitions), task.partitions
        ),
    ]
    return {"files": files, "n_in": keys.height}


def reduce_second(task: _Partition) -> dict[str, Any]:
    """Choose by the second key among the winners of the first; whose winner goes now is told of the one kept."""
    import polars as pl

    folder = place(task.folder)
    keys = _frame(folder / "winners", task.index, task.partitions)
    winners, losers = _chosen(keys, task.by[1], KeeperPolicy.parse(task.keep, ExactDedup.name))
    winners, losers = task.without_known(winners, losers)
    gone = losers.select(DUPLICATE_IN, to_shard="shard", to_row="row", final="to_id")
    waiting = _frame(folder / "waiting", task.index, task.partitions).join(gone, on=["to_shard", "to_row"], how="left")
    waiting = waiting.with_columns(pl.coalesce("final", "to_id").alias("to_id"))
    lost = pl.concat([_lost(losers, task.by[1]), _lost(waiting, task.by[0])])
    return {"files": [_verdicts(task, winners, lost)], "n_in": keys.height}


@register_step
@dataclass(frozen=True, kw_only=True)
class ExactDedup(Step):
    """Keeps one document of each text, or of each URL, over all shards."""

    name: ClassVar[str] = "exact_dedup"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("documents",)

    by: tuple[str, ...] = field(
        default=("text",),
        metadata={"help": "what makes documents equal: text, url, or both one after the other, in this order"},
    )
    keep: tuple[str, ...] = field(default=("record.date",), metadata={"help": HELP})
    against: tuple[str, ...] = field(
        default=(), metadata={"help": "indexes (`gristmill dedup index build`) whose texts go before all others"}
    )

    def check(self) -> None:
        where = f"step '{self.name}'"
        for key in self.by:
            if key not in KEYS:
                raise ConfigError(f"{where}: by can't be '{key}'{nearest(key, KEYS)}; write text, url, or both")
        if not self.by or len(set(self.by)) < len(self.by):
            raise ConfigError(f"{where}: by must name text, url, or each of both once, not {list(self.by)}")
        KeeperPolicy.parse(self.keep, where)
        for path in self.against:
            Index.open(place(path))
        if self.against and self.by[-1] != "text":
            raise ConfigError(
                f"{where}: an index is asked for texts, which must be the last of by, not {list(self.by)}"
            )

    def config(self) -> dict[str, Any]:
        revisions = {"indexes": [Index.open(place(path)).revision for path in self.against]} if self.against else {}
        return {**super().config(), **revisions}

    def columns(self, have: set[str]) -> set[str]:
        where = f"step '{self.name}'"
        missing = [name for name in dict.fromkeys(("text", *self.by)) if name not in have]
        if missing:
            raise SchemaError(f"{where} reads {missing}, which no earlier step adds; there: {sorted(have)}")
        KeeperPolicy.parse(self.keep, where).check_columns(have, where)
        return have | {COPIES} | ({"text_hash"} if "text" in self.by else set())

    def run(self, context: StepContext) -> dict[str, Any]:
        documents = context.inputs["documents"]
        folder, n = str(context.folder.path), len(documents.files)
        partitions = partition_count(documents.rows, ROWS_PER_PARTITION, AT_ONCE)
        shards = [
            _Shard(i, str(documents.path / file), folder, partitions, self.by, self.keep)
            for i, file in enumerate(documents.files)
        ]
        context.map(map_keys, [Task(f"map-{s.index:05d}", s) for s in shards], label=f"{context.step}: hash")
        known = [(i, path, file) for i, path in enumerate(self.against) for file in Index.open(place(path)).files()]
        asked = [KnownTask(k, i, path, str(file), folder, partitions) for k, (i, path, file) in enumerate(known)]
        context.map(map_known, [Task(f"known-{k.index:05d}", k) for k in asked], label=f"{context.step}: indexes")
        told = (folder, partitions, self.by, self.keep, self.against, len(known))
        parts = [_Partition(p, n, *told) for p in range(partitions)] if n else []
        two = len(self.by) == 2
        for name, function in (
            (("first", reduce_first), ("second", reduce_second)) if two else (("reduce", reduce_only),)
        ):
            tasks = [Task(f"{name}-{part.index:05d}", part) for part in parts]
            context.map(function, tasks, label=f"{context.step}: choose")
        manifest = split_all(
            context,
            documents,
            step=self.name,
            reason=reason(self.by[-1]),
            columns="hashes" if "text" in self.by else "",
            followers="followers",
            extra=((DUPLICATE_IN, pa.string()),) if self.against else (),
        )
        remove(context.folder.path, KNOWN, "keys", "hashes", "followers", "winners", "waiting", "verdicts")
        return manifest
