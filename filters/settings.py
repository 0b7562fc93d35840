"""Thresholds by language: bundled tables (`filters/data/settings/*.yaml`) or a YAML file of the user's.

    en: {gopher_quality: {min_words: 50, ...}, fineweb_quality: {...}}
    fr: ...

A filter takes its own part of its document's language; a language that is not listed has the filter's options.
"""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError, nearest
from pipeline.store import digest


def _read(name_or_path: str) -> bytes:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"settings by language: there is no file '{path}'")
        return path.read_bytes()
    folder = resources.files("filters") / "data" / "settings"
    known = sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))
    if name_or_path not in known:
        raise ConfigError(
            f"settings by language: '{name_or_path}' is neither a YAML file nor one of {', '.join(known)}"
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
    try:
        table = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"settings '{name_or_path}' are not YAML: {error}") from error
    if not isinstance(table, dict) or not all(isinstance(v, dict) for v in table.values()):
        raise ConfigError(f"settings '{name_or_path}' must map languages to {{stage: {{option: value}}}}")
    out: dict[str, dict[str, Any]] = {}
    for lang, stages in table.items():
        own = stages.get(stage, {})
        for key, value in own.items():
            if key not in options:
                raise ConfigError(
                    f"settings '{name_or_path}', {lang}: {stage} has no threshold '{key}'{nearest(key, options)}"
                )
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise ConfigError(f"settings '{name_or_path}', {lang}: {stage}.{key} must be a number, not {value!r}")
        out[str(lang)] = own
    return out
