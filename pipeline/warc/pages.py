"""From a framed record to a page row, or to the reason why it yields none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..schema import document_id
from .engines import Engine
from .framing import MAX_HEAD, Frame, Skip
from .patterns import HEAD_END
from .payload import BadPayload, Body, decoded, looks_like_html, unchunked

HTML_TYPES = ("text/html", "application/xhtml+xml")
TEXT_TYPES = ("text/plain",)

_TYPES = frozenset(
    ("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation", "screenshot")
)
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{1,3})(?:[ \t\r\n]|$)", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,80}$")
_SPACES = re.compile(r"[ \t]+")

Values = dict[str, list[str]]


@dataclass(frozen=True)
class Page:
    """One row of `schema.PAGE`: `record` has the fields of `schema.RECORD`."""

    id: str
    url: str | None
    record: dict[str, Any]
    payload: Body
    kind: str


@dataclass(frozen=True)
class Selection:
    """Which records are pages: HTTP statuses and media types (lower case, without parameters)."""

    statuses: frozenset[int]
    html_types: frozenset[str]
    text_types: frozenset[str]
    max_payload_bytes: int


def page_id(name: str, record_id: str | None, offset: int, inner: int) -> str:
    """Id of the record at `offset` of the source `name` (`inner` bytes into the member's text).

    The place is always part of the hash, the WARC-Record-ID where there is one: files with a record id that
    occurs twice exist (a crawler's bug, or members copied), and a worker that reads one split can't see the
    copy in another. The place is the same for every split size, engine and storage.
    """
    place = f"{offset}+{inner}" if inner else str(offset)
    return document_id(name, f"{record_id or ''}@{place}")


class PageMaker:
    """Turns frames of the source `name` into pages."""

    def __init__(self, name: str, engine: Engine, selection: Selection) -> None:
        self._name = name
        self._engine = engine
        self._select = selection

    def __call__(self, frame: Frame) -> Page | Skip:
        """The page of a record, or the skip that it is counted as."""
        try:
            if frame.arc:
                return self._arc(frame)
            return self._warc(frame)
        except BadPayload as error:
            return Skip(error.kind, frame.offset, error.detail)

    def _warc(self, frame: Frame) -> Page | Skip:
        try:
            head = self._engine.warc(frame.head)
        except ValueError as error:
            return Skip("bad_warc_header", frame.offset, str(error)[:200])
        record_type = (_first(head, "warc-type") or "").lower()
        if record_type not in ("response", "resource", "conversion"):
            known = record_type if record_type in _TYPES else "unknown" if record_type else "none"
            return Skip(f"type:{known}", frame.offset, record_type[:200] if known == "unknown" else "")
        if "warc-segment-number" in head:
            return Skip("segmented", frame.offset, "a record in several segments")
        kind = (_first(head, "content-type") or "").lower()
        http = record_type == "response" or (record_type == "resource" and kind.startswith("application/http"))
        return self._page(frame, head, record_type, http, kind.startswith("application/http"))

    def _arc(self, frame: Frame) -> Page | Skip:
        assert frame.arc is not None
        uri, mime = _text(frame.arc["uri"]), _text(frame.arc["mime"])
        if uri.lower().startswith("filedesc:"):
            return Skip("type:warcinfo", frame.offset, "")
        date = frame.arc["date"].decode()
        head = {"warc-target-uri": [uri], "content-type": [mime], "warc-date": [_iso_date(date)]}
        http = uri.lower().startswith(("http:", "https:"))
        if http and not _STATUS_LINE.match(frame.body):
            http = False  # early ARC files hold some bodies without any HTTP header
        return self._page(frame, head, "response" if http else "resource", http, http)

    def _page(self, frame: Frame, head: Values, record_type: str, http: bool, must: bool) -> Page | Skip:
        body: Body = frame.body
        fields: Values = {}
        status: int | None = None
        if http:
            line = _STATUS_LINE.match(body)
            blank = HEAD_END.search(body, 0, MAX_HEAD) if line else None
            if not line or not blank:
                if not len(body):
                    return Skip("empty_payload", frame.offset, "no HTTP header and no body")
                if line:
                    return self._header_only(frame, int(line[1]))
                media = _media_type(head)
                if must or self._selected(media):
                    return Skip("bad_http_header", frame.offset, repr(bytes(body[:60])))
                return Skip(f"media_type:{media or 'none'}", frame.offset, "no HTTP header")
            status = int(line[1])
            if status not in self._select.statuses:
                return Skip(_status(status), frame.offset, "")
            try:
                fields = self._engine.http(bytes(body[: blank.end()]))
            except ValueError as error:
                return Skip("bad_http_header", frame.offset, str(error)[:200])
            body = body[blank.end() :]
        cut = _first(head, "warc-truncated")
        media = _media_type(fields if http else head)
        if not media and http and "content-type" not in fields:
            media = _media_type({"content-type": head.get("warc-identified-payload-type", [])})
        if media and not self._selected(media):
            return Skip(f"media_type:{media}", frame.offset, "")
        if not len(body):
            return Skip("empty_payload", frame.offset, "")
        if http:
            body = self._undo(fields, body, cut is not None)
            if not len(body):
                return Skip("empty_payload", frame.offset, "nothing after decoding")
        if len(body) > self._select.max_payload_bytes:
            return Skip("too_large", frame.offset, f"{len(body)} bytes")
        if not media and not looks_like_html(body):
            return Skip("media_type:none", frame.offset, "no media type stated and no HTML")
        kind = "text" if record_type == "conversion" or media in self._select.text_types else "html"
        record_id = _bare(_first(head, "warc-record-id"))
        record = {
            "file": self._name,
            "offset": frame.offset,
            "record_id": record_id,
            "date": _first(head, "warc-date"),
            "status": status,
            "content_type": _first(fields, "content-type") if http else _first(head, "content-type"),
            "digest": _first(head, "warc-payload-digest"),
            "truncated": cut,
            "x_robots_tag": _joined(fields, "x-robots-tag"),
            "tdm_reservation": _joined(fields, "tdm-reservation"),
            "tdm_policy": _joined(fields, "tdm-policy"),
            "link": _joined(fields, "link"),
        }
        url = _bare(_first(head, "warc-target-uri"))
        if url is not None:
            url = _SPACES.sub(lambda run: "%20" * len(run[0]), url.strip())
        return Page(page_id(self._name, record_id, frame.offset, frame.inner), url, record, body, kind)

    def _selected(self, media: str) -> bool:
        return media in self._select.html_types or media in self._select.text_types

    def _header_only(self, frame: Frame, status: int) -> Skip:
        if status not in self._select.statuses:
            return Skip(_status(status), frame.offset, "")
        return Skip("bad_http_header", frame.offset, "no blank line after the HTTP header")

    def _undo(self, fields: Values, body: Body, cut: bool) -> Body:
        limit = self._select.max_payload_bytes
        if any("chunked" in value.lower() for value in fields.get("transfer-encoding", ())):
            body = unchunked(body, cut)
        encodings = [
            token.strip().lower()
            for header in ("content-encoding", "transfer-encoding")
            for value in fields.get(header, ())
            for token in value.split(",")[:8]
        ]
        return decoded(body, encodings[:16], limit, cut)


def _first(values: Values, name: str) -> str | None:
    """The first value of a field, None if it is missing or empty."""
    return values[name][0] or None if name in values else None


def _joined(values: Values, name: str) -> str | None:
    """All values of a field, joined as RFC 9110, section 5.3 allows."""
    return ", ".join(values[name]) if name in values else None


def _bare(value: str | None) -> str | None:
    """A value without the angle brackets that the standard (ids) or Wget 1.19 (URLs) put around it."""
    if value and value.startswith("<") and value.endswith(">"):
        return value[1:-1] or None
    return value


def _status(status: int) -> str:
    return f"status:{status}" if 100 <= status <= 599 else "status:invalid"


def _media_type(values: Values) -> str:
    """Media type in lower case without parameters, "" if none is stated, "invalid" if it can't be one.

    Of several Content-Type fields the last that isn't empty counts, as in WHATWG's Fetch.
    """
    for value in reversed(values.get("content-type", [])):
        stated = value.split(";", 1)[0].split(",", 1)[0].strip().lower()
        if stated in ("", "no-type", "unknown", "unk", "-"):
            continue
        return stated if _MEDIA_TYPE.match(stated) else "invalid"
    return ""


def _iso_date(digits: str) -> str:
    """An ARC date (14 digits, YYYYMMDDhhmmss; missing ones at the end are zero) as ISO 8601."""
    d = digits[:14].ljust(14, "0")
    return f"{d[:4]}-{d[4:6]}-{d[6:8]}T{d[8:10]}:{d[10:12]}:{d[12:14]}Z"


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
