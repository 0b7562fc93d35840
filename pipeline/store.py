"""Folders of shards: atomic writes, checksums, and the marks by which a run resumes.

A step's folder holds data files, one small JSON mark for each finished shard under `done/`, and, last
of all, `manifest.json`. `plan.json` carries the fingerprint that the folder was begun with: another
fingerprint means other data, so the folder is emptied first. Nothing in these files depends on time,
host or worker count; those go to `run.json`, which no fingerprint reads.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import socket
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import ConfigError, StepFailed
from .names import check_entries, check_inside
from .storage import StorePath, assert_held, listed_sizes, remove_tree
from .storage.scratch import temporary_file

PARQUET_OPTIONS: dict[str, Any] = {"compression": "zstd", "compression_level": 3, "write_statistics": True}
WRITERS = 8
"""Threads that write a step's marks to a store."""


def digest(*parts: Any) -> str:
    """128-bit hash of JSON values, as 32 hex digits."""
    blob = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(blob.encode(), digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """BLAKE2b (128 bits) of a file's content, as 32 hex digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def content_digest(path: Path) -> str:
    """`file_digest` of a local file, taken by this process again only when its size or dates have changed."""
    facts = path.stat()
    return _content_digest(str(path.resolve()), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


@functools.lru_cache(maxsize=4096)
def _content_digest(path: str, *facts: int) -> str:
    return file_digest(Path(path))


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` when the block ends without an error.

    Where `path` lies in a store, a local file that is then uploaded: the object is there when all of it is.
    """
    if isinstance(path, StorePath):
        temporary = temporary_file(path.name)
        try:
            yield temporary
            path.upload(temporary)
        finally:
            temporary.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        if durable:
            with open(temporary, "rb") as handle:
                os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # on a file system gone read-only: what went wrong before is the error to tell
            temporary.unlink(missing_ok=True)


@contextmanager
def locked(file: Path, refusal: str) -> Iterator[None]:
    """Hold a lock file on this machine while the block runs. Raises ConfigError(refusal) where another process does."""
    with open(file, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(refusal) from error
        yield


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write sorted, indented JSON atomically."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    if isinstance(path, StorePath):
        path.write_text(text)
        return
    with atomic_path(path, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path, kind: type = dict) -> Any:
    """The JSON object of a file (`kind` list: its array), or None where there is no file. Raises StepFailed."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise StepFailed(f"{path} is not JSON ({error}); delete it and run again") from error
    if not isinstance(value, kind):
        due = "array" if kind is list else "object"
        raise StepFailed(f"{path} holds no JSON {due}; delete it and run again")
    return value


class ParquetShard:
    """Writes one Parquet file table by table and makes it visible only when closed without an error."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._context = atomic_path(path)
        self._path = path
        self._temporary = self._context.__enter__()
        self.schema = schema
        self.rows = 0
        try:
            self._writer = pq.ParquetWriter(self._temporary, schema, **PARQUET_OPTIONS)
        except BaseException as error:
            self._leave(error)
            raise

    def write(self, table: pa.Table) -> None:
        """Append the rows; columns are put in the schema's order and cast to its types."""
        if table.num_rows:
            self._writer.write_table(table.select(self.schema.names).cast(self.schema))
            self.rows += table.num_rows

    def write_group(self, table: pa.Table) -> None:
        """Append the rows as exactly one row group, even if there are none."""
        table = table.select(self.schema.names).cast(self.schema)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self.rows += table.num_rows

    def close(self) -> dict[str, Any]:
        """Finish the file; returns its name, rows, bytes and checksum."""
        self._writer.close()
        entry = {
            "file": f"{self._path.parent.name}/{self._path.name}",
            "rows": self.rows,
            "bytes": self._temporary.stat().st_size,
            "blake2b": file_digest(self._temporary),
        }
        self._context.__exit__(None, None, None)
        return entry

    def abandon(self, error: BaseException) -> None:
        """Remove the unfinished file."""
        with suppress(OSError, pa.ArrowException):  # its last bytes, which a full disk doesn't take
            self._writer.close()
        self._leave(error)

    def _leave(self, error: BaseException) -> None:
        try:
            self._context.__exit__(type(error), error, error.__traceback__)
        except type(error):
            return


@contextmanager
def parquet_shards(*targets: tuple[Path, pa.Schema]) -> Iterator[list[ParquetShard]]:
    """Several shard writers that are all abandoned if the block fails; the caller closes them."""
    writers: list[ParquetShard] = []
    try:
        for path, schema in targets:
            writers.append(ParquetShard(path, schema))
        yield writers
    except BaseException as error:
        for writer in writers:
            writer.abandon(error)
        raise


class StepFolder:
    """One step's output folder, here or in a store.

    Of a folder in a store all that is there is listed once, and the marks are read at once and written behind, for a
    request for each of 100 000 shards, one after the other, would take hours. What this process marked counts as done;
    a mark that a kill kept from being written costs that task.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sizes: dict[str, int] | None = None
        self._marks: dict[str, dict[str, Any]] | None = None
        self._writers: ThreadPoolExecutor | None = None
        self._writing: deque[Future[None]] = deque()

    def begin(self, fingerprint: str, plan: dict[str, Any]) -> None:
        """Make the folder ready for data of this fingerprint; what another fingerprint left goes."""
        old = read_json(self.path / "plan.json")
        if old is None or old.get("fingerprint") != fingerprint:
            if self.path.exists():
                remove_tree(self.path)
            self.path.mkdir(parents=True)
            self._sizes = self._marks = None
            write_json(self.path / "plan.json", {"fingerprint": fingerprint, **plan})

    def _whole(self, entry: dict[str, Any]) -> bool:
        """Whether a file is there with the size that its entry says."""
        if isinstance(self.path, StorePath):
            if self._sizes is None:
                self._sizes = listed_sizes(self.path)
            return self._sizes.get(entry["file"]) == entry["bytes"]
        file = self.path / entry["file"]
        return bool(file.exists() and file.stat().st_size == entry["bytes"])

    def finished(self, fingerprint: str) -> dict[str, Any] | None:
        """The manifest, if the folder is complete for this fingerprint and its files are all there."""
        manifest = read_json(self.path / "manifest.json")
        if manifest is None or manifest.get("fingerprint") != fingerprint:
            return None
        check_entries(manifest.get("files", []), "file", self.path / "manifest.json")
        for name in manifest.get("artefact", ()):
            check_inside(name, self.path / "manifest.json")
        if not all(self._whole(entry) for entry in manifest.get("files", [])):
            (self.path / "manifest.json").unlink()
            return None
        return dict(manifest)

    def mark(self, task: str, result: dict[str, Any]) -> None:
        """Say that a task's files are complete; `result` is what the step wants back on resume."""
        self._write(self.path / "done" / f"{task}.json", result)
        if self._marks is not None and self._sizes is not None:
            self._marks[task] = result
            self._sizes.update({entry["file"]: entry["bytes"] for entry in result.get("files", [])})

    def note_timing(self, task: str, timing: dict[str, Any]) -> None:
        """Write down who did a task and how long it took, which nothing compares."""
        self._write(self.path / "timings" / f"{task}.json", timing)

    def _write(self, path: Path, value: dict[str, Any]) -> None:
        if not isinstance(path, StorePath):
            write_json(path, value, durable=False)  # two fsyncs a shard took 40 % of the driver's time
            return
        assert_held(path)
        if self._writers is None:
            self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="gristmill-marks")
        while len(self._writing) > 8 * WRITERS or (self._writing and self._writing[0].done()):
            self._writing.popleft().result()
        self._writing.append(self._writers.submit(write_json, path, value))

    def flush(self) -> None:
        """Wait until all marks are written; raises what went wrong with one."""
        while self._writing:
            self._writing.popleft().result()
        if self._writers is not None:
            self._writers.shutdown()
            self._writers = None

    def marked(self, task: str) -> dict[str, Any] | None:
        """What `mark` was given, if the task is done and the files it lists are there in full."""
        result = self._mark(task)
        if result is None:
            return None
        check_entries(result.get("files", []), "file", self.path / "done" / f"{task}.json")
        if not all(self._whole(entry) for entry in result.get("files", [])):
            return None
        return dict(result)

    def _mark(self, task: str) -> dict[str, Any] | None:
        if not isinstance(self.path, StorePath):
            try:
                found = read_json(self.path / "done" / f"{task}.json")
            except StepFailed:  # cut short by a power failure, for marks aren't synced: the task is done again
                return None
            return None if found is None else dict(found)
        if self._marks is None:
            if self._sizes is None:
                self._sizes = listed_sizes(self.path)
            names = [name[len("done/") : -len(".json")] for name in self._sizes if name.startswith("done/")]
            with ThreadPoolExecutor(2 * WRITERS) as readers:
                found = readers.map(lambda name: read_json(self.path / "done" / f"{name}.json"), names)
                self._marks = {name: mark for name, mark in zip(names, found, strict=True) if mark is not None}
        return self._marks.get(task)

    def finish(self, fingerprint: str, manifest: dict[str, Any]) -> None:
        """Clear away what killed workers left half-written, and write the manifest, last of all."""
        self.flush()
        if isinstance(self.path, StorePath):
            assert_held(self.path)
        else:
            for leftover in self.path.rglob(".*.tmp"):
                leftover.unlink(missing_ok=True)
        write_json(self.path / "manifest.json", {"fingerprint": fingerprint, **manifest})
