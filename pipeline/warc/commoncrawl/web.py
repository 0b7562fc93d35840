"""HTTP requests that are patient and polite: retried for as long as they get on, never pressing a server.

Every request takes one of the host's slots (`polite`), says who asks, and waits as long as the server tells it to.
Repeated are cut connections, timeouts, 408, 425, 429 and 5xx that pass; from Common Crawl's servers also 403, by
which they throttle. What was received before a break is kept and only the rest is asked for. urllib follows
redirects (to http and https only) and proxies of the environment.
"""

from __future__ import annotations

import http.client
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar

from ...errors import ConfigError, StepFailed
from ...storage.urls import check_url, redacted
from .polite import CLOCK, Clock, Host, backoff, retry_after, user_agent

BASE_URL = "https://data.commoncrawl.org"
BASE_URL_VARIABLE = "GRISTMILL_CC_URL"
"""Environment variable with another base URL (a mirror, or a stand-in for tests)."""

CDX_URL = "https://index.commoncrawl.org"
CDX_URL_VARIABLE = "GRISTMILL_CC_INDEX_URL"
"""The same for the server of the CDX index."""

TRIES = 8
TRIES_FORBIDDEN = 5
"""Tries where Common Crawl answers 403: throttling passes, a wrong path doesn't."""

TRIES_UNREACHED = 3
"""Tries before the network counts as missing, if the server has never answered."""

TIMEOUT_S = 60.0
BLOCK = 1 << 18

_RETRIED = frozenset((408, 425, 429, 500, 502, 503, 504))
_THROTTLES = frozenset((403, 429, 503))
BROKEN = (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)

T = TypeVar("T")


class Gone(ConfigError):
    """The server says that there is no such file; `body` is the beginning of its answer."""

    body = ""


