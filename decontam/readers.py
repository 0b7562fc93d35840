"""Records of benchmark files: JSON lines, JSON, CSV, TSV, Parquet and Arrow, plain or as .gz or .zst.

`records(path)` yields `Row(number, line, record, problem)`. Text must be UTF-8; a byte order mark before it is
passed over. What one record breaks is that row's `problem`; what breaks the file raises BenchmarkError.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline.errors import ConfigError

JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
TABLE_ENDINGS = (".csv", ".tsv")
COMPRESSIONS = (".gz", ".zst")
ENDINGS = (
    *(ending + packed for ending in (*JSON_ENDINGS, *TABLE_ENDINGS) for packed in ("", *COMPRESSIONS)),
    ".parquet",
    ".arrow",
)
MAX_LINE_BYTES = 64 * 1024 * 1024
MAX_FILE_BYTES = 1024 * 1024 * 1024
"""Of a .json file that is one value, not lines: it is read as a whole."""
CELL_CHARACTERS = 64 * 1024 * 1024
ZSTD_BYTES = 4096
"""Compressed bytes taken at once: a frame of nothing but repetitions swells them 30 000 times."""
KINDS = {
    "json": "broken JSON",
    "encoding": "not UTF-8",
    "not_object": "a record that is no object",
    "row": "a row of the wrong width",
    "too_long": "a line over the limit",
    "missing": "a missing field",
    "empty": "an empty question",
    "bad_answer": "an answer that is none of the choices",
    "unanswered": "no answer",
    "duplicate": "an item that is there twice",
    "surrogate": "a lone surrogate",
    "nul": "a NUL character",
}


class BenchmarkError(ConfigError):
    """A benchmark file or one of its records can't be used. `kind` is a key of KINDS, or "file"."""

    def __init__(self, kind: str, file: str, line: int | None, detail: str) -> None:
        super().__init__(f"{file}" + (f", line {line}" if line is not None else "") + f": {detail}")
        self.kind, self.file, self.line, self.detail = kind, file, line, detail


@dataclass(frozen=True)
class Problem:
    """Why a record gives no item. `kind` is a key of KINDS."""

    kind: str
    detail: str


@dataclass(frozen=True)
class Row:
    """`number`: of the record in the file, from 1. `line`: in a text file where it begins; else its number."""

    number: int
    line: int
    record: dict[str, Any] | None
    problem: Problem | None = None


def ending(name: str) -> str | None:
    """The ending of ENDINGS that a file's name has."""
    return next((one for one in sorted(ENDINGS, key=len, reverse=True) if name.lower().endswith(one)), None)


def records(path: Path, *, columns: Sequence[str] = (), inside: str = "") -> Iterator[Row]:
    """All records of a file in order.

    columns: names for the columns of a CSV or TSV file without a header.
    inside: for a .json file, the path to its records, such as `data.paragraphs.qas`; lists on the way are walked
    through, `*` means every value of an object, and plain fields on the way are handed down to the records.
    Raises BenchmarkError for a file that can't be read or unpacked.
    """
    kind = ending(path.name)
    if kind is None:
        raise BenchmarkError("file", str(path), None, f"can't be read: benchmarks are {', '.join(ENDINGS)}")
    if kind in (".parquet", ".arrow"):
        yield from _arrow_rows(path, kind)
        return
    packed = next((one for one in COMPRESSIONS if kind.endswith(one)), "")
    base = kind.removesuffix(packed)
    reached = [0]
    try:
        with _open(path, packed) as handle:
            if base in TABLE_ENDINGS:
                yield from _table_rows(path, handle, "\t" if base == ".tsv" else ",", columns, reached)
            elif base == ".json":
                yield from _json_rows(path, handle, inside, reached)
            else:
                yield from _lines(path, handle, reached)
    except _unpacking_errors(packed) as error:
        place = f" after line {reached[0]}" if reached[0] else ""
        raise BenchmarkError("file", str(path), None, f"its compression breaks off{place}: {error}") from error
    except OSError as error:
        raise BenchmarkError("file", str(path), None, error.strerror or str(error)) from error


def _unpacking_errors(packed: str) -> tuple[type[Exception], ...]:
    errors: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
    if packed != ".zst":
        return errors
    import zstandard

    return (*errors, zstandard.ZstdError)


