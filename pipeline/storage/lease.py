"""A run's hold on an output in a store: the object `.lock`, renewed by a heartbeat, so that a second run is refused.

The lock is made by a conditional write (only if there is none) where the store knows such. It is stale when its last
renewal lies `STALE_S` back by the store's own clock, which the date of a new object tells; a stale one is taken over by
a write on condition that it is still the same. A holder that finds another's lock, or can't renew its own for so long,
must stop: `assert_held` says so wherever something is marked as done.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import ConfigError, GristmillError, StepFailed
from .filesystems import filesystem_path, with_retries, write_with_retries
from .paths import StorePath
from .urls import protocol_of

LOCK = ".lock"
BEAT_S = 15.0
"""Seconds between renewals."""
STALE_S = 60.0
"""A lock not renewed for so long belongs to a dead run."""

_CONDITIONS = {"s3": "IfMatch", "s3a": "IfMatch", "gs": "generation", "gcs": "generation"}
"""The option of a write by which it is done only if the object is still the one that it was."""

_held: dict[str, Lease] = {}


def _place_of_process() -> str:
    """Host, boot and process namespace: within one, a process number says whether its process lives."""
    boot = namespace = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{socket.gethostname()} {boot} {namespace}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class Lease:
    """The lock of one output, held from `acquire` to `release`."""

    def __init__(self, output: StorePath) -> None:
        self.output = output
        self.path = output / LOCK
        self.run = uuid.uuid4().hex
        self.lost = ""
        self._beat = 0
        self._mark = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Take the lock. Raises ConfigError where another run holds it."""
        try:
            self._write(mode="create")
        except FileExistsError:
            self._take_over()
        if self._read().get("run") != self.run:
            raise self._refused(self._read())
        self._thread = threading.Thread(target=self._renew, name="gristmill-lock", daemon=True)
        self._thread.start()
        _held[str(self.output)] = self

    def release(self) -> None:
        """Stop renewing and remove the lock, if it is still ours."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        _held.pop(str(self.output), None)
        with contextlib.suppress(GristmillError, OSError):  # a lock left behind is stale soon
            if not self.lost and self._read().get("run") == self.run:
                self.path.unlink(missing_ok=True)

    def _content(self) -> bytes:
        self._beat += 1
        value = {"run": self.run, "host": socket.gethostname(), "pid": os.getpid(), "beat": self._beat}
        return json.dumps({**value, "where": _place_of_process()}, sort_keys=True).encode()

    def _write(self, **condition: Any) -> None:
        system, inner = filesystem_path(str(self.path))
        content = self._content()

        def put() -> None:
            try:
                system.pipe_file(inner, content, **condition)
            except Exception as error:
                # a write whose answer was cut off may have been done: then the lock that stands in the way is ours
                if _is_refusal(error):
                    if self._read().get("run") == self.run and self._read().get("beat") == self._beat:
                        return
                    raise FileExistsError(str(self.path)) from error
                raise

        write_with_retries(str(self.path), put)
        self._mark = _mark(self._info() or {})

    def _info(self) -> dict[str, Any] | None:
        system, inner = filesystem_path(str(self.path))
        try:
            return dict(with_retries(str(self.path), lambda: system.info(inner)))
        except FileNotFoundError:
            return None

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.path.read_bytes()))
        except (FileNotFoundError, ValueError):
            return {}

    def _take_over(self) -> None:
        info, old = self._info(), self._read()
        if info is None:  # removed just now
            self._write(mode="create")
            return
        dead = old.get("where") == _place_of_process() and not _alive(int(old.get("pid", 0)))
        if not dead and self._age(info) < STALE_S:
            raise self._refused(old)
        try:
            self._write(**self._if_unchanged(_mark(info)))
        except FileExistsError as error:
            raise self._refused(self._read()) from error

    def _if_unchanged(self, mark: str) -> dict[str, str]:
        """The condition that the lock is still the one with this ETag or generation, where the store knows such."""
        condition = _CONDITIONS.get(protocol_of(str(self.path)))
        return {condition: mark} if mark and condition else {}

    def _age(self, info: dict[str, Any]) -> float:
        """Seconds since the lock was written, both dates the store's."""
        probe = self.output / f".lock-clock-{self.run}"
        probe.write_bytes(b"")
        system, inner = filesystem_path(str(probe))
        try:
            now = _date(with_retries(str(probe), lambda: system.info(inner)))
        finally:
            probe.unlink(missing_ok=True)
        then = _date(info)
        return (now - then).total_seconds() if now and then else 0.0

    def _refused(self, holder: dict[str, Any]) -> ConfigError:
        who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
        return ConfigError(
            f"another run ({who}) is writing to {self.output}; wait for it or name another output. "
            f"If it was killed, its lock is free {STALE_S:.0f} s after its last sign of life"
        )

    def _renew(self) -> None:
        renewed = time.monotonic()
        while not self._stop.wait(BEAT_S):
            try:
                self._write(**self._if_unchanged(self._mark))
                renewed = time.monotonic()
            except FileExistsError:
                self.lost = f"another run has taken over {self.output}; this one stops"
            except (GristmillError, OSError) as error:
                if time.monotonic() - renewed > STALE_S:
                    self.lost = f"the lock of {self.output} could not be renewed for {STALE_S:.0f} s: {error}"
            if self.lost:
                return


def _is_refusal(error: BaseException) -> bool:
    """Whether a conditional write was refused, for its condition doesn't hold."""
    if isinstance(error, FileExistsError):
        return True
    response = getattr(error.__cause__ or error, "response", None)
    code = str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
    return code in ("PreconditionFailed", "412")


def _mark(info: dict[str, Any]) -> str:
    """What the store calls this version of an object."""
    return str(info.get("generation") or info.get("ETag") or "")


def _date(info: dict[str, Any]) -> datetime | None:
    for key in ("LastModified", "updated", "mtime", "created", "last_modified"):
        value = info.get(key)
        if isinstance(value, datetime):
            return value
        if isinstance(value, str):
            return datetime.fromisoformat(value)
    return None


def assert_held(path: Path) -> None:
    """Raise StepFailed where the run's hold on the output that this path belongs to was lost."""
    for output, lease in list(_held.items()):
        if lease.lost and f"{path}/".startswith(f"{output}/"):
            raise StepFailed(lease.lost)


@contextlib.contextmanager
def held(output: Path) -> Iterator[None]:
    """Hold an output in a store while the block runs. Raises ConfigError where another run does."""
    assert isinstance(output, StorePath)
    lease = Lease(output)
    lease.acquire()
    try:
        yield
    finally:
        lease.release()
