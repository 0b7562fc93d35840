"""The card beside a model: `NAME.json` next to NAME.ftz or NAME.bin says how the model is to be used.

{"name": ..., "description": ..., "positive": "hq", "threshold": 0.5, "quantiles": {"0.9": 0.73},
 "languages": ["en"], "normalisation": {"lowercase": true, ...}, "sha256": "...",
 "data": [...], "training": {...}, "evaluation": {...}}
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.store import write_json

from .normalisation import Normalisation

LABEL = "__label__"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model's sidecar says; the parts after `sha256` are told to people and decide nothing."""

    name: str = ""
    description: str = ""
    positive: str = ""  # the label whose probability is the score, without __label__
    threshold: float | None = None  # recommended, for the score
    mask_threshold: float | None = None  # a stricter one, from which on a sentence may be taken out of a text
    quantiles: dict[str, float] = field(default_factory=dict)  # "0.9": the score that a tenth of the corpus reaches
    languages: tuple[str, ...] = ()  # that the model serves; none = all
    normalisation: Normalisation = field(default_factory=Normalisation)
    sha256: str = ""  # of the model file that the card belongs to
    data: tuple[dict[str, Any], ...] = ()  # sources with licences, as given
    training: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    limits: str = ""  # what the model can't be trusted with

    def json(self) -> dict[str, Any]:
        """As plain JSON values."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**found, "normalisation": self.normalisation.card()}

    def write(self, path: Path) -> None:
        """Write it to `path`, atomically."""
        write_json(path, self.json())


def card_path(model: Path) -> Path:
    """Where the card of a model lies."""
    return model.with_suffix(".json")


def sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_card(model: Path) -> Card | None:
    """The card of a model, None if there is none. Raises ConfigError if it can't be used."""
    path = card_path(model)
    if not path.is_file():
        return None
    where = f"model card '{path}'"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ConfigError(f"{where} can't be read: it nests too deep") from error
    except (ValueError, OSError) as error:
        raise ConfigError(f"{where} can't be read: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is no JSON object")
    known = {f.name for f in dataclasses.fields(Card)}
    given = {k: v for k, v in value.items() if k in known}
    given["normalisation"] = Normalisation.from_card(value.get("normalisation", {}), where)
    for key in ("name", "description", "positive", "sha256", "limits"):
        if not isinstance(given.get(key, ""), str):
            raise ConfigError(f"{where}: `{key}` must be a text")
    for key in ("languages", "data"):
        if not isinstance(given.get(key, []), list):
            raise ConfigError(f"{where}: `{key}` must be a list")
        given[key] = tuple(given.get(key, []))
    numbers = [given.get("threshold"), given.get("mask_threshold"), *_values(given.get("quantiles", {}), where)]
    if not all(
        n is None or (isinstance(n, (int, float)) and not isinstance(n, bool) and math.isfinite(n)) for n in numbers
    ):
        raise ConfigError(f"{where}: `threshold`, `mask_threshold` and `quantiles` must be numbers")
    return Card(**given)


def _values(quantiles: Any, where: str) -> list[Any]:
    if not isinstance(quantiles, dict):
        raise ConfigError(f"{where}: `quantiles` must map quantiles to scores")
    return list(quantiles.values())
