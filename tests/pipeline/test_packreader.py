"""Packs of version 1, packs behind URLs, and what a check of the whole set finds."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from pipeline.errors import ConfigError, SchemaError, StepFailed
from pipeline.loader import Loader
from pipeline.packreader import PackReader, open_packs
from pipeline.storage import filesystems, ranged
from pipeline.trace import trace

from .token_tools import TEXTS, pack_set

V1 = Path(__file__).parent / "packs_v1"


def _rows(reader: PackReader) -> list[tuple[object, ...]]:
    return [
        (row.input_ids.tolist(), row.length, row.doc_starts.tolist(), row.doc_offsets.tolist(), row.doc_ids)
        for row in reader
    ]


def test_version_1_is_read() -> None:
    reader = open_packs(V1)
    assert reader.version == 1 and len(reader) == 6 and len(reader.fingerprint) == 32
    reader.verify()
    stream = [(f"{i:032x}", k) for i, text in enumerate(TEXTS) if text for k in range(len(text.encode()) + 1)]
    for number, row in enumerate(reader):
        part = stream[number * 16 : (number + 1) * 16]
        assert row.length == len(part) and not row.removed.any()
        assert [part[s] for s in row.doc_starts] == list(zip(row.doc_ids, row.doc_offsets.tolist(), strict=True))
    found = trace(V1, 1, 3)
    assert (found.document, found.token_offset, found.url) == (f"{2:032x}", 3, "https://example.org/2")
    assert [a.indices.tolist() for a in Loader(V1, 6, shuffle=False).arrays()] == [list(range(6))]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(URL of a copy in fsspec's memory, the local set): 64 sequences of 512 in two files."""
    documents = [(f"{i:032x}", [(i * 7 + k) % 250 for k in range(100 + 37 * i % 900)]) for i in range(60)]
    folder = pack_set(tmp_path / "set", [documents], 512, 40)
    url = f"memory://{uuid.uuid4().hex}/set"
    system, inner = fsspec.core.url_to_fs(url)
    for path in folder.rglob("*"):
        if path.is_file():
            system.pipe_file(f"{inner}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    yield url, folder
    system.rm(inner, recursive=True)


def test_a_set_behind_a_url_is_the_local_one(memory: tuple[str, Path]) -> None:
    url, folder = memory
    local, remote = open_packs(folder), open_packs(url)
    assert remote.fingerprint == local.fingerprint
    assert _rows(remote) == _rows(local) == _rows(open_packs(folder.as_uri()))
    assert _rows(pickle.loads(pickle.dumps(remote))) == _rows(local)
    for far, near in zip(remote.blocks, local.blocks, strict=True):
        assert np.array_equal(far.input_ids, near.input_ids)
    batches = [list(Loader(r, 7, seed=3, segments=True).arrays()) for r in (local, remote)]
    for near_batch, far_batch in zip(*batches, strict=True):
        assert np.array_equal(near_batch.input_ids, far_batch.input_ids)
        assert np.array_equal(near_batch.segment_ids, far_batch.segment_ids)
    remote.verify()


def test_version_1_behind_a_url() -> None:
    url = f"memory://{uuid.uuid4().hex}"
    system, inner = fsspec.core.url_to_fs(url)
    for path in V1.rglob("*.*"):
        system.pipe_file(f"{inner}/{path.relative_to(V1).as_posix()}", path.read_bytes())
    assert _rows(open_packs(url)) == _rows(open_packs(V1))


def test_a_sequence_costs_one_small_read(memory: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = memory
    monkeypatch.setattr(ranged, "BLOCK", 2048)
    system, _ = fsspec.core.url_to_fs(url)
    read: list[tuple[int, int]] = []
    cat = system.cat_file

    def counting(path: str, start: int | None = None, end: int | None = None) -> bytes:
        content: bytes = cat(path, start=start, end=end)
        if path.endswith(".arrow"):
            assert start is not None and end is not None
            read.append((start, end))
        return content

    monkeypatch.setattr(type(system), "cat_file", lambda self, *args, **kwargs: counting(*args, **kwargs))
    remote = open_packs(url)
    assert not read  # the manifest says where everything is
    block, row = remote.locate(50)
    ids = block.ids(row)
    footer = sum(end - start for start, end in read)
    assert np.array_equal(ids, open_packs(folder)[50].input_ids)
    read.clear()
    block.ids(row)
    assert not read  # kept
    for i in range(40, 50):
        remote.blocks[1].ids(i - 40)
    assert sum(end - start for start, end in read) <= 10 * 1024 + 2 * 2048
    assert footer < 12_000


def test_remote_sets_that_are_not_there(memory: tuple[str, Path]) -> None:
    url, _ = memory
    with pytest.raises(ConfigError, match="no pack set"):
        open_packs(f"{url}-other")
    with pytest.raises(ConfigError, match="nosuch"):
        open_packs("nosuch://bucket/set")
    system, inner = fsspec.core.url_to_fs(url)
    system.pipe_file(f"{inner}/packs/00001.arrow", b"short")
    with pytest.raises(SchemaError, match="00001.arrow.*truncated"):
        open_packs(url)[len(open_packs(url)) - 1]


def test_reads_that_fail_once_are_tried_again(memory: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = memory
    system, _ = fsspec.core.url_to_fs(url)
    cat, failures = type(system).cat_file, [0]

    def flaky(self, path, **how):  # type: ignore[no-untyped-def]
        if path.endswith(".arrow") and failures[0] < 2:
            failures[0] += 1
            raise ConnectionResetError("gone")
        return cat(self, path, **how)

    monkeypatch.setattr(type(system), "cat_file", flaky)
    monkeypatch.setattr(filesystems.time, "sleep", lambda seconds: None)
    remote = open_packs(url)
    assert np.array_equal(remote[0].input_ids, open_packs(folder)[0].input_ids) and failures == [2]
    failures[0] = -1000
    with pytest.raises(StepFailed, match="gone"):
        open_packs(url)[40]