class _WebOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.lower().startswith(("http://", "https://")):
            raise urllib.error.HTTPError(redacted(newurl), code, "redirect to another protocol", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_opener = urllib.request.build_opener(_WebOnly)


def is_web(url: str) -> bool:
    """Whether a URL is one of HTTP's."""
    return url.lower().startswith(("http://", "https://"))


def base_url() -> str:
    """Where Common Crawl's files lie."""
    return (os.environ.get(BASE_URL_VARIABLE) or BASE_URL).rstrip("/")


def cdx_url() -> str:
    """Where Common Crawl's CDX index answers."""
    return (os.environ.get(CDX_URL_VARIABLE) or CDX_URL).rstrip("/")


def _common_crawl(url: str) -> bool:
    return url.startswith((base_url() + "/", cdx_url() + "/"))


class Requests:
    """Requests for one URL. `attempt`s made through `persist` are repeated until one succeeds."""

    def __init__(self, url: str, cache_dir: Path | None = None, clock: Clock = CLOCK) -> None:
        check_url(url)
        self.url = url
        self._clock = clock
        self.host = Host(url, cache_dir, clock)
        self._reached = False

    def open(self, headers: Mapping[str, str]) -> AbstractContextManager[Any]:
        """One GET. The caller holds a slot. Raises urllib.error.HTTPError for all but 2xx."""
        request = urllib.request.Request(self.url, headers={"User-Agent": user_agent(), "Accept-Encoding": "identity"})
        for name, value in headers.items():
            request.add_header(name, value)
        response = _opener.open(request, timeout=TIMEOUT_S)
        self._reached = True
        return response  # type: ignore[no-any-return]

    def persist(self, attempt: Callable[[], T | None], got: Callable[[], int] = lambda: 0, hint: str = "") -> T:
        """The first value that `attempt` gives (None: the connection was cut).

        `got` says how many bytes there are by now: failures are counted from the last progress. Raises Gone (404,
        410), ConfigError (refused, or the server can't be reached at all), StepFailed (given up; `hint` is the way on).
        """
        failures = 0
        why = ""
        tries = TRIES
        while failures < tries:
            before = got()
            wait: float | None = None
            throttled = False
            try:
                with self.host.turn():
                    value = attempt()
                if value is not None:
                    return value
                why = "the connection was cut"
            except urllib.error.HTTPError as error:
                self._reached = True
                why, wait, throttled = self._answered(error)
                error.close()
                if error.code == 403:
                    tries = TRIES_FORBIDDEN
            except urllib.error.URLError as error:
                why = str(error.reason)
            except BROKEN as error:
                why = f"{type(error).__name__}: {error}"
            failures = 1 if got() > before else failures + 1
            if not self._reached and failures >= TRIES_UNREACHED:
                break
            if failures < tries:
                pause = backoff(failures) if wait is None else wait
                if throttled or wait is not None:
                    self.host.rest(pause)  # the next turn waits for its end, in every process
                else:
                    self._clock.sleep(pause)
        if not self._reached:
            raise ConfigError(
                f"can't reach {redacted(self.url)}: {why}. Check the network, or give files of your own instead"
            )
        raise StepFailed(
            f"{redacted(self.url)}: {why}, {failures} tries in a row{hint or '; run again later to go on'}"
        )

    def _answered(self, error: urllib.error.HTTPError) -> tuple[str, float | None, bool]:
        """(why, seconds asked for, whether it throttles) of an answer that may pass; raises for others."""
        why = f"HTTP {error.code} {error.reason}"
        throttles = error.code in _THROTTLES and (error.code != 403 or _common_crawl(self.url))
        if throttles or error.code in _RETRIED:
            return why, retry_after(error.headers), throttles
        if error.code in (404, 410):
            hint = "; is the name of the release right?" if _common_crawl(self.url) else ""
            gone = Gone(f"{redacted(self.url)}: {why}{hint}")
            with suppress(*BROKEN):
                gone.body = error.read(4096).decode("utf-8", "replace")
            error.close()
            raise gone from error
        error.close()
        raise ConfigError(f"{redacted(self.url)}: {why}") from error

    def text(self, limit: int) -> bytes:
        """The whole body, of at most `limit` bytes. Raises as `persist`, and StepFailed for a longer one."""

        def attempt() -> bytes | None:
            with self.open({}) as response:
                body: bytes = response.read(limit + 1)
                length = response.headers.get("Content-Length", "")
            if len(body) > limit:
                raise StepFailed(f"{redacted(self.url)}: the answer is longer than {limit} bytes")
            return None if length.isdigit() and len(body) < int(length) else body

        return self.persist(attempt)


def extent(status: int, headers: Message) -> tuple[int | None, int]:
    """(bytes of the whole file, offset at which this answer begins) from an answer's headers; -1: it doesn't say."""
    if status == 206:
        match = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", headers.get("Content-Range", "").strip())
        if match:
            return None if match[2] == "*" else int(match[2]), int(match[1])
        return None, -1
    length = headers.get("Content-Length", "")
    return (int(length) if length.isdigit() else None), 0


def mark_of(headers: Message) -> str:
    """What tells one version of a file from another: its ETag, else its Last-Modified, else nothing."""
    return (headers.get("ETag") or headers.get("Last-Modified") or "").strip()


def condition(mark: str) -> dict[str, str]:
    """The If-Range field for a mark; weak ETags can't stand in one (RFC 9110, 13.1.5)."""
    return {} if not mark or mark.startswith("W/") else {"If-Range": mark}


@dataclass(frozen=True)
class Probe:
    """What a server says of a file: bytes (None: it doesn't say), whether it serves ranges, and its mark."""

    size: int | None
    ranges: bool
    mark: str


def probe(url: str, cache_dir: Path | None = None, clock: Clock = CLOCK) -> Probe:
    """Ask for a file's first byte, which tells more than HEAD and which signed URLs allow. Raises as `persist`."""
    requests = Requests(url, cache_dir, clock)

    def attempt() -> Probe:
        try:
            with requests.open({"Range": "bytes=0-0"}) as response:
                size, start = extent(response.status, response.headers)
                return Probe(size, response.status == 206 and start == 0, mark_of(response.headers))
        except urllib.error.HTTPError as error:
            if error.code == 416 and (error.headers.get("Content-Range") or "").strip() == "bytes */0":
                error.close()
                return Probe(0, True, mark_of(error.headers))
            raise

    return requests.persist(attempt)


def tail(url: str, n: int, cache_dir: Path | None = None, clock: Clock = CLOCK) -> tuple[int, bytes]:
    """(bytes of the file, the last `n` of them or all). Raises as `persist`, StepFailed where there are no ranges."""
    requests = Requests(url, cache_dir, clock)

    def attempt() -> tuple[int, bytes] | None:
        with requests.open({"Range": f"bytes=-{n}"}) as response:
            total, start = extent(response.status, response.headers)
            if response.status != 206 or total is None or start != max(0, total - n):
                raise StepFailed(f"{redacted(url)}: the server serves no ranges")
            data: bytes = response.read(total - start + 1)
        return (total, data) if len(data) == total - start else None

    return requests.persist(attempt)


class WebFile:
    """Ranged reads of a file of `size` bytes (-1: not known) at a URL. Safe for several threads."""

    def __init__(self, url: str, size: int = -1, mark: str = "", *, clock: Clock = CLOCK) -> None:
        self.url = url
        self.size = size
        self._mark = mark
        self._clock = clock

    def read(self, offset: int, n: int) -> bytes:
        """`n` bytes from `offset`, which must lie in the file. Raises StepFailed, also where the file has changed."""
        requests = Requests(self.url, clock=self._clock)
        got = bytearray()

        def attempt() -> bytes | None:
            at = offset + len(got)
            headers = {"Range": f"bytes={at}-{offset + n - 1}", **condition(self._mark)}
            with requests.open(headers) as response:
                self._check(response.status, response.headers, at, offset + n)
                while len(got) < n and (block := response.read(min(BLOCK, n - len(got)))):
                    got.extend(block)
            return bytes(got) if len(got) == n else None

        try:
            return requests.persist(attempt, lambda: len(got))
        except ConfigError as error:  # it was there when the run was planned
            raise StepFailed(f"reading at {offset} failed: {error}") from error

    def _check(self, status: int, headers: Message, at: int, end: int) -> None:
        total, start = extent(status, headers)
        mark = mark_of(headers)
        other_size = total is not None and self.size >= 0 and total != self.size
        if other_size or (self._mark and (status == 200 or (mark and mark != self._mark))):
            raise StepFailed(f"{redacted(self.url)} changed while it was read; run again to read it anew")
        if total is not None and end > total:
            raise StepFailed(f"{redacted(self.url)} has {total} bytes, but bytes up to {end} are asked for")
        if status != 206 or start != at:
            raise StepFailed(f"{redacted(self.url)}: the server stopped serving ranges (HTTP {status} at byte {at})")

    def close(self) -> None:
        """Nothing is kept open between reads."""
