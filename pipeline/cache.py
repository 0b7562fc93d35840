"""Where Gristmill keeps what it can make again (compiled kernels, indexes of benchmarks): delete it at will."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder(name: str) -> Path:
    """A folder of this name that can be written, made if it is not there.

    It lies in `$GRISTMILL_CACHE`, else in `$XDG_CACHE_HOME/gristmill`, else in `~/.cache/gristmill`, else, where none
    can be written, in the temporary folder.
    """
    cache_home = os.environ.get("XDG_CACHE_HOME")
    bases = [
        os.environ.get("GRISTMILL_CACHE"),
        os.path.join(cache_home, "gristmill") if cache_home else None,
        os.path.join(os.path.expanduser("~"), ".cache", "gristmill"),
    ]
    for base in bases:
        if not base:
            continue
        folder = Path(base) / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:  # a read-only home is no reason to stop
            continue
        if os.access(folder, os.W_OK):
            return folder
    folder = Path(tempfile.gettempdir()) / f"gristmill-{os.getuid()}" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
