"""Runs a recipe: each step in its folder, resumed where an earlier run left off.

<output>/recipe.yaml          the recipe as it ran
<output>/01-extract/ ...      one folder a step (pipeline/store.py)
<output>/report.html, .json   what happened (pipeline/report.py)
<output>/run.json             times, hosts, versions: nothing that a fingerprint reads
<output>/progress.json, logs/ what happens while it runs (pipeline/status/): nor do they
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from .errors import ConfigError
from .mapstep import MapStep
from .progress import Progress
from .recipe import Recipe
from .resources import asked_by
from .runner import InlineRunner, Resources, Runner, available_cpus
from .status.journal import Journal
from .status.observer import Unwatched, Watch
from .steps import Artefact, Step, StepContext, made_by
from .storage import StorePath, check_output_place, held, remove_tree
from .storage.lease import LOCK
from .storage.urls import redacted_urls
from .store import StepFolder, atomic_path, locked, read_json, write_json
from .verify import CorruptShards, verify


@dataclass
class StepResult:
    """One step of a run: its manifest and how long it took (0 if it was done before)."""

    step: str
    folder: Path
    manifest: dict[str, Any] | None
    wall_s: float = 0.0
    busy_s: dict[str, float] = field(default_factory=dict)
    resumed: bool = False
    skipped: str | None = None


@dataclass
class RunResult:
    """A finished run."""

    output: Path
    steps: list[StepResult]


RECIPE = "recipe.yaml"


@contextmanager
def lock(output: Path) -> Iterator[None]:
    """Hold the output folder: a second run on it is refused while this process lives."""
    if isinstance(output, StorePath):
        with _held_in_store(output):
            yield
        return
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output '{output}' is not a folder")
    if output.is_dir() and any(output.iterdir()) and not any((output / name).exists() for name in (LOCK, RECIPE)):
        raise ConfigError(f"output '{output}' holds files and is no earlier run; choose an empty or a new folder")
    output.mkdir(parents=True, exist_ok=True)
    with locked(output / LOCK, f"another run is writing to {output}; wait for it or name another output"):
        yield


@contextmanager
def _held_in_store(output: Path) -> Iterator[None]:
    with held(output):
        names = {path.name for path in output.iterdir()}
        if names - {LOCK} and RECIPE not in names:
            raise ConfigError(f"output '{output}' holds files and is no earlier run; choose an empty or a new folder")
        yield


def _versions() -> dict[str, str]:
    names = ("gristmill", "pyarrow", "polars", "ray", "trafilatura", "resiliparse", "fastwarc", "tokenizers", "torch")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def execute(
    recipe: Recipe, output: Path, runner: Runner, progress: Progress, *, price_per_cpu_hour: float | None = None
) -> RunResult:
    """Run all steps of a recipe into `output`. What is there and still valid is not done again.

    `price_per_cpu_hour` (any currency) goes into the run's progress, which then says what the run has cost.
    """
    if isinstance(output, StorePath):
        check_output_place(str(output), processes=not isinstance(runner, InlineRunner))
    names = [f"{i:02d}-{step.folder_name()}" for i, step in enumerate(recipe.steps, 1)]
    with (
        lock(output),
        Journal(output, recipe.name, names, runner, price_per_cpu_hour=price_per_cpu_hour) as journal,
    ):
        with atomic_path(output / RECIPE) as temporary:
            temporary.write_text(
                yaml.safe_dump(redacted_urls(recipe.plain), sort_keys=False, allow_unicode=True), encoding="utf-8"
            )
        artefacts: dict[str, Artefact] = {}
        results: dict[str, StepResult] = {}
        intact: set[Path] = set()
        redone: set[str] = set()
        for plan in output.glob("[0-9][0-9]-*/plan.json"):  # steps of an earlier form of the recipe
            if plan.parent.name not in names:
                remove_tree(plan.parent)
        number = 0
        while number < len(names):
            name, step = names[number], recipe.steps[number]
            damaged = None
            with journal.step(name) as counts:
                try:
                    asked = asked_by(step, recipe.resources)
                    done = run_one(name, step, output / name, artefacts, runner, progress, journal, asked, intact)
                except CorruptShards as error:
                    maker = error.folder.name
                    if error.folder.parent != output or maker not in names[:number] or maker in redone:
                        raise
                    damaged, counts.state = error, "pending"
                else:
                    if done.skipped or done.resumed:
                        counts.state = "skipped" if done.skipped else "resumed"
            if damaged is not None:
                maker = damaged.folder.name
                progress.say(
                    f"{maker}: {len(damaged.files)} damaged file(s) are made anew: {', '.join(damaged.files[:3])}"
                )
                _take_out(damaged, recipe.steps[names.index(maker)])
                redone.add(maker)
                artefacts.clear()
                number = 0  # steps that are whole are passed over at once
                continue
            if not done.resumed or name not in results:
                results[name] = done
            number += 1
        result = RunResult(output, list(results.values()))
        _write_run_json(result, runner, journal.costs())
        return result


def _take_out(damaged: CorruptShards, step: Step) -> None:
    """Make way for the damaged files of a step to be made again: its tasks for them, or all of a global step."""
    if isinstance(step, MapStep):
        (damaged.folder / "manifest.json").unlink(missing_ok=True)
        for name in damaged.files:
            (damaged.folder / name).unlink(missing_ok=True)
    else:  # what its tasks made on the way is gone by now
        remove_tree(damaged.folder)


def run_one(
    name: str,
    step: Step,
    path: Path,
    artefacts: dict[str, Artefact],
    runner: Runner,
    progress: Progress,
    watch: Watch | None = None,
    resources: Resources | None = None,
    intact: set[Path] | None = None,
) -> StepResult:
    """Run one step into the folder `path`, unless it is finished there; takes from `artefacts` and adds to them.

    Before it reads what an earlier step made, that step's files are compared with their checksums, but for the folders
    that are in `intact`; they come to be in it. Raises CorruptShards.
    """
    folder = StepFolder(path)
    skipped = step.why_skipped() if step.optional else None
    if skipped:
        progress.say(f"{name}: skipped: {skipped}")
        return StepResult(name, folder.path, None, skipped=skipped)
    inputs = {kind: artefacts[kind] for kind in step.needs}
    fingerprint = step.fingerprint(list(inputs.values()))
    start = time.monotonic()
    context = StepContext(
        name, folder, inputs, runner, progress, resources=resources or Resources(), watch=watch or Unwatched()
    )
    step.forget_changed(context, fingerprint)
    manifest = folder.finished(fingerprint)
    resumed = manifest is not None
    if manifest is None:
        for artefact in inputs.values():
            if intact is None or artefact.path not in intact:
                verify(artefact, runner, name)
            if intact is not None:
                intact.add(artefact.path)
        folder.begin(fingerprint, {"step": step.name, "config": step.config()})
        made = {"step": name, **step.run(context)}
        folder.finish(fingerprint, made)
        manifest = {"fingerprint": fingerprint, **made}
    else:
        progress.say(f"{name}: already done")
    artefacts[step.makes] = Artefact(
        step.makes, folder.path, made_by(manifest), tuple(manifest.get("artefact", ())), int(manifest.get("rows", 0))
    )
    wall = 0.0 if resumed else time.monotonic() - start
    return StepResult(name, folder.path, manifest, wall, dict(context.seconds), resumed)


def _write_run_json(result: RunResult, runner: Runner, costs: dict[str, dict[str, Any]]) -> None:
    path = result.output / "run.json"
    old = read_json(path) or {}
    steps = dict(old.get("steps", {}))
    for step in result.steps:
        if not step.resumed and step.manifest is not None:
            steps[step.step] = {
                "wall_s": round(step.wall_s, 3),
                "busy_s": {k: round(v, 3) for k, v in step.busy_s.items()},
                **costs[step.step],
            }
    names = {step.step for step in result.steps}
    value = {
        "host": platform.node(),
        "cpus": available_cpus(),
        "workers": runner.workers,
        "runner": type(runner).__name__,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": _versions(),
        "steps": {name: steps[name] for name in sorted(steps) if name in names},
    }
    write_json(path, value)
