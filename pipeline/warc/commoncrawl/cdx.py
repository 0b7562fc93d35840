"""Lookups through the CDX server (https://index.commoncrawl.org), for a few hosts: nothing of the index is fetched.

The server is pywb's (https://pywb.readthedocs.io/en/latest/manual/cdxserver_api.html) and small: it is asked page by
page, one request after the other. A page is kept in the cache as it comes, so that a killed lookup goes on.
"""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pyarrow as pa

from ...errors import StepFailed
from ...storage.urls import redacted
from .polite import CLOCK, Clock, note
from .rows import ROW, choose, load, save
from .wanted import Query, Wanted
from .web import Gone, Requests, cdx_url

MAX_PAGE = 256 << 20
"""Bytes of one page of captures; Common Crawl's pages hold some 15 000 lines of 500 bytes."""

MAX_PAGES = 100_000
_COLUMNS = {
    "url": "url",
    "status": "fetch_status",
    "mime": "content_mime_type",
    "mime-detected": "content_mime_detected",
    "filename": "warc_filename",
    "offset": "warc_record_offset",
    "length": "warc_record_length",
}
_WHOLE = ("status", "offset", "length")


def look_up(release: str, wanted: Wanted, cache: Path, work: Path, *, clock: Clock = CLOCK) -> pa.Table:
    """Rows (schema ROW) of the release's wanted pages. Raises ConfigError, StepFailed."""
    found = [ROW.empty_table()]
    for number, query in enumerate(wanted.queries):
        pages = _pages(release, query, cache, clock)
        for page in range(pages):
            kept = work / f"cdx-{number:04d}-{page:06d}.arrow"
            if not kept.exists():
                note(f"CDX index of {release}: {query.url}, page {page + 1} of {pages}")
                save(_page(release, query, page, wanted, cache, clock), kept)
            found.append(load(kept))
    return pa.concat_tables(found)


def _url(release: str, query: Query, more: dict[str, str]) -> str:
    options = {"url": query.url, "matchType": query.match, "output": "json", **more}
    return f"{cdx_url()}/{release}-index?{urllib.parse.urlencode(options)}"


def _pages(release: str, query: Query, cache: Path, clock: Clock) -> int:
    """How many pages the server has for a query. Raises StepFailed for an answer that makes no sense."""
    url = _url(release, query, {"showNumPages": "true"})
    try:
        answer = Requests(url, cache, clock).text(1 << 20)
    except Gone as error:
        return _none(error)
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        value = None
    pages = value.get("pages") if isinstance(value, dict) else value
    if not isinstance(pages, int) or isinstance(pages, bool) or not 0 <= pages <= MAX_PAGES:
        raise StepFailed(f"{redacted(url)}: not an answer of a CDX server: {ascii(answer[:100])}")
    return pages


def _none(error: Gone) -> int:
    """0 where 404 means "no captures"; a release that the server doesn't have raises."""
    if "no captures found" in error.body.lower():
        return 0
    raise error


def _page(release: str, query: Query, page: int, wanted: Wanted, cache: Path, clock: Clock) -> pa.Table:
    url = _url(release, query, {"page": str(page), "filter": "=status:200"})
    try:
        answer = Requests(url, cache, clock).text(MAX_PAGE)
    except Gone as error:
        _none(error)
        return ROW.empty_table()
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS.values()}
    for line in answer.split(b"\n"):
        if line.strip():
            for name, value in _capture(line, url).items():
                columns[_COLUMNS[name]].append(value)
    types = {_COLUMNS[name]: pa.int64() if name in _WHOLE else pa.string() for name in _COLUMNS}
    return choose(pa.table({name: pa.array(values, types[name]) for name, values in columns.items()}), wanted.regex)


def _capture(line: bytes, url: str) -> dict[str, Any]:
    """The fields of one line, numbers as such. Raises StepFailed."""
    try:
        value = json.loads(line)
        found: dict[str, Any] = {}
        for name in _COLUMNS:
            field = value.get(name)
            if name in _WHOLE:
                field = int(field) if str(field).isascii() and str(field).isdigit() and len(str(field)) < 17 else None
            elif field is not None:
                field.encode()  # raises for what is no string, and for lone surrogates, which JSON can hold
            found[name] = field
        if found["offset"] is None or found["length"] is None or not found["url"] or not found["filename"]:
            raise ValueError("a field is missing")
        return found
    except (ValueError, RecursionError, AttributeError) as error:
        raise StepFailed(f"{redacted(url)}: a line that is no capture: {ascii(line[:100])}") from error
