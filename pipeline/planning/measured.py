"""What a finished run took, step by step, as a small JSON value: the base of every plan.

Read from the run's `run.json` (seconds and memory by round of tasks), manifests (rows, files) and folders (bytes).
`MEASURED` in this package is such a value, made by `make bench-plan` on real pages with the default recipe.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from ..errors import ConfigError
from ..store import read_json
from .fixed import Costs

MEASURED = "measured.json"
FORMAT = 2

_KINDS = ("kept", "dropped")


@dataclass(frozen=True)
class MeasuredPhase:
    """A round of tasks.

    `first_*`: the tasks that were their process's first, their share of the round's documents (in a step that reads a
    crawl: of its bytes); `each_s`: what a task takes whatever its size, as far as the others' sizes tell it.
    """

    label: str
    tasks: int
    task_s: float
    peak_bytes: int
    first_tasks: int = 0
    first_s: float = 0.0
    first_share: float = 0.0
    each_s: float = 0.0


@dataclass(frozen=True)
class Stored:
    """Bytes on the disk: what grows with rows, what each shard's file has anyway, and what stays as it is."""

    by_rows: float = 0.0
    per_shard: float = 0.0
    fixed: float = 0.0

    def __add__(self, other: Stored) -> Stored:
        return Stored(self.by_rows + other.by_rows, self.per_shard + other.per_shard, self.fixed + other.fixed)

    def at(self, growth: float, shards: int) -> float:
        """Bytes where there are `growth` times the rows, in so many shards."""
        return self.by_rows * growth + self.per_shard * shards + self.fixed


@dataclass(frozen=True)
class MeasuredStep:
    """A step. `stored` by kind: kept, dropped, packs, other; `files` is the number of data files."""

    step: str
    name: str
    rows_in: int
    rows_out: int
    driver_s: float
    phases: tuple[MeasuredPhase, ...]
    stored: dict[str, Stored] = field(default_factory=dict)
    files: int = 0
    mark_bytes: float = 0.0  # mean size of a finished task's mark
    tokens: int = 0

    @property
    def task_s(self) -> float:
        return sum(phase.task_s for phase in self.phases)


@dataclass(frozen=True)
class Measured:
    """A run: its input and its steps."""

    recipe: str
    input_bytes: int
    pages: int
    split_bytes: int
    shards: int
    steps: tuple[MeasuredStep, ...]
    machine: str = ""
    date: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @staticmethod
    def from_json(value: dict[str, Any]) -> Measured:
        """Raises ConfigError for what isn't such a value."""
        try:
            if value["format"] != FORMAT:
                raise ConfigError(f"measurements of format {value['format']!r} can't be read; measure again")
            steps = [
                MeasuredStep(
                    **{
                        **step,
                        "phases": tuple(MeasuredPhase(**phase) for phase in step["phases"]),
                        "stored": {kind: Stored(**one) for kind, one in step["stored"].items()},
                    }
                )
                for step in value["steps"]
            ]
            rest = {key: one for key, one in value.items() if key not in ("format", "steps")}
            return Measured(**rest, steps=tuple(steps))
        except (KeyError, TypeError) as error:
            raise ConfigError(f"these are no measurements of a run: {error}") from error


def bundled() -> Measured:
    """The measurements that come with Gristmill."""
    text = resources.files("pipeline.planning").joinpath(MEASURED).read_text(encoding="utf-8")
    return Measured.from_json(json.loads(text))


def measure(run: Any) -> Measured:
    """What the finished run in the folder `run` took. Raises ConfigError where that can't be told."""
    facts, recipe = read_json(run / "run.json"), _recipe(run)
    if facts is None:
        raise ConfigError(f"'{run}' has no run.json: it is no run, or not finished; plan from a finished one")
    steps: list[MeasuredStep] = []
    input_bytes = pages = 0
    rows = shards = 0
    for name, taken in facts["steps"].items():
        manifest = read_json(run / name / "manifest.json")
        if manifest is None:
            continue
        if "phases" not in taken:
            raise ConfigError(f"'{run}': run.json does not say what '{name}' took; it is an older one: run it anew")
        if not steps:
            pages = rows = int(manifest.get("documents_read", 0))
            input_bytes = sum(int(phase["size"]) for phase in taken["phases"])
            shards = sum(int(phase["of"]) for phase in taken["phases"])
        rows_in = int(manifest.get("documents_read", rows)) or rows
        # tokenising and all after it make no documents, but a row stays a document
        rows = int(manifest["rows"]) if manifest.get("counts") else rows
        steps.append(_step(run / name, name, taken, manifest, rows_in, rows, shards))
    if not steps or not pages:
        raise ConfigError(f"'{run}': its first step read no pages; plan from a run over WARC files")
    source = (recipe.get("source") or {}).get("warc") or {}
    return Measured(
        recipe=str(recipe.get("name", "")),
        input_bytes=input_bytes,
        pages=pages,
        split_bytes=int(source.get("split_bytes", 32 << 20)),
        shards=shards,
        steps=tuple(steps),
        machine=f"{facts.get('cpus')} cores, {facts.get('workers')} workers, {facts.get('runner')}",
        date=str(facts.get("finished", ""))[:10],
    )


