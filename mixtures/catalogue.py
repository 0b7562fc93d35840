"""The catalogue: one row for each tokenised document with what a mixture decides by. Relational work in polars, lazily.

Columns of a catalogue:

    source    string   name of the source
    shard     int32    number of the token shard
    row       int64    row in it
    n_tokens  int64
    key       uint64   hash of (seed, id); all draws derive from it
    lang      string   language; empty where unknown
    domain    string   host of the URL without www.; empty where there is none
    date      string   day, YYYY-MM-DD; null where unknown
    score     float64  of the quality buckets, null where there is none
    control   float64  of the control tokens, null where there is none
    cluster   uint64   `key` of the first document of its cluster of near-duplicates
    cluster_tokens int64   of the whole cluster
    stale     bool     its cluster has a document for the set fresh
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.storage import local_file, place
from pipeline.store import atomic_path

from .recipe import Mixture, SourceSpec
from .same_ids import prefixed

if TYPE_CHECKING:
    import polars as pl

HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?:www\.)?([^/?#:]+)"
DAY = r"^(\d{4}-\d{2}-\d{2})"
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def score_of(column: str, schema: Any) -> pl.Expr:
    """The score of a column, or of a field of it (`hate.document`), as float64; null where it isn't or is no number.

    Of documents from JSON lines, which have no column of that name, it is that key.
    """
    import polars as pl

    name, _, inner = column.partition(".")
    if name not in schema and "extra" in schema:
        if not all(part.isidentifier() for part in column.split(".")):
            return pl.lit(None, pl.Float64)
        found = pl.col("extra").cast(pl.String).str.json_path_match(f"$.{column}")
        return found.cast(pl.Float64, strict=False).fill_nan(None)
    if name not in schema:
        return pl.lit(None, pl.Float64)
    found = pl.col(name)
    if inner:
        if not isinstance(schema[name], pl.Struct) or inner not in {f.name for f in schema[name].fields}:
            return pl.lit(None, pl.Float64)
        found = found.struct.field(inner)
    return found.cast(pl.Float64, strict=False).fill_nan(None)


def described(frame: pl.LazyFrame, source: str, spec: SourceSpec, mixture: Mixture) -> pl.LazyFrame:
    """The columns `source, lang, domain, date, score, control` beside those of a documents table."""
    import polars as pl

    schema = frame.collect_schema()
    langs = [pl.col(name).cast(pl.String) for name in ("lang", "lang_hint") if name in schema]
    days = [pl.lit(None, pl.String)]
    by = mixture.held_out.date if mixture.held_out else "record"
    if by == "record" and isinstance(schema.get("record"), pl.Struct):
        days.insert(0, pl.col("record").struct.field("date").cast(pl.String))
    elif by == "published":
        if "extra" in schema:  # of JSON lines
            days.insert(0, pl.col("extra").cast(pl.String).str.json_path_match("$.published"))
        if "published" in schema:
            days.insert(0, pl.col("published").cast(pl.String))
    url = pl.col("url").cast(pl.String) if "url" in schema else pl.lit(None, pl.String)
    none = pl.lit(None, pl.Float64)
    return frame.with_columns(
        source=pl.lit(source),
        lang=pl.coalesce(*langs, pl.lit(spec.lang)) if langs else pl.lit(spec.lang),
        domain=url.str.extract(HOST).str.to_lowercase().fill_null(""),
        date=pl.coalesce(*days).str.extract(DAY),
        score=score_of(mixture.quality.column, schema) if mixture.quality else none,
        control=score_of(mixture.control.column, schema) if mixture.control else none,
    )


@dataclass(frozen=True)
class CatalogueTask:
    """One token shard to describe: `documents` is its documents table, `target` the catalogue's file."""

    shard: int
    documents: str
    target: str
    folder: str
    source: str
    spec: SourceSpec
    mixture: Mixture


COLUMNS = ("source", "shard", "row", "n_tokens", "key", "lang", "domain", "date", "score", "control")


def catalogue_shard(task: CatalogueTask) -> dict[str, Any]:
    """Write a shard's catalogue. The function that workers run."""
    import polars as pl
    import pyarrow.parquet as pq

    from pipeline.packing.draws import order_keys
    from pipeline.store import file_digest

    ids = pq.read_table(local_file(task.documents), columns=["id"])["id"].combine_chunks()
    keys = order_keys(prefixed(task.source, task.spec, ids), task.mixture.seed)
    frame = described(pl.scan_parquet(local_file(task.documents), glob=False), task.source, task.spec, task.mixture)
    made = frame.select(
        "source", pl.lit(task.shard, pl.Int32).alias("shard"), pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
        "n_tokens", "lang", "domain", "date", "score", "control",
    ).collect()  # fmt: skip
    made = made.with_columns(key=pl.Series(keys, dtype=pl.UInt64)).select(COLUMNS)
    target = place(task.target)
    with atomic_path(target) as temporary:
        made.write_parquet(temporary, compression="zstd", compression_level=3)
    name = target.relative_to(task.folder).as_posix()
    entry = {"file": name, "rows": made.height, "bytes": target.stat().st_size, "blake2b": file_digest(target)}
    return {"files": [entry], "n_in": made.height}


def scan(files: Sequence[str | Path], labels: str | Path | None = None, shard: int | None = None) -> pl.LazyFrame:
    """The catalogue, lazily; `labels` is what `near.label` wrote, None where each document is a cluster of its own.

    `shard` says that the files are of this shard alone.
    """
    import polars as pl

    frame = pl.scan_parquet([local_file(file) for file in files], glob=False).filter(pl.col("n_tokens") > 0)
    if labels is None:
        return frame.with_columns(cluster=pl.col("key"), cluster_tokens=pl.col("n_tokens"), stale=pl.lit(False))
    found = pl.scan_parquet(local_file(labels), glob=False)
    if shard is not None:
        found = found.filter(pl.col("shard") == shard)
    joined = frame.join(found, on=["shard", "row"], how="left")
    return joined.with_columns(
        cluster=pl.coalesce("cluster", "key"),
        cluster_tokens=pl.coalesce("cluster_tokens", "n_tokens"),
        stale=pl.col("stale").fill_null(False),
    )


def epoch_keys(keys: npt.NDArray[np.uint64], epoch: npt.NDArray[np.int64] | int) -> npt.NDArray[np.uint64]:
    """uint64[n]: place of each document in the order of an epoch: a hash of (seed, id, epoch)."""
    from dedup.lsh import mixed

    with np.errstate(over="ignore"):
        step = np.asarray(np.asarray(epoch, np.int64) + 2).astype(np.uint64) * _GOLDEN
        return mixed(keys ^ mixed(step))
