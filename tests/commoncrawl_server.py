"""A stand-in of Common Crawl's HTTP layout on this machine, made of the sample crawl.

It serves what https://data.commoncrawl.org and https://index.commoncrawl.org do: path listings, WARC and WET files with
ranges, the columnar URL index as Parquet files, and a CDX server with pages. It records every request, and misbehaves
as it is told: refuses with Retry-After, cuts connections, is slow, forgets ranges. Nothing of the code under test is
used to make it: records are found by warcio.

    with serving() as crawl:
        os.environ["GRISTMILL_CC_URL"] = os.environ["GRISTMILL_CC_INDEX_URL"] = crawl.url
"""

from __future__ import annotations

import functools
import gzip
import io
import itertools
import json
import re
import threading
import time
import urllib.parse
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources import sample_warc
from tests.serving import Quiet, Server

RELEASE = "CC-MAIN-2025-08"
SEGMENT = f"crawl-data/{RELEASE}/segments/1.0"
TABLE = f"cc-index/table/cc-main/warc/crawl={RELEASE}"


@dataclass
class Fault:
    """What to do wrong with a request: refuse it with `status` and `headers`, cut it after so many bytes, be slow."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    delay: float = 0.0
    path: str = ""
    """Only requests whose path holds this text."""


@dataclass
class Request:
    """A request as the server saw it; `sent` are bytes of the body, `ended` is when it was through."""

    path: str
    headers: dict[str, str]
    begun: float
    ended: float = 0.0
    status: int = 0
    sent: int = 0

    @property
    def range(self) -> str:
        return self.headers.get("Range", "")


class CommonCrawl:
    """The stand-in's files, faults and memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.index: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        self.every: tuple[int, Fault] | None = None
        """Each so many-th request goes wrong this way."""

        self.requests: list[Request] = []
        self.ranges = True
        self.lengths = True
        self.etag = '"v1"'
        self.delay = 0.0
        self.block_delay = 0.0
        """Seconds between blocks of a body, for a slow connection."""

        self.redirects: dict[str, str] = {}
        self.page_lines = 7
        self.active = self.most_active = 0
        self.url = ""
        self._lock = threading.Lock()

    def add_sample(self) -> None:
        """The sample crawl's files, their listings and both indexes."""
        files, index = _sample()
        self.files |= files
        self.index = list(index)

    def build_sample(self) -> None:
        """What `add_sample` takes over."""
        names = []
        for file in sorted(sample_warc().glob("*.warc.gz")):
            name = f"{SEGMENT}/warc/{file.name}"
            self.files[name] = file.read_bytes()
            names.append(name)
        self.list_files("warc", names)
        wet = f"{SEGMENT}/wet/sample-00003.warc.wet.gz"
        self.files[wet] = (sample_warc() / "sample-00003.warc.wet.gz").read_bytes()
        self.list_files("wet", [wet])
        self.add_indexes(names)

    def list_files(self, form: str, names: list[str]) -> None:
        """A listing, `warc.paths.gz` or the like."""
        text = "".join(f"{name}\n" for name in names)
        self.files[f"crawl-data/{RELEASE}/{form}.paths.gz"] = gzip.compress(text.encode(), mtime=0)

    def add_indexes(self, names: list[str], parts: int = 3, group_rows: int = 16) -> None:
        """Index what the WARC files hold: rows for CDX, and `parts` Parquet files in the order of their keys."""
        self.index = sorted(itertools.chain(*(captures(name, self.files[name]) for name in names)), key=_order)
        tables = []
        size = -(-len(self.index) // parts)
        for number in range(parts):
            name = f"{TABLE}/subset=warc/part-{number:05d}-0a1b.c000.gz.parquet"
            rows = self.index[number * size : (number + 1) * size]
            self.files[name] = parquet(rows, group_rows)
            tables.append(name)
        other = f"{TABLE}/subset=robotstxt/part-00000-0a1b.c000.gz.parquet"
        self.files[other] = b"must not be asked for"
        self.list_files("cc-index-table", [other, *tables])

    def seen(self, part: str) -> list[Request]:
        """The requests whose path holds `part`."""
        with self._lock:
            return [request for request in self.requests if part in request.path]

    def forget(self) -> None:
        """Start counting anew."""
        with self._lock:
            self.requests.clear()
            self.most_active = 0

    def begin(self, path: str, headers: dict[str, str]) -> tuple[Request, Fault | None]:
        """Take a request down, and say what goes wrong with it."""
        with self._lock:
            request = Request(path, headers, time.time())
            self.requests.append(request)
            self.active += 1
            self.most_active = max(self.most_active, self.active)
            for fault in self.faults:
                if fault.path in path:
                    self.faults.remove(fault)
                    return request, fault
            if self.every and len(self.requests) % self.every[0] == 0:
                return request, self.every[1]
            return request, None

    def end(self, request: Request) -> None:
        """The request is through, once. Called before its last bytes go out: its client may ask anew as it has them."""
        with self._lock:
            if not request.ended:
                request.ended = time.time()
                self.active -= 1

    def cdx(self, query: Mapping[str, list[str]]) -> tuple[int, bytes]:
        """The answer of pywb's CDX server, as far as Common Crawl's users meet it."""
        url = query["url"][0]
        kind = query.get("matchType", ["exact"])[0]
        key = surt(url)
        host = key.partition(")")[0]

        def matches(row: dict[str, Any]) -> bool:
            have = row["url_surtkey"]
            if kind == "domain":
                return have.startswith((f"{host})", f"{host},"))
            if kind == "host":
                return have.startswith(f"{host})")
            return have.startswith(key) if kind == "prefix" else have == key

        rows = [row for row in self.index if matches(row)]
        pages = -(-len(rows) // self.page_lines)
        if "showNumPages" in query:
            return 200, json.dumps({"pages": pages, "pageSize": 5, "blocks": pages}).encode()
        page = int(query.get("page", ["0"])[0])
        if not rows or page >= pages:
            return 404, json.dumps({"message": f"No Captures found for: {url}"}).encode()
        for rule in query.get("filter", []):
            name, _, value = rule.partition(":")
            assert name == "=status"
            rows = [row for row in rows if str(row["fetch_status"]) == value]
        lines = [cdx_line(row) for row in rows[page * self.page_lines : (page + 1) * self.page_lines]]
        return 200, "".join(line + "\n" for line in lines).encode()


@functools.lru_cache(1)
def _sample() -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    crawl = CommonCrawl()
    crawl.build_sample()
    return crawl.files, crawl.index


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["url_surtkey"], row["fetch_time"], row["warc_filename"], row["warc_record_offset"]


def surt(url: str) -> str:
    """The sort-friendly form of a URL, for the plain ones of the sample crawl."""
    parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
    host = re.sub(r"^www\d*\.", "", (parts.hostname or "").lower())
    path = (parts.path.rstrip("/") or "/") + (f"?{parts.query}" if parts.query else "")
    return ",".join(reversed(host.split("."))) + ")" + path.lower()


def members(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(offset, length, text) of the sound gzip members that begin a WARC record."""
    at = data.find(b"\x1f\x8b\x08")
    while at >= 0:
        inflate = zlib.decompressobj(31)
        try:
            text = inflate.decompress(data[at:])
        except zlib.error:
            text = b""
        if inflate.eof and text.startswith(b"WARC/"):
            length = len(data) - at - len(inflate.unused_data)
            yield at, length, text
            at = data.find(b"\x1f\x8b\x08", at + length)
        else:
            at = data.find(b"\x1f\x8b\x08", at + 1)


def captures(name: str, data: bytes) -> Iterator[dict[str, Any]]:
    """Index rows of the successful responses in a WARC file with a record a member, by warcio."""
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    for offset, length, text in members(data):
        try:
            record = next(iter(ArchiveIterator(io.BytesIO(text))))
        except (ArchiveLoadFailed, AttributeError):  # no HTTP header; no target URI
            continue
        if record.rec_type != "response" or record.http_headers is None:
            continue
        status = record.http_headers.get_statuscode()
        mime = (record.http_headers.get_header("Content-Type") or "").partition(";")[0].strip().lower()
        url = record.rec_headers.get_header("WARC-Target-URI") or ""
        host = re.sub(r"^[a-z]+://|[/?#].*|:\d+", "", url.lower())
        if not re.fullmatch(r"[a-z0-9.-]+", host):
            continue
        if status != "200":
            continue
        yield {
            "url_surtkey": surt(url),
            "url": url,
            "url_host_name": host,
            "url_host_registered_domain": ".".join(host.split(".")[-2:]),
            "fetch_time": record.rec_headers.get_header("WARC-Date"),
            "fetch_status": int(status),
            "content_mime_type": mime or None,
            "content_mime_detected": mime or "text/html",
            "warc_filename": name,
            "warc_record_offset": offset,
            "warc_record_length": length,
            "warc_segment": "1.0",
        }


def parquet(rows: list[dict[str, Any]], group_rows: int) -> bytes:
    """A file of the columnar index; types are those of Common Crawl's schema (offsets are 32-bit there)."""
    types = {"fetch_status": pa.int16(), "warc_record_offset": pa.int32(), "warc_record_length": pa.int32()}
    columns = {key: pa.array([row[key] for row in rows], types.get(key, pa.string())) for key in rows[0]}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, row_group_size=group_rows, compression="gzip")
    return sink.getvalue().to_pybytes()


def cdx_line(row: dict[str, Any]) -> str:
    stamp = re.sub(r"\D", "", row["fetch_time"])[:14]
    value = {
        "urlkey": row["url_surtkey"],
        "timestamp": stamp,
        "url": row["url"],
        "mime": row["content_mime_type"] or "unk",
        "mime-detected": row["content_mime_detected"],
        "status": str(row["fetch_status"]),
        "digest": "A" * 32,
        "length": str(row["warc_record_length"]),
        "offset": str(row["warc_record_offset"]),
        "filename": row["warc_filename"],
    }
    return json.dumps(value)


def handler(crawl: CommonCrawl) -> type[Quiet]:
    """The request handler of a stand-in."""

    class Handler(Quiet):
        protocol_version = "HTTP/1.0"  # an answer may come without its length

        def do_HEAD(self) -> None:
            self._one(body=False)

        def do_GET(self) -> None:
            self._one(body=True)

        def _one(self, body: bool) -> None:
            request, fault = crawl.begin(self.path[1:], dict(self.headers))
            try:
                time.sleep(crawl.delay + (fault.delay if fault else 0.0))
                if fault and fault.status:
                    self._refuse(request, fault.status, fault.headers)
                else:
                    self._answer(request, fault.cut if fault else None, body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client hung up
            finally:
                crawl.end(request)

        def _refuse(self, request: Request, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
            request.status = status
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            crawl.end(request)
            self.end_headers()
            self.wfile.write(body)

        def _answer(self, request: Request, cut: int | None, body: bool) -> None:
            parts = urllib.parse.urlsplit(self.path)
            name = parts.path[1:]
            if name in crawl.redirects:
                self._refuse(request, 302, {"Location": crawl.redirects[name]})
                return
            if name == f"{RELEASE}-index":
                status, text = crawl.cdx(urllib.parse.parse_qs(parts.query))
                self._refuse(request, status, {"Content-Type": "text/x-ndjson"}, text)
                return
            data = crawl.files.get(name)
            if data is None:
                self._refuse(request, 404, {})
                return
            self._file(request, data, cut, body)

        def _file(self, request: Request, data: bytes, cut: int | None, body: bool) -> None:
            start, end = 0, len(data)
            wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
            fresh = self.headers.get("If-Range") in (None, crawl.etag)
            headers = {"ETag": crawl.etag} if crawl.etag else {}
            request.status = 200
            if wanted and crawl.ranges and fresh:
                if wanted[1]:
                    start, end = int(wanted[1]), min(end, int(wanted[2]) + 1) if wanted[2] else end
                else:
                    start = max(0, end - int(wanted[2]))
                if start >= len(data):
                    self._refuse(request, 416, {"Content-Range": f"bytes */{len(data)}", **headers})
                    return
                request.status = 206
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            if crawl.lengths:
                headers["Content-Length"] = str(end - start)
            self.send_response(request.status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            content = data[start:end][:cut] if body else b""
            step = 1 << 14 if crawl.block_delay else max(1, len(content))
            for at in range(0, len(content), step):
                if at + step >= len(content):
                    crawl.end(request)
                self.wfile.write(content[at : at + step])
                request.sent += len(content[at : at + step])
                time.sleep(crawl.block_delay)

    return Handler


@contextmanager
def serving(sample: bool = True) -> Iterator[CommonCrawl]:
    """A running stand-in on the loopback interface."""
    crawl = CommonCrawl()
    if sample:
        crawl.add_sample()
    with Server(handler(crawl)) as server:
        crawl.url = server.url
        yield crawl
