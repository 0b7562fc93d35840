"""The evaluation as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...report import Cell, Section

_TITLES = {
    "wcxb": "WCXB, development split",
    "daniel_waddle": "DANIEL, news in five languages",
    "trafilatura_segments": "trafilatura's segments",
}


def sections(result: Mapping[str, Any]) -> list[Section]:
    """Tables of a result as `report.evaluation` makes it."""
    found: list[Section] = []
    keys = dict.fromkeys((row["set"], row["measure"]) for row in result["scores"])
    for name, measure in keys:
        rows: list[list[Cell]] = []
        for row in result["scores"]:
            if (row["set"], row["measure"]) == (name, measure):
                figures = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1")]
                rows.append([row["slice"], row["pages"], row["contender"], *figures, _lead(row["lead"])])
        heads = ("pages of", "pages", "contender", "precision", "recall", "F1", f"lead of {result['first']} (95 %)")
        found.append(Section(f"{_TITLES.get(name, name)}: {measure}", heads, rows))
    if result["speed"]:
        found.append(_speed(result["speed"]))
    if result["metadata"]:
        columns = ("contender", "field", "pages", "right", "given", "given where the gold has none")
        rows = [
            [r["contender"], r["field"], r["pages"], *(_share(r[key]) for key in ("right", "given", "unasked"))]
            for r in result["metadata"]
        ]
        found.append(Section("Metadata, pages of WCXB", columns, rows))
    lacking = {name: count for name, count in result["missing"].items() if count}
    if lacking:
        text = ", ".join(f"{name} {count}" for name, count in lacking.items())
        found.append(Section("Gold records without a page", text=text))
    return found


def _speed(speed: list[dict[str, Any]]) -> Section:
    base = speed[0]["pages_per_s"]
    rows: list[list[Cell]] = []
    for row in speed:
        rate = row["pages_per_s"]
        errors = ", ".join(f"{kind} {count}" for kind, count in row["errors"].items())
        times = f"{rate / base:.2f}" if rate and base else ""
        slowest = f"{row['slowest_s']:.2f}"
        rows.append([row["contender"], row["pages"], rate, times, slowest, row["empty"], errors or "none"])
    columns = ("engine", "pages", "pages/s of CPU", "of the first", "slowest page, s", "no text", "errors")
    return Section("Speed, the engine's call alone", columns, rows)


def _lead(lead: list[float | None] | None) -> str:
    if lead is None:
        return ""
    difference, low, high = lead
    return f"{difference:+.3f}" + (" (one site)" if low is None else f" [{low:+.3f}, {high:+.3f}]")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
