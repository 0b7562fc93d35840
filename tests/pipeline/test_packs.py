"""Packs against an oracle in plain Python: all tokens in one list, cut every T."""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, SchemaError, StepFailed
from pipeline.packing import PackTask, Span, count_tokens, plan_packs, write_pack
from pipeline.packs import RESERVED, PackReader, id_dtype, open_packs, reserved_ids

from .token_tools import Document, pack_set, write_shard

SHARDS = st.lists(st.lists(st.integers(0, 23), max_size=7), max_size=5)


def _shards(lengths: list[list[int]]) -> list[list[Document]]:
    """Documents of the given lengths; token k of all is k mod 251, so that a lost or moved one shows."""
    made, at = [], 0
    for shard, sizes in enumerate(lengths):
        documents = []
        for number, size in enumerate(sizes):
            documents.append((f"{shard:016x}{number:016x}", [(at + k) % 251 for k in range(size)]))
            at += size
        made.append(documents)
    return made


def _oracle(shards: list[list[Document]], length: int) -> list[dict[str, object]]:
    """Sequences as plain values, token by token."""
    stream = [
        (token, name, offset, min(2, len(ids)))
        for documents in shards
        for name, ids in documents
        for offset, token in enumerate(ids)
    ]
    rows = []
    for begin in range(0, len(stream), length):
        part = stream[begin : begin + length]
        starts = [i for i, (_, _, offset, _) in enumerate(part) if i == 0 or offset == 0]
        ends = [*starts[1:], len(part)]
        bodies = []
        for start, end in zip(starts, ends, strict=True):
            bodies.append(next((i for i in range(start, end) if part[i][2] >= part[i][3]), end))
        rows.append(
            {
                "ids": [token for token, *_ in part] + [257] * (length - len(part)),
                "length": len(part),
                "first": part[0][2],
                "starts": starts,
                "names": [part[i][1] for i in starts],
                "bodies": bodies,
            }
        )
    return rows


def _read(reader: PackReader) -> list[dict[str, object]]:
    rows = []
    for i in range(len(reader)):
        row = reader[i]
        assert row.body_starts is not None
        rows.append(
            {
                "ids": row.input_ids.tolist(),
                "length": row.length,
                "first": row.first_doc_offset,
                "starts": row.doc_starts.tolist(),
                "names": row.doc_ids,
                "bodies": row.body_starts.tolist(),
            }
        )
    return rows


