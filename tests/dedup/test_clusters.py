"""Connected components over partitions against a search in plain Python."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import clusters
from dedup.clusters import components, contracted
from dedup.lsh import bucket_links, partition_of, size_histogram, write_links
from dedup.shuffle import files_in, read_partition
from pipeline.errors import StepFailed
from tests.dedup.tools import context_in


def searched(links) -> dict[int, int]:
    """The smallest node of each node's component, by breadth-first search."""
    near = defaultdict(set)
    for a, b in links:
        near[a].add(b)
        near[b].add(a)
    root: dict[int, int] = {}
    for start in sorted(near):
        if start in root:
            continue
        queue = [start]
        root[start] = start
        while queue:
            for other in near[queue.pop()]:
                if other not in root:
                    root[other] = start
                    queue.append(other)
    return root


def found(tmp_path, links, files, partitions) -> tuple[dict[int, int], int]:
    context = context_in(tmp_path, {})
    for number in range(files):
        part = [(max(pair), min(pair)) for pair in links[number::files]]
        table = pa.table(
            {"node": pa.array([a for a, _ in part], pa.int64()), "to": pa.array([b for _, b in part], pa.int64())}
        )
        write_links(tmp_path / "links" / f"{number:05d}.arrow", table, partitions)
    folder, rounds = components(context, "links", files, partitions)
    root = {}
    for p in range(partitions):
        table = read_partition(files_in(tmp_path / folder, partitions), p)
        for node, to in zip(table["node"].to_pylist(), table["to"].to_pylist(), strict=True):
            assert node not in root  # every node once
            assert partition_of(np.array([node]), partitions)[0] == p
            root[node] = to
    return root | {to: to for to in root.values()}, rounds


pairs = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).filter(lambda p: p[0] != p[1]), max_size=60)


@settings(max_examples=60, deadline=None)
@given(links=pairs, files=st.integers(1, 3), partitions=st.sampled_from([1, 2, 5]))
def test_random_graphs(tmp_path_factory, links, files, partitions):
    root, _ = found(tmp_path_factory.mktemp("c"), links, files, partitions)
    assert root == searched(links)


@pytest.mark.parametrize("order", ["rising", "shuffled"])
def test_a_long_chain_takes_few_rounds(tmp_path, order):
    names = np.arange(3000) * 7
    if order == "shuffled":
        np.random.default_rng(5).shuffle(names)
    links = list(zip(names[:-1].tolist(), names[1:].tolist(), strict=True))
    root, rounds = found(tmp_path, links, 2, 4)
    assert set(root.values()) == {0} and len(root) == 3000
    assert rounds <= 16  # log2(3000) = 11.6


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    links = [(i, i + 1) for i in range(0, 200)]
    real, calls = clusters.small_star_task, []

    def dies(task):
        calls.append(task)
        if len(calls) == 7:
            raise StepFailed("killed")
        return real(task)

    monkeypatch.setattr(clusters, "small_star_task", dies)
    with pytest.raises(StepFailed, match="killed"):
        found(tmp_path, links, 2, 3)
    monkeypatch.setattr(clusters, "small_star_task", real)
    folder, _ = components(context_in(tmp_path, {}), "links", 2, 3)
    table = pa.concat_tables([read_partition(files_in(tmp_path / folder), p) for p in range(3)])
    assert dict(zip(table["node"].to_pylist(), table["to"].to_pylist(), strict=True)) == {i: 0 for i in range(1, 201)}


def test_a_lost_file_is_an_error(tmp_path):
    with pytest.raises(StepFailed, match="0 of 2 files"):
        components(context_in(tmp_path, {}), "links", 2, 2)


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30)), max_size=50))
def test_bucket_links(rows):
    rows = sorted(set(rows), key=lambda r: (r[0] * 7919 + r[1] * 104729) % 1009)  # a node has a key once
    keys, nodes = (np.array([r[i] for r in rows], t) for i, t in ((0, np.uint64), (1, np.int64)))
    a, b, sizes = bucket_links(keys, nodes)
    buckets = defaultdict(list)
    for key, node in rows:
        buckets[key].append(node)
    want = {(n, min(bucket)) for bucket in buckets.values() for n in bucket if n != min(bucket)}
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == sorted(want)
    assert sorted(sizes.tolist()) == sorted(len(v) for v in buckets.values() if len(v) > 1)


def test_contracted_chain():
    node, to = contracted(np.array([5, 9, 7]), np.array([3, 7, 5]))
    assert dict(zip(node.tolist(), to.tolist(), strict=True)) == {5: 3, 7: 3, 9: 3}


def test_size_histogram():
    assert size_histogram(np.array([2, 2, 3, 4, 5, 8, 9])) == {"2": 2, "4": 2, "8": 2, "16": 1}
