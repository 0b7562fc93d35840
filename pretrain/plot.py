"""Curves of training runs, laid over each other: loss, learning rate, gradient norm, bits per byte, tokens a second.

Reads what `metrics` wrote and gives one self-contained page and one PNG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.report import Cell, Measure, Section, html_page, show

from .figures import Curve, Figure, svg, values_table
from .metrics import HELD_OUT, METRICS, STEPS, read_lines

AXES = ("tokens", "steps")
LAST = 20
"""Steps that the table's loss is the mean of."""


@dataclass(frozen=True)
class Run:
    """A run's metrics. `seen` are the tokens after each line of `steps`."""

    label: str
    steps: list[dict[str, Any]]
    held_out: list[dict[str, Any]]
    speed: list[dict[str, Any]]
    seen: list[int]

    @cached_property
    def tokens(self) -> dict[int, int]:
        """The tokens that were read when a step was done."""
        return {line["step"]: seen for line, seen in zip(self.steps, self.seen, strict=True)}

    def places(self, lines: Sequence[dict[str, Any]], axis: str) -> list[float]:
        """Where on the axis each line is."""
        if axis == "steps":
            return [line["step"] for line in lines]
        return list(self.seen) if lines is self.steps else [self.tokens.get(line["step"], 0) for line in lines]


def find_run(path: Path) -> Path:
    """The folder with metrics that a path means: itself, or a run's pretrain step. Raises ConfigError."""
    for folder in (path, *sorted(path.glob("[0-9][0-9]-pretrain"))):
        if (folder / METRICS).is_file():
            return folder
    raise ConfigError(f"'{path}' has no {METRICS}: it is neither the output of `gristmill pretrain` nor a run with it")


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """The runs in folders, labelled by as much of their paths as tells them apart. Raises ConfigError, SchemaError."""
    folders = [find_run(path) for path in paths]
    return [_read(folder, label) for folder, label in zip(folders, labels(paths), strict=True)]


def labels(paths: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as tell all paths apart."""
    resolved = [path.resolve().parts for path in paths]
    for count in range(1, max(map(len, resolved)) + 1):
        found = ["/".join(parts[-count:]) for parts in resolved]
        if len(set(found)) == len(set(resolved)):
            break
    shown = [show(name) for name in found]
    return [f"{name} ({i + 1})" if shown.count(name) > 1 else name for i, name in enumerate(shown)]


def _read(folder: Path, label: str) -> Run:
    steps = list(read_lines(folder / METRICS))
    if not steps:
        raise ConfigError(f"{folder / METRICS} is empty: the run has not made a step yet")
    seen: list[int] = []
    total = 0.0
    for line in steps:
        total += _number(line.get("tokens")) or 0
        seen.append(int(total))
    return Run(label, steps, list(read_lines(folder / HELD_OUT)), list(read_lines(folder / STEPS)), seen)


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if plain and -1e300 < value < 1e300 else None


def figures(runs: Sequence[Run], axis: str = "tokens") -> list[Figure]:
    """All figures that the runs have values for. Raises ConfigError for an unknown axis."""
    if axis not in AXES:
        raise ConfigError(f"--x is one of {', '.join(AXES)}, not '{axis}'")
    found = [
        _of_steps(runs, axis, "Training loss", "nats a predicted token", "loss"),
        *_of_held_out(runs, axis),
        _of_steps(runs, axis, "Gradient norm", "before clipping", "grad_norm", log=True),
        _of_steps(runs, axis, "Learning rate", "of the step", "lr"),
    ]
    speeds = [_curve(run, run.speed, axis, "tokens_per_s") for run in runs]
    found.append(Figure("Throughput", axis, "tokens a second", [c for c in speeds if any(v is not None for v in c.y)]))
    return [figure for figure in found if figure.curves]


def _curve(run: Run, lines: list[dict[str, Any]], axis: str, key: str) -> Curve:
    """A value of each line but those of updates that were left out; a step back (a rewind) breaks it."""
    xs: list[float] = []
    ys: list[float | None] = []
    before = 0
    for line, at in zip(lines, run.places(lines, axis), strict=True):
        if line["step"] <= before:
            xs.append(at)
            ys.append(None)
        before = line["step"]
        if not line.get("skipped"):
            xs.append(at)
            ys.append(_number(line.get(key)))
    return Curve(run.label, xs, ys)


def _of_steps(runs: Sequence[Run], axis: str, title: str, label: str, key: str, log: bool = False) -> Figure:
    curves = []
    for run in runs:
        curve = _curve(run, run.steps, axis, key)
        places = zip(run.steps, run.places(run.steps, axis), strict=True)
        marks = [(at, _number(line.get(key))) for line, at in places if line.get("skipped") and key != "lr"]
        if any(value is not None for value in curve.y):
            curves.append(Curve(curve.label, curve.x, curve.y, marks))
    marked = any(curve.marks for curve in curves)
    return Figure(title, axis, label, curves, log, "an update that was left out" if marked else "")


def _of_held_out(runs: Sequence[Run], axis: str) -> list[Figure]:
    """A figure for each held-out set: bits per byte, or the loss where there are none."""
    names = dict.fromkeys(line["set"] for run in runs for line in run.held_out if isinstance(line.get("set"), str))
    found = []
    for name in names:
        for key, label in (("bits_per_byte", "bits per byte"), ("loss", "nats a target")):
            curves = []
            for run in runs:
                lines = [line for line in run.held_out if line.get("set") == name]
                curve = _curve(run, lines, axis, key)
                if any(value is not None for value in curve.y):
                    curves.append(Curve(curve.label, curve.x, curve.y, dots=True))
            if curves:
                found.append(Figure(f"Held out: {name}", axis, label, curves))
                break
    return found


def overview(runs: Sequence[Run]) -> Section:
    """A table of where each run stands."""
    names = list(dict.fromkeys(str(line.get("set")) for run in runs for line in run.held_out))
    rows: list[list[Cell]] = []
    for run in runs:
        losses = [v for line in run.steps if not line.get("skipped") and (v := _number(line.get("loss"))) is not None]
        recent = losses[-LAST:]
        speeds = sorted(v for line in run.speed if (v := _number(line.get("tokens_per_s"))) is not None)
        row: list[Cell] = [
            run.label, run.steps[-1]["step"], run.seen[-1],
            Measure(sum(recent) / len(recent)) if recent else None,
        ]  # fmt: skip
        for name in names:
            last: dict[str, Any] = next((line for line in reversed(run.held_out) if line.get("set") == name), {})
            value = _number(last.get("bits_per_byte"))
            row.append(None if value is None else Measure(value))
        row += [sum(bool(line.get("skipped")) for line in run.steps), speeds[len(speeds) // 2] if speeds else None]
        rows.append(row)
    columns = [
        "run", "steps", "tokens", "loss", *(f"bits per byte: {name}" for name in names),
        "left out", "tokens/s",
    ]  # fmt: skip
    told = f"Loss is the mean of the last {LAST} steps, speed the median, left out are updates."
    return Section("Runs", columns, rows, told)


def page(runs: Sequence[Run], axis: str = "tokens") -> str:
    """One self-contained page: the table, the figures, and the values that they show."""
    shown = [overview(runs)]
    for figure in figures(runs, axis):
        note = f"A red cross is {figure.mark}." if figure.mark else ""
        shown.append(Section(figure.title, text=note, figures=[svg(figure), values_table(figure)]))
    return html_page("Training: " + ", ".join(run.label for run in runs), shown)