def _recipe(run: Any) -> dict[str, Any]:
    from ..yaml_input import load_yaml

    if not (run / "recipe.yaml").exists():
        raise ConfigError(f"'{run}' is no run: it has no recipe.yaml")
    value = load_yaml((run / "recipe.yaml").read_bytes(), f"{run}/recipe.yaml")
    return value if isinstance(value, dict) else {}


def _step(
    folder: Any,
    name: str,
    taken: dict[str, Any],
    manifest: dict[str, Any],
    rows_in: int,
    rows_out: int,
    shards: int,
) -> MeasuredStep:
    plan = read_json(folder / "plan.json") or {}
    phases = tuple(_phase(phase, name, str(folder)) for phase in taken["phases"] if phase["of"])
    rows = {entry["file"]: int(entry.get("rows") or 0) for entry in manifest.get("files", [])}
    groups: dict[str, list[tuple[int, int]]] = {}  # (rows, bytes) of the files of a folder; JSON files apart
    stored: dict[str, Stored] = {}
    count = 0
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if not path.is_file() or parts[0] in ("timings", "done", "inputs.json", "manifest.json", "plan.json"):
            continue
        count += 1
        size = path.stat().st_size
        if path.name.endswith(".json"):
            stored["other"] = stored.get("other", Stored()) + Stored(fixed=size)
        else:
            groups.setdefault("/".join(parts[:-1]), []).append((rows.get("/".join(parts), 0), size))
    for group, files in groups.items():
        parts = tuple(group.split("/"))
        kind = parts[0] if parts[0] in _KINDS else "packs" if "packs" in parts else "other"
        stored[kind] = stored.get(kind, Stored()) + _stored(files, shards)
    marks = [path.stat().st_size for path in folder.glob("done/*.json")]
    tokens = (manifest.get("summary") or {}).get("tokens") or {}
    return MeasuredStep(
        step=name,
        name=str(plan.get("step", name[3:])),
        rows_in=rows_in,
        rows_out=rows_out,
        driver_s=float(taken["driver_s"]),
        phases=phases,
        stored=dict(sorted(stored.items())),
        files=count,
        mark_bytes=sum(marks) / len(marks) if marks else 0.0,
        tokens=int(tokens.get("tokens", 0)) if isinstance(tokens, dict) else 0,
    )


def _stored(files: list[tuple[int, int]], shards: int) -> Stored:
    """(rows, bytes) of a folder's files, one a shard, as a part that goes by rows and one that each file has anyway."""
    total = sum(size for _, size in files)
    if len(files) != shards:
        return Stored(by_rows=total)
    costs = Costs()
    for rows, size in files:
        costs.add(rows, size)
    each = costs.fixed()
    return Stored(by_rows=total - each * shards, per_shard=each)


def _phase(phase: dict[str, Any], step: str, where: str) -> MeasuredPhase:
    if phase["tasks"] == 0:
        raise ConfigError(f"{where}: run.json does not say what '{phase['label']}' took, for an earlier run did it")
    first = phase["first"]
    known = next((unit for unit in ("size", "items") if phase[unit]), None)
    # a driver that was started again knows the cost of its own tasks only: the others took as much each
    whole = phase["of"] / phase["tasks"]
    return MeasuredPhase(
        label=phase["label"].removeprefix(f"{step}: ") if phase["label"] != step else "",
        tasks=phase["of"],
        task_s=phase["task_s"] * whole,
        peak_bytes=phase["peak_bytes"],
        first_tasks=first["tasks"],
        first_s=first["task_s"],
        first_share=first[known] / phase[known] if known else first["tasks"] / phase["of"],
        each_s=Costs(**phase.get("others", {})).fixed(),  # runs of before don't say it: all grows
    )
