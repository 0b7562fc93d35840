"""Exact deduplication by text hash over any number of shards: map -> partition -> reduce -> apply.

Map writes, for each shard, the 128-bit hashes of its texts with the columns that the keeper policy
names, one Parquet row group a partition. Reduce takes one partition of all shards: polars sorts by
hash and policy and gives back the losers. Apply splits each shard into kept and dropped. No step
holds more than one partition or one batch of documents.

Reads `text` (and the policy's columns); adds `text_hash`; dropped rows get `duplicate_of`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipeline.errors import ConfigError, SchemaError
from pipeline.runner import Task
from pipeline.schema import RECORD
from pipeline.stage import DROP_FILTER, DROP_REASON
from pipeline.steps import Step, StepContext, add_counts, register_step
from pipeline.store import parquet_shards

ROWS_PER_PARTITION = 2_000_000
"""Hashes that one reducer sorts: about 250 MB with the default policy."""

REASON = "duplicate_text"
_SPACE = re.compile(r"\s+")


def normalise(text: str) -> str:
    """What two texts must share to count as the same: case and runs of white space don't matter."""
    return _SPACE.sub(" ", text).strip().lower()


def text_hash(text: str) -> str:
    """XXH3-128 of the normalised text, 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(normalise(text).encode("utf-8", "surrogatepass"))


def hash_column(texts: pa.ChunkedArray) -> pa.Array:
    """`text_hash` of each text."""
    return pa.array([text_hash(text) for text in texts.to_pylist()], pa.string())


@dataclass(frozen=True)
class _Shard:
    index: int
    path: str
    folder: str
    partitions: int
    keep: tuple[str, ...]


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    column, *inner = name.split(".")
    values = table[column]
    for one in inner:
        values = pc.struct_field(values, one)
    return values


def _batches(path: str) -> Iterator[pa.Table]:
    for batch in pq.ParquetFile(path).iter_batches(1024):
        yield pa.Table.from_batches([batch])


def map_keys(shard: _Shard) -> dict[str, Any]:
    """Write `keys/<shard>.parquet`: hash, row, id and policy columns, one row group a partition."""
    names = [key.lstrip("-") for key in shard.keep]
    needed = list(dict.fromkeys(["id", "text", *(name.split(".")[0] for name in names)]))
    parts = []
    row = 0
    for batch in pq.ParquetFile(shard.path).iter_batches(1024, columns=needed):
        table = pa.Table.from_batches([batch])
        columns = {
            "text_hash": hash_column(table["text"]),
            "row": pa.array(range(row, row + table.num_rows), pa.int64()),
        }
        row += table.num_rows
        columns["id"] = table["id"]
        columns.update({f"key{i}": _column(table, name) for i, name in enumerate(names)})
        parts.append(pa.table(columns))
    if not parts:
        empty = pq.read_schema(shard.path).empty_table()
        columns = {"text_hash": pa.array([], pa.string()), "row": pa.array([], pa.int64()), "id": empty["id"]}
        columns.update({f"key{i}": _column(empty, name) for i, name in enumerate(names)})
        parts.append(pa.table(columns))
    keys = pa.concat_tables(parts)
    partition = pa.array([int(h[:8], 16) % shard.partitions for h in keys["text_hash"].to_pylist()], pa.int32())
    keys = keys.append_column("shard", pa.array([shard.index] * keys.num_rows, pa.int32()))
    with parquet_shards((Path(shard.folder) / "keys" / f"{shard.index:05d}.parquet", keys.schema)) as (out,):
        for p in range(shard.partitions):
            out.write_group(keys.filter(pc.equal(partition, p)))
        entry = out.close()
    return {"files": [entry], "n_in": keys.num_rows}


@dataclass(frozen=True)
class _Partition:
    index: int
    shards: int
    folder: str
    keep: tuple[str, ...]


def reduce_partition(part: _Partition) -> dict[str, Any]:
    """Write `losers/<partition>.parquet`: shard, row and the id of the kept copy, sorted by shard and row."""
    import polars as pl

    folder = Path(part.folder)
    tables = [
        pq.ParquetFile(folder / "keys" / f"{i:05d}.parquet").read_row_group(part.index) for i in range(part.shards)
    ]
    keys = pl.from_arrow(pa.concat_tables(tables))
    assert isinstance(keys, pl.DataFrame)
    by = ["text_hash", *(f"key{i}" for i in range(len(part.keep))), "id", "shard", "row"]
    descending = [False, *(key.startswith("-") for key in part.keep), False, False, False]
    losers = (
        keys.sort(by, descending=descending, nulls_last=True)
        .with_columns(
            duplicate_of=pl.col("id").first().over("text_hash"),
            first=pl.int_range(pl.len()).over("text_hash") == 0,
        )
        .filter(~pl.col("first"))
        .select("shard", "row", "duplicate_of")
        .sort("shard", "row")
    )
    table = losers.to_arrow().cast(_LOSERS)
    with parquet_shards((folder / "losers" / f"{part.index:05d}.parquet", _LOSERS)) as (out,):
        out.write(table)
        entry = out.close()
    return {"files": [entry], "n_in": keys.height}


_LOSERS = pa.schema([("shard", pa.int32()), ("row", pa.int64()), ("duplicate_of", pa.string())])


def apply_losers(shard: _Shard) -> dict[str, Any]:
    """Write the shard's `kept/` and `dropped/` files."""
    import polars as pl

    folder = Path(shard.folder)
    losers = (
        pl.scan_parquet(folder / "losers" / "*.parquet")
        .filter(pl.col("shard") == shard.index)
        .select("row", "duplicate_of")
        .collect()
    )
    duplicate_of = dict(losers.iter_rows())
    base = pq.read_schema(shard.path)
    kept_schema = base if "text_hash" in base.names else base.append(pa.field("text_hash", pa.string()))
    dropped_schema = kept_schema
    for name in ("duplicate_of", DROP_FILTER, DROP_REASON):
        dropped_schema = dropped_schema.append(pa.field(name, pa.string()))
    name = f"{shard.index:05d}.parquet"
    rows = 0
    with parquet_shards((folder / "kept" / name, kept_schema), (folder / "dropped" / name, dropped_schema)) as (
        kept_file,
        dropped_file,
    ):
        for table in _batches(shard.path):
            hashes = hash_column(table["text"])
            if "text_hash" in table.column_names:
                table = table.drop_columns(["text_hash"])
            table = table.append_column("text_hash", hashes)
            places = range(rows, rows + table.num_rows)
            lost = pa.array([place in duplicate_of for place in places], pa.bool_())
            other = pa.array([duplicate_of.get(place) for place in places], pa.string())
            rows += table.num_rows
            kept_file.write(table.filter(pc.invert(lost)))
            gone = table.append_column("duplicate_of", other).filter(lost)
            for column, value in ((DROP_FILTER, ExactDedup.name), (DROP_REASON, REASON)):
                gone = gone.append_column(column, pa.array([value] * gone.num_rows, pa.string()))
            dropped_file.write(gone)
        files = [kept_file.close(), dropped_file.close()]
    kept, dropped = files[0]["rows"], files[1]["rows"]
    count = {
        "stage": ExactDedup.name,
        "n_in": rows,
        "n_split": 0,
        "n_kept": kept,
        "dropped": {REASON: dropped} if dropped else {},
    }
    return {"files": files, "n_in": rows, "counts": [count]}


