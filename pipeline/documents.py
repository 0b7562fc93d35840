"""Plain files of documents, in and out: Parquet and JSON lines (plain, .gz, .zst).

This is how a person uses one stage on files of their own. Reading wants a text column (`text` unless
said otherwise); `id`, `url` and `record` are made where they are missing, other Parquet columns are
carried along. Of other JSON keys `lang` becomes a column, if one of the first documents has it; all others travel
in the column `extra` (a JSON object) and come back on writing. A line that can't be read is a counted skip with its
line number, never an error; so is a text in Parquet that is no UTF-8. Lines are bounded, for a few compressed bytes can
stand for one without end.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from .columns import complete, text_column
from .errors import ConfigError, check_file_name
from .schema import DOCUMENT, RECORD, document_id
from .stage import STAGES_RUN
from .storage import asking, is_url, local_file, mark_of, open_input
from .storage.urls import check_meant
from .store import PARQUET_OPTIONS, atomic_path

JSONL_ENDINGS = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst", ".ndjson", ".ndjson.gz")
ENDINGS = (".parquet", *JSONL_ENDINGS)
EXTRA = "extra"
LANG = "lang"
MAX_LINE_BYTES = 256 << 20
"""Of a line of JSON, unpacked; a longer one is a skip, `too_large`."""
MAX_PASSED_OVER = 4 << 30
"""Bytes of one line that are passed over; beyond it the file's rest is left as a bomb."""
MAX_BLANK = 16 << 20
"""Bytes of blank lines in a row, likewise."""
BATCH_BYTES = 64 << 20
"""Bytes of lines after which a batch is handed out, however few rows it has."""
MAX_SKIPS = 20_000
"""Skips after which a batch is handed out even if it holds no document."""
PEEK = 100
"""Lines of a JSON file in which a `lang` makes the column `lang`; it stays in `extra` where it comes later."""


@dataclass(frozen=True)
class DocumentSplit:
    """A file of documents, or some row groups of a Parquet file.

    `mark`: see `InputFile`; `extent`: where its part of the file begins and ends, which with those of the file's other
    splits makes up all of it.
    """

    path: str
    name: str
    size: int
    row_groups: tuple[int, ...] | None = None
    mark: str = ""
    extent: tuple[int, int] | None = None


@dataclass(frozen=True)
class InputFile:
    """A file of documents: its place, its name relative to the input root, its bytes.

    `mark` is what its store calls this version of it (an ETag); "" where it lies on this machine.
    """

    path: str
    name: str
    size: int
    mark: str = ""


@dataclass(frozen=True)
class Skip:
    """A line that gave no document."""

    kind: str
    offset: int
    detail: str = ""


@dataclass
class DocumentBatch:
    """Some documents, the number of records they were read from, and the records that gave none.

    `places`: the line or row of each document in its file, from 0.
    """

    table: pa.Table
    records: int
    skips: list[Skip]
    places: list[int] = field(default_factory=list)


def is_parquet(path: str) -> bool:
    return path.endswith(".parquet")


def list_files(inputs: Sequence[str]) -> list[tuple[str, str, int]]:
    """(path, name relative to the input root, size) of all document files, sorted by name."""
    return [(file.path, file.name, file.size) for file in input_files(inputs)]


def input_files(inputs: Sequence[str]) -> list[InputFile]:
    """All document files, sorted by name. Sizes and marks are those of the listing: no request for each file.

    Raises ConfigError where an input matches nothing, or two files have one name.
    """
    import fsspec

    found: dict[str, InputFile] = {}
    paths_seen: set[str] = set()
    for pattern in inputs:
        if not pattern.strip() or "\0" in pattern:
            raise ConfigError(f"an input can't be called {pattern!r}")
        check_meant(pattern)
        try:
            fs, root = asking(pattern) if is_url(pattern) else fsspec.core.url_to_fs(pattern)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"input '{pattern}': {error}") from error
        if fs.isdir(root):  # before globs: a name may hold their marks
            there = {
                path: facts
                for path, facts in fs.find(root, detail=True).items()
                if path.endswith(ENDINGS) and "/." not in path[len(root) :]
            }
            base = root
        elif fs.isfile(root):
            there, base = {root: fs.info(root)}, os.path.dirname(root)
        elif any(c in root for c in "*?["):
            there = {path: facts for path, facts in fs.glob(root, detail=True).items() if facts["type"] != "directory"}
            base = os.path.dirname(root.split("*")[0].split("?")[0].split("[")[0] + "x")
        elif fs.exists(root):
            there, base = {root: fs.info(root)}, os.path.dirname(root)
        else:
            raise ConfigError(f"input '{pattern}' does not exist")
        if not there:
            raise ConfigError(f"input '{pattern}' holds no file that ends in {', '.join(ENDINGS)}")
        for path in sorted(there):
            name, where = path[len(base) :].lstrip("/"), fs.unstrip_protocol(path)
            check_file_name(path)
            if where in paths_seen:  # named twice: by itself and by its folder
                continue
            paths_seen.add(where)
            if name in found and found[name].path != where:
                raise ConfigError(f"two inputs are both called '{name}': give their common folder instead")
            facts = there[path] if there[path].get("size") is not None else fs.info(path)  # a web page lists no sizes
            mark = "" if where.startswith("file://") else mark_of(facts)
            found[name] = InputFile(where, name, int(facts.get("size") or 0), mark)
    return [found[name] for name in sorted(found)]


