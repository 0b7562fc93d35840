"""Options of the objectives, by name. Imports no torch, so that a recipe is checked before anything is loaded."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pipeline.errors import ConfigError, nearest
from pipeline.option_types import check_types

from ..flops import Work


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def _need(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What all objectives have. `forms` are the forms of the model that one can train."""

    forms: ClassVar[tuple[str, ...]] = ("decoder",)

    predict_controls: bool = _option(
        False, "control tokens may be predicted too; else they are only read, and text is learned given them"
    )

    def check(self) -> None:
        """Raise ConfigError for what can't work."""

    def work(self, length: int) -> Work:
        """What the model is expected to compute of a full row of `length` tokens."""
        return Work(length, length, length)


@dataclass(frozen=True, kw_only=True)
class CausalOptions(Options):
    """Predict the next token."""


@dataclass(frozen=True, kw_only=True)
class MaskedOptions(Options):
    """Predict tokens that were masked (Devlin et al. 2018), from both sides."""

    forms: ClassVar[tuple[str, ...]] = ("encoder",)

    rate: float = _option(0.15, "share of the tokens that are predicted (0.15; 0.3: Wettig et al. 2022)")
    mask_share: float = _option(0.8, "share of these that the mask token replaces")
    random_share: float = _option(0.1, "share of these that a random token replaces; the rest stay as they are")

    def check(self) -> None:
        _need(0 < self.rate <= 1, f"masked: rate must be above 0 and at most 1, not {self.rate}")
        for name in ("mask_share", "random_share"):
            _need(0 <= getattr(self, name) <= 1, f"masked: {name} must lie in 0..1, not {getattr(self, name)}")
        _need(
            self.mask_share + self.random_share <= 1 + 1e-9, "masked: mask_share and random_share are together above 1"
        )

    def work(self, length: int) -> Work:
        return Work(length, length, length * self.rate)


@dataclass(frozen=True, kw_only=True)
class SpansOptions(Options):
    """Rebuild spans that a sentinel stands for (Raffel et al. 2020)."""

    forms: ClassVar[tuple[str, ...]] = ("encoder_decoder", "decoder")

    density: float = _option(0.15, "share of a document's tokens that are in spans")
    mean_length: float = _option(3.0, "mean tokens of a span")
    prefix: bool = _option(False, "for a decoder: each document's targets follow its input in the same row")
    room: float = _option(
        1.5, "positions for targets, as a multiple of those expected; documents beyond them are left whole"
    )

    def check(self) -> None:
        _need(0 < self.density < 1, f"spans: density must lie between 0 and 1, not {self.density}")
        _need(self.mean_length >= 1, f"spans: mean_length must be at least 1, not {self.mean_length}")
        _need(self.room >= 1, f"spans: room must be at least 1, not {self.room}")

    def decoder_length(self, length: int) -> int:
        """Positions for targets of a row of `length` tokens; with `prefix`, how much longer a row becomes."""
        expected = length * self.density * (2 / self.mean_length if self.prefix else 1 + 1 / self.mean_length)
        return max(8, 8 * math.ceil(expected * self.room / 8))

    def work(self, length: int) -> Work:
        spans, room = length * self.density / self.mean_length, self.decoder_length(length)
        given, targets = length * (1 - self.density) + spans, length * self.density + spans
        if self.prefix:
            return Work(given + targets, length + room, targets)
        return Work(given, length, targets, targets, room)


@dataclass(frozen=True, kw_only=True)
class ContrastiveOptions(Options):
    """Find a page's text by its title among those of the micro-batch, and its title (van den Oord et al. 2018)."""

    forms: ClassVar[tuple[str, ...]] = ("encoder",)

    temperature: float = _option(0.05, "similarities are divided by it")
    max_title: int = _option(64, "tokens of a title, at most")
    max_body: int = _option(0, "tokens of a body, at most; 0: all that the sequence has of it")
    min_body: int = _option(8, "tokens that a body has at least; shorter ones are left out")

    def check(self) -> None:
        _need(self.temperature > 0, f"contrastive: temperature must be above 0, not {self.temperature}")
        _need(self.max_title >= 1, f"contrastive: max_title must be at least 1, not {self.max_title}")
        _need(self.min_body >= 1, f"contrastive: min_body must be at least 1, not {self.min_body}")
        _need(
            self.max_body == 0 or self.max_body >= self.min_body,
            f"contrastive: max_body must be 0 or at least min_body {self.min_body}, not {self.max_body}",
        )

    def work(self, length: int) -> Work:
        return Work(length, length, 0)


@dataclass(frozen=True, kw_only=True)
class DistillOptions(Options):
    """Predict the next token as a teacher does (Hinton et al. 2015)."""

    teacher: str = _option("", "the teacher's checkpoint")
    temperature: float = _option(2.0, "both models' logits are divided by it")
    weight: float = _option(0.5, "share of the divergence in the loss; the rest is cross-entropy with the text")
    top_k: int = _option(0, "only the teacher's likeliest ids count; 0: all")

    def check(self) -> None:
        _need(bool(self.teacher), "distill: teacher is missing: the folder of a checkpoint")
        _need(self.temperature > 0, f"distill: temperature must be above 0, not {self.temperature}")
        _need(0 <= self.weight <= 1, f"distill: weight must lie in 0..1, not {self.weight}")
        _need(self.top_k >= 0, f"distill: top_k must not be negative: {self.top_k}")


OPTIONS: dict[str, type[Options]] = {
    "causal": CausalOptions,
    "masked": MaskedOptions,
    "spans": SpansOptions,
    "contrastive": ContrastiveOptions,
    "distill": DistillOptions,
}


def objective_options(name: str, values: dict[str, Any]) -> Options:
    """Checked options of the objective of that name. Raises ConfigError for a name or an option that there isn't."""
    if name not in OPTIONS:
        raise ConfigError(f"no objective is called '{name}'{nearest(name, OPTIONS)}; there are {', '.join(OPTIONS)}")
    cls = OPTIONS[name]
    known = [f.name for f in dataclasses.fields(cls)]
    for key in values:
        if key not in known:
            raise ConfigError(f"objective '{name}' has no option '{key}'{nearest(str(key), known)}; it has {known}")
    check_types(cls, values, f"objective '{name}'")
    made = cls(**values)
    made.check()
    return made
