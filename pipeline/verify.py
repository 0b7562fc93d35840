"""Earlier steps' files are compared with the checksums in their manifests before a step reads them, once a run.

Disks and memory flip bits, copies break off, and people move files. A file that is not what its step wrote costs that
step's task: it is made anew, with the same bytes, and the run goes on (`pipeline.run.execute`). The workers hash, near
to the files; the driver sees names. Files in an object store are left to its own checksums: each transfer has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import StepFailed
from .names import check_entries
from .runner import Runner, Task
from .steps import Artefact
from .storage import StorePath
from .store import file_digest, read_json

TASK_BYTES = 64 << 20
"""Bytes that one task hashes, 60 ms or so: a step of a few hundred MB keeps several workers busy."""
TASK_FILES = 500


class CorruptShards(StepFailed):
    """Files of an earlier step are not what it wrote. `folder` is its folder, `files` their names in it."""

    def __init__(self, folder: Path, files: Sequence[str]) -> None:
        some = ", ".join(files[:3]) + (", ..." if len(files) > 3 else "")
        super().__init__(
            f"{len(files)} file(s) in {folder} differ from their checksums in manifest.json ({some}): damaged or "
            "changed since; delete the folder's manifest.json and these files, and run the same command again"
        )
        self.folder, self.files = folder, tuple(files)


@dataclass(frozen=True)
class _Check:
    """Files and the checksums that they should have."""

    folder: str
    files: tuple[tuple[str, str], ...]


def check_files(task: _Check) -> dict[str, Any]:
    """The names of files that are gone or have another checksum. The function that workers run."""
    bad = []
    for name, digest in task.files:
        path = Path(task.folder) / name
        if not path.is_file() or file_digest(path) != digest:
            bad.append(name)
    return {"bad": bad}


def _tasks(folder: Path, entries: Sequence[dict[str, Any]]) -> Iterator[Task]:
    group: list[tuple[str, str]] = []
    size = number = 0
    for at, entry in enumerate(entries):
        group.append((entry["file"], entry["blake2b"]))
        size += entry["bytes"]
        if size >= TASK_BYTES or len(group) >= TASK_FILES or at == len(entries) - 1:
            yield Task(f"verify-{number:05d}", _Check(str(folder), tuple(group)), size)
            group, size, number = [], 0, number + 1


def verify(artefact: Artefact, runner: Runner, step: str) -> None:
    """Raise CorruptShards where a file that later steps may read differs from the manifest beside it."""
    if isinstance(artefact.path, StorePath):
        return
    manifest = read_json(artefact.path / "manifest.json") or {}
    entries = manifest.get("files", [])
    check_entries(entries, "file", artefact.path / "manifest.json")
    wanted = set(artefact.files)
    read = [e for e in entries if "blake2b" in e and (artefact.kind != "documents" or e["file"] in wanted)]
    bad: list[str] = []
    runner.map(
        check_files, list(_tasks(artefact.path, read)), step=step, on_result=lambda _, result: bad.extend(result["bad"])
    )
    if bad:
        raise CorruptShards(artefact.path, sorted(bad))
