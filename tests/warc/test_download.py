"""Whole files and listings from a stand-in that is busy, cuts connections and serves ranges."""

from __future__ import annotations

import gzip
import threading
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, StepFailed
from pipeline.warc import commoncrawl, list_sources
from pipeline.warc.commoncrawl import release, web
from tests.commoncrawl_server import RELEASE, SEGMENT, CommonCrawl, Fault
from tests.pipeline.test_warc_build import batches, gz, page, rows

from .conftest import FakeClock

PATHS = [f"{SEGMENT}/warc/CC-{n:05d}.warc.gz" for n in range(4)]


@pytest.fixture
def stand(crawl: CommonCrawl) -> CommonCrawl:
    """Four small files in place of the sample crawl's."""
    for k, path in enumerate(PATHS):
        crawl.files[path] = b"".join(gz(page(100 * k + n)) for n in range(30))
    crawl.list_files("warc", PATHS)
    return crawl


def fetch(stand: CommonCrawl, cache: Path, clock: FakeClock, name: str = PATHS[0]) -> bytes:
    return commoncrawl.download(name, cache, base=stand.url, clock=clock).read_bytes()


def leftovers(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*") if ".part" in path.name]


def test_release_to_pages(stand: CommonCrawl, tmp_path: Path) -> None:
    sources = list_sources([RELEASE], cache_dir=tmp_path, warcs=2)
    assert [source.name for source in sources] == PATHS[:2]
    assert [row["url"] for row in rows(batches(sources[1]))] == [f"http://example.org/{100 + n}" for n in range(30)]
    assert rows(batches(sources[0]))[0]["record"]["file"] == PATHS[0]
    assert len(stand.requests) == 3, "the listing and two files"
    assert list_sources([RELEASE], cache_dir=tmp_path, warcs=2) == sources
    assert len(stand.requests) == 3, "all from the cache"
    assert leftovers(tmp_path) == []


def test_user_agent_says_who_asks_and_for_whom(
    stand: CommonCrawl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    monkeypatch.setenv("GRISTMILL_CONTACT", "ada@example.org")
    fetch(stand, tmp_path, clock)
    agent = stand.requests[0].headers["User-Agent"]
    assert agent.startswith("gristmill/") and "ada@example.org" in agent
    monkeypatch.setenv("GRISTMILL_CONTACT", "x\r\nX-Evil: 1")
    with pytest.raises(ConfigError, match="GRISTMILL_CONTACT"):
        fetch(stand, tmp_path, clock, PATHS[1])


def test_wet_listing_and_default_cache(stand: CommonCrawl, tmp_path: Path) -> None:
    wet = f"{SEGMENT}/wet/sample-00003.warc.wet.gz"
    assert [source.name for source in list_sources([f"{RELEASE}:wet"], warcs=5)] == [wet]
    assert (tmp_path / "cache" / wet).exists()


def test_subsets_by_count_and_share(stand: CommonCrawl) -> None:
    names = [f"f{n:02d}" for n in range(30)]
    assert release.subset(names, 3, None, False) == names[:3]
    assert release.subset(names, 3, None, True) == ["f00", "f10", "f20"]
    assert release.subset(names, None, 0.1, False) == names[:3]
    assert release.subset(names, None, 0.101, True) == ["f00", "f07", "f15", "f22"]
    assert release.subset(names, 99, None, True) == names
    assert [s.name for s in list_sources([RELEASE], share=0.5, spread=True)] == [PATHS[0], PATHS[2]]
    with pytest.raises(ConfigError, match="not both"):
        list_sources([RELEASE], share=0.5, warcs=1)
    for wrong in (0.0, 1.5):
        with pytest.raises(ConfigError, match="share"):
            list_sources([RELEASE], share=wrong)


def test_cut_connections_are_taken_up_again(stand: CommonCrawl, tmp_path: Path, clock: FakeClock) -> None:
    stand.faults = [Fault(cut=cut) for cut in (100, 200, 0, 300)]
    assert fetch(stand, tmp_path, clock) == stand.files[PATHS[0]]
    assert [r.range for r in stand.requests] == ["", "bytes=100-", "bytes=300-", "bytes=300-", "bytes=600-"]
    assert leftovers(tmp_path) == []


def test_killed_download_goes_on_in_the_next_run(stand: CommonCrawl, tmp_path: Path, clock: FakeClock) -> None:
    part = tmp_path / (PATHS[0] + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(stand.files[PATHS[0]][:500])
    assert fetch(stand, tmp_path, clock) == stand.files[PATHS[0]]
    assert stand.requests[0].range == "bytes=500-"


def test_file_that_changed_meanwhile_is_fetched_anew(stand: CommonCrawl, tmp_path: Path, clock: FakeClock) -> None:
    stand.faults = [Fault(cut=100)]

    def change() -> None:
        stand.etag = '"v2"'
        stand.files[PATHS[0]] = b"new " * 1000

    clock.on_sleep = change
    assert fetch(stand, tmp_path, clock) == b"new " * 1000


@pytest.mark.parametrize("have", [5, 10**6])
def test_server_without_ranges_or_a_part_that_is_too_long(
    stand: CommonCrawl, tmp_path: Path, clock: FakeClock, have: int
) -> None:
    stand.ranges = have > 100
    part = tmp_path / (PATHS[0] + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * have)
    assert fetch(stand, tmp_path, clock) == stand.files[PATHS[0]]


def test_no_progress_gives_up_and_keeps_the_part(stand: CommonCrawl, tmp_path: Path, clock: FakeClock) -> None:
    stand.faults = [Fault(cut=100), *[Fault(503)] * 50]
    with pytest.raises(StepFailed, match="503.*8 tries in a row; run again to go on"):
        fetch(stand, tmp_path, clock)
    assert len(stand.requests) == web.TRIES
    stand.faults = []
    assert fetch(stand, tmp_path, clock) == stand.files[PATHS[0]]
    assert stand.requests[-1].range == "bytes=100-"


def test_unknown_release_and_no_network(stand: CommonCrawl, tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(ConfigError, match="404.*name of the release"):
        release.release_paths("CC-MAIN-1999-01", tmp_path)
    with pytest.raises(ConfigError, match="can't reach"):
        commoncrawl.download("x", tmp_path, base="http://127.0.0.1:9", clock=clock)
    with pytest.raises(ConfigError, match="look like"):
        release.release_paths("CC-MAIN-99", tmp_path)
    with pytest.raises(ConfigError, match="positive"):
        list_sources([RELEASE], cache_dir=tmp_path, warcs=0)


@pytest.mark.parametrize(
    "evil",
    ["../../etc/x", "/etc/x", "a/../../b", "http://other.example/x", "a//b", "a/./b", "a\\..\\b", "a%2e/b", "a?b"],
)
def test_listing_cannot_lead_elsewhere(stand: CommonCrawl, tmp_path: Path, evil: str) -> None:
    stand.list_files("warc", [evil])
    with pytest.raises(ConfigError, match="leads elsewhere"):
        list_sources([RELEASE], cache_dir=tmp_path, warcs=1)


def test_damaged_listing_is_removed(stand: CommonCrawl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = f"crawl-data/{RELEASE}/warc.paths.gz"
    whole = stand.files[listing]
    for damaged in (whole[:-6], b"<html>no such thing</html>", whole[:20] + b"\0\0" + whole[22:]):
        stand.files[listing] = damaged
        with pytest.raises(ConfigError, match="damaged"):
            release.release_paths(RELEASE, tmp_path)
    stand.files[listing] = gzip.compress(b"\n" * 5_000_000)
    monkeypatch.setattr(release, "MAX_LISTING", 1 << 20)
    with pytest.raises(ConfigError, match="too long"):
        release.release_paths(RELEASE, tmp_path)
    stand.files[listing] = whole
    assert release.release_paths(RELEASE, tmp_path) == PATHS


def test_many_who_want_one_file_fetch_it_once(stand: CommonCrawl, tmp_path: Path) -> None:
    stand.block_delay = 0.005
    threads = [threading.Thread(target=commoncrawl.download, args=(path, tmp_path)) for path in PATHS * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.path for r in stand.requests) == PATHS
    assert all((tmp_path / path).read_bytes() == stand.files[path] for path in PATHS)
    assert leftovers(tmp_path) == []
