"""What is a person's (or a team's) name, and what a byline wraps around it."""

from __future__ import annotations

import re

from .dates import find_day, month_number, without_day
from .markup import plain, tidy, word_set

MAX_NAME_CHARS = 80
MAX_AUTHORS = 10

_NOBODY = word_set(
    "admin administrator administrador administrateur webmaster root user undefined null none n/a na unknown"
    " guest anonymous author authors editor default test team staff by published posted written share contact"
    " website home follow email comments reply about wordpress guide guides sections last updated name profile"
    " articles news blog posts more home menu search login contributor contributors writer read wordpress autor"
    " auteur redaktion redaktion redaction администратор админ"
)
_PARTICLES = word_set(
    "de da do dos das del della der den di du des la le van von zu zum zur ter ten el al bin ibn y e i et and"
    " und with of the at for st dr ben ap af av och og"
)
_URL = re.compile(r"https?:|//|www\.|@|\.(?:com|org|net|html?)\b", re.IGNORECASE)
_LOGIN = re.compile(r"[a-z0-9][\w.-]*")
_SENTENCE = re.compile(r"[?!;:{}\[\]<>=*#\"“”%$|…]|\.\s+[a-z]")
_ABBREVIATED = re.compile(r"(?:^|[\s.])(?:[^\W\d_]|[JS]r|Ph\.?D|M\.?D|D\.?D\.?S|Inc|Co)\.$")
_JOIN = re.compile(r"\s*(?:[;|]|,?\s+(?:and|und|et|y|i|и|och|og|en|e)\s+|\s&\s|,)\s*")
_LEAD_IN = re.compile(
    r"(?:(?:(?:article|story|post|words|text|written|posted|published|created|submitted|reported|reviewed"
    r"|authored|guest post|geschrieben|veröffentlicht|publié|rédigé|écrit|escrito|publicado|scritto|pubblicato"
    r"|napisał)\s+)?"
    r"(?:by|von|par|por|di|da|от|przez|av|af|door)(?=[\s:]|$)"
    r"|(?:author|authors|autor|autora|autore|auteur|autorin|автор|автор статьи|текст|tekst|texte|texto|testo|words"
    r"|skribent|thread starter|written by|作者|记者|記者|文|著者|執筆者|執筆|筆者|撰文|ライター|글|기자)\s*[:：/]"
    r"|作者|著者|執筆者|筆者|撰文)\s*[:：]?\s*",
    re.IGNORECASE,
)
_CUT = re.compile(
    r"\s*(?:[|•·●—–/(（]|\s-\s|\bon\s+(?=\w+\s+\d)|\bin\s+(?=[A-Z])|\bupdated?\b|\bpublished\b|\bposted\b|\d{4}).*$",
    re.IGNORECASE | re.DOTALL,
)
_BY = re.compile(
    r"(?:^|[|•·–—]\s?)(?:[Bb]y|BY|[Ww]ritten [Bb]y|[Pp]osted [Bb]y|[Pp]ublished [Bb]y|[Ww]ords [Bb]y"
    r"|[Tt]ext [Bb]y|[Ss]tory [Bb]y"
    r"|Von|Par|Por|Di|Av|Af|Door)(?:\s*:)?(?=\s|$)"
    r"|(?:^|[|•·–—]\s?)(?:Author|Autor|Autora|Autore|Auteur|Autorin|Автор|Текст|Tekst|Texte|Texto|Testo|Thread starter"
    r"|作者|记者|記者|文|著者|執筆者|執筆|筆者|撰文|ライター|글)\s?(?:[:：／/]|$)"
)


def byline_start(text: str) -> int | None:
    """Where a name would begin in a text that opens with "By" or its like in nine languages; its length if after it."""
    match = _BY.search(text[:120]) if any(c in text for c in "|•·–—") else _BY.match(text)
    return match.end() if match else None


def strip_lead_in(text: str) -> str:
    """The text without "By", "Written by:", "Автор:" and the like in front of a name."""
    match = _LEAD_IN.match(text)
    return text[match.end() :] if match else text


def clean_name(text: str) -> str | None:
    """A name without markup, lead-in, date and job; None where nothing that can be one is left."""
    line = tidy(plain(text), 400)
    if not line or is_url(line):
        return None
    line = strip_lead_in(line)
    if find_day(line, None):
        line = without_day(line)
    line = _CUT.sub("", line).strip(" ,:;-–—|•·\t'\"").lstrip(".")
    if line.endswith(".") and not _ABBREVIATED.search(line):
        line = line.rstrip(". ")
    return line or None


def is_name(text: str, login: bool = False) -> bool:
    """Whether a cleaned text reads as a name: letters, few words, each with a capital where the script has them.

    `login`: a single lower-case word will do, as forums have them.
    """
    if not 2 <= len(text) <= MAX_NAME_CHARS or _URL.search(text) or text.casefold() in _NOBODY:
        return False
    if not any(c.isalpha() for c in text):
        return False
    words = text.split()
    if login and len(words) == 1:
        return True
    if len(words) > 7 or _SENTENCE.search(text) or sum(c.isdigit() for c in text) > 2:
        return False
    if is_login(text) or (any(c.isdigit() for c in text) and month_number(words[0])):
        return False
    for word in words:
        letters = [c for c in word if c.isalpha()]
        if letters and letters[0].islower() and word.casefold().strip(".,'’") not in _PARTICLES and "'" not in word:
            return False
    return words[0].casefold() not in ("the", "in", "on", "about", "how", "read", "view", "see", "all")


def is_login(text: str) -> bool:
    """Whether a name looks like an account's: one lower-case word."""
    return bool(_LOGIN.fullmatch(text)) and text.isascii()


def split_names(text: str) -> list[str]:
    """The single names of a byline, in order, at most MAX_AUTHORS."""
    return [name for part in _JOIN.split(text) if (name := part.strip())][:MAX_AUTHORS]


def are_names(text: str) -> bool:
    """Whether every part of a byline reads as a name (or as a degree after one)."""
    parts = split_names(text)
    return bool(parts) and all(is_name(part) for part in parts)


def is_url(text: str) -> bool:
    """Whether a text has an address in it rather than a name."""
    return bool(_URL.search(text))


def surname_first(text: str) -> str:
    """`Roy, Aniruddha`, as citation metadata has it, as Aniruddha Roy."""
    parts = text.split(",")
    if len(parts) == 2 and all(1 <= len(p.split()) <= 2 for p in parts):
        return f"{parts[1].strip()} {parts[0].strip()}"
    return text
