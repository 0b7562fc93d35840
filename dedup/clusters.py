"""Connected components of links, over partitioned files: large-star and small-star (Kiveris et al. 2014).

"Connected Components in MapReduce and Beyond", SoCC 2014, https://doi.org/10.1145/2670979.2670997. Both steps look at
a node u with its neighbours. Large-star links each larger neighbour with the smallest of u and all neighbours;
small-star links u and each smaller neighbour with the smallest one. Both keep the components; taken in turn they
end, after a number of rounds that grows with the logarithm of the size, in stars: each node linked with the
smallest of its component and nothing else. A partition is one task's work; where there is only one, it is contracted
at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import StepFailed
from pipeline.runner import Task
from pipeline.storage import place, remove_tree

from .lsh import partition_of, unique_links, write_links
from .shuffle import files_in, read_partition, write_partitions

if TYPE_CHECKING:
    from pipeline.steps import StepContext

MAX_ROUNDS = 64

Links = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class StarTask:
    """One partition of the links in `source`, to write to `target`."""

    index: int
    folder: str
    source: str
    target: str
    partitions: int
    files: int
    """How many files there are in `source`."""


def large_star(node: NDArray[np.int64], to: NDArray[np.int64], own: NDArray[np.bool_]) -> tuple[Links, bool]:
    """The step for the nodes that are `own` (of ends: 2 n of them, `node` first), and whether it changed a link."""
    u, v = np.concatenate([node, to])[own], np.concatenate([to, node])[own]
    u, v = unique_links(u, v)
    starts, counts = _groups(u)
    if not len(starts):
        return (u, v), False
    smallest = np.minimum(u[starts], v[starts])  # v is sorted within u
    least = np.repeat(smallest, counts)
    larger = v > u
    changed = bool(np.any(least[larger] != u[larger]))
    return unique_links(v[larger], least[larger]), changed


def small_star(node: NDArray[np.int64], to: NDArray[np.int64]) -> tuple[Links, bool]:
    """The step for links from larger to smaller nodes, all those of a node given; and whether it changed a link."""
    node, to = unique_links(node, to)
    starts, counts = _groups(node)
    if not len(starts):
        return (node, to), False
    least = np.repeat(to[starts], counts)
    moved = to != least
    return unique_links(np.concatenate([node[starts], to[moved]]), np.concatenate([to[starts], least[moved]])), bool(
        moved.any()
    )


def contracted(node: NDArray[np.int64], to: NDArray[np.int64]) -> Links:
    """Links of stars for any links: each node but the smallest of its component, and that one."""
    from .kernels.unions import union

    names, places = np.unique(np.concatenate([node, to]), return_inverse=True)
    parents = np.arange(len(names), dtype=np.int64)
    union(places[: len(node)].astype(np.int64), places[len(node) :].astype(np.int64), parents)
    leaves = parents != np.arange(len(names))
    return names[leaves], names[parents[leaves]]


def _groups(sorted_nodes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not len(sorted_nodes):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], sorted_nodes[1:] != sorted_nodes[:-1]]))
    return starts, np.diff(np.append(starts, len(sorted_nodes)))


def _links(task: StarTask) -> Links:
    table = read_partition(files_in(place(task.folder) / task.source, task.files), task.index)
    return table["node"].to_numpy(), table["to"].to_numpy()


def contract_task(task: StarTask) -> dict[str, Any]:
    """All links in one partition: their components at once."""
    node, to = contracted(*_links(task))
    path = place(task.folder) / task.target / f"{task.index:05d}.arrow"
    return {"intermediate": [_write_stars(path, node, to, 1)], "changed": False, "links": len(node)}


def large_star_task(task: StarTask) -> dict[str, Any]:
    """A partition's nodes take their large-star step; what they write is partitioned by the larger end."""
    node, to = _links(task)
    ends = partition_of(np.concatenate([node, to]), task.partitions)
    (node, to), changed = large_star(node, to, ends == task.index)
    path = place(task.folder) / task.target / f"{task.index:05d}.arrow"
    return {"intermediate": [_write_stars(path, node, to, task.partitions)], "changed": changed, "links": len(node)}


def small_star_task(task: StarTask) -> dict[str, Any]:
    """A partition's nodes take their small-star step; what they write goes to the partitions of both ends."""
    (node, to), changed = small_star(*_links(task))
    path = place(task.folder) / task.target / f"{task.index:05d}.arrow"
    entry = write_links(path, pa.table({"node": node, "to": to}), task.partitions)
    return {"intermediate": [entry], "changed": changed, "links": len(node)}


def _write_stars(path: Path, node: NDArray[np.int64], to: NDArray[np.int64], partitions: int) -> dict[str, Any]:
    return write_partitions(path, pa.table({"node": node, "to": to}), partition_of(node, partitions), partitions)


def components(context: StepContext, source: str, given: int, partitions: int) -> tuple[str, int]:
    """Contract the links in the folder `source`, `given` files; returns the folder of stars and the rounds it took.

    Stars are `node, to`: every node that has a smaller one in its component, once, and the component's smallest.
    """

    folder = context.folder.path
    source_of_all = source

    def run(function: Any, name: str, target: str, label: str) -> Sequence[dict[str, Any]]:
        files = given if name == source_of_all else partitions
        tasks = [
            Task(f"{target}-{p:05d}", StarTask(p, str(folder), name, target, partitions, files))
            for p in range(partitions)
        ]
        return context.map(function, tasks, unit="links", label=f"{context.step}: {label}")

    if partitions == 1:
        run(contract_task, source, "stars", "components")
        return "stars", 1
    for number in range(1, MAX_ROUNDS + 1):
        large = run(large_star_task, source, f"large-{number:02d}", f"components, round {number}")
        small = run(small_star_task, f"large-{number:02d}", f"small-{number:02d}", f"components, round {number}")
        if not any(one["changed"] for one in (*large, *small)):
            return f"large-{number:02d}", number
        for read in (source, f"large-{number:02d}"):
            remove_tree(folder / read, ignore_errors=True)
        source = f"small-{number:02d}"
    raise StepFailed(f"step '{context.step}': components did not settle in {MAX_ROUNDS} rounds; this is a bug")
