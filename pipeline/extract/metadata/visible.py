"""Bylines and dates that stand next to the main heading, where a reader looks for them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from .dates import find_day, without_day
from .markup import attributes, decode, texts, texts_within, visible_part, word_set
from .names import are_names, byline_start, clean_name, is_name, split_names

BYTES_BEFORE = 1500
BYTES_AFTER = 6000
MANY_DAYS = 4
MAX_TAGS = 12
MAX_TEXT_CHARS = 160
"""A date in a longer text is running text."""

_MARKS = (b"author", b"byline", b"autor", b"auteur", b"writer", b"username", b"contributor", b"/people/",
          b"/profile", b"/member", b"/staff/", b"date", b"time", b"publish", b"posted", b"comment", b"respond",
          b"disqus")  # fmt: skip
_DAY_MARKS = (b"datePublished", b"datetime=")
_AUTHOR_MARKS = (b'rel="author"', b'itemprop="author"', b"author-name")
_THREADS = (b"schema.org/Question", b"schema.org/DiscussionForumPosting")
_BLOCK_ENDS = (b"</nav", b"</ul", b"</form")
_SPLIT = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_AUTHOR_WORDS = word_set("author authors byline bylines autor autora auteur writer contributor username nickname")
_NOT_AUTHOR = word_set(
    "image img avatar photo picture social icon comment comments related bio description desc about box follow"
    " count role job position title link links list tag tags button share reviewer editor"
)
_AUTHOR_PATH = re.compile(
    r"/(?:authors?|autor(?:es|en)?|auteurs?|contributors?|writers?|staff|byline|people|profiles?|producers|members)/[^/?#\s]",
    re.I,
)
_DATE_WORDS = word_set("date datetime published publish pubdate posted timestamp dateline time datum fecha data")
_MODIFIED = re.compile(
    r"updat|modif|edited|revis|reviewed|aktualis|geändert|mis[e]? à jour|actualiz|aggiornat|atualiz|обновл|измен"
    r"|aktualiz|bijgewerkt|güncel|更新|修改|수정",
    re.IGNORECASE,
)
_HAS_YEAR = re.compile(r"\d{4}")
_COMMENTS = re.compile(
    r"^(?:comments?|respond|disqus_thread|comment-?list|comments-area|related-?(?:posts|articles)?)$", re.I
)
_NOT_PUBLISHED = re.compile(
    r"copyright|©|\(c\)|all rights|expires?|deadline|born|joined|founded|established|member since|registered"
    r"|registriert|valid|version|event",
    re.IGNORECASE,
)


_AND = r"(?:[,&;]|(?:,\s?)?\b(?:and|und|et|y|e|i|и)\b)"
_JOINER = re.compile(rf"\s*{_AND}\s*", re.I)
_JOINED = re.compile(rf"^\s*{_AND}\s+", re.I)
_JOINS = re.compile(rf"{_AND}\s*$", re.I)


class Seen(NamedTuple):
    """What stands near a heading; None for what doesn't."""

    author: str | None
    published: str | None


@dataclass
class _Found:
    latest: str | None
    locale: str | None
    author: str | None = None
    published: list[str] = field(default_factory=list)
    modified: list[str] = field(default_factory=list)


def look_around(page: bytes, heading: int, start: int, stop: int, latest: str | None, locale: str | None) -> Seen:
    """Byline and day from BYTES_BEFORE before the heading at byte `heading` to BYTES_AFTER after it.

    A day called an update counts where no other stands there. Many days there are those of a list's entries.
    """
    seen = _Found(latest, locale)
    _read(visible_part(page, heading, min(stop, heading + BYTES_AFTER)), seen)
    if len(seen.published) >= MANY_DAYS:
        return Seen(None, None)
    if seen.author is None or not seen.published:
        before = visible_part(page, max(start, heading - BYTES_BEFORE), heading)
        _read(before[max(before.rfind(end) for end in _BLOCK_ENDS) + 1 :], seen)
    return Seen(seen.author, next(iter(seen.published + seen.modified), None))


def look_everywhere(page: bytes, start: int, stop: int, seen: Seen, latest: str | None, locale: str | None) -> Seen:
    """What `look_around` left open, from marked elements anywhere in the body, if they all say the same.

    Of the many authors of a thread it is the first, who asked.
    """
    author, published = seen
    if published is None:
        days = _Found(latest, locale)
        for tag in _tags_with(page, _DAY_MARKS, start, stop):
            given = attributes(page, tag)
            stamp = given.get("datetime") or given.get("content") or ""
            if given.get("itemprop", "datePublished") == "datePublished" and "modified" not in given.get("class", ""):
                day = find_day(stamp, latest, locale, machine=True)
                if day:
                    said_before = visible_part(page, max(start, tag - 200), tag).rpartition(b">")
                    label = decode(said_before[2] if said_before[2].strip() else said_before[0].rpartition(b">")[2])
                    _note(day, label[-39:], given.get("class", ""), days)
        published = days.published[0] if len(days.published) == 1 else None
    if author is None:
        names = []
        tags = _tags_with(page, _AUTHOR_MARKS, start, stop)
        thread = bool(tags) and any(page.find(mark, start, stop) >= 0 for mark in _THREADS)
        for tag in tags:
            name = _names_in(texts_within(page, tag), thread)
            if name and name not in names:
                names.append(name)
        author = names[0] if len(names) == 1 or (names and thread) else None
    return Seen(author, published)


