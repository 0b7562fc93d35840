"""Folders of stores: objects whose names begin alike, listed in one go and removed in one go."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .paths import StorePath, local_file

TRANSFERS = 8
"""Objects fetched or sent at once."""


def listed_sizes(folder: Path) -> dict[str, int]:
    """Bytes of every object below a folder of a store, by its name relative to the folder: one listing."""
    assert isinstance(folder, StorePath)
    prefix = len(folder.inner) + 1
    return {name[prefix:]: int(info["size"]) for name, info in folder.found().items()}


def remove_tree(path: Path, *, ignore_errors: bool = False) -> None:
    """Remove a folder with all that is in it, as `shutil.rmtree` does, here or in a store."""
    if isinstance(path, StorePath):
        path.remove_all()
    else:
        shutil.rmtree(path, ignore_errors=ignore_errors)


def fetch_tree(source: Path, target: Path) -> Path:
    """Copy all objects of a folder of a store into a local folder, several at once; returns `target`.

    Links them where the scratch cache is on the same file system, so that they take no room twice.
    """
    names = sorted(listed_sizes(source))

    def one(name: str) -> None:
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        copy = local_file(source / name)
        try:
            os.link(copy, file)
        except OSError:
            shutil.copyfile(copy, file)

    with ThreadPoolExecutor(TRANSFERS) as threads:
        list(threads.map(one, names))
    return target
