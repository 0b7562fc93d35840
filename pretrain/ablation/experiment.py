"""The ablation from arms to result. Each run (an arm, a seed, a number of steps) is a task of its own.

    OUT/design.yaml       the design and the arms as they ran
    OUT/prepare/          see `prepare`
    OUT/runs/             of each run NAME.npy (what it measured), NAME/ (what training writes), its mark in done/
    OUT/results.json      the outcome; the same bytes however often it was stopped and taken up again

A run's name carries a hash of all that it depends on, so that more seeds, another arm or another margin leave the runs
that are done as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.packreader import open_packs
from pipeline.progress import Progress
from pipeline.run import lock
from pipeline.runner import InlineRunner, Runner, Task
from pipeline.steps import StepContext
from pipeline.store import StepFolder, atomic_path, digest, file_digest, write_json

from .check import check_inputs
from .design import BUDGET, WHERE, Arm, Design
from .prepare import Measured, Ready, ReadyArm, overlap_rows, prepare
from .result import ArmResult, Result, Run, compare, figures, notes_on
from .task import RunTask, train_and_measure

RESULTS = "results.json"
VERSION = 1
"""Of what a run computes; part of its name."""


def run_ablation(
    arms: Sequence[Arm],
    design: Design,
    out: str | Path,
    *,
    runner: Runner | None = None,
    progress: Progress | None = None,
    budget: float | None = None,
) -> Result:
    """Run, or go on with, an ablation in the folder `out`; writes and returns what `results.json` holds.

    Without a runner everything happens in this process. `budget`: the minutes that `within_budget` chose the design's
    steps by, for `design.yaml`. Raises ConfigError.
    """
    check_arms(arms)
    design.check()
    need_torch()
    out, runner, progress = Path(out), runner or InlineRunner(), progress or Progress(quiet=True)
    check_inputs([arm for arm in arms if not (out / "prepare" / f"arm-{arm.name}").exists()], design)
    with lock(out):
        write_design(arms, design, out, budget)
        ready = prepare(arms, design, out, runner, progress)
        result = judge(ready, run_all(ready, out, runner, progress), out)
        write_json(out / RESULTS, result.to_json())
    return result


def check_arms(arms: Sequence[Arm]) -> None:
    """Raise ConfigError unless there are two arms or more, each of its own name."""
    names = [arm.name for arm in arms]
    if len(arms) < 2:
        raise ConfigError(f"{WHERE}: there is nothing to compare: give at least two arms, NAME=WHERE each")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{WHERE}: two arms are called '{name}': write NAME=WHERE to tell them apart")


def need_torch() -> None:
    """Raise ConfigError where torch is missing."""
    from pretrain.train import torch_available

    if not torch_available():
        raise ConfigError(f"{WHERE} trains small models and needs torch: pip install 'gristmill[pretrain]'")


def write_design(arms: Sequence[Arm], design: Design, out: Path, budget: float | None = None) -> None:
    """Write `design.yaml`: what was decided before the first run."""
    plain: dict[str, Any] = {"arms": {arm.name: list(arm.inputs) for arm in arms}, "design": design.plain()}
    if budget is not None:
        plain[BUDGET] = budget
    with atomic_path(out / "design.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), encoding="utf-8")


def steps_of(ready: Ready, reading: str) -> dict[str, int]:
    """Steps of each arm's runs.

    At equal tokens all take the design's. At equal bytes the arm whose run sees the fewest bytes of text sets the
    measure, and each of the others has runs of its own, with a schedule of its own, of as many steps as come nearest
    to as many bytes: a run of more steps, looked at on the way, would be judged before its learning rate has come
    down.
    """
    steps = ready.design.run_steps
    if reading == "tokens":
        return {arm.name: steps for arm in ready.arms}
    least = min(arm.text_bytes / arm.sequences for arm in ready.arms)
    return {arm.name: max(1, round(steps * least / (arm.text_bytes / arm.sequences))) for arm in ready.arms}


def tasks_of(ready: Ready, out: Path) -> dict[tuple[str, int, int], Task]:
    """The runs, by (arm, seed, steps); a run that two readings need is there once."""
    found: dict[tuple[str, int, int], Task] = {}
    sets = [*ready.held_out, *ready.curves.items()]
    measured = [[name, open_packs(packs).fingerprint] for name, packs in sets]
    measured.append(["gold", file_digest(Path(ready.gold)) if ready.gold else ""])
    for reading in ready.design.readings:
        for arm in ready.arms:
            steps = steps_of(ready, reading)[arm.name]
            for seed in ready.design.seed_list:
                found[arm.name, seed, steps] = _task(ready, arm, seed, steps, measured, out)
    return found


def _task(ready: Ready, arm: ReadyArm, seed: int, steps: int, measured: list[Any], out: Path) -> Task:
    config = ready.design.train_config(seed, steps)
    if ready.curves:
        config = replace(config, eval_every=-(-steps // ready.design.evaluations))
    key = digest(VERSION, arm.fingerprint, config.to_json(), measured)[:12]
    name = f"{arm.name}-seed{seed}-{steps}-{key}"
    training = replace(config, held_out=ready.curves).to_json()
    return Task(name, RunTask(name, arm.packs, training, ready.held_out, ready.gold, str(out / "runs")))


def run_all(ready: Ready, out: Path, runner: Runner, progress: Progress) -> dict[tuple[str, int, int], dict[str, Any]]:
    """The runs' results, those that were done before among them."""
    folder = StepFolder(out / "runs")
    folder.begin(digest(WHERE, VERSION), {"what": WHERE})
    tasks = tasks_of(ready, out)
    context = StepContext(WHERE, folder, {}, runner, progress)
    results = context.map(train_and_measure, list(tasks.values()), unit="tokens", label=f"{WHERE}: runs")
    return dict(zip(tasks, results, strict=True))


