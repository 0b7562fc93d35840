"""Large arrays that are derived from files, made once a node and mapped by all its processes.

What a worker derives from a model or a list, tables for hashing and the like, is as large as the model: made in each of
a node's processes it would lie in memory as often. So it is made by whoever comes first, written to the cache folder,
and mapped by all: the system holds one copy, and the others need not make it again.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .cache import cache_folder
from .errors import GristmillError
from .malloc import trim_malloc
from .store import digest, read_json, write_json

log = logging.getLogger("gristmill")

KEPT_DAYS = 30
"""Days that what was made is kept for after it was last opened."""
_MANIFEST = "arrays.json"

Arrays = dict[str, NDArray]


def mapped(name: str, key: str, make: Callable[[], Mapping[str, NDArray]]) -> Arrays:
    """The arrays that `make` gives, from `name/<key>/` of the cache folder; made first where it lacks them.

    `key` says all that decides about them. They may be written to, which copies the page and changes no file. Where
    the cache can't be written, they are this process's own.
    """
    folder = cache_folder(name) / key
    found = _opened(folder)
    if found is not None:
        return found
    try:
        with locked(folder.parent, key):
            found = _opened(folder)
            if found is not None:
                return found
            made = dict(make())
            _save(folder, made)
    except OSError as error:
        log.warning("'%s' can't be written (%s): each process makes its own of what lies there", folder, error)
        return dict(make())
    forget_unused(folder.parent, _MANIFEST)
    found = _opened(folder)
    if found is None:
        return made
    del made
    trim_malloc()  # or this process would keep as much memory as it has just saved
    return found


def file_key(*paths: Path | str) -> str:
    """A key of files, by their places, sizes and dates (ctime too, which no program sets back)."""
    facts = []
    for path in paths:
        stat = os.stat(path)
        facts.append([os.path.realpath(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns])
    return digest(facts)


def _opened(folder: Path) -> Arrays | None:
    """The arrays of a folder by memory map; None where there are none, or not whole."""
    if not (folder / _MANIFEST).is_file():
        return None
    try:
        names = read_json(folder / _MANIFEST)["names"]
        found = {name: np.load(folder / f"{name}.npy", mmap_mode="c").view(np.ndarray) for name in names}
    except (OSError, ValueError, KeyError, GristmillError):
        return None
    with suppress(OSError):  # of a cache that may only be read
        os.utime(folder / _MANIFEST)
    return found


def _save(folder: Path, arrays: Arrays) -> None:
    """Write arrays; called under the lock."""
    with whole_folder(folder, lambda: _opened(folder) is not None) as temporary:
        temporary.mkdir()
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        write_json(temporary / _MANIFEST, {"names": sorted(arrays)})


@contextmanager
def whole_folder(folder: Path, is_whole: Callable[[], bool]) -> Iterator[Path]:
    """A name for a folder that is being written, which becomes `folder` when the block ends without an error.

    What killed processes of this machine left of the same goes, and so does a `folder` that is there but not whole.
    """
    host = socket.gethostname()
    for left in folder.parent.glob(f".{folder.name}.{host}-*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    temporary = folder.parent / f".{folder.name}.{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"
    try:
        yield temporary
        if folder.exists() and not is_whole():
            shutil.rmtree(folder)
        try:
            temporary.rename(folder)
        except OSError:
            if not is_whole():  # no other machine was first
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(folder: Path, key: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """One process of this machine at a time is in here for this key; `waiting` is called where it is not the first."""
    with open(folder / f".{key}.lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def forget_unused(folder: Path, manifest: str, days: int = KEPT_DAYS) -> None:
    """Delete the folders in `folder` whose `manifest` has an older date. Who has one mapped keeps its pages."""
    before = time.time() - days * 86_400
    for file in folder.glob(f"*/{manifest}"):
        with suppress(OSError):  # another process deletes it too
            if file.stat().st_mtime < before:
                file.unlink()
                shutil.rmtree(file.parent)
