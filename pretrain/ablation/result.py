"""What the runs say: figures in bits per byte for each arm and seed, differences, verdicts.

Figures: `held_out/NAME` is the sum of a set's nats over its documents / ln 2 / their UTF-8 bytes; `held_out` the plain
mean over the sets; `gold/NAME` the same of a benchmark's gold answers; `gold` the mean over benchmarks. Lower is
better. A comparison's difference is the first arm's figure minus the second's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .design import GROUPS, Design
from .prepare import Measured
from .statistics import Documents, Interval, holm, paired_bootstrap, paired_t, seeds_needed, verdict

MAX_EPOCHS = 4
"""Passes over an arm from which on a repeated token is worth clearly less than a new one (Muennighoff et al. 2023)."""
EQUAL = 0.01
"""Arms whose tokens differ by a greater share get a note."""


@dataclass(frozen=True)
class ArmResult:
    """An arm as it was trained on."""

    name: str
    kind: str
    documents: int
    text_bytes: int
    tokens: int
    sequences: int
    epochs: dict[str, float]  # by reading
    steps: dict[str, int]
    seen_bytes: dict[str, float]

    @property
    def bytes_per_token(self) -> float:
        return self.text_bytes / max(1, self.tokens)


@dataclass(frozen=True)
class Run:
    """A run and its figures."""

    arm: str
    seed: int
    reading: str
    steps: int
    tokens: int
    loss: float
    values: dict[str, float]
    curve: tuple[dict[str, Any], ...]
    skipped: int = 0  # updates that were left out as spikes


@dataclass(frozen=True)
class Comparison:
    """Two arms held against each other on one figure in one reading."""

    figure: str
    reading: str
    first: str
    second: str
    first_mean: float
    second_mean: float
    first_deviation: float
    second_deviation: float
    by_seed: Interval
    by_document: Interval
    p: float  # of `by_seed`, corrected for the number of verdicts; of figures without a verdict as it is
    verdict: str  # of the first arm: better, worse, tie, undecided; empty where none was asked for

    @property
    def difference(self) -> float:
        """Bits per byte; negative: the first arm is better."""
        return self.by_seed.mean


@dataclass(frozen=True)
class Result:
    """An ablation's outcome."""

    design: Design
    arms: tuple[ArmResult, ...]
    runs: tuple[Run, ...]
    comparisons: tuple[Comparison, ...]  # those that were judged
    by_set: tuple[Comparison, ...]  # all other figures, p not corrected
    overlap: tuple[dict[str, Any], ...]
    tokenizer: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    def values(self, figure: str, arm: str, reading: str = "tokens") -> list[float]:
        """A figure of an arm, by seed."""
        return [run.values[figure] for run in self.runs if run.arm == arm and run.reading == reading]

    def comparison(self, first: str, second: str, figure: str = "held_out", reading: str = "tokens") -> Comparison:
        """The comparison of two arms on a figure, whichever way it was made. Raises KeyError."""
        for one in (*self.comparisons, *self.by_set):
            if (one.figure, one.reading) == (figure, reading):
                if (one.first, one.second) == (first, second):
                    return one
                if (one.first, one.second) == (second, first):
                    return turned(one)
        raise KeyError(f"{first} against {second} on {figure} at equal {reading}")

    def verdicts(self) -> list[str]:
        """The verdicts as sentences."""
        return [sentence(one, self.design) for one in self.comparisons]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: no NaN, no infinity, nothing that two runs on one machine would differ in."""
        return _plain(
            {
                "design": self.design.plain(),
                "tokenizer": self.tokenizer,
                "arms": [{**asdict(arm), "bytes_per_token": arm.bytes_per_token} for arm in self.arms],
                "overlap": list(self.overlap),
                "notes": list(self.notes),
                "verdicts": self.verdicts(),
                "comparisons": [asdict(one) for one in self.comparisons],
                "by_set": [asdict(one) for one in self.by_set],
                "runs": [asdict(run) for run in self.runs],
            }
        )


def turned(one: Comparison) -> Comparison:
    """The comparison seen from the second arm."""
    words = {"better": "worse", "worse": "better"}
    return replace(
        one, first=one.second, second=one.first, first_mean=one.second_mean, second_mean=one.first_mean,
        first_deviation=one.second_deviation, second_deviation=one.first_deviation, by_seed=_turned(one.by_seed),
        by_document=_turned(one.by_document), verdict=words.get(one.verdict, one.verdict),
    )  # fmt: skip


def _turned(one: Interval) -> Interval:
    return replace(one, mean=-one.mean, low=-one.high, high=-one.low)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def figures(nats: Mapping[str, NDArray[np.float64]], measured: Sequence[Measured]) -> dict[str, float]:
    """All figures of one run; `nats` by set."""
    found: dict[str, float] = {}
    for one in measured:
        if one.keep.any():
            found[one.key] = float(nats[one.key][one.keep].sum() / one.text_bytes[one.keep].sum() / math.log(2))
    for group in GROUPS:
        mine = [value for key, value in found.items() if key.startswith(f"{group}/")]
        if mine:
            found[group] = float(np.mean(mine))
    return found


def compare(
    design: Design,
    arms: Sequence[str],
    measured: Sequence[Measured],
    runs: Sequence[Run],
    nats: Mapping[tuple[str, str], Mapping[str, NDArray[np.float64]]],
) -> tuple[tuple[Comparison, ...], tuple[Comparison, ...]]:
    """(judged comparisons, all others). `nats`: by (arm, reading) and set, the mean over seeds of each document's."""
    judged: list[Comparison] = []
    others: list[Comparison] = []
    pairs = list(combinations(arms, 2)) if design.compare == "all" else [(arms[0], arm) for arm in arms[1:]]
    known = list(runs[0].values)
    for reading in design.readings:
        for figure in sorted(known, key=lambda name: (name not in design.judge, name not in GROUPS)):
            sets = [one for one in measured if figure in (one.group, one.key) and one.keep.any()]
            for first, second in pairs:
                made = _compared(figure, reading, first, second, runs, sets, nats, design)
                (judged if figure in design.judge else others).append(made)
    corrected = holm([one.by_seed.p for one in judged])
    return tuple(
        replace(one, p=p, verdict=verdict(one.by_seed, p, design.margin, design.alpha))
        for one, p in zip(judged, corrected, strict=True)
    ), tuple(others)


