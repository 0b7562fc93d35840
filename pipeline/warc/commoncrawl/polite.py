"""Manners towards a server that all processes of this machine keep together.

Requests to a host take one of a few *slots*, files under `<cache>/polite/<host>/` held by a lock that the kernel lets
go when a process dies. When the host asks for a rest (Retry-After) or throttles, the time until which nobody asks it
for anything is written beside them, so that one process's refusal holds back all of them.

Common Crawl says why (https://status.commoncrawl.org): it can serve a few thousand requests a second to everyone
together, answers with 503 and 403 where that is passed, and asks for retries no more often than once a second.
"""

from __future__ import annotations

import email.utils
import fcntl
import os
import random
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import IO

from ... import __version__
from ...errors import ConfigError

PARALLEL_VARIABLE = "GRISTMILL_CC_PARALLEL"
"""Environment variable: how many requests this machine may have open to one host."""

PARALLEL = 4
CONTACT_VARIABLE = "GRISTMILL_CONTACT"
"""Environment variable: an address or page that the User-Agent names, so that a server's keeper can reach the user."""

MAX_WAIT_S = 60.0
MAX_RETRY_AFTER_S = 900.0
LONGEST_LOOK_S = 1.0
"""Sleeps are cut into pieces of this length, so that a rest which got longer is seen."""


class Clock:
    """Time and sleep; another one in tests."""

    def now(self) -> float:
        """Seconds since the epoch, which all processes agree on."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


CLOCK = Clock()


def default_cache() -> Path:
    """Where downloads are kept: `$GRISTMILL_CACHE`, else `gristmill` in the user's cache folder (XDG)."""
    named = os.environ.get("GRISTMILL_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gristmill"


def note(text: str) -> None:
    """Show someone who sits at the terminal why nothing comes."""
    if sys.stderr.isatty():
        print(f"gristmill: {text}", file=sys.stderr, flush=True)


def user_agent() -> str:
    """Who asks, and how the user can be reached if `$GRISTMILL_CONTACT` says so. Raises ConfigError."""
    contact = os.environ.get(CONTACT_VARIABLE, "").strip()
    if contact and not (contact.isascii() and contact.isprintable()):
        raise ConfigError(f"{CONTACT_VARIABLE} must be plain printable ASCII (an e-mail address or a URL)")
    reach = f"; contact: {contact}" if contact else ""
    return f"gristmill/{__version__} (training data pipeline; reads public crawls{reach})"


def parallel() -> int:
    """Requests that this machine may have open to one host. Raises ConfigError."""
    text = os.environ.get(PARALLEL_VARIABLE, "").strip() or str(PARALLEL)
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise ConfigError(f"{PARALLEL_VARIABLE} must be a whole number from 1 to 256, not '{text}'")
    return int(text)


def retry_after(headers: Message) -> float | None:
    """Seconds, at least one, that a Retry-After field asks for, or None.

    The field holds a number or a date; a date is counted from the answer's own Date, or from now where it has none.
    """
    value = (headers.get("Retry-After") or "").strip()
    if value.isascii() and value.isdigit():
        return min(max(float(value), 1.0), MAX_RETRY_AFTER_S)
    try:
        until = email.utils.parsedate_to_datetime(value)
        stated = headers.get("Date")
        now = email.utils.parsedate_to_datetime(stated) if stated else email.utils.localtime()
        wait = (until - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, 1.0), MAX_RETRY_AFTER_S)


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4 ... up to MAX_WAIT_S, plus up to a half of that.

    The share is drawn anew each time, so that machines which failed together don't come back together.
    """
    wait = min(float(2 ** min(failures - 1, 10)), MAX_WAIT_S)
    return wait * (1 + random.random() / 2)


class Host:
    """The slots and the rest of one server."""

    def __init__(self, url: str, cache_dir: Path | None = None, clock: Clock = CLOCK) -> None:
        name = urllib.parse.urlsplit(url).netloc.rpartition("@")[2].lower()
        self.name = "".join(c if c.isalnum() or c in ".-" else "_" for c in name) or "_"
        self._clock = clock
        self._folder = _writable(cache_dir or default_cache()) / self.name
        self._folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold one of the host's slots; waits for one, and for the end of a rest."""
        slot = self._take()
        try:
            yield
        finally:
            slot.close()  # closing lets the lock go

    def _take(self) -> IO[bytes]:
        while True:
            wait = self.resting()
            if wait > 0:
                self._clock.sleep(min(wait, LONGEST_LOOK_S))
                continue
            slot = self._free_slot()
            if slot is None:
                self._clock.sleep(random.uniform(0.01, 0.05))
            elif self.resting() > 0:  # it began meanwhile
                slot.close()
            else:
                return slot

    def _free_slot(self) -> IO[bytes] | None:
        for number in range(parallel()):
            slot = open(self._folder / f"slot-{number}", "ab")  # noqa: SIM115  held by the caller
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return slot
            except BlockingIOError:
                slot.close()
        return None

    def resting(self) -> float:
        """Seconds left of the rest that the host asked for."""
        try:
            until = float((self._folder / "rest").read_text() or 0)
        except (FileNotFoundError, ValueError):
            return 0.0
        left = until - self._clock.now()
        return left if 0 < left <= MAX_RETRY_AFTER_S else 0.0  # a clock that was set back must not stop us for good

    def rest(self, seconds: float) -> None:
        """Let nobody on this machine ask the host for anything for so long; never shortens a rest."""
        until = self._clock.now() + seconds
        with open(self._folder / "rest.lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if seconds > self.resting():
                temporary = self._folder / f"rest.{os.getpid()}.tmp"
                temporary.write_text(repr(until))
                os.replace(temporary, self._folder / "rest")
                note(f"{self.name} is busy; nothing is asked of it for {seconds:.0f} s")


def _writable(cache: Path) -> Path:
    """Where slots may lie: the cache, or a folder of this user's under the temporary one where that is read-only."""
    folder = cache / "polite"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    folder = Path(tempfile.gettempdir()) / f"gristmill-{os.getuid()}" / "polite"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
