"""Lists of stop words by language, for `gopher_quality`."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError, nearest
from pipeline.store import digest
from pipeline.yaml_input import load_yaml

if TYPE_CHECKING:
    from .kernels.measures import StopWords

ENGLISH = ("the", "be", "to", "of", "and", "that", "have", "with")
"""Rae et al. 2021, section A.1.1."""
_FOLDER = ("data", "settings")


def _content(name_or_path: str) -> bytes:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"gopher_quality: stop_words: there is no file '{path}'")
        return path.read_bytes()
    folder = resources.files("filters").joinpath(*_FOLDER)
    known = ["english"]
    if folder.is_dir():
        names = sorted(p.name for p in folder.iterdir() if p.name.startswith("stopwords_") and p.name.endswith(".yaml"))
        known += [n.removeprefix("stopwords_").removesuffix(".yaml") for n in names]
    if name_or_path not in known:
        raise ConfigError(
            f"gopher_quality: stop_words: '{name_or_path}' is neither a YAML file nor one of {', '.join(known)}"
            f"{nearest(name_or_path, known)}"
        )
    return (folder / f"stopwords_{name_or_path}.yaml").read_bytes()


@functools.lru_cache(maxsize=8)
def _parsed(content: bytes, name: str) -> dict[str, tuple[str, ...]]:
    table = load_yaml(content, f"gopher_quality: stop_words '{name}'")
    if not isinstance(table, dict) or not all(
        isinstance(k, str) and isinstance(v, list) and all(isinstance(w, str) and w for w in v)
        for k, v in table.items()
    ):
        raise ConfigError(
            f"gopher_quality: stop words '{name}' must map languages to lists of words; quote what YAML takes for "
            "true or false (no, on, yes)"
        )
    return {k: tuple(dict.fromkeys(v)) for k, v in table.items()}


def stop_words_of(name_or_path: str) -> dict[str, tuple[str, ...]]:
    """{language: words}; `english` is the paper's list, for every document."""
    return {"en": ENGLISH} if name_or_path == "english" else _parsed(_content(name_or_path), name_or_path)


def check_stop_words(name_or_path: str) -> None:
    """Raise ConfigError if there is no such list, or if it can't be read."""
    stop_words_of(name_or_path)


def stop_words_digest(name_or_path: str) -> str:
    """A hash of the lists."""
    return digest([[k, list(v)] for k, v in sorted(stop_words_of(name_or_path).items())])


def table_of(name_or_path: str) -> StopWords:
    """The lists as a hash table, made once a process."""
    return _table(tuple(stop_words_of(name_or_path).items()))


@functools.lru_cache(maxsize=4)
def _table(words: tuple[tuple[str, tuple[str, ...]], ...]) -> StopWords:
    from .kernels.measures import StopWords

    return StopWords(dict(words))
