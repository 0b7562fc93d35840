"""The URL indexes of Common Crawl as a hostile server has them: index files for `columnar`, answers for `cdx`."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq

RELEASE = "CC-MAIN-2024-33"
FILE = f"crawl-data/{RELEASE}/segments/1.0/warc/a.warc.gz"
TABLE_FILE = f"cc-index/table/cc-main/warc/crawl={RELEASE}/subset=warc/part-00000.gz.parquet"
DOMAIN = "example.org"
MAX_OFFSET, MAX_LENGTH = 1 << 50, 1 << 30


def _row(number: int, **other: Any) -> dict[str, Any]:
    return {
        "url_surtkey": f"org,example)/{number}",
        "url": f"https://www.example.org/{number}",
        "fetch_status": 200,
        "content_mime_type": "text/html",
        "content_mime_detected": "text/html",
        "warc_filename": FILE,
        "warc_record_offset": 1000 * number,
        "warc_record_length": 900,
        **other,
    }


def _array(values: list[Any]) -> pa.Array:
    """A column of JSON values. Lone surrogates stand for bytes that are no UTF-8: Parquet doesn't check its strings."""
    if any(isinstance(value, str) for value in values):
        raw = [value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value for value in values]
        return pa.array(raw, pa.binary()).view(pa.string())
    return pa.array(values)


def _index_file(text: bytes) -> bytes:
    """A sound Parquet file of rows that are given as JSON; nothing where they make no table."""
    try:
        rows = json.loads(text)
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = pa.table({name: _array([row.get(name) for row in rows]) for name in names})
        sink = io.BytesIO()
        pq.write_table(table, sink, row_group_size=3, compression="gzip")
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, pa.ArrowException):
        return b""
    return sink.getvalue()


def columnar_seeds() -> list[bytes]:
    """Files as they are (behind a NUL and the size that the server claims), and rows to make one of."""
    rows = [_row(number) for number in range(7)]
    other: list[dict[str, Any]] = [
        {"fetch_status": None, "content_mime_type": None},
        {"warc_record_offset": -1},
        {"warc_record_length": 1 << 40},
        {"warc_filename": "../../x"},
        {"url": "https://example.org/\udce9"},
    ]
    made = [json.dumps(rows[:3]).encode(), *(json.dumps([_row(1, **one)]).encode() for one in other)]
    wrong = [_row(1, warc_record_offset="12"), _row(2, url=5), {"url": "x"}, _row(3, fetch_status=[1])]
    file = _index_file(json.dumps(rows).encode())
    claims = (b"\0" + claim.to_bytes(8, "little") for claim in (0, len(file) + 100, 1 << 40, 1 << 62))
    return [*made, *(json.dumps([one]).encode() for one in wrong), *(claim + file for claim in claims)]


class _File:
    """Ranged reads of the index file, in place of those over the network."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, offset: int, n: int) -> bytes:
        from pipeline.errors import StepFailed

        if offset + n > len(self.data):
            raise StepFailed("the server has no such bytes")
        return self.data[offset : offset + n]


@functools.cache
def _reader() -> Any:
    from pipeline.warc.commoncrawl import columnar

    return columnar._Child()


@contextlib.contextmanager
def _cache() -> Iterator[Path]:
    from .targets import scratch

    folder = scratch() / "index"
    shutil.rmtree(folder, ignore_errors=True)
    yield folder


def _asked(index: str, cache: Path) -> None:
    """Look up a domain: records that can be, in order, each once; or an error of ours."""
    from pipeline.warc.commoncrawl import find_records

    rows = find_records(RELEASE, [DOMAIN], [], index, cache_dir=cache)
    places = []
    for row in rows.to_pylist():
        inside = (Path("/base") / row["file"]).resolve()
        assert inside.is_relative_to("/base/crawl-data"), row
        assert 0 <= row["offset"] < MAX_OFFSET and 0 < row["length"] <= MAX_LENGTH, row
        places.append((row["file"], row["offset"]))
    assert places == sorted(set(places)) and places


def columnar(data: bytes) -> None:
    """The columnar index. The process that parses it is the real one, for a damaged file may end it."""
    from pipeline.warc.commoncrawl import columnar as module

    claimed = 0
    if data[:1] == b"\0":
        claimed, file = int.from_bytes(data[1:9], "little"), data[9:]
    else:
        file = _index_file(data)
    total, reader = claimed or len(file), _reader()
    with (
        _cache() as cache,
        mock.patch.object(module, "read_listing", lambda *_, **__: [TABLE_FILE]),
        mock.patch.object(module, "tail", lambda url, n, cache, clock: (total, file[-n:])),
        mock.patch.object(module, "WebFile", lambda url, size, clock: _File(file)),
        mock.patch.object(module, "_Child", lambda: contextlib.nullcontext(reader)),
    ):
        _asked("columnar", cache)


def cdx_seeds() -> list[bytes]:
    """The answer on the number of pages, then lines of captures."""
    names = {
        "url": "url", "status": "fetch_status", "mime": "content_mime_type", "mime-detected": "content_mime_detected",
        "filename": "warc_filename", "offset": "warc_record_offset", "length": "warc_record_length",
    }  # fmt: skip
    rows = [{name: _row(number)[column] for name, column in names.items()} for number in range(3)]
    texts = [{name: str(value) for name, value in row.items()} for row in rows]
    odd = [{**rows[0], "mime": None}, {**rows[0], "offset": "-1"}, {**rows[0], "length": 1e99}, {}, [rows[0]]]
    lines = [json.dumps(row).encode() for row in (*texts, *odd)]
    return [b'{"pages": 1}\n' + b"\n".join(lines[:3]), *(b"1\n" + line for line in lines), b"No Captures found", b"0"]


def cdx(data: bytes) -> None:
    """The CDX server's answers."""
    from pipeline.warc.commoncrawl import cdx as module
    from pipeline.warc.commoncrawl.web import Gone

    count, _, page = data.partition(b"\n")

    def text(self: object, limit: int) -> bytes:
        url = asked[-1]
        if "showNumPages" in url and count[:1] in b"Nn":
            gone = Gone("404")
            gone.body = count.decode("utf-8", "replace")
            raise gone
        if "showNumPages" not in url and "page=0" not in url:
            return b""
        return count if "showNumPages" in url else page

    asked: list[str] = []
    with (
        _cache() as cache,
        mock.patch.object(module.Requests, "__init__", lambda self, url, cache, clock: asked.append(url)),
        mock.patch.object(module.Requests, "text", text),
        mock.patch.object(module, "MAX_PAGES", 3),
    ):
        _asked("cdx", cache)
