"""`StorePath` does what a path does, against moto's S3, a stand-in of Google's store, and a front that fails."""

from __future__ import annotations

import os
import pickle
from pathlib import Path, PurePosixPath

import pytest

from pipeline.errors import ConfigError
from pipeline.storage import StorePath, local_file, place
from pipeline.storage.paths import relative_url
from pipeline.store import atomic_path, read_json, write_json


@pytest.mark.parametrize("text", ["a/b.parquet", "a/b/c.jsonl.gz", "x", "a.b/c"])
def test_names_are_those_of_pathlib(text):
    ours, theirs = place(f"s3://bucket/{text}"), PurePosixPath(f"/bucket/{text}")
    for name in ("name", "stem", "suffix", "suffixes"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert str(ours.parent) == "s3:/" + str(theirs.parent)
    assert str(ours.with_suffix(".z")) == "s3:/" + str(theirs.with_suffix(".z"))
    assert str(ours / "d" / "e") == f"s3://bucket/{text}/d/e"
    assert ours.relative_to("s3://bucket").as_posix() == text
    assert pickle.loads(pickle.dumps(ours)) == ours
    assert str(place(f"s3://bucket//{text}/")) == str(ours)


def test_relative_urls_lead_back():
    folder = place("s3://bucket/run/09-pack")
    for url in ("s3://bucket/run/07-tokenize/tokens/0.arrow", "s3://bucket/run/09-pack/draws/1", "s3://other/x"):
        assert str(folder / relative_url(url, folder)) == url


def test_local_text_gives_a_plain_path(tmp_path):
    assert place(str(tmp_path)) == tmp_path and type(place("x")) is type(Path("x"))
    assert place(f"file://{tmp_path}/a") == tmp_path / "a"


def test_a_password_in_a_url_is_refused_and_not_shown():
    with pytest.raises(ConfigError) as caught:
        place("s3://AKIAME:hunter2@bucket/run")
    assert "hunter2" not in str(caught.value) and "AWS_PROFILE" in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_what_is_written_is_there(store, share):
    store.front.share = share
    root = place(f"{store.url}/run")
    assert not root.exists() and read_json(root / "plan.json") is None
    write_json(root / "plan.json", {"a": 1})
    with atomic_path(root / "kept" / "0.bin") as temporary:
        temporary.write_bytes(os.urandom(100_000))
        content = temporary.read_bytes()
        assert not (root / "kept" / "0.bin").exists()
    assert (root / "kept" / "0.bin").stat().st_size == 100_000
    assert root.is_dir() and not root.is_file() and (root / "plan.json").is_file()
    assert sorted(p.name for p in root.iterdir()) == ["kept", "plan.json"]
    assert [str(p) for p in root.glob("k*/*.bin")] == [f"{store.url}/run/kept/0.bin"]
    assert [p.name for p in root.rglob("*.json")] == ["plan.json"]
    assert Path(local_file(root / "kept" / "0.bin")).read_bytes() == content
    assert (root / "kept" / "0.bin").read_bytes() == content
    (root / "kept" / "0.bin").unlink()
    assert not (root / "kept").exists()
    with pytest.raises(FileNotFoundError):
        os.fspath(root / "kept" / "0.bin")
    (root / "kept" / "0.bin").unlink(missing_ok=True)


def test_a_failed_write_leaves_nothing(store):
    target = place(f"{store.url}/run/x")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert not target.exists() and not temporary.exists()


def test_a_changed_object_is_fetched_anew_and_an_unchanged_one_once(store):
    path = place(f"{store.url}/x")
    assert isinstance(path, StorePath)
    path.write_text("one")
    first = local_file(path)
    store.front.reset()
    assert local_file(path) == first
    assert not [p for method, p in store.front.log if method == "GET" and (store.scheme == "s3" or "alt=media" in p)]
    path.write_text("two")
    assert Path(local_file(path)).read_text() == "two"
