"""Common Crawl releases: listing and files over the public HTTP endpoint, fetched only when asked for.

`CC-MAIN-YYYY-WW` names a release; its listing is `crawl-data/CC-MAIN-YYYY-WW/warc.paths.gz` (or `wet.paths.gz`), one
path a line (https://commoncrawl.org/get-started). Files are kept under a cache folder by those paths. A download goes
to `FILE.part`, is taken up again by a Range request after a break or a kill, is checked against the length that the
server states and renamed when whole. Uses urllib of the standard library; one request at a time in a process.

Polite: a User-Agent that says who asks, Retry-After obeyed, otherwise waits that double, up to MAX_WAIT_S, plus a share
drawn from the URL and the attempt (so that many machines don't come back at the same moment, and runs repeat).
"""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import http.client
import os
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path

from ..errors import ConfigError, StepFailed

BASE_URL = "https://data.commoncrawl.org"
BASE_URL_VARIABLE = "GRISTMILL_CC_URL"
"""Environment variable with another base URL (a mirror, or a stand-in for tests)."""

USER_AGENT = "gristmill/0.1 (training data pipeline; reads Common Crawl's public data sets)"
MAX_WAIT_S = 60.0
MAX_RETRY_AFTER_S = 900.0
TRIES = 8
TRIES_UNREACHED = 3
"""Tries before the network counts as missing, if the server has never answered."""

TIMEOUT_S = 60.0
BLOCK = 1 << 20

_RELEASE = re.compile(r"(CC-MAIN-\d{4}-\d{2})(?::(warc|wet))?")
_RETRIED = frozenset((408, 425, 429, 500, 502, 503, 504))
_BROKEN = (http.client.HTTPException, ConnectionError, TimeoutError, socket.timeout)
_one_at_a_time = threading.Lock()

Sleep = Callable[[float], None]


