"""Everything that a page's headers and markup say about its use, in one pass.

Marks of licences have a place: those of the page (header, `<link>`, `<meta>`, JSON-LD of a page or article, CC's RDF)
go before those in its body (`<a rel=license>`, microdata, RDFa), and those of embedded items (inside `<figure>`, of
an image object, `about` something else) never stand for the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from filters.url import parse_url
from pipeline.extract.metadata.jsonld import MAX_BLOCKS, kind_of, nodes_of, parse_block

from . import tdm
from .licenses import canonical, named
from .robots import parse_header, parse_meta
from .tags import Page, Tag, as_utf8

MAX_MARKS = 50
_SPACES = re.compile(r"[\t\n\f\r ]+")
_LINK = re.compile(r"<([^<>]*+)>((?:[^,<\"]|\"[^\"]*+\")*+)")
_PARAMETER = re.compile(r";\s*+([a-z*]+)\s*+=\s*+(?:\"([^\"]*+)\"|([^;,\s\"]*+))", re.IGNORECASE)
_MEDIA = re.compile(r"Image|Photo|Video|Audio|Media|Music|Clip|Dataset|Software|Font|Logo")
_MEDIA_TYPE = re.compile(
    rb"itemtype\s*=\s*[\"']?[^\"'>]{0,60}/(?:image|photo|video|audio|media|music|dataset|software)"
)
_RDF = re.compile(rb"<(?:cc:)?license\s[^<>]{0,40}?rdf:resource\s*=\s*[\"']([^\"'<>]{1,400})[\"']")
_SAYS_LICENSE = frozenset(
    ("dcterms.license", "dcterms:license", "dc.rights.license", "dc:license", "dc.license", "cc:license", "license",
     "dct:license", "og:license", "article:license", "xhv:license")
)  # fmt: skip
_SAYS_RIGHTS = frozenset(
    (
        "dc.rights",
        "dc:rights",
        "dcterms.rights",
        "dcterms:rights",
        "rights",
        "copyright",
        "usage-rights",
        "rights-standard",
    )
)
_RDFA = frozenset(("license", "cc:license", "dct:license", "dcterms:license", "dc:license", "xhv:license"))


@dataclass(frozen=True, slots=True)
class Reservation:
    """`where`: header, meta or file; `agent`: `*` or a crawler's token; `says`: the directive or `tdm-...=value`."""

    where: str
    agent: str
    says: str


@dataclass(frozen=True, slots=True)
class LicenseMark:
    """`license`: SPDX identifier or absolute URL; `href`: as the page writes it; `level`: page, body or embedded."""

    where: str
    license: str
    href: str
    level: str


@dataclass
class Findings:
    """What was found on one page, each once, in the order header, markup, file."""

    reservations: list[Reservation] = field(default_factory=list)
    marks: list[LicenseMark] = field(default_factory=list)

    def license(self) -> str | None:
        """The page's licence: of the first level that has marks; `several` where they differ there."""
        for level in ("page", "body"):
            found = {mark.license for mark in self.marks if mark.level == level}
            if found:
                return found.pop() if len(found) == 1 else "several"
        return None

    def reserve(self, where: str, agent: str, says: str) -> None:
        """Note a reservation."""
        one = Reservation(where, agent, says)
        if one not in self.reservations and len(self.reservations) < MAX_MARKS:
            self.reservations.append(one)


def read_headers(found: Findings, record: dict[str, Any], url: str | None) -> None:
    """The four headers that `record` keeps."""
    for directive in parse_header(record.get("x_robots_tag") or ""):
        found.reserve("header", directive.agent, directive.says)
    _note_tdm(found, "header", record.get("tdm_reservation"), record.get("tdm_policy"))
    for match in _LINK.finditer((record.get("link") or "")[:20_000]):
        given = {m[1].lower(): m[2] or m[3] or "" for m in _PARAMETER.finditer(match[2])}
        if "license" in given.get("rel", "").lower().split():
            _mark(found, "header", match[1], "embedded" if "anchor" in given else "page", url)


def read_payload(found: Findings, payload: bytes, content_type: str | None, url: str | None) -> None:
    """The page's markup (RFC 8288 `rel`, HTML `rel=license`, TDMRep meta, schema.org JSON-LD, RDFa, CC's RDF)."""
    page = Page(as_utf8(payload, content_type))
    tdm_meta: dict[str, str] = {}
    for tag in page.metas():
        _read_meta(found, tag, tdm_meta, url)
    _note_tdm(found, "meta", tdm_meta.get("tdm-reservation"), tdm_meta.get("tdm-policy"))
    if b"license" in page.low:
        for tag in page.around(b"license"):
            _read_tag(found, page, tag, url)
        for number, block in enumerate(page.scripts(b"ld+json")):
            if number == MAX_BLOCKS:
                break
            if b"license" in block:
                _read_json_ld(found, block, url)
        _read_rdf(found, page, url)
    if b"copyright" in page.low:  # HTML 4's link type, as MediaWiki writes it
        for tag in page.around(b"copyright"):
            if tag.name == "link" and "copyright" in _tokens(tag.attributes.get("rel")):
                _mark(found, "link", tag.attributes.get("href", ""), "page", url, known=True)


