"""Where records begin and end in a stream, with recovery: one bad record costs one record.

A record's Content-Length is believed if what follows it is the next record, the end of a compressed
member or of the stream, or the blank lines that part records. Otherwise it lies: the record is counted and
reading goes on at the first validated record start after its header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from re import Match

from .patterns import ARC_START, HEAD_END, START_WINDOW, WARC_HEADER, WARC_START
from .ranged import WINDOW
from .streams import Stream

MAX_HEAD = 1 << 20
"""Longest header block that is read, bytes."""

SCAN_LIMIT = 256 << 20
"""Decompressed bytes searched for the next record of one segment before it is given up."""

_LENGTH = re.compile(rb"\nContent-Length[ \t]*:(?:[ \t]|\r*\n[ \t])*([^\r\n]*)", re.IGNORECASE)
_WARC_LINE = re.compile(rb"(?:^|\n)(WARC/\d{1,2}\.\d{1,3}[ \t]*\r*\n)", re.IGNORECASE)
_ARC_LINE = re.compile(rb"\n(?=[A-Za-z][A-Za-z0-9+.-]{0,30}:)")
_PADDING = b"\r\n\0"


@dataclass
class Frame:
    """A record: `head` is its header block, `body` its content, `arc` the header's match if it is an ARC record."""

    offset: int
    inner: int
    head: bytes
    body: memoryview
    arc: Match[bytes] | None


@dataclass(frozen=True)
class Skip:
    """A record that yields no page: `kind` is the count it falls under, `offset` that of the record or its member."""

    kind: str
    offset: int
    detail: str


