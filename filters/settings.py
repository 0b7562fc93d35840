"""Thresholds by language: bundled tables (`filters/data/settings/*.yaml`) or a YAML file of the user's.

    en: {gopher_quality: {min_words: 50, ...}, fineweb_quality: {...}}
    fr: ...

A filter takes its own part of its document's language; a language that is not listed has the filter's options.
"""

from __future__ import annotations

import functools
import reprlib
from importlib import resources
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, nearest
from pipeline.option_types import is_number
from pipeline.stage import registered
from pipeline.store import digest
from pipeline.yaml_input import load_yaml


def _read(name_or_path: str) -> bytes:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"by_language: there is no file '{path}'")
        return path.read_bytes()
    folder = resources.files("filters") / "data" / "settings"
    tables = (p.name for p in folder.iterdir() if p.name.endswith(".yaml") and not p.name.startswith("stopwords_"))
    known = sorted(name.removesuffix(".yaml") for name in tables)
    if name_or_path not in known:
        raise ConfigError(
            f"by_language: '{name_or_path}' is neither a YAML file nor one of {', '.join(known)}"
            f"{nearest(name_or_path, known)}"
        )
    return (folder / f"{name_or_path}.yaml").read_bytes()


def settings_digest(name_or_path: str) -> str:
    """A hash of the table's content, "" for none."""
    return digest(_read(name_or_path).decode("utf-8", "replace")) if name_or_path else ""


def settings_by_language(name_or_path: str, stage: str, options: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """{language: {option: value}} for one stage; raises ConfigError for options that the stage does not have."""
    return _parsed(_read(name_or_path), name_or_path, stage, options)


@functools.lru_cache(maxsize=64)
def _parsed(content: bytes, name_or_path: str, stage: str, options: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    where = f"by_language: settings '{name_or_path}'"
    table = load_yaml(content, where)
    if not isinstance(table, dict) or not all(isinstance(v, dict) for v in table.values()):
        raise ConfigError(f"{where} must map languages to {{filter: {{option: value}}}}")
    out: dict[str, dict[str, Any]] = {}
    for lang, stages in table.items():
        if not isinstance(lang, str):
            raise ConfigError(f"{where}: the language {lang!r} must be a text: quote what YAML takes for false (no)")
        _check_stages(stages, stage, f"{where}, {lang}")
        own = stages.get(stage, {})
        if not isinstance(own, dict):
            raise ConfigError(f"{where}, {lang}: {stage} must be a mapping {{option: value}}")
        for key, value in own.items():
            if key not in options:
                raise ConfigError(f"{where}, {lang}: {stage} has no threshold '{key}'{nearest(str(key), options)}")
            if value is not None and not is_number(value):
                raise ConfigError(
                    f"{where}, {lang}: {stage}.{key} must be a number, or null for off, not {reprlib.repr(value)}"
                )
        out[lang] = own
    return out


def _check_stages(stages: dict[Any, Any], own: str, where: str) -> None:
    """Raise ConfigError for a name that is neither the filter's own nor a registered one."""
    known = {own, *registered()}
    for name in stages:
        if name not in known:
            raise ConfigError(f"{where}: no filter is called '{name}'{nearest(str(name), known)}")
