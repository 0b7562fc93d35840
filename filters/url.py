"""URL rules: blocklists of domains and URLs, and words that mark adult, gambling and spam pages.

Reads `url`; adds `url_flag`: null for a clean URL, else the first rule that it hits, e.g. `blocklist:adult`,
`words:gambling`. The order of rules follows FineWeb's URL filter (Penedo et al. 2023, RefinedWeb, G.1):
domain, then URL, then words. URLs are parsed by the WHATWG standard (library ada-url).
"""

from __future__ import annotations

import functools
import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.mapped import file_key, mapped
from pipeline.stage import Filter, register
from pipeline.store import digest, file_digest

LARGE = 4 << 20
"""Bytes of a list from which on its hashes are made once a node: 4.6 million lines took each process 40 MB and long."""
BUNDLED_WORDS = ("adult", "gambling", "spam")
_WORD = re.compile(r"[^\W_]+")
_HOSTS_LINE = re.compile(r"^(?:0\.0\.0\.0|127\.0\.0\.1|::1?)\s+(\S+)")


@dataclass(frozen=True)
class ParsedUrl:
    """A URL as the WHATWG standard serialises it, cut into what rules look at."""

    href: str
    host: str  # lower case, punycode, no port; IPv6 in brackets
    path: str  # with the query, without the fragment


def parse_url(url: str, base: str | None = None) -> ParsedUrl | None:
    """Parse by the WHATWG URL standard; None where the standard says failure."""
    import ada_url

    try:
        parsed = ada_url.URL(url, base) if base is not None else ada_url.URL(url)
    except ValueError:
        return None
    return ParsedUrl(parsed.href, parsed.hostname, parsed.pathname + parsed.search)


def normalise_url(url: str) -> str | None:
    """The URL by which two captures count as one: WHATWG href without its fragment; None if it can't be parsed."""
    parsed = parse_url(url)
    return parsed.href.split("#", 1)[0] if parsed else None


@functools.lru_cache(maxsize=1)
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()  # the list inside the package, never the network


@functools.lru_cache(maxsize=65536)
def registered_domain(host: str) -> str | None:
    """The domain that somebody registered (`bbc.co.uk` of `news.bbc.co.uk`); None for suffixes and IP addresses."""
    if not host or host.startswith("[") or host.replace(".", "").isdigit():
        return None
    found = _suffixes().privatesuffix(host.rstrip("."))
    return str(found) if found else None


def _parents(host: str) -> Iterator[str]:
    """The host and every domain above it, longest first."""
    host = host.rstrip(".")
    yield host
    if host.startswith("[") or host.replace(".", "").isdigit():
        return
    while "." in host:
        host = host.split(".", 1)[1]
        yield host


