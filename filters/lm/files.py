"""The files behind the options `model` and `tokenizer`: bundled, local, or at an address, one for each language."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from pipeline.errors import ConfigError, nearest

PLACEHOLDER = "{lang}"
MODEL_ENDINGS = (".arpa", ".arpa.gz", ".bin", ".binary", ".klm")
TOKENIZER_ENDINGS = (".model", ".json")


def bundled_models() -> dict[str, Path]:
    """The sets of language models that come with Gristmill, by name: folders of `{lang}.arpa.gz`."""
    folder = Path(str(resources.files("filters"))) / "models"
    return {found.parent.name: found.parent for found in sorted(folder.glob("*/*.arpa.gz"))}


def files_by_language(named: str, languages: tuple[str, ...], endings: tuple[str, ...], where: str) -> dict[str, Path]:
    """{language: file}; {"": file} where one file serves every language.

    `named` is a bundled set's name, a path, or an address (fetched once into the cache); `{lang}` in it stands for
    the document's language. Without `languages` a path with `{lang}` gives all files that are there.
    Raises ConfigError.
    """
    from pipeline.storage import is_url

    known = bundled_models() if ".arpa.gz" in endings else {}
    if named in known:
        named = str(known[named] / f"{PLACEHOLDER}.arpa.gz")
    remote = is_url(named)
    if not remote and not named.endswith(endings):
        raise ConfigError(
            f"{where} '{named}' is no file in {', '.join(endings)}, no address and no bundled model"
            f"{nearest(named, known)}; bundled: {', '.join(known) or 'none'}"
        )
    if PLACEHOLDER not in named:
        path = _fetched(named, endings) if remote else Path(named)
        if not path.is_file():
            raise ConfigError(f"{where}: there is no file '{named}'")
        return dict.fromkeys(languages, path) if languages else {"": path}
    if languages:
        found = {lang: named.replace(PLACEHOLDER, lang) for lang in languages}
        paths = {lang: _fetched(one, endings) if remote else Path(one) for lang, one in found.items()}
        for lang, path in paths.items():
            if not path.is_file():
                raise ConfigError(f"{where}: there is no file '{path}' for the language '{lang}'")
        return paths
    if remote:
        raise ConfigError(f"{where} '{named}' is an address: name the `languages` whose files are to be fetched")
    return _there(Path(named), where)


def _there(pattern: Path, where: str) -> dict[str, Path]:
    if PLACEHOLDER in str(pattern.parent):
        raise ConfigError(f"{where} '{pattern}': with {PLACEHOLDER} in a folder's name, name the `languages`")
    before, _, after = pattern.name.partition(PLACEHOLDER)
    shape = re.compile(re.escape(before) + r"([A-Za-z][\w-]*)" + re.escape(after).replace(r"\{lang\}", r"\1"))
    names = sorted(p.name for p in pattern.parent.iterdir()) if pattern.parent.is_dir() else []
    found = {match[1]: pattern.parent / name for name in names if (match := shape.fullmatch(name))}
    if not found:
        raise ConfigError(f"{where}: there is no file '{pattern}' for any language")
    return found


def _fetched(address: str, endings: tuple[str, ...]) -> Path:
    from filters.classifier.fetch import fetch

    return fetch(address, endings=endings)
