"""The system's memory allocator: how many heaps it may open, and giving what is free back to the system."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import Any

ARENAS = 2
"""Heaps that glibc may open (it would open eight a core, each of which grows and seldom shrinks)."""
_M_ARENA_MAX = -8  # malloc.h


@cache
def calm_malloc() -> None:
    """Few heaps, as MALLOC_ARENA_MAX would say, which is read only at a process's start. Once a process."""
    libc = _glibc()
    if libc is not None and "MALLOC_ARENA_MAX" not in os.environ:
        libc.mallopt(_M_ARENA_MAX, ARENAS)


def trim_malloc() -> None:
    """Give free pages back to the system. It takes milliseconds, and so does using the memory anew."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> Any:
    """The C library, or None where it is another."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None
