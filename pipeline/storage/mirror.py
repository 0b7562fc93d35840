"""A local folder that stands for one in a store, for work that appends to files and renames folders (training)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from .folders import fetch_tree, listed_sizes
from .paths import StorePath
from .scratch import temporary_file

OWN = ("plan.json", "manifest.json", "done/", "timings/")
"""Names in a step's folder that are the run's business."""


class Mirror:
    """`path` holds what the folder in the store held; `send` makes the store hold what `path` holds.

    Files called `last` are sent after the others of their folder, for they say that it is complete, and removed first.
    """

    def __init__(self, folder: StorePath, last: str) -> None:
        self.folder, self.last = folder, last
        self.path = temporary_file(folder.name)
        self.path.mkdir()
        self._sent: dict[str, tuple[int, int]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gristmill-mirror")
        self._sending: Future[None] | None = None

    def fetch(self) -> None:
        """Take over what is in the store, as files that may be written to."""
        names = [name for name in listed_sizes(self.folder) if not name.startswith(OWN)]
        fetch_tree(self.folder, self.path, names, link=False)
        self._sent = self._here()

    def _here(self) -> dict[str, tuple[int, int]]:
        found = {}
        for folder, _, files in os.walk(self.path):
            for file in files:
                path = Path(folder) / file
                with suppress(FileNotFoundError):  # a checkpoint that is removed meanwhile
                    facts = path.stat()
                    found[path.relative_to(self.path).as_posix()] = (facts.st_size, facts.st_mtime_ns)
        return {name: facts for name, facts in found.items() if not any(p.startswith(".") for p in name.split("/"))}

    def send(self) -> None:
        """Send what is new or changed, and remove what is gone."""
        here = self._here()
        order = sorted(here, key=lambda name: (name.endswith(f"/{self.last}"), name))
        for name in (one for one in order if here[one] != self._sent.get(one)):
            copy = temporary_file(name.replace("/", "-"))
            try:
                shutil.copyfile(self.path / name, copy)  # a file that is written to may grow while it is sent
                (self.folder / name).upload(copy)
                self._sent[name] = here[name]
            except FileNotFoundError:
                if (self.path / name).exists():
                    raise
            finally:
                copy.unlink(missing_ok=True)
        gone = sorted(set(self._sent) - set(here), key=lambda name: (not name.endswith(f"/{self.last}"), name))
        for name in gone:
            (self.folder / name).unlink(missing_ok=True)
            del self._sent[name]

    def send_soon(self) -> None:
        """Send in a thread, unless one is sending; raises what went wrong with the last time."""
        if self._sending is not None:
            if not self._sending.done():
                return
            self._sending.result()
        self._sending = self._thread.submit(self.send)

    def close(self) -> None:
        """Wait for the thread, and remove the local folder."""
        self._thread.shutdown()
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def mirrored(folder: Path | StorePath, last: str) -> Iterator[Mirror]:
    """A mirror of a folder in a store: fetched at the beginning, sent when the block ends, however it ends."""
    assert isinstance(folder, StorePath)
    mirror = Mirror(folder, last)
    try:
        mirror.fetch()
        try:
            yield mirror
        finally:
            if mirror._sending is not None:
                mirror._sending.exception()  # the next one says what is wrong
            mirror.send()
    finally:
        mirror.close()
