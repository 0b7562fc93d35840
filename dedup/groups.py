"""Documents of the same component brought together, with what is needed to compare them.

Map tasks read from each shard the documents that share a bucket with another one, and write their policy values, band
keys and shingle sets, partitioned by component, so that one task finds whole components in its partition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.storage import local_file, place

from .hashing import raw_hashes
from .index import Index
from .keeper import KeeperPolicy
from .lsh import nodes_of, partition_of, shard_of
from .minhash_parameters import MinhashParameters
from .removal import COPIES, block_of, blocks
from .shuffle import document_batches, files_in, read_partition, write_partitions

FLUSH_BYTES = 128 << 20
"""What a map task holds of sets and keys before it writes a file."""


@dataclass(frozen=True)
class Labels:
    """One partition of stars, to write as labels by shard."""

    index: int
    folder: str
    stars: str
    files: int
    shards: int


def label_nodes(task: Labels) -> dict[str, Any]:
    """Write `labels/<partition>.arrow`: `node, root` of every node that has company, by blocks of shards.

    A root may stand in several files.
    """
    folder = place(task.folder)
    table = read_partition(files_in(folder / task.stars, task.files), task.index)
    node, root = table["node"].to_numpy(), table["to"].to_numpy()
    roots = np.unique(root)
    nodes = np.concatenate([node, roots])
    labels = pa.table({"node": nodes, "root": np.concatenate([root, roots])})
    path = folder / "labels" / f"{task.index:05d}.arrow"
    partition = block_of(shard_of(nodes), task.shards)
    return {"intermediate": [write_partitions(path, labels, partition, blocks(task.shards))], "nodes": len(node)}


@dataclass(frozen=True)
class GatherTask:
    """One shard to gather from."""

    index: int
    shards: int
    """Those of the indexes among them."""
    path: str
    folder: str
    labels: int
    """Files of labels."""
    groups: int
    policy: KeeperPolicy
    parameters: MinhashParameters
    verify: bool
    against: str = ""
    """The index that the shard is a file of; "" for documents."""
    flush_bytes: int = FLUSH_BYTES


def gather(task: GatherTask) -> dict[str, Any]:
    """Write `groups/<shard>-<part>.arrow` with the shard's documents that have company."""
    folder = place(task.folder)
    own = read_partition(files_in(folder / "labels", task.labels), int(block_of(task.index, task.shards)))
    node, root = own["node"].to_numpy(), own["root"].to_numpy()
    mine = shard_of(node) == task.index
    nodes, first = np.unique(node[mine], return_index=True)
    roots = root[mine][first]
    entries: list[dict[str, Any]] = []
    waiting: list[pa.Table] = []
    size = 0

    def flush() -> None:
        nonlocal size
        if waiting:
            table = pa.concat_tables(waiting, promote_options="permissive")
            partition = partition_of(table["root"].to_numpy(), task.groups)
            path = folder / "groups" / f"{task.index:05d}-{len(entries):03d}.arrow"
            entries.append(write_partitions(path, table, partition, task.groups))
            waiting.clear()
            size = 0

    for rows, table in _rows(task, nodes):
        part = _described(task, table, nodes[rows], roots[rows])
        waiting.append(part)
        size += part.nbytes
        if size >= task.flush_bytes:
            flush()
    flush()
    return {"intermediate": entries, "n_in": len(nodes)}


def _rows(task: GatherTask, nodes: NDArray[np.int64]) -> Iterator[tuple[slice, pa.Table]]:
    """The wanted documents of a shard, batch by batch, and which of `nodes` they are."""
    if task.against:
        batches = Index.open(place(task.against)).read(place(task.path), ["bands", "shingles", COPIES])
    else:
        names = pq.read_schema(local_file(task.path)).names
        wanted = [name for name in dict.fromkeys([*task.policy.reads, "text", COPIES]) if name in names]
        batches = document_batches(task.path, wanted)
    for start, table in batches:
        places = nodes_of(task.index, np.array([start, start + table.num_rows]))
        a, b = np.searchsorted(nodes, places)
        if b > a:
            yield slice(a, b), table.take(pa.array(nodes[a:b] - places[0]))


def _described(task: GatherTask, table: pa.Table, nodes: NDArray[np.int64], roots: NDArray[np.int64]) -> pa.Table:
    n = len(nodes)
    columns: dict[str, Any] = {"node": nodes, "root": roots, "id": table["id"], "against": pa.nulls(n, pa.string())}
    columns[COPIES] = table[COPIES] if COPIES in table.column_names else pa.array(np.ones(n, np.int64))
    if task.against:
        columns["against"] = pa.repeat(task.against, n)
        columns.update({name: pa.nulls(n) for name in task.policy.names})
        columns["content"] = pa.array(np.zeros(n, np.uint64))
        if task.verify:
            columns.update({"bands": table["bands"], "shingles": table["shingles"]})
            columns["size"] = pc.list_value_length(table["shingles"]).cast(pa.int64())
        return pa.table(columns)
    columns.update(task.policy.values(table))
    columns["content"] = raw_hashes(table["text"])
    if task.verify:
        keys, hashes, offsets = task.parameters.described(table["text"])
        bands = pa.array(keys.reshape(-1))
        columns["bands"] = pa.FixedSizeListArray.from_arrays(bands, task.parameters.bands)
        columns["shingles"] = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(hashes))
        columns["size"] = np.diff(offsets)
    return pa.table(columns)
