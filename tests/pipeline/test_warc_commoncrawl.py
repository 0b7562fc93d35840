"""Common Crawl releases from a local stand-in that is busy, cuts connections and serves ranges."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, StepFailed
from pipeline.warc import commoncrawl, list_sources

from .test_warc_build import batches, gz, page, rows

RELEASE = "CC-MAIN-2024-33"
PATHS = [f"crawl-data/{RELEASE}/segments/1.{n}/warc/CC-{n:05d}.warc.gz" for n in range(4)]
WET = f"crawl-data/{RELEASE}/segments/1.0/wet/CC-00000.warc.wet.gz"


class Stand:
    """The stand-in: its files, what it does wrong next, and the requests that it saw."""

    def __init__(self) -> None:
        self.files = {path: b"".join(gz(page(100 * k + n)) for n in range(30)) for k, path in enumerate(PATHS)}
        self.files[WET] = gz(page(0))
        self.files[f"crawl-data/{RELEASE}/warc.paths.gz"] = gzip.compress("\n".join(PATHS).encode() + b"\n")
        self.files[f"crawl-data/{RELEASE}/wet.paths.gz"] = gzip.compress(WET.encode() + b"\n")
        self.faults: list[object] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.ranges = True
        self.active = 0
        self.most_active = 0
        self.etag = '"v1"'
        self.url = ""


@pytest.fixture
def stand() -> Iterator[Stand]:
    state = Stand()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            state.active += 1
            state.most_active = max(state.most_active, state.active)
            try:
                self.answer()
            finally:
                state.active -= 1

        def answer(self) -> None:
            state.seen.append((self.path[1:], dict(self.headers)))
            fault = state.faults.pop(0) if state.faults else None
            data = state.files.get(self.path[1:])
            if isinstance(fault, tuple):
                status, headers = fault
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if data is None:
                self.send_error(404)
                return
            start = 0
            wanted = self.headers.get("Range")
            fresh = self.headers.get("If-Range") in (None, state.etag)
            if wanted and state.ranges and fresh:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(data):
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(data) - start))
            self.send_header("ETag", state.etag)
            self.end_headers()
            body = data[start:]
            self.wfile.write(body[:fault] if isinstance(fault, int) else body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(stand: Stand, cache: Path, name: str = PATHS[0]) -> tuple[bytes, list[float]]:
    waits: list[float] = []
    path = commoncrawl.download(name, cache, base_url=stand.url, sleep=waits.append)
    return path.read_bytes(), waits


def leftovers(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*") if ".part" in path.name]


def test_release_to_pages(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRISTMILL_CC_URL", stand.url)
    sources = list_sources([RELEASE], cache_dir=tmp_path, warcs=2)
    assert [source.name for source in sources] == PATHS[:2]
    assert [row["url"] for row in rows(batches(sources[1]))] == [f"http://example.org/{100 + n}" for n in range(30)]
    assert rows(batches(sources[0]))[0]["record"]["file"] == PATHS[0]
    asked = len(stand.seen)
    assert asked == 3, "the listing and two files"
    assert list_sources([RELEASE], cache_dir=tmp_path, warcs=2) == sources
    assert len(stand.seen) == asked, "all from the cache"
    assert "gristmill" in stand.seen[0][1]["User-Agent"]
    assert leftovers(tmp_path) == []


def test_wet_listing_and_default_cache(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRISTMILL_CC_URL", stand.url)
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
    assert [source.name for source in list_sources([f"{RELEASE}:wet"], warcs=5)] == [WET]
    assert (tmp_path / "cache" / WET).exists()


def test_busy_server_is_given_the_time_it_asks_for(stand: Stand, tmp_path: Path) -> None:
    date = {"Date": "Mon, 06 May 2024 07:00:00 GMT", "Retry-After": "Mon, 06 May 2024 07:00:42 GMT"}
    stand.faults = [(503, {"Retry-After": "7"}), (429, date), (503, {"Retry-After": "99999"}), (500, {})]
    data, waits = fetch(stand, tmp_path)
    assert data == stand.files[PATHS[0]]
    assert waits[:3] == [7.0, 42.0, commoncrawl.MAX_RETRY_AFTER_S]
    assert waits[3] == commoncrawl.backoff(f"{stand.url}/{PATHS[0]}", 4)


def test_backoff_doubles_is_capped_and_repeats() -> None:
    waits = [commoncrawl.backoff("u", n) for n in range(1, 12)]
    assert waits == [commoncrawl.backoff("u", n) for n in range(1, 12)]
    for n, wait in enumerate(waits):
        assert min(2**n, 60) <= wait <= 1.5 * min(2**n, 60)
    assert commoncrawl.backoff("u", 3) != commoncrawl.backoff("v", 3)


def test_cut_connections_are_taken_up_again(stand: Stand, tmp_path: Path) -> None:
    stand.faults = [100, 200, 0, 300]
    data, waits = fetch(stand, tmp_path)
    assert data == stand.files[PATHS[0]]
    assert [headers.get("Range") for _, headers in stand.seen] == [
        None,
        "bytes=100-",
        "bytes=300-",
        "bytes=300-",
        "bytes=600-",
    ]
    assert leftovers(tmp_path) == []


def test_killed_download_goes_on_in_the_next_run(stand: Stand, tmp_path: Path) -> None:
    part = tmp_path / (PATHS[0] + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(stand.files[PATHS[0]][:500])
    data, _ = fetch(stand, tmp_path)
    assert data == stand.files[PATHS[0]]
    assert stand.seen[0][1]["Range"] == "bytes=500-"


def test_file_that_changed_meanwhile_is_fetched_anew(stand: Stand, tmp_path: Path) -> None:
    stand.faults = [100]

    def change(_: float) -> None:
        stand.etag = '"v2"'
        stand.files[PATHS[0]] = b"new " * 1000

    path = commoncrawl.download(PATHS[0], tmp_path, base_url=stand.url, sleep=change)
    assert path.read_bytes() == b"new " * 1000


@pytest.mark.parametrize("have", [5, 10**6])
def test_server_without_ranges_or_a_part_that_is_too_long(stand: Stand, tmp_path: Path, have: int) -> None:
    stand.ranges = have > 100
    part = tmp_path / (PATHS[0] + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * have)
    data, _ = fetch(stand, tmp_path)
    assert data == stand.files[PATHS[0]]


def test_no_progress_gives_up_and_keeps_the_part(stand: Stand, tmp_path: Path) -> None:
    stand.faults = [100] + [(503, {})] * 50
    with pytest.raises(StepFailed, match="go on from byte 100"):
        fetch(stand, tmp_path)
    assert len(stand.seen) == commoncrawl.TRIES
    stand.faults = []
    assert fetch(stand, tmp_path)[0] == stand.files[PATHS[0]]


def test_unknown_release_and_no_network(stand: Stand, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="404"):
        commoncrawl.release_paths("CC-MAIN-1999-01", tmp_path, base_url=stand.url)
    with pytest.raises(ConfigError, match="can't reach"):
        commoncrawl.release_paths(RELEASE, tmp_path, base_url="http://127.0.0.1:9", sleep=lambda _: None)
    with pytest.raises(ConfigError, match="look like"):
        commoncrawl.release_paths("CC-MAIN-99", tmp_path)
    with pytest.raises(ConfigError, match="positive"):
        list(commoncrawl.fetch_release(RELEASE, tmp_path, 0, base_url=stand.url))


@pytest.mark.parametrize("evil", ["../../etc/x", "/etc/x", "a/../../b"])
def test_listing_cannot_lead_out_of_the_cache(stand: Stand, tmp_path: Path, evil: str) -> None:
    stand.files[f"crawl-data/{RELEASE}/warc.paths.gz"] = gzip.compress(evil.encode())
    with pytest.raises(ConfigError, match="leads elsewhere"):
        list(commoncrawl.fetch_release(RELEASE, tmp_path, 1, base_url=stand.url))


def test_damaged_listing_is_removed(stand: Stand, tmp_path: Path) -> None:
    whole = stand.files[f"crawl-data/{RELEASE}/warc.paths.gz"]
    stand.files[f"crawl-data/{RELEASE}/warc.paths.gz"] = whole[:-6]
    with pytest.raises(ConfigError, match="damaged"):
        commoncrawl.release_paths(RELEASE, tmp_path, base_url=stand.url)
    stand.files[f"crawl-data/{RELEASE}/warc.paths.gz"] = whole
    assert commoncrawl.release_paths(RELEASE, tmp_path, base_url=stand.url) == PATHS


def test_one_request_at_a_time(stand: Stand, tmp_path: Path) -> None:
    threads = [threading.Thread(target=fetch, args=(stand, tmp_path, path)) for path in PATHS * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stand.most_active == 1
    assert len(stand.seen) == len(PATHS)
