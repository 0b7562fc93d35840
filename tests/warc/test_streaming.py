"""Remote files read by ranges: the same rows as from the disk, no byte fetched twice, changes noticed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import ConfigError, StepFailed
from pipeline.sources import sample_warc
from pipeline.warc import Source, Split, list_sources, plan_splits, ranged, read_pages, reader
from tests.commoncrawl_server import RELEASE, SEGMENT, CommonCrawl, Fault
from tests.pipeline.test_warc_build import batches, gz, page, rows, skips

WARC = f"{SEGMENT}/warc/sample-00000.warc.gz"
LOCAL = sample_warc() / "sample-00000.warc.gz"


def local(name: str = WARC) -> Source:
    """The sample's file on the disk under the name that the release gives it."""
    path = sample_warc() / Path(name).name
    return Source(str(path), name, path.stat().st_size)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that the sample's files have many."""
    monkeypatch.setattr(ranged, "REMOTE_BLOCK", 1 << 16)
    monkeypatch.setattr(ranged, "REMOTE_SMALL", 1 << 13)


@pytest.mark.parametrize("split_bytes", [100_000, 1 << 30])
def test_streamed_release_gives_what_the_files_give(
    crawl: CommonCrawl, small_blocks: None, split_bytes: int, tmp_path: Path
) -> None:
    sources = list_sources([RELEASE], warcs=2, stream=True)
    assert [s.name for s in sources] == [WARC, WARC.replace("00000", "00001")]
    for source in sources:
        streamed, whole = batches(source, split_bytes), batches(local(source.name))
        assert rows(streamed) == rows(whole) and skips(streamed) == skips(whole)
    assert not list((tmp_path / "cache").rglob("*.warc.gz")), "no whole file is kept"
    assert all(r.range for r in crawl.seen("/warc/"))


