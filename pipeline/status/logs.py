"""Structured logs: one JSON object a line, in `<output>/logs/driver-<run>-<part>.jsonl`.

Keys: time (UTC, ISO 8601), level, run, host, pid, message, and where they apply step, shard, worker and more. Lines
gather in memory and are appended at least every `every_s` seconds; a new part is begun where a file can't be appended
to (object stores) and at `PART_BYTES`. Passwords in addresses and signatures in queries are left out.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..storage.urls import redacted
from ..store import atomic_path

PART_BYTES = 64 << 20


class LogFile:
    """Appends lines; `flush` makes them visible. Safe to use from several threads."""

    def __init__(self, folder: Path, run: str) -> None:
        self.folder, self.run = folder, run
        self.host, self.pid = socket.gethostname(), os.getpid()
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._part = self._size = 0

    def write(self, level: str, message: str, *, time: float | None = None, **more: Any) -> None:
        """Add a line; `time` in seconds of the epoch, now by default."""
        at = datetime.now(UTC) if time is None else datetime.fromtimestamp(time, UTC)
        line = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "level": level, "run": self.run,
            "host": self.host, "pid": self.pid, "message": redacted(message), **more,
        }  # fmt: skip
        text = json.dumps(line, ensure_ascii=True)
        with self._lock:
            self._lines.append(text)

    def flush(self) -> None:
        """Write what has gathered. Raises OSError."""
        with self._lock:
            if not self._lines:
                return
            data = ("\n".join(self._lines) + "\n").encode()
            local = isinstance(self.folder, Path)
            if self._part == 0 or not local or self._size > PART_BYTES:
                self._part, self._size = self._part + 1, 0
            path = self.folder / f"driver-{self.run}-{self._part:05d}.jsonl"
            if local:
                self.folder.mkdir(parents=True, exist_ok=True)
                with open(path, "ab") as handle:
                    handle.write(data)
            else:
                with atomic_path(path) as temporary:
                    temporary.write_bytes(data)
            self._size += len(data)
            self._lines.clear()


class LogHandler(logging.Handler):
    """Sends the records of Python's logging to a `LogFile`; `extra={"step": ..., "shard": ...}` becomes keys."""

    def __init__(self, target: LogFile) -> None:
        super().__init__(logging.INFO)
        self.target = target

    def emit(self, record: logging.LogRecord) -> None:
        more = {key: getattr(record, key) for key in ("step", "shard", "worker") if hasattr(record, key)}
        self.target.write(record.levelname, record.getMessage(), time=record.created, **more)
