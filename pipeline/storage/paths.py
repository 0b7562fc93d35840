"""`StorePath`: an object or a folder of a store, with what the pipeline asks of a `pathlib.Path`.

Not a subclass of `PurePosixPath`, whose insides differ between Python 3.11, 3.12 and 3.13, and which would make
`s3:/bucket` of `s3://bucket`. A folder is there if there is an object whose name begins with it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import io
import os
import posixpath
import re
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import IO, Any, cast

from ..errors import ConfigError
from . import scratch
from .filesystems import filesystem_path, with_retries, write_with_retries
from .urls import check_meant, check_url, is_url, protocol_of

UPLOAD_PART = 32 << 20
"""Bytes of one part of a large object's upload."""
PARTS = ("s3", "s3a", "gs", "gcs")
"""Protocols of stores that take objects in parts."""

KNOWN_S = 10.0
"""For so long this process need not ask the store about an object that it has just written."""

_written: dict[str, tuple[float, dict[str, Any]]] = {}


def place(where: str | os.PathLike[str]) -> Path:
    """The path that a text names: a `Path`, or for a URL (but `file://`) a `StorePath`, which can do the same.

    Raises ConfigError for what is nearly a URL.
    """
    if isinstance(where, (Path, StorePath)):
        return cast(Path, where)
    text = os.fspath(where)
    if text.startswith("file://"):
        return Path(text[len("file://") :])
    if is_url(text):
        return cast(Path, StorePath(text))
    check_meant(text)
    return Path(text)


def local_file(where: str | os.PathLike[str]) -> str:
    """The local file of a path or URL to read from: itself, or the copy in the node's scratch cache."""
    return os.fspath(place(where))


def relative_url(url: str, folder: Path) -> str:
    """How to get from a folder of a store to another place in it (`../05-x/y`); from elsewhere the whole URL."""
    here, there = str(folder).split("://", 1), url.split("://", 1)
    same = len(here) == len(there) == 2 and here[0] == there[0] and here[1].split("/")[0] == there[1].split("/")[0]
    if not same:
        return url if len(there) == 2 else os.path.abspath(url)
    return posixpath.relpath(f"/{there[1]}", f"/{here[1]}")


def work_folder(folder: str | os.PathLike[str], name: str) -> Path:
    """A local folder for what a task spills: below its step's, or in the scratch folder if that lies in a store."""
    where = place(str(folder))
    if isinstance(where, StorePath):
        return scratch.temporary_file(name)
    return where / "spill" / name