def test_each_byte_is_fetched_about_once(
    crawl: CommonCrawl, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = list_sources([RELEASE], warcs=1, stream=True)
    crawl.forget()
    batches(source)
    sent = sum(r.sent for r in crawl.requests)
    assert source.size <= sent <= 1.1 * source.size
    monkeypatch.setattr(ranged, "REMOTE_BLOCK", 4 << 20)  # more than the search for a split's first member reads
    crawl.forget()
    batches(source, source.size // 2)
    assert sum(r.sent for r in crawl.requests) <= source.size + reader.BEFORE_GZIP + (1 << 17)


def test_sizes_are_asked_for_once(crawl: CommonCrawl) -> None:
    first = list_sources([RELEASE], warcs=2, stream=True)
    asked = len(crawl.requests)
    assert list_sources([RELEASE], warcs=2, stream=True) == first
    assert len(crawl.requests) == asked == 3


def test_next_block_is_fetched_while_this_one_is_read(crawl: CommonCrawl, small_blocks: None) -> None:
    (source,) = list_sources([RELEASE], warcs=1, stream=True)
    crawl.forget()
    crawl.delay = 0.05
    with ranged.Ranged(source.path, size=source.size) as file:
        file.expect(0, source.size)
        file.peek(0, 10)
        wait_for(crawl, ["bytes=0-65535", "bytes=65536-131071"])
        file.peek(65536, 10)
        wait_for(crawl, ["bytes=0-65535", "bytes=65536-131071", "bytes=131072-196607"])


def wait_for(crawl: CommonCrawl, ranges: list[str]) -> None:
    """Until the server has seen these, and no others."""
    until = time.monotonic() + 20
    while len(crawl.requests) < len(ranges) and time.monotonic() < until:
        time.sleep(0.005)
    assert sorted(r.range for r in crawl.requests) == sorted(ranges)


@pytest.mark.parametrize("stream", [True, False])
def test_broken_answers_change_nothing(crawl: CommonCrawl, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    monkeypatch.setattr("pipeline.warc.commoncrawl.polite.MAX_WAIT_S", 0.02)
    monkeypatch.setattr(ranged, "REMOTE_BLOCK", 1 << 16)
    crawl.every = (3, Fault(cut=10_000))
    crawl.faults = [Fault(500), Fault(cut=0), Fault(504)]
    (source,) = list_sources([RELEASE], warcs=1, stream=stream)
    assert rows(batches(source)) == rows(batches(local()))
    refetched = sum(r.sent for r in crawl.requests if r.status in (200, 206) and WARC in r.path)
    assert refetched <= 1.3 * source.size, "what came before a cut is kept"


def test_url_is_an_input(crawl: CommonCrawl, small_blocks: None) -> None:
    (source,) = list_sources([f"{crawl.url}/{WARC}?key=1"])
    assert (source.name, source.size, source.mark) == (LOCAL.name, LOCAL.stat().st_size, '"v1"')
    assert [r["text"] if "text" in r else r["id"] for r in rows(batches(source, 99_999))] == [
        r["id"] for r in rows(batches(local(LOCAL.name)))
    ]
    with pytest.raises(ConfigError, match="nothing found"):
        list_sources([f"{crawl.url}/none.warc.gz"])
    with pytest.raises(ConfigError, match="user name or password") as error:
        list_sources([crawl.url.replace("://", "://me:secret@") + "/x.warc.gz"])
    assert "secret" not in str(error.value)


def test_redirects_are_followed(crawl: CommonCrawl) -> None:
    crawl.redirects["moved.warc.gz"] = f"{crawl.url}/{WARC}"
    (source,) = list_sources([f"{crawl.url}/moved.warc.gz"])
    assert (source.name, source.size) == ("moved.warc.gz", LOCAL.stat().st_size)
    assert len(rows(batches(source))) == len(rows(batches(local())))
    for evil in ("file:///etc/passwd", "ftp://127.0.0.1/x"):
        crawl.redirects["evil.warc.gz"] = evil
        with pytest.raises(ConfigError, match="not allowed|another protocol"):
            list_sources([f"{crawl.url}/evil.warc.gz"])


@pytest.mark.parametrize(("ranges", "lengths", "etag"), [(False, True, '"v1"'), (False, False, "")])
def test_servers_without_ranges_or_lengths(
    crawl: CommonCrawl, tmp_path: Path, ranges: bool, lengths: bool, etag: str
) -> None:
    """Such a file is fetched once, into the cache."""
    crawl.ranges, crawl.lengths, crawl.etag = ranges, lengths, etag
    url = f"{crawl.url}/{WARC}"
    (source,) = list_sources([url])
    assert source.path.startswith(str(tmp_path))
    assert [r["id"] for r in rows(batches(source, 99_999))] == [r["id"] for r in rows(batches(local(LOCAL.name)))]
    assert list_sources([url]) == [source]
    assert [r.range for r in crawl.requests].count("") == 1
    with pytest.raises(ConfigError, match="serves no ranges"):
        list_sources([RELEASE], warcs=1, stream=True)


def test_empty_file(crawl: CommonCrawl) -> None:
    crawl.files["empty.warc.gz"] = b""
    (source,) = list_sources([f"{crawl.url}/empty.warc.gz"])
    assert source.size == 0 and batches(source) == []


def change_etag(crawl: CommonCrawl) -> None:
    crawl.etag = '"v2"'


def change_length(crawl: CommonCrawl) -> None:
    crawl.etag = ""
    crawl.files["x.warc.gz"] += b"more"


def forget_ranges(crawl: CommonCrawl) -> None:
    crawl.etag, crawl.ranges = "", False


def remove(crawl: CommonCrawl) -> None:
    del crawl.files["x.warc.gz"]


@pytest.mark.parametrize(
    ("happens", "message"),
    [(change_etag, "changed"), (change_length, "changed"), (forget_ranges, "ranges"), (remove, "404")],
)
def test_change_under_a_run_stops_it(crawl: CommonCrawl, small_blocks: None, happens, message: str) -> None:
    """No byte of another version gets in, and nothing counts as a damaged record."""
    crawl.files["x.warc.gz"] = b"".join(gz(page(n, f"{n * 7919 % 9973:x}" * 500), 0) for n in range(200))
    crawl.etag = '"v1"' if happens is change_etag else ""
    (source,) = list_sources([f"{crawl.url}/x.warc.gz"])
    pages = read_pages(Split(source, 0, source.size), batch_rows=5)
    assert next(pages).skips == []
    happens(crawl)
    with pytest.raises(StepFailed, match=message):
        for batch in pages:
            assert batch.skips == []


def test_split_plan_is_that_of_the_files(crawl: CommonCrawl) -> None:
    streamed = plan_splits(list_sources([RELEASE], warcs=2, stream=True), 100_000)
    kept = plan_splits(list_sources([RELEASE], warcs=2), 100_000)
    assert [(s.source.name, s.start, s.end) for s in streamed] == [(s.source.name, s.start, s.end) for s in kept]


@pytest.fixture
def stored(small_blocks: None) -> Iterator[str]:
    """The sample's first file in an object store."""
    store = fsspec.filesystem("memory")
    store.pipe("/ranged/a.warc.gz", LOCAL.read_bytes())
    yield "memory://ranged/a.warc.gz"
    store.rm("/ranged", recursive=True)


def test_broken_store_changes_nothing(stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network errors are tried again, and no record counts as damaged for them; ranges only, never the whole."""
    monkeypatch.setattr("pipeline.storage.filesystems.FIRST_WAIT_S", 0.001)
    (source,) = list_sources([stored])
    memory = type(fsspec.filesystem("memory"))
    real = memory.cat_file
    asked: list[int] = []

    def cat_file(self: object, path: str, start: int = 0, end: int = 0, **options: object) -> bytes:
        asked.append(end - start)
        if len(asked) % 3 == 1:
            raise ConnectionResetError("connection reset by peer")
        return real(self, path, start=start, end=end, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(memory, "cat_file", cat_file)
    found, whole = batches(source, 150_000), batches(Source(str(LOCAL), "a.warc.gz", LOCAL.stat().st_size))
    assert rows(found) == rows(whole) and skips(found) == skips(whole)
    assert max(asked) <= 1 << 20 and len(asked) > 10
    monkeypatch.setattr(memory, "cat_file", lambda self, path, start, end: (_ for _ in ()).throw(ConnectionError("no")))
    with pytest.raises(StepFailed, match="no"):
        batches(source)


def test_stored_object_that_shrank_or_went(stored: str) -> None:
    (source,) = list_sources([stored])
    store = fsspec.filesystem("memory")
    store.pipe("/ranged/a.warc.gz", LOCAL.read_bytes()[:200_000])
    with pytest.raises(StepFailed, match="did it change|changed"):
        batches(source)
    store.rm("/ranged/a.warc.gz")
    with pytest.raises(ConfigError, match="no such file"):
        batches(source)
    store.pipe("/ranged/a.warc.gz", b"x")


def test_version_of_a_stored_object_is_held_to(stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = type(fsspec.filesystem("memory"))
    real = memory.info
    tag = ["v1"]
    monkeypatch.setattr(memory, "info", lambda self, path, **options: real(self, path, **options) | {"ETag": tag[0]})
    source = Source(stored, "a.warc.gz", LOCAL.stat().st_size, "v1")
    assert len(rows(batches(source))) > 100
    tag[0] = "v2"
    with pytest.raises(StepFailed, match="changed since the run was planned"):
        batches(source)
