"""Learning curves as SVG: the mean over seeds as a line, the seeds' range as a band."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COLOURS = ("#1f5fa8", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be185d", "#0f766e", "#475569")
WIDTH, HEIGHT = 620, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 150, 18, 42


@dataclass(frozen=True)
class Line:
    """An arm's curve: x and, at each x, the seeds' values."""

    name: str
    x: Sequence[float]
    values: Sequence[Sequence[float]]


def chart(lines: Sequence[Line], x_title: str, y_title: str) -> str:
    """An SVG chart; all texts in it are escaped."""
    xs = [x for line in lines for x in line.x]
    ys = [value for line in lines for values in line.values for value in values]
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    right, high = (right if right > left else left + 1), (high if high > low else low + 1e-3)

    def at(x: float, y: float) -> str:
        across = _LEFT + (x - left) / (right - left) * (WIDTH - _LEFT - _RIGHT)
        down = _TOP + (high - y) / (high - low) * (HEIGHT - _TOP - _BOTTOM)
        return f"{across:.1f},{down:.1f}"

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" font-size="11" font-family="sans-serif">',
        f"<title>{html.escape(y_title)} over {html.escape(x_title)}</title>",
    ]
    for k in range(5):
        y = low + (high - low) * k / 4
        x0, y0 = at(left, y).split(",")
        parts.append(f'<line x1="{x0}" y1="{y0}" x2="{WIDTH - _RIGHT}" y2="{y0}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{float(y0) + 4:.1f}" text-anchor="end">{y:.3f}</text>')
        x = left + (right - left) * k / 4
        parts.append(
            f'<text x="{at(x, low).split(",")[0]}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">{_short(x)}</text>'
        )
    parts.append(f'<text x="{_LEFT}" y="{_TOP - 6}">{html.escape(y_title)}</text>')
    parts.append(f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{html.escape(x_title)}</text>')
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        upper = [at(x, max(values)) for x, values in zip(line.x, line.values, strict=True)]
        lower = [at(x, min(values)) for x, values in zip(line.x, line.values, strict=True)]
        means = [at(x, sum(values) / len(values)) for x, values in zip(line.x, line.values, strict=True)]
        parts.append(f'<polygon points="{" ".join([*upper, *reversed(lower)])}" fill="{colour}" opacity="0.15"/>')
        parts.append(f'<polyline points="{" ".join(means)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in means:
            x0, y0 = point.split(",")
            parts.append(f'<circle cx="{x0}" cy="{y0}" r="2.5" fill="{colour}"/>')
        y_at = _TOP + 14 + 16 * number
        parts.append(f'<rect x="{WIDTH - _RIGHT + 12}" y="{y_at - 9}" width="12" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - _RIGHT + 30}" y="{y_at}">{html.escape(line.name[:20])}</text>')
    return "".join([*parts, "</svg>"])


def lines_of(points: Mapping[str, Sequence[Sequence[tuple[float, float]]]]) -> list[Line]:
    """Lines of (x, y) points by arm and seed; the x of the first seed stands for all."""
    return [
        Line(name, [x for x, _ in seeds[0]], [[y for _, y in column] for column in zip(*seeds, strict=True)])
        for name, seeds in points.items()
        if seeds and seeds[0]
    ]


def _short(value: float) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
