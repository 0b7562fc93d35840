"""Labelled documents from JSON lines, Parquet and text files, with errors that name the file and the line.

A text file has a document a line; where labels are wanted it begins with `__label__NAME`, as fastText's files do.
"""

from __future__ import annotations

import functools
import json
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from pipeline.documents import ENDINGS, is_parquet, without_surrogates
from pipeline.errors import ConfigError, nearest
from pipeline.progress import Progress

from .card import LABEL
from .training import labelled

TEXT_ENDINGS = (".txt", ".txt.gz", ".txt.zst")
POSITIVE, UNLABELLED = "positive", "unlabelled"
EACH = "-"
"""As group field: each document is a group of its own."""


@dataclass(frozen=True)
class Fields:
    """The keys (JSON) or columns (Parquet) that hold what; `group` empty = source, else registered domain of `url`."""

    text: str = "text"
    label: str = "label"
    source: str = "source"
    lang: str = "lang"
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)  # other names for labels; "" = leave such documents out


@dataclass(frozen=True)
class Row:
    """A document read from a file."""

    text: str
    label: str
    source: str
    lang: str
    group: str


def find_files(inputs: Sequence[str]) -> list[str]:
    """All files of folders, globs and names, sorted. Raises ConfigError where there is none."""
    import fsspec

    found: list[str] = []
    for pattern in inputs:
        if not pattern.strip() or "\0" in pattern:
            raise ConfigError(f"an input can't be called {pattern!r}")
        try:
            fs, root = fsspec.core.url_to_fs(pattern)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"input '{pattern}': {error}") from error
        if any(c in root for c in "*?["):
            paths = sorted(p for p in fs.glob(root) if not fs.isdir(p))
        elif fs.isdir(root):
            paths = sorted(p for p in fs.find(root) if p.endswith((*ENDINGS, *TEXT_ENDINGS)))
        else:
            paths = [root] if fs.exists(root) else []
        if not paths:
            raise ConfigError(f"input '{pattern}': there is no such file")
        for path in paths:
            if not path.endswith((*ENDINGS, *TEXT_ENDINGS)):
                raise ConfigError(f"input '{path}': the ending must be one of {', '.join((*ENDINGS, *TEXT_ENDINGS))}")
        found += [fs.unstrip_protocol(p) if "://" in pattern else p for p in paths]
    return sorted(set(found))


def read_labelled(inputs: Sequence[str], fields: Fields, progress: Progress | None = None) -> pa.Table:
    """All labelled documents of some files, as `training.labelled` makes tables."""
    return _table(inputs, fields, "", progress)


def read_one_label(inputs: Sequence[str], label: str, fields: Fields, progress: Progress | None = None) -> pa.Table:
    """All documents of some files, all with the same label."""
    return _table(inputs, fields, label, progress)


def _table(inputs: Sequence[str], fields: Fields, label: str, progress: Progress | None) -> pa.Table:
    files = find_files(inputs)
    rows: list[Row] = []
    with (progress or Progress(quiet=True)).bar("read", total=len(files)) as bar:
        for file in files:
            before = len(rows)
            rows += read_rows(file, fields, label)
            if len(rows) == before:
                raise ConfigError(f"'{file}' holds no document that can be used")
            bar.advance(1, len(rows) - before)
    return labelled(
        [without_surrogates(r.text) for r in rows],
        [without_surrogates(r.label) for r in rows],
        groups=[without_surrogates(r.group) for r in rows],
        sources=[without_surrogates(r.source) for r in rows],
        languages=[without_surrogates(r.lang) for r in rows],
    )


