"""Line charts, as SVG for a page without scripts and as PNG. Whatever has a curve to show builds on `Figure`."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933")
"""Okabe and Ito's, which colour-blind readers can tell apart, but for the last."""
MAX_POINTS = 400
"""Points that are drawn of a curve; more are put together, neighbours into their mean."""

WIDTH, HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BELOW, _LEGEND = 64, 12, 26, 36, 16


@dataclass(frozen=True)
class Curve:
    """A line: `y` over ascending `x`; None breaks it. `marks` are points (x, y) to be pointed out."""

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    marks: Sequence[tuple[float, float | None]] = ()
    dots: bool = False  # show each point, for few


@dataclass(frozen=True)
class Figure:
    """Curves over one pair of axes. `log`: y is logarithmic. `mark` says what the marks are."""

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve] = field(default_factory=list)
    log: bool = False
    mark: str = ""


def thinned(curve: Curve, most: int = MAX_POINTS) -> tuple[Curve, int]:
    """(the curve with at most about `most` points, how many neighbours each of them is the mean of)."""
    group = -(-len(curve.x) // most)
    if group <= 1:
        return curve, 1
    xs: list[float] = []
    ys: list[float | None] = []
    for i in range(0, len(curve.x), group):
        there = [y for y in curve.y[i : i + group] if y is not None]
        part = curve.x[i : i + group]
        xs.append(sum(part) / len(part))
        ys.append(sum(there) / len(there) if there else None)
    return Curve(curve.label, xs, ys, curve.marks, curve.dots), group


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def short(value: float) -> str:
    """A tick's number: 1.5k, 20M, 0.002."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


class _Scale:
    """Where values lie on an axis of `size` pixels from `start` on."""

    def __init__(self, values: Sequence[float], start: float, size: float, log: bool = False) -> None:
        low, high = (min(values), max(values)) if values else (0.1, 1.0)
        if log:
            low, high = math.log10(low), math.log10(high)
        if high - low < 1e-12 * max(1.0, abs(high)):
            low, high = low - 0.5, high + 0.5
        pad = 0.04 * (high - low) if size < 0 else 0.0
        self.low, self.high, self.start, self.size, self.log = low - pad, high + pad, start, size, log

    def __call__(self, value: float) -> float:
        """The pixel of a value; one outside of the axis lies on its end."""
        at = math.log10(value) if self.log else value
        return self.start + self.size * min(1.0, max(0.0, (at - self.low) / (self.high - self.low)))

    def ticks(self) -> list[float]:
        if not self.log:
            return ticks(self.low, self.high)
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        found = [m * 10.0**d for d in decades for m in (1, 2, 5) if self.low <= math.log10(m * 10.0**d) <= self.high]
        return found if len(found) <= 8 else [v for v in found if math.log10(v).is_integer()]


def svg(figure: Figure) -> str:
    """The figure as SVG markup, with its labels escaped."""
    curves = [thinned(curve)[0] for curve in figure.curves]
    usable = [[y for y in curve.y if y is not None and (y > 0 or not figure.log)] for curve in curves]
    x = _Scale([v for curve in curves for v in curve.x], _LEFT, WIDTH - _LEFT - _RIGHT)
    y = _Scale([v for values in usable for v in values], HEIGHT - _BELOW, -(HEIGHT - _BELOW - _TOP), figure.log)
    tall = HEIGHT + _LEGEND * len(curves)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {tall}" width="{WIDTH}" role="img" font-family="system-ui,sans-serif" '
        f'font-size="11"><title>{html.escape(figure.title)}</title>'
        f'<text x="{_LEFT}" y="14" font-weight="bold">{html.escape(figure.y_label)}</text>'
        f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{html.escape(figure.x_label)}</text>'
    ]
    for value in y.ticks():
        at = f"{y(value):.1f}"
        parts.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at}" y2="{at}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 6}" y="{at}" dy="4" text-anchor="end">{short(value)}</text>'
        )
    for value in x.ticks():
        parts.append(f'<text x="{x(value):.1f}" y="{HEIGHT - _BELOW + 14}" text-anchor="middle">{short(value)}</text>')
    for number, curve in enumerate(curves):
        parts.append(_drawn(curve, x, y, COLOURS[number % len(COLOURS)], HEIGHT + _LEGEND * number))
    return "".join(parts) + "</svg>"


def _drawn(curve: Curve, x: _Scale, y: _Scale, colour: str, legend: int) -> str:
    """A curve's lines, marks and place in the legend."""
    parts, line = [], []
    for at, value in [*zip(curve.x, curve.y, strict=True), (0.0, None)]:
        if value is not None and (value > 0 or not y.log):
            line.append(f"{x(at):.1f},{y(value):.1f}")
            continue
        if len(line) > 1:
            points = " ".join(line)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if curve.dots or len(line) == 1:
            parts += [f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="2.5" fill="{colour}"/>' for p in line]
        line = []
    for at, value in curve.marks:
        shown = value is not None and (value > 0 or not y.log)
        px, py = x(at), y(value) if shown and value is not None else float(_TOP)
        told = "not finite" if value is None else f"{value:.6g}"
        parts.append(
            f'<path d="M{px - 4:.1f} {py - 4:.1f}l8 8m0-8l-8 8" stroke="#b00020" stroke-width="1.5" class="mark">'
            f"<title>{at:.12g}: {told}</title></path>"
        )
    name = html.escape(curve.label)
    parts.append(
        f'<line x1="{_LEFT}" x2="{_LEFT + 18}" y1="{legend + 6}" y2="{legend + 6}" stroke="{colour}" stroke-width="3"/>'
        f'<text x="{_LEFT + 24}" y="{legend + 10}">{name}</text>'
    )
    return "".join(parts)


def values_table(figure: Figure) -> str:
    """All points that are drawn, as a table that can be folded out."""
    parts = [f"<details><summary>Values: {html.escape(figure.title)}</summary>"]
    for curve in figure.curves:
        few, group = thinned(curve)
        told = f" (means of {group})" if group > 1 else ""
        parts.append(
            f"<table><caption>{html.escape(curve.label)}{told}</caption>"
            f"<tr><th>{html.escape(figure.x_label)}</th><th>{html.escape(figure.y_label)}</th></tr>"
        )
        for at, value in zip(few.x, few.y, strict=True):
            shown = "" if value is None else f"{value:.6g}"
            parts.append(f"<tr><td class=n>{at:.12g}</td><td class=n>{shown}</td></tr>")
        parts.append("</table>")
    return "".join(parts) + "</details>"


def write_png(figures: Sequence[Figure], path: Path, title: str = "") -> None:
    """Draw the figures into one PNG, two beside each other. Raises ConfigError where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise ConfigError("a PNG needs matplotlib: pip install 'gristmill[pretrain]'") from error
    rows = max(1, -(-len(figures) // 2))
    canvas = Canvas(figsize=(12, 3.4 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(canvas)
    canvas.suptitle(_plain(title))
    for number, figure in enumerate(figures):
        axes = canvas.add_subplot(rows, 2, number + 1)
        for curve, colour in zip(figure.curves, COLOURS * len(figure.curves), strict=False):
            few, _ = thinned(curve)
            values = [math.nan if v is None else v for v in few.y]
            axes.plot(few.x, values, colour, marker="." if curve.dots else "", linewidth=1.2, label=_plain(curve.label))
        if figure.log:
            axes.set_yscale("log")
        _mark(axes, figure)
        axes.set(title=_plain(figure.title), xlabel=figure.x_label, ylabel=_plain(figure.y_label))
        axes.grid(alpha=0.3)
        if figure.curves:
            axes.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, format="png", metadata={"Software": None})


def _mark(axes: Any, figure: Figure) -> None:
    """Draw the marks; what lies outside of the curves' range comes to its end."""
    low, high = axes.get_ylim()
    for curve in figure.curves:
        shown = [(at, high if value is None else min(max(value, low), high)) for at, value in curve.marks]
        if shown:
            axes.plot(*zip(*shown, strict=True), "x", color="#b00020", markersize=6, clip_on=False)
    axes.set_ylim(low, high)


def _plain(text: str) -> str:
    """Text that matplotlib does not read as a formula, nor leaves out of a legend."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")
