"""Inputs to sources: files, folders, globs, URLs; names that agree between machines; errors that help."""

from __future__ import annotations

import sys
from pathlib import Path

import fsspec
import pytest
from fsspec.registry import _registry

from pipeline.errors import ConfigError
from pipeline.storage import filesystems
from pipeline.warc import Source, list_sources, plan_splits, read_pages
from tests.storage.loopback import Answer, Asked, Loopback, ranged

from .test_warc_build import batches, gz, page, rows


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b/2.warc.gz",
        "b/1.warc",
        "a.wet.gz",
        "c/d/e.ARC.GZ",
        "x.warc.zst",
        "w.wacz",
        "notes.txt",
        "b/cdx.gz",
    ):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "in"


def names(*inputs: object, **options: object) -> list[str]:
    return [source.name for source in list_sources([str(one) for one in inputs], **options)]  # type: ignore[arg-type]


def test_folder(tree: Path) -> None:
    expected = ["a.wet.gz", "b/1.warc", "b/2.warc.gz", "c/d/e.ARC.GZ", "w.wacz", "x.warc.zst"]
    assert names(tree) == expected
    assert names(f"file://{tree}") == expected
    assert names(f"{tree}/") == expected
    for source in list_sources([str(tree)]):
        assert source == Source(str(tree / source.name), source.name, len(source.name))


def test_files_globs_and_repeats(tree: Path) -> None:
    assert names(tree / "notes.txt") == ["notes.txt"]
    assert names(f"{tree}/b/*") == ["1.warc", "2.warc.gz", "cdx.gz"]
    assert names(f"{tree}/**/*.warc*") == ["b/1.warc", "b/2.warc.gz", "x.warc.zst"]
    assert names(f"{tree}/*/?.warc.gz") == ["b/2.warc.gz"]
    assert names(tree / "a.wet.gz", tree / "a.wet.gz", f"{tree}/a.w*") == ["a.wet.gz"]


def test_file_with_wildcard_characters_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a[1].warc").write_bytes(b"x")
    assert names(tmp_path / "a[1].warc") == ["a[1].warc"]


def test_names_do_not_depend_on_where_the_input_lies(tree: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "in2"
    here = names(tree)
    tree.rename(moved)
    assert names(moved) == here
    monkeypatch.chdir(moved.parent)
    assert names("in2") == here


def test_two_files_with_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("x/p", "x/q", "y/p"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "same.warc").write_bytes(b"1")
    two = [tmp_path / "x/p/same.warc", tmp_path / "x/q/same.warc"]
    assert names(*two) == names(*reversed(two)) == ["p/same.warc", "q/same.warc"]
    assert names(*two, tmp_path / "y/p") == ["x/p/same.warc", "x/q/same.warc", "y/p/same.warc"]


@pytest.mark.parametrize("wrong", ["missing.warc", "no*thing", "empty", "memory://nothing-here/"])
def test_nothing_found_names_the_pattern(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "empty").mkdir()
    text = wrong if "://" in wrong else str(tmp_path / wrong)
    with pytest.raises(ConfigError, match="nothing found") as error:
        list_sources([text])
    assert text in str(error.value)


def test_no_input() -> None:
    with pytest.raises(ConfigError, match="no input"):
        list_sources([])


@pytest.fixture
def bucket(tmp_path: Path):
    store = fsspec.filesystem("memory")
    data = b"".join(gz(page(n)) for n in range(20))
    store.pipe({"/bucket/crawl/b/2.warc.gz": data, "/bucket/crawl/1.warc.gz": data, "/bucket/crawl/readme.txt": b"x"})
    local = tmp_path / "crawl"
    (local / "b").mkdir(parents=True)
    (local / "b" / "2.warc.gz").write_bytes(data)
    (local / "1.warc.gz").write_bytes(data)
    yield local
    store.rm("/bucket", recursive=True)


def test_object_store_agrees_with_local_files(bucket: Path) -> None:
    """Names, ids and all columns are the same over `memory://` and on the disk, for several split sizes."""
    local, remote = list_sources([str(bucket)]), list_sources(["memory://bucket/crawl"])
    assert [(s.name, s.size) for s in local] == [(s.name, s.size) for s in remote]
    for a, b in zip(local, remote, strict=True):
        for split_bytes in (500, 1 << 30):
            assert rows(batches(b, split_bytes)) == rows(batches(a))
    assert names("memory://bucket/crawl/1.warc.gz") == ["1.warc.gz"]
    assert names("memory://bucket/crawl/**/*.gz") == names(f"{bucket}/**/*.gz") == ["1.warc.gz", "b/2.warc.gz"]
    assert names("memory://bucket/crawl/readme.txt") == ["readme.txt"]


def test_missing_protocol_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_registry, "s3", raising=False)  # if an earlier test used it
    monkeypatch.setattr(filesystems, "_made", {})
    with pytest.raises(ConfigError, match=r"s3fs.*pip install gristmill\[s3\]"):
        list_sources(["s3://bucket/x.warc.gz"])
    with pytest.raises(ConfigError, match="nosuchprotocol"):
        list_sources(["nosuchprotocol://x/y"])


def test_release_needs_a_number_of_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="warcs"):
        list_sources(["CC-MAIN-2024-33"], cache_dir=tmp_path)


def test_remote_file_that_vanished_is_a_config_error() -> None:
    source = Source("memory://bucket/gone.warc.gz", "gone.warc.gz", 10)
    with pytest.raises(ConfigError, match="gone"):
        list(read_pages(plan_splits([source])[0]))


def test_http_server_with_ranges_agrees_with_local_files(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    data = b"".join(gz(page(n)) for n in range(20))
    (tmp_path / "1.warc.gz").write_bytes(data)

    def answer(asked: Asked) -> Answer:
        return ranged(data, asked, {}) if asked.path == "/crawl/1.warc.gz" else Answer(404)

    with Loopback(answer) as server:
        url = f"{server.url}/crawl"
        (remote,) = list_sources([f"{url}/1.warc.gz?key=1"])
        (local,) = list_sources([str(tmp_path / "1.warc.gz")])
        assert (remote.name, remote.size) == (local.name, local.size)
        for split_bytes in (700, 1 << 30):
            assert rows(batches(remote, split_bytes)) == rows(batches(local))
        with pytest.raises(ConfigError, match="nothing found"):
            list_sources([f"{url}/2.warc.gz"])
