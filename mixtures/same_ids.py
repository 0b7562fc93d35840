"""Documents of several runs with equal ids that are not the same documents: told before anything is drawn.

An id is a hash of the source's name and the WARC-Record-ID, or of a file's name and a line in it, so two runs over
files of the same name may give one id to two documents, and no position in the packs could be traced. The same document
in two runs is no mistake: of those with a URL, URL and date of the record are then equal; of the others the place in
the file, the number of tokens and the bytes of text. Files of a mixture have their source's name before their ids.

Each shard's hashes are written by partitions of their range, and each partition is looked at by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.runner import Task
from pipeline.storage import local_file, place

from .recipe import Mixture, SourceSpec

if TYPE_CHECKING:
    import polars as pl

    from pipeline.steps import StepContext

FOLDER = "ids"
ROWS = 4 << 20
"""Documents in a partition, about."""


def prefixed(name: str, spec: SourceSpec, ids: pa.Array) -> pa.Array:
    """The ids as the packs have them: behind the name of the source where it says so."""
    if not spec.prefix_ids:
        return ids
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(f"{name}/", ids, "")


def _document(schema: pl.Schema) -> pl.Expr:
    """What tells two documents with one id apart, as a text."""
    import polars as pl

    none = pl.lit(None, pl.String)
    record = schema.get("record")
    inner = {one.name for one in record.fields} if isinstance(record, pl.Struct) else set()
    place = {name: pl.col("record").struct.field(name).cast(pl.String) if name in inner else none
             for name in ("date", "offset")}  # fmt: skip
    url = pl.col("url").cast(pl.String) if "url" in schema else none
    sizes = [pl.col(name).cast(pl.String) if name in schema else none for name in ("n_tokens", "text_bytes")]
    with_url = pl.concat_str(url, place["date"], separator="\n", ignore_nulls=True)
    return pl.when(url.is_not_null()).then(with_url).otherwise(
        pl.concat_str(place["offset"], *sizes, separator="\n", ignore_nulls=True)
    )  # fmt: skip


@dataclass(frozen=True)
class HashTask:
    """One token shard's documents table, of source number `source`; the file of its hashes is `target`."""

    shard: int
    source: int
    name: str
    spec: SourceSpec
    documents: str
    target: str
    partitions: int


def hash_shard(task: HashTask) -> dict[str, Any]:
    """Write the hashes of a shard's ids and documents, by partition. The function that workers run."""
    import polars as pl

    from dedup.shuffle import write_partitions
    from pipeline.packing.draws import order_keys, partition_of

    frame = pl.scan_parquet(local_file(task.documents), glob=False)
    what = _document(frame.collect_schema()).alias("what")
    rows = frame.with_row_index("row").filter(pl.col("n_tokens") > 0).select("id", "row", what).collect()
    ids = prefixed(task.name, task.spec, pa.array(rows["id"].to_list(), pa.string()))
    keys = order_keys(ids, 0)
    table = pa.table(
        {
            "key": keys,
            "tie": order_keys(ids, 0, 1),
            "what": order_keys(pa.array(rows["what"].to_list(), pa.string()).fill_null(""), 0),
            "source": np.full(len(keys), task.source, np.int32),
            "shard": np.full(len(keys), task.shard, np.int32),
            "row": rows["row"].to_numpy().astype(np.int64),
        }
    )
    made = write_partitions(place(task.target), table, partition_of(keys, task.partitions), task.partitions)
    return {"files": [made], "n_in": len(keys)}


@dataclass(frozen=True)
class CompareTask:
    """One partition of all files."""

    partition: int
    files: tuple[str, ...]


def compare(task: CompareTask) -> dict[str, Any]:
    """How many documents share an id with another one of another source; `first`: two such places (shard, row)."""
    from dedup.shuffle import read_partition

    table = read_partition([place(file) for file in task.files], task.partition)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    order = np.lexsort([columns[name] for name in ("row", "shard", "source", "tie", "key")])
    key, tie, what, source, shard, row = (
        columns[name][order] for name in ("key", "tie", "what", "source", "shard", "row")
    )
    n = len(order)
    begins = np.ones(n, bool)
    begins[1:] = (key[1:] != key[:-1]) | (tie[1:] != tie[:-1])
    first = np.maximum.accumulate(np.where(begins, np.arange(n), 0))
    other = np.flatnonzero((source != source[first]) & (what != what[first]))
    pair = None
    if len(other):
        pair = [[int(shard[i]), int(row[i])] for i in (first[other[0]], other[0])]
    return {"files": [], "n_in": n, "same": len(other), "first": pair}


def check_ids(
    context: StepContext, mixture: Mixture, sources: Sequence[str], documents: Sequence[str]
) -> None:  # fmt: skip
    """Raise ConfigError where documents of two runs share an id and are not the same ones.

    `sources[i]` is the source of the documents table `documents[i]`.
    """
    import pyarrow.parquet as pq

    from dedup.shuffle import partition_count, remove

    runs = [name for name, spec in mixture.sources.items() if spec.run]
    if len(runs) < 2:
        return
    own = [i for i, name in enumerate(sources) if name in runs]
    partitions = partition_count(sum(pq.read_metadata(local_file(documents[i])).num_rows for i in own), ROWS)
    folder = context.folder.path / FOLDER
    tasks = [
        HashTask(
            i, runs.index(sources[i]), sources[i], mixture.sources[sources[i]], documents[i],
            str(folder / f"{i:05d}.arrow"), partitions,
        )
        for i in own
    ]  # fmt: skip
    label = f"{context.step}: ids"
    context.map(hash_shard, [Task(f"ids-{task.shard:05d}", task) for task in tasks], label=label)
    files = tuple(task.target for task in tasks)
    found = context.map(
        compare, [Task(f"same-ids-{p:05d}", CompareTask(p, files)) for p in range(partitions)], label=label
    )
    pair = next((one["first"] for one in found if one["first"]), None)
    if pair is not None:
        told = [_told(documents[shard], row) for shard, row in pair]
        names = [sources[shard] for shard, _ in pair]
        raise ConfigError(
            f"mixture '{mixture.name}': {sum(one['same'] for one in found):,} documents have the id of another one in"
            f" another run, such as {told[0]['id']}: {_place(told[0])} in source '{names[0]}', {_place(told[1])} in"
            f" '{names[1]}' (files of the same name?); say `prefix_ids: true` in source '{names[1]}', and its ids in"
            f" the packs begin with {names[1]}/"
        )
    remove(context.folder.path, FOLDER)


def _told(path: str, row: int) -> dict[str, Any]:
    import polars as pl

    frame = pl.scan_parquet(local_file(path), glob=False)
    names = [name for name in ("id", "url", "record") if name in frame.collect_schema()]
    return frame.select(names).slice(row, 1).collect().to_dicts()[0]


def _place(document: dict[str, Any]) -> str:
    record = document.get("record") or {}
    return str(document.get("url") or f"{record.get('file')} at {record.get('offset')}")
