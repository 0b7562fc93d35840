"""The choice of kept documents against a greedy search over Python sets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.keeper import KeeperPolicy
from dedup.kernels.jaccard import similarities
from dedup.lsh import nodes_of
from dedup.settle import SettleTask, settle
from dedup.shuffle import files_in, read_partition, write_partitions

WIDTH = 3


def likeness(a: set, b: set, contained: bool) -> float:
    return len(a & b) / (min(len(a), len(b)) if contained else len(a | b))


def greedy(documents, threshold, contained=False) -> dict[str, tuple[str, float]]:
    """id -> (id of the kept one, similarity) of removed documents; documents in order: (id, keys, set)."""
    kept, gone = [], {}
    for name, keys, members in documents:
        for other, other_keys, other_members in kept:
            if set(keys) & set(other_keys):
                value = likeness(members, other_members, contained)
                if value >= threshold:
                    gone[name] = (other, value)
                    break
        else:
            kept.append((name, keys, members))
    return gone


def settled(tmp, documents, files=2, threshold=0.5, contained=False, block_bytes=1 << 30, most=1000, policy=("key",)):
    """Write documents (id, keys, set) as groups, settle, and read the verdicts back: (removed, copies, result)."""
    parsed = KeeperPolicy.parse(policy, "t")
    shuffled = sorted(range(len(documents)), key=lambda i: (i * 7919) % 1009)
    for number in range(files):
        rows = shuffled[number::files]
        bands = np.array([documents[i][1] for i in rows], np.uint64).reshape(-1)
        sets = [sorted(documents[i][2]) for i in rows]
        table = pa.table(
            {
                "node": nodes_of(number, np.arange(len(rows))),
                "root": np.zeros(len(rows), np.int64),
                "id": pa.array([documents[i][0] for i in rows], pa.string()),
                "key0": pa.array(rows, pa.int64()),
                "against": pa.nulls(len(rows), pa.string()),
                "content": np.zeros(len(rows), np.uint64),
                "copies": np.ones(len(rows), np.int64),
                "bands": pa.FixedSizeListArray.from_arrays(pa.array(bands, pa.uint64()), WIDTH),
                "shingles": pa.array(sets, pa.large_list(pa.uint64())),
                "size": pa.array([len(one) for one in sets], pa.int64()),
            }
        )
        write_partitions(tmp / "groups" / f"{number:05d}.arrow", table, np.zeros(len(rows), np.int64), 1)
    task = SettleTask(0, str(tmp), files, files, parsed, True, threshold, contained, most, block_bytes)
    result = settle(task)
    names = {}
    for number in range(files):
        for row, i in enumerate(shuffled[number::files]):
            names[(number, row)] = documents[i][0]
    verdicts = pa.concat_tables([read_partition(files_in(tmp / "verdicts", 1), b) for b in range(files)]).to_pylist()
    removed = {
        names[v["shard"], v["row"]]: (v["duplicate_of"], v["similarity"])
        for v in verdicts
        if v["duplicate_of"] is not None
    }
    copies = {names[v["shard"], v["row"]]: v["copies"] for v in verdicts if v["duplicate_of"] is None}
    assert not (tmp / "spill" / "00000").exists()
    return removed, copies, result


document = st.tuples(
    st.lists(st.integers(0, 9), min_size=WIDTH, max_size=WIDTH), st.sets(st.integers(0, 14), min_size=1, max_size=10)
)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(document, min_size=1, max_size=40),
    threshold=st.sampled_from([0.2, 0.5, 0.75, 1.0]),
    contained=st.booleans(),
    blocks=st.sampled_from([1 << 30, 3000, 900]),
)
def test_the_first_maximal_independent_set(tmp_path_factory, rows, threshold, contained, blocks):
    # a band's keys are apart from other bands', as `band_keys` makes them
    documents = [
        (f"{i:03d}", [k * 100 + b for b, k in enumerate(keys)], members) for i, (keys, members) in enumerate(rows)
    ]
    removed, copies, result = settled(
        tmp_path_factory.mktemp("s"), documents, threshold=threshold, contained=contained, block_bytes=blocks
    )
    want = greedy(documents, threshold, contained)
    assert {k: v[0] for k, v in removed.items()} == {k: v[0] for k, v in want.items()}
    for name, (_, value) in removed.items():
        assert value == pytest.approx(want[name][1], abs=1e-6)
    heirs = [v[0] for v in want.values()]
    assert copies == {name: 1 + heirs.count(name) for name in set(heirs)}
    assert result["removed"] == len(want) and result["n_in"] == len(documents)
    assert sum(result["cluster_sizes"].values()) == len(set(heirs))


def test_a_chain_of_likenesses_removes_only_neighbours(tmp_path):
    # each shares .82 with the next and .67 with the one after: a chain that components alone would collapse
    chain = [(f"{i:03d}", [1, 1000 + i, 2000 + i], set(range(2 * i, 2 * i + 20))) for i in range(50)]
    removed, _, result = settled(tmp_path, chain, threshold=0.7)
    assert sorted(removed) == [f"{i:03d}" for i in range(1, 50, 2)]
    assert result["component_sizes"] == {"64": 1}
    component = {"first": "000", "documents": 50, "kept": 25, "members": [f"{i:03d}" for i in range(8)]}
    assert result["largest_components"] == result["sampled_components"] == [component]


def test_more_than_max_compared(tmp_path):
    """Of too many kept ones those that share the most keys are looked at; and it is said how often that was so."""
    others = [(f"{i:03d}", [1, 1000 + i, 2000 + i], set(range(100 * i, 100 * i + 20))) for i in range(30)]
    twin = ("100", [1, 1025, 2025], others[25][2])
    removed, _, result = settled(tmp_path, [*others, twin], most=2)
    assert removed == {"100": ("025", 1.0)}
    assert result["more_than_max_compared"] == 28
    assert result["compared"] == 1 + 2 * 29  # the second document with one, every later one with two


@pytest.mark.parametrize(("a", "b", "want"), [(7, 3, 0.7), (10, 0, 1.0), (69, 31, 0.69)])
@pytest.mark.parametrize("above", [0, 1e-9])
def test_the_threshold_is_exact(a, b, want, above):
    """|A & B| = a, |A | B| = a + b: similar at the threshold a / (a + b) and not above it."""
    left, right = np.arange(a + b // 2, dtype=np.uint64), np.arange(a, dtype=np.uint64)
    right = np.sort(np.concatenate([right, 1000 + np.arange(b - b // 2, dtype=np.uint64)])).astype(np.uint64)
    hashes = np.concatenate([left, right])
    offsets = np.array([0, len(left), len(hashes)])
    out = np.zeros(1)
    similarities(hashes, offsets, np.array([0]), np.array([1]), a / (a + b) + above, False, out)
    assert out[0] == (-1 if above else pytest.approx(want))


@settings(max_examples=200, deadline=None)
@given(
    sets=st.tuples(st.sets(st.integers(0, 60), max_size=50), st.sets(st.integers(0, 60), max_size=50)),
    threshold=st.floats(0.01, 1),
    contained=st.booleans(),
)
def test_similarities(sets, threshold, contained):
    flat = [np.array(sorted(one), np.uint64) for one in sets]
    offsets = np.array([0, len(flat[0]), len(flat[0]) + len(flat[1])])
    out = np.zeros(1)
    similarities(np.concatenate(flat), offsets, np.array([0]), np.array([1]), threshold, contained, out)
    true = likeness(*sets, contained) if all(sets) else 0
    assert out[0] == (true if true >= threshold else -1)
