"""Whole files into the cache.

A download goes to `FILE.part`, is taken up again by a Range request after a break or a kill, is checked against the
length that the server states and renamed when whole. A lock beside it makes several processes that want one file
fetch it once.
"""

from __future__ import annotations

import fcntl
import os
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .polite import CLOCK, Clock, default_cache
from .web import BLOCK, Requests, base_url, condition, extent, mark_of


def download(name: str, cache_dir: Path | None = None, *, base: str | None = None, clock: Clock = CLOCK) -> Path:
    """The cached copy of the file `name` below Common Crawl's base URL, fetched if it isn't there yet.

    Raises ConfigError (the server says that it doesn't exist, or can't be reached at all), StepFailed.
    """
    cache = Path(cache_dir or default_cache())
    return fetch(f"{base or base_url()}/{name}", cache / name, cache_dir=cache, clock=clock)


def fetch(url: str, target: Path, *, cache_dir: Path | None = None, clock: Clock = CLOCK) -> Path:
    """The file at `url` as `target`, fetched unless it is there. Raises as `download`."""
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        if not target.exists():
            _Download(Requests(url, cache_dir, clock), target).run()
    return target


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Be the only process at work on `target`."""
    lock = target.with_name(target.name + ".part.lock")
    while True:
        with open(lock, "ab") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _same(handle.fileno(), lock):  # else the one before removed it while we waited
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                return


def _same(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


class _Download:
    """One file on its way into the cache."""

    def __init__(self, requests: Requests, target: Path) -> None:
        self.requests = requests
        self.target = target
        self.part = target.with_name(target.name + ".part")
        self.tag = target.with_name(target.name + ".part.etag")

    def run(self) -> None:
        """Fetch, with retries for as long as they get on."""
        self.requests.persist(self._attempt, self._have, "; run again to go on from where it stopped")
        self.tag.unlink(missing_ok=True)
        os.replace(self.part, self.target)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self) -> bool | None:
        """One request; True if the file is whole after it."""
        try:
            return self._request()
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            error.close()
            self.part.unlink(missing_ok=True)  # it holds more than the server has
            return None

    def _request(self) -> bool | None:
        have = self._have()
        headers = {}
        if have:
            headers["Range"] = f"bytes={have}-"
            if self.tag.exists():
                headers |= condition(self.tag.read_text())
        with self.requests.open(headers) as response:
            total, start = extent(response.status, response.headers)
            if start != have:
                have = 0
            if start not in (0, have):
                self.part.unlink(missing_ok=True)
                return None
            mark = mark_of(response.headers)
            if mark:
                self.tag.write_text(mark)
            with open(self.part, "r+b" if have else "wb") as file:
                file.seek(have)
                while block := response.read(BLOCK):
                    file.write(block)
                size = file.tell()
                file.flush()
                os.fsync(file.fileno())
        if total is not None and size > total:
            self.part.unlink()
            return None
        return True if total is None or size == total else None
