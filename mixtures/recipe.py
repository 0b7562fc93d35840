"""Mixture recipes: YAML that says which documents are trained on, how often and when. Validated before anything runs.

    name: pages-and-books
    sources:
      pages: {run: this, weight: 3}
      books: {inputs: [books/*.parquet], weight: 1, lang: en}
    total_tokens: 3_000_000_000
    max_epochs: 4
    temperature: {by: lang, exponent: 0.7}
    quality: {column: quality, edges: [0.3, 0.7], repeat: [0, 1, 3]}
    domain_cap: {share: 0.02}
    held_out: {share: 0.005, after: 2025-06-01}
    phases:
      - {name: main, share: 0.9}
      - {name: best, share: 0.1, repeat: [0, 0, 1], weights: {books: 3, pages: 1}}

`docs/mixtures.md` says what each key does; `page` makes it from the fields here.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, nearest
from pipeline.packs import CONTROLS
from pipeline.stage import configured
from pipeline.yaml_input import load_yaml

THIS = "this"
"""`run: this` names the run that the mixture is a step of."""
NAMES_OF_SETS = ("held_out", "fresh")
"""The sets of documents that are never trained on: by cluster, and by date."""

MOST_EPOCHS = 1000
NAME = re.compile(r"[A-Za-z0-9_-]+")


def _ascending(values: tuple[Any, ...]) -> bool:
    return all(a < b for a, b in zip(values, values[1:], strict=False))


def _numbers(values: Any) -> bool:
    """Whether all are finite numbers of at least 0."""
    from pipeline.option_types import is_number

    return isinstance(values, tuple) and all(is_number(one) and one >= 0 for one in values)


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """Tokens of each language (or domain) in a source go by its natural share to the power `exponent`."""

    by: str = field(default="lang", metadata={"help": "lang or domain"})
    exponent: float = field(
        default=0.7, metadata={"help": "1: natural; 0: all equal; 0.3 as in mT5 (it is 1 / temperature)"}
    )
    top: int = field(default=1000, metadata={"help": "by domain: the largest ones, all others together are one more"})

    def check(self) -> None:
        if self.by not in ("lang", "domain"):
            raise ConfigError(
                f"temperature: by is lang or domain, not '{self.by}'{nearest(self.by, ('lang', 'domain'))}"
            )
        if not 0 <= self.exponent <= 1:
            raise ConfigError(f"temperature: exponent must lie in 0..1, not {self.exponent}")
        if self.top < 1:
            raise ConfigError(f"temperature: top must be at least 1, not {self.top}")


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Buckets of documents by a score, each drawn so many times as often (the idea of Nemotron-CC)."""

    column: str = field(default="quality", metadata={"help": "the score; `hate.document` for a field of a score"})
    edges: tuple[float, ...] = field(default=(), metadata={"help": "bounds between the buckets, rising"})
    quantiles: bool = field(default=False, metadata={"help": "the edges are shares of the tokens, from 0 to 1"})
    repeat: tuple[float, ...] = field(
        default=(), metadata={"help": "how often each bucket is drawn, relative to the others; 0: never"}
    )
    unscored: float = field(default=1.0, metadata={"help": "the same for documents without the score"})

    def check(self) -> None:
        from pipeline.option_types import is_number

        if not self.edges or not all(map(is_number, self.edges)) or not _ascending(self.edges):
            raise ConfigError(f"quality: edges must be rising numbers, not {list(self.edges)}")
        if self.quantiles and not (self.edges[0] > 0 and self.edges[-1] < 1):
            raise ConfigError(f"quality: quantiles lie between 0 and 1, not {list(self.edges)}")
        check_repeat(self.repeat, self, "quality")
        if self.unscored < 0:
            raise ConfigError(f"quality: unscored must not be negative, not {self.unscored}")


def check_repeat(repeat: tuple[float, ...], quality: Quality, where: str) -> None:
    """Raise ConfigError unless there is a number for each bucket, one of them above 0."""
    if len(repeat) != len(quality.edges) + 1 or not _numbers(repeat) or not any(repeat):
        raise ConfigError(
            f"{where}: repeat needs {len(quality.edges) + 1} numbers of at least 0, not all 0, for the buckets between"
            f" {len(quality.edges)} edges; got {list(repeat)}"
        )


