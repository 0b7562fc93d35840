"""Documents of plain files put into an index, a file of a segment for each split, by any number of workers.

Reads `id` and `text`, and `url` and `copies` where they are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.runner import Runner, Task
from pipeline.storage import place
from pipeline.storage.lease import LOCK

from .index import Index, write_segment
from .minhash_parameters import MinhashParameters

if TYPE_CHECKING:
    from pipeline.progress import Progress
    from pipeline.sources import DocumentsSource


@dataclass(frozen=True)
class _SplitTask:
    source: DocumentsSource
    split: Any
    path: str
    parameters: MinhashParameters


def _write(task: _SplitTask) -> dict[str, Any]:
    records, skipped = 0, Counter[str]()

    def tables() -> Iterator[pa.Table]:
        nonlocal records
        for batch in task.source.read(task.split):
            records += batch.records
            skipped.update(skip.kind for skip in batch.skips)
            yield batch.table

    rows = write_segment(place(task.path), tables(), task.parameters, task.source.name_of(task.split))
    return {"n_in": records, "rows": rows, "skipped": dict(skipped)}


def add_files(
    index: Index, source: DocumentsSource, runner: Runner, progress: Progress
) -> tuple[Index, dict[str, Any]]:
    """The index with a new segment of the source's documents, and what became of its records.

    Counts: `records`, `added`, `without_words` (no shingle, nothing to be found by), `skipped` by kind. Raises
    ConfigError for repeated ids and for ids that the index holds; it stays as it was then.
    """
    splits = source.splits(None)
    counts: dict[str, Any] = {"records": 0, "added": 0}
    skipped: Counter[str] = Counter()
    with index.new_segment() as folder, progress.bar("index", total=len(splits)) as bar:

        def finished(task: Task, result: dict[str, Any]) -> None:
            counts["records"] += result["n_in"]
            counts["added"] += result["rows"]
            skipped.update(result["skipped"])
            bar.advance(1, result["n_in"])

        tasks = [
            Task(f"index-{i:05d}", _SplitTask(source, split, str(folder / f"{i:05d}.parquet"), index.parameters))
            for i, split in enumerate(splits)
        ]
        runner.map(_write, tasks, step="index", on_result=finished)
        changed = index.with_segment(folder)
    without = counts["records"] - counts["added"] - sum(skipped.values())
    return changed, {**counts, "without_words": without, "skipped": dict(sorted(skipped.items()))}


def build(
    path: Path, parameters: MinhashParameters, source: DocumentsSource, runner: Runner, progress: Progress
) -> tuple[Index, dict[str, Any]]:
    """A new index of the source's documents; nothing is left of it if that fails. See `add_files`."""
    if (path / "index.json").exists():
        documents = Index.open(path).documents()
        raise ConfigError(
            f"index '{path}' is there already, with {documents:,} documents; `gristmill dedup index add` puts more in"
        )
    new = not path.exists()
    index = Index.create(path, parameters)
    try:
        return add_files(index, source, runner, progress)
    except BaseException:
        for left in (path / "index.json", path / LOCK):
            left.unlink(missing_ok=True)
        for folder in (path / "segments", path) if new else (path / "segments",):
            if folder.is_dir():
                folder.rmdir()
        raise
