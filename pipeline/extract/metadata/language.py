"""The language that a page's tags name, as a BCP 47 primary tag."""

from __future__ import annotations

import re

from .markup import attributes, word_set

_TAG = re.compile(
    r"\s{0,20}([A-Za-z]{2,3})(?:[-_]([A-Za-z0-9]{1,8}(?:[-_][A-Za-z0-9]{1,8}){0,4}))?\s{0,20}(?:[,;.@].*)?", re.DOTALL
)
_HTML = re.compile(rb"<[hH][tT][mM][lL][\s]")
_SEARCHED_BYTES = 20_000

# ISO 639-1. Country codes that pages put here by mistake (jp, cn, cz, dk, gr, ua, ...) are none of them.
_TWO_LETTERS = word_set(
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee"
    " el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io"
    " is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn"
    " mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se"
    " sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi"
    " vo wa wo xh yi yo za zh zu"
)
_REPLACED = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro"}  # IANA subtag registry: Preferred-Value
_NO_LANGUAGE = frozenset(("und", "mul", "zxx", "mis"))


def primary(tag: str | None) -> tuple[str | None, str | None]:
    """The primary language of a tag or locale, and the two as far as the region (`en-us`); None, None if it is none."""
    match = _TAG.fullmatch(tag[:200]) if tag else None
    if not match:
        return None, None
    code = match[1].lower()
    code = _REPLACED.get(code, code)
    if code in _NO_LANGUAGE or (len(code) == 2 and code not in _TWO_LETTERS):
        return None, None
    region = (match[2] or "").lower().replace("_", "-")
    return code, f"{code}-{region}" if region else code


def from_tags(page: bytes, meta: dict[str, str]) -> tuple[str | None, str | None]:
    """Language and locale by `<html lang>`, `xml:lang`, Content-Language, og:locale: the first that names one.

    A locale with a region counts for the locale even where another tag gave the language alone.
    """
    found = _HTML.search(page, 0, _SEARCHED_BYTES)
    html = attributes(page, found.start()) if found else {}
    tags = [primary(t) for t in (html.get("lang"), html.get("xml:lang"), meta.get("content-language"),
            meta.get("og:locale"), meta.get("language"), meta.get("dc.language"))]  # fmt: skip
    language = next((code for code, _ in tags if code), None)
    locales = [locale for code, locale in tags if locale and code == language]
    return language, next((x for x in locales if "-" in x), language)
