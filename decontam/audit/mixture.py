"""How often training sees each document: epochs by source.

    sources:
      NAME:              # also a glob, if `match` is not given
        epochs: 2.5
        match: ["*.wikipedia.org", "wiki-*.parquet"]
    default: 1           # epochs of documents that no source matches

A document belongs to the first source of which a glob matches its file in the corpus, the file of its record (WARC),
its URL or the host of its URL; case counts, `*` stands for any characters, `/` too.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import ConfigError, nearest
from pipeline.yaml_input import load_yaml

_KEYS = ("sources", "default")
_SOURCE_KEYS = ("epochs", "match")


@dataclass(frozen=True)
class MixtureSource:
    """Documents that one of the globs matches are seen `epochs` times."""

    name: str
    epochs: float
    match: tuple[str, ...]


@dataclass(frozen=True)
class Mixture:
    """Sources in the order in which they are tried."""

    sources: tuple[MixtureSource, ...]
    default: float = 1.0

    def epochs(self, *names: str | None, url: str | None = None) -> float:
        """The epochs of a document of these names (files) and this URL."""
        tried = [name for name in (*names, url, _host(url)) if name]
        for source in self.sources:
            if any(fnmatch.fnmatchcase(name, glob) for glob in source.match for name in tried):
                return source.epochs
        return self.default

    def plain(self) -> dict[str, float]:
        """Epochs by source."""
        return {**{source.name: source.epochs for source in self.sources}, "(all others)": self.default}


def _host(url: str | None) -> str | None:
    try:
        return urlsplit(url or "").hostname
    except ValueError:  # no URL, such as http://[
        return None


def read_mixture(path: str | Path) -> Mixture:
    """The mixture in a YAML or JSON file. Raises ConfigError naming the file and the key."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"mixture '{path}' can't be read: {error.strerror or error}") from error
    return mixture_of(load_yaml(raw, f"mixture '{path}'"), f"mixture '{path}'")


def mixture_of(value: Any, where: str) -> Mixture:
    """A mixture from plain values. Raises ConfigError."""
    if not isinstance(value, Mapping) or not isinstance(value.get("sources"), Mapping):
        raise ConfigError(f"{where}: it must be `sources: {{NAME: {{epochs: N}}}}`")
    _check_keys(value, _KEYS, where)
    sources = []
    for name, one in value["sources"].items():
        here = f"{where}: source '{name}'"
        if not isinstance(one, Mapping) or "epochs" not in one:
            raise ConfigError(f"{here} must say `epochs: N`")
        _check_keys(one, _SOURCE_KEYS, here)
        globs = one.get("match", str(name))
        globs = [globs] if isinstance(globs, str) else globs
        if not isinstance(globs, list) or not globs or not all(isinstance(glob, str) for glob in globs):
            raise ConfigError(f"{here}: match must be a glob or a list of globs")
        sources.append(MixtureSource(str(name), _epochs(one["epochs"], here), tuple(globs)))
    return Mixture(tuple(sources), _epochs(value.get("default", 1), where))


def _check_keys(value: Mapping[Any, Any], known: tuple[str, ...], where: str) -> None:
    for key in value:
        if key not in known:
            raise ConfigError(f"{where}: unknown key '{key}'{nearest(str(key), known)}; there are {', '.join(known)}")


def _epochs(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigError(f"{where}: epochs must be a number from 0 up, not {value!r}")
    return float(value)
