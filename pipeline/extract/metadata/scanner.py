"""The scan: what the head says, then JSON-LD, then what stands near the main heading."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from . import titles
from .dates import day_in_url, days_apart, find_day, last_day
from .jsonld import MAX_BLOCK_BYTES, MAX_BLOCKS, Statements, read_block
from .language import from_tags
from .markup import MAX_INNER_BYTES, MAX_TAG_BYTES, attributes, decode, inner_text, tag_end, tidy
from .names import clean_name, is_login, is_name, is_url, split_names, surname_first
from .visible import Seen, look_around, look_everywhere

MAX_TITLE_CHARS = 500
MAX_AUTHOR_CHARS = 200
MAX_HEAD_BYTES = 1_000_000
MAX_BODY_BYTES = 4_000_000
"""Of the body so much is searched for headings and JSON-LD."""

MAX_SEARCHED_BYTES = 200_000
"""And so much for a title that no heading has."""

MAX_TAGS = 2000
"""So many tags of a head are looked at; real pages have some tens."""

MAX_HEADINGS = 8
MAX_HEADINGS_BYTES = 40_000
"""The last of them begins so near to the first."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a page says of itself. `published`: ISO 8601 day; `language`: BCP 47 primary tag, lower case."""

    title: str | None = None
    author: str | None = None
    published: str | None = None
    language: str | None = None


_IN_HEAD = re.compile(
    rb"""<(?:[mM][eE][tT][aA]\s++(?:(?:property|name)=["']?([\w:.-]++))?+|([tT][iI][tT][lL][eE])[\s/>])"""
)
_KEY = re.compile(
    rb"""(?:[pP]roperty|PROPERTY|[nN]ame|NAME|[iI]temprop|ITEMPROP|-[eE]quiv|-EQUIV)\s*+=\s*+["']?\s*+([\w:.-]++)"""
)
_SCRIPT = re.compile(rb"<script([^<>]*+)>", re.IGNORECASE)

_UTC = re.compile(r"(?:Z|[+-]00:?00)\s*$")

_TITLE_KEYS = ("og:title", "citation_title", "dc.title", "twitter:title", "parsely-title", "sailthru.title")
_AUTHOR_KEYS = ("author", "citation_author", "article:author", "dc.creator", "dcterms.creator", "parsely-author",
                "sailthru.author", "byl", "og:article:author", "article:author_name", "creator")  # fmt: skip
_DATE_KEYS = (
    "article:published_time",
    "citation_publication_date",
    "citation_date",
    "citation_online_date",
    "date_published",
    "published_date",
    "published_time",
    "dc.date.issued",
    "dcterms.issued",
    "dcterms.created",
    "dc.date.created",
    "dc.date",
    "dcterms.date",
    "parsely-pub-date",
    "sailthru.date",
    "pub_date",
    "publish_date",
    "publication_date",
    "original_publication_date",
    "og:published_time",
    "article:published",
    "date",
)
_SITE_KEYS = ("og:site_name", "application-name", "citation_journal_title")
_OTHER_KEYS = ("og:locale", "og:type", "content-language", "language", "dc.language")
_PUNCTUATION = str.maketrans("", "", "-_.: ")
_KEYS = {
    k.translate(_PUNCTUATION): k for k in _TITLE_KEYS + _AUTHOR_KEYS + _DATE_KEYS + _SITE_KEYS + _OTHER_KEYS
}  # dc.date.issued is also written DC.Date.Issued, dc:date:issued and dc-date-issued


@dataclass
class _Page:
    """What the passes have found."""

    meta: dict[str, str] = field(default_factory=dict)
    title: str | None = None
    ld: Statements = field(default_factory=Statements)
    headings: list[tuple[int, str]] = field(default_factory=list)
    sites: list[str] = field(default_factory=list)
    host: str = ""