def _open(path: Path, packed: str) -> BinaryIO:
    if packed == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if packed == ".zst":
        return cast(BinaryIO, io.BufferedReader(_Zstandard(path), 1 << 20))
    return path.open("rb")


class _Zstandard(io.RawIOBase):
    """The text of all frames of a .zst file. Unlike zstandard's own reader it raises EOFError where one breaks off."""

    def __init__(self, path: Path) -> None:
        import zstandard

        self._decompressor = zstandard.ZstdDecompressor()
        self._raw = path.open("rb")
        self._frame: Any = None
        self._text = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._text:
            data = self._raw.read(ZSTD_BYTES)
            if not data:
                if self._frame is not None:
                    raise EOFError("the last frame is not whole")
                return 0
            self._text = memoryview(b"".join(self._decompressed(data)))
        taken = min(len(buffer), len(self._text))
        buffer[:taken] = self._text[:taken]
        self._text = self._text[taken:]
        return taken

    def _decompressed(self, data: bytes) -> Iterator[bytes]:
        while data:
            self._frame = self._frame or self._decompressor.decompressobj()
            yield self._frame.decompress(data)
            if not self._frame.eof:
                return
            data = self._frame.unused_data
            self._frame = None

    def close(self) -> None:
        self._raw.close()
        super().close()


def _byte_order(path: Path, head: bytes) -> int:
    """How many bytes of a UTF-8 mark to pass over. Raises for the marks of other encodings."""
    for mark, name in (
        (b"\xff\xfe\0\0", "UTF-32"),
        (b"\0\0\xfe\xff", "UTF-32"),
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
    ):
        if head.startswith(mark):
            raise BenchmarkError("encoding", str(path), 1, f"the file is {name}; save it as UTF-8")
    return 3 if head.startswith(b"\xef\xbb\xbf") else 0


def _lines(path: Path, handle: BinaryIO, reached: list[int]) -> Iterator[Row]:
    """JSON lines. Blank lines are passed over, and count as lines."""
    line_number = number = 0
    while line := handle.readline(MAX_LINE_BYTES + 1):
        line_number += 1
        reached[0] = line_number
        if line_number == 1:
            line = line[_byte_order(path, line) :]
        long = len(line) > MAX_LINE_BYTES
        while long and not line.endswith(b"\n") and (line := handle.readline(MAX_LINE_BYTES)):
            pass
        if not long and not line.strip():
            continue
        number += 1
        if long:
            problem = Problem("too_long", f"the line is longer than {MAX_LINE_BYTES:,} bytes")
            yield Row(number, line_number, None, problem)
        else:
            yield _row(number, line_number, line)


def _row(number: int, line_number: int, line: bytes) -> Row:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Row(number, line_number, None, Problem("encoding", f"the text is not UTF-8 at byte {error.start + 1}"))
    except (ValueError, RecursionError) as error:
        return Row(number, line_number, None, Problem("json", f"this is no JSON: {_why(error)}"))
    return _checked(number, line_number, value)


def _checked(number: int, line_number: int, value: Any) -> Row:
    if not isinstance(value, dict):
        kind = {list: "a list", str: "a text", type(None): "null"}.get(type(value), "a number")
        return Row(number, line_number, None, Problem("not_object", f"a record must be a JSON object; this is {kind}"))
    return Row(number, line_number, value)


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos + 1}"
    return "it nests too deep" if isinstance(error, RecursionError) else str(error).splitlines()[0]


