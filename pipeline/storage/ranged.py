"""Files of stores read by ranges, for what doesn't need all of a large file."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from typing import Any, BinaryIO, cast

from ..errors import SchemaError
from .filesystems import filesystem_path, with_retries
from .paths import StorePath, place

BLOCK = 1 << 18
"""Bytes fetched at once for small reads; larger ones are fetched as they are."""
BLOCKS = 256
"""Blocks of one file that are kept, 64 MB at most."""
STREAM_BLOCK = 4 << 20
"""Bytes fetched at once of a file that is read from its beginning to its end."""


def open_input(path: str) -> BinaryIO:
    """A file on this machine or behind a URL, to be read by ranges, with retries. Raises FileNotFoundError."""
    where = place(path)
    if not isinstance(where, StorePath):
        return open(where, "rb")
    system, inner = filesystem_path(path)
    size = int(with_retries(path, lambda: system.size(inner)) or 0)
    return cast(BinaryIO, io.BufferedReader(RangedFile(path, system, inner, size), STREAM_BLOCK))


class RangedFile(io.RawIOBase):
    """A remote file read by ranges, block by block, through a small cache. Threads may call `read_at` at once."""

    def __init__(self, url: str, system: Any, path: str, size: int) -> None:
        super().__init__()
        self._url, self._system, self._path, self._size = url, system, path, size
        self._at = 0
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def read_at(self, start: int, count: int) -> bytes:
        """Bytes [start, start + count), fewer at the file's end. Raises SchemaError where the read fails."""
        end = min(start + count, self._size)
        if end <= start:
            return b""
        first, last = start // BLOCK, (end - 1) // BLOCK
        if last - first > 2:
            return self._fetch(start, end)
        parts = [self._block(number) for number in range(first, last + 1)]
        joined = parts[0] if len(parts) == 1 else b"".join(parts)
        return joined[start - first * BLOCK : end - first * BLOCK]

    def _block(self, number: int) -> bytes:
        with self._lock:
            found = self._blocks.get(number)
            if found is not None:
                self._blocks.move_to_end(number)
                return found
        found = self._fetch(number * BLOCK, min((number + 1) * BLOCK, self._size))
        with self._lock:
            self._blocks[number] = found
            if len(self._blocks) > BLOCKS:
                self._blocks.popitem(last=False)
        return found

    def _fetch(self, start: int, end: int) -> bytes:
        content = bytes(with_retries(self._url, lambda: self._system.cat_file(self._path, start=start, end=end)))
        if len(content) != end - start:
            raise SchemaError(f"{self._url}: got {len(content)} of bytes {start} to {end}; was the file replaced?")
        return content

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        content = self.read_at(self._at, self._size - self._at if size is None or size < 0 else size)
        self._at += len(content)
        return content

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        content = self.read(len(view))
        view[: len(content)] = content
        return len(content)
