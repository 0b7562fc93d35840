"""A node's scratch cache: objects of stores as local files, each fetched once for all processes of the node.

It lies in `$GRISTMILL_SCRATCH`, else in the temporary folder. A file is named by a hash of URL, size and ETag (or
date), so a changed object is another file. It appears by a rename, whole. `$GRISTMILL_SCRATCH_BYTES` limits the size
(default: half of what is free when asked); then the files go that were not used for the longest time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import tempfile
import time
import uuid
from pathlib import Path

from ..errors import ConfigError

GRACE_S = 120.0
"""A file used so lately is not evicted: a process may be about to open it."""
LARGE = 64 << 20
"""Files above this size make room before they are fetched."""
_STALE_S = 24 * 3600.0
"""Unfinished files older than this were left by killed processes."""


def scratch_folder() -> Path:
    """The folder, made if it isn't there. Raises ConfigError where it can't be written."""
    named = os.environ.get("GRISTMILL_SCRATCH")
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"gristmill-scratch-{os.getuid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"scratch folder '{folder}' can't be made ({error.strerror}); set GRISTMILL_SCRATCH"
        ) from error
    if not named and folder.stat().st_uid != os.getuid():
        raise ConfigError(f"scratch folder '{folder}' belongs to someone else; set GRISTMILL_SCRATCH")
    return folder


def temporary_file(name: str) -> Path:
    """A new name for a file that is being written, on the same file system as the cache."""
    folder = scratch_folder() / "writing"
    folder.mkdir(exist_ok=True)
    return folder / f"{uuid.uuid4().hex}-{name[-120:]}"


def cached_path(url: str, size: int, version: str) -> Path:
    """Where this version of an object is kept, whether it is there or not. The ending stays, for it says the format."""
    key = hashlib.blake2b(f"{url}\0{size}\0{version}".encode(), digest_size=16).hexdigest()
    return scratch_folder() / "objects" / key[:2] / f"{key}-{url.rsplit('/', 1)[-1][-120:]}"


def used(path: Path, size: int) -> bool:
    """Whether the cached file is there, whole; notes that it is used."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except OSError:
        return False
    return True


def keep(temporary: Path, path: Path) -> None:
    """A finished file enters the cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(temporary, path)
    if random.random() < 0.02:  # counting the whole folder at each file would cost more than it saves
        make_room(0)


def make_room(needed: int) -> None:
    """Delete what was not used for the longest time until `needed` more bytes are within the limit."""
    objects = scratch_folder() / "objects"
    if not objects.is_dir():
        return
    files: list[tuple[float, int, str]] = []
    for folder in os.scandir(objects):
        with contextlib.suppress(OSError):
            for one in os.scandir(folder.path):
                facts = one.stat()
                files.append((facts.st_mtime, facts.st_size, one.path))
    total = sum(size for _, size, _ in files)
    limit = _limit(total)
    now = time.time()
    for date, size, path in sorted(files):
        if total + needed <= limit or now - date < GRACE_S:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
            total -= size
    writing = scratch_folder() / "writing"
    if writing.is_dir():
        for one in os.scandir(writing):
            with contextlib.suppress(OSError):
                if now - one.stat().st_mtime > _STALE_S:
                    shutil.rmtree(one.path) if one.is_dir() else os.unlink(one.path)


def _limit(held: int) -> int:
    named = os.environ.get("GRISTMILL_SCRATCH_BYTES")
    if named:
        try:
            return int(named)
        except ValueError as error:
            raise ConfigError(f"GRISTMILL_SCRATCH_BYTES must be a number of bytes, not '{named}'") from error
    return (shutil.disk_usage(scratch_folder()).free + held) // 2
