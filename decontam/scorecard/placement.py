"""Puts fragments of text into a page at line ends and says where, in bytes, they came to stand."""

from __future__ import annotations

from collections.abc import Sequence

from .draws import Draws

WORDS_APART = 20
"""Words of the page between two fragments that stand apart, where the page has them."""


def place(page: str, fragments: Sequence[str], where: str, draws: Draws) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The page with the fragments as paragraphs of their own, and the UTF-8 byte span of each.

    `where`: `start`, `middle` or `end` of the page, `any` drawn line end, or `apart` (two fragments, text between)."""
    lines = page.split("\n")
    ends = {"start": 0, "middle": len(lines) // 2, "end": len(lines)}
    if where == "apart":
        first = draws.between(0, len(lines) // 2)
        second, between = first, 0
        while second < len(lines) and between < WORDS_APART:
            between += len(lines[second].split())
            second += 1
        second = draws.between(second, len(lines))
        at = [first, second][: len(fragments)]
    else:
        at = [ends[where] if where in ends else draws.between(0, len(lines))] * len(fragments)
    gap = draws.choice(("\n", "\n\n"))
    text, spans, done = "", [], 0
    for place_, fragment in zip(at, fragments, strict=True):
        before = "\n".join(lines[done:place_])
        text += f"{gap}{before}" if done and before else before
        text += gap if text else ""
        start = len(text.encode())
        text += fragment
        spans.append((start, len(text.encode())))
        done = place_
    rest = "\n".join(lines[done:])
    return text + (f"{gap}{rest}" if done < len(lines) else ""), tuple(spans)
