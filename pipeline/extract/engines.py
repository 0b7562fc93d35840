"""Extraction engines behind one interface, found by name.

An engine gets the decoded page and gives text and metadata. It may use any library, keep caches and
crash: the guard runs it in a process of its own. What it must not do is let one page change another's
result; trafilatura's `deduplicate=True` does, so it can't be reached from here.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from ..errors import ConfigError, nearest

Favor = Literal["balanced", "precision", "recall"]
MetadataSource = Literal["page", "engine"]


@dataclass(frozen=True, slots=True)
class Extracted:
    """An engine's answer. Empty text: nothing found. `published` is an ISO 8601 day.

    What the engine leaves None of title, author and date is taken from `metadata.scan`, unless the options say
    `metadata="engine"`. `page_type` is one of `native.page_type.PAGE_TYPES`, None if the engine doesn't tell.
    """

    text: str
    title: str | None = None
    author: str | None = None
    published: str | None = None
    page_type: str | None = None


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What every engine understands."""

    favor: Favor = "balanced"
    comments: bool = False
    tables: bool = True
    markdown: bool = False
    metadata: MetadataSource = "page"

    def check(self) -> None:
        """Raise ConfigError for a value that no engine knows."""
        for key, choices in (("favor", get_args(Favor)), ("metadata", get_args(MetadataSource))):
            value = getattr(self, key)
            if value not in choices:
                raise ConfigError(f"extract: {key}={value!r} is none of {choices}{nearest(str(value), choices)}")


class Engine(Protocol):
    """One way to get from HTML to text.

    Making one and asking for its version imports nothing costly, since the parent process does both.
    """

    name: str

    def version(self) -> str:
        """Name and version of what does the work; part of the stage's fingerprint."""
        ...

    def extract(self, html: str, url: str | None, crawled: str | None = None) -> Extracted:
        """Text and metadata. `crawled`: ISO 8601 date of the crawl, bounds the date of publication."""
        ...


class Trafilatura:
    """trafilatura's cascade with its default settings; text as `trafilatura.extract` returns it (which is NFC)."""

    name = "trafilatura"

    def __init__(self, options: EngineOptions) -> None:
        self._metadata = options.metadata
        self._extract: Callable[..., str | None] | None = None  # imported at the first page: see the protocol
        self._options: dict[str, Any] = {
            "output_format": "markdown" if options.markdown else "txt",
            "include_comments": options.comments,
            "include_tables": options.tables,
            "favor_precision": options.favor == "precision",
            "favor_recall": options.favor == "recall",
        }

    def version(self) -> str:
        """Its release and those of the libraries that decide the text with it."""
        names = ("trafilatura", "lxml", "justext") + (("htmldate", "courlan") if self._metadata == "engine" else ())
        return " ".join(_release(name) for name in names)

    def extract(self, html: str, url: str | None, crawled: str | None = None) -> Extracted:
        """As `Engine.extract`."""
        text = self._load()(html, url=url, **self._options) or ""
        return Extracted(text) if self._metadata == "page" else self._with_metadata(text, html, url, crawled)

    def _load(self) -> Callable[..., str | None]:
        if self._extract is None:
            import logging

            import trafilatura

            # it logs every page that it finds nothing on; drops are counted by reason instead
            for logger in ("trafilatura", "htmldate", "courlan"):
                logging.getLogger(logger).setLevel(logging.CRITICAL)
            self._extract = trafilatura.extract
        return self._extract

    def _with_metadata(self, text: str, html: str, url: str | None, crawled: str | None) -> Extracted:
        from trafilatura.metadata import extract_metadata

        # its default for max_date is today, which would make a run's output depend on its day
        dates = {"original_date": True, "extensive_search": True, "max_date": (crawled or "2100-01-01")[:10]}
        document = extract_metadata(html, url, dates)
        return Extracted(text, document.title, document.author, document.date)


class Resiliparse:
    """resiliparse's `extract_plain_text`, a rule-based reading of the lexbor tree."""

    name = "resiliparse"

    def __init__(self, options: EngineOptions) -> None:
        if options.metadata != "page":
            raise ConfigError("extract: resiliparse finds no metadata of its own; use metadata='page'")
        if options.markdown:
            raise ConfigError("extract: resiliparse writes no Markdown; use the engine gristmill or trafilatura")
        self._options: dict[str, Any] = {
            "main_content": options.favor != "recall",
            "comments": options.comments,
            "post_meta": options.favor != "precision",
        }
        if not options.tables:
            self._options["skip_elements"] = ["table"]

    def version(self) -> str:
        """Its release."""
        return _release("resiliparse")

    def extract(self, html: str, url: str | None, crawled: str | None = None) -> Extracted:
        """As `Engine.extract`."""
        from resiliparse.extract.html2text import extract_plain_text

        return Extracted(extract_plain_text(html, **self._options))


def _release(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(f"extract: the package {package} is not installed") from error


_ENGINES: dict[str, Callable[[EngineOptions], Engine]] = {}


def register_engine(name: str, make: Callable[[EngineOptions], Engine]) -> None:
    """Make an engine known by name. Its module must be imported in the guard's child as well: see `make_engine`."""
    _ENGINES[name] = make


def _gristmill(options: EngineOptions) -> Engine:
    from .native.engine import Gristmill

    return Gristmill(options)


register_engine("gristmill", _gristmill)
register_engine("trafilatura", Trafilatura)
register_engine("resiliparse", Resiliparse)


def make_engine(name: str, options: EngineOptions) -> Engine:
    """The engine of that name. `package.module:Class` names one outside this package, importable by the worker."""
    if OUTSIDE.fullmatch(name):
        module, _, attribute = name.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)(options)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"extract: no engine '{name}': {error}") from error
    if name not in _ENGINES:
        raise ConfigError(f"extract: no engine is called '{name}'{nearest(name, _ENGINES)}")
    options.check()
    return _ENGINES[name](options)


def engine_names() -> list[str]:
    """Names of the bundled engines."""
    return sorted(_ENGINES)


OUTSIDE = re.compile(r"[\w.]+:\w+")