def judge(ready: Ready, results: Mapping[tuple[str, int, int], dict[str, Any]], out: Path) -> Result:
    """The result of finished runs."""
    design = ready.design
    tasks = tasks_of(ready, out)
    runs: list[Run] = []
    nats: dict[tuple[str, str], dict[str, NDArray[np.float64]]] = {}
    for reading in design.readings:
        for arm in ready.arms:
            steps = steps_of(ready, reading)[arm.name]
            rows = []
            for seed in design.seed_list:
                told, name = results[arm.name, seed, steps], tasks[arm.name, seed, steps].name
                rows.append(_split(np.load(out / "runs" / f"{name}.npy"), ready.measured))
                runs.append(
                    Run(
                        arm.name, seed, reading, steps, told["tokens"], told["loss"], figures(rows[-1], ready.measured),
                        _curve(told), told["skipped"],
                    )
                )  # fmt: skip
            nats[arm.name, reading] = {
                one.key: np.mean([row[one.key] for row in rows], axis=0) for one in ready.measured
            }
    made = [_arm(ready, arm) for arm in ready.arms]
    judged, others = compare(design, [arm.name for arm in ready.arms], ready.measured, runs, nats)
    notes = (*ready.notes, *notes_on(made, runs))
    return Result(
        design, tuple(made), tuple(runs), judged, others, tuple(overlap_rows(ready)), ready.tokenizer, notes
    )  # fmt: skip


def _split(row: NDArray[np.float64], measured: Sequence[Measured]) -> dict[str, NDArray[np.float64]]:
    """A run's row by set."""
    bounds = np.cumsum([len(one.ids) for one in measured])
    return dict(zip((one.key for one in measured), np.split(row, bounds[:-1]), strict=True))


def _curve(told: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Points with the mean over sets."""
    return tuple(
        {**point, "bits_per_byte": {"held_out": float(np.mean(list(sets.values()))), **_keyed(sets)}}
        for point in told["curve"]
        if (sets := point["bits_per_byte"])
    )


def _keyed(sets: Mapping[str, float]) -> dict[str, float]:
    return {f"held_out/{name}": value for name, value in sets.items()}


def _arm(ready: Ready, arm: ReadyArm) -> ArmResult:
    steps = {reading: steps_of(ready, reading)[arm.name] for reading in ready.design.readings}
    seen = {reading: count * ready.design.batch_size for reading, count in steps.items()}
    return ArmResult(
        arm.name, arm.kind, arm.documents, arm.text_bytes, arm.tokens, arm.sequences,
        {reading: sequences / arm.sequences for reading, sequences in seen.items()}, steps,
        {reading: sequences * arm.text_bytes / arm.sequences for reading, sequences in seen.items()},
    )  # fmt: skip
