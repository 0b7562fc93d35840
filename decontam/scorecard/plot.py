"""A dot plot of the scorecard as one SVG: a row a form, a panel a method, each share with its interval."""

from __future__ import annotations

import html
from typing import Any

LEFT, TOP, ROW, PANEL, GAP = 150, 62, 15, 100, 24
COLOURS = {True: "#2f6fb3", False: "#c2571a"}
"""Plants, whose share should be 1; hard negatives, whose share should be 0."""
GRID = (0.0, 0.5, 1.0)


def dots(result: dict[str, Any]) -> str:
    """The plot of a result of `compare`. All of its numbers stand in titles too, which browsers show at the mouse."""
    forms = [form for form in result["forms"] if form["cases"]]
    methods = result["methods"]
    split = sum(form["contaminated"] for form in forms)
    heights = [TOP + ROW * (at + 0.5) + (ROW if at >= split else 0) for at in range(len(forms))]
    width = LEFT + len(methods) * (PANEL + GAP)
    height = TOP + ROW * (len(forms) + 1) + 28
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" width="{width}" role="img" '
        'font-family="system-ui,sans-serif" font-size="10.5">',
        f"<title>Share of cases that each method flags, {html.escape(result['half'])} half</title>",
        f'<rect width="{width}" height="{height:g}" fill="#fff"/>',
        _key(),
    ]
    for form, y in zip(forms, heights, strict=True):
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 3.5:g}" text-anchor="end" fill="{COLOURS[form["contaminated"]]}">'
            f"{html.escape(form['form'])}<title>{html.escape(form['doc'])}</title></text>"
        )
    for column, (name, method) in enumerate(methods.items()):
        parts.append(_panel(LEFT + column * (PANEL + GAP), heights, name, method["forms"]))
    parts.append("</svg>")
    return "".join(parts)


def _key() -> str:
    return (
        f'<circle cx="12" cy="12" r="3" fill="{COLOURS[True]}"/><text x="20" y="15.5" fill="#333">plants: recall</text>'
        f'<circle cx="12" cy="27" r="3" fill="{COLOURS[False]}"/><text x="20" y="30.5" fill="#333">negatives: false '
        "positives</text>"
    )


def _panel(x: int, heights: list[float], name: str, rows: list[dict[str, Any]]) -> str:
    top, bottom = TOP - 2, heights[-1] + ROW / 2 if heights else TOP
    parts = [f'<text x="{x}" y="{TOP - 8}" font-weight="600" fill="#222">{html.escape(name)}</text>']
    for mark in GRID:
        at = x + PANEL * mark
        parts.append(f'<line x1="{at:g}" x2="{at:g}" y1="{top}" y2="{bottom:g}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:g}" y="{bottom + 12:g}" text-anchor="middle" fill="#666">{mark:g}</text>')
    for row, y in zip(rows, heights, strict=True):
        colour = COLOURS[row["contaminated"]]
        low, high, at = (x + PANEL * row[key] for key in ("low", "high", "rate"))
        told = f"{name}, {row['form']}: {row['flagged']} of {row['cases']}, {row['rate']:.3f}"
        told += f" ({row['low']:.3f} to {row['high']:.3f})"
        parts.append(
            f'<g class="dot"><title>{html.escape(told)}</title>'
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y:g}" y2="{y:g}" stroke="{colour}" stroke-width="1.5"/>'
            f'<circle cx="{at:.1f}" cy="{y:g}" r="3" fill="{colour}"/></g>'
        )
    return "".join(parts)