def plan_documents(inputs: Sequence[str], split_bytes: int) -> list[DocumentSplit]:
    """Splits of about `split_bytes`: whole JSON files, row groups of Parquet files."""

    splits = []
    for file in input_files(inputs):
        if not is_parquet(file.path) or file.size <= split_bytes:
            splits.append(DocumentSplit(file.path, file.name, file.size, None, file.mark, (0, file.size)))
            continue
        with open_input(file.path) as handle:
            meta = _parquet(handle, file.name).metadata
        group: list[int] = []
        weight = start = 0
        for index in range(meta.num_row_groups):
            group.append(index)
            weight += meta.row_group(index).total_byte_size
            last = index == meta.num_row_groups - 1
            if weight >= split_bytes or last:
                end = file.size if last else min(max(start, _begins(meta.row_group(index + 1))), file.size)
                splits.append(DocumentSplit(file.path, file.name, weight, tuple(group), file.mark, (start, end)))
                group, weight, start = [], 0, end
    return splits


def _begins(group: Any) -> int:
    """Where the first page of a row group lies in its Parquet file, as its footer says."""
    columns = [group.column(i) for i in range(group.num_columns)]
    return min(one.dictionary_page_offset or one.data_page_offset for one in columns)


PARQUET_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What reading a damaged Parquet file raises; the last for names of columns."""


def _parquet(handle: Any, name: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(handle)
    except PARQUET_ERRORS as error:
        raise ConfigError(f"{name} is not a Parquet file: {error}") from error


def read_documents(
    split: DocumentSplit, *, text_field: str = "text", batch_rows: int = 1024
) -> Iterator[DocumentBatch]:
    """The documents of a split in batches. Raises ConfigError where the text column is missing."""

    if is_parquet(split.path):
        with open_input(split.path) as handle:
            file = _parquet(handle, split.name)
            before = (
                sum(file.metadata.row_group(g).num_rows for g in range(split.row_groups[0])) if split.row_groups else 0
            )
            batches = file.iter_batches(batch_rows, row_groups=list(split.row_groups) if split.row_groups else None)
            while (batch := _next(batches, split.name, before)) is not None:
                table, bad = text_column(pa.Table.from_batches([batch]), text_field, split.name)
                valid = table["text"].is_valid()
                kinds = dict.fromkeys(bad, "bad_utf8")
                skips = [Skip(kinds.get(i, "no_text"), before + i) for i, ok in enumerate(valid.to_pylist()) if not ok]
                table = complete(table, split.name, before)
                places = [before + i for i, ok in enumerate(valid.to_pylist()) if ok]
                before += batch.num_rows
                yield DocumentBatch(table.filter(valid) if skips else table, batch.num_rows, skips, places)
        return
    schema = split_schema(split, text_field)
    with open_input(split.path) as raw:
        yield from _read_jsonl(raw, split, text_field, batch_rows, schema)


def _next(batches: Iterator[pa.RecordBatch], name: str, before: int) -> pa.RecordBatch | None:
    """The next batch of a Parquet file, None after the last."""
    try:
        return next(batches, None)
    except PARQUET_ERRORS as error:
        raise ConfigError(f"{name}: rows from {before:,} on can't be read, the file is damaged: {error}") from error


def open_jsonl(raw: IO[bytes], path: str) -> IO[bytes]:
    """The lines of a JSON file, unpacked as its ending says."""
    if path.endswith(".gz"):
        return cast(IO[bytes], gzip.open(raw, "rb"))
    if path.endswith(".zst"):
        import zstandard

        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))
    return raw


class Bomb(OSError):
    """A line goes on without end."""


def bounded_lines(handle: IO[bytes]) -> Iterator[bytes | None]:
    """The lines of a file; None for one over MAX_LINE_BYTES. Raises Bomb where a line or blank lines have no end.

    Blank lines are given too, for they count.
    """
    blank = 0
    while line := handle.readline(MAX_LINE_BYTES + 1):
        blank = 0 if line.strip() else blank + len(line)
        passed = 0
        long = len(line) > MAX_LINE_BYTES
        while long and not line.endswith(b"\n") and (line := handle.readline(1 << 20)):
            passed += len(line)
            if passed > MAX_PASSED_OVER:
                raise Bomb(f"a line of over {MAX_PASSED_OVER:,} bytes")
        if blank > MAX_BLANK:
            raise Bomb("blank lines without end")
        yield None if long else line


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which JSON can hold and UTF-8 can't."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


JSONL_SCHEMA = pa.schema([*DOCUMENT, pa.field(EXTRA, pa.string())])


def _read_jsonl(
    raw: IO[bytes], split: DocumentSplit, text_field: str, batch_rows: int, schema: pa.Schema
) -> Iterator[DocumentBatch]:
    import zstandard

    rows: list[dict[str, Any]] = []
    skips: list[Skip] = []
    places: list[int] = []
    records = taken = 0
    lines = bounded_lines(open_jsonl(raw, split.path))
    number = -1
    while True:
        try:
            line = next(lines)
        except StopIteration:
            break
        except (
            OSError,
            EOFError,
            zlib.error,
            zstandard.ZstdError,
        ) as error:  # the rest can't be read
            records += 1
            kind = "too_large" if isinstance(error, Bomb) else "truncated"
            skips.append(Skip(kind, number + 1, str(error)))
            break
        number += 1
        if line is None:
            records += 1
            skips.append(Skip("too_large", number, f"a line of over {MAX_LINE_BYTES:,} bytes"))
            continue
        if not line.strip():
            continue
        records += 1
        taken += len(line)
        row = _row(line, number, split.name, text_field, LANG in schema.names)
        if isinstance(row, Skip):
            skips.append(row)
        else:
            rows.append(row)
            places.append(number)
        if len(rows) >= batch_rows or taken >= BATCH_BYTES or len(skips) >= MAX_SKIPS:
            yield DocumentBatch(pa.Table.from_pylist(rows, schema), records, skips, places)
            rows, skips, places, records, taken = [], [], [], 0, 0
    if records:
        yield DocumentBatch(pa.Table.from_pylist(rows, schema), records, skips, places)


def _fits(value: Any, kind: pa.DataType) -> bool:
    """Whether a JSON value can stand in a field of RECORD."""
    if pa.types.is_integer(kind):
        return type(value) is int and -(1 << (kind.bit_width - 1)) <= value < 1 << (kind.bit_width - 1)
    return isinstance(value, str)


def _row(line: bytes, number: int, name: str, text_field: str, with_lang: bool = False) -> dict[str, Any] | Skip:
    try:
        value = json.loads(line.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        return Skip("bad_json", number, str(error)[:200])
    if not isinstance(value, dict):
        return Skip("not_an_object", number)
    text = value.pop(text_field, None)
    if not isinstance(text, str):
        return Skip("no_text" if text is None else "text_not_a_string", number)
    url, key, record = value.pop("url", None), value.pop("id", None), value.pop("record", None)
    lang = value.pop(LANG) if with_lang and isinstance(value.get(LANG), str) else None
    known = {f.name: f.type for f in RECORD}
    kept_record: dict[str, Any] = {"file": name, "offset": number}
    if isinstance(record, dict):
        kept_record = {k: v for k, v in record.items() if k in known and _fits(v, known[k])}
    return {
        "id": without_surrogates(str(key)) if key is not None else document_id(name, str(number)),
        "text": without_surrogates(text),
        "url": without_surrogates(url) if isinstance(url, str) else None,
        "record": {k: without_surrogates(v) if isinstance(v, str) else v for k, v in kept_record.items()},
        EXTRA: without_surrogates(json.dumps(value, ensure_ascii=False)) if value else None,
        **({LANG: None if lang is None else without_surrogates(lang)} if with_lang else {}),
    }


def split_schema(split: DocumentSplit, text_field: str) -> pa.Schema:
    """The schema that `read_documents` gives for a split."""

    with open_input(split.path) as handle:
        if not is_parquet(split.path):
            lang = [pa.field(LANG, pa.string())] if _has_lang(handle, split.path, text_field) else []
            return pa.schema([*JSONL_SCHEMA, *lang])
        table = _parquet(handle, split.name).schema_arrow.empty_table()
    return complete(text_column(table, text_field, split.name)[0], split.name, 0).schema


def first_keys(split: DocumentSplit) -> set[str]:
    """The keys of the first `PEEK` lines of a JSON file, those within objects as `outer.inner`; none of Parquet."""
    import zstandard

    found: set[str] = set()
    if is_parquet(split.path):
        return found

    def add(value: Any, prefix: str) -> None:
        for key, inner in value.items() if isinstance(value, dict) else ():
            found.add(prefix + key)
            add(inner, f"{prefix}{key}.")

    try:
        with open_input(split.path) as raw:
            for line in itertools.islice(bounded_lines(open_jsonl(raw, split.path)), PEEK):
                with contextlib.suppress(ValueError, RecursionError):  # reading counts what can't be read
                    add(json.loads((line or b"").decode("utf-8", "replace")), "")
    except (OSError, EOFError, zlib.error, zstandard.ZstdError):
        return found
    return found


def _has_lang(raw: IO[bytes], path: str, text_field: str) -> bool:
    """Whether one of the first documents says its language."""
    import zstandard

    try:
        for line in itertools.islice(bounded_lines(open_jsonl(raw, path)), PEEK):
            row = _row(line, 0, "", text_field, True) if line and b'"lang"' in line else None
            if isinstance(row, dict) and row[LANG] is not None:
                return True
    except (OSError, EOFError, zlib.error, zstandard.ZstdError):
        return False  # reading counts what can't be read
    return False


def export(shards: Sequence[Path], target: Path, stages: Sequence[Any] = ()) -> int:
    """Write the rows of Parquet shards, in order, as one file whose ending says the format; returns rows.

    `stages` ([name, version, options] each) goes into a Parquet file's metadata, for `gristmill inspect`.
    """
    name = target.name
    if not name.endswith(ENDINGS):
        raise ConfigError(f"output '{target}': the ending must be one of {', '.join(ENDINGS)}")
    rows = 0
    with atomic_path(target) as temporary:
        if is_parquet(name):
            try:
                schema = pa.unify_schemas([pq.read_schema(local_file(s)) for s in shards], promote_options="permissive")
            except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
                raise ConfigError(
                    f"output '{target}': the inputs' columns don't go together in Parquet, write .jsonl: {error}"
                ) from error
            if stages:
                schema = schema.with_metadata({**(schema.metadata or {}), STAGES_RUN: json.dumps(list(stages))})
            with pq.ParquetWriter(temporary, schema, **PARQUET_OPTIONS) as writer:
                for table in _tables(shards):
                    missing = [f for f in schema if f.name not in table.column_names]
                    for field in missing:
                        table = table.append_column(field, pa.nulls(table.num_rows, field.type))
                    writer.write_table(table.select(schema.names).cast(schema))
                    rows += table.num_rows
            return rows
        with open(temporary, "wb") as raw, _jsonl_writer(raw, name) as out:
            for table in _tables(shards):
                for row in table.to_pylist():
                    merged = _with_extra(row)
                    out.write(json.dumps(merged, ensure_ascii=False, default=str).encode() + b"\n")
                rows += table.num_rows
    return rows


def _with_extra(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the keys of its `extra` column put back beside the others."""
    try:
        extra = json.loads(row.get(EXTRA) or "{}")
    except (ValueError, TypeError):  # a column of the user's that only has the name
        return row
    if not isinstance(extra, dict):
        return row
    return {**{k: v for k, v in row.items() if k != EXTRA}, **{k: v for k, v in extra.items() if row.get(k) is None}}


def _jsonl_writer(raw: IO[bytes], name: str) -> Any:
    if name.endswith(".gz"):
        return gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)
    if name.endswith(".zst"):
        import zstandard

        return zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False)
    return io.BufferedWriter(io.FileIO(os.dup(raw.fileno()), "wb"))


def _tables(shards: Sequence[Path]) -> Iterator[pa.Table]:
    for shard in shards:
        file = pq.ParquetFile(local_file(shard))
        for batch in file.iter_batches(1024):
            yield pa.Table.from_batches([batch])
