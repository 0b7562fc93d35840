"""Where the bytes of a pack set come from: mapped local files, or ranged reads of what fsspec can open.

Local paths and `file://` URLs are mapped. Any other URL (`s3://`, `https://`, `memory://`) is read in
blocks of `BLOCK` bytes, of which the last `BLOCKS` used are kept, so that a sequence costs one small read.
"""

from __future__ import annotations

import io
import os
import shutil
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pyarrow as pa

from .errors import ConfigError, SchemaError, StepFailed
from .storage import local_file
from .store import atomic_path

BLOCK = 1 << 18
"""Bytes fetched at once from a remote file."""

BLOCKS = 256
"""Blocks of one remote file that are kept, 64 MB at most."""

TRIES = 4


def link_or_copy(source: Path, target: Path) -> None:
    """`target` becomes a second name of `source`, or a copy on another file system; no file is edited in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        source = Path(local_file(source))
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


class Store:
    """The folder of a pack set: a local path or a URL. Picklable."""

    def __init__(self, where: str | Path) -> None:
        text = str(where)
        self.local = "://" not in text or text.startswith("file://")
        self.where = text.removeprefix("file://") if self.local else text.rstrip("/")

    @property
    def path(self) -> Path:
        """The folder's local path. Raises ConfigError for a remote one."""
        if not self.local:
            raise ConfigError(f"{self.where} is not on this machine; copy the pack set to a local folder first")
        return Path(self.where)

    def name(self, file: str) -> str:
        """How messages call one of its files."""
        return f"{self.where}/{file}"

    def read(self, file: str) -> bytes:
        """All of a small file. Raises FileNotFoundError, or SchemaError where it can't be read."""
        try:
            if self.local:
                return (self.path / file).read_bytes()
            system, inner = self._remote(file)
            return bytes(system.cat_file(inner))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(self.name(file)) from error
        except OSError as error:
            raise SchemaError(f"{self.name(file)} can't be read: {error}") from error

    def size(self, file: str) -> int:
        """Bytes of a file. Raises SchemaError where it isn't there."""
        try:
            if self.local:
                return (self.path / file).stat().st_size
            system, inner = self._remote(file)
            return int(system.size(inner))
        except OSError as error:
            raise SchemaError(
                f"pack file {self.name(file)} can't be read ({error}); run the pack step again"
            ) from error

    def open(self, file: str) -> tuple[Any, RangedFile | None]:
        """(what pyarrow opens, the ranged file if it is remote)."""
        if self.local:
            return pa.memory_map(self.name(file)), None
        system, inner = self._remote(file)
        ranged = RangedFile(system, inner, self.size(file))
        return pa.PythonFile(ranged, mode="r"), ranged

    def _remote(self, file: str) -> tuple[Any, str]:
        from .storage import filesystem_path

        system, inner = filesystem_path(self.where)
        return system, f"{inner.rstrip('/')}/{file}"


class RangedFile(io.RawIOBase):
    """A remote file read by ranges, block by block, through a small cache. Threads may call `read_at` at once."""

    def __init__(self, system: Any, path: str, size: int) -> None:
        self._system, self._path, self._size = system, path, size
        self._at = 0
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def read_at(self, start: int, count: int) -> bytes:
        """Bytes [start, start + count), fewer at the file's end. Raises SchemaError where the read fails."""
        end = min(start + count, self._size)
        if end <= start:
            return b""
        first, last = start // BLOCK, (end - 1) // BLOCK
        if last - first >= BLOCKS:
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
        for attempt in range(TRIES):
            try:
                content = bytes(self._system.cat_file(self._path, start=start, end=end))
                break
            except OSError as error:
                if attempt == TRIES - 1:
                    raise StepFailed(f"{self._path}: bytes {start} to {end} can't be read: {error}") from error
                time.sleep(2**attempt)
        if len(content) != end - start:
            raise SchemaError(f"{self._path}: got {len(content)} of bytes {start} to {end}; was the file replaced?")
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