def _compared(
    figure: str,
    reading: str,
    first: str,
    second: str,
    runs: Sequence[Run],
    sets: Sequence[Measured],
    nats: Mapping[tuple[str, str], Mapping[str, NDArray[np.float64]]],
    design: Design,
) -> Comparison:
    a, b = (
        np.array([run.values[figure] for run in runs if (run.arm, run.reading) == (arm, reading)])
        for arm in (first, second)
    )
    documents = [
        Documents(
            nats[first, reading][one.key][one.keep], nats[second, reading][one.key][one.keep],
            one.text_bytes[one.keep],
        )
        for one in sets
    ]  # fmt: skip
    spread_a, spread_b = (float(x.std(ddof=1)) if len(x) > 1 else math.nan for x in (a, b))
    by_seed = paired_t(a - b)
    return Comparison(
        figure, reading, first, second, float(a.mean()), float(b.mean()), spread_a, spread_b, by_seed,
        paired_bootstrap(documents, design.resamples, design.seed), by_seed.p, "",
    )  # fmt: skip


_FIGURES = {"held_out": "held-out text", "gold": "gold answers"}


def sentence(one: Comparison, design: Design) -> str:
    """A verdict in words."""
    what = _FIGURES.get(one.figure, one.figure.replace("_", "-"))
    where = f"{what}, equal {one.reading}"
    d, p = one.by_seed, f"p = {one.p:.2g}" if one.p >= 1e-4 else "p < 0.0001"
    if one.verdict in ("better", "worse"):
        better, worse = (one.first, one.second) if d.mean < 0 else (one.second, one.first)
        said = f"{better} better than {worse} by {abs(d.mean):.4f} +- {d.half:.4f} bits per byte, {p} ({where})"
        apart = one.by_document.low > 0 or one.by_document.high < 0
        return said if apart else f"{said}; other documents might say otherwise: the bootstrap over them holds 0"
    if one.verdict == "tie":
        return (
            f"{one.first} and {one.second} tie: no difference larger than {design.margin:g} bits per byte; it is"
            f" {d.mean:+.4f} +- {d.half:.4f}, {p} ({where})"
        )
    if d.n < 2:
        return f"{one.first} and {one.second}: undecided, one seed has no spread; take more seeds ({where})"
    needed = seeds_needed(d.mean, d.deviation, alpha=design.alpha)
    more = f"; a difference as large would take some {needed} seeds to show" if needed > d.n else ""
    return f"{one.first} and {one.second}: undecided; {d.mean:+.4f} +- {d.half:.4f} bits per byte, {p} ({where}){more}"


def notes_on(arms: Sequence[ArmResult], runs: Sequence[Run]) -> list[str]:
    """What a reader should know before the verdicts."""
    found = [
        f"arm '{arm.name}' is gone through {max(arm.epochs.values()):.1f} times: past {MAX_EPOCHS} passes repeated text"
        " is worth clearly less than new text (Muennighoff et al. 2023); give more, or take fewer steps"
        for arm in arms
        if max(arm.epochs.values()) > MAX_EPOCHS
    ]
    left_out = {arm.name: sum(run.skipped for run in runs if run.arm == arm.name) for arm in arms}
    if any(left_out.values()):
        told = ", ".join(f"{name} {count}" for name, count in left_out.items())
        found.append(f"updates were left out as loss spikes: {told}; runs/NAME/spikes.jsonl names their documents")
    means = {
        arm.name: float(np.mean([r.tokens for r in runs if (r.arm, r.reading) == (arm.name, "tokens")] or [0]))
        for arm in arms
    }
    if min(means.values()) < (1 - EQUAL) * max(means.values()):
        told = ", ".join(f"{name} {value:,.0f}" for name, value in means.items())
        found.append(f"the arms' packs are filled unlike: tokens of a run are {told}")
    return found