def default_cache() -> Path:
    """Where downloads are kept: `$GRISTMILL_CACHE`, else `gristmill` in the user's cache folder (XDG)."""
    named = os.environ.get("GRISTMILL_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gristmill"


def is_release(text: str) -> bool:
    """Whether an input names a Common Crawl release (`CC-MAIN-2024-33`, `CC-MAIN-2024-33:wet`)."""
    return _RELEASE.fullmatch(text) is not None


def fetch_release(
    text: str, cache_dir: Path, warcs: int, *, base_url: str | None = None, sleep: Sleep = time.sleep
) -> Iterator[tuple[str, str, int]]:
    """(local path, path in the listing, bytes) of the first `warcs` files of a release, downloaded where needed.

    Raises ConfigError (no such release, no network, `warcs` not positive or more than there are), StepFailed
    (a download failed after all tries; what was fetched is kept for the next run).
    """
    for name in release_paths(text, cache_dir, base_url=base_url, sleep=sleep)[: _positive(warcs)]:
        path = download(name, cache_dir, base_url=base_url, sleep=sleep)
        yield str(path), name, path.stat().st_size


def _positive(warcs: int) -> int:
    if warcs <= 0:
        raise ConfigError(f"warcs must be positive, not {warcs}")
    return warcs


def release_paths(text: str, cache_dir: Path, *, base_url: str | None = None, sleep: Sleep = time.sleep) -> list[str]:
    """The listing of a release, from the cache if it is there. Raises ConfigError."""
    match = _RELEASE.fullmatch(text)
    if not match:
        raise ConfigError(f"'{text}' is no Common Crawl release; they look like CC-MAIN-2024-33 or CC-MAIN-2024-33:wet")
    release, form = match[1], match[2] or "warc"
    listing = download(f"crawl-data/{release}/{form}.paths.gz", cache_dir, base_url=base_url, sleep=sleep)
    try:
        lines = gzip.decompress(listing.read_bytes()).decode().split("\n")
    except (OSError, EOFError, ValueError) as error:
        listing.unlink()
        raise ConfigError(f"the listing of {text} is damaged and was removed, try again: {error}") from error
    paths = [line.strip() for line in lines if line.strip()]
    for path in paths:
        if path.startswith("/") or ".." in path.split("/") or ":" in path.split("/")[0]:
            raise ConfigError(f"the listing of {text} holds a path that leads elsewhere: '{path[:200]}'")
    return paths


def download(name: str, cache_dir: Path, *, base_url: str | None = None, sleep: Sleep = time.sleep) -> Path:
    """The cached copy of the file `name` below the base URL, fetched if it isn't there yet.

    Raises ConfigError (the server says that it doesn't exist, or can't be reached at all), StepFailed.
    """
    target = Path(cache_dir) / name
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    base = (base_url or os.environ.get(BASE_URL_VARIABLE) or BASE_URL).rstrip("/")
    with _one_at_a_time:
        if not target.exists():
            _Download(f"{base}/{name}", target, sleep).run()
    return target


class _Download:
    """One file on its way into the cache."""

    def __init__(self, url: str, target: Path, sleep: Sleep) -> None:
        self.url = url
        self.target = target
        self.part = target.with_name(target.name + ".part")
        self.sleep = sleep
        self.reached = False

    def run(self) -> None:
        """Fetch, with retries for as long as they get on."""
        failures = 0
        why = ""
        while failures < TRIES:
            before = self._have()
            try:
                if self._attempt():
                    os.replace(self.part, self.target)
                    return
                why, wait = "the connection was cut", None
            except urllib.error.HTTPError as error:
                self.reached = True
                if error.code == 416:
                    self.part.unlink(missing_ok=True)
                elif error.code not in _RETRIED:
                    raise self._refused(error) from error
                why, wait = f"HTTP {error.code} {error.reason}", retry_after(error.headers)
            except urllib.error.URLError as error:
                why, wait = str(error.reason), None
            except _BROKEN as error:
                why, wait = f"{type(error).__name__}: {error}", None
            failures = 1 if self._have() > before else failures + 1
            if not self.reached and failures >= TRIES_UNREACHED:
                break
            if failures < TRIES:
                self.sleep(wait if wait is not None else backoff(self.url, failures))
        if not self.reached:
            raise ConfigError(
                f"can't reach {self.url}: {why}. Check the network, or give files of your own instead of a release"
            )
        raise StepFailed(f"{self.url}: {why}, {TRIES} tries in a row; run again to go on from byte {self._have()}")

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _refused(self, error: urllib.error.HTTPError) -> ConfigError:
        hint = "; is the name of the release right?" if error.code == 404 else ""
        return ConfigError(f"{self.url}: HTTP {error.code} {error.reason}{hint}")

    def _attempt(self) -> bool:
        """One request; whether the file is whole after it."""
        have = self._have()
        request = urllib.request.Request(self.url, headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        tag = self.part.with_name(self.part.name + ".etag")
        if have:
            request.add_header("Range", f"bytes={have}-")
            if tag.exists():
                request.add_header("If-Range", tag.read_text())
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            self.reached = True
            total, start = _extent(response.status, response.headers)
            if start != have:
                have = 0
            if start not in (0, have):
                self.part.unlink(missing_ok=True)
                return False
            etag = response.headers.get("ETag", "")
            if etag and not etag.startswith("W/"):
                tag.write_text(etag)
            with open(self.part, "r+b" if have else "wb") as file:
                file.seek(have)
                while block := response.read(BLOCK):
                    file.write(block)
                size = file.tell()
                file.flush()
                os.fsync(file.fileno())
        if total is not None and size > total:
            self.part.unlink()
            return False
        whole = total is None or size == total
        if whole:
            tag.unlink(missing_ok=True)
        return whole


def _extent(status: int, headers: Message) -> tuple[int | None, int]:
    """(bytes of the whole file, offset at which this answer begins) from an answer's headers."""
    if status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", ""))
        if match:
            return int(match[2]), int(match[1])
        return None, -1
    length = headers.get("Content-Length", "")
    return (int(length) if length.isdigit() else None), 0


def retry_after(headers: Message) -> float | None:
    """Seconds, at least one, that a Retry-After field asks for, or None.

    The field holds a number or a date; a date is counted from the answer's own Date.
    """
    value = (headers.get("Retry-After") or "").strip()
    if value.isdigit():
        return min(max(float(value), 1.0), MAX_RETRY_AFTER_S)
    try:
        until = email.utils.parsedate_to_datetime(value)
        now = email.utils.parsedate_to_datetime(headers.get("Date") or "")
    except ValueError:
        return None
    return min(max((until - now).total_seconds(), 1.0), MAX_RETRY_AFTER_S)


def backoff(url: str, failures: int) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4 ... up to MAX_WAIT_S, plus up to a half of that."""
    wait = min(float(2 ** (failures - 1)), MAX_WAIT_S)
    share = int.from_bytes(hashlib.blake2b(f"{url}\0{failures}".encode(), digest_size=4).digest(), "big") / 2**32
    return wait * (1 + share / 2)