def scan(page: bytes, url: str | None = None, crawled: str | None = None) -> Metadata:
    """What a page (UTF-8) says of itself. `crawled` (ISO 8601, the WARC-Date) bounds the date. Raises nothing."""
    found = _Page(host=_host(url))
    head_end = _head_end(page)
    stop = min(len(page), head_end + MAX_BODY_BYTES)
    _read_head(page, head_end, found)
    _read_json_ld(page, head_end, stop, found)
    _read_headings(page, head_end, stop, found)
    named = (tidy(s, MAX_TITLE_CHARS) for s in (*(found.meta.get(k) for k in _SITE_KEYS), *found.ld.sites))
    found.sites = [s for s in named if s]
    language, locale = from_tags(page, found.meta)
    latest = last_day(crawled)
    home = url is not None and _path(url) in ("", "/")
    title, at = _title(page, head_end, stop, found)
    author, fallback = _stated_author(found)
    published = _stated_day(found, url, latest, locale)
    if (author is None or published is None) and not home:
        known = Seen(author, published)
        seen = look_around(page, at, head_end, stop, latest, locale)
        seen = Seen(known.author or seen.author, known.published or seen.published)
        if seen.author is None or seen.published is None:
            seen = look_everywhere(page, head_end, min(stop, head_end + MAX_SEARCHED_BYTES), seen, latest, locale)
        author, published = seen
    if published is None and url:
        published = day_in_url(url, latest)
    if author is None and published and not home:  # a site signs its articles, not its every page
        author = fallback
    return Metadata(title, tidy(author, MAX_AUTHOR_CHARS), published, language)


def _host(url: str | None) -> str:
    try:
        return (urlsplit(url).hostname or "") if url else ""
    except ValueError:
        return ""


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _head_end(page: bytes) -> int:
    for mark in (b"</head", b"<body", b"</HEAD", b"<BODY"):
        at = page.find(mark, 0, MAX_HEAD_BYTES)
        if at >= 0:
            return at
    return min(len(page), MAX_HEAD_BYTES)


def _read_head(page: bytes, end: int, found: _Page) -> None:
    for number, match in enumerate(_IN_HEAD.finditer(page, 0, end)):
        if number > MAX_TAGS:
            break
        start = match.start()
        if match[2]:
            found.title = found.title or tidy(inner_text(page, start, b"title"), MAX_TITLE_CHARS)
            continue
        # most tags are none of these, and attributes take time
        if match[1] and not _key(decode(match[1])) or match[1] is None and not _has_key(page, start):
            continue
        tag = attributes(page, start)
        key = tag.get("property") or tag.get("name") or tag.get("itemprop") or tag.get("http-equiv") or ""
        content = tag.get("content")
        known = _key(key)
        if known and content and content.strip():
            if known == "citation_author" and known in found.meta:
                found.meta[known] = f"{found.meta[known]}; {surname_first(content)}"[: 4 * MAX_AUTHOR_CHARS]
            else:
                found.meta.setdefault(known, surname_first(content) if known == "citation_author" else content)


def _has_key(page: bytes, start: int) -> bool:
    """Whether a tag that begins with another attribute names a key before its end."""
    closed = page.find(b">", start, start + MAX_TAG_BYTES)
    if closed >= 0 and page.count(b'"', start, closed) % 2:  # a > in the content
        closed = tag_end(page, start)
    return closed >= 0 and any(_key(decode(k)) for k in _KEY.findall(page, start + 5, closed))


def _key(name: str) -> str | None:
    return _KEYS.get(name.lower().translate(_PUNCTUATION))


def _read_json_ld(page: bytes, head_end: int, stop: int, found: _Page) -> None:
    at, budget = 0, 2 * MAX_BLOCK_BYTES
    for _ in range(MAX_BLOCKS):
        complete = found.ld.published and found.ld.authors  # then only the head is searched to its end
        at = page.find(b"application/ld+json", at, head_end if complete else stop)
        if at < 0:
            return
        opened = page.rfind(b"<", max(0, at - 400), at)
        match = _SCRIPT.match(page, opened, at + 800) if opened >= 0 else None
        at += len(b"application/ld+json")
        if match is None or b"ld+json" not in match[1]:
            continue
        closed = page.find(b"</script", match.end(), match.end() + MAX_BLOCK_BYTES)
        if closed < 0:
            closed = page.find(b"</SCRIPT", match.end(), match.end() + MAX_BLOCK_BYTES)
        if closed < 0:
            continue
        raw = page[match.end() : closed]
        at, budget = closed, budget - len(raw)
        if budget < 0:
            return
        read_block(raw, found.ld)