@dataclass(frozen=True, kw_only=True)
class DomainCap:
    """The most of a source that one domain may give; what is over it is thrown away by a hash of the ids."""

    share: float | None = field(default=None, metadata={"help": "share of the source's tokens"})
    tokens: int | None = field(default=None, metadata={"help": "tokens"})

    def check(self) -> None:
        if (self.share is None) == (self.tokens is None):
            raise ConfigError("domain_cap: say either share or tokens")
        if self.share is not None and not 0 < self.share <= 1:
            raise ConfigError(f"domain_cap: share must lie in 0..1 and above 0, not {self.share}")
        if self.tokens is not None and self.tokens < 1:
            raise ConfigError(f"domain_cap: tokens must be at least 1, not {self.tokens}")


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Documents that are never trained on, as pack sets of their own; near-duplicates of them aren't either."""

    share: float = field(default=0.0, metadata={"help": "share of the tokens, by whole clusters of near-duplicates"})
    max_tokens: int = field(default=10_000_000, metadata={"help": "and so many tokens at most"})
    after: str | None = field(default=None, metadata={"help": "documents after this day (YYYY-MM-DD) become `fresh`"})
    newest_share: float = field(
        default=0.0, metadata={"help": "in place of after: the latest days, to at most this share of the tokens"}
    )
    date: str = field(default="record", metadata={"help": "which date: record (WARC-Date) or published"})
    near_duplicates: bool = field(
        default=True, metadata={"help": "find clusters by MinHash of the tokens (false: each document by itself)"}
    )
    bands: int = field(default=14, metadata={"help": "MinHash bands"})
    rows: int = field(default=8, metadata={"help": "MinHash values in a band"})

    def check(self) -> None:
        if not 0 <= self.share < 1:
            raise ConfigError(f"held_out: share must lie in 0..1 and below 1, not {self.share}")
        if self.max_tokens < 1 or self.bands < 1 or self.rows < 1:
            raise ConfigError("held_out: max_tokens, bands and rows must be at least 1")
        if self.date not in ("record", "published"):
            raise ConfigError(f"held_out: date is record or published, not '{self.date}'")
        if self.after is not None:
            try:
                datetime.date.fromisoformat(self.after)
            except ValueError as error:
                raise ConfigError(f"held_out: after must be a day as YYYY-MM-DD, not '{self.after}'") from error
            if len(self.after) != 10:
                raise ConfigError(f"held_out: after must be a day as YYYY-MM-DD, not '{self.after}'")
        if not 0 <= self.newest_share < 1:
            raise ConfigError(f"held_out: newest_share must lie in 0..1 and below 1, not {self.newest_share}")
        if self.newest_share and self.after is not None:
            raise ConfigError("held_out: say either after or newest_share")
        if not self.share and not self.newest_share and self.after is None:
            raise ConfigError("held_out: say share (of the tokens), after (a day) or newest_share, or leave it away")