@settings(max_examples=40, deadline=None)
@given(SHARDS, st.integers(1, 40), st.integers(1, 4), st.integers(1, 4), st.sampled_from([".arrow", ".parquet"]))
def test_packs_are_the_concatenation(
    lengths: list[list[int]], length: int, per_file: int, rows: int, suffix: str
) -> None:
    shards = _shards(lengths)
    with tempfile.TemporaryDirectory() as folder:
        reader = open_packs(pack_set(Path(folder), shards, length, per_file, suffix=suffix, rows=rows))
        assert _read(reader) == _oracle(shards, length)
        reader.verify()
        tokens = sum(map(sum, lengths))
        assert reader.manifest["tokens"] == tokens == sum(f["tokens"] for f in reader.manifest["files"])
        assert reader.manifest["documents"] == sum(size > 0 for sizes in lengths for size in sizes)
        assert all(f["sequences"] == per_file for f in reader.manifest["files"][:-1])


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(1, 20), st.integers(1, 5))
def test_a_plan_covers_every_token_once_in_order(sizes: list[int], length: int, per_file: int) -> None:
    plan = plan_packs(sizes, length, per_file)
    covered = [(s.shard, i) for task in plan for s in task.spans for i in range(s.start, s.end)]
    assert covered == [(shard, i) for shard, size in enumerate(sizes) for i in range(size)]
    assert [task.index for task in plan] == list(range(len(plan)))
    assert all(task.sequences == -(-task.tokens // length) for task in plan)


@pytest.mark.parametrize(("length", "per_file"), [(0, 1), (1, 0), (-3, 2)])
def test_a_plan_of_nothing_is_refused(length: int, per_file: int) -> None:
    with pytest.raises(ConfigError):
        plan_packs([10], length, per_file)


def test_bytes_do_not_depend_on_order_or_on_how_shards_are_batched(tmp_path: Path) -> None:
    shards = _shards([[5, 90, 0, 12], [], [33, 1, 1, 64], [7]])
    plan = plan_packs([sum(len(ids) for _, ids in docs) for docs in shards], 16, 3)
    assert len(plan) > 3
    made = []
    for run, (rows, order) in enumerate([(1, plan), (2, plan[::-1]), (100, plan[1:] + plan[:1])]):
        folder = tmp_path / str(run)
        folder.mkdir()
        paths = [write_shard(folder / f"{i}.arrow", docs, rows) for i, docs in enumerate(shards)]
        entries = {
            task.index: write_pack(task, paths, folder / task.path, sequence_length=16, dtype="uint16", pad_id=257)
            for task in order
        }
        made.append(([entries[t.index] for t in plan], [(folder / t.path).read_bytes() for t in plan]))
    assert made[0] == made[1] == made[2]


def _small(folder: Path) -> Path:
    return pack_set(folder, _shards([[40, 3, 17], [25, 60]]), 16, 4)


def test_input_ids_are_views_of_the_mapped_file(tmp_path: Path) -> None:
    reader = open_packs(_small(tmp_path))
    allocated = pa.total_allocated_bytes()
    maps = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(".arrow"):
            low, high = (int(x, 16) for x in line.split()[0].split("-"))
            maps.append((low, high))
    assert maps
    for i in range(len(reader)):
        address = reader[i].input_ids.__array_interface__["data"][0]
        assert any(low <= address and address + 32 <= high for low, high in maps)
    assert pa.total_allocated_bytes() == allocated


def test_reader_indexes_like_a_list_and_pickles(tmp_path: Path) -> None:
    reader = open_packs(_small(tmp_path))
    again = pickle.loads(pickle.dumps(reader))
    assert len(again) == len(reader) == 10
    assert np.array_equal(reader[-1].input_ids, again[9].input_ids)
    for index in (10, -11):
        with pytest.raises(IndexError):
            reader[index]


def test_an_empty_set(tmp_path: Path) -> None:
    reader = open_packs(pack_set(tmp_path, [[("a" * 32, [])], []], 8, 2))
    assert len(reader) == 0 and reader.manifest["files"] == []
    reader.verify()


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_unknown_keys_are_ignored_and_higher_versions_refused(tmp_path: Path) -> None:
    folder = _small(tmp_path)
    _edit(folder, invented={"later": 1}, method="best_fit")
    open_packs(folder).verify()
    _edit(folder, version=2)
    with pytest.raises(SchemaError, match="version 2"):
        open_packs(folder)


def test_what_is_no_pack_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no pack set"):
        open_packs(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": "other"}')
    with pytest.raises(ConfigError, match="not the manifest"):
        open_packs(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(SchemaError, match="can't be read"):
        open_packs(tmp_path)


def test_damage_is_named(tmp_path: Path) -> None:
    good = _small(tmp_path / "good")
    file = good / "packs" / "00001.arrow"
    content = file.read_bytes()

    def damaged(new: bytes | None) -> Path:
        folder = tmp_path / "bad"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(good, folder)
        target = folder / "packs" / "00001.arrow"
        if new is None:
            target.unlink()
        else:
            target.write_bytes(new)
        return folder

    with pytest.raises(SchemaError, match="00001.arrow.*truncated"):
        open_packs(damaged(content[:-100]))
    with pytest.raises(SchemaError, match="00001.arrow"):
        open_packs(damaged(None))
    with pytest.raises(SchemaError, match="00001.arrow.*corrupt"):
        open_packs(damaged(b"\0" * len(content)))
    at = content.index(open_packs(good)[4].input_ids.tobytes())
    flipped = open_packs(damaged(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]))
    with pytest.raises(SchemaError, match="checksum"):
        flipped.verify()


def test_a_shard_that_shrank_after_planning(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "0.arrow", [("a" * 32, [1, 2, 3])], 1)
    task = PackTask(0, 1, (Span(0, 0, 4),))
    with pytest.raises(StepFailed, match="ends before token 4"):
        write_pack(task, [path], tmp_path / "p.arrow", sequence_length=4, dtype="uint16", pad_id=300)
    assert not (tmp_path / "p.arrow").exists()


def test_a_file_that_is_no_shard(tmp_path: Path) -> None:
    (tmp_path / "0.arrow").write_bytes(b"nothing of the kind")
    with pytest.raises(SchemaError, match="0.arrow"):
        count_tokens(tmp_path / "0.arrow")


@pytest.mark.parametrize(
    ("vocab", "dtype"), [(257, "uint16"), (65536 - RESERVED, "uint16"), (65537 - RESERVED, "uint32")]
)
def test_reserved_ids_lie_above_the_vocabulary_and_fit(vocab: int, dtype: str) -> None:
    assert id_dtype(vocab) == dtype
    ids = reserved_ids(vocab)
    used = [ids["pad"], ids["mask"]]
    for first, count in (ids["sentinels"], ids["control"]):
        used += range(first, first + count)
    assert used == list(range(vocab, vocab + RESERVED))
    assert max(used) <= np.iinfo(dtype).max
