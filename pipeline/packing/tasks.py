"""What each pack file holds, by partitions of the draws, and the function that makes it in a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..packs import pack_name
from ..storage import place
from .draws import DrawSet, read_draws
from .layout import Layout, concatenate, fit
from .statistics import cut_by_concatenation
from .write import write_pack


@dataclass(frozen=True)
class PackTask:
    """One pack file of each length: number `index`, from partitions [first, last) of the draws.

    By concatenation it holds tokens [begin, end) of the stream that starts with partition `first`; by
    best fit all of them, and `begin` is the first one's place in the stream of its phase.
    """

    index: int
    phase: int
    first: int
    last: int
    begin: int
    end: int


@dataclass(frozen=True)
class PackWork:
    """What every task of a step shares. Picklable and small."""

    folders: tuple[str, ...]
    """Folder of the set of each length."""
    lengths: tuple[int, ...]
    method: str
    dtype: str
    pad_id: int
    files: tuple[str, ...]
    shards: tuple[str, ...]
    body_starts: bool = False


def plan_tasks(draws: DrawSet, method: str, lengths: tuple[int, ...], sequences_per_file: int) -> list[PackTask]:
    """The tasks, in the order of the sequences. Raises ConfigError for sizes under 1."""
    if min(lengths) < 1 or sequences_per_file < 1:
        raise ConfigError(
            f"sequence_length ({list(lengths)}) and sequences_per_file ({sequences_per_file}) must be at least 1"
        )
    tasks: list[PackTask] = []
    for number, phase in enumerate(draws.phases):
        ends = np.cumsum([0, *draws.tokens[phase.first : phase.last]])
        if method == "best_fit":
            for p in range(phase.first, phase.last):
                begin, end = int(ends[p - phase.first]), int(ends[p - phase.first + 1])
                if begin < end:
                    tasks.append(PackTask(len(tasks), number, p, p + 1, begin, end))
            continue
        total, capacity = int(ends[-1]), lengths[0] * sequences_per_file
        for begin in range(0, total, capacity):
            end = min(begin + capacity, total)
            first = int(np.searchsorted(ends, begin, side="right")) - 1
            last = int(np.searchsorted(ends, end, side="left"))
            base = int(ends[first])
            tasks.append(
                PackTask(len(tasks), number, phase.first + first, phase.first + last, begin - base, end - base)
            )
    return tasks


def partitions_for(tokens: int, longest: int, sequences_per_file: int) -> int:
    """Partitions of the draws such that each fills about one pack file."""
    return max(1, -(-tokens // (longest * sequences_per_file)))


def make_pack(work: PackWork, task: PackTask) -> dict[str, Any]:
    """Write the pack files of a task; returns {"entries": one for each length (None if empty), ...counts}.

    An entry is that of `write_pack` with `truncated`, the documents that begin in it and are cut.
    `concatenate` counts the documents that concatenation to the shortest length would cut.
    """
    draws = read_draws(work.files, range(task.first, task.last))
    counts = draws["n_tokens"].to_numpy()
    if work.method == "best_fit":
        layouts = fit(counts, work.lengths)
    else:
        layouts = [concatenate(counts, task.begin, task.end, work.lengths[0])]
    entries: list[dict[str, Any] | None] = []
    for folder, layout in zip(work.folders, layouts, strict=True):
        if layout.sequences == 0:
            entries.append(None)
            continue
        name = pack_name(task.index)
        entry = write_pack(
            place(folder) / name, name, layout, draws, work.shards,
            dtype=work.dtype, pad_id=work.pad_id, body_starts=work.body_starts,
        )  # fmt: skip
        entries.append({**entry, "truncated": _truncated(layout, counts)})
    if work.method == "best_fit":
        cut = cut_by_concatenation(counts, task.begin, work.lengths[0])
    else:
        cut = sum(entry["truncated"] for entry in entries if entry)
    return {"entries": entries, "phase": task.phase, "n_in": int(sum(e["tokens"] for e in entries if e)), "cut": cut}


def _truncated(layout: Layout, counts: np.ndarray) -> int:
    """Documents that begin in the layout and don't end in the piece that begins them."""
    begins = layout.offset == 0
    return int((layout.tokens[begins] < counts[layout.draw[begins]]).sum())
