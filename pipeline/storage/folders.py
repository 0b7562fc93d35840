"""Folders of stores: objects whose names begin alike, listed in one go and removed in one go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .paths import StorePath, local_file

TRANSFERS = 8
"""Objects fetched or sent at once."""


def listed_sizes(folder: Path | StorePath) -> dict[str, int]:
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


def move_tree(source: Path, target: Path) -> None:
    """Give a folder another name, here or (object by object, manifests last) in a store."""
    if not isinstance(source, StorePath):
        shutil.move(str(source), target)
        return
    assert isinstance(target, StorePath)
    names = sorted(listed_sizes(source), key=lambda name: (name.endswith("manifest.json"), -name.count("/"), name))
    with ThreadPoolExecutor(TRANSFERS) as threads:
        list(threads.map(lambda name: (target / name).copy_from(source / name), names[:-1]))
    for name in names[-1:]:
        (target / name).copy_from(source / name)
    source.remove_all()


def fetch_tree(
    source: Path | StorePath, target: Path, names: Sequence[str] | None = None, *, link: bool = True
) -> Path:
    """Copy objects of a folder of a store (all by default) into a local folder, several at once; returns `target`.

    `link`: they may be second names of files of the scratch cache, which take no room twice and must not be written to.
    """
    names = sorted(listed_sizes(source)) if names is None else names

    def one(name: str) -> None:
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        copy = local_file(source / name)
        if link:
            try:
                os.link(copy, file)
                return
            except OSError:  # another file system
                pass
        shutil.copyfile(copy, file)

    with ThreadPoolExecutor(TRANSFERS) as threads:
        list(threads.map(one, names))
    return target
