"""Folders of shards: atomic writes, checksums, and the marks by which a run resumes.

A step's folder holds data files, one small JSON mark for each finished shard under `done/`, and, last
of all, `manifest.json`. `plan.json` carries the fingerprint that the folder was begun with: another
fingerprint means other data, so the folder is emptied first. Nothing in these files depends on time,
host or worker count; those go to `run.json`, which no fingerprint reads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import StepFailed
from .names import check_entries, check_inside

PARQUET_OPTIONS: dict[str, Any] = {"compression": "zstd", "compression_level": 3, "write_statistics": True}


def digest(*parts: Any) -> str:
    """128-bit hash of JSON values, as 32 hex digits."""
    blob = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(blob.encode(), digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """BLAKE2b (128 bits) of a file's content, as 32 hex digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that becomes `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write sorted, indented JSON atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The JSON value of a file, or None where there is no file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise StepFailed(f"{path} is not JSON ({error}); delete it and run again") from error


class ParquetShard:
    """Writes one Parquet file table by table and makes it visible only when closed without an error."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._context = atomic_path(path)
        self._path = path
        self.schema = schema
        self.rows = 0
        self._writer = pq.ParquetWriter(self._context.__enter__(), schema, **PARQUET_OPTIONS)

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
        self._context.__exit__(None, None, None)
        return {
            "file": f"{self._path.parent.name}/{self._path.name}",
            "rows": self.rows,
            "bytes": self._path.stat().st_size,
            "blake2b": file_digest(self._path),
        }

    def abandon(self, error: BaseException) -> None:
        """Remove the unfinished file."""
        self._writer.close()
        try:
            self._context.__exit__(type(error), error, error.__traceback__)
        except type(error):
            return


@contextmanager
def parquet_shards(*targets: tuple[Path, pa.Schema]) -> Iterator[list[ParquetShard]]:
    """Several shard writers that are all abandoned if the block fails; the caller closes them."""
    writers = [ParquetShard(path, schema) for path, schema in targets]
    try:
        yield writers
    except BaseException as error:
        for writer in writers:
            writer.abandon(error)
        raise


class StepFolder:
    """One step's output folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, fingerprint: str, plan: dict[str, Any]) -> None:
        """Make the folder ready for data of this fingerprint; what another fingerprint left goes."""
        old = read_json(self.path / "plan.json")
        if old is None or old.get("fingerprint") != fingerprint:
            if self.path.exists():
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True)
            write_json(self.path / "plan.json", {"fingerprint": fingerprint, **plan})

    def finished(self, fingerprint: str) -> dict[str, Any] | None:
        """The manifest, if the folder is complete for this fingerprint and its files are all there."""
        manifest = read_json(self.path / "manifest.json")
        if manifest is None or manifest.get("fingerprint") != fingerprint:
            return None
        check_entries(manifest.get("files", []), "file", self.path / "manifest.json")
        for name in manifest.get("artefact", ()):
            check_inside(name, self.path / "manifest.json")
        for entry in manifest.get("files", []):
            file = self.path / entry["file"]
            if not file.exists() or file.stat().st_size != entry["bytes"]:
                (self.path / "manifest.json").unlink()
                return None
        return dict(manifest)

    def mark(self, task: str, result: dict[str, Any]) -> None:
        """Say that a task's files are complete; `result` is what the step wants back on resume."""
        write_json(self.path / "done" / f"{task}.json", result)

    def marked(self, task: str) -> dict[str, Any] | None:
        """What `mark` was given, if the task is done and the files it lists are there in full."""
        result = read_json(self.path / "done" / f"{task}.json")
        if result is None:
            return None
        check_entries(result.get("files", []), "file", self.path / "done" / f"{task}.json")
        for entry in result.get("files", []):
            file = self.path / entry["file"]
            if not file.exists() or file.stat().st_size != entry["bytes"]:
                return None
        return dict(result)

    def finish(self, fingerprint: str, manifest: dict[str, Any]) -> None:
        """Clear away what killed workers left half-written, and write the manifest, last of all."""
        for leftover in self.path.rglob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        write_json(self.path / "manifest.json", {"fingerprint": fingerprint, **manifest})
