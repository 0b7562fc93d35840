"""Local folders that stand for ones in a store, for work that appends to files, renames folders or links.

`mirrored` is for a step's folder, `stand_in` for the output of a command that is no run of recipes, `staged` for what
is made in one go, `fetched` for reading.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import cast

from ..errors import ConfigError, GristmillError
from .folders import TRANSFERS, fetch_tree, listed_sizes
from .lease import LOCK, assert_held, held
from .paths import StorePath
from .scratch import temporary_file

OWN = ("plan.json", "manifest.json", "done/", "timings/")
"""Names in a step's folder that are the run's business."""
SEND_EVERY_S = 30.0
"""How often a stand-in sends what is new: what a killed machine may lose."""


_Copied = tuple[str, tuple[int, int], Path]


def _says(name: str) -> bool:
    """Whether a file says of others that they are complete."""
    return name.endswith(".json")


def _rank(name: str) -> tuple[bool, int, bool]:
    """When to send a file: what says that a folder is complete (deep ones first, manifests last) after the others."""
    return _says(name), -name.count("/") if _says(name) else 0, name.endswith("manifest.json")


class Mirror:
    """`path` holds what the folder in the store held; `send` makes the store hold what `path` holds.

    JSON files are sent after the others, for they say what is complete, and removed first.
    """

    def __init__(self, folder: StorePath, own: tuple[str, ...] = ()) -> None:
        self.folder, self.own = folder, own
        self.path = temporary_file(folder.name)
        self.path.mkdir()
        self._sent: dict[str, tuple[int, int]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gristmill-mirror")
        self._sending: Future[None] | None = None

    def fetch(self) -> None:
        """Take over what is in the store, as files that may be written to."""
        names = [name for name in listed_sizes(self.folder) if not name.startswith((*self.own, LOCK))]
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
        says = [self._copied(name, here[name]) for name in sorted(filter(_says, here), key=_rank)]
        here = self._here()  # what these JSON files say is complete lies here by now, whoever goes on writing
        assert_held(cast(Path, self.folder))
        with ThreadPoolExecutor(TRANSFERS) as threads:
            others = [name for name in here if not _says(name)]
            list(threads.map(lambda name: self._sent_one(self._copied(name, here[name])), others))
            assert_held(cast(Path, self.folder))
            for _, same in groupby(filter(None, says), lambda one: _rank(one[0])):
                list(threads.map(self._sent_one, same))
        for name in sorted(set(self._sent) - set(here), key=_rank, reverse=True):
            (self.folder / name).unlink(missing_ok=True)
            del self._sent[name]

    def _copied(self, name: str, facts: tuple[int, int]) -> _Copied | None:
        """(name, facts, a copy) of a new or changed file, which may be written to while it is sent; None of others."""
        if facts == self._sent.get(name):
            return None
        copy = temporary_file(name.replace("/", "-"))
        try:
            shutil.copyfile(self.path / name, copy)
        except FileNotFoundError:  # removed meanwhile
            return None
        return name, facts, copy

    def _sent_one(self, copied: _Copied | None) -> None:
        if copied is not None:
            name, facts, copy = copied
            try:
                (self.folder / name).upload(copy)
                self._sent[name] = facts
            finally:
                copy.unlink(missing_ok=True)

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
def mirrored(folder: Path | StorePath, own: tuple[str, ...] = OWN) -> Iterator[Mirror]:
    """A mirror of a folder in a store: fetched at the beginning, sent when the block ends, however it ends.

    `own`: beginnings of names that are left alone.
    """
    assert isinstance(folder, StorePath)
    mirror = Mirror(folder, own)
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


@contextmanager
def stand_in(output: Path, signs: tuple[str, ...], what: str) -> Iterator[Path]:
    """The folder `output` itself, or for one in a store a local one, which is sent on the way and at the end.

    The store's is held meanwhile. A name in it that begins as one of `signs` is an earlier `what`'s, which goes on;
    without such a folder that holds anything is refused with ConfigError.
    """
    if not isinstance(output, StorePath):
        yield output
        return
    with held(output):
        names = {name for name in listed_sizes(output) if not name.startswith(LOCK)}
        if names and not any(name.startswith(signs) for name in names):
            raise ConfigError(
                f"output '{output}' holds files and is no earlier {what}; choose an empty or a new folder"
            )
        with mirrored(output, ()) as mirror:
            if names:
                (mirror.path / LOCK).touch()  # by which `run.lock` knows an earlier output
            ended = threading.Event()
            sender = threading.Thread(target=_send_on, args=(mirror, ended), name="gristmill-stand-in", daemon=True)
            sender.start()
            try:
                yield mirror.path
            finally:
                ended.set()
                sender.join()


def _send_on(mirror: Mirror, ended: threading.Event) -> None:
    while not ended.wait(SEND_EVERY_S):
        with suppress(GristmillError, OSError):  # the last sending says what is wrong
            mirror.send()


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """`target` itself, or for a file or folder in a store a local one of its name, sent when the block ends well.

    Files that lie beside it then are sent too (a model's card).
    """
    if not isinstance(target, StorePath):
        yield target
        return
    mirror = Mirror(target.parent)
    try:
        yield mirror.path / target.name
        mirror.send()
    finally:
        mirror.close()


@contextmanager
def fetched(folder: Path) -> Iterator[Path]:
    """The folder itself, or for one in a store a local copy, for reading."""
    if not isinstance(folder, StorePath):
        yield folder
        return
    copy = temporary_file(folder.name)
    try:
        yield fetch_tree(folder, copy)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
