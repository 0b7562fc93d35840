"""UAX #29 in plain Python, rule after rule, over the property classes of the module `regex`: the oracle of segments."""

from __future__ import annotations

import functools

import regex

WORD_CLASSES = (
    "CR", "LF", "Newline", "Extend", "ZWJ", "Format", "Katakana", "Hebrew_Letter", "ALetter", "Single_Quote",
    "Double_Quote", "MidNumLet", "MidLetter", "MidNum", "Numeric", "ExtendNumLet", "Regional_Indicator", "WSegSpace",
)  # fmt: skip
SENTENCE_CLASSES = (
    "CR", "LF", "Sep", "Extend", "Format", "Sp", "Lower", "Upper", "OLetter", "Numeric", "ATerm", "SContinue", "STerm",
    "Close",
)  # fmt: skip


@functools.cache
def word_class(c: str) -> str:
    """The Word_Break class of a character."""
    return next((k for k in WORD_CLASSES if regex.match(rf"\p{{Word_Break={k}}}", c)), "Other")


@functools.cache
def sentence_class(c: str) -> str:
    """The Sentence_Break class of a character."""
    return next((k for k in SENTENCE_CLASSES if regex.match(rf"\p{{Sentence_Break={k}}}", c)), "Other")


def _pictographic(c: str) -> bool:
    return bool(regex.match(r"\p{Extended_Pictographic}", c))


def _word_break(text: str, classes: list[str], i: int) -> bool:
    """Whether there is a word boundary before character i, 0 < i < len(text)."""
    left, right = classes[i - 1], classes[i]
    partings = ("CR", "LF", "Newline")
    ignored = ("Extend", "Format", "ZWJ")
    if left == "CR" and right == "LF":
        return False
    if left in partings or right in partings:
        return True
    if left == "ZWJ" and _pictographic(text[i]):
        return False
    if left == right == "WSegSpace":
        return False
    if right in ignored:
        return False
    before = []  # classes before i with WB4 applied
    for k, one in enumerate(classes[:i]):
        if one in ignored and k > 0 and classes[k - 1] not in partings:
            continue
        before.append(one)
    after = [one for one in classes[i + 1 :] if one not in ignored]
    left = before[-1]
    left2 = before[-2] if len(before) > 1 else ""
    right2 = after[0] if after else ""
    letters = ("ALetter", "Hebrew_Letter")
    letter_middles = ("MidLetter", "MidNumLet", "Single_Quote")
    number_middles = ("MidNum", "MidNumLet", "Single_Quote")
    joined = (
        left in letters and right in letters,
        left in letters and right in letter_middles and right2 in letters,
        left2 in letters and left in letter_middles and right in letters,
        left == "Hebrew_Letter" and right == "Single_Quote",
        left == "Hebrew_Letter" and right == "Double_Quote" and right2 == "Hebrew_Letter",
        left2 == "Hebrew_Letter" and left == "Double_Quote" and right == "Hebrew_Letter",
        left == right == "Numeric",
        left in letters and right == "Numeric",
        left == "Numeric" and right in letters,
        left2 == "Numeric" and left in number_middles and right == "Numeric",
        left == "Numeric" and right in number_middles and right2 == "Numeric",
        left == right == "Katakana",
        left in (*letters, "Numeric", "Katakana", "ExtendNumLet") and right == "ExtendNumLet",
        left == "ExtendNumLet" and right in (*letters, "Numeric", "Katakana"),
    )
    if any(joined):
        return False
    if right == "Regional_Indicator":
        run = 0
        while run < len(before) and before[-1 - run] == "Regional_Indicator":
            run += 1
        return run % 2 == 0
    return True


def word_segments(text: str) -> list[str]:
    """All UAX #29 word segments."""
    classes = [word_class(c) for c in text]
    cuts = [0, *(i for i in range(1, len(text)) if _word_break(text, classes, i)), len(text)]
    return [text[a:b] for a, b in zip(cuts, cuts[1:], strict=False) if a < b]


def _sentence_break(classes: list[str], i: int) -> bool:
    partings = ("CR", "LF", "Sep")
    left, right = classes[i - 1], classes[i]
    if left == "CR" and right == "LF":
        return False
    if left in partings:
        return True
    ignored = ("Extend", "Format")
    if right in ignored:
        return False
    before = "".join(
        _CODE[one] for k, one in enumerate(classes[:i]) if one not in ignored or k == 0 or classes[k - 1] in partings
    )
    after = "".join(_CODE[one] for one in classes[i:] if one not in ignored)
    if regex.search(r"A$", before) and after[0] == "N":
        return False
    if regex.search(r"[UL]A$", before) and after[0] == "U":
        return False
    if regex.search(r"AE*S*$", before) and regex.match(r"[^OULPAT]*L", after):
        return False
    if regex.search(r"[AT]E*S*$", before) and after[0] in "CAT":
        return False
    if regex.search(r"[AT]E*$", before) and after[0] in "ESP":
        return False
    if regex.search(r"[AT]E*S*$", before) and after[0] in "SP":
        return False
    return bool(regex.search(r"[AT]E*S*P?$", before))


_CODE = {
    "CR": "P", "LF": "P", "Sep": "P", "Extend": "X", "Format": "X", "Sp": "S", "Lower": "L", "Upper": "U",
    "OLetter": "O", "Numeric": "N", "ATerm": "A", "SContinue": "C", "STerm": "T", "Close": "E", "Other": "-",
}  # fmt: skip


def sentence_segments(text: str) -> list[str]:
    """All UAX #29 sentences, with the white space after them."""
    classes = [sentence_class(c) for c in text]
    cuts = [0, *(i for i in range(1, len(text)) if _sentence_break(classes, i)), len(text)]
    return [text[a:b] for a, b in zip(cuts, cuts[1:], strict=False) if a < b]