def _hash(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


def hashes_of(files: Iterable[Path]) -> NDArray[np.uint64]:
    """The distinct hashes of all entries of lists, sorted."""
    entries = (_entry(line) for file in files for line in _lines(file))
    return np.unique(np.fromiter((_hash(entry) for entry in entries if entry), np.uint64))


class HashSet:
    """A set of strings kept as sorted 64-bit hashes: 8 bytes an entry (UT1's adult list has 4.6 million)."""

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        self._hashes = hashes

    @classmethod
    def of_lists(cls, files: Sequence[Path]) -> HashSet:
        """The entries of lists; of large ones the hashes are made once a node and mapped (`pipeline/mapped.py`)."""
        if sum(file.stat().st_size for file in files) < LARGE:
            return cls(hashes_of(files))
        key = digest(file_key(*files), file_digest(Path(__file__)))
        return cls(mapped("blocklists", key, lambda: {"hashes": hashes_of(files)})["hashes"])

    def __contains__(self, text: str) -> bool:
        value = np.uint64(_hash(text))
        at = int(np.searchsorted(self._hashes, value))
        return at < len(self._hashes) and bool(self._hashes[at] == value)

    def __len__(self) -> int:
        return len(self._hashes)


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as handle:
        for raw in handle:
            line = raw.decode("utf-8", "replace").strip()
            if line and not line.startswith(("#", "!", ";")):
                yield line


def _entry(line: str) -> str:
    """A list line as `host` or `host/path`: hosts-file, Adblock and URL forms are understood."""
    hosts = _HOSTS_LINE.match(line)
    line = hosts.group(1) if hosts else line.split(" #", 1)[0].strip()
    if line.startswith("||"):
        line = line[2:].split("^", 1)[0]
    line = line.removeprefix("*.").removeprefix(".")
    parsed = parse_url(line if "://" in line else f"http://{line}")
    if parsed is None:
        return ""
    path = parsed.path.rstrip("/")
    return parsed.host.removeprefix("www.") + path


def list_files(path: Path) -> list[tuple[str, Path]]:
    """(category, file) of a blocklist: a plain file, a UT1 category folder, or a folder of these.

    UT1's layout is `<category>/domains` and `<category>/urls`; its `expressions` are regular expressions
    for a proxy and are not read.
    """
    if path.is_file():
        category = path.parent.name if path.name.removesuffix(".gz") in ("domains", "urls") else path.name.split(".")[0]
        return [(category, path)]
    if not path.is_dir():
        raise ConfigError(f"url: blocklist '{path}' does not exist")
    own = [(path.name, f) for n in ("domains", "urls", "domains.gz", "urls.gz") if (f := path / n).is_file()]
    if own:
        return own
    found = []
    for child in sorted(path.iterdir()):
        if child.is_dir() and not child.is_symlink():
            found += [
                (child.name, f) for n in ("domains", "urls", "domains.gz", "urls.gz") if (f := child / n).is_file()
            ]
        elif child.is_file() and child.name.removesuffix(".gz").endswith((".txt", ".list", ".domains")):
            found.append((child.name.split(".")[0], child))
    if not found:
        raise ConfigError(f"url: blocklist folder '{path}' holds neither `domains`/`urls` nor *.txt files")
    return found


@dataclass(frozen=True)
class WordRules:
    """Whole words that are enough alone, words of which two are needed, and letters looked for in the host."""

    hard: frozenset[str]
    soft: frozenset[str]
    substrings: tuple[str, ...]


def _words(name: str) -> frozenset[str]:
    file = resources.files("filters").joinpath("data", f"{name}.txt")
    return frozenset(
        line for line in map(str.strip, file.read_text().splitlines()) if line and not line.startswith("#")
    )


@functools.lru_cache(maxsize=8)
def _bundled(category: str) -> WordRules:
    adult = category == "adult"
    return WordRules(
        _words(f"{category}_words"),
        _words("adult_soft_words") if adult else frozenset(),
        tuple(sorted(_words("adult_substrings"))) if adult else (),
    )


class UrlRules:
    """The compiled rules of a filter."""

    def __init__(
        self, blocklists: tuple[str, ...], words: tuple[str, ...], word_files: tuple[str, ...], own: bool
    ) -> None:
        files: dict[str, list[Path]] = {}
        with resources.as_file(resources.files("filters").joinpath("data", "blocklist.txt")) as path:
            if own:
                files["gristmill"] = [path]
            for name in blocklists:
                for category, file in list_files(Path(name)):
                    files.setdefault(category, []).append(file)
            self.lists = {category: HashSet.of_lists(found) for category, found in files.items()}
        self.words = {category: _bundled(category) for category in words}
        for name in word_files:
            self.words[Path(name).name.split(".")[0]] = WordRules(
                frozenset(map(str.lower, _lines(Path(name)))), frozenset(), ()
            )

    def flag(self, url: str | None) -> str | None:
        """The first rule that a URL hits, None for a clean one (a document without a URL is clean)."""
        if url is None:
            return None
        parsed = parse_url(url.strip())
        if parsed is None or not parsed.host:
            return "bad_url" if parsed is None else None
        host = parsed.host.removeprefix("www.")
        for category, entries in self.lists.items():
            if self._listed(entries, host, parsed.path):
                return f"blocklist:{category}"
        words = frozenset(_WORD.findall(f"{parsed.host} {parsed.path}".lower()))
        for category, rules in self.words.items():
            if words & rules.hard or len(words & rules.soft) >= 2 or any(s in parsed.host for s in rules.substrings):
                return f"words:{category}"
        return None

    @staticmethod
    def _listed(entries: HashSet, host: str, path: str) -> bool:
        if any(domain in entries for domain in _parents(host)):
            return True
        path = path.split("?", 1)[0].rstrip("/")
        while path:
            if host + path in entries:
                return True
            path = path.rsplit("/", 1)[0]
        return False


@functools.lru_cache(maxsize=4)
def _rules(blocklists: tuple[str, ...], words: tuple[str, ...], word_files: tuple[str, ...], own: bool) -> UrlRules:
    return UrlRules(blocklists, words, word_files, own)


@register
@dataclass(frozen=True, kw_only=True)
class UrlFilter(Filter):
    """Drops pages by URL: listed domains and URLs, adult, gambling and spam words (RefinedWeb, FineWeb)."""

    name: ClassVar[str] = "url"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("url",)
    adds: ClassVar[tuple[str, ...]] = ("url_flag",)
    score_column: ClassVar[str] = "url_flag"
    sources: ClassVar[tuple[str, ...]] = (
        "Penedo et al. 2023 (RefinedWeb), appendix G.1; https://arxiv.org/abs/2306.01116",
        "Penedo et al. 2024 (FineWeb), section 3.1; https://arxiv.org/abs/2406.17557",
        "URL Living Standard; https://url.spec.whatwg.org",
    )

    blocklists: tuple[str, ...] = field(
        default=(), metadata={"help": "files of domains or URLs, UT1 category folders, or folders of these"}
    )
    own_blocklist: bool = field(default=True, metadata={"help": "use the short list that comes with Gristmill"})
    words: tuple[str, ...] = field(default=BUNDLED_WORDS, metadata={"help": "bundled word lists to use"})
    word_files: tuple[str, ...] = field(default=(), metadata={"help": "files of whole words of your own"})

    def check(self) -> None:
        unknown = [w for w in self.words if w not in BUNDLED_WORDS]
        if unknown:
            raise ConfigError(f"url: no word lists {unknown}; there are {', '.join(BUNDLED_WORDS)}")
        for name in self.blocklists:
            list_files(Path(name))
        for name in self.word_files:
            if not Path(name).is_file():
                raise ConfigError(f"url: there is no word file '{name}'")

    def config(self) -> dict[str, Any]:
        blocklists = [[c, file_digest(f)] for name in self.blocklists for c, f in list_files(Path(name))]
        bundled = digest(
            [
                sorted(_words(n))
                for n in (
                    "blocklist",
                    "adult_words",
                    "adult_soft_words",
                    "adult_substrings",
                    "gambling_words",
                    "spam_words",
                )
            ]
        )
        return {
            "blocklists": blocklists,
            "own_blocklist": self.own_blocklist,
            "words": list(self.words),
            "word_files": [[Path(n).name, file_digest(Path(n))] for n in self.word_files],
            "bundled": bundled,
        }

    def score(self, docs: pa.Table) -> pa.Array:
        rules = _rules(self.blocklists, self.words, self.word_files, self.own_blocklist)
        return pa.array([rules.flag(url) for url in docs["url"].to_pylist()], pa.string())

    def keep(self, score: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        return pc.is_null(score)

    def reason(self, docs: pa.Table) -> pa.ChunkedArray:
        return docs[self.score_column]
