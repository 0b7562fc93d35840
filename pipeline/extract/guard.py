"""The last guard: extraction in a child process, so that no page can stall or kill a worker.

A page may hang inside C, recurse, crash the interpreter or eat memory. The engine therefore runs in a
persistent child of the worker (`child`), one for each job, which outlives the batch. The parent hands it
chunks of pages and watches: when a page has used `timeout_s` of the child's CPU time (or `WALL_FACTOR`
times that on the clock, for a page that sleeps), or the child has died, the child is killed, that page
gets its fate (`timeout`, `crashed`, `out_of_memory`) and a new child goes on with the others. A crash or
memory failure counts only if it happens again in a fresh child, so that nothing hangs on a page's
predecessors. CPU time rather than the clock, so that a loaded machine does not fire the guard.

A child is replaced when its resident memory has grown past `recycle_mb` (libxml2's dictionaries and
Python's arenas only grow). Results don't depend on it. What fires is recorded: see `fates`.
"""

from __future__ import annotations

import atexit
import contextlib
import mmap
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from ..errors import StepFailed
from .child import FRAME, HEARTBEAT, IDLE, OUT_OF_MEMORY, REPLY_HEADER
from .fates import Fates, active_fates, fates_file
from .page import REPLY, REQUEST, Extractor, Job, Row, dropped, replies

__all__ = ["Fates", "Guard", "fates_file", "shut_down"]

WALL_FACTOR = 4
"""A page may take so many times `timeout_s` on the clock."""

CHUNK_PAGES = 64
CHUNK_BYTES = 4 << 20
SHARED_MARGIN = 8192  # schema, batch header and end mark of an IPC stream
START_TIMEOUT_S = 180.0
_MAX_STARTS = 3  # of a child that dies before any page is at work


@dataclass(frozen=True, kw_only=True)
class Guard:
    """How one job is guarded. `run` is what the stage calls."""

    job: Job
    isolate: bool = True
    timeout_s: float = 60.0
    memory_mb: int = 600  # beyond what the child uses at rest
    recycle_mb: int = 400  # resident size at which a child is replaced

    def run(self, ids: list[str], requests: pa.Table, fates: Fates | None = None) -> pa.Table:
        """Replies (schema `page.REPLY`) for requests (schema `page.REQUEST`), row for row.

        `fates`: default those of the enclosing `fates_file`. Raises OSError if the child can't be started
        (for want of memory, say: it may be tried again), StepFailed if it dies again and again.
        """
        fates = active_fates() if fates is None else fates
        rows: dict[int, Row] = {i: dropped(fates.known[id]) for i, id in enumerate(ids) if id in fates.known}
        if not self.isolate:
            extractor = Extractor(self.job)
            todo = [i for i in range(len(ids)) if i not in rows]
            done = {todo[0]: extractor.batch(requests.take(todo))} if todo else {}
        else:
            done, first = {}, 0
            for batch in requests.to_batches():
                done |= self._isolated(batch, first, rows, ids, fates)
                first += batch.num_rows
        got = pa.Table.from_batches([done[start] for start in sorted(done)], REPLY)
        if not rows:
            return got
        # the pages that got through are in order; the others go back to their places between them
        table = pa.concat_tables([got, pa.Table.from_batches([replies([rows[i] for i in sorted(rows)])])])
        through = (i for i in range(len(ids)) if i not in rows)
        place = {row: at for at, row in enumerate([*through, *sorted(rows)])}
        return table.take([place[i] for i in range(len(ids))]).combine_chunks()

    def _isolated(
        self, batch: pa.RecordBatch, first: int, rows: dict[int, Row], ids: list[str], fates: Fates
    ) -> dict[int, pa.RecordBatch]:
        """Replies by the number of their first row; fills `rows` with those for which the guard fired.

        `first` is the number of the batch's first row.
        """
        done: dict[int, pa.RecordBatch] = {}
        todo = _chunks(batch, first, rows)[::-1]
        with _lent(self) as keeper:
            while todo:
                start, stop = todo.pop()
                if start == stop:
                    continue
                outcome = keeper.extract(batch.slice(start - first, stop - start))
                if isinstance(outcome, pa.RecordBatch):
                    done[start] = outcome
                    continue
                at = start + outcome.row
                todo += [(at + 1, stop), (start, at)]  # the pages before it went down with the child: once more
                if outcome.reply is not None:
                    done[at] = outcome.reply
                else:
                    rows[at] = dropped(outcome.reason)
                    fates.add(ids[at], batch.column("url")[at - first].as_py(), outcome.reason)
        return done


