"""What the user names as input -> a sorted list of sources.

An input is a file, a glob, a folder (searched at all depths for WARC, WET and ARC endings), a URL of one of these
that fsspec can open (`https://`, `s3://`, `memory://`, ...), or a Common Crawl release: `CC-MAIN-2024-33` (WARC) or
`CC-MAIN-2024-33:wet`.
"""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..storage import filesystem_path, is_url, mark_of, redacted, with_retries
from ..storage.urls import check_meant
from .commoncrawl import (
    Gone,
    check_subset,
    default_cache,
    downloaded,
    fetch,
    is_release,
    is_web,
    probe,
    release_paths,
    streamed,
    subset,
)
from .splits import Source

ENDINGS = tuple(
    f".{form}{packing}" for form in ("warc", "wet", "arc") for packing in ("", ".gz", ".zst", ".bz2", ".lz4")
) + (".wacz",)
"""Endings by which files in a folder are taken (any case). Files that the user names are taken whatever their name."""

_MAGIC = re.compile(r"[*?\[]")
_FILE = "file://"


def list_sources(
    inputs: Sequence[str],
    *,
    cache_dir: Path | None = None,
    warcs: int | None = None,
    share: float | None = None,
    spread: bool = False,
    stream: bool = False,
) -> list[Source]:
    """All sources that `inputs` name, sorted by name.

    A source's `name` is its path relative to the input: to the folder, to the fixed prefix of a glob (the part before
    the first folder with a wildcard), for one file its base name, for Common Crawl its path in the listing. It never
    holds where the input lies, so that ids agree between machines. The same file named twice is taken once. Where two
    files have one name, all files of that name get the shortest distinguishing tail of their input's folder in front.

    Of a Common Crawl release `warcs` files or a `share` of them are taken: the first ones of its listing, or with
    `spread` ones from all over it. They are downloaded to `cache_dir` (default: `commoncrawl.default_cache()`) unless
    `stream` has them read by ranges. Raises ConfigError where an input matches nothing, can't be opened, lacks a
    package, or names a release without saying how much of it; StepFailed where a server gives up.
    """
    found: dict[str, Source] = {}
    for name, value in (("warcs", warcs), ("share", share), ("spread", spread), ("stream", stream)):
        if value and not any(map(is_release, inputs)):
            raise ConfigError(f"'{name}' is for a Common Crawl release (CC-MAIN-YYYY-WW); no input is one")
    for text in inputs:
        check_meant(text)
        if is_release(text):
            check_subset(text, warcs, share)
            names = subset(release_paths(text, cache_dir), warcs, share, spread)
            matched = streamed(text, names, cache_dir) if stream else downloaded(names, cache_dir)
        else:
            matched = list(_expand(text, cache_dir))
        if not matched:
            raise ConfigError(f"input '{text}': nothing found (folders are searched for {', '.join(ENDINGS)})")
        for source in matched:
            found.setdefault(source.path, source)
    if not found:
        raise ConfigError("no input is given")
    return sorted(_distinct(list(found.values())), key=lambda source: source.name)


def _expand(text: str, cache_dir: Path | None) -> Iterator[Source]:
    """The files that one input names."""
    if is_web(text) and not text.endswith("/") and "*" not in text:
        yield from _web(text, cache_dir)
    elif is_url(text) and not text.startswith(_FILE):
        for found in _remote(text):
            if is_web(found.path):
                yield from _web(found.path, cache_dir, found.name)
            else:
                yield found
    else:
        for path, name, size in _local(text[len(_FILE) :] if text.startswith(_FILE) else text):
            yield Source(path, name, size)


