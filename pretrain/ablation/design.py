"""What an ablation compares and how: plain values that are written down before anything runs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pretrain.config import TrainConfig

WHERE = "ablate"
READINGS = ("tokens", "bytes")
COMPARE = ("all", "first")
ON_OVERLAP = ("drop", "keep", "raise")
GROUPS = ("held_out", "gold")
BUDGET = "budget_minutes"
"""Key of `design.yaml` for what the number of steps was chosen by, if by a budget."""
MAX_SEEDS = 1000
PRESET_SETS = ("wikitext", "openstax", "brown", "web", "news", "dclm")
"""Held-out sets of the preset (see `texts.preset`)."""
OWN = {
    "size": "size", "steps": "steps", "batch_size": "batch_size", "seed": "first_seed", "threads": "threads",
    "objective": "nothing: arms are compared by causal models", "held_out": "held_out", "eval_every": "evaluations",
    "init_from": "nothing: models begin from scratch",
}  # fmt: skip
"""Options of training that a design has of its own."""
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A corpus that models are trained on.

    `inputs`: document files, folders or globs; or one run recipe (a YAML file or a bundled name), one finished run's
    folder, or one pack folder.
    """

    name: str
    inputs: tuple[str, ...]
    text_field: str = "text"

    def __post_init__(self) -> None:
        _check_named("arm", self.name, self.inputs)


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Texts that bits per byte are measured on: files of documents, or plain text (`.txt`), which is cut up."""

    name: str
    inputs: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_named("held-out set", self.name, self.inputs)


def _check_named(what: str, name: str, inputs: Sequence[str]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{WHERE}: a name of an {what} has letters, digits and _ . + - only, not {name!r}")
    if isinstance(inputs, str) or not inputs or not all(isinstance(one, str) and one for one in inputs):
        raise ConfigError(f"{WHERE}: {what} '{name}' needs files: a list of texts, not {inputs!r}")


def named_inputs(cls: type[Any], words: Sequence[str], **options: Any) -> Any:
    """An `Arm` or `HeldOut` of the words `NAME=FILE FILE ...`, with other fields; raises ConfigError."""
    name, sign, first = words[0].partition("=")
    if not sign or not first:
        raise ConfigError(f"{WHERE}: write NAME=FILE [FILE ...], not '{' '.join(words)}'")
    return cls(name=name, inputs=(first, *words[1:]), **options)


@dataclass(frozen=True, kw_only=True)
class Design:
    """How arms are compared. All arms have the same of everything here."""

    name = WHERE

    seeds: int = field(default=5, metadata={"help": "runs of each arm; a seed gives all arms the same first weights"})
    first_seed: int = field(default=0, metadata={"help": "the first of the seeds; the others follow it"})
    size: str = field(default="tiny", metadata={"help": "size of the models: tiny, small, base, or a number as 20M"})
    steps: int = field(default=200, metadata={"help": "optimiser steps of a run"})
    tokens: int = field(default=0, metadata={"help": "tokens of a run, in place of steps (0: steps counts)"})
    batch_size: int = field(default=8, metadata={"help": "sequences in a step"})
    sequence_length: int = field(default=256, metadata={"help": "tokens in a sequence"})
    lr: float = field(default=2e-3, metadata={"help": "peak learning rate"})
    training: Mapping[str, Any] = field(
        default_factory=dict, metadata={"help": "other options of training, as in a recipe's: {optim: {schedule: wsd}}"}
    )
    tokenizer: str = field(
        default="", metadata={"help": "a tokenizer.json for all arms (default: one trained on equal bytes of each arm)"}
    )
    tokenizer_text: tuple[str, ...] = field(
        default=(), metadata={"help": "documents to train the tokenizer on, in place of the arms' own"}
    )
    vocab_size: int = field(default=4096, metadata={"help": "size of a tokenizer that is trained"})
    held_out: Mapping[str, Sequence[str]] = field(
        default_factory=dict, metadata={"help": "held-out sets: files by name"}
    )
    preset: str = field(
        default="", metadata={"help": "folder of the project's development data: its held-out sets and benchmarks too"}
    )
    held_out_bytes: int = field(default=300_000, metadata={"help": "text of each held-out set, at most"})
    gold: tuple[str, ...] = field(
        default=(), metadata={"help": "benchmarks whose gold answers are measured: files, folders, NAME=FILE"}
    )
    gold_items: int = field(default=300, metadata={"help": "items of each benchmark, at most"})
    max_overlap: float = field(
        default=0.2, metadata={"help": "share of a held-out document's 13-grams in an arm from which on it is a copy"}
    )
    on_overlap: str = field(
        default="drop", metadata={"help": "held-out documents that an arm has a copy of: drop (for all), keep, raise"}
    )  # fmt: skip
    readings: tuple[str, ...] = field(
        default=READINGS, metadata={"help": "tokens: arms see equal tokens; bytes: equal bytes of text"}
    )
    judge: tuple[str, ...] = field(
        default=GROUPS,
        metadata={"help": "figures that get a verdict: held_out, gold (means over sets), or one set: held_out/NAME"},
    )
    compare: str = field(default="all", metadata={"help": "all: every pair of arms; first: each against the first"})
    margin: float = field(default=0.01, metadata={"help": "bits per byte: a difference inside it is a tie"})
    alpha: float = field(default=0.05, metadata={"help": "a corrected p below it is a difference"})
    evaluations: int = field(default=4, metadata={"help": "points of a curve, the last one at the end of the run"})
    resamples: int = field(default=2000, metadata={"help": "rounds of the bootstrap over documents"})
    seed: int = field(default=0, metadata={"help": "seed of samples, packs and bootstrap (not of the models)"})
    threads: int = field(default=1, metadata={"help": "threads of a run; another number gives slightly other results"})

    def check(self) -> None:
        """Raise ConfigError for values that can't work."""
        for name, least in (("seeds", 1), ("first_seed", 0), ("steps", 1), ("tokens", 0), ("batch_size", 1),
                            ("sequence_length", 2), ("vocab_size", 257), ("held_out_bytes", 1), ("gold_items", 1),
                            ("evaluations", 1), ("resamples", 100), ("threads", 1), ("seed", 0)):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(f"{WHERE}: {name} must be a whole number of at least {least}, not {value!r}")
        if self.seeds > MAX_SEEDS:
            raise ConfigError(f"{WHERE}: seeds must be at most {MAX_SEEDS}, not {self.seeds}")
        for name, low, high in (("alpha", 0.0, 1.0), ("max_overlap", 0.0, 1.0), ("lr", 0.0, None)):
            value = getattr(self, name)
            if not value > low or (high is not None and value > high):
                raise ConfigError(f"{WHERE}: {name} must be above {low:g}{f' and at most {high:g}' if high else ''}")
        if not self.margin >= 0:
            raise ConfigError(f"{WHERE}: margin must not be negative: {self.margin}")
        for name, known in (("compare", COMPARE), ("on_overlap", ON_OVERLAP)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{WHERE}: {name} is one of {', '.join(known)}{nearest(getattr(self, name), known)}")
        if not self.readings or set(self.readings) - set(READINGS):
            raise ConfigError(f"{WHERE}: readings are of {', '.join(READINGS)}, not {list(self.readings)}")
        if not isinstance(self.held_out, Mapping):
            raise ConfigError(
                f"{WHERE}: held_out maps names to lists of files, it is no {type(self.held_out).__name__}"
            )
        self.held_out_sets()
        if self.tokenizer and self.tokenizer_text:
            raise ConfigError(f"{WHERE}: name a tokenizer or a text to train one on, not both")
        if not self.held_out and not self.gold and not self.preset:
            raise ConfigError(f"{WHERE}: nothing to measure on: name --held-out NAME=FILE (or --gold, or --preset)")
        self.train_config(self.first_seed, self.run_steps)
        if not self.judge:
            raise ConfigError(f"{WHERE}: judge names no figure")
        for one in self.judge:
            group, _, name = one.partition("/")
            sets = (*self.held_out, *(PRESET_SETS if self.preset else ()))
            if group not in GROUPS or (name and group == "held_out" and name not in sets):
                figures = [*GROUPS, *(f"held_out/{name}" for name in sets)]
                raise ConfigError(f"{WHERE}: no figure is called '{one}'{nearest(one, figures)}; {', '.join(figures)}")

    def held_out_sets(self) -> list[HeldOut]:
        """The held-out sets, in order. Raises ConfigError."""
        return [
            HeldOut(name=name, inputs=(files,) if isinstance(files, str) else tuple(files))
            for name, files in self.held_out.items()
        ]

    def train_config(self, seed: int, steps: int) -> TrainConfig:
        """The configuration of one run. Raises ConfigError."""
        from pretrain.config import train_config

        if not isinstance(self.training, Mapping):
            raise ConfigError(f"{WHERE}: training must be a mapping of options, not {self.training!r}")
        for key in self.training:
            if key in OWN:
                raise ConfigError(f"{WHERE}: say {OWN[key]} in place of training.{key}")
        optim = self.training.get("optim", {})
        if isinstance(optim, dict):
            optim = {"lr": self.lr, **optim}
        values = {
            "tensorboard": False, **self.training, "size": self.size, "steps": steps, "batch_size": self.batch_size,
            "seed": seed, "threads": self.threads, "optim": optim,
        }  # fmt: skip
        return train_config(values, f"{WHERE}: training")

    @property
    def step_tokens(self) -> int:
        """Positions of a step."""
        return self.batch_size * self.sequence_length

    @property
    def run_steps(self) -> int:
        """Steps of a run at equal tokens."""
        return max(1, round(self.tokens / self.step_tokens)) if self.tokens else self.steps

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(range(self.first_seed, self.first_seed + self.seeds))

    def plain(self) -> dict[str, Any]:
        """JSON values."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        found["held_out"] = {one.name: list(one.inputs) for one in self.held_out_sets()}
        found["training"] = dict(self.training)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def load_design(path: str | Path, **changes: Any) -> Design:
    """The design in a YAML file (options, or the `design.yaml` of an ablation), with changes.

    Raises ConfigError, for an unknown key with the nearest one's name.
    """
    from pipeline.yaml_input import load_yaml

    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{WHERE}: design '{path}' is not a file")
    plain = load_yaml(path.read_bytes(), f"design '{path}'") or {}
    if not isinstance(plain, dict) or any(not isinstance(key, str) for key in plain):
        raise ConfigError(f"design '{path}' must be a mapping of options")
    if isinstance(plain.get("design"), dict):
        plain = plain["design"]
    return make_design({**plain, **changes}, f"design '{path}'")


def make_design(options: dict[str, Any], where: str = WHERE) -> Design:
    """A checked design of plain values. Raises ConfigError."""
    from pipeline.stage import configured

    return configured(Design, options, where)
