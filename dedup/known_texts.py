"""Texts that an index holds, for exact dedup against it: they go before all documents, and these go for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.storage import place

from .index import Index
from .settle import DUPLICATE_IN
from .shuffle import files_in, read_partition, write_partitions

if TYPE_CHECKING:
    import polars as pl

FOLDER = "known"
_HASH = ["text_high", "text_low"]
_SCHEMA = pa.schema([(_HASH[0], pa.uint64()), (_HASH[1], pa.uint64()), ("to_id", pa.string())])


@dataclass(frozen=True)
class KnownTask:
    """One file of an index; `number` is the index's among those given."""

    index: int
    number: int
    against: str
    path: str
    folder: str
    partitions: int


def map_known(task: KnownTask) -> dict[str, Any]:
    """Write `known/<file>.arrow`: hash and id of the texts, partitioned as the documents are."""
    tables = [_SCHEMA.empty_table()]
    for _, table in Index.open(place(task.against)).read(place(task.path), ["text_hash"]):
        table = table.filter(table["id"].is_valid())
        digests = bytes.fromhex("".join(table["text_hash"].to_pylist()))
        halves = np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)
        tables.append(pa.table([pa.array(halves[:, 0]), pa.array(halves[:, 1]), table["id"]], schema=_SCHEMA))
    known = pa.concat_tables(tables).append_column("number", pa.array(np.full(sum(map(len, tables)), task.number)))
    partition = known[_HASH[0]].to_numpy() % np.uint64(task.partitions)
    path = place(task.folder) / FOLDER / f"{task.index:05d}.arrow"
    return {"files": [write_partitions(path, known, partition.astype(np.int64), task.partitions)], "n_in": len(known)}


def without_known(
    folder: Path, partition: int, files: int, against: tuple[str, ...], winners: pl.DataFrame, losers: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(winners, losers) where winners that an index holds are losers too; losers get `duplicate_in`.

    Of several equal texts of indexes the one of the first index and the smallest id counts. Whose winner goes is told
    of the index's document.
    """
    import polars as pl

    nowhere = pl.lit(None, pl.String).alias(DUPLICATE_IN)
    columns = ["shard", "row", "to_shard", "to_row", "to_id"]
    losers = losers.select(columns)
    if not files:
        return winners, losers.with_columns(nowhere)
    known = pl.from_arrow(read_partition(files_in(folder / FOLDER, files), partition))
    assert isinstance(known, pl.DataFrame)
    known = known.sort([*_HASH, "number", "to_id"]).unique(_HASH, keep="first", maintain_order=True)
    paths = pl.Series(list(against), dtype=pl.String)
    known = known.with_columns(pl.Series(DUPLICATE_IN, paths.gather(known["number"]))).drop("number")
    met = winners.join(known, on=_HASH, how="inner", maintain_order="left")
    gone = met.select("shard", "row", pl.col("shard").alias("to_shard"), pl.col("row").alias("to_row"), "to_id",
                      DUPLICATE_IN)  # fmt: skip
    final = gone.select("to_shard", "to_row", pl.col("to_id").alias("final"), DUPLICATE_IN)
    told = losers.join(final, on=["to_shard", "to_row"], how="left", maintain_order="left")
    told = told.with_columns(pl.coalesce("final", "to_id").alias("to_id")).select(*columns, DUPLICATE_IN)
    return winners.join(met, on=["shard", "row"], how="anti", maintain_order="left"), pl.concat([told, gone])
