"""The node's scratch cache, shared by processes, and ranged reads."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.documents import list_files
from pipeline.errors import ConfigError
from pipeline.storage import local_file, open_input, place, scratch

FETCH = "import sys; from pipeline.storage import local_file; print(local_file(sys.argv[1]))"


def test_many_processes_share_one_copy(bucket):
    path = place(f"{bucket.url}/model.bin")
    content = os.urandom(3_000_000)
    path.write_bytes(content)
    bucket.front.share, bucket.front.only = 0.2, lambda method, path: True
    several = [
        subprocess.Popen([sys.executable, "-c", FETCH, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    named = {process.communicate(timeout=100)[0].strip() for process in several}
    assert len(named) == 1 and Path(named.pop()).read_bytes() == content
    assert not list((scratch.scratch_folder() / "writing").iterdir())


def test_the_oldest_unused_go_first_and_fresh_ones_stay(bucket, monkeypatch):
    monkeypatch.setenv("GRISTMILL_SCRATCH_BYTES", "2500")
    kept = []
    for number in range(4):
        path = place(f"{bucket.url}/{number}.bin")
        path.write_bytes(bytes([number]) * 1000)
        kept.append(Path(local_file(path)))
    scratch.make_room(0)
    assert all(path.exists() for path in kept), "files just used were evicted"
    old = time.time() - 10_000
    for number, path in enumerate(kept):
        os.utime(path, (old + number, old + number))
    local_file(place(f"{bucket.url}/0.bin"))  # used again
    scratch.make_room(0)
    assert [path.exists() for path in kept] == [True, False, False, True]
    monkeypatch.setenv("GRISTMILL_SCRATCH_BYTES", "many")
    with pytest.raises(ConfigError, match="number of bytes"):
        scratch.make_room(0)


def test_a_damaged_copy_is_fetched_anew(bucket):
    path = place(f"{bucket.url}/x")
    path.write_bytes(b"whole")
    Path(local_file(path)).write_bytes(b"ha")
    assert Path(local_file(path)).read_bytes() == b"whole"


def test_a_large_file_goes_up_in_parts_and_is_read_by_ranges(bucket, tmp_path, monkeypatch):
    from pipeline.storage import paths
    from pipeline.store import atomic_path

    monkeypatch.setattr(paths, "UPLOAD_PART", 5 << 20)
    content = os.urandom(11 << 20)
    bucket.front.share = 0.1
    path = place(f"{bucket.url}/big.bin")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    assert sum("partNumber" in p for _, p in bucket.front.log) >= 3
    assert path.read_bytes() == content
    bucket.front.reset()
    with open_input(str(path)) as file:
        file.seek(7_000_000)
        assert file.read(1000) == content[7_000_000:7_001_000]
        assert file.read() == content[7_001_000:]


def test_documents_are_listed_and_read_from_a_store(bucket, tmp_path):
    text = '{"text": "one"}\n' * 3
    for name in ("a.jsonl", "sub/b.jsonl", "c.txt"):
        (place(f"{bucket.url}/in") / name).write_text(text)
    found = list_files([f"{bucket.url}/in"])
    assert [name for _, name, _ in found] == ["a.jsonl", "sub/b.jsonl"]
    assert [name for _, name, _ in list_files([f"{bucket.url}/in/*.jsonl"])] == ["a.jsonl"]
    with open_input(found[0][0]) as file:
        assert file.read().decode() == text
    with pytest.raises(ConfigError, match="user name or password"):
        list_files([f"s3://a:b@{bucket.name}/in"])