def read_file_rule(found: Findings, rule: tdm.Rule) -> None:
    """What the site's tdmrep.json says of the page."""
    _note_tdm(found, "file", str(rule.reservation), rule.policy)


def _note_tdm(found: Findings, where: str, value: str | None, policy: str | None) -> None:
    reserved = tdm.reservation(value)
    if reserved is None:
        return
    found.reserve(where, "*", f"tdm-reservation={reserved}")
    if reserved and policy and policy.strip():
        found.reserve(where, "*", f"tdm-policy={policy.strip()[:1000]}")


def _read_meta(found: Findings, tag: Tag, tdm_meta: dict[str, str], url: str | None) -> None:
    given = tag.attributes
    content = given.get("content", "").strip()
    if not content:
        return
    name = (given.get("name") or given.get("property") or given.get("itemprop") or "").strip().lower()
    header = given.get("http-equiv", "").strip().lower()
    if header == "x-robots-tag":  # no part of HTML, but written by many and meant as the header
        for directive in parse_header(content):
            found.reserve("meta", directive.agent, directive.says)
    for directive in parse_meta(name, content):
        found.reserve("meta", directive.agent, directive.says)
    if (name or header) in ("tdm-reservation", "tdm-policy"):
        tdm_meta.setdefault(name or header, content)
    if name in _SAYS_LICENSE:
        level = "body" if given.get("itemprop") else "page"
        _mark(found, "meta", content, level, url)
    elif name in _SAYS_RIGHTS:
        _mark(found, "meta", content, "page", url, known=True)


def _tokens(value: str | None) -> list[str]:
    return _SPACES.split(value.lower().strip()) if value else []


def _read_tag(found: Findings, page: Page, tag: Tag, url: str | None) -> None:
    given = tag.attributes
    href = given.get("href") or given.get("resource") or given.get("content") or ""
    stated = set(_tokens(given.get("rel"))) | set(_tokens(given.get("property"))) & _RDFA
    if stated & _RDFA:
        if tag.name == "link":
            _mark(found, "link", href, "page", url)
        else:
            _mark(found, "a" if tag.name in ("a", "area") else "rdfa", href, _level(page, tag), url)
    elif "license" in _tokens(given.get("itemprop")):
        before = page.low[max(0, tag.at - 5000) : tag.at]
        typed = before.rfind(b"itemtype")
        media = typed >= 0 and _MEDIA_TYPE.match(before, typed) is not None
        _mark(found, "microdata", href, "embedded" if media else _level(page, tag), url)


def _level(page: Page, tag: Tag) -> str:
    """`embedded` if the tag speaks of something else by `about`, or stands in a `<figure>`."""
    if tag.attributes.get("about", "").strip():
        return "embedded"
    first = max(0, tag.at - 50_000)
    opened = page.low.rfind(b"<figure", first, tag.at)
    return "embedded" if opened > page.low.rfind(b"</figure", first, tag.at) else "body"


def _read_json_ld(found: Findings, block: bytes, url: str | None) -> None:
    for node in nodes_of(parse_block(block)):
        for value in _values(node.get("license")):
            _mark(found, "json-ld", value, "embedded" if _MEDIA.search(kind_of(node)) else "page", url)


def _values(value: Any) -> Iterator[str]:
    for one in value[:10] if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            one = one.get("@id") or one.get("url") or one.get("name")
        if isinstance(one, str):
            yield one


def _read_rdf(found: Findings, page: Page, url: str | None) -> None:
    """CC's RDF of 2002 to 2008, which stood in a comment: the licence of the work `rdf:about=""`."""
    if b"<rdf:rdf" not in page.low:
        return
    for start, end in page.comments():
        if b"<rdf:rdf" in page.low[start:end] and b'rdf:about=""' in page.low[start:end]:
            match = _RDF.search(page.low, start, end)
            if match:
                _mark(found, "rdf", page.page[match.start(1) : match.end(1)].decode("utf-8", "replace"), "page", url)


def _mark(found: Findings, where: str, href: str, level: str, url: str | None, known: bool = False) -> None:
    """Note a licence; with `known` only one that has an identifier."""
    href = href.strip()[:1000]
    if not href or len(found.marks) >= MAX_MARKS:
        return
    license = canonical(href) or named(href)
    if license is None and not known:
        # a name (`All rights reserved`) is no URL; a path is one
        looks = "://" in href or href.startswith(("/", ".", "#", "?")) or (where != "json-ld" and " " not in href)
        parsed = parse_url(href, url) if looks and url else parse_url(href) if looks else None
        license = parsed.href if parsed else None
        license = (canonical(license) or license) if license else None
    if license is None:
        return
    mark = LicenseMark(where, license, href, level)
    if mark not in found.marks:
        found.marks.append(mark)