@dataclass(frozen=True, kw_only=True)
class Control:
    """A reserved control id before each document, by a score (conditional training, Korbak et al. 2023)."""

    column: str = field(default="quality", metadata={"help": "the score; `hate.document` for a field of a score"})
    edges: tuple[float, ...] = field(default=(), metadata={"help": "bounds between the buckets, rising"})
    names: tuple[str, ...] = field(default=(), metadata={"help": "a name for each bucket's control token"})
    drop_share: float = field(default=0.01, metadata={"help": "share of documents that go without, as in the paper"})

    def check(self) -> None:
        from pipeline.option_types import is_number

        if not self.edges or not all(map(is_number, self.edges)) or not _ascending(self.edges):
            raise ConfigError(f"control: edges must be rising numbers, not {list(self.edges)}")
        if len(set(self.names)) != len(self.edges) + 1 or len(self.names) != len(self.edges) + 1:
            raise ConfigError(f"control: names needs {len(self.edges) + 1} different names, not {list(self.names)}")
        if len(self.names) > CONTROLS:
            raise ConfigError(f"control: packs reserve {CONTROLS} control ids, not {len(self.names)}")
        if not 0 <= self.drop_share < 1:
            raise ConfigError(f"control: drop_share must lie in 0..1 and below 1, not {self.drop_share}")


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """One source: a run, or files; and how much of it. The ids of its files' documents get its name before them."""

    run: str = field(default="", metadata={"help": "an earlier run's folder, or `this` for the run that mixes"})
    inputs: tuple[str, ...] = field(default=(), metadata={"help": "Parquet or JSONL files, folders or globs"})
    text_field: str = field(default="text", metadata={"help": "inputs: the column or key that holds the text"})
    prefix_ids: bool = field(
        default=False,
        metadata={"help": "run: put the source's name before its ids in the packs, for another run has the same ids"},
    )
    lang: str = field(default="", metadata={"help": "language of documents that don't say theirs"})
    weight: float | None = field(default=None, metadata={"help": "share of the tokens, relative to the other weights"})
    tokens: int | None = field(default=None, metadata={"help": "target tokens, instead of a weight"})
    epochs: float | None = field(default=None, metadata={"help": "how often all of it, instead of a weight"})
    max_epochs: float | None = field(default=None, metadata={"help": "another cap than the mixture's"})

    def check(self) -> None:
        if bool(self.run) == bool(self.inputs):
            raise ConfigError("say either run or inputs")
        if self.prefix_ids and not self.run:
            raise ConfigError("prefix_ids is for a run; the ids of files always have their source before them")
        said = [name for name in ("weight", "tokens", "epochs") if getattr(self, name) is not None]
        if len(said) > 1:
            raise ConfigError(f"say one of weight, tokens and epochs, not {' and '.join(said)}")
        if self.max_epochs is not None and self.max_epochs > MOST_EPOCHS:
            raise ConfigError(f"max_epochs must be at most {MOST_EPOCHS}, not {self.max_epochs}")
        for name in (*said, "max_epochs"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name} must be above 0, not {value}; to leave a source out, take it out")


