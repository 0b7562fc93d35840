"""Figures of the page: similarities beside the S-curve, and differences of texts. Every value in them is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from pipeline.inspect.svg import BLOCKS
from pipeline.report import show

WIDTH, HEIGHT, ABOVE, BELOW = 640, 160, 22, 34
STYLES = {
    "kept": ("del", "background:#fde2cf", "only in the document that stays"),
    "gone": ("ins", "background:#d3e6fa;text-decoration:none", "only in the other one"),
}


def similarity_svg(found: dict[str, Any]) -> str:
    """Bars: removed documents by similarity (square roots of counts). Line: the share of such pairs that is found."""
    counts, curve, threshold = found["counts"], found["curve"], found["threshold"]
    most = max(max(counts) ** 0.5, 1)
    bar, base = WIDTH / len(counts), ABOVE + HEIGHT
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {base + BELOW}" width="{WIDTH}" role="img" font-family="system-ui,sans-serif" '
        'font-size="11"><title>Removed documents by similarity, and the share of pairs that LSH finds</title>'
    ]
    for i, count in enumerate(counts):
        if count:
            tall = HEIGHT * count**0.5 / most
            parts.append(
                f'<rect x="{i * bar + 0.5:.1f}" y="{base - tall:.1f}" width="{bar - 1:.1f}" height="{tall:.1f}" '
                f'fill="#d9772b"><title>{found["edges"][i]:.2f} to {found["edges"][i + 1]:.2f}: {count:,} removed, '
                f"{curve[i]:.1%} of such pairs are found</title></rect>"
            )
    line = " ".join(f"{(i + 0.5) * bar:.1f},{base - HEIGHT * value:.1f}" for i, value in enumerate(curve))
    x = WIDTH * threshold
    parts.append(f'<polyline points="{line}" fill="none" stroke="#4a86c5" stroke-width="2"/>')
    parts.append(f'<line x1="0" x2="{WIDTH}" y1="{base}" y2="{base}" stroke="#888"/>')
    parts.append(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="6" y2="{base}" stroke="#b00020" stroke-width="1.5" '
        f'stroke-dasharray="4 3"/><text x="{x - 4:.1f}" y="14" text-anchor="end" fill="#b00020">threshold '
        f"{threshold:.3f}</text>"
    )
    for i in range(0, 11, 2):
        anchor = "start" if i == 0 else "end" if i == 10 else "middle"
        place = f'x="{WIDTH * i / 10:.0f}" y="{base + 13}" text-anchor="{anchor}"'
        parts.append(f'<text {place} fill="#555">{i / 10:.1f}</text>')
    parts.append(
        f'<rect x="0" y="{base + 20}" width="10" height="10" fill="#d9772b"/><text x="14" y="{base + 29}" '
        f'fill="#333">removed {sum(counts):,}</text><rect x="180" y="{base + 23}" width="14" height="3" '
        f'fill="#4a86c5"/><text x="198" y="{base + 29}" fill="#333">share of pairs found, {found["bands"]} x '
        f"{found['rows']}, from 0 to 1</text></svg>"
    )
    return "".join(parts)


def similarity_line(found: dict[str, Any], blocks: str = BLOCKS) -> str:
    """The bars in one line of block characters, from .5 on, `|` where the threshold lies."""
    counts = found["counts"]
    half = len(counts) // 2
    most = max(max(counts[half:]) ** 0.5, 1)
    signs = [blocks[min(int(len(blocks) * c**0.5 / most), len(blocks) - 1)] if c else " " for c in counts[half:]]
    signs.insert(min(max(round(found["threshold"] * len(counts)) - half, 0), len(signs)), "|")
    return "".join(signs)


def diff_html(pieces: Sequence[tuple[str, str]]) -> str:
    """One paragraph; each piece is isolated, so that right-to-left words move nothing around them."""
    out = []
    for kind, text in pieces:
        inner = html.escape(show(text))
        if kind == "skip":
            out.append(f'<span style="color:#777">[{inner}]</span>')
        elif kind == "same":
            out.append(f"<bdi>{inner}</bdi>")
        else:
            tag, style, title = STYLES[kind]
            out.append(f'<{tag} style="{style}" title="{title}"><bdi>{inner}</bdi></{tag}>')
    return '<p dir="auto" style="overflow-wrap:anywhere">' + " ".join(out) + "</p>"


def diff_line(pieces: Sequence[tuple[str, str]], chars: int) -> str:
    """The difference as one bounded line of text: [-kept-] {+gone+}."""
    marks = {"kept": "[-{}-]", "gone": "{{+{}+}}", "skip": "[…]"}
    line = " ".join(marks.get(kind, "{}").format(text) for kind, text in pieces)
    return line if len(line) <= chars else line[:chars] + "…"
