"""Markup of the page's fixed part. Every value is escaped, and control characters in it are made visible."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from pipeline.report import Cell, Share, show

_ADDRESS = re.compile(r"(https?://[^\s\0-\x1f,;)]+)", re.IGNORECASE)


class Markup(str):
    """Markup that is safe as it is: every value in it is escaped."""


@dataclass(frozen=True)
class Numbered:
    """A cell that shows one thing and is sorted by another."""

    shown: Markup
    value: float


def escaped(value: Cell) -> Markup:
    """A value as a person reads it, safe in text and in quoted attributes."""
    return value if isinstance(value, Markup) else Markup(html.escape(show(value)))


def linked(text: str) -> Markup:
    """A text in which addresses of web pages, and nothing else, are links."""
    parts = []
    for number, part in enumerate(_ADDRESS.split(text)):
        told = escaped(part)
        parts.append(f'<a href="{told}" rel="noopener noreferrer nofollow">{told}</a>' if number % 2 else told)
    return Markup("".join(parts))


def percent(share: float) -> str:
    """A share of 1 in percent; what is more than nothing is not told as nothing."""
    return "under 0.01 %" if 0 < share < 0.00005 else show(Share(share))


def to_items(text: Cell, **filters: str) -> Markup:
    """A link to the page's list with filters set (`state` of list.js)."""
    return Markup(f'<a href="#{html.escape(urlencode(filters))}">{escaped(text)}</a>')


def paragraph(text: Cell) -> Markup:
    """A paragraph."""
    return Markup(f"<p>{escaped(text)}</p>")


def cell(value: Cell | Numbered, tag: str = "td") -> Markup:
    """A cell of a table; numbers stand on the right and carry the value that they are sorted by."""
    scope = ' scope="row"' if tag == "th" else ""
    if isinstance(value, Numbered):
        return Markup(f'<{tag}{scope} class="n" data-v="{value.value!r}">{value.shown}</{tag}>')
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Markup(f'<{tag}{scope} class="n" data-v="{float(value)!r}">{escaped(value)}</{tag}>')
    return Markup(f"<{tag}{scope}>{escaped(value)}</{tag}>")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell | Numbered]],
    *,
    name: str,
    heads: int = 1,
    sortable: bool = True,
    marked: Sequence[bool] = (),
    foot: Sequence[Cell | Numbered] = (),
) -> Markup:
    """A table; the first `heads` cells of a row name it. `marked`: rows that stand out.
    `foot`: a last row that no order moves.
    """
    rows = [list(row) for row in rows]
    right = [any(isinstance(row[i], (int, float, Numbered)) for row in rows) for i in range(len(columns))]
    top = "".join(
        f'<th scope="col"{" class=n" if r else ""}>{escaped(c)}</th>' for c, r in zip(columns, right, strict=True)
    )
    body = []
    for number, row in enumerate(rows):
        cells = "".join(cell(value, "th" if i < heads else "td") for i, value in enumerate(row))
        body.append(f"<tr{' class=failed' if marked and marked[number] else ''}>{cells}</tr>")
    kind = ' class="sortable"' if sortable else ""
    last = "".join(cell(value, "th" if i < heads else "td") for i, value in enumerate(foot))
    parts = [
        f'<div class="wide"><table id="{name}"{kind}><thead><tr>{top}</tr></thead><tbody>{"".join(body)}</tbody>',
        f"<tfoot><tr>{last}</tr></tfoot>" if foot else "",
        "</table></div>",
    ]
    return Markup("".join(parts))


def bar(dirty: int, suspect: int, items: int) -> Numbered:
    """The share of items that are dirty, with a bar of dirty and suspect; sorted by the share."""
    share = dirty / items if items else 0.0
    first, second = (100 * n / items if items else 0.0 for n in (dirty, suspect))
    drawing = (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="clean" width="100" height="8"/>'
        f'<rect class="dirty" width="{first:.3f}" height="8"/>'
        f'<rect class="suspect" x="{first:.3f}" width="{second:.3f}" height="8"/></svg>'
    )
    return Numbered(Markup(f'{drawing}<span class="percent">{escaped(percent(share))}</span>'), share)
