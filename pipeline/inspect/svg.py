"""Histograms: inline SVG for the page, block characters for the terminal. Kept and dropped in two shades."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.report import show

WIDTH, HEIGHT, BELOW, ABOVE = 640, 130, 34, 22
COLOURS = {"kept": "#4a86c5", "dropped": "#d9772b", "earlier": "#c4c4c4"}
BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN_BLOCKS = ".:-=+*%#"


def number(value: float) -> str:
    """A number on an axis."""
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3g}"


def place(value: float, edges: Sequence[float]) -> float:
    """Where a value lies on the axis, 0 to 1: bins are drawn equally wide."""
    last = len(edges) - 2
    at = min(max(int(np.searchsorted(edges, value, side="right")) - 1, 0), last)
    inside = (value - edges[at]) / (edges[at + 1] - edges[at])
    return (at + min(max(inside, 0.0), 1.0)) / (last + 1)


def marks(entry: dict[str, Any]) -> list[tuple[float, str]]:
    """(place on the axis, 0 to 1, and label) of the thresholds of a measure that are on.

    Where each whole number has its bin, a threshold that is itself kept (or dropped) lies behind its bin.
    """
    found = []
    for rule in entry["rules"]:
        value = rule["threshold"]
        if value is not None:
            behind = entry["scale"] == "unit" and rule["keep"] in ("<=", ">") and value == int(value)
            found.append((place(value + behind, entry["histogram"]["edges"]), f"{rule['keep']} {number(value)}"))
    return found


def histogram_svg(entry: dict[str, Any], title: str) -> str:
    """The histogram of a measure (an entry of `describe_measures`); a bar's area is shared by its kinds of documents.

    Heights are square roots of counts, so that a small part can be seen beside a large one.
    """
    histogram = entry["histogram"]
    edges, states = histogram["edges"], [s for s in COLOURS if any(histogram[s])]
    n = len(edges) - 1
    totals = [sum(histogram[s][i] for s in COLOURS) for i in range(n)]
    most = math.sqrt(max(totals) or 1)
    bar = WIDTH / n
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {ABOVE + HEIGHT + BELOW}" width="{WIDTH}" role="img" '
        f'font-family="system-ui,sans-serif" font-size="11"><title>{html.escape(show(title))}</title>'
    ]
    for i, total in enumerate(totals):
        if not total:
            continue
        tall = HEIGHT * math.sqrt(total) / most
        told = ", ".join(f"{histogram[s][i]:,} {s}" for s in states)
        parts.append(f"<g><title>{html.escape(f'{number(edges[i])} to {number(edges[i + 1])}: {told}')}</title>")
        floor = ABOVE + float(HEIGHT)
        for state in states:
            part = tall * histogram[state][i] / total
            floor -= part
            if part:
                parts.append(
                    f'<rect x="{i * bar + 0.5:.1f}" y="{floor:.2f}" width="{max(bar - 1, 1):.1f}" height="{part:.2f}" '
                    f'fill="{COLOURS[state]}"/>'
                )
        parts.append("</g>")
    base = ABOVE + HEIGHT
    parts.append(f'<line x1="0" x2="{WIDTH}" y1="{base}" y2="{base}" stroke="#888"/>')
    for i in sorted({0, n // 4, n // 2, 3 * n // 4, n}):
        anchor = "start" if i == 0 else "end" if i == n else "middle"
        parts.append(
            f'<text x="{i * bar:.1f}" y="{base + 13}" text-anchor="{anchor}" fill="#555">{number(edges[i])}</text>'
        )
    for where, label in marks(entry):
        x = WIDTH * where
        anchor = "end" if x > WIDTH * 0.8 else "start"
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="6" y2="{base}" stroke="#b00020" stroke-width="1.5" '
            f'stroke-dasharray="4 3"/><text x="{x + (4 if anchor == "start" else -4):.1f}" y="14" '
            f'text-anchor="{anchor}" fill="#b00020">keep {html.escape(label)}</text>'
        )
    x = 0
    for state in states:
        name = {"earlier": "dropped earlier"}.get(state, state)
        told = f"{name} {sum(histogram[state]):,}"
        parts.append(
            f'<rect x="{x}" y="{base + 20}" width="10" height="10" fill="{COLOURS[state]}"/>'
            f'<text x="{x + 14}" y="{base + 29}" fill="#333">{told}</text>'
        )
        x += 30 + 7 * len(told)
    if entry["scale"] == "log":
        parts.append(f'<text x="{WIDTH}" y="{base + 29}" text-anchor="end" fill="#777">logarithmic axis</text>')
    parts.append("</svg>")
    return "".join(parts)


def histogram_line(entry: dict[str, Any], state: str, blocks: str = BLOCKS) -> str:
    """One line of block characters (square roots of counts), `|` where a threshold lies."""
    histogram = entry["histogram"]
    counts = histogram[state]
    most = math.sqrt(max(max(histogram[s]) for s in COLOURS) or 1)
    signs = [blocks[min(int(len(blocks) * math.sqrt(c) / most), len(blocks) - 1)] if c else " " for c in counts]
    for at in sorted({round(where * len(counts)) for where, _ in marks(entry)}, reverse=True):
        signs.insert(at, "|")
    return "".join(signs)
