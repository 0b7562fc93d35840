"""Which documents are to go: files of URLs, domains and document ids, one a line.

Reads `documents/*.parquet` of a pack set (`id, url`). URLs are compared by the key of `dedup.urls` (http
and https, `www.`, tracking parameters and the like make no difference), domains with all their
subdomains; an id means the document and its fragments `id#k`. In a mixture of files the packs' ids have their source
before them (`books/17`): the id alone, as the file has it, means it in every source.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from ..errors import ConfigError
from ..storage import local_file


@dataclass(frozen=True)
class Lists:
    """What to remove: reasons by URL key, domain and id, as they go into the log."""

    urls: dict[str, str]
    domains: dict[str, str]
    ids: dict[str, str]

    def why(self, document: str, url: str | None) -> list[str]:
        """Why a document is to go: all that names it, ids first; [] where nothing does."""
        found = [self.ids.get(name) for name in dict.fromkeys((document, document.split("#", 1)[0]))]
        if url is not None and self.urls:
            from dedup.urls import url_key

            found.append(self.urls.get(url_key(url) or ""))
        if url is not None and self.domains:
            found += [self.domains.get(domain) for domain in _domains(url)]
        return [why for why in found if why is not None]

    def unmatched(self, matched: Set[str]) -> list[str]:
        """The entries, as `url ...`, `domain ...` and `id ...`, that are not among `matched`, in their order."""
        entries = (*self.urls.values(), *self.domains.values(), *self.ids.values())
        return [entry for entry in entries if entry not in matched]

    def __len__(self) -> int:
        return len(self.urls) + len(self.domains) + len(self.ids)


def read_lists(urls: list[Path], domains: list[Path], ids: list[Path], *, suffixes: bool = False) -> Lists:
    """Read the files; empty lines and those that begin with `#` don't count.

    Raises ConfigError where all are empty, and for a line that is no URL or no domain, naming it; so for a public
    suffix (`com`, `co.uk`, `github.io`) among the domains unless `suffixes`, since it stands for everybody's below it.
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
        if not suffixes and is_suffix(named[0]):
            raise ConfigError(
                f"{path}, line {number}: '{line}' is a public suffix, under which anybody registers domains; name"
                " theirs, or take all of it out with --public-suffixes"
            )
        by_domain[named[0]] = f"domain {line}"
    for _, _, line in _lines(ids):
        by_id[line] = f"id {line}"
    if not (by_url or by_domain or by_id):
        raise ConfigError("nothing to remove: give --urls, --domains or --ids a file with at least one line")
    return Lists(by_url, by_domain, by_id)


def is_suffix(host: str) -> bool:
    """Whether a host is a public suffix (https://publicsuffix.org), as every name without a dot is."""
    from filters.url import registered_domain

    return registered_domain(host) is None and not host.startswith("[") and not host.replace(".", "").isdigit()


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


def matching(folder: Path, files: list[str], lists: Lists) -> tuple[dict[str, Wanted], set[str]]:
    """(documents of a pack set that the lists name, by id; the entries that name any of them).

    `files` are relative to the set's folder.
    """
    found, matched = {}, set()
    for name in files:
        file = pq.ParquetFile(local_file(folder / name))
        columns = [c for c in ("id", "url", "source") if c in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns):
            ids = batch.column("id").to_pylist()
            none = [None] * len(ids)
            urls = batch.column("url").to_pylist() if "url" in columns else none
            sources = batch.column("source").to_pylist() if "source" in columns else none
            for document, url, source in zip(ids, urls, sources, strict=True):
                why = lists.why(document, url)
                if source is not None and document.startswith(f"{source}/"):
                    why += lists.why(document.removeprefix(f"{source}/"), None)
                if why:
                    found[document] = Wanted(url, why[0])
                    matched.update(why)
    return found, matched
