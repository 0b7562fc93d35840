"""The design of the planted defects, read from a YAML file: fixed before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.stage import configured
from pipeline.yaml_input import load_yaml


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """Options of `generators.repeat_documents`."""

    name = "repeat"
    share: float = 0.3
    min_copies: int = 160
    edited: float = 0.5

    def check(self) -> None:
        """Raise ConfigError for values that can't work."""
        _check_shares(self.name, share=self.share, edited=self.edited)


@dataclass(frozen=True, kw_only=True)
class Junk:
    """Options of `generators.plant_junk`."""

    name = "junk"
    share: float = 0.5
    shuffled: float = 0.5

    def check(self) -> None:
        """Raise ConfigError for values that can't work."""
        _check_shares(self.name, share=self.share, shuffled=self.shuffled)


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Options of `generators.leak`."""

    name = "leak"
    copies: int = 8
    per_page: int = 3

    def check(self) -> None:
        """Raise ConfigError for values that can't work."""
        if self.copies < 1 or self.per_page < 1:
            raise ConfigError(f"leak: copies ({self.copies}) and per_page ({self.per_page}) must be at least 1")


def _check_shares(where: str, **shares: float) -> None:
    for name, value in shares.items():
        if not 0 <= value <= 1 or (name == "share" and value in (0, 1)):
            raise ConfigError(f"{where}: {name} must lie between 0 and 1, not {value}")


PARTS = (Repeat, Junk, Leak)


@dataclass(frozen=True, kw_only=True)
class DefectDesign:
    """What is planted and how it is measured.

    `instrument` holds options of `pretrain.ablation.Design`, without the margin and the held-out sets. `corpus_bytes`
    is the text of the clean corpus, `margin` is in bits per byte.
    """

    name = "planted defects"
    corpus_bytes: int
    seed: int
    margin: float
    alpha: float
    budget_minutes: float
    repeat: Repeat = field(default_factory=Repeat)
    junk: Junk = field(default_factory=Junk)
    leak: Leak = field(default_factory=Leak)
    instrument: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ConfigError for values that can't work."""
        if self.corpus_bytes < 1:
            raise ConfigError(f"{self.name}: corpus_bytes must be at least 1, not {self.corpus_bytes}")
        if not self.margin > 0:
            raise ConfigError(f"{self.name}: margin must be above 0, not {self.margin}: nothing ties inside it")
        if not 0 < self.alpha < 1:
            raise ConfigError(f"{self.name}: alpha must lie between 0 and 1, not {self.alpha}")


def load_design(path: str | Path | None = None, **instrument: Any) -> DefectDesign:
    """The design in a YAML file (default: the committed one), `instrument` options changed. Raises ConfigError."""
    if path is None:
        where = "the design of the planted defects"
        raw = resources.files("pretrain.defects").joinpath("design.yaml").read_bytes()
    else:
        where = f"design '{path}'"
        try:
            raw = Path(path).read_bytes()
        except OSError as error:
            raise ConfigError(f"{where} can't be read: {error.strerror}") from error
    plain = load_yaml(raw, where)
    if not isinstance(plain, dict) or any(not isinstance(key, str) for key in plain):
        raise ConfigError(f"{where} must be a mapping of options")
    parts = {one.name: configured(one, plain.get(one.name) or {}, f"{where}: {one.name}") for one in PARTS}
    return configured(
        DefectDesign, {**plain, **parts, "instrument": {**(plain.get("instrument") or {}), **instrument}}, where
    )
