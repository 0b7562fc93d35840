"""The functions through which strangers' text reaches regular expressions, each as a callable of one text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CARRIERS = (
    "{}",
    "<html><head><title>{}</title><meta name=author content='{}'><meta property='article:published_time' content='{}'>"
    "</head><body><h1>A</h1><p class=byline>{}</p><time datetime='{}'>{}</time></body></html>",
    '<html><head><script type="application/ld+json">{}</script></head><body><p>{}</p></body></html>',
)
"""Where in a page an attack may stand."""


def _scan(text: str) -> None:
    from pipeline.extract.metadata import scan

    for carrier in CARRIERS:
        scan(
            carrier.replace("{}", text[: len(text) if carrier == "{}" else len(text) // 2]).encode(),
            f"http://a.b/{text}",
        )


def _decode(text: str) -> None:
    from pipeline.extract.charset import decode

    decode(text.encode(), f"text/html; {text}")
    decode(b"<html><head>" + text.encode("utf-16"))


def _pii(text: str) -> None:
    from filters.pii.find import find

    find(text)


def _markup(text: str) -> None:
    from filters.markup.licenses import canonical, named
    from filters.markup.page import Findings, read_headers, read_payload

    found = Findings()
    headers = {"x-robots-tag": text, "link": text, "tdm-reservation": text, "tdm-policy": text, "content-type": text}
    read_headers(found, {"headers": headers, "http_headers": headers}, f"http://a.b/{text}")
    for carrier in (
        "{}",
        "<html><head><meta name=robots content='{}'><link rel=license href='{}'></head><a rel=license href='{}'>",
    ):
        read_payload(found, carrier.replace("{}", text).encode(), f"text/html; {text}", f"http://a.b/{text}")
    canonical(text)
    named(text)


def _urls(text: str) -> None:
    from dedup.urls import url_key
    from filters.url import parse_url, registered_domain

    for url in (text, f"http://{text}", f"http://a.b/{text}", f"http://a.b/?{text}"):
        url_key(url)
        parse_url(url)
    registered_domain(text)


def _clean(text: str) -> None:
    from pipeline.extract.page import clean_text

    clean_text(text)


def _wordlike(text: str) -> None:
    from dedup.report.texts import word_diff
    from filters.classifier.split import text_key

    text_key(text)
    word_diff(text[:4000], text[:3990])


def _native(text: str) -> None:
    from pipeline.extract.engines import EngineOptions, make_engine

    global _engine
    _engine = _engine or make_engine("gristmill", EngineOptions())
    for carrier in CARRIERS:
        _engine.extract(carrier.replace("{}", text), f"http://a.b/{text}", None)


_engine: Any = None


CONSUMERS: dict[str, tuple[Callable[[str], None], tuple[str, ...]]] = {
    "metadata": (_scan, ("pipeline.extract.metadata",)),
    "charset": (_decode, ("pipeline.extract.charset",)),
    "engine": (_native, ("pipeline.extract.native",)),
    "clean": (_clean, ("pipeline.extract.page",)),
    "pii": (_pii, ("filters.pii",)),
    "markup": (_markup, ("filters.markup",)),
    "urls": (_urls, ("filters.url", "dedup.urls")),
    "words": (_wordlike, ("filters.classifier", "dedup.hashing", "dedup.report")),
}
"""The function, and the modules whose patterns give the attacks on it."""