class Framer:
    """Frames the records of one stream.

    Records before position `first` are hopped over (their content isn't read, nothing is yielded), and framing
    ends at the first record at or after `stop`; both only make sense in a seekable stream.
    """

    def __init__(self, stream: Stream, max_block: int, first: int = 0, stop: int | None = None) -> None:
        self._stream = stream
        self._max_block = max_block
        self._first = first
        self._stop = stop
        self._arc = False

    def __iter__(self) -> Iterator[Frame | Skip]:
        stream = self._stream
        at: int | None = 0
        while at is not None:
            at = self._pass_padding(at)
            if self._stop is not None and at >= self._stop:
                return
            item, following = self._one(at)
            if item is not None and at >= self._first:
                yield item
            at = following
        if stream.abandoned:
            return

    def _pass_padding(self, at: int) -> int:
        while True:
            window = bytes(self._stream.at(at, 64))
            rest = window.lstrip(_PADDING)
            at += len(window) - len(rest)
            if rest or not window:
                self._stream.release(at)
                return at

    def _one(self, at: int) -> tuple[Frame | Skip | None, int | None]:
        """What stands at position `at`, and where to go on (None: nowhere)."""
        stream = self._stream
        data = stream.at(at, START_WINDOW)
        if not data:
            if stream.damage is None:
                return None, None
            return Skip(stream.damage.kind, stream.locate(stream.damage_from)[0], stream.damage.detail), None
        start = WARC_START.match(data)
        arc = None if start else ARC_START.match(data)
        if arc:
            self._arc = True
            head_end = at + arc.end()
            length: int | None = int(arc["length"])
            detail = ""
        elif start:
            found = self._warc_head(at, start.end())
            if isinstance(found, Skip):
                return found, self._find(max(at + start.end(), stream.base))
            head_end, length, detail = found
        else:
            self._arc = self._arc or bytes(data[:9]) == b"filedesc:"
            return self._bad(at, "garbage", "no record header", at + 1, partial=b"WARC/1.".startswith(bytes(data[:7])))
        if length is None:
            return self._bad(at, "bad_content_length" if detail else "bad_warc_header", detail, head_end)
        end = head_end + length
        large = length > self._max_block
        there = length <= stream.most and stream.reach(end, keep=not large)
        following = self._ends(head_end, end, bool(arc)) if there else None
        if following is not None:
            if large:
                return Skip("too_large", stream.locate(at)[0], f"{length} bytes"), following
            if at < self._first:
                return None, following
            return self._frame(at, head_end, end, arc), following
        if stream.abandoned:
            return Skip("too_large", stream.locate(at)[0], f"{length} bytes stated, decompression bomb"), None
        if there and arc and not large and self._last_arc(end):
            return self._frame(at, head_end, end, arc), end
        wrong = f"Content-Length {length} leads " + ("to no record end" if there else "beyond the end")
        return self._bad(at, "bad_content_length", wrong, head_end, partial=stream.seekable and not there)

    def _frame(self, at: int, head_end: int, end: int, arc: Match[bytes] | None) -> Frame:
        head = bytes(self._stream.at(at, head_end - at))
        offset, inner = self._stream.locate(at)
        body = self._stream.at(head_end, end - head_end)
        return Frame(offset, inner, head, body, ARC_START.match(head) if arc else None)

    def _warc_head(self, at: int, line_end: int) -> tuple[int, int | None, str] | Skip:
        """(end of the header block, Content-Length or None, the value if it is no number)."""
        for size in (START_WINDOW, MAX_HEAD):
            data = self._stream.at(at, size)
            blank = HEAD_END.search(data, line_end - 1)
            if blank or len(data) < size:
                break
        another = _WARC_LINE.search(data, line_end - 1, blank.end() if blank else len(data))
        if another or not blank:
            offset = self._stream.locate(at)[0]
            if not another and len(data) < size:
                if self._stream.damage:
                    return Skip(self._stream.damage.kind, offset, self._stream.damage.detail)
                return Skip("truncated", offset, "the file ends inside a record header")
            return Skip("bad_warc_header", offset, "no blank line after the header")
        stated = _LENGTH.search(data, 0, blank.end())
        if not stated:
            return at + blank.end(), None, ""
        digits = stated[1].strip()
        if not digits.isdigit() or len(digits) > 18:
            return at + blank.end(), None, digits[:40].decode("latin-1") or "empty"
        return at + blank.end(), int(digits), ""

    def _ends(self, head_end: int, end: int, arc: bool) -> int | None:
        """Where to go on if a record can end at `end`, judged by what follows; None if it can't."""
        stream = self._stream
        tail = stream.at(end, START_WINDOW)
        text = bytes(tail[:64])
        rest = text.lstrip(_PADDING)
        blank = len(text) - len(rest)
        sound = stream.damage is None or stream.damage_from >= end
        if not rest:
            return end if sound else None
        if WARC_START.match(tail, blank) or ARC_START.match(tail, blank):
            return end
        if stream.boundary(end, end + blank):
            return end
        if WARC_START.match(tail, 4):  # the blank lines themselves are damaged
            return end + 4
        parted = sound and not arc and text.startswith((b"\r\n\r\n", b"\n\n"))
        return end if parted and self._has_http_end(head_end, end) else None

    def _has_http_end(self, head_end: int, end: int) -> bool:
        """Whether a block isn't just an HTTP header whose blank line was taken for that between records."""
        if head_end < self._stream.base:
            return True
        block = self._stream.at(head_end, min(end - head_end, MAX_HEAD))
        return bytes(block[:5]).upper() != b"HTTP/" or HEAD_END.search(block) is not None

    def _last_arc(self, end: int) -> bool:
        """Whether an ARC record ends in its line end and only garbage follows in this stream."""
        stream = self._stream
        return bytes(stream.at(end, 1)) == b"\n" and self._find(end, keep=True) is None and stream.damage is None

    def _bad(self, at: int, kind: str, detail: str, search_from: int, partial: bool = False) -> tuple[Skip, int | None]:
        """The skip for the record at `at` and the next validated start from `search_from`.

        Where none follows, damage of the stream is the better reason; `partial` says that the record may
        have been cut off by the end of the file.
        """
        stream = self._stream
        offset = stream.locate(at)[0]
        following = self._find(max(search_from, stream.base))
        if following is None and not stream.abandoned:
            if stream.damage is not None:
                kind, detail = stream.damage.kind, stream.damage.detail
            elif partial:
                kind = "truncated"
        return Skip(kind, offset, detail), following

    def _find(self, at: int, keep: bool = False) -> int | None:
        """First position from `at` on at which a record validly starts."""
        stream = self._stream
        begin = at
        while True:
            data = stream.at(at, WINDOW + START_WINDOW)
            place = self._search(data, at == begin)
            if place is not None:
                return at + place
            if len(data) < WINDOW + START_WINDOW:
                return None
            at += WINDOW
            if not keep:
                stream.release(at)
            if not stream.seekable and at - begin > SCAN_LIMIT:
                stream.abandon()
                return None

    def _search(self, data: memoryview, edge: bool) -> int | None:
        if self._arc:
            for line in _ARC_LINE.finditer(data):
                if ARC_START.match(data, line.end()):
                    return line.end()
            return None
        for found in _WARC_LINE.finditer(data):
            place = found.start(1)
            if place == 0 and not edge:
                continue
            if WARC_HEADER.search(data, found.end() - 1, place + START_WINDOW):
                return place
        return None
