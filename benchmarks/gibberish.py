"""Made gibberish of several kinds, for the measurement of the stage `perplexity`; the same seed gives the same text."""

from __future__ import annotations

import base64
import random
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import lru_cache

LATIN_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
KEYS = {
    "ru": ("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    "ar": ("ضصثقفغعهخحجد", "شسيبلاتنمكط", "ئءؤرىةوزظ"),
    "hi": ("ौैाीूबहगदजड", "ोे्िुपरकतचट", "ॉंमनवलसय"),
    "ko": ("ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ", "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ", "ㅋㅌㅊㅍㅠㅜㅡ"),
}
"""Rows of the usual keyboards; others type on a Latin one."""
CHARSETS = {
    "ru": (("koi8-r", "cp1251"), ("utf-8", "cp1251"), ("cp1251", "latin-1")),
    "ar": (("cp1256", "cp1252"), ("utf-8", "cp1256")),
    "ja": (("shift-jis", "gbk"), ("euc-jp", "big5"), ("utf-8", "shift-jis")),
    "zh": (("gbk", "big5"), ("gbk", "shift-jis"), ("utf-8", "gbk")),
    "ko": (("euc-kr", "gbk"), ("euc-kr", "latin-1"), ("utf-8", "euc-kr")),
    "hi": (("utf-8", "cp1252"), ("utf-8", "cp1251")),
}
"""(charset of the bytes, charset they are read in). Latin script loses only its accents that way: see `mojibake`."""


@lru_cache(maxsize=64)
def alphabet(material: str) -> tuple[str, ...]:
    """Letters that are at least a thousandth of a text's letters."""
    counts = Counter(c for c in material.lower() if unicodedata.category(c)[0] in "LM")
    return tuple(sorted(c for c, n in counts.items() if n * 1000 >= counts.total()))


def random_letters(rng: random.Random, text: str, lang: str, material: str) -> str:
    """Letters of the language, all alike often, in words of 1 to 12."""
    letters = alphabet(material)
    return _filled(len(text), lambda: "".join(rng.choices(letters, k=rng.randint(1, 12))))


def keyboard_mash(rng: random.Random, text: str, lang: str, material: str) -> str:
    """Runs of keys that lie near to each other."""
    rows = KEYS.get(lang, LATIN_KEYS)

    def word() -> str:
        row, out = rng.choice(rows), []
        at = rng.randrange(len(row))
        for _ in range(rng.randint(3, 10)):
            out.append(row[at])
            if rng.random() < 0.15:
                row = rng.choice(rows)
            at = min(max(at + rng.choice((-3, -2, -1, 1, 2, 3)), 0), len(row) - 1)
        return "".join(out)

    return _filled(len(text), word)


def shuffled_characters(rng: random.Random, text: str, lang: str, material: str) -> str:
    """All characters of the text in another order."""
    return "".join(rng.sample(text, len(text)))


def shuffled_in_words(rng: random.Random, text: str, lang: str, material: str) -> str:
    """The letters of each word in another order."""
    return "\n".join(" ".join("".join(rng.sample(w, len(w))) for w in line.split()) for line in text.split("\n"))


def markov_bytes_1(rng: random.Random, text: str, lang: str, material: str) -> str:
    """UTF-8 bytes, each drawn after the one before."""
    return _markov(rng, text, material, 1)


def markov_bytes_2(rng: random.Random, text: str, lang: str, material: str) -> str:
    """UTF-8 bytes, each drawn after the two before."""
    return _markov(rng, text, material, 2)


def wrong_charset(rng: random.Random, text: str, lang: str, material: str) -> str:
    """The text's bytes read in another charset; "" for languages in Latin script."""
    if lang not in CHARSETS:
        return ""
    written, read = rng.choice(CHARSETS[lang])
    return text.encode(written, "ignore").decode(read, "replace")


def base64_lines(rng: random.Random, text: str, lang: str, material: str) -> str:
    """Random bytes as Base64, as of mail attachments."""
    whole = base64.b64encode(rng.randbytes(len(text) * 3 // 4)).decode()
    return "\n".join(whole[i : i + 76] for i in range(0, len(whole), 76))


KINDS: dict[str, Callable[[random.Random, str, str, str], str]] = {
    made.__name__: made
    for made in (
        random_letters, keyboard_mash, shuffled_characters, shuffled_in_words, markov_bytes_1, markov_bytes_2,
        wrong_charset, base64_lines,
    )
}  # fmt: skip


@lru_cache(maxsize=64)
def _chain(material: str, order: int) -> dict[bytes, list[int]]:
    data = material.encode()
    following: dict[bytes, list[int]] = defaultdict(list)
    for i in range(len(data) - order):
        following[data[i : i + order]].append(data[i + order])
    return following


def _markov(rng: random.Random, text: str, material: str, order: int) -> str:
    following = _chain(material, order)
    state = material.encode()[:order]
    out = bytearray(state)
    while len(out) < len(text.encode()):
        found = following.get(bytes(state)) or following[material.encode()[:order]]
        out.append(rng.choice(found))
        state = bytes(out[-order:])
    return out.decode("utf-8", "replace")


def _filled(length: int, word: Callable[[], str]) -> str:
    """Words in lines of about 80 characters, up to a length."""
    lines, line, total = [], "", 0
    while total < length:
        line += word() + " "
        if len(line) > 80 or total + len(line) >= length:
            lines.append(line.strip())
            total, line = total + len(line), ""
    return "\n".join(lines)