@dataclass(frozen=True, kw_only=True)
class PhaseSpec:
    """A part of training, in order. A later phase reserves its documents before an earlier one."""

    name: str = field(default="", metadata={"help": "its name in the packs"})
    share: float = field(default=1.0, metadata={"help": "share of all tokens, relative to the other phases"})
    weights: dict[str, float] | None = field(default=None, metadata={"help": "weights of the sources in this phase"})
    repeat: tuple[float, ...] = field(default=(), metadata={"help": "in place of quality.repeat"})

    def check(self) -> None:
        if not self.name:
            raise ConfigError("name is missing")
        if not self.share > 0:
            raise ConfigError(f"share must be above 0, not {self.share}")


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A validated mixture."""

    name: str = field(default="mixture", metadata={"help": "its name"})
    seed: int = field(default=0, metadata={"help": "seed of all draws and of the order"})
    sources: dict[str, SourceSpec] = field(default_factory=dict, metadata={"help": "sources by name"})
    total_tokens: int | None = field(
        default=None, metadata={"help": "all tokens (default: as many as no weighted source must be repeated for)"}
    )
    max_epochs: float = field(default=4.0, metadata={"help": "the most often that a document is drawn"})
    temperature: Temperature | None = None
    quality: Quality | None = None
    domain_cap: DomainCap | None = None
    held_out: HeldOut | None = None
    phases: tuple[PhaseSpec, ...] = (PhaseSpec(name="all"),)
    control: Control | None = None

    def check(self) -> None:
        if not self.sources:
            raise ConfigError("sources is missing: a mapping from names to {run: ...} or {inputs: [...]}")
        for name in self.sources:
            if not NAME.fullmatch(name):
                raise ConfigError(f"source '{name}': a name has letters, digits, - and _ only; it becomes a folder's")
        if not 0 < self.max_epochs <= MOST_EPOCHS:
            raise ConfigError(f"max_epochs must be above 0 and at most {MOST_EPOCHS}, not {self.max_epochs}")
        if self.total_tokens is not None and self.total_tokens < 1:
            raise ConfigError(f"total_tokens must be at least 1, not {self.total_tokens}")
        if sum(spec.run == THIS for spec in self.sources.values()) > 1:
            raise ConfigError("two sources are `run: this`")
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ConfigError(f"two phases have the same name: {names}")
        fixed = sum(spec.tokens or 0 for spec in self.sources.values())
        if self.total_tokens is not None and fixed > self.total_tokens:
            raise ConfigError(f"the sources' tokens, {fixed:,}, are more than total_tokens, {self.total_tokens:,}")
        for phase in self.phases:
            self._check_phase(phase)

    def _check_phase(self, phase: PhaseSpec) -> None:
        where = f"phase '{phase.name}'"
        if phase.repeat:
            if self.quality is None:
                raise ConfigError(f"{where}: repeat needs the buckets of `quality`")
            check_repeat(phase.repeat, self.quality, where)
        for name, weight in (phase.weights or {}).items():
            if name not in self.sources:
                raise ConfigError(f"{where}: no source is called '{name}'{nearest(name, self.sources)}")
            if not _numbers((weight,)):
                raise ConfigError(f"{where}: the weight of '{name}' must be a number of at least 0, not {weight!r}")
        if phase.weights is not None and not any(phase.weights.values()):
            raise ConfigError(f"{where}: all weights are 0")

    def plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


_PARTS: dict[str, type] = {
    "temperature": Temperature,
    "quality": Quality,
    "domain_cap": DomainCap,
    "held_out": HeldOut,
    "control": Control,
}


def bundled() -> list[str]:
    """Names of the mixtures that come with Gristmill."""
    return sorted(
        p.name.removesuffix(".yaml") for p in resources.files("mixtures").iterdir() if p.name.endswith(".yaml")
    )


def load_mixture(name_or_path: str) -> Mixture:
    """A mixture file, or a bundled mixture's name. Raises ConfigError; reads no documents."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.exists():
        if not path.is_file():
            raise ConfigError(f"mixture '{name_or_path}' is not a file")
        text = path.read_bytes()
    elif name_or_path in bundled():
        text = resources.files("mixtures").joinpath(f"{name_or_path}.yaml").read_bytes()
    else:
        raise ConfigError(
            f"no mixture '{name_or_path}'{nearest(name_or_path, bundled())}; bundled: {', '.join(bundled())}"
        )
    where = f"mixture '{name_or_path}'"
    return parse_mixture(load_yaml(text, where), where)


def parse_mixture(value: Any, where: str) -> Mixture:
    """A mixture from plain YAML values; `where` names it. A typo is an error naming the nearest key."""
    value = _mapping(value, where)
    made = dict(value)
    for key, cls in _PARTS.items():
        if value.get(key) is not None:
            made[key] = _one(cls, _dated(_mapping(value[key], f"{where}: {key}")), where)
    sources = _mapping(value.get("sources") or {}, f"{where}: sources")
    made["sources"] = {
        name: _one(SourceSpec, _mapping(one, f"{where}: source '{name}'"), f"{where}: source '{name}'")
        for name, one in sources.items()
    }
    if "phases" in value:
        phases = value["phases"]
        if not isinstance(phases, list) or not phases:
            raise ConfigError(f"{where}: phases must be a list of {{name, share}}")
        made["phases"] = tuple(_phase(one, f"{where}: phase {i}") for i, one in enumerate(phases, 1))
    return _one(Mixture, made, where)


def _one(cls: type, value: dict[str, Any], where: str) -> Any:
    try:
        return configured(cls, value, where)
    except ConfigError as error:
        said = str(error)
        raise ConfigError(said if said.startswith(where) else f"{where}: {said}") from error


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) and key for key in value):
        raise ConfigError(f"{where} must be a mapping from names to values, not {value!r:.80}")
    return value


def _dated(value: dict[str, Any]) -> dict[str, Any]:
    """YAML reads a day as a date; here it is a text."""
    return {k: v.isoformat() if isinstance(v, datetime.date) else v for k, v in value.items()}


def _phase(value: Any, where: str) -> PhaseSpec:
    value = _mapping(value, where)
    if value.get("weights") is not None:
        _mapping(value["weights"], f"{where}: weights")
    made: PhaseSpec = _one(PhaseSpec, value, where)
    return made
