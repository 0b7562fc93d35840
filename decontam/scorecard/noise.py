"""Changes of a text that leave it the same text to a reader: case, punctuation, Unicode, markup; and edits that don't:
numbers and words. Each is a function of the text and of draws alone; it returns None where it can change nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from .draws import Draws

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
"""A word that edits replace or drop: letters and digits, with apostrophes inside."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_MARK = re.compile(r"(?<=\w)[,.;:!?]+(?=\s|$)")
_WORD_END = re.compile(r"(?<=\w)(?= \w)")
_QUOTED = re.compile(r'"([^"\n]*)"')
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_INVISIBLE = ("\u200b", "\u2060", "\u00ad", "\ufeff")
_SPACES = ("\u00a0", "\u2009", "\u202f", "\u3000")
_LIGATURES = (("ffi", "\ufb03"), ("ffl", "\ufb04"), ("fi", "\ufb01"), ("fl", "\ufb02"), ("ff", "\ufb00"))


def _first_change(text: str, draws: Draws, ways: Sequence[Callable[[str, Draws], str]]) -> str | None:
    for way in draws.shuffled(ways):
        changed = way(text, draws)
        if changed != text:
            return changed
    return None


def _recased(char: str, upper: bool) -> str:
    other = char.upper() if upper else char.lower()
    return other if other.casefold() == char.casefold() and len(other) == 1 else char


def case_noise(text: str, draws: Draws) -> str | None:
    """All capitals, all small, every word with a capital, every other letter, or one word in three in capitals."""

    def each_word(text: str, change: Callable[[str], str]) -> str:
        return re.sub(r"\w+", lambda match: change(match.group()), text)

    def capitals(word: str) -> str:
        return "".join(_recased(char, True) for char in word)

    def small(word: str) -> str:
        return "".join(_recased(char, False) for char in word)

    return _first_change(
        text,
        draws,
        (
            lambda text, draws: capitals(text),
            lambda text, draws: small(text),
            lambda text, draws: each_word(text, lambda word: capitals(word[:1]) + small(word[1:])),
            lambda text, draws: "".join(_recased(char, at % 2 == 0) for at, char in enumerate(text)),
            lambda text, draws: each_word(text, lambda word: capitals(word) if draws.chance(1 / 3) else word),
        ),
    )


def punctuation_noise(text: str, draws: Draws) -> str | None:
    """Marks at the ends of words removed, doubled, set off by a space or added; no word changes."""

    def marks(text: str, draws: Draws) -> str:
        ways = ("", "", " {}", "{0}{0}", "...", ";")
        return _MARK.sub(lambda match: draws.choice(ways).format(match.group()), text)

    def added(text: str, draws: Draws) -> str:
        ways = (",", " -", "...", ";", " /", ":")
        return _WORD_END.sub(lambda match: draws.choice(ways) if draws.chance(0.1) else "", text)

    def both(text: str, draws: Draws) -> str:
        return added(marks(text, draws), draws)

    def wrapped(text: str, draws: Draws) -> str:
        return "\n".join(f"*{line}*" if line.strip() else line for line in text.split("\n"))

    return _first_change(text, draws, (marks, both, both)) or wrapped(text, draws)


def unicode_noise(text: str, draws: Draws) -> str | None:
    """One or two of: typographic quotes, dashes, full width, decomposed accents, characters without width, other
    spaces, ligatures. No character is replaced by a lookalike of another script."""

    def quotes(text: str, draws: Draws) -> str:
        return _QUOTED.sub("\u201c\\1\u201d", text).replace("'", "\u2019")

    def dashes(text: str, draws: Draws) -> str:
        return re.sub(r"(?<=\w)-(?=\w)", draws.choice("\u2010\u2011\u2013"), text).replace(
            " - ", f" {draws.choice('–—')} "
        )

    def width(text: str, draws: Draws) -> str:
        return WORD.sub(
            lambda match: match.group().translate(_FULL_WIDTH) if draws.chance(0.3) else match.group(), text
        )

    def invisible(text: str, draws: Draws) -> str:
        def broken(match: re.Match[str]) -> str:
            word = match.group()
            if len(word) < 2 or not draws.chance(0.3):
                return word
            at = draws.between(1, len(word) - 1)
            return word[:at] + draws.choice(_INVISIBLE) + word[at:]

        return WORD.sub(broken, text)

    def spaces(text: str, draws: Draws) -> str:
        return re.sub(" ", lambda match: draws.choice(_SPACES) if draws.chance(0.3) else " ", text)

    def ligatures(text: str, draws: Draws) -> str:
        for letters, one in _LIGATURES:
            text = text.replace(letters, one)
        return text

    def decomposed(text: str, draws: Draws) -> str:
        return unicodedata.normalize("NFD", text)

    ways = (quotes, dashes, width, decomposed, invisible, spaces, ligatures)
    changed = _first_change(text, draws, ways)
    if changed is None or draws.chance(0.5):
        return changed
    return draws.choice(ways)(changed, draws)


def change_numbers(parts: Sequence[str], draws: Draws) -> list[str] | None:
    """Every number in digits becomes another one of the same length, one and the same wherever it stands.

    None where the parts hold fewer than two different numbers."""
    new: dict[str, str] = {}
    for number in _NUMBER.findall("\n".join(parts)):
        if number not in new:
            new[number] = _other_number(number, draws)
    if len(new) < 2:
        return None
    return [_NUMBER.sub(lambda match: new[match.group()], part) for part in parts]


def _other_number(number: str, draws: Draws) -> str:
    changed = number
    while changed == number:
        changed = "".join(
            str(draws.between(1 if at == 0 and char != "0" else 0, 9)) if char.isdigit() else char
            for at, char in enumerate(number)
        )
    return changed


def has_marks(text: str) -> bool:
    """Whether letters carry combining marks, at which WORD would cut them (Tamil, Thai, decomposed Latin)."""
    return any(unicodedata.category(char)[0] == "M" for char in text)


def edit_words(
    parts: Sequence[str], share: float, draws: Draws, substitute: Callable[[str], str] | None, least: int = 20
) -> list[str] | None:
    """Replace (or drop, where `substitute` is None) this share of the parts' words, at least one, at drawn places.

    `substitute` gives another word for a word. None where the parts have fewer than `least` words, or letters with
    combining marks, which the pattern of a word would cut."""
    spans = [(at, match.span()) for at, part in enumerate(parts) for match in WORD.finditer(part)]
    if len(spans) < least or any(map(has_marks, parts)):
        return None
    chosen = draws.sample(spans, max(1, round(share * len(spans))))
    edited = list(parts)
    for at, (start, end) in sorted(chosen, reverse=True):
        text = edited[at]
        if substitute is not None:
            edited[at] = text[:start] + substitute(text[start:end]) + text[end:]
        elif text[end : end + 1] == " ":
            edited[at] = text[:start] + text[end + 1 :]
        elif text[start - 1 : start] == " ":
            edited[at] = text[: start - 1] + text[end:]
        else:
            edited[at] = text[:start] + text[end:]
    return edited
