"""Common Crawl releases and their files.

`CC-MAIN-YYYY-WW` names a release; its listing is `crawl-data/CC-MAIN-YYYY-WW/warc.paths.gz` (or `wet.paths.gz`), one
path a line (https://commoncrawl.org/get-started). A release does not change once it is out, so what its server said
of it, listing and sizes, is kept in the cache.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ...errors import ConfigError
from ...store import atomic_path, read_json
from ..splits import Source
from .download import download
from .polite import CLOCK, Clock, default_cache, parallel
from .web import base_url, probe

_RELEASE = re.compile(r"(CC-MAIN-\d{4}-\d{2})(?::(warc|wet))?")
MAX_LISTING = 256 << 20
"""Bytes of a listing; the largest so far has some 100 000 lines of 140 bytes."""

R = TypeVar("R")
Q = TypeVar("Q")


def is_release(text: str) -> bool:
    """Whether an input names a Common Crawl release (`CC-MAIN-2024-33`, `CC-MAIN-2024-33:wet`)."""
    return _RELEASE.fullmatch(text) is not None


def parts_of(text: str) -> tuple[str, str]:
    """(release, `warc` or `wet`). Raises ConfigError."""
    match = _RELEASE.fullmatch(text)
    if not match:
        raise ConfigError(f"'{text}' is no Common Crawl release; they look like CC-MAIN-2024-33 or CC-MAIN-2024-33:wet")
    return match[1], match[2] or "warc"


def check_path(path: str, where: str) -> str:
    """The path, relative to the base URL. Raises ConfigError for one that leads elsewhere."""
    parts = path.split("/")
    plain = path.isascii() and path.isprintable() and not set(path) & set("\\?#% ")
    if not plain or ".." in parts or "." in parts or "" in parts or ":" in parts[0] or "://" in path:
        raise ConfigError(f"{where} holds a path that leads elsewhere: {ascii(path[:200])}")
    return path


def read_listing(name: str, cache_dir: Path | None = None, *, clock: Clock = CLOCK) -> list[str]:
    """The lines of a gzipped list of paths below the base URL, from the cache if it is there. Raises ConfigError."""
    listing = download(name, cache_dir, clock=clock)
    inflate = zlib.decompressobj(31)
    try:
        text = inflate.decompress(listing.read_bytes(), MAX_LISTING)
        if not inflate.eof:
            raise ValueError("it is cut off, or too long")
        lines = text.decode().split("\n")
    except (zlib.error, ValueError) as error:
        listing.unlink()
        raise ConfigError(f"the listing {name} is damaged and was removed, try again: {error}") from error
    return [check_path(line.strip(), f"the listing {name}") for line in lines if line.strip()]


def release_paths(text: str, cache_dir: Path | None = None, *, clock: Clock = CLOCK) -> list[str]:
    """The paths of a release's files, in the listing's order. Raises ConfigError."""
    release, form = parts_of(text)
    return read_listing(f"crawl-data/{release}/{form}.paths.gz", cache_dir, clock=clock)


def check_subset(text: str, warcs: int | None, share: float | None) -> None:
    """Raise ConfigError unless the two say how much of the release `text` to take."""
    if warcs is not None and share is not None:
        raise ConfigError("give either warcs or share, not both")
    if share is not None and not 0 < share <= 1:
        raise ConfigError(f"share must lie above 0 and be at most 1, not {share}")
    if warcs is not None and warcs <= 0:
        raise ConfigError(f"warcs must be positive, not {warcs}")
    if warcs is None and share is None:
        raise ConfigError(
            f"input '{text}': say how many of its files to take (warcs), which share of them, or which domains or urls"
        )


def subset(paths: Sequence[str], warcs: int | None, share: float | None, spread: bool) -> list[str]:
    """`warcs` of the files, or the `share` (0 to 1, rounded up) of them: the first ones, or evenly spread ones."""
    n = min(len(paths), warcs if warcs is not None else math.ceil(round((share or 0) * len(paths), 6)))
    return [paths[k * len(paths) // n] for k in range(n)] if spread else list(paths[:n])


def downloaded(names: Sequence[str], cache_dir: Path | None = None, *, clock: Clock = CLOCK) -> list[Source]:
    """Sources in the cache, downloaded where needed, a few at a time.

    Raises ConfigError, StepFailed (a download failed after all tries; what was fetched is kept for the next run).
    """
    paths = together(lambda name: download(name, cache_dir, clock=clock), names)
    return [Source(str(path), name, path.stat().st_size) for path, name in zip(paths, names, strict=True)]


def streamed(text: str, names: Sequence[str], cache_dir: Path | None = None, *, clock: Clock = CLOCK) -> list[Source]:
    """Sources that lie on the server and are read by ranges; their sizes are asked for once and kept.

    Raises ConfigError (no such file, a server without ranges), StepFailed.
    """
    cache = Path(cache_dir or default_cache())
    release, form = parts_of(text)
    store = cache / "crawl-data" / release / f"{form}.sizes.json"
    known: dict[str, int] = read_json(store) or {}
    missing = [name for name in names if name not in known]

    def size_of(name: str) -> int:
        found = probe(f"{base_url()}/{name}", cache, clock)
        if found.size is None or not found.ranges:
            raise ConfigError(f"{base_url()}/{name}: this server serves no ranges, so leave out `stream`")
        return found.size

    for at in range(0, len(missing), 256):  # kept by parts: a killed run does not ask again
        names_now = missing[at : at + 256]
        known |= dict(zip(names_now, together(size_of, names_now), strict=True))
        with atomic_path(store) as temporary:
            temporary.write_text(json.dumps(known, sort_keys=True, indent=0))
    return [Source(f"{base_url()}/{name}", name, known[name]) for name in names]


def together(work: Callable[[Q], R], items: Sequence[Q]) -> list[R]:
    """The results for all items, in their order, as many at a time as the host may be asked."""
    pool = ThreadPoolExecutor(max(1, min(len(items), parallel())))
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
