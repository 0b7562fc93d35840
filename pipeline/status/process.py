"""Whether a process lives, and the same one as was meant."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any


def started_at(pid: int) -> int | None:
    """When a process started, in ticks since the machine did: tells it from a later one of the same number."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def this_process() -> dict[str, Any]:
    """Host, pid and start of this process."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "process_started": started_at(os.getpid())}


def lives(pid: int, started: int | None) -> bool:
    """Whether the process `pid` of this machine runs and, where that is known, is the one that started then."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    now = started_at(pid)
    if now is None or started is None:
        return True
    return now == started and _state(pid) != "Z"


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