def _web(url: str, cache_dir: Path | None, name: str | None = None) -> Iterator[Source]:
    """The file at a URL: read by ranges where its server serves them and says its size, else fetched to the cache."""
    name = name or _url_name(url)
    try:
        found = probe(url, cache_dir)
    except Gone:
        return
    if found.ranges and found.size is not None:
        yield Source(url, name, found.size, found.mark)
        return
    cache = Path(cache_dir or default_cache())
    version = hashlib.blake2b(f"{url}\0{found.mark}\0{found.size}".encode(), digest_size=16).hexdigest()
    path = cache / "web" / version / "file"
    if not found.mark and url not in _fetched:  # nothing tells whether the copy of an earlier run is still right
        path.unlink(missing_ok=True)
    _fetched.add(url)
    fetch(url, path, cache_dir=cache)
    yield Source(str(path), name, path.stat().st_size)


_fetched: set[str] = set()
"""What this process has fetched from servers without ranges; sources are listed more than once in a run."""


def _local(text: str) -> Iterator[tuple[str, str, int]]:
    path = os.path.abspath(os.path.expanduser(text))
    if os.path.isfile(path):
        yield path, os.path.basename(path), os.path.getsize(path)
    elif os.path.isdir(path):
        for folder, folders, files in os.walk(path):
            folders.sort()
            for file in sorted(files):
                full = os.path.join(folder, file)
                if file.lower().endswith(ENDINGS) and os.path.isfile(full):
                    yield full, _relative(full, path), os.path.getsize(full)
    elif _MAGIC.search(text):
        prefix = fixed_prefix(path)
        for full in sorted(glob.glob(path, recursive=True)):
            if os.path.isfile(full):
                yield full, _relative(full, prefix), os.path.getsize(full)


def _relative(full: str, root: str) -> str:
    return os.path.relpath(full, root).replace(os.sep, "/")


def fixed_prefix(pattern: str) -> str:
    """The folder of a glob pattern above its first part with a wildcard."""
    parts = pattern.split("/")
    for k, part in enumerate(parts):
        if _MAGIC.search(part):
            return "/".join(parts[:k]) or "/"
    return "/".join(parts[:-1])


def _remote(url: str) -> Iterator[Source]:
    """The files at a URL that fsspec lists: an object, those below a prefix, or those of a glob."""
    filesystem, path = filesystem_path(url)
    globbed = bool(not is_web(url) and _MAGIC.search(path))
    root = fixed_prefix(path) if globbed else path.rstrip("/")
    search = filesystem.glob if globbed else filesystem.find
    try:
        entries = with_retries(url, lambda: search(path, detail=True))
    except FileNotFoundError:
        return
    for full in sorted(entries):
        entry = entries[full]
        if entry.get("type", "file") != "file":
            continue
        if full == root or globbed or full.lower().endswith(ENDINGS):
            name = full[len(root) :].lstrip("/") if full != root else full.rsplit("/", 1)[-1]
            where = filesystem.unstrip_protocol(full)
            if entry["size"] is None and not is_web(where):
                raise ConfigError(f"input '{redacted(where)}': its store doesn't say how long it is")
            yield Source(where, name, int(entry["size"] or 0), mark_of(entry))


def _url_name(url: str) -> str:
    """The last part of a URL's path, without query."""
    return url.split("?", 1)[0].split("#", 1)[0].rstrip("/").rsplit("/", 1)[-1] or url


def _distinct(sources: list[Source]) -> list[Source]:
    """Sources with names made distinct by as many folders of their path as it takes."""
    by_name: dict[str, list[Source]] = {}
    for source in sources:
        by_name.setdefault(source.name, []).append(source)
    result = []
    for name, group in by_name.items():
        if len(group) == 1:
            result += group
            continue
        folders = [source.path[: -len(name)].rstrip("/").split("/") for source in group]
        for depth in range(1, max(map(len, folders)) + 1):
            names = ["/".join([*parts[-depth:], name]) for parts in folders]
            if len(set(names)) == len(names) and not set(names) & set(by_name):
                break
        else:
            raise ConfigError(f"these inputs can't be told apart by name: {sorted(s.path for s in group)}")
        result += [dataclasses.replace(s, name=new) for s, new in zip(group, names, strict=True)]
    if len({source.name for source in result}) != len(result):
        raise ConfigError(f"inputs have the same names: {sorted(source.name for source in result)[:20]}")
    return result
