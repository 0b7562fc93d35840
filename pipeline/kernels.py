"""Compiled kernels: `kernel` is numba's njit without the GIL, with a cache that can't go stale.

Numba's own cache looks at the file of the function alone: it stays as it was when a function that is
called from another file changes. So the cache folder is named by a hash over all files that hold kernels,
and by the versions of numba and numpy (numba itself adds the CPU). It lies in `$GRISTMILL_CACHE`, else in
`$XDG_CACHE_HOME/gristmill`, else in `~/.cache/gristmill`, else, where none can be written, in the
temporary folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("pipeline", "filters", "dedup", "decontam", "mixtures", "pretrain")
_MARK = b"kernels import kernel"  # how a file that holds kernels says so


def _sources_hash() -> str:
    digest = hashlib.blake2b(f"{numba.__version__} {numpy.__version__}".encode(), digest_size=10)
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*.py")):
            source = path.read_bytes()
            if _MARK in source:
                digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + source)
    return digest.hexdigest()


def _cache_folder() -> Path:
    name = f"kernels-{_sources_hash()}"
    bases = [os.environ.get("GRISTMILL_CACHE")]
    cache_home = os.environ.get("XDG_CACHE_HOME")
    bases.append(os.path.join(cache_home, "gristmill") if cache_home else None)
    bases.append(os.path.join(os.path.expanduser("~"), ".cache", "gristmill"))
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


numba.config.CACHE_DIR = str(_cache_folder())


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, for every argument type anew; later processes load it from the cache."""
    return numba.njit(cache=True, nogil=True, error_model="numpy")(function)


def kernel_part(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call and Python does not: with no cache, wrapper or reference counts of its own.

    Parts keep a long kernel's compilation short, which grows faster than its length. A part allocates nothing and
    makes no array or view: counting the references to its arrays (NRT) would cost more than most parts do.
    """
    options = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(_nrt=False, **options)(function)
