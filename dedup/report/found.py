"""The dedup steps of a run, of one step's folder, or of the Parquet files that a single command wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.inspect.runs import find_run, is_run
from pipeline.stage import DROP_FILTER, STAGES_RUN, configured
from pipeline.storage import local_file
from pipeline.store import read_json

from ..exact import ExactDedup
from ..lines import LineDedup
from ..lsh import mixed
from ..minhash import MinhashDedup
from ..substrings import SubstringDedup

STEPS = (ExactDedup.name, MinhashDedup.name, LineDedup.name, SubstringDedup.name)
COLUMNS = ("id", "url", "duplicate_of", "similarity", "duplicate_in", "drop_reason")


@dataclass(frozen=True)
class DedupStep:
    """A finished dedup step: its options and manifest ({} where only files are there) and its files in order."""

    step: str
    name: str
    config: dict[str, Any]
    manifest: dict[str, Any]
    kept: tuple[Path, ...]
    dropped: tuple[Path, ...]

    @property
    def minhash(self) -> MinhashDedup | None:
        """The step as it ran; None for other steps. Without its options those are the defaults."""
        if self.name != MinhashDedup.name:
            return None
        names = set(MinhashDedup.__dataclass_fields__) - {"against"}  # an index may be gone by now
        return configured(MinhashDedup, {k: v for k, v in self.config.items() if k in names}, self.step)

    @property
    def removes_documents(self) -> bool:
        """Whether it drops whole documents for others that stay."""
        return self.name in (ExactDedup.name, MinhashDedup.name)

    def dropped_rows(self) -> Iterator[tuple[int, pa.Table]]:
        """(number of the first row over all files, `COLUMNS`) of what this step dropped, batch by batch."""
        row = 0
        for path in self.dropped:
            file = pq.ParquetFile(local_file(path))
            have = [name for name in (*COLUMNS, DROP_FILTER) if name in file.schema_arrow.names]
            for batch in file.iter_batches(8192, columns=have):
                table = pa.Table.from_batches([batch])
                for name in COLUMNS:
                    if name not in have:
                        table = table.append_column(name, pa.nulls(table.num_rows))
                yield row, table
                row += batch.num_rows


@dataclass(frozen=True)
class FoundSteps:
    """What there is to report on."""

    where: str
    steps: tuple[DedupStep, ...]
    notes: list[str] = field(default_factory=list)


def find_steps(paths: Sequence[Path]) -> FoundSteps:
    """Raises ConfigError where there is no finished dedup step."""
    for path in paths:
        if not path.exists():
            raise ConfigError(f"'{path}' does not exist")
    if any(is_run(path) for path in paths):
        if len(paths) > 1:
            raise ConfigError("give one run, or files; not several runs")
        return _of_run(paths[0])
    folders = [path for path in paths if path.is_dir()]
    if folders:
        raise ConfigError(f"'{folders[0]}' is no run: it has no step with a plan.json")
    return _of_files(paths)


def _of_run(path: Path) -> FoundSteps:
    found = find_run(path)
    steps = []
    for one in found.steps:
        stage = one.stages[0] if one.stages else None
        if stage is not None and stage.name in STEPS and one.kept:
            manifest = read_json(one.kept[0].parent.parent / "manifest.json")
            steps.append(DedupStep(one.step, stage.name, stage.config or {}, manifest, one.kept, one.dropped))
    if not steps:
        raise ConfigError(
            f"run '{path}' has no finished dedup step; there are {', '.join(s.step for s in found.steps)}"
        )
    return FoundSteps(found.where, tuple(steps), list(found.notes))


def _of_files(paths: Sequence[Path]) -> FoundSteps:
    kept: list[Path] = []
    dropped: list[Path] = []
    for path in paths:
        if path.suffix != ".parquet":
            raise ConfigError(f"'{path}': a report reads Parquet; let the dedup command write .parquet files")
        try:
            names = pq.read_schema(local_file(path)).names
        except (pa.ArrowException, OSError) as error:
            raise ConfigError(f"'{path}' is not a Parquet file: {error}") from error
        (dropped if DROP_FILTER in names else kept).append(path)
    if not dropped:
        raise ConfigError("no file of dropped documents: give the one that --dropped wrote, too")
    config: dict[str, dict[str, Any]] = {}
    named: set[str] = set()
    for path in dropped:
        named |= set(pc.unique(pq.read_table(local_file(path), columns=[DROP_FILTER])[DROP_FILTER]).to_pylist())
        for name, _, options in json.loads((pq.read_schema(local_file(path)).metadata or {}).get(STAGES_RUN, b"[]")):
            config[name] = options
    known = [name for name in STEPS if name in named or name in config]
    if len(known) != 1:
        told = f"drops of {', '.join(known)}: one at a time" if known else "no drop of a dedup step"
        raise ConfigError(f"{', '.join(map(str, dropped))}: {told}")
    notes = []
    if known[0] not in config:
        notes.append("the files don't say with which options the command ran: the defaults are supposed")
    if not kept:
        notes.append("no file of kept documents was given: shares and texts of kept documents are missing")
    step = DedupStep("files", known[0], config.get(known[0], {}), {}, tuple(kept), tuple(dropped))
    return FoundSteps(", ".join(map(str, paths)), (step,), notes)


def keys_of(ids: pa.Array | pa.ChunkedArray, seed: int) -> NDArray[np.uint64]:
    """A random number for each id, by seed and id alone."""
    from ..hashing import raw_hashes

    hashes = raw_hashes(pc.fill_null(ids.cast(pa.large_string()), ""))
    return mixed(hashes ^ mixed(np.array([seed], np.uint64)))
