"""Reads the sample's page files (`pages/*.md`) and turns their light markup into HTML blocks."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "pages"


@dataclass(frozen=True)
class Page:
    """One page as written: its header and its body in light markup."""

    key: str
    type: str
    lang: str
    title: str
    author: str
    date: str
    host: str
    path: str
    plant: str
    body: str


def read_pages(folder: Path = FOLDER) -> list[Page]:
    """All pages, in order of file and place. Raises ValueError for a damaged header or a key that is there twice."""
    pages: dict[str, Page] = {}
    for file in sorted(folder.glob("*.md")):
        for block in file.read_text(encoding="utf-8").split("%%% page\n")[1:]:
            head, _, body = block.partition("%%% body\n")
            fields = dict(line.split(":", 1) for line in head.splitlines() if ":" in line)
            fields = {k.strip(): v.strip() for k, v in fields.items()}
            try:
                page = Page(
                    fields["key"], fields["type"], fields["lang"], fields["title"], fields.get("author", ""),
                    fields.get("date", ""), fields["host"], fields["path"], fields.get("plant", ""), body.strip(),
                )  # fmt: skip
            except KeyError as error:
                raise ValueError(f"{file.name}: a page without {error}: {head[:80]!r}") from error
            if page.key in pages:
                raise ValueError(f"{file.name}: the key '{page.key}' is there twice")
            pages[page.key] = page
    return list(pages.values())


@dataclass(frozen=True)
class Block:
    """A piece of a page: `kind` is p, h2, h3, ul, ol, quote, table, code, post or item."""

    kind: str
    lines: tuple[str, ...]


def blocks(body: str) -> Iterator[Block]:
    """The pieces of a body in light markup."""
    group: list[str] = []
    kind = ""
    in_code = False
    for line in [*body.splitlines(), ""]:
        if line.startswith("```"):
            if in_code:
                yield Block("code", tuple(group))
                group = []
            elif group:
                yield Block(kind, tuple(group))
                group = []
            in_code, kind = not in_code, ""
            continue
        if in_code:
            group.append(line)
            continue
        found, text = _line(line)
        if group and (found != kind or found not in ("ul", "ol", "table", "quote")):
            yield Block(kind, tuple(group))
            group = []
        kind = found
        if found:
            group.append(text)


def _line(line: str) -> tuple[str, str]:
    line = line.rstrip()
    if not line:
        return "", ""
    for mark, kind in (("### ", "h3"), ("## ", "h2"), ("- ", "ul"), ("> ", "quote"), ("@@ ", "post"), ("* ", "item")):
        if line.startswith(mark):
            return kind, line[len(mark) :]
    if re.match(r"\d+\. ", line):
        return "ol", line.split(". ", 1)[1]
    if line.startswith("|"):
        return "table", line.strip("|")
    return "p", line


def _cells(row: str, tag: str) -> str:
    return "".join(f"<{tag}>{html.escape(cell.strip())}</{tag}>" for cell in row.split("|"))


def block_html(block: Block) -> str:
    """Plain HTML of a block; posts and listing items are the layouts' own affair."""
    lines = [html.escape(line, quote=False) for line in block.lines]
    if block.kind in ("p", "h2", "h3"):
        return f"<{block.kind}>{lines[0]}</{block.kind}>"
    if block.kind in ("ul", "ol"):
        return f"<{block.kind}>" + "".join(f"<li>{line}</li>" for line in lines) + f"</{block.kind}>"
    if block.kind == "quote":
        return "<blockquote>" + "".join(f"<p>{line}</p>" for line in lines) + "</blockquote>"
    if block.kind == "code":
        return "<pre><code>" + "\n".join(lines) + "</code></pre>"
    if block.kind == "table":
        rows = [f"<tr>{_cells(row, 'th' if i == 0 else 'td')}</tr>" for i, row in enumerate(block.lines)]
        return "<table>" + "".join(rows) + "</table>"
    raise ValueError(f"no HTML for a block of kind '{block.kind}'")
