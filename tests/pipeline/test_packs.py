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
from pipeline.packing.draws import token_places
from pipeline.packing.tasks import PackWork, make_pack, plan_tasks
from pipeline.packreader import PackReader, open_packs
from pipeline.packs import RESERVED, id_dtype, reserved_ids, seal

from .token_tools import Document, byte_tokenizer, drawn, pack_set, write_shard

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
                "offsets": [part[i][2] for i in starts],
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
                "offsets": row.doc_offsets.tolist(),
                "starts": row.doc_starts.tolist(),
                "names": row.doc_ids,
                "bodies": row.body_starts.tolist(),
            }
        )
    return rows


@settings(max_examples=40, deadline=None)
@given(SHARDS, st.integers(1, 40), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_packs_are_the_concatenation(
    lengths: list[list[int]], length: int, per_file: int, rows: int, partitions: int
) -> None:
    shards = _shards(lengths)
    with tempfile.TemporaryDirectory() as folder:
        reader = open_packs(pack_set(Path(folder), shards, length, per_file, rows=rows, partitions=partitions))
        assert _read(reader) == _oracle(shards, length)
        reader.verify()
        tokens = sum(map(sum, lengths))
        assert reader.manifest["tokens"] == tokens == sum(f["tokens"] for f in reader.manifest["files"])
        assert reader.manifest["documents"] == sum(size > 0 for sizes in lengths for size in sizes)
        assert all(f["sequences"] == per_file for f in reader.manifest["files"][:-1])


@pytest.mark.parametrize(("length", "per_file"), [(0, 1), (1, 0), (-3, 2)])
def test_a_plan_of_nothing_is_refused(length: int, per_file: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        pack_set(tmp_path, _shards([[10]]), length, per_file)


@pytest.mark.parametrize("method", ["concatenate", "best_fit"])
@pytest.mark.parametrize("order", ["natural", "shuffle"])
def test_bytes_do_not_depend_on_order_or_on_how_shards_are_batched(tmp_path: Path, method: str, order: str) -> None:
    shards = _shards([[5, 90, 0, 12] * 3, [], [33, 1, 1, 64] * 3, [7]])
    made = []
    for rows, turn in [(1, 1), (2, -1), (100, 1)]:
        folder = tmp_path / "set"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        tokenizer = byte_tokenizer(folder / "t.json")
        paths = [write_shard(folder / f"{i}.arrow", docs, rows) for i, docs in enumerate(shards)]
        draws = drawn(folder, paths, tokenizer, order=order, partitions=3)
        work = PackWork((str(folder),), (16,), method, "uint16", 257, draws.files, draws.shards)
        tasks = plan_tasks(draws, method, (16,), 3)
        assert len(tasks) > 2
        results = {task.index: make_pack(work, task) for task in tasks[::turn]}
        files = [(folder / results[t.index]["entries"][0]["path"]).read_bytes() for t in tasks]
        made.append(([results[t.index] for t in tasks], files))
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
    seal(folder, {**json.loads(path.read_text()), **changes})


def test_unknown_keys_are_ignored_and_higher_versions_refused(tmp_path: Path) -> None:
    folder = _small(tmp_path)
    _edit(folder, invented={"later": 1}, method="best_fit")
    open_packs(folder).verify()
    _edit(folder, version=3)
    with pytest.raises(SchemaError, match="version 3"):
        open_packs(folder)


def test_a_changed_manifest_is_noticed(tmp_path: Path) -> None:
    manifest = _small(tmp_path) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"removed_tokens": 0', '"removed_tokens": 1'))
    with pytest.raises(SchemaError, match="fingerprint"):
        open_packs(tmp_path)


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
    tokenizer = byte_tokenizer(tmp_path / "t.json")
    path = write_shard(tmp_path / "0.arrow", [("a" * 32, list(range(200)) * 20)], 1)
    draws = drawn(tmp_path, [path], tokenizer)
    Path(path).write_bytes(Path(path).read_bytes()[:1000])
    work = PackWork((str(tmp_path),), (4,), "concatenate", "uint16", 300, draws.files, draws.shards)
    with pytest.raises(StepFailed, match="ends at byte 1000"):
        make_pack(work, plan_tasks(draws, "concatenate", (4,), 10_000)[0])
    assert not (tmp_path / "packs" / "00000.arrow").exists()


def test_a_file_that_is_no_shard(tmp_path: Path) -> None:
    for content in (b"nothing of the kind", b""):
        (tmp_path / "0.arrow").write_bytes(content)
        with pytest.raises(SchemaError, match="0.arrow"):
            token_places(tmp_path / "0.arrow", "uint16")


def test_shards_of_other_ids_or_compressed_ones_are_refused(tmp_path: Path) -> None:
    wide = write_shard(tmp_path / "wide.arrow", [("a" * 32, [1, 2])], 1, "uint32")
    with pytest.raises(SchemaError, match="uint32"):
        token_places(wide, "uint16")
    table = pa.ipc.open_file(wide).read_all()
    packed = tmp_path / "packed.arrow"
    with pa.ipc.new_file(str(packed), table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    with pytest.raises(SchemaError, match="compress"):
        token_places(packed, "uint32")


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
