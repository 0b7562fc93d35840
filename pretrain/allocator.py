"""Memory that is freed at the end of a step kept for the next one."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's names of the settings (malloc.h; mallopt(3))."""
_MMAP = 32 << 20
"""The most that glibc takes for its threshold of blocks that are the system's own."""
_TRIM = (1 << 31) - 1


@cache
def keep_freed() -> bool:
    """Have glibc keep what is freed, in this process from now on; False where the C library has no such setting.

    By default it gives large blocks back to the system, and every step pays for getting them anew: a page fault for
    each 4 KB of activations, on a CPU up to a tenth of a small model's step (benchmarks/pretrain_speed.py).
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(_MMAP_THRESHOLD, _MMAP) and mallopt(_TRIM_THRESHOLD, _TRIM))
