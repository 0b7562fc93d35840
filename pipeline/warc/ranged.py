"""Ranged reads over one local or remote file.

All readers of this package go through `Ranged`, so that a network or disk error (which must stop
the step and be retried) is never mistaken for a damaged record (which costs one record).
"""

from __future__ import annotations

import io
import os
import time
from types import TracebackType
from typing import Any, Self

from ..errors import ConfigError, StepFailed
from .remote import filesystem_path, is_url

WINDOW = 1 << 20
"""Bytes fetched at once for small reads."""

REMOTE_BLOCK = 4 << 20
"""Read-ahead block of remote files, bytes."""

TRIES = 4


class Ranged:
    """Random access to `size` bytes that begin at `base` of the file `path`.

    `path` is a local path or a URL that fsspec knows. Reads never go past the end. The size is
    taken when the file is opened unless given.

    Raises ConfigError where the file can't be opened, StepFailed where reading fails for good.
    """

    def __init__(self, path: str, *, base: int = 0, size: int | None = None) -> None:
        self.path = path
        self.remote = is_url(path)
        self.base = base
        self._file = self._open()
        if size is None:
            size = self._file.seek(0, io.SEEK_END) - base
        self.size = size
        self._window = b""
        self._window_at = 0

    def _open(self) -> Any:
        try:
            if not self.remote:
                return open(self.path, "rb", buffering=0)
            filesystem, inner = filesystem_path(self.path)
            return filesystem.open(inner, "rb", block_size=REMOTE_BLOCK, cache_type="readahead")
        except OSError as error:
            raise ConfigError(f"can't open '{self.path}': {error}") from error

    def slice(self, base: int, size: int) -> Ranged:
        """The `size` bytes at `base` as a file of their own (its own file handle)."""
        return Ranged(self.path, base=self.base + base, size=max(0, min(size, self.size - base)))

    def read_at(self, offset: int, n: int) -> bytes:
        """Up to `n` bytes from `offset` (fewer only at the end), not kept in the window."""
        n = min(n, self.size - offset)
        if n <= 0:
            return b""
        for attempt in range(TRIES):
            try:
                data = self._read(offset, n)
                break
            except OSError as error:
                if not self.remote or attempt == TRIES - 1:
                    raise StepFailed(f"reading '{self.path}' at {offset} failed: {error}") from error
                time.sleep(2**attempt)
                self._file = self._open()
        if len(data) < n:
            raise StepFailed(f"'{self.path}' ended at {offset + len(data)}, it had {self.size} bytes: did it change?")
        return data

    def _read(self, offset: int, n: int) -> bytes:
        self._file.seek(self.base + offset)
        data: bytes = self._file.read(n)
        if len(data) == n or not data:
            return data
        parts = [data]
        got = len(data)
        while got < n:
            more = self._file.read(n - got)
            if not more:
                break
            parts.append(more)
            got += len(more)
        return b"".join(parts)

    def peek(self, offset: int, n: int) -> memoryview:
        """Like `read_at` for small or sequential reads: served from a window of WINDOW bytes."""
        n = min(n, self.size - offset)
        if n <= 0:
            return memoryview(b"")
        lo = offset - self._window_at
        if lo < 0 or lo + n > len(self._window):
            self._window = self.read_at(offset, max(n, WINDOW))
            self._window_at = offset
            lo = 0
        return memoryview(self._window)[lo : lo + n]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

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
