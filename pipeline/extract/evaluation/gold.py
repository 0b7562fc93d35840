"""Gold sets: pages with the text, or with the snippets, that people say belong to their main content.

A data folder has `html/*.warc.gz` (the pages) and `html/gold/*.jsonl.gz` (what is right for them); a gold
record and its page are joined by the SHA-1 of the page's bytes. Sets: `wcxb` (Foley 2026, the development
split of the Web Content Extraction Benchmark, seven page types), `daniel_waddle` (news in five languages,
Lejeune and Barbaresi 2020, after the DAnIEL corpus) and `trafilatura_segments` (trafilatura's own evaluation:
snippets that must and that must not be in the text).
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import ConfigError, nearest

SETS: dict[str, str] = {
    "wcxb": "wcxb",
    "daniel_waddle": "daniel_waddle",
    "trafilatura_segments": "trafilatura",
}
"""Gold set -> name of the WARC with its pages."""

UNKNOWN_HOST = ".invalid"
"""Hosts that end so stand in for a URL that the source does not give (RFC 2606)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldPage:
    """One page and what is right for it.

    `text` is the whole main content, None where a set has snippets only. `host` is the page's own host if
    known, also where the URL is a stand-in. `page_type` as WCXB has it, `lang` as DANIEL names it.
    """

    set: str
    id: str
    url: str
    host: str | None
    sha1: str
    payload: bytes = field(repr=False)
    content_type: str | None
    text: str | None = field(repr=False)
    with_segments: tuple[str, ...] = ()
    without_segments: tuple[str, ...] = ()
    page_type: str | None = None
    lang: str | None = None
    title: str | None = None
    author: str | None = None
    date: str | None = None

    @property
    def real_url(self) -> str | None:
        """The URL for an engine: None where it is a stand-in, from which nothing may be learnt."""
        host = self.url.partition("://")[2].partition("/")[0]
        return None if not host or host.endswith(UNKNOWN_HOST) else self.url


@dataclass(frozen=True, slots=True)
class GoldData:
    """Pages in the order of SETS and then of the gold file; `missing` counts gold records without page by set."""

    pages: tuple[GoldPage, ...]
    missing: dict[str, int]


def load(data: str | Path, sets: Sequence[str] | None = None, *, every: int = 1) -> GoldData:
    """Gold pages of the sets (None: all), each `every`-th of a set, in a fixed order.

    Raises ConfigError for a folder without gold, an unknown set or a damaged gold file.
    """
    names = list(SETS) if sets is None else list(dict.fromkeys(sets))
    for name in names:
        if name not in SETS:
            raise ConfigError(f"no gold set is called '{name}'{nearest(name, SETS)}; there are {', '.join(SETS)}")
    if every < 1:
        raise ConfigError("every must be at least 1")
    folder = Path(data) / "html"
    if not (folder / "gold").is_dir():
        raise ConfigError(f"'{data}' has no html/gold; --data names a folder with html/*.warc.gz and html/gold")
    pages: list[GoldPage] = []
    missing: dict[str, int] = {}
    for name in (n for n in SETS if n in names):
        records = _records(folder / "gold" / f"{name}.jsonl.gz")[::every]
        warc = folder / f"{SETS[name]}.warc.gz"
        found = _payloads(warc, {r["sha1"] for r in records})
        hosts = _hosts(warc.with_name(f"{SETS[name]}.index.jsonl.gz"))
        joined = [_page(name, r, *found[r["sha1"]], hosts) for r in records if r["sha1"] in found]
        missing[name] = len(records) - len(joined)
        pages += joined
    return GoldData(tuple(pages), missing)


def _page(
    name: str, record: dict[str, Any], payload: bytes, content_type: str | None, hosts: dict[str, str]
) -> GoldPage:
    url = record["url"]
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0].lower()
    return GoldPage(
        set=name,
        id=record["id"],
        url=url,
        host=host if host and not host.endswith(UNKNOWN_HOST) else hosts.get(record["sha1"]),
        sha1=record["sha1"],
        payload=payload,
        content_type=content_type,
        text=record.get("text"),
        with_segments=tuple(record.get("with") or ()),
        without_segments=tuple(record.get("without") or ()),
        page_type=record.get("page_type") or None,
        lang=record.get("lang") or None,
        title=record.get("title") or None,
        author=record.get("author") or None,
        date=record.get("date") or None,
    )


def _records(file: Path) -> list[dict[str, Any]]:
    records = []
    for number, record in enumerate(_json_lines(file), 1):
        if not all(isinstance(record.get(key), str) for key in ("id", "url", "sha1")):
            raise ConfigError(f"gold file '{file}': record {number} lacks id, url or sha1")
        records.append(record)
    return records


def _hosts(index: Path) -> dict[str, str]:
    """Hosts that an index beside a WARC knows and the URL does not, by the page's SHA-1."""
    if not index.is_file():
        return {}
    return {r["sha1"]: r["host"].lower() for r in _json_lines(index) if r.get("sha1") and r.get("host")}


def _json_lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ConfigError(f"'{file}' line {number} is no JSON object")
                yield record
    except FileNotFoundError as error:
        raise ConfigError(f"'{file}' does not exist; see --data") from error
    except (ValueError, EOFError, gzip.BadGzipFile) as error:
        raise ConfigError(f"'{file}' is damaged: {error}") from error


def pages_of(warc: Path, name: str) -> list[GoldPage]:
    """All pages of a WARC as a set without gold, in the file's order, equal ones once; `id` is file and SHA-1."""
    hosts = _hosts(warc.with_name(warc.name.replace(".warc.gz", ".index.jsonl.gz")))
    found: dict[str, GoldPage] = {}
    for url, payload, content_type in _responses(warc):
        digest = _sha1(payload)
        if digest not in found:
            record = {"id": f"{warc.name}/{digest}", "url": url or f"http://page{UNKNOWN_HOST}/", "sha1": digest}
            found[digest] = _page(name, record, payload, content_type, hosts)
    return list(found.values())


def _payloads(warc: Path, wanted: Iterable[str]) -> dict[str, tuple[bytes, str | None]]:
    """SHA-1 -> bytes and HTTP content type of the responses that are wanted; the first of equal ones."""
    wanted = set(wanted)
    found: dict[str, tuple[bytes, str | None]] = {}
    for _, payload, content_type in _responses(warc):
        digest = _sha1(payload)
        if digest in wanted and digest not in found:
            found[digest] = (payload, content_type)
    return found


def _responses(warc: Path) -> Iterator[tuple[str | None, bytes, str | None]]:
    """URL, bytes and HTTP content type of each response."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    if not warc.is_file():
        raise ConfigError(f"'{warc}' does not exist; see --data")
    with open(warc, "rb") as stream:
        for record in ArchiveIterator(stream, WarcRecordType.response, parse_http=True):
            payload = record.reader.read()
            headers = record.http_headers
            yield record.headers.get("WARC-Target-URI"), payload, headers.get("Content-Type") if headers else None


def _sha1(payload: bytes) -> str:
    return hashlib.sha1(payload, usedforsecurity=False).hexdigest()