def _tags_with(page: bytes, marks: tuple[bytes, ...], start: int, stop: int) -> list[int]:
    """Where the tags begin that hold one of the marks, in order, at most MAX_TAGS of each."""
    found: set[int] = set()
    for mark in marks:
        at = page.find(mark, start, stop)
        for _ in range(MAX_TAGS):
            if at < 0:
                break
            tag = page.rfind(b"<", max(start, at - 1000), at + 1)
            if tag >= 0 and page.find(b">", tag, at) < 0:
                found.add(tag)
            at = page.find(mark, at + len(mark), stop)
    return sorted(found)


def _marked_tags(window: bytes) -> list[int]:
    """Where tags begin whose attributes may be worth reading (an alternation in `re` took ten times as long)."""
    low = window.lower()
    found: set[int] = set()
    for word in _MARKS:
        at = low.find(word)
        while at >= 0:
            tag = low.rfind(b"<", 0, at)
            end = low.find(b">", at)
            if tag >= 0 and low.find(b">", tag, at) < 0 and low[tag + 1 : tag + 2].isalpha():
                found.add(tag)
            at = low.find(word, end if end > at else at + len(word))
    return sorted(found)


def _read(window: bytes, seen: _Found) -> None:
    """Take in texts and marked tags in the order of the page, up to where readers' comments begin."""
    texts_at = texts(window)
    label = ""  # the text before, which says what a date is
    next_text = 0
    for tag in (*_marked_tags(window), len(window)):
        while next_text < len(texts_at) and texts_at[next_text][0] < tag:
            text = texts_at[next_text][1]
            if len(text) <= MAX_TEXT_CHARS:
                _read_text([t for _, t in texts_at[next_text : next_text + 4]], label, seen)
            label = "" if _HAS_YEAR.search(text) else text[-60:]
            next_text += 1
        if tag < len(window) and not _read_tag(window, tag, label, seen):
            return


def _read_text(following: list[str], label: str, seen: _Found) -> None:
    text = following[0]
    if seen.author is None:
        begins = byline_start(text)
        if begins is not None:
            rest = text[begins:].strip(" :\u00a0")
            seen.author = _names_in([rest] if rest else following[1:], False)
    day = find_day(text, seen.latest, seen.locale) if len(seen.published) < MANY_DAYS else None
    if day and len(without_day(text)) <= 60:
        _note(day, label, text, seen)


def _read_tag(window: bytes, tag: int, label: str, seen: _Found) -> bool:
    """Take in one tag; False where readers' comments begin."""
    given = attributes(window, tag)
    names = [given.get("class", ""), given.get("id", ""), given.get("itemprop", "")]
    if tag > 0 and any(_COMMENTS.match(one) for one in (given.get("id", ""), *names[0].split())):
        return not (given.get("id") or window[tag + 1 : tag + 3].lower() in (b"ol", b"ul", b"se"))
    marks = {word.lower() for name in names for word in _SPLIT.findall(name)}
    if window[tag + 1 : tag + 5].lower() == b"time" or marks & _DATE_WORDS:
        stamp = given.get("datetime") or given.get("content") or given.get("title") or ""
        day = find_day(stamp, seen.latest, seen.locale, machine=True) if stamp else None
        if day:
            _note(day, label, " ".join(sorted(marks)), seen)
    if seen.author is None:
        stated = "author" in given.get("rel", "").lower() or given.get("itemprop") == "author"
        linked = window[tag + 1 : tag + 2] in b"aA" and bool(_AUTHOR_PATH.search(given.get("href", "")[:300]))
        if stated or linked or (marks & _AUTHOR_WORDS and not marks & _NOT_AUTHOR):
            seen.author = _names_in(texts_within(window, tag), stated or "username" in marks)
    return True


def _note(day: str, label: str, text: str, seen: _Found) -> None:
    context = f"{label if len(label) < 40 else ''} {text}"
    if _NOT_PUBLISHED.search(context):
        return
    kind = seen.modified if _MODIFIED.search(context) else seen.published
    if day not in kind and len(kind) < MANY_DAYS:
        kind.append(day)


def _names_in(texts: list[str], login: bool) -> str | None:
    """The names that the texts of a byline give, joined by `; `. More follow where a comma or an "and" says so."""
    found: list[str] = []
    joined = True
    for text in texts:
        if _JOINER.fullmatch(text):
            joined = bool(found) or joined
            continue
        if found and not joined and not _JOINED.match(text):
            break
        name = clean_name(_JOINED.sub("", text))
        if name is None:
            continue
        parts = split_names(name)
        if login and not found and len(parts) == 1 and is_name(name, login=True):
            return name
        if not are_names(name):
            if found:
                break
            continue
        found.extend(p for p in parts if p not in found)
        joined = bool(_JOINS.search(text))
    return "; ".join(found) or None
