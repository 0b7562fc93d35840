"""The tags of a page that may speak of its use, found in its bytes without a tree.

A small-letter copy is searched for the few words that such tags hold; only tags around them are parsed (by
`pipeline.extract.charset.tag_attributes`), and only then are comments and scripts looked up, which hide tags.
Every loop is bounded; the work is linear in the page's length.
"""

from __future__ import annotations

import html as html_entities
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.extract.charset import decode, tag_attributes

MAX_TAG_BYTES = 16_000
MAX_TAGS = 4000
"""So many `<meta>` and so many other candidates are looked at; real pages have some tens."""

MAX_PARSED_BYTES = 1_000_000
"""Of all tags together; real pages have some kilobytes of such tags, traps have tags that never end."""

MAX_BACK = 4000
"""Where a tag may begin before a word in it."""

_NAMES = re.compile(
    rb"robots|bot\b|tdm|rights|licen[cs]e|copyright|&#|all\b|google-ext|-ai\b|claude|spider|external|omgili|crawler|img2|"
    rb"archiver|slurp|teoma|yandex|webzio"
)
_HIDES = re.compile(rb"<!--|<(script|style|textarea|title|xmp|iframe|noembed|noframes)(?=[\s/>])")
_COMMENT_END = re.compile(rb"--!?>")
_TAG_NAME = re.compile(rb"[a-z][^\s/>]{0,40}")


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag: where it begins, its name and its attributes (small-letter names, character references resolved)."""

    at: int
    name: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Hidden:
    """A comment (`name` is empty) or a raw-text element: the bytes [start, end) inside."""

    name: str
    tag_at: int
    start: int
    end: int


def as_utf8(payload: bytes, content_type: str | None) -> bytes:
    """The page's bytes if its charset writes ASCII as ASCII, else (UTF-16, UTF-32) the text in UTF-8."""
    head = payload[:1024]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head.count(0) > 0.1 * len(head):
        return decode(payload, content_type).text.encode("utf-8", "replace")
    return payload


class Page:
    """A page that is searched; `low` is its small-letter copy."""

    def __init__(self, page: bytes) -> None:
        self.page = page
        self.low = page.lower()
        self._hidden: list[Hidden] | None = None
        self._budget = MAX_PARSED_BYTES

    def metas(self) -> Iterator[Tag]:
        """The visible `<meta>` tags that may speak of robots, TDM or rights."""
        low, at = self.low, 0
        for _ in range(MAX_TAGS):
            at = low.find(b"<meta", at)
            if at < 0:
                return
            end = low.find(b">", at)
            seen = low[at : min(end, at + MAX_TAG_BYTES) if end >= 0 else at + MAX_TAG_BYTES]
            # an odd number of quotes: the > may stand in a value
            if seen.count(b'"') % 2 or seen.count(b"'") % 2 or _NAMES.search(seen, 5):
                tag = self._tag(at)
                if tag is not None and tag.name == "meta" and not self.hides(at):
                    yield tag
            at += 5

    def around(self, word: bytes) -> Iterator[Tag]:
        """The visible tags that hold a word (small letters) in their attributes, each once."""
        low, at, last = self.low, 0, -1
        for _ in range(MAX_TAGS):
            at = low.find(word, at)
            if at < 0:
                return
            start = low.rfind(b"<", max(0, at - MAX_BACK), at)
            if start > last and low[start + 1 : start + 2].isalpha() and not low.startswith(b"<meta", start):
                last = start
                tag = self._tag(start)
                if tag is not None and not self.hides(start):
                    yield tag
            at += len(word)

    def scripts(self, kind: bytes) -> Iterator[bytes]:
        """What stands in the `<script>` elements whose tag holds `kind` (small letters)."""
        if kind not in self.low:
            return
        for one in self.hidden():
            if one.name == "script" and kind in self.low[one.tag_at : one.start]:
                yield self.page[one.start : one.end]

    def comments(self) -> Iterator[tuple[int, int]]:
        """Where comments begin and end."""
        return ((one.start, one.end) for one in self.hidden() if not one.name)

    def hides(self, at: int) -> bool:
        """Whether a place lies in a comment, a script or another element that shows no markup."""
        hidden = self.hidden()
        i = bisect_right(hidden, at, key=lambda one: one.tag_at) - 1
        return i >= 0 and hidden[i].start <= at < hidden[i].end

    def hidden(self) -> list[Hidden]:
        """All comments and raw-text elements, in order."""
        if self._hidden is None:
            self._hidden = list(self._find_hidden())
        return self._hidden

    def _find_hidden(self) -> Iterator[Hidden]:
        low, at = self.low, 0
        absent: set[bytes] = set()  # end tags that are not there any more: searched for once
        while (match := _HIDES.search(low, at)) is not None:
            name = match[1]
            if name is None:
                end = _COMMENT_END.search(low, match.start() + 2)
                yield Hidden("", match.start(), match.end(), end.start() if end else len(low))
                at = max(end.end(), match.end()) if end else len(low)
                continue
            _, length = tag_attributes(self.page[match.end() : match.end() + MAX_TAG_BYTES], 0)
            start = match.end() + length + 1  # behind the >
            close = b"</" + name
            stop = -1 if close in absent else low.find(close, start)
            if stop < 0:
                absent.add(close)
                stop = len(low)
            yield Hidden(name.decode(), match.start(), start, stop)
            at = stop

    def _tag(self, at: int) -> Tag | None:
        name = _TAG_NAME.match(self.low, at + 1)
        if name is None:
            return None
        if self._budget <= 0:
            return None
        raw, length = tag_attributes(self.page[name.end() : at + MAX_TAG_BYTES], 0)
        self._budget -= length
        values = {_text(key): html_entities.unescape(_text(value)) for key, value in raw.items()}
        return Tag(at, name[0].decode("latin-1"), values)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