@register_step
@dataclass(frozen=True, kw_only=True)
class ExactDedup(Step):
    """Keeps one document of each text, over all shards."""

    name: ClassVar[str] = "exact_dedup"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("documents",)

    keep: tuple[str, ...] = field(
        default=("record.date",),
        metadata={"help": "columns whose smallest value is kept, in this order (`-name` for the largest); then id"},
    )

    def check(self) -> None:
        for key in self.keep:
            if not re.fullmatch(r"-?[A-Za-z_][\w.]*", key):
                raise ConfigError(f"step '{self.name}': keep '{key}' is not a column name")

    def columns(self, have: set[str]) -> set[str]:
        missing = [k for k in ("text", *(key.lstrip("-").split(".")[0] for key in self.keep)) if k not in have]
        known = {f.name for f in RECORD}
        missing += [k for k in self.keep if k.lstrip("-").startswith("record.") and k.split(".", 1)[1] not in known]
        if missing:
            raise SchemaError(f"step '{self.name}' reads {missing}, which no earlier step adds; there: {sorted(have)}")
        return have | {"text_hash"}

    def run(self, context: StepContext) -> dict[str, Any]:
        documents = context.inputs["documents"]
        folder = str(context.folder.path)
        partitions = max(1, -(-documents.rows // ROWS_PER_PARTITION))
        shards = [
            _Shard(i, str(documents.path / file), folder, partitions, self.keep)
            for i, file in enumerate(documents.files)
        ]
        mapped = context.map(map_keys, [Task(f"map-{s.index:05d}", s) for s in shards], label=f"{context.step}: hash")
        parts = [_Partition(p, len(shards), folder, self.keep) for p in range(partitions)] if shards else []
        context.map(
            reduce_partition, [Task(f"reduce-{p.index:05d}", p) for p in parts], label=f"{context.step}: choose"
        )
        results = context.map(
            apply_losers, [Task(f"apply-{s.index:05d}", s) for s in shards], label=f"{context.step}: split"
        )
        kept = [result["files"][0] for result in results]
        return {
            "artefact": [entry["file"] for entry in kept],
            "rows": sum(entry["rows"] for entry in kept),
            "files": [entry for result in results for entry in result["files"]],
            "documents_read": sum(result["n_in"] for result in mapped),
            "counts": add_counts(results),
        }
