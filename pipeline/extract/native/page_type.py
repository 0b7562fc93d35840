"""What kind of page it is: article, forum, product, ... from its blocks, its own statements and its URL.

The types are those of WCXB (Foley 2026). `describe` gives one vector a page: the means of all block features over its
text and over the text judged main content, the types it states of itself (JSON-LD `@type`, microdata `itemtype`,
`og:type`), and words and shape of its URL.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from . import scan as s
from .context import CONTEXT
from .features import FEATURES
from .page import Page

PAGE_TYPES = ("article", "collection", "documentation", "forum", "listing", "product", "service")
"""Names in the order of the trees' classes."""

_STATED = {
    "article": "article newsarticle blogposting reportagenewsarticle blog opinionnewsarticle",
    "document": "techarticle apireference learningresource howto book",
    "forum": "discussionforumposting qapage question answer socialmediaposting comment",
    "product": "product individualproduct productgroup offer aggregateoffer productmodel og:product product.item",
    "list": "itemlist collectionpage searchresultspage productcollection offercatalog eventseries event jobposting",
    "service": "service localbusiness professionalservice organization softwareapplication webapplication "
    "medicalbusiness",
    "faq": "faqpage",
    "about": "aboutpage contactpage profilepage person",
    "recipe": "recipe",
    "site": "website",
}
_URL_WORDS = {
    "article": "blog blogs news article articles post posts story stories magazine opinion review reviews archives",
    "forum": "forum forums thread threads topic topics viewtopic showthread questions question comments discussion "
    "community discussions t r boards answers",
    "product": "product products p dp item items sku prod ip pd itm",
    "collection": "collection collections category categories c cat shop store browse department departments plp cp",
    "document": "docs doc documentation reference api manual help guide guides tutorial tutorials wiki learn handbook "
    "support kb man library",
    "service": "service services solutions pricing about features company platform contact plans enterprise",
    "list": "list lists best top search tag tags jobs events directory listing listings rankings results find",
}
_STATED_BIT = {word: bit for bit, words in enumerate(_STATED.values()) for word in words.split()}
_URL_BIT = {word: bit for bit, words in enumerate(_URL_WORDS.values()) for word in words.split()}
_MARKS = (
    (b'"@type"', 1, re.compile(rb"""\s*:\s*\[?\s*"([\w:.]{2,40})""")),
    (b"schema.org/", 6, re.compile(rb"([\w:.]{2,40})")),
    (b"og:type", 2, re.compile(rb"""["']\s+content=["']([\w:.]{2,40})""")),
)
"""What a statement begins with, the place in it of two characters that are rare together, and how it goes on."""
_MAX_STATEMENTS = 60
_WORD = re.compile(r"[a-z]+")
_SHAPE = [
    "url_known",
    "url_root",
    "url_depth",
    "url_chars",
    "url_digits",
    "url_year",
    "url_hyphens",
    "url_query",
    "url_html",
    "url_number",
    "blocks",
    "bytes",
]
VECTOR: tuple[str, ...] = (
    *(f"mean_{f}" for f in (*FEATURES, *CONTEXT)),
    *(f"kept_{f}" for f in (*FEATURES, *CONTEXT)),
    *(f"states_{name}" for name in _STATED),
    *(f"url_{name}" for name in _URL_WORDS),
    *_SHAPE,
)
"""Names of the entries of `describe`."""


def places_of(word: bytes, source: NDArray[np.uint8], rare: int) -> NDArray[np.intp]:
    """Where the word stands in the source, by its characters `rare` and `rare + 1`: faster than `bytes.find`."""
    last = max(len(source) - len(word) + 1, 0)
    pair = (source[rare : last + rare] == word[rare]) & (source[rare + 1 : last + rare + 1] == word[rare + 1])
    found = np.flatnonzero(pair)
    for number, character in enumerate(word):
        if not len(found):
            break
        found = found[source[found + number] == character]
    return found


def describe(
    page: Page, matrix: NDArray[np.float32], keep: NDArray[np.float32], url: str | None
) -> NDArray[np.float32]:
    """float32[len(VECTOR), 1]. matrix as both judges saw it, keep: probability per block; url None if unknown."""
    chars = page.blocks[:, s.CHARS].astype(np.float32)
    kept = chars * keep
    stated = np.zeros(len(_STATED), np.float32)
    source = page.raw
    for start, rare, rest in _MARKS:
        for at in places_of(start, page.source, rare)[:_MAX_STATEMENTS].tolist():
            match = rest.match(source, at + len(start))
            bit = _STATED_BIT.get(match[1].decode("ascii", "replace").lower()) if match else None
            if bit is not None:
                stated[bit] += 1
    words = np.zeros(len(_URL_WORDS), np.float32)
    shape = np.zeros(len(_SHAPE), np.float32)
    if url:
        address = unquote(url.partition("://")[2][:2000]).lower()
        path, _, query = address.partition("/")[2].partition("?")
        for segment in path.split("/")[:-1] or [""]:
            for word in _WORD.findall(segment):
                if word in _URL_BIT:
                    words[_URL_BIT[word]] += 1
        for word in _WORD.findall(path.rsplit("/", 1)[-1])[:12]:
            if word in _URL_BIT:
                words[_URL_BIT[word]] += 0.5
        last = path.rstrip("/").rsplit("/", 1)[-1]
        shape[:10] = (
            1, not path.strip("/"), path.strip("/").count("/") + 1, len(path), sum(c.isdigit() for c in path),
            bool(re.search(r"(?:19|20)\d\d[/-]\d", path)), last.count("-") + last.count("_"), len(query),
            last.endswith((".html", ".htm", ".php", ".aspx")), last.isdigit(),
        )  # fmt: skip
    shape[10] = len(page.blocks)
    shape[11] = len(page.source)
    over = chars / max(float(chars.sum()), 1.0)
    over_kept = kept / max(float(kept.sum()), 1e-6)
    return np.concatenate((matrix @ over, matrix @ over_kept, stated, words, shape)).astype(np.float32)[:, None]
