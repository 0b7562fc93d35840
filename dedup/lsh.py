"""LSH: band keys partitioned to files, sorted out of core, and the links between documents that share one.

A *node* is a document's place, `shard << 40 | row`, in an int64. A *bucket* holds the nodes that share a band key; each
is linked with the bucket's smallest node, so that a bucket of n documents makes n - 1 links and not n * n / 2 pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.storage import place

from .shuffle import files_in, read_partition, write_partitions

ROW_BITS = 40
MAX_SHARDS = 1 << (63 - ROW_BITS)
KEYS_PER_PARTITION = 8_000_000
"""Band keys that one task sorts: about 700 MB at its peak."""
LINKS_PER_PARTITION = 8_000_000


def nodes_of(shard: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The nodes of a shard's rows."""
    return rows + (np.int64(shard) << ROW_BITS)


def shard_of(nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    return nodes >> ROW_BITS


def row_of(nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    return nodes & ((1 << ROW_BITS) - 1)


def mixed(values: NDArray[Any]) -> NDArray[np.uint64]:
    """64-bit values with their bits mixed (SplitMix64's finaliser, Steele et al. 2014), to number partitions by."""
    h = values.astype(np.uint64)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


def partition_of(values: NDArray[Any], partitions: int) -> NDArray[np.int64]:
    """The partition of each value."""
    return (mixed(values) % np.uint64(partitions)).astype(np.int64)


def write_bands(path: Path, keys: NDArray[np.uint64], nodes: NDArray[np.int64], partitions: int) -> dict[str, Any]:
    """Write a file of band keys, `keys` uint64[n, bands] of the n `nodes`, partitioned by key; its entry."""
    flat = np.ascontiguousarray(keys).reshape(-1)
    table = pa.table({"key": flat, "node": np.repeat(nodes, keys.shape[1])})
    return write_partitions(path, table, partition_of(flat, partitions), partitions)


@dataclass(frozen=True)
class Buckets:
    """One partition of band keys to turn into links."""

    index: int
    folder: str
    files: int
    """How many files of band keys there are."""
    partitions: int
    """Of the links, by node."""
    given: int = MAX_SHARDS
    """Shards from this one on are an index's: buckets that hold no other documents make no links."""


def link_buckets(task: Buckets) -> dict[str, Any]:
    """Write `links/<partition>.arrow`: `node, to` of all documents that share a bucket with a smaller node."""
    folder = place(task.folder)
    table = read_partition(files_in(folder / "bands", task.files), task.index)
    nodes, to, sizes = bucket_links(table["key"].to_numpy(), table["node"].to_numpy(), task.given)
    links = pa.table({"node": nodes, "to": to})
    # both ends must see a link: what a partition holds of it depends on the end that was hashed
    entry = write_links(folder / "links" / f"{task.index:05d}.arrow", links, task.partitions)
    return {
        "intermediate": [entry],
        "keys": table.num_rows,
        "links": len(nodes),
        "bucket_sizes": size_histogram(sizes),
        "largest_bucket": int(sizes.max(initial=0)),
    }


def bucket_links(
    keys: NDArray[np.uint64], nodes: NDArray[np.int64], given: int = MAX_SHARDS
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(node, smallest node of its bucket), each pair once, and the sizes of all buckets of two or more.

    Buckets with nothing but nodes of shards from `given` on are left out.
    """
    order = np.lexsort((nodes, keys))
    keys, nodes = keys[order], nodes[order]
    if given < MAX_SHARDS and len(keys):
        starts = np.concatenate([[True], keys[1:] != keys[:-1]])
        some = (shard_of(nodes[starts]) < given)[np.cumsum(starts) - 1]  # a bucket's first node is its smallest
        keys, nodes = keys[some], nodes[some]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
    counts = np.diff(np.append(starts, len(keys)))
    first = np.repeat(nodes[starts], counts)
    apart = nodes != first
    pairs = unique_links(nodes[apart], first[apart])
    return (*pairs, counts[counts > 1])


def unique_links(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each pair (a, b) once, sorted."""
    order = np.lexsort((b, a))
    a, b = a[order], b[order]
    if len(a):
        new = np.concatenate([[True], (a[1:] != a[:-1]) | (b[1:] != b[:-1])])
        a, b = a[new], b[new]
    return a, b


def write_links(path: Path, links: pa.Table, partitions: int) -> dict[str, Any]:
    """Write links, each to the partitions of both its ends; the file's entry."""
    node, to = links["node"].to_numpy(), links["to"].to_numpy()
    here, there = partition_of(node, partitions), partition_of(to, partitions)
    other = there != here
    both = pa.table({"node": np.concatenate([node, node[other]]), "to": np.concatenate([to, to[other]])})
    return write_partitions(path, both, np.concatenate([here, there[other]]), partitions)


def size_histogram(sizes: NDArray[np.int64]) -> dict[str, int]:
    """How many of the sizes lie in 2, 3-4, 5-8, 9-16 ...: counts by the upper end."""
    if not len(sizes):
        return {}
    ends = np.ceil(np.log2(np.maximum(sizes, 2))).astype(np.int64)
    return {str(1 << int(end)): int(count) for end, count in zip(*np.unique(ends, return_counts=True), strict=True)}


def add_histograms(histograms: list[dict[str, int]]) -> dict[str, int]:
    """The sum of several, by rising size."""
    total: dict[int, int] = {}
    for one in histograms:
        for end, count in one.items():
            total[int(end)] = total.get(int(end), 0) + count
    return {str(end): total[end] for end in sorted(total)}
