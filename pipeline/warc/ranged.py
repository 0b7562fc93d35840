"""Ranged reads over one local or remote file.

All readers of this package go through `Ranged`, so that a network or disk error (which must stop
the step and be retried) is never mistaken for a damaged record (which costs one record).
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Protocol, Self

from ..errors import ConfigError, StepFailed
from ..storage import filesystem_path, is_url, redacted, with_retries
from .commoncrawl.web import WebFile, is_web, probe

WINDOW = 1 << 20
"""Bytes fetched at once for small reads of a local file."""

REMOTE_BLOCK = 4 << 20
"""Bytes of one request where a remote file is read in order; the next block is fetched while this one is used."""

REMOTE_SMALL = 1 << 18
"""Least bytes of a request elsewhere: the last record of a split, the head of the file."""


class Bytes(Protocol):
    """Where bytes come from. `read` gives `n` bytes from `offset`, all of which lie in the file of `size` bytes."""

    size: int

    def read(self, offset: int, n: int) -> bytes:
        """Fewer bytes only where the file got shorter. Raises OSError or StepFailed."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class LocalFile:
    """A file on a disk."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  closed in close()
        self.size = self._file.seek(0, io.SEEK_END)

    def read(self, offset: int, n: int) -> bytes:
        self._file.seek(offset)
        data = self._file.read(n) or b""
        parts = [data]
        got = len(data)
        while data and got < n:
            data = self._file.read(n - got) or b""
            parts.append(data)
            got += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        self._file.close()


class StoredObject:
    """A file of an object store, or of whatever else fsspec opens: one request a read, repeated where it breaks."""

    def __init__(self, url: str, size: int | None, mark: str) -> None:
        self._url = url
        self._filesystem, self._path = filesystem_path(url)
        if size is None or mark:
            entry = self._ask(lambda: self._filesystem.info(self._path))
            now = int(entry["size"])
            if size not in (None, now) or (mark and mark != stored_mark(entry)):
                raise StepFailed(f"{redacted(url)} changed since the run was planned; run again to read it anew")
            size = now
        self.size = size

    def read(self, offset: int, n: int) -> bytes:
        data: bytes = self._ask(lambda: self._filesystem.cat_file(self._path, start=offset, end=offset + n))
        return data

    def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            return with_retries(self._url, call)
        except FileNotFoundError as error:
            raise ConfigError(f"can't open '{redacted(self._url)}': there is no such file") from error

    def close(self) -> None:
        """Nothing is kept open between reads."""


def stored_mark(entry: dict[str, Any]) -> str:
    """What tells one version of a stored object from another, of fsspec's facts about it; "" if nothing does."""
    return str(entry.get("ETag") or entry.get("etag") or entry.get("generation") or entry.get("blob_id") or "")


