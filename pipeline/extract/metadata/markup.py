"""Tags, attributes and text of a stretch of UTF-8 HTML, by `re` alone. Every loop and every value is bounded."""

from __future__ import annotations

import html as html_entities
import re

MAX_TAG_BYTES = 8000
MAX_VALUE_BYTES = 4000
MAX_ATTRIBUTES = 40
MAX_NAME_BYTES = 60
MAX_INNER_BYTES = 4000

# possessive quantifiers (++, *+) never give back what they took, so a tag that doesn't end costs its length once
_ATTRIBUTE = re.compile(
    rb"""[\s/]*+([^\s"'<>/=]{1,%d}+)(?:\s*+=\s*+(?:"([^"]{0,%d}+)"|'([^']{0,%d}+)'|([^\s"'<>]{0,%d}+)))?+"""
    % (MAX_NAME_BYTES, MAX_VALUE_BYTES, MAX_VALUE_BYTES, MAX_VALUE_BYTES)
)
_TAGS = re.compile(rb"<[^<>]*+>?")
_TAG_NAME = re.compile(rb"</?[a-zA-Z][^\s<>/]{0,60}")
_INLINE = re.compile(
    rb"</?(?:a|abbr|b|bdi|em|font|i|mark|small|span|strong|su[bp]|u|wbr)(?:\s[^<>]*+)?>",
    re.IGNORECASE,
)
_TAG = re.compile(rb"<(/?)([a-zA-Z!][^\s<>/]{0,30}+)[^<>]*+>([^<]*+)")
_TEXT = re.compile(rb">\s*+([^<\s][^<]*+)<")
_HIDES = re.compile(rb"<!--|<(script|SCRIPT|style|STYLE|svg|noscript|template|select|iframe)(?=[\s>])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd\ufffe\uffff\s]+")
_UNSEEN = re.compile(
    "[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
)  # joiners stay: Persian spells with them
_VOID = frozenset((b"br", b"img", b"meta", b"link", b"input", b"hr", b"source", b"wbr", b"area", b"base", b"col"))


def word_set(words: str) -> frozenset[str]:
    """The words of a space-separated list."""
    return frozenset(words.split())


def decode(raw: bytes) -> str:
    """The text of UTF-8 bytes, which a limit may have cut within a character."""
    return raw.decode("utf-8", "replace")


def tidy(text: str | None, limit: int) -> str | None:
    """One line of at most `limit` characters: entities resolved, no control, direction or zero-width characters.

    None if nothing is left. Text that was escaped twice (`&amp;#8217;`) is unescaped twice.
    """
    if not text:
        return None
    text = text[: limit * 8]
    for _ in range(2):
        if "&" not in text:
            break
        text = html_entities.unescape(text)
    if text.isprintable() and "  " not in text and "\ufffd" not in text:  # as most are
        return text.strip()[:limit].rstrip() or None
    text = text.encode("utf-8", "replace").decode("utf-8")  # JSON's \ud800 is no character
    return _CONTROL.sub(" ", _UNSEEN.sub("", text)).strip()[:limit].rstrip() or None


def attributes(page: bytes, start: int) -> dict[str, str]:
    """Attributes of the tag at `start` by lower-case name; the first of a name counts, as in HTML."""
    gap = page.find(b" ", start, start + 40)
    at = min((x for x in (gap, page.find(b"\n", start, start + 40), page.find(b"\t", start, start + 40)) if x > 0),
             default=-1)  # fmt: skip
    return parse_attributes(page[at : start + MAX_TAG_BYTES]) if at > 0 else {}


def parse_attributes(raw: bytes) -> dict[str, str]:
    """Attributes from the bytes that follow a tag's name, up to the tag's end or MAX_ATTRIBUTES of them."""
    found: dict[str, str] = {}
    at = 0
    for _ in range(MAX_ATTRIBUTES):
        match = _ATTRIBUTE.match(raw, at)
        if match is None:
            break
        found.setdefault(decode(match[1]).lower(), decode(match[2] or match[3] or match[4] or b""))
        at = match.end()
    return found


def tag_end(page: bytes, start: int) -> int:
    """Where the tag at `start` ends (its `>`, which attributes may hold too); -1 if that's not in MAX_TAG_BYTES."""
    tag = page[start : start + MAX_TAG_BYTES]
    name = _TAG_NAME.match(tag)
    at = name.end() if name else 1
    for _ in range(MAX_ATTRIBUTES):
        match = _ATTRIBUTE.match(tag, at)
        if match is None:
            break
        at = match.end()
    end = tag.find(b">", at)
    return start + end if end >= 0 else -1


def inner_text(page: bytes, start: int, name: bytes, gap: bytes = b" ") -> str | None:
    """The text inside the element whose tag begins at `start`; None without an end.

    `gap` stands for inline markup, which separates no words; a space for all other tags.
    """
    opened = tag_end(page, start)
    if opened < 0:
        return None
    within = page[opened + 1 : opened + MAX_INNER_BYTES]
    closed = within.lower().find(b"</" + name)
    if closed < 0:
        return None
    within = visible_part(within, 0, closed)
    return decode(_TAGS.sub(b" ", _INLINE.sub(gap, within))).strip() or None


def plain(text: str) -> str:
    """Text with tags taken out (names in JSON-LD carry them)."""
    return decode(_TAGS.sub(b" ", text.encode("utf-8", "replace"))) if "<" in text else text


def visible_part(page: bytes, start: int, stop: int) -> bytes:
    """The bytes from `start` to `stop` without comments, scripts and other elements that show no text of theirs."""
    kept: list[bytes] = []
    at = start
    for match in _HIDES.finditer(page, start, stop):
        if match.start() < at:
            continue
        kept.append(page[at : match.start()])
        end = b"-->" if match[1] is None else b"</" + match[1]
        at = page.find(end, match.end(), stop)
        if at < 0:
            at = stop
            break
        if match[1] is None:
            at += len(end)
    kept.append(page[at:stop])
    return b"".join(kept)


def texts(window: bytes) -> list[tuple[int, str]]:
    """The texts between tags with where they begin."""
    found = ((m.start(1), tidy(decode(m[1][:3200]), 400)) for m in _TEXT.finditer(window))
    return [(at, text) for at, text in found if text]


def texts_within(window: bytes, start: int, most: int = 12, tags: int = 80) -> list[str]:
    """The texts inside the element whose tag begins at `start`, at most `most`; of at most `tags` tags."""
    name = b""
    depth = 0
    at = start
    found: list[str] = []
    for _ in range(tags):
        match = _TAG.match(window, at)
        if match is None:
            break
        at = match.end()
        tag = match[2].lower()
        name = name or tag
        if name in _VOID:
            break
        if tag == name:
            depth += -1 if match[1] else 1
            if depth == 0:
                break
        if match[3] and not match[3].isspace() and (text := tidy(decode(match[3][:3200]), 400)):
            found.append(text)
            if len(found) == most:
                break
    return found
