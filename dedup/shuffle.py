"""Partitioned files: what map tasks leave for reduce tasks, so that no process ever holds a corpus.

A file is Arrow IPC with one record batch a partition; a reader maps the file and takes its partition from each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import StepFailed
from pipeline.storage import local_file, remove_tree
from pipeline.store import atomic_path, file_digest

ROWS_PER_BATCH = 8192
"""Documents that a map task looks at together, at most."""
BYTES_PER_BATCH = 32 << 20
"""And about so many bytes of them at most, whatever their length."""


def document_batches(path: str | Path, columns: list[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """(number of the first row, documents) of a shard, in batches of bounded size; nothing for an empty one."""
    file = pq.ParquetFile(local_file(path))
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    per_row = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=1)
    row = 0
    for batch in file.iter_batches(min(ROWS_PER_BATCH, max(16, BYTES_PER_BATCH // max(1, per_row))), columns=columns):
        yield row, pa.Table.from_batches([batch])
        row += batch.num_rows


AT_ONCE = 16
"""Partitions that few rows may be divided into for the sake of several workers."""


def partition_count(rows: int, rows_per_partition: int, at_once: int = 1) -> int:
    """Partitions of about `rows_per_partition` rows each, at least one; of fewer rows up to `at_once` smaller ones.

    Those have at least an `at_once`-th of `rows_per_partition` rows: a task for less is not worth its while.
    """
    return max(1, -(-rows // rows_per_partition), min(at_once, at_once * rows // rows_per_partition))


def write_partitions(path: Path, table: pa.Table, partition: NDArray[Any], partitions: int) -> dict[str, Any]:
    """Write the rows grouped by `partition`, int[n] below `partitions`, in their order; the file's entry for a mark."""
    order = np.argsort(partition, kind="stable")
    bounds = np.searchsorted(partition[order], np.arange(partitions + 1))
    table = table.take(pa.array(order)).combine_chunks()
    empty = pa.RecordBatch.from_pylist([], schema=table.schema)
    with (
        atomic_path(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as out,
    ):
        for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            batches = table.slice(a, b - a).to_batches() if b > a else [empty]
            out.write_batch(batches[0] if len(batches) == 1 else pa.concat_batches(batches))
    return entry(path, table.num_rows)


def entry(path: Path, rows: int) -> dict[str, Any]:
    """What a task's mark says of a file: name in its step's folder, rows, bytes, checksum."""
    name = f"{path.parent.name}/{path.name}"
    return {"file": name, "rows": rows, "bytes": path.stat().st_size, "blake2b": file_digest(path)}


def read_partition(paths: Iterable[Path], partition: int, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one partition of all files, in the files' order; only these columns. There must be a file."""
    return pa.concat_tables(list(partition_tables(paths, partition, columns)), promote_options="permissive")


def partition_tables(paths: Iterable[Path], partition: int, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """One partition of each file."""
    for path in paths:
        with pa.memory_map(local_file(path)) as source:
            options = pa.ipc.IpcReadOptions()
            if columns is not None:
                schema = pa.ipc.open_file(source).schema
                options = pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in columns])
            table = pa.Table.from_batches([pa.ipc.open_file(source, options=options).get_batch(partition)])
        yield table.select(columns) if columns is not None else table


def files_in(folder: Path, count: int | None = None) -> list[Path]:
    """The finished files of a folder, sorted by name. Raises StepFailed where there are not `count`."""
    files = sorted(path for path in folder.glob("*.arrow") if not path.name.startswith("."))
    if count is not None and len(files) != count:
        raise StepFailed(f"{folder} holds {len(files)} of {count} files; delete the step's folder and run again")
    return files


def remove(folder: Path, *names: str) -> None:
    """Delete what map tasks left for reduce tasks, when the step needs it no more."""
    for name in names:
        if (folder / name).is_dir():
            remove_tree(folder / name)