def read_rows(file: str, fields: Fields, label: str = "") -> Iterator[Row]:
    """The documents of one file; `label` is given to all, "" = each says its own."""
    name = file.rsplit("/", 1)[-1].split(".")[0]
    if file.endswith(TEXT_ENDINGS):
        yield from _text_rows(file, name, fields, label)
        return
    records = _parquet_records(file, fields, label) if is_parquet(file) else _json_records(file)
    for where, record in records:
        text = record.get(fields.text)
        if not isinstance(text, str):
            raise ConfigError(f"{where} has no text in '{fields.text}'{_others(record, fields.text)} (--text-field)")
        said = label
        if not label:
            value = record.get(fields.label)
            if value is None or isinstance(value, (list, dict)):
                raise ConfigError(
                    f"{where} has no label in '{fields.label}'{_others(record, fields.label)} (--label-field)"
                )
            said = named_label(value, fields)
        if not said:
            continue
        source = str(record.get(fields.source) or name)
        yield Row(text, said, source, str(record.get(fields.lang) or ""), _group(record, fields, source, where))


def named_label(value: Any, fields: Fields) -> str:
    """A label as it is used: without `__label__`, with the name that `labels` gives it, spaces made underscores."""
    plain = str(value).lower() if isinstance(value, bool) else str(value)
    plain = plain.removeprefix(LABEL)
    return "_".join(fields.labels.get(plain, plain).split())


def _group(record: Mapping[str, Any], fields: Fields, source: str, where: str) -> str:
    if fields.group == EACH:
        return where
    if fields.group:
        value = record.get(fields.group)
        if value is None:
            raise ConfigError(
                f"{where} has no group in '{fields.group}'{_others(record, fields.group)} (--group-field)"
            )
        return str(value)
    if record.get(fields.source):
        return source
    url = record.get("url")
    return (site(url) if isinstance(url, str) else "") or source


@functools.lru_cache(maxsize=100_000)
def site(url: str) -> str:
    """The registered domain of a URL's host (`b.co.uk` of `https://a.b.co.uk/x`), "" for a URL without a host."""
    from filters.url import registered_domain

    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return registered_domain(host) or host


def _others(record: Mapping[str, Any], wanted: str) -> str:
    if wanted in record:
        return f", but {reprlib.repr(record[wanted])}"
    return f"; it has {', '.join(map(repr, list(record)[:12]))}{nearest(wanted, list(record))}"


def _json_records(file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in _lines(file):
        where = f"'{file}', line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where} is no JSON: {error}") from error
        if not isinstance(record, dict):
            raise ConfigError(f"{where} is no JSON object")
        yield where, record


def _lines(file: str) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of a text file that holds more than spaces."""
    import fsspec

    try:
        with fsspec.open(file, "rt", encoding="utf-8", errors="replace", newline="\n", compression="infer") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line.removeprefix("\ufeff")
    except (OSError, EOFError) as error:
        raise ConfigError(f"'{file}' can't be read: {error}") from error


def _parquet_records(file: str, fields: Fields, label: str) -> Iterator[tuple[str, dict[str, Any]]]:
    import fsspec
    import pyarrow.parquet as pq

    number = 0
    wanted = {fields.text, fields.source, fields.lang, "url", fields.group} | (set() if label else {fields.label})
    try:
        with fsspec.open(file, "rb") as handle:
            reader = pq.ParquetFile(handle)
            columns = [c for c in reader.schema_arrow.names if c in wanted]
            for batch in reader.iter_batches(4096, columns=columns):
                for record in batch.to_pylist():
                    number += 1
                    yield f"'{file}', row {number}", record
    except UnicodeDecodeError as error:
        raise ConfigError(f"'{file}', in the rows from {number + 1} on: a text is no UTF-8: {error.reason}") from error
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"'{file}' can't be read: {error}") from error


def _text_rows(file: str, name: str, fields: Fields, label: str) -> Iterator[Row]:
    for number, line in _lines(file):
        said, text = label, line.strip("\r\n")
        if not label:
            first, _, text = text.partition(" ")
            if not first.startswith(LABEL) or len(first) == len(LABEL):
                raise ConfigError(f"'{file}', line {number} does not begin with {LABEL}NAME")
            said = named_label(first, fields)
        if said:
            yield Row(text, said, name, "", f"{file}:{number}" if fields.group == EACH else name)
