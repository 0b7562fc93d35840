"""A step's context and corpora of plain rows, for the dedup steps' tests."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.progress import Progress
from pipeline.runner import InlineRunner, Runner
from pipeline.schema import RECORD
from pipeline.steps import Artefact, Step, StepContext
from pipeline.store import StepFolder


def context_in(folder: Path, inputs: dict[str, Artefact], runner: Runner | None = None) -> StepContext:
    """A context whose step writes to `folder`, begun already."""
    step = StepFolder(folder)
    step.begin("f", {})
    return StepContext("t", step, inputs, runner or InlineRunner(), Progress(quiet=True, stream=io.StringIO()))


def corpus(folder: Path, shards: Sequence[Sequence[dict[str, Any]]]) -> Artefact:
    """Documents as rows of `id`, `text`, perhaps `date` and `url`, and whatever else."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    others = sorted({k for shard in shards for row in shard for k in row} - {"id", "text", "date", "url"})
    for index, shard in enumerate(shards):
        records = [{"file": "f", "offset": i, "date": row.get("date")} for i, row in enumerate(shard)]
        columns = {
            "id": pa.array([row["id"] for row in shard], pa.string()),
            "text": pa.array([row["text"] for row in shard], pa.large_string()),
            "url": pa.array([row.get("url") for row in shard], pa.string()),
            "record": pa.array(records, RECORD),
        }
        columns.update({name: pa.array([row.get(name) for row in shard], pa.float64()) for name in others})
        names.append(f"in-{index}.parquet")
        pq.write_table(pa.table(columns), folder / names[-1])
    return Artefact("documents", folder, "x", tuple(names), sum(map(len, shards)))


def run_step(
    step: Step, tmp: Path, documents: Artefact, runner: Runner | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """(kept rows, dropped rows, manifest), in the order of shards."""
    step.check()
    context = context_in(tmp, {"documents": documents}, runner)
    manifest = step.run(context)
    rows: dict[str, list[dict[str, Any]]] = {"kept": [], "dropped": []}
    for entry in manifest["files"]:
        rows[entry["file"].split("/")[0]] += pq.read_table(tmp / entry["file"]).to_pylist()
    return rows["kept"], rows["dropped"], manifest
