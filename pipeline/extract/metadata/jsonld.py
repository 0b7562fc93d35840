"""What the page's JSON-LD says: headline, authors, day of publication, the site's name (schema.org)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from .markup import decode, plain
from .names import MAX_AUTHORS, is_name

MAX_BLOCKS = 12
MAX_BLOCK_BYTES = 300_000
MAX_NODES = 400
MAX_CHARS = 1000

_ARTICLE = re.compile(
    r"Article|Posting|Report|Recipe|Question|QAPage|Discussion|Review$|CreativeWork$|HowTo$|VideoObject|Podcast|Essay|Thesis"
    r"|Blog$|Book$|Guide"
)
_PAGE = re.compile(r"Page$")
_SITE = re.compile(r"WebSite|Organization|Corporation|NewsMedia|LocalBusiness")
_INTO = ("@graph", "mainEntity", "itemReviewed", "mainEntityOfPage")
_WRAPPED = re.compile(r"^\s*(?:<!--|//\s*<!\[CDATA\[|/\*\s*<!\[CDATA\[\s*\*/|<!\[CDATA\[)|(?:-->|//\s*\]\]>|\]\]>)\s*$")
_TRAILING = re.compile(r",(\s*[}\]])")
_FIELD = re.compile(r'"(headline|datePublished)"\s{0,5}:\s{0,5}"([^"\\]{4,300})"')
_AUTHOR = re.compile(
    r'"author"\s{0,5}:\s{0,5}[\[{\s]{0,20}(?:"@?\w{1,20}"\s{0,5}:\s{0,5}"[^"]{0,200}",\s{0,40}){0,4}"name"\s{0,5}:\s{0,5}"([^"\\]{2,100})"'
)


@dataclass
class Statements:
    """What all blocks say together; the first to say a thing counts."""

    headline: str | None = None
    published: str | None = None
    page_published: str | None = None
    """Of a WebPage: when the page was made, be it an article or a shop's window."""

    authors: list[str] = field(default_factory=list)
    sites: list[str] = field(default_factory=list)
    """Names of the site and its publisher: no authors, and no part of a title."""

    organizations: set[str] = field(default_factory=set)
    """Authors that the page itself calls organizations."""


def parse_block(raw: bytes) -> Any:
    """The JSON of one block, None where there is none: wrappers and trailing commas are forgiven, a trap is empty."""
    text = _unwrapped(raw)
    for attempt in (text, None):
        try:
            return json.loads(_TRAILING.sub(r"\1", text) if attempt is None else attempt, strict=False)
        except RecursionError:
            return {}
        except ValueError:  # pages carry broken JSON, and some carry traps
            continue
    return None


def _unwrapped(raw: bytes) -> str:
    return _WRAPPED.sub("", decode(raw[:MAX_BLOCK_BYTES])).strip().rstrip(";")


def read_block(raw: bytes, into: Statements) -> None:
    """Take in one block. What isn't JSON is searched for the plain fields; traps and rubbish change nothing."""
    data = parse_block(raw)
    if data is None:
        _read_broken(_unwrapped(raw), into)
        return
    nodes = nodes_of(data)
    names = {node["@id"]: node for node in nodes if isinstance(node.get("@id"), str) and "name" in node}
    for node in nodes:
        kind = kind_of(node)
        if _SITE.search(kind):
            _append(into.sites, node.get("name"))
            _append(into.sites, node.get("alternateName"))
            continue
        publisher = _resolve(node.get("publisher"), names)
        if isinstance(publisher, dict):
            _append(into.sites, publisher.get("name"))
        if _ARTICLE.search(kind) or isinstance(node.get("headline"), str):
            into.headline = into.headline or _string(node.get("headline"))
            is_article = not _PAGE.search(kind) or kind == "QAPage"
            if is_article:
                into.published = into.published or _string(node.get("datePublished") or node.get("dateCreated"))
            else:
                into.page_published = into.page_published or _string(node.get("datePublished"))
            if not into.authors:
                _read_authors(node.get("author") or node.get("creator"), names, into)
        elif _PAGE.search(kind):
            into.page_published = into.page_published or _string(node.get("datePublished"))
            if not into.authors:
                _read_authors(node.get("author"), names, into)


def _read_broken(text: str, into: Statements) -> None:
    for match in _FIELD.finditer(text):
        if match[1] == "headline":
            into.headline = into.headline or match[2]
        else:
            into.published = into.published or match[2]
    at = text.find('"author"')
    author = _AUTHOR.match(text, at) if at >= 0 else None
    if author and not into.authors and is_name(author[1]):
        into.authors.append(author[1])


def nodes_of(data: Any) -> list[dict[str, Any]]:
    """The objects at the top, in lists, `@graph` and main entities, breadth first, at most MAX_NODES."""
    found: list[dict[str, Any]] = []
    queue: list[Any] = [data]
    for item in queue:  # grows while it is read
        if len(found) >= MAX_NODES:
            break
        if isinstance(item, list):
            queue.extend(item[:MAX_NODES])
        elif isinstance(item, dict):
            found.append(item)
            queue.extend(item[key] for key in _INTO if isinstance(item.get(key), (dict, list)))
        if len(queue) > 4 * MAX_NODES:
            break
    return found


def kind_of(node: dict[str, Any]) -> str:
    kind = node.get("@type")
    if isinstance(kind, list):
        kind = next((k for k in kind if isinstance(k, str)), "")
    return kind[:100] if isinstance(kind, str) else ""


def _resolve(value: Any, names: dict[str, dict[str, Any]]) -> Any:
    if isinstance(value, dict) and "name" not in value and isinstance(value.get("@id"), str):
        return names.get(value["@id"], value)
    return value


def _read_authors(author: Any, names: dict[str, dict[str, Any]], into: Statements) -> None:
    for one in author[:MAX_AUTHORS] if isinstance(author, list) else [author]:
        person = _resolve(one, names)
        name = person.get("name") if isinstance(person, dict) else person
        for text in name[:MAX_AUTHORS] if isinstance(name, list) else [name]:
            if isinstance(text, dict):
                text = text.get("@value") or text.get("name")
            text = _string(text)
            text = " ".join(plain(text).split()) if text else None
            if text and text not in into.authors:
                into.authors.append(text)
                if isinstance(person, dict) and _SITE.search(kind_of(person)):
                    into.organizations.add(text)


def _append(into: list[str], value: Any) -> None:
    for one in value[:3] if isinstance(value, list) else [value]:
        text = _string(one)
        if text and len(into) < 10:
            into.append(text)


def _string(value: Any) -> str | None:
    return value[:MAX_CHARS].strip() or None if isinstance(value, str) else None
