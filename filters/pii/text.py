"""What all PII finders share: the hit, folded characters, and the words in front of a candidate."""

from __future__ import annotations

import re
from typing import NamedTuple


class Hit(NamedTuple):
    """Characters [start, end) of a text, the kind (`card`, `national_id`, ...) and what exactly (`us_ssn`)."""

    start: int
    end: int
    kind: str
    detail: str = ""


def _fold_table() -> dict[int, str]:
    table = {0xFF00 + i: chr(0x20 + i) for i in range(1, 0x5F)}  # full-width ASCII
    for zero in (0x0660, 0x06F0, 0x0966):  # Arabic, Persian, Devanagari digits
        table |= {zero + i: str(i) for i in range(10)}
    table |= dict.fromkeys((0xA0, 0x2007, 0x2008, 0x2009, 0x200A, 0x202F, 0x3000), " ")
    table |= dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212), "-")
    return table


_FOLD = _fold_table()
_FOLDED = re.compile(f"[{re.escape(''.join(map(chr, _FOLD)))}]")


def fold(text: str) -> str:
    """Digits, spaces and hyphens of other kinds as ASCII; as many characters as before."""
    return text if text.isascii() else _FOLDED.sub(lambda found: _FOLD[ord(found.group())], text)


def words(*choices: str) -> re.Pattern[str]:
    """A pattern for any of these words (lower case) at the beginning of a word; longer words may go on."""
    latin = [
        re.escape(w) + (r"(?![^\W\d_])" if len(w) <= 4 else "") for w in choices if w[0].isascii() or not _joined(w[0])
    ]
    other = [re.escape(w) for w in choices if not (w[0].isascii() or not _joined(w[0]))]
    parts = ([rf"(?<![^\W\d_])(?:{'|'.join(latin)})"] if latin else []) + other
    return re.compile("|".join(parts))


def _joined(letter: str) -> bool:
    """Whether a script writes words without spaces, or with prefixes (CJK, Thai, Hangul, Arabic, Hebrew)."""
    return ord(letter) >= 0x0590 and not 0x0900 <= ord(letter) <= 0x0DFF


def before(text: str, start: int, size: int) -> str:
    """Up to `size` characters in front of `start`, lower case."""
    return text[max(0, start - size) : start].lower()


def digits(text: str) -> str:
    """The ASCII digits of a text."""
    return "".join(c for c in text if "0" <= c <= "9")