def _json_rows(path: Path, handle: BinaryIO, inside: str, reached: list[int]) -> Iterator[Row]:
    """A file that is one JSON value, or JSON lines under this ending."""
    data = handle.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise BenchmarkError("file", str(path), None, f"is over {MAX_FILE_BYTES:,} bytes; write it as .jsonl")
    data = data[_byte_order(path, data[:4]) :]
    try:
        value = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BenchmarkError("encoding", str(path), line, "the text is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            yield from _lines(path, io.BytesIO(data), reached)
            return
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise BenchmarkError("json", str(path), line, f"this is no JSON: {_why(error)}") from error
    if not inside and isinstance(value, dict):
        lists = [key for key, one in value.items() if isinstance(one, list) and one and isinstance(one[0], dict)]
        inside = lists[0] if len(lists) == 1 else ""
    found = _descend(value, inside.split(".") if inside else [], {})
    for number, one in enumerate(found, 1):
        yield _checked(number, number, one)


def _descend(value: Any, path: list[str], above: dict[str, Any]) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _descend(one, path, above)
    elif not path:
        yield {**above, **value} if isinstance(value, Mapping) else value
    elif isinstance(value, Mapping):
        plain = {key: one for key, one in value.items() if not isinstance(one, list | dict)}
        for one in value.values() if path[0] == "*" else [value[path[0]]] if path[0] in value else []:
            yield from _descend(one, path[1:], {**above, **plain})


def _table_rows(
    path: Path, handle: BinaryIO, delimiter: str, columns: Sequence[str], reached: list[int]
) -> Iterator[Row]:
    """CSV and TSV with a header, unless `columns` names the columns and the first row does not."""
    csv.field_size_limit(max(csv.field_size_limit(), CELL_CHARACTERS))
    bad_lines: dict[int, int] = {}
    reader = csv.reader(_decoded(path, handle, reached, bad_lines), delimiter=delimiter, strict=True)
    header = list(columns)
    number, named = 0, False
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            number += 1
            yield Row(number, start, None, Problem("row", f"this is no {delimiter!r}-separated row: {error}"))
            continue
        if cells is None:
            return
        if not cells:
            continue
        if not number and not named and len(set(cells) & set(columns)) > 1:  # it has a header all the same
            header = []
        if not header:
            named = True
            header = [cell.strip() for cell in cells]
            twice = sorted({name for name in header if header.count(name) > 1})
            if twice:
                raise BenchmarkError("row", str(path), start, f"the header names '{twice[0]}' twice")
            continue
        number += 1
        bad = next((line for line in range(start, reader.line_num + 1) if line in bad_lines), None)
        if bad is not None:
            yield Row(number, start, None, Problem("encoding", f"the text is not UTF-8 at byte {bad_lines[bad]}"))
        elif len(cells) != len(header):
            problem = Problem("row", f"the row has {len(cells)} cells, and there are {len(header)} columns")
            yield Row(number, start, None, problem)
        else:
            yield Row(number, start, dict(zip(header, cells, strict=True)))


def _decoded(path: Path, handle: BinaryIO, reached: list[int], bad: dict[int, int]) -> Iterator[str]:
    """Lines of text; those that are no UTF-8 are noted in `bad` (line: byte) and go on with U+FFFD."""
    line_number = 0
    while line := handle.readline(MAX_LINE_BYTES + 1):
        line_number += 1
        reached[0] = line_number
        if len(line) > MAX_LINE_BYTES:
            limit = f"the line is longer than {MAX_LINE_BYTES:,} bytes"
            raise BenchmarkError("too_long", str(path), line_number, limit)
        if line_number == 1:
            line = line[_byte_order(path, line) :]
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            bad[line_number] = error.start + 1
            yield line.decode("utf-8", errors="replace")


def _arrow_rows(path: Path, kind: str) -> Iterator[Row]:
    """Parquet, and Arrow as a stream or a file (Hugging Face `datasets` writes streams)."""
    import pyarrow as pa

    number = 0
    try:
        with path.open("rb") as handle:
            for batch in _batches(handle, kind):
                for record in _values(batch):
                    number += 1
                    if isinstance(record, Problem):
                        yield Row(number, number, None, record)
                    else:
                        yield Row(number, number, record)
    except (pa.ArrowException, OSError) as error:
        what = "Parquet" if kind == ".parquet" else "Arrow"
        where = f" after record {number}" if number else ""
        detail = f"can't be read as {what}{where}: {str(error).splitlines()[0]}"
        raise BenchmarkError("file", str(path), None, detail) from error


def _values(batch: Any) -> Iterator[dict[str, Any] | Problem]:
    """The rows of a record batch; row by row where one holds bytes that are no text."""
    try:
        yield from batch.to_pylist()
        return
    except UnicodeDecodeError:
        pass
    for index in range(batch.num_rows):
        try:
            yield batch.slice(index, 1).to_pylist()[0]
        except UnicodeDecodeError as error:
            yield Problem("encoding", f"a text is not UTF-8 at byte {error.start + 1}")


def _batches(handle: BinaryIO, kind: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if kind == ".parquet":
        yield from pq.ParquetFile(handle).iter_batches(1024)
        return
    magic = handle.read(6)
    handle.seek(0)
    if magic == b"ARROW1":
        reader = pa.ipc.open_file(handle)
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)
        return
    yield from pa.ipc.open_stream(handle)
