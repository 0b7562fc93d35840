"""Whether the local files that a step has read still hold what they held: every byte, without reading them again.

A step's fingerprint has names, sizes and the ends of its input files (`Source.fingerprint`): to hash a whole crawl at
each start would be to read it each time. A change elsewhere in a file is noticed by two more things:

- Whoever does a shard hashes its part of the file first (XXH3, 15 GB/s a core where measured), and the mark in `done/`
  keeps it. It reads these bytes anyway, so the first start costs nothing. All of them together are the manifest's
  `content`, which the fingerprints of later steps take in (`steps.made_by`).
- `inputs.json` in the step's folder has size and dates (mtime, ctime) of each file as they were before it was read.

At the next start files whose size and dates are the same are believed, one `stat` each. The others, and they alone, are
hashed by the workers and compared: a touched file, or a corpus that was copied elsewhere, costs one reading and nothing
is done again; a changed one empties the folder. Paths play no part, nor do inodes, which some network file systems make
up anew at each mount; ctime is there because a program may set mtime back. A moved folder keeps both dates.

Files in a store have their ETag in the fingerprint, and steps of earlier versions, without a record, go by the ends.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .progress import Progress
from .runner import Runner, Task
from .storage import remove_tree
from .store import StepFolder, read_json, write_json

if TYPE_CHECKING:
    from .sources import Source

RECORD = "inputs.json"
BLOCK = 1 << 20


@dataclass(frozen=True)
class Extent:
    """Bytes `[start, end)` of a local file."""

    path: str
    start: int
    end: int

    def digest(self) -> str:
        """XXH3 (128 bits) of these bytes, as 32 hex digits. Raises OSError."""
        import xxhash

        found = xxhash.xxh3_128()
        with open(self.path, "rb") as handle:
            handle.seek(self.start)
            left = self.end - self.start
            while block := handle.read(min(BLOCK, left)):
                found.update(block)
                left -= len(block)
        return found.hexdigest()


def digest_of(extent: Extent) -> dict[str, Any]:
    """The digest of a part of a file. The function that workers run."""
    return {"content": extent.digest()}


def shard_name(index: int) -> str:
    """What the shard of a source's split is called, as a task and as a file."""
    return f"{index:05d}"


def _facts(files: Mapping[str, str]) -> dict[str, list[int]]:
    """Size and dates of files, by name."""
    found = {}
    for name, path in files.items():
        stat = os.stat(path)
        found[name] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    return found


def note_inputs(folder: StepFolder, source: Source, splits: Sequence[Any]) -> None:
    """Write down the facts of the local files that are about to be read, unless they are there."""
    files = {source.name_of(split): part.path for split in splits if (part := source.extent(split)) is not None}
    if files and not (folder.path / RECORD).exists():
        write_json(folder.path / RECORD, _facts(files))


def forget_changed(
    folder: StepFolder, source: Source, fingerprint: str, runner: Runner, progress: Progress, step: str
) -> bool:
    """Empty a step's folder if a byte of its input files is not what its shards were made of; True if so.

    Does nothing where the folder is another fingerprint's, which is emptied anyway.
    """
    plan, known = read_json(folder.path / "plan.json"), read_json(folder.path / RECORD)
    if known is None or plan is None or plan.get("fingerprint") != fingerprint:
        return False
    files = source.local_files()
    now = _facts(files)
    doubtful = {name for name, facts in now.items() if known.get(name) != facts}
    if not doubtful:
        return False
    size = sum(now[name][0] for name in doubtful)
    progress.say(
        f"{step}: {len(doubtful):,} input file(s) have other dates than when they were read; their content, "
        f"{size / 1e9:,.1f} GB, is compared"
    )
    changed = _changed(folder, source, doubtful, runner, step)
    if not changed:
        write_json(folder.path / RECORD, now)
        return False
    some = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
    progress.say(f"{step}: the content of {len(changed):,} input file(s) has changed ({some}); done again")
    remove_tree(folder.path)
    return True


def _changed(folder: StepFolder, source: Source, names: set[str], runner: Runner, step: str) -> Sequence[str]:
    """Those of the named files whose content is not what finished shards were made of, sorted."""
    made: dict[str, tuple[str, str]] = {}
    tasks = []
    for index, split in enumerate(source.splits(None)):
        extent, task = source.extent(split), shard_name(index)
        mark = folder.marked(task) if extent is not None and source.name_of(split) in names else None
        if extent is not None and mark is not None:
            made[task] = source.name_of(split), mark.get("content", "")
            tasks.append(Task(task, extent, extent.end - extent.start))
    changed: set[str] = set()

    def compare(task: Task, result: dict[str, Any]) -> None:
        name, content = made[task.name]
        if result["content"] != content:
            changed.add(name)

    runner.map(digest_of, tasks, step=step, on_result=compare)
    return sorted(changed)