@dataclass(frozen=True, slots=True)
class _Fired:
    """What stopped a chunk: the row (-1: none was at work) and why; `reply` if it got through on its own."""

    row: int
    reason: str
    reply: pa.RecordBatch | None = None


def _chunks(batch: pa.RecordBatch, first: int, without: Container[int]) -> list[tuple[int, int]]:
    """Row ranges of at most CHUNK_PAGES pages and, beyond one page, CHUNK_BYTES; rows in `without` are left out."""
    import pyarrow.compute as pc

    sizes = pc.fill_null(pc.binary_length(batch.column("payload")), 0).to_pylist()
    ranges: list[tuple[int, int]] = []
    start, total = first, 0
    for row, size in enumerate(sizes, first):
        known = row in without
        if known or total + size > CHUNK_BYTES or row - start >= CHUNK_PAGES:
            ranges.append((start, row))
            start, total = row + known, 0
        total += 0 if known else size
    return [(a, b) for a, b in [*ranges, (start, first + len(sizes))] if a < b]


class _Keeper:
    """Keeps one child alive for one guard. Not for two threads at once."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._child: _Child | None = None

    def extract(self, batch: pa.RecordBatch) -> pa.RecordBatch | _Fired:
        """The replies, or the row at which the child was stopped (the rows before it are lost with it)."""
        for _ in range(_MAX_STARTS):
            child = self._ready()
            fresh = child.chunks == 0
            outcome = child.extract(batch)
            if isinstance(outcome, pa.RecordBatch):
                if child.resident > self._guard.recycle_mb << 20:
                    self.close()
                return outcome
            self.close()
            if outcome.row < 0:
                continue
            if outcome.reason == "timeout" or (fresh and outcome.row == 0):
                return outcome
            # the verdict falls in a fresh child that has seen nothing but this page
            again = self._ready().extract(batch.slice(outcome.row, 1))
            if isinstance(again, pa.RecordBatch):
                return _Fired(outcome.row, outcome.reason, again)
            self.close()
            if again.row == 0:
                return _Fired(outcome.row, again.reason)
        raise StepFailed(
            f"extract: the child process died {_MAX_STARTS} times with no page at work; "
            "see whether something outside kills it or the machine is out of memory"
        )

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _ready(self) -> _Child:
        if self._child is not None and not self._child.alive():
            self.close()
        if self._child is None:
            self._child = _Child(self._guard)
        return self._child


class _Child:
    """One running child process."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.chunks = 0
        self.resident = 0
        self._shared = _anonymous_file()
        self._map: mmap.mmap | None = None
        self._heartbeat = _anonymous_file()
        os.ftruncate(self._heartbeat.fileno(), HEARTBEAT.size)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed in kill()
        fds = (self._shared.fileno(), self._heartbeat.fileno())
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pipeline.extract.child",
                guard.job.to_json(),
                str(os.getpid()),
                *map(str, fds),
                str(guard.memory_mb << 20),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            pass_fds=fds,
            env=_environment(),
        )
        self.pid = self._process.pid
        if self._wait(time.monotonic() + START_TIMEOUT_S) is None or self._reply() is None:
            self._process.kill()
            self._process.wait()
            self._errors.seek(0)
            tail = self._errors.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
            self.kill()
            raise OSError(f"extract: the child process did not start: {tail[-1] if tail else 'no message'}")

    def alive(self) -> bool:
        return self._process.poll() is None

    def extract(self, batch: pa.RecordBatch) -> pa.RecordBatch | _Fired:
        """The replies, or what stopped it."""
        length = self._share(batch)
        os.pwrite(self._heartbeat.fileno(), HEARTBEAT.pack(IDLE, 0.0), 0)
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(FRAME.pack(length))
            self._process.stdin.flush()
        except BrokenPipeError:
            return self._dead()
        self.chunks += 1
        timed_out = self._watch()
        if timed_out is not None:
            return _Fired(timed_out, "timeout")
        body = self._reply()
        if body is None:
            return self._dead()
        return pa.ipc.open_stream(body).read_next_batch()

    def _share(self, batch: pa.RecordBatch) -> int:
        """Put a batch into the shared file; the bytes it takes there."""
        need = pa.ipc.get_record_batch_size(batch) + SHARED_MARGIN
        if self._map is None or need > len(self._map):
            os.ftruncate(self._shared.fileno(), need)
            self._map = mmap.mmap(self._shared.fileno(), need)
        sink = pa.FixedSizeBufferWriter(pa.py_buffer(memoryview(self._map)))
        with pa.ipc.new_stream(sink, REQUEST) as writer:
            writer.write_batch(batch)
        return int(sink.tell())

    def kill(self) -> None:
        """End it and free what it held."""
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._shared, self._heartbeat):
            if file is not None:
                with contextlib.suppress(BrokenPipeError):
                    file.close()
        self._errors.close()

    def _watch(self) -> int | None:
        """Wait for the reply or the child's end; the row that has used up its time, if one has."""
        row, since = IDLE, time.monotonic()
        limit = self._guard.timeout_s
        while self._wait(time.monotonic() + min(0.5, limit / 4)) is None:
            now, at_start = self._beat()
            if now != row:
                row, since = now, time.monotonic()
            elif time.monotonic() - since > limit * WALL_FACTOR:
                return max(row, 0)
            if row >= 0:
                used = _cpu_seconds(self.pid)
                if used is not None and used - at_start > limit and self._beat()[0] == row:
                    return row
        return None

    def _wait(self, until: float) -> bool | None:
        """True as soon as there is something to read (or the end), None when the time is over."""
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN | select.POLLHUP)
        while (left := until - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                return True
        return None

    def _beat(self) -> tuple[int, float]:
        index, cpu = HEARTBEAT.unpack(os.pread(self._heartbeat.fileno(), HEARTBEAT.size, 0))
        return index, cpu

    def _reply(self) -> bytes | None:
        stdout = self._process.stdout
        assert stdout is not None
        header = stdout.read(REPLY_HEADER.size)
        if len(header) < REPLY_HEADER.size:
            return None
        length, self.resident = REPLY_HEADER.unpack(header)
        body = stdout.read(length)
        return body if len(body) == length else None

    def _dead(self) -> _Fired:
        row = self._beat()[0]
        code = self._process.wait()
        return _Fired(row, "out_of_memory" if code == OUT_OF_MEMORY else "crashed")


def _anonymous_file() -> IO[bytes]:
    """A file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("gristmill"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _environment() -> dict[str, str]:
    """The child's: finds what the parent finds, and nothing in it hangs on the place or the user."""
    root = str(Path(__file__).resolve().parents[2])
    path = [root, *(p for p in sys.path if p and p != root)]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONSAFEPATH": "1",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",  # htmldate compares local times
        "OMP_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        # keep what a page freed for the next one: without this, 7 % of resiliparse's time went to page faults
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    }


def _cpu_seconds(pid: int) -> float | None:
    """CPU time of a process so far, None where the system doesn't tell."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


_idle: dict[tuple[int, Guard], list[_Keeper]] = {}
_idle_lock = threading.Lock()


@contextlib.contextmanager
def _lent(guard: Guard) -> Iterator[_Keeper]:
    """A keeper for this guard: one that is idle in this process, else a new one."""
    key = (os.getpid(), guard)  # after a fork the children are the other process's
    with _idle_lock:
        keepers = _idle.setdefault(key, [])
        keeper = keepers.pop() if keepers else _Keeper(guard)
    try:
        yield keeper
    except BaseException:
        keeper.close()  # its child may be in the middle of a chunk
        raise
    with _idle_lock:
        _idle.setdefault(key, []).append(keeper)


def shut_down() -> None:
    """End this process's idle children. Runs at exit."""
    with _idle_lock:
        for pid, guard in list(_idle):
            if pid == os.getpid():
                for keeper in _idle.pop((pid, guard)):
                    keeper.close()


atexit.register(shut_down)