class InMemory:
    """Bytes that are there already."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, n: int) -> bytes:
        return self._data[offset : offset + n]

    def close(self) -> None:
        """There is nothing to let go of."""


class ReadAhead:
    """Bytes of a remote file by blocks, the next one fetched in a thread while this one is read.

    `expect(lo, hi)` says what is about to be read in order; elsewhere a read fetches little more than it asks for.
    """

    def __init__(self, inner: Bytes) -> None:
        self._inner = inner
        self.size = inner.size
        self._lo = self._hi = 0
        self._blocks: dict[int, Future[bytes]] = {}
        self._around: list[tuple[int, bytes]] = []

    def expect(self, lo: int, hi: int) -> None:
        """From now on `[lo, hi)` is read in order."""
        self._lo, self._hi = max(0, lo), min(hi, self.size)
        self._blocks.clear()

    def read(self, offset: int, n: int) -> bytes:
        parts = []
        end = offset + n
        while offset < end:
            data = self._inside(offset) if self._lo <= offset < self._hi else self._outside(offset, end)
            part = memoryview(data)[: end - offset]
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def cheap(self, offset: int) -> int:
        """Bytes from `offset` on that come without going for more than a read there fetches anyway."""
        return self._hi - offset if self._lo <= offset < self._hi else self._least()

    def _least(self) -> int:
        return REMOTE_SMALL if self._hi else 0  # before anything is expected, only the file's head is looked at

    def _inside(self, offset: int) -> memoryview:
        number = (offset - self._lo) // REMOTE_BLOCK
        self._blocks = {k: block for k, block in self._blocks.items() if number - 1 <= k}
        block = self._block(number)
        if self._lo + (number + 1) * REMOTE_BLOCK < self._hi:
            self._block(number + 1)
        return memoryview(block.result())[offset - self._lo - number * REMOTE_BLOCK :]

    def _block(self, number: int) -> Future[bytes]:
        known = self._blocks.get(number)
        if known is not None:
            return known
        future: Future[bytes] = Future()
        start = self._lo + number * REMOTE_BLOCK
        n = min(REMOTE_BLOCK, self._hi - start)

        def fetch() -> None:
            try:
                future.set_result(self._inner.read(start, n))
            except BaseException as error:  # handed to the reader, who raises it
                future.set_exception(error)

        threading.Thread(target=fetch, daemon=True).start()
        self._blocks[number] = future
        return future

    def _outside(self, offset: int, end: int) -> memoryview:
        for at, data in self._around:
            if at <= offset < at + len(data):
                return memoryview(data)[offset - at :]
        stop = min(self.size, max(end, offset + self._least()))
        if offset < self._lo:
            stop = min(stop, self._lo)
        data = self._inner.read(offset, stop - offset)
        for number, (at, before) in enumerate(self._around):
            if at + len(before) == offset and len(before) < REMOTE_BLOCK:  # grows, or going back would fetch it again
                self._around[number] = (at, before + data)
                return memoryview(data)
        self._around = [*self._around[-3:], (offset, data)]
        return memoryview(data)

    def close(self) -> None:
        self._blocks.clear()
        self._inner.close()


class Ranged:
    """Random access to `size` bytes that begin at `base` of the file `path`.

    `path` is a local path or a URL: HTTP is read by `commoncrawl.web`, others by fsspec. Reads never go past the end.
    The size is taken when the file is opened unless given; `mark` is the version that must be met (see `Source`).

    Raises ConfigError where the file can't be opened, StepFailed where reading fails for good.
    """

    def __init__(
        self, path: str, *, base: int = 0, size: int | None = None, mark: str = "", inner: Bytes | None = None
    ) -> None:
        self.path = path
        self.base = base
        self._owned = inner is None
        self._inner = self._open(size, mark) if inner is None else inner
        self.size = self._inner.size - base if size is None else size
        self._window = b""
        self._window_at = 0

    def _open(self, size: int | None, mark: str) -> Bytes:
        try:
            if is_web(self.path):
                if size is None:
                    found = probe(self.path)
                    if found.size is None or not found.ranges:
                        raise ConfigError(f"'{redacted(self.path)}': its server serves no ranges")
                    size, mark = found.size, mark or found.mark
                return ReadAhead(WebFile(self.path, size, mark))
            if is_url(self.path):
                return ReadAhead(StoredObject(self.path, size, mark))
            return LocalFile(self.path)
        except OSError as error:
            raise ConfigError(f"can't open '{self.path}': {error}") from error

    def expect(self, lo: int, hi: int) -> None:
        """Say that `[lo, hi)` will be read in order, so that a remote file is read by large blocks, ahead."""
        if isinstance(self._inner, ReadAhead):
            self._inner.expect(self.base + lo, self.base + min(hi, self.size))

    def slice(self, base: int, size: int) -> Ranged:
        """The `size` bytes at `base` as a file of their own, read through this one."""
        return Ranged(self.path, base=self.base + base, size=max(0, min(size, self.size - base)), inner=self._inner)

    def read_at(self, offset: int, n: int) -> bytes:
        """Up to `n` bytes from `offset` (fewer only at the end), not kept in the window."""
        n = min(n, self.size - offset)
        if n <= 0:
            return b""
        try:
            data = self._inner.read(self.base + offset, n)
        except (OSError, EOFError) as error:
            raise StepFailed(f"reading '{self.path}' at {offset} failed: {error}") from error
        if len(data) < n:
            raise StepFailed(f"'{self.path}' ended at {offset + len(data)}, it had {self.size} bytes: did it change?")
        return data

    def peek(self, offset: int, n: int) -> memoryview:
        """Like `read_at` for small or sequential reads: served from a window of WINDOW bytes (remote: as it needs)."""
        n = min(n, self.size - offset)
        if n <= 0:
            return memoryview(b"")
        lo = offset - self._window_at
        if lo < 0 or lo + n > len(self._window):
            inner = self._inner
            ahead = min(REMOTE_SMALL, inner.cheap(self.base + offset)) if isinstance(inner, ReadAhead) else WINDOW
            self._window = self.read_at(offset, max(n, ahead))
            self._window_at = offset
            lo = 0
        return memoryview(self._window)[lo : lo + n]

    def close(self) -> None:
        """Close the file (a slice leaves it to the one that it is of)."""
        if self._owned:
            self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RangedFile(io.RawIOBase):
    """A `Ranged` as a seekable file object, for libraries that want one."""

    def __init__(self, source: Ranged, start: int = 0, end: int | None = None) -> None:
        super().__init__()
        self._source = source
        self._start = start
        self._end = source.size if end is None else min(end, source.size)
        self._at = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: self._start, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        if origin + offset < self._start:
            raise OSError("seek before the start")
        self._at = origin + offset
        return self._at - self._start

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        n = max(0, min(len(view), self._end - self._at))
        view[:n] = self._source.peek(self._at, n)
        self._at += n
        return n
