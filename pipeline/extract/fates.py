"""Pages at which a guard has fired, and what became of them.

The one exception to "same input, same bytes": whether a page outlasts a time or memory limit hangs on the
machine. So each firing is written down at once, with the page's id, and a run that is killed and taken up
again gives that page the fate it had, without trying it again. Delete the file to have them tried anew.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from ..storage import StorePath


class Fates:
    """Page ids with the reason each was given up for; kept in a JSON lines file if `path` is given."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.known: dict[str, str] = {}
        if path is not None and path.exists():
            for line in path.read_bytes().split(b"\n"):
                with contextlib.suppress(ValueError, KeyError, TypeError):  # a kill may have torn the last line
                    fate = json.loads(line)
                    self.known[fate["id"]] = fate["reason"]

    def add(self, id: str, url: str | None, reason: str) -> None:
        """Record a fate; on disk when this returns."""
        self.known[id] = reason
        if self.path is None:
            return
        line = json.dumps({"id": id, "url": url, "reason": reason}, sort_keys=True).encode()
        if isinstance(self.path, StorePath):  # objects can't be appended to; guards fire seldom
            before = self.path.read_bytes() if self.path.exists() else b""
            self.path.write_bytes(before + line + b"\n")
            return
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            # a torn line before this one must not swallow it
            torn = os.lseek(fd, 0, os.SEEK_END) > 0 and os.pread(fd, 1, os.lseek(fd, 0, os.SEEK_END) - 1) != b"\n"
            os.write(fd, (b"\n" if torn else b"") + line + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)


_ACTIVE: ContextVar[Fates | None] = ContextVar("gristmill_fates", default=None)


@contextlib.contextmanager
def fates_file(path: Path | None) -> Iterator[Fates]:
    """While active, the pages in the file are dropped with their recorded reason, and new firings are added to it."""
    fates = Fates(path)
    token = _ACTIVE.set(fates)
    try:
        yield fates
    finally:
        _ACTIVE.reset(token)


def active_fates() -> Fates:
    """Those of the innermost `fates_file`, else an empty one that nothing keeps."""
    return _ACTIVE.get() or Fates(None)
