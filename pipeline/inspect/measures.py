"""What a filter measured: thresholds, how many documents fail each rule, and a histogram of every measure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.stage import Rule

from .facts import Facts, Measure
from .runs import StageRun

BINS = 40
LOG_ABOVE = 25.0
"""A measure whose largest value is more than so many times its mean is drawn on a logarithmic scale."""


@dataclass(frozen=True)
class RuleRun:
    """A rule with the threshold that the run had."""

    rule: Rule
    threshold: float | None
    origin: str  # "run", "default" (the files don't say) or "off"
    by_language: dict[str, float | None] | None  # None: the run had a table that is not at hand any more
    measure: Measure | None

    def limit(self) -> Any:
        """The threshold of each document, as a polars expression (null = the rule is off)."""
        import polars as pl

        own = {k: v for k, v in (self.by_language or {}).items() if v != self.threshold}
        default = pl.lit(self.threshold, pl.Float64)
        if not own:
            return default
        none = [lang for lang, value in own.items() if value is None]
        numbers = {lang: value for lang, value in own.items() if value is not None}
        out = default
        if numbers:
            out = pl.col("lang").replace_strict(numbers, default=default, return_dtype=pl.Float64)
        return pl.when(pl.col("lang").is_in(none)).then(None).otherwise(out) if none else out

    def value(self) -> Any:
        """The measure of each document; null where it is missing or no number."""
        import polars as pl

        assert self.measure is not None
        column = pl.col(self.measure.column)
        return pl.when(column.is_nan()).then(None).otherwise(column)

    def fails(self) -> Any:
        """Whether each document fails the rule, as a polars expression (never null)."""
        import polars as pl

        value = self.value()
        limit = self.limit().cast(pl.Float32) if self._single else self.limit()
        passes = {">=": value >= limit, ">": value > limit, "<=": value <= limit, "<": value < limit}[self.rule.keep]
        return ~passes.fill_null(True)

    @property
    def _single(self) -> bool:
        return self.measure is not None and not self.measure.name and not self.measure.integer


def rules_of(facts: Facts, number: int) -> list[RuleRun]:
    """The rules of a stage, those that are off too; with `measure` None where the files have no such score."""
    stage: StageRun = facts.step.stages[number]
    measures = {m.name: m for m in facts.measures if m.stage == number}
    return [RuleRun(r, *stage.threshold(r), stage.by_language(r), measures.get(r.measure)) for r in stage.rules]


def describe_measures(facts: Facts, number: int) -> list[dict[str, Any]]:
    """For each measure of a stage: documents that carry it, smallest, largest, mean, its rules, a histogram.

    A rule tells how many documents that reached the filter fail it, and how many fail only it of the filter's rules.
    """
    import polars as pl

    measures = [m for m in facts.measures if m.stage == number]
    if not measures:
        return []
    rules = [r for r in rules_of(facts, number) if r.measure is not None]
    fails = [r.fails() for r in rules]
    together = pl.sum_horizontal([f.cast(pl.Int32) for f in fails]) if fails else pl.lit(0)
    reached = pl.col("_stage") >= number
    asked = [
        expr.alias(f"{what}{i}") for i, m in enumerate(measures) for what, expr in _statistics(pl.col(m.column)).items()
    ]
    asked += [(f & reached).sum().alias(f"fails{i}") for i, f in enumerate(fails)]
    asked += [(f & reached & (together == 1)).sum().alias(f"alone{i}") for i, f in enumerate(fails)]
    row = facts.scan().select(asked).collect(engine="streaming").row(0, named=True)
    for i in range(len(measures)):  # the sum's last digits hang on the order in which threads finish
        mean = row[f"mean{i}"]
        row[f"mean{i}"] = None if mean is None else float(f"{mean:.9g}")
    out = []
    grids: dict[str, np.ndarray] = {}
    for i, measure in enumerate(measures):
        own = [(j, r) for j, r in enumerate(rules) if r.measure == measure]
        marks = [r.threshold for _, r in own if r.threshold is not None]
        low, high = row[f"min{i}"], row[f"max{i}"]
        scale = "linear"
        if row[f"count{i}"]:
            scale, grids[measure.column] = grid(low, high, row[f"mean{i}"], marks, measure.integer)
        out.append(
            {
                "measure": measure.name,
                "documents": row[f"count{i}"],
                "min": low,
                "mean": row[f"mean{i}"],
                "max": high,
                "rules": [_rule(r, row[f"fails{j}"], row[f"alone{j}"]) for j, r in own],
                "scale": scale,
                "histogram": None,
            }
        )
    counts = _histograms(facts, number, grids)
    for measure, entry in zip(measures, out, strict=True):
        if measure.column in grids:
            edges = [float(e) for e in grids[measure.column]]
            entry["histogram"] = {"edges": edges, **counts[measure.column]}
    return out


def _statistics(column: Any) -> dict[str, Any]:
    import polars as pl

    finite = column.is_finite().fill_null(False)
    some = column.filter(finite).cast(pl.Float64)
    return {"count": finite.sum(), "min": some.min(), "max": some.max(), "mean": some.mean()}


def _rule(rule: RuleRun, fails: int, alone: int) -> dict[str, Any]:
    return {
        "option": rule.rule.option,
        "keep": rule.rule.keep,
        "threshold": rule.threshold,
        "origin": rule.origin,
        "by_language": rule.by_language,
        "fails": fails,
        "fails_alone": alone,
    }


def grid(
    low: float, high: float, mean: float, marks: list[float], integer: bool, bins: int = BINS
) -> tuple[str, np.ndarray]:
    """(scale, edges) of a histogram from `low` to `high` that shows all `marks`, one edge being the first mark.

    The scale is "unit" (one bin for each whole number), "linear", or "log" (equal steps of log(1 + x)) where the values
    spread widely. Edges are finite and rise; the last one is at or above the largest value.
    """
    spread = [low, high, *marks]
    start, stop = min(spread), max(spread)
    logarithmic = start >= 0 and stop > 2 and stop > LOG_ABOVE * max(mean, 1e-9)
    if stop <= start and not integer:
        return "linear", np.array([start, start + max(abs(start) * 0.01, 1e-6)])
    if integer and not logarithmic and stop - start <= 2 * bins:
        return "unit", np.arange(math.floor(start), math.floor(stop) + 2, dtype=np.float64)
    anchor = marks[0] if marks else start
    if logarithmic:
        edges = np.expm1(_steps(math.log1p(start), math.log1p(stop), math.log1p(anchor), bins))
        edges[0] = max(edges[0], 0.0)
    else:
        edges = _steps(start, stop, anchor, bins)
        if start >= 0:
            edges[0] = max(edges[0], 0.0)
    edges[np.argmin(np.abs(edges - anchor))] = anchor  # exactly, after rounding
    edges[0], edges[-1] = min(edges[0], start), max(edges[-1], stop)
    edges = np.unique(edges)
    return ("log" if logarithmic else "linear"), edges


def _steps(start: float, stop: float, anchor: float, bins: int) -> np.ndarray:
    width = (stop - start) / bins
    before, after = math.ceil((anchor - start) / width - 1e-9), math.ceil((stop - anchor) / width - 1e-9)
    return anchor + width * np.arange(-before, after + 1)


STATES = ("kept", "dropped", "earlier")
"""By this filter; `earlier`: dropped by an earlier stage, yet scored."""


def _histograms(facts: Facts, number: int, grids: dict[str, np.ndarray]) -> dict[str, dict[str, list[int]]]:
    """Counts by bin: [a, b), the last bin with its end, as numpy.histogram has it."""
    import polars as pl

    out = {name: {state: [0] * (len(edges) - 1) for state in STATES} for name, edges in grids.items()}
    if not grids:
        return out

    def binned(column: str, edges: np.ndarray) -> Any:
        def places(values: Any) -> Any:
            numbers = values.to_numpy()
            bins = np.searchsorted(edges, numbers, side="right") - 1
            bins[numbers == edges[-1]] = len(edges) - 2
            return pl.Series(bins.astype(np.int16))

        value = pl.when(pl.col(column).is_finite()).then(pl.col(column).cast(pl.Float64)).fill_null(np.nan)
        places_ = value.map_batches(places, return_dtype=pl.Int16, is_elementwise=True)
        return pl.when(value.is_nan()).then(None).otherwise(places_).alias(column)

    stage = pl.col("_stage")
    state = pl.when(stage == number).then(1).when(stage > number).then(0).otherwise(2).alias("state")
    counted = (
        facts.scan()
        .select(state, *(binned(column, edges) for column, edges in grids.items()))
        .unpivot(index="state", variable_name="measure", value_name="bin")
        .drop_nulls()
        .group_by("state", "measure", "bin")
        .len()
        .collect(engine="streaming")
    )
    for which, measure, place, n in counted.iter_rows():
        out[measure][STATES[which]][place] = n
    return out