class StorePath:
    """A URL as a path. `os.fspath` fetches the object and gives its local copy; FileNotFoundError if it isn't there."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        check_url(url)
        scheme, rest = url.split("://", 1)
        plain = re.sub("/+", "/", rest).strip("/") or "."
        rest = posixpath.normpath(plain)
        if ".." in plain and rest.split("/")[0] != plain.split("/")[0]:
            raise ConfigError(f"'{url}' leads out of its bucket by '..'")
        self._url = f"{scheme.lower()}://{'' if rest == '.' else rest}"

    # names

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"StorePath({self._url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return StorePath, (self._url,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorePath) and self._url == other._url

    def __lt__(self, other: StorePath) -> bool:
        return self._url < other._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __truediv__(self, name: str | PurePosixPath) -> StorePath:
        text = str(name)
        if is_url(text):
            return StorePath(text)
        return self if text in ("", ".") else StorePath(f"{self._url}/{text}")

    def as_posix(self) -> str:
        return self._url

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self._url.split("://", 1)[1])

    @property
    def name(self) -> str:
        return self._pure.name

    @property
    def stem(self) -> str:
        return self._pure.stem

    @property
    def suffix(self) -> str:
        return self._pure.suffix

    @property
    def suffixes(self) -> list[str]:
        return self._pure.suffixes

    @property
    def parts(self) -> tuple[str, ...]:
        scheme, rest = self._url.split("://", 1)
        return (f"{scheme}://", *PurePosixPath(rest).parts)

    @property
    def parent(self) -> StorePath:
        scheme, rest = self._url.split("://", 1)
        return self if "/" not in rest else StorePath(f"{scheme}://{rest.rsplit('/', 1)[0]}")

    @property
    def parents(self) -> list[StorePath]:
        found, one = [], self
        while one.parent != one:
            one = one.parent
            found.append(one)
        return found

    def with_name(self, name: str) -> StorePath:
        return self.parent / name

    def with_suffix(self, suffix: str) -> StorePath:
        return self.with_name(self.stem + suffix)

    def relative_to(self, other: str | os.PathLike[str]) -> PurePosixPath:
        base = str(place(str(other)))
        if self._url == base:
            return PurePosixPath()
        if not self._url.startswith(f"{base}/"):
            raise ValueError(f"'{self._url}' is not below '{base}'")
        return PurePosixPath(self._url[len(base) + 1 :])

    def is_relative_to(self, other: str | os.PathLike[str]) -> bool:
        base = str(other)
        return self._url == base or self._url.startswith(f"{base}/")

    def resolve(self, strict: bool = False) -> StorePath:
        return self

    def absolute(self) -> StorePath:
        return self

    def expanduser(self) -> StorePath:
        return self

    def is_absolute(self) -> bool:
        return True

    # what is there

    @property
    def system(self) -> Any:
        """The fsspec filesystem."""
        return filesystem_path(self._url)[0]

    @property
    def inner(self) -> str:
        """The path in the filesystem."""
        return filesystem_path(self._url)[1].rstrip("/")

    def _info(self) -> dict[str, Any] | None:
        known = _written.get(self._url)
        if known is not None and time.monotonic() - known[0] < KNOWN_S:
            return known[1]
        system, inner = filesystem_path(self._url)
        try:
            return dict(with_retries(self._url, lambda: system.info(inner)))
        except FileNotFoundError:
            return None

    def exists(self) -> bool:
        return self._info() is not None

    def is_file(self) -> bool:
        info = self._info()
        return info is not None and info["type"] == "file"

    def is_dir(self) -> bool:
        info = self._info()
        return info is not None and info["type"] == "directory"

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> Any:
        """`st_size` of the object."""
        info = self._info()
        if info is None:
            raise FileNotFoundError(2, "no such object", self._url)
        return SimpleNamespace(st_size=int(info.get("size") or 0))

    def found(self) -> dict[str, dict[str, Any]]:
        """Every object below this folder, by its path in the filesystem: one listing, whatever the depth."""
        system, inner = filesystem_path(self._url)
        try:
            found = with_retries(self._url, lambda: system.find(inner, detail=True))
        except FileNotFoundError:
            return {}
        return {name: info for name, info in found.items() if name.startswith(f"{inner}/")}

    def iterdir(self) -> Iterator[StorePath]:
        system, inner = filesystem_path(self._url)
        try:
            entries = with_retries(self._url, lambda: system.ls(inner, detail=False))
        except FileNotFoundError:
            entries = []
        for name in sorted(entries):
            name = name.rstrip("/")
            if name != inner:
                yield self / name.rsplit("/", 1)[-1]

    def rglob(self, pattern: str) -> Iterator[StorePath]:
        """Objects (not folders) at all depths whose name fits."""
        prefix = len(self.inner) + 1
        for name in sorted(self.found()):
            if fnmatch.fnmatchcase(name.rsplit("/", 1)[-1], pattern):
                yield self / name[prefix:]

    def glob(self, pattern: str) -> Iterator[StorePath]:
        """Objects and folders that fit, part by part, as `Path.glob` does; one listing for each folder looked into."""
        if "**" in pattern.split("/"):
            head, _, tail = pattern.partition("**/")
            yield from (self / head).rglob(tail)
            return
        first, _, rest = pattern.partition("/")
        if rest and not re.search(r"[*?\[]", first):
            yield from (self / first).glob(rest)
            return
        for one in self.iterdir():
            if fnmatch.fnmatchcase(one.name, first):
                if not rest:
                    yield one
                elif re.search(r"[*?\[]", rest):
                    yield from one.glob(rest)
                elif (one / rest).exists():
                    yield one / rest

    # content

    def read_bytes(self) -> bytes:
        system, inner = filesystem_path(self._url)
        return bytes(with_retries(self._url, lambda: system.cat_file(inner)))

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    def write_bytes(self, content: bytes) -> int:
        """Write a small object in one request: it is there whole or not at all."""
        system, inner = filesystem_path(self._url)
        _written.pop(self._url, None)
        write_with_retries(self._url, lambda: system.pipe_file(inner, content))
        return len(content)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        return self.write_bytes(text.encode(encoding))

    def open(self, mode: str = "r", encoding: str | None = None, **options: Any) -> IO[Any]:
        """The object for reading (its local copy). Writing goes through `pipeline.store.atomic_path`."""
        if mode not in ("r", "rb", "rt"):
            raise io.UnsupportedOperation(f"{self._url}: objects are written by atomic_path, not opened with '{mode}'")
        return open(self.__fspath__(), mode, encoding=encoding, **options)

    def __fspath__(self) -> str:
        info = self._info()
        if info is None or info["type"] != "file":
            raise FileNotFoundError(2, "no such object", self._url)
        size, version = int(info["size"]), _version(info)
        cached = scratch.cached_path(self._url, size, version)
        if not scratch.used(cached, size):
            self._fetch(cached, size)
        return str(cached)

    def _fetch(self, cached: Path, size: int) -> None:
        system, inner = filesystem_path(self._url)
        temporary = scratch.temporary_file(self.name)
        if size > scratch.LARGE:
            scratch.make_room(size)

        def fetch() -> None:
            if size:
                system.get_file(inner, str(temporary))
            else:
                temporary.touch()
            got = temporary.stat().st_size
            if got != size:
                raise ConnectionError(f"got {got} of {size} bytes")

        try:
            with_retries(self._url, fetch)
            scratch.keep(temporary, cached)
        finally:
            temporary.unlink(missing_ok=True)

    def upload(self, file: Path) -> None:
        """Make the object from a local file, which goes into the node's cache. It is there when all of it is.

        In parts and at once where it is large; each call is retried, and the size is compared afterwards.
        """
        system, inner = filesystem_path(self._url)
        size = file.stat().st_size
        options = {"chunksize": UPLOAD_PART} if protocol_of(self._url) in PARTS else {}

        def put() -> dict[str, Any]:
            system.put_file(str(file), inner, **options)
            info = dict(system.info(inner))
            if int(info["size"]) != size:
                raise ConnectionError(f"{info['size']} of {size} bytes arrived")
            return info

        _written.pop(self._url, None)
        info = write_with_retries(self._url, put)
        if len(_written) > 1000:
            _written.clear()
        _written[self._url] = (time.monotonic(), info)
        scratch.keep(file, scratch.cached_path(self._url, size, _version(info)))

    def copy_from(self, source: StorePath) -> None:
        """Make the object a copy of another one of the same store, within the store."""
        system, inner = filesystem_path(self._url)
        _written.pop(self._url, None)
        with_retries(self._url, lambda: system.cp_file(source.inner, inner))

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing to do: a folder is there with its first object."""

    def rmdir(self) -> None:
        """Nothing to do: a folder goes with its last object."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object. One that isn't there is no error, whatever `missing_ok`.

        S3 doesn't say so, and elsewhere an answer that was lost may have removed it.
        """
        system, inner = filesystem_path(self._url)
        _written.pop(self._url, None)
        with contextlib.suppress(FileNotFoundError):
            with_retries(self._url, lambda: system.rm_file(inner))

    def remove_all(self) -> None:
        """Remove every object below, and the object itself."""
        _written.clear()
        system, inner = filesystem_path(self._url)

        def remove() -> None:
            with contextlib.suppress(FileNotFoundError):
                system.rm(inner, recursive=True)

        with_retries(self._url, remove)


_MARKS = ("ETag", "etag", "generation", "crc32c", "md5Hash", "Content-MD5", "blob_id", "Last-Modified")
_DATES = ("mtime", "LastModified", "last_modified", "created")


def mark_of(info: dict[str, Any]) -> str:
    """What the store calls this version of an object (its ETag or a checksum); "" if it has no name for it.

    `info`: what fsspec says of the object, in a listing or by itself, which is the same. Dates are not.
    """
    return next((str(info[key]) for key in _MARKS if info.get(key)), "")


def _version(info: dict[str, Any]) -> str:
    """What tells two contents of one name apart in the scratch cache: the store's mark, else its date."""
    return mark_of(info) or next((str(info[key]) for key in _DATES if info.get(key)), "")