def _read_headings(page: bytes, start: int, stop: int, found: _Page) -> None:
    # the end tag is looked for, as find takes less time for longer strings
    name, end = (b"<h1", b"</h1>") if page.find(b"</h1>", start, stop) >= 0 else (b"<H1", b"</H1>")
    last = start
    for number in range(MAX_HEADINGS):
        closed = page.find(end, last, stop)
        if closed < 0:
            break
        if number == 0:
            stop = min(stop, closed + MAX_HEADINGS_BYTES)
        at = page.rfind(name, max(last, closed - MAX_INNER_BYTES), closed)
        last = closed + len(end)
        if at < 0:
            continue
        for gap in (b"", b" "):  # <b>Chap</b>ter is one word; <span>Label</span><span>Title</span> were meant as two
            text = tidy(inner_text(page, at, b"h1", gap), MAX_TITLE_CHARS)
            text = text.strip(" ¶#") if text else None
            if text and len(text) > 1 and (at, text) not in found.headings:
                found.headings.append((at, text))


def _title(page: bytes, start: int, stop: int, found: _Page) -> tuple[str | None, int]:
    """The title, and where it stands in the body: its heading, else other visible text that says it."""
    raws = (*(found.meta.get(k) for k in _TITLE_KEYS), found.ld.headline, found.title)
    stated = list(dict.fromkeys(t for raw in raws if raw and (t := tidy(raw, MAX_TITLE_CHARS))))
    title = titles.choose(stated, any(raws[:-1]), [text for _, text in found.headings], found.sites, found.host)
    at = next((at for at, text in found.headings if text == title), None)
    if at is None and title and len(title) > 10:
        at = _find_visible(page, title.encode("utf-8"), start, min(stop, start + MAX_SEARCHED_BYTES))
    if at is None:
        at = found.headings[0][0] if found.headings else start
    return title, at


def _find_visible(page: bytes, title: bytes, start: int, stop: int) -> int | None:
    """Where a text begins that follows a tag; None if only attributes and scripts have it."""
    at = start
    for _ in range(6):
        at = page.find(title, at, stop)
        if at < 0:
            return None
        if page[max(start, at - 40) : at].rstrip().endswith(b">"):
            return at
        at += len(title)
    return None


def _stated_author(found: _Page) -> tuple[str | None, str | None]:
    """The persons that the page names as its authors, and the account, site or company that it names instead."""
    said = [n for a in found.ld.authors if a not in found.ld.organizations and (n := _one_name(a))]
    meta: list[str] = []
    for key in _AUTHOR_KEYS:
        raw = tidy(found.meta.get(key), 800)
        meta = [n for part in split_names(raw) if (n := _one_name(part))] if raw and not is_url(raw) else []
        if meta:
            break
    for names in (said, meta):
        persons = [n for n in names if not is_login(n) and not titles.is_site(n, found.sites, found.host)]
        if persons:
            return "; ".join(dict.fromkeys(persons)), None
    organizations = [n for a in sorted(found.ld.organizations) if (n := _one_name(a))]
    return None, "; ".join(dict.fromkeys(said or meta or organizations)) or None


def _one_name(text: str) -> str | None:
    name = clean_name(text)
    return name if name and is_name(name, login=True) else None


def _stated_day(found: _Page, url: str | None, latest: str | None, locale: str | None) -> str | None:
    stamps = found.meta.get("article:published_time"), found.ld.published, *(found.meta.get(k) for k in _DATE_KEYS[1:])
    for stamp in stamps:
        if stamp and (day := find_day(stamp, latest, locale, machine=True)):
            in_path = day_in_url(url, latest) if url and _UTC.search(stamp) else None
            return in_path if in_path and days_apart(day, in_path) == 1 else day  # UTC against the site's own time
    return None
