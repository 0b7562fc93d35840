"""Where the bytes of a pack set come from: mapped local files, or ranged reads of what fsspec can open.

Local paths and `file://` URLs are mapped. Any other URL (`s3://`, `https://`, `memory://`) is read in
blocks (`storage.ranged`), of which those used last are kept, so that a sequence costs one small read.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa

from .errors import SchemaError
from .storage import filesystem_path, local_file, place, with_retries
from .storage.ranged import RangedFile
from .store import atomic_path


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
        """The folder, whose files are fetched as they are opened where it is a remote one."""
        return place(self.where)

    def name(self, file: str) -> str:
        """How messages call one of its files."""
        return f"{self.where}/{file}"

    def read(self, file: str) -> bytes:
        """All of a small file. Raises FileNotFoundError, or SchemaError where it can't be read."""
        try:
            if self.local:
                return (self.path / file).read_bytes()
            system, inner = self._remote(file)
            return bytes(with_retries(self.name(file), lambda: system.cat_file(inner)))
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
            return int(with_retries(self.name(file), lambda: system.size(inner)))
        except OSError as error:
            raise SchemaError(
                f"pack file {self.name(file)} can't be read ({error}); run the pack step again"
            ) from error

    def open(self, file: str) -> tuple[Any, RangedFile | None]:
        """(what pyarrow opens, the ranged file if it is remote)."""
        if self.local:
            return pa.memory_map(self.name(file)), None
        system, inner = self._remote(file)
        ranged = RangedFile(self.name(file), system, inner, self.size(file))
        return pa.PythonFile(ranged, mode="r"), ranged

    def _remote(self, file: str) -> tuple[Any, str]:
        system, inner = filesystem_path(self.where)
        return system, f"{inner.rstrip('/')}/{file}"
