"""An ablation's result as tables for the terminal and as a self-contained page with curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from pipeline.report import Cell, Measure, Section, html_page
from pipeline.store import atomic_path
from pretrain.figures import Curve, Figure, svg, values_table

from .result import Comparison, Result

_COLUMNS = (
    "figure", "equal", "arms", "first: mean (deviation)", "second: mean (deviation)", "difference",
    "95 % interval", "p", "documents: 95 % interval",
)  # fmt: skip


def sections(result: Result) -> list[Section]:
    """Verdicts first, then what they rest on."""
    design = result.design
    return [
        Section("Verdicts", ("verdict",), [(one,) for one in result.verdicts()], _how(result)),
        *([Section("Notes", ("note",), [(one,) for one in result.notes])] if result.notes else []),
        Section(
            "Comparisons, bits per byte",
            (*_COLUMNS, "verdict on the first"),
            [(*_row(one), one.verdict) for one in result.comparisons],
            "A negative difference: the first arm is better. p: paired t over seeds, corrected by Holm for all verdicts"
            " of the page. documents: 95 % interval of a paired bootstrap over held-out documents.",
        ),
        Section(
            "By set",
            _COLUMNS,
            [_row(one) for one in result.by_set],
            "p is not corrected here: these figures say where a difference lies, they prove none.",
        ),
        Section(
            "Arms",
            ("arm", "made of", "documents", "bytes of text", "tokens", "bytes per token",
             *(f"{what}, equal {reading}" for reading in design.readings for what in ("steps", "epochs"))),
            [
                (
                    arm.name, arm.kind, arm.documents, arm.text_bytes, arm.tokens, Measure(arm.bytes_per_token),
                    *(x for reading in design.readings for x in (arm.steps[reading], Measure(arm.epochs[reading]))),
                )
                for arm in result.arms
            ],
            f"Tokenizer: {result.tokenizer['from']}, {result.tokenizer['vocab_size']:,} ids,"
            f" {result.tokenizer['fingerprint']}.",
        ),
        Section(
            "Copies of what is measured, in the arms",
            ("set", "texts", "used", *(arm.name for arm in result.arms)),
            [(one["set"], one["texts"], one["kept"], *one["copies"].values()) for one in result.overlap],
            f"A text counts as a copy if at least {design.max_overlap:.0%} of its 13-grams occur in the arm.",
        ),
    ]  # fmt: skip


def _how(result: Result) -> str:
    design = result.design
    return (
        f"{design.seeds} seeds, size {design.size}, {design.run_steps:,} steps of {design.step_tokens:,} tokens, margin"
        f" of a tie {design.margin:g} bits per byte, {len(result.comparisons)} verdicts."
    )


def _row(one: Comparison) -> tuple[Cell, ...]:
    seeds, documents = one.by_seed, one.by_document
    return (
        one.figure, one.reading, f"{one.first} - {one.second}", _mean(one.first_mean, one.first_deviation),
        _mean(one.second_mean, one.second_deviation), f"{seeds.mean:+.4f}", _interval(seeds.low, seeds.high),
        Measure(one.p), _interval(documents.low, documents.high),
    )  # fmt: skip


def _mean(value: float, deviation: float) -> str:
    return f"{value:.4f}" if math.isnan(deviation) else f"{value:.4f} ({deviation:.4f})"


def _interval(low: float, high: float) -> str:
    return f"{low:+.4f} to {high:+.4f}" if math.isfinite(high - low) else "none: one seed"


def curves(result: Result) -> list[Section]:
    """A figure of the mean over held-out sets and one of each set: means over seeds, of runs at equal tokens if any."""
    reading = result.design.readings[0]
    runs = [run for run in result.runs if run.reading == reading and run.curve]
    figures: list[str] = []
    for key in runs[0].curve[0]["bits_per_byte"] if runs else ():
        lines = []
        for arm in result.arms:
            seeds = [run.curve for run in runs if run.arm == arm.name]
            y = [mean(point["bits_per_byte"][key] for point in points) for points in zip(*seeds, strict=True)]
            lines.append(Curve(arm.name, [point["tokens"] for point in seeds[0]], y, dots=True))
        figure = Figure(f"{key}, equal {reading}", "tokens", f"{key}, bits per byte", lines)
        figures += [svg(figure), values_table(figure)]
    text = "Means over seeds, on the beginnings of some documents of each held-out set, copies in arms among them."
    return [Section("Curves", text=text, figures=figures)] if figures else []


def terminal(result: Result) -> list[Section]:
    """The tables that fit a terminal."""
    return [
        Section(
            "Bits per byte",
            ("figure", "equal", *(arm.name for arm in result.arms)),
            [
                (
                    figure, reading,
                    *(_spread(result.values(figure, arm.name, reading)) for arm in result.arms),
                )
                for reading in result.design.readings
                for figure in sorted(result.runs[0].values, key=lambda name: ("/" in name, name))
            ],
            "mean over seeds (deviation)",
        ),
        *(
            Section(
                "Arms",
                ("arm", "made of", "documents", "tokens", "bytes per token", "epochs"),
                [
                    (arm.name, arm.kind, arm.documents, arm.tokens, Measure(arm.bytes_per_token),
                     Measure(max(arm.epochs.values())))
                    for arm in result.arms
                ],
            ),
        ),
    ]  # fmt: skip


def _spread(values: Sequence[float]) -> str:
    return _mean(mean(values), stdev(values)) if len(values) > 1 else f"{mean(values):.4f}"


def write(result: Result, out: Path) -> None:
    """Write `report.html`."""
    first, *rest = sections(result)
    page = html_page("Data ablation", [first, *curves(result), *rest])
    with atomic_path(out / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
