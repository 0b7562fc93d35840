"""Which documents are to go: files of URLs, domains and document ids, one a line.

Reads `documents/*.parquet` of a pack set (`id, url`). URLs are compared by the key of `dedup.urls` (http
and https, `www.`, tracking parameters and the like make no difference), domains with all their
subdomains; an id means the document and its fragments `id#k`. In a mixture of files the packs' ids have their source
before them (`books/17`): the id alone, as the file has it, means it in every source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from ..errors import ConfigError


@dataclass(frozen=True)
class Lists:
    """What to remove: reasons by URL key, domain and id, as they go into the log."""

    urls: dict[str, str]
    domains: dict[str, str]
    ids: dict[str, str]

    def why(self, document: str, url: str | None) -> str | None:
        """Why a document is to go, or None."""
        found = self.ids.get(document) or self.ids.get(document.split("#", 1)[0])
        if found or url is None or not (self.urls or self.domains):
            return found
        if self.urls:
            from dedup.urls import url_key

            found = self.urls.get(url_key(url) or "")
        return found or next((self.domains[d] for d in _domains(url) if d in self.domains), None)


def read_lists(urls: list[Path], domains: list[Path], ids: list[Path]) -> Lists:
    """Read the files; empty lines and those that begin with `#` don't count.

    Raises ConfigError where all are empty, and for a line that is no URL or no domain, naming it.
    """
    from dedup.urls import url_key

    by_url, by_domain, by_id = {}, {}, {}
    for path, number, line in _lines(urls):
        key = url_key(line)
        if key is None:
            raise ConfigError(f"{path}, line {number}: '{line}' is no URL with a host")
        by_url[key] = f"url {line}"
    for path, number, line in _lines(domains):
        named = list(_domains(f"http://{line.removeprefix('*.').rstrip('.')}/"))
        if not named or any(mark in line for mark in "/:@?# "):
            raise ConfigError(f"{path}, line {number}: '{line}' is no domain; write it like example.org")
        by_domain[named[0]] = f"domain {line}"
    for _, _, line in _lines(ids):
        by_id[line] = f"id {line}"
    if not (by_url or by_domain or by_id):
        raise ConfigError("nothing to remove: give --urls, --domains or --ids a file with at least one line")
    return Lists(by_url, by_domain, by_id)


def _lines(paths: list[Path]) -> Iterator[tuple[Path, int, str]]:
    for path in paths:
        try:
            content = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"list {path} can't be read: {error}") from error
        for number, line in enumerate(content.split("\n"), 1):
            if line.strip() and not line.strip().startswith("#"):
                yield path, number, line.strip()


def _domains(url: str) -> Iterator[str]:
    """The host of a URL and every domain above it, longest first; none where it has no host."""
    from filters.url import parse_url

    parsed = parse_url(url)
    host = parsed.host.rstrip(".") if parsed else ""
    while host:
        yield host
        host = host.partition(".")[2]


@dataclass(frozen=True)
class Wanted:
    """A document that is to go."""

    url: str | None
    why: str


def matching(folder: Path, files: list[str], lists: Lists) -> dict[str, Wanted]:
    """The documents of a pack set that the lists name, by id. `files` are relative to the set's folder."""
    found = {}
    for name in files:
        file = pq.ParquetFile(folder / name)
        columns = [c for c in ("id", "url", "source") if c in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns):
            ids = batch.column("id").to_pylist()
            none = [None] * len(ids)
            urls = batch.column("url").to_pylist() if "url" in columns else none
            sources = batch.column("source").to_pylist() if "source" in columns else none
            for document, url, source in zip(ids, urls, sources, strict=True):
                why = lists.why(document, url) or lists.why(document.removeprefix(f"{source}/"), None)
                if why:
                    found[document] = Wanted(url, why)
    return found
