"""Pages of a split: the WARC source.

Reads WARC, WET and ARC, as gzip (a member per record or not), zstd (with dictionary), bzip2, lz4, plain and inside
WACZ files; the format is told from the content. Input: a `Split`. Output: batches of `schema.PAGE` rows and the list
of everything that is no page, so that `records == rows + skips` holds in every batch.

No content makes the reader raise or hang, and memory doesn't grow with the file: records longer than
`max_payload_bytes` are passed over, members that inflate without end are left. What raises is a file that can't be
opened (ConfigError) or read (StepFailed).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from .. import schema
from ..storage import is_url
from . import members, zstdframe
from .engines import Engine
from .framing import MAX_HEAD, Frame, Framer, Skip
from .members import Damage, GzipMember, Member, StreamMember, ZstdMember
from .pages import HTML_TYPES, TEXT_TYPES, Page, PageMaker, Selection
from .patterns import START_WINDOW, starts
from .ranged import Ranged, RangedFile
from .records import open_records
from .splits import RecordSplit, Split
from .streams import MemberStream, Opened, PlainStream

DEFAULT_ENGINE = "fastwarc"
"""The faster header parser by benchmarks/warc_reader.py (results/warc_reader.json).

On pages of 200 kB both engines run at 1.6 to 1.7 times bare warcio's speed (inflating is what counts there); on pages
of 6 to 40 kB the reader needs 12 to 18 % less CPU time with FastWARC. Rows and skips are the same with both.
"""

MAX_SKIPS = 20_000
"""Skips after which a batch is handed out even if it holds no page."""

SEARCH_GZIP = 16 << 20
"""Bytes searched for a gzip member if a file begins with something unknown."""


BEFORE_GZIP = 1 << 17
"""Bytes before a split that are read to see whether its first member lies inside of another (at least 64 KiB)."""


@dataclass
class PageBatch:
    """Pages of a split: `table` has schema.PAGE; `records == table.num_rows + len(skips)`."""

    table: pa.Table
    records: int
    skips: list[Skip]


def read_pages(
    split: Split | RecordSplit,
    *,
    engine: str = DEFAULT_ENGINE,
    batch_bytes: int = 32 << 20,
    batch_rows: int = 512,
    max_payload_bytes: int = 64 << 20,
    statuses: Collection[int] = (200,),
    html_types: Collection[str] = HTML_TYPES,
    text_types: Collection[str] = TEXT_TYPES,
) -> Iterator[PageBatch]:
    """Batches of pages of one split, in file order.

    Pages are `response` and `resource` records (the latter without HTTP header) with one of `statuses` and a media
    type in `html_types` (`payload_kind` "html") or `text_types` ("text"), or that state none and look like HTML, and
    `conversion` records of a text type (WET). Every other record is a skip. Skip kinds: `type:T`, `status:N`,
    `media_type:M`, `empty_payload`, `too_large`, `segmented`; for damage `corrupt_gzip`, `corrupt_zstd`,
    `corrupt_bz2`, `corrupt_lz4`, `corrupt_zip`, `truncated`, `garbage`, `bad_warc_header`, `bad_content_length`,
    `bad_http_header`, `bad_chunked`, `bad_content_encoding`, `bad_brotli`; `unsupported:zip` for a zip file
    without stored archive/*.warc.gz.

    A batch is handed out when its payloads reach `batch_bytes` or it has `batch_rows` rows.
    Raises ConfigError (unknown engine, unreadable file), StepFailed (reading failed).
    """
    selection = Selection(
        frozenset(statuses),
        frozenset(t.lower() for t in html_types),
        frozenset(t.lower() for t in text_types),
        max_payload_bytes,
    )
    parser = Engine(engine)
    max_block = max_payload_bytes + MAX_HEAD
    if isinstance(split, RecordSplit):
        items = _single_records(split, parser, selection, max_block)
    else:
        items = _split_records(split, PageMaker(split.source.name, parser, selection), max_block)
    batch = _Batch()
    with closing(items):
        for item in items:
            batch.add(item)
            if batch.bytes >= batch_bytes or batch.rows >= batch_rows or len(batch.skips) >= MAX_SKIPS:
                yield batch.take()
    if batch.rows or batch.skips:
        yield batch.take()


def _split_records(split: Split, make: PageMaker, max_block: int) -> Generator[Page | Skip, None, None]:
    known = split.source.size if is_url(split.source.path) else None  # a local file says itself how long it is now
    with Ranged(split.source.path, size=known, mark=split.source.mark) as source:
        for frame in _frames(source, split.start, split.end, max_block):
            yield make(frame) if isinstance(frame, Frame) else frame


def _single_records(
    split: RecordSplit, parser: Engine, selection: Selection, max_block: int
) -> Generator[Page | Skip, None, None]:
    """What reading the whole files would give for the places of these records."""
    makers = {file.name: PageMaker(file.name, parser, selection) for file in split.files}
    with closing(open_records(split)) as records:
        for name, offset, source in records:
            for inside in _frames(source, 0, source.size, max_block):
                item = _shifted(inside, offset)
                made = makers[name](item) if isinstance(item, Frame) else item
                if isinstance(made, Skip) and len(split.files) > 1:  # the log of skips names one file
                    made = Skip(made.kind, made.offset, f"in {name}: {made.detail}")
                yield made


class _Batch:
    """Rows being gathered. Payloads are copied at once into what becomes the column's buffer.

    Keeping them until the batch is full would keep the chunks that they were inflated into: measured a quarter slower,
    and a small payload could hold a large chunk.
    """

    def __init__(self) -> None:
        self.skips: list[Skip] = []
        self._expected = 1 << 20
        self._clear()

    def _clear(self) -> None:
        self.rows = 0
        self._columns: tuple[list[str], list[str | None], list[dict[str, Any]], list[str]] = ([], [], [], [])
        self._buffer: pa.Buffer | None = None
        self._target = memoryview(b"")
        self._offsets = [0]

    @property
    def bytes(self) -> int:
        """Payload bytes so far."""
        return self._offsets[-1]

    def add(self, item: Page | Skip) -> None:
        """Take in a page or a skip."""
        if isinstance(item, Skip):
            self.skips.append(item)
            return
        self.rows += 1
        ids, urls, records, kinds = self._columns
        ids.append(item.id)
        urls.append(item.url)
        records.append(item.record)
        kinds.append(item.kind)
        start = self._offsets[-1]
        end = start + len(item.payload)
        if end > len(self._target):
            self._grow(start, max(self._expected, end, 2 * len(self._target)))
        self._target[start:end] = item.payload
        self._offsets.append(end)

    def _grow(self, used: int, size: int) -> None:
        """Room for `size` bytes, of which `used` are taken over. Pages of memory that stay unwritten cost nothing."""
        before = self._target
        self._buffer = pa.allocate_buffer(size)
        self._target = memoryview(self._buffer).cast("B")
        self._target[:used] = before[:used]

    def take(self) -> PageBatch:
        """The batch so far, and an empty one in its place."""
        ids, urls, records, kinds = self._columns
        payload = self._buffer.slice(0, self.bytes) if self._buffer else pa.py_buffer(b"")
        buffers = [None, pa.py_buffer(np.array(self._offsets, np.int64)), payload]
        table = pa.Table.from_arrays(
            [
                pa.array(ids, pa.string()),
                pa.array(urls, pa.string()),
                pa.array(records, schema.RECORD),
                pa.LargeBinaryArray.from_buffers(pa.large_binary(), self.rows, buffers),
                pa.array(kinds, pa.string()),
            ],
            schema=schema.PAGE,
        )
        batch = PageBatch(table, self.rows + len(self.skips), self.skips)
        self.skips = []
        self._expected = max(1 << 20, self.bytes * 9 // 8)  # the next batch will be about as large
        self._clear()
        return batch


def _frames(source: Ranged, start: int, end: int, max_block: int) -> Iterator[Frame | Skip]:
    """Frames and skips of the records that `[start, end)` of a file owns."""
    if source.size == 0 or start >= source.size:
        return
    form = _form(source)
    if form == "gzip":
        source.expect(start - BEFORE_GZIP if start else 0, end)
        yield from _members(source, start, end, max_block, _gzip(source))
    elif form == "plain":
        source.expect(start, end)
        yield from Framer(PlainStream(source), max_block, start, end if end < source.size else None)
    elif start == 0:
        source.expect(0, source.size)
        if form == "zip":
            yield from _zip(source, max_block)
        elif form == "zstd":
            yield from _zstd(source, max_block)
        else:
            yield from _members(source, 0, source.size, max_block, _whole(source, form))


def _form(source: Ranged) -> str:
    """Format of a file by its first bytes."""
    head = bytes(source.peek(0, START_WINDOW))
    if head.startswith(members.GZIP_MAGIC):
        return "gzip"
    if head.startswith(zstdframe.MAGIC) or zstdframe.is_skippable(head[:4]):
        return "zstd"
    if head.startswith(b"\x04\x22\x4d\x18"):
        return "lz4"
    if head.startswith(b"BZh") and head[4:10] == b"\x31\x41\x59\x26\x53\x59":
        return "bz2"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if starts(head.lstrip(b"\r\n\0")):
        return "plain"
    if members.find_gzip_start(source, 0, min(source.size, SEARCH_GZIP)) is not None:
        return "gzip"
    return "plain"


@dataclass
class _Codec:
    """How members of a compressed file are opened, recognised, looked into and searched for."""

    open: Callable[[int], Member]
    has_magic: Callable[[int], bool]
    text_at: Callable[[int], bytes]
    find: Callable[[int, int], int | None]
    corrupt: str


def _gzip(source: Ranged) -> _Codec:
    return _Codec(
        open=lambda at: GzipMember(source, at),
        has_magic=lambda at: bytes(source.peek(at, 2)) == members.GZIP_MAGIC[:2],
        text_at=lambda at: members.gzip_text(source, at),
        find=lambda lo, hi: members.find_gzip_start(source, lo, hi),
        corrupt="corrupt_gzip",
    )


def _whole(source: Ranged, codec: str) -> _Codec:
    return _Codec(
        open=lambda at: StreamMember(source, codec),
        has_magic=lambda at: at == 0,
        text_at=lambda at: b"",
        find=lambda lo, hi: None,
        corrupt=f"corrupt_{codec}",
    )


def _zstd(source: Ranged, max_block: int) -> Iterator[Frame | Skip]:
    try:
        dictionary = zstdframe.dictionary(source)
    except zstdframe.BadFrame as error:
        yield Skip(error.kind, 0, str(error))
        dictionary = None
    frames = zstdframe.Frames(source)

    def text_at(at: int) -> bytes:
        try:
            return ZstdMember(frames, at, dictionary).read()
        except Damage:
            return b""

    def has_magic(at: int) -> bool:
        magic = bytes(source.peek(at, 4))
        return magic == zstdframe.MAGIC or zstdframe.is_skippable(magic)

    codec = _Codec(
        open=lambda at: ZstdMember(frames, at, dictionary),
        has_magic=has_magic,
        text_at=text_at,
        find=lambda lo, hi: frames.find(lo),
        corrupt="corrupt_zstd",
    )
    yield from _members(source, 0, source.size, max_block, codec)


def _members(source: Ranged, start: int, end: int, max_block: int, codec: _Codec) -> Iterator[Frame | Skip]:
    """Frames of the segments that begin in `[start, end)`; the file's first segment begins at 0 whatever is there."""
    end = min(end, source.size)
    at = 0 if start == 0 else codec.find(start, end)
    opened: Opened | None = None
    while at is not None and at < end:
        stream = MemberStream(source, at, opened, codec.open, codec.has_magic, codec.text_at)
        for item in Framer(stream, max_block):
            cut_off = isinstance(item, Skip) and item.kind == "truncated" and stream.damage is not None
            if cut_off and codec.find(stream.resume, source.size) is not None:
                item = Skip(codec.corrupt, item.offset, "compressed data runs into the following members")
            yield item
        opened = stream.opened
        at = stream.next_start
        if at is None and stream.resume < end:
            at = codec.find(stream.resume, end)


def _zip(source: Ranged, max_block: int) -> Iterator[Frame | Skip]:
    """Frames of the stored WARC files in a zip file (WACZ); offsets are those in the zip file."""
    try:
        with zipfile.ZipFile(RangedFile(source)) as archive:  # type: ignore[arg-type]
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        yield Skip("corrupt_zip", 0, str(error)[:200])
        return
    found = False
    for entry in entries:
        if ".warc" not in entry.filename.lower() or entry.is_dir():
            continue
        found = True
        if not 0 <= entry.header_offset < source.size:
            yield Skip("corrupt_zip", 0, "an entry outside of the file")
            continue
        local = source.read_at(entry.header_offset, 30)
        if entry.compress_type != zipfile.ZIP_STORED or local[:4] != b"PK\x03\x04":
            yield Skip("unsupported:zip", entry.header_offset, "not stored plainly: " + entry.filename[:200])
            continue
        names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
        base = entry.header_offset + 30 + names
        with source.slice(base, entry.file_size) as inside:
            if inside.size and _form(inside) == "zip":
                yield Skip("unsupported:zip", base, "a zip file in a zip file")
                continue
            for item in _frames(inside, 0, inside.size, max_block):
                yield _shifted(item, base)
    if not found:
        yield Skip("unsupported:zip", 0, "no WARC file inside")


def _shifted(item: Frame | Skip, base: int) -> Frame | Skip:
    if isinstance(item, Skip):
        return Skip(item.kind, item.offset + base, item.detail)
    return Frame(item.offset + base, item.inner, item.head, item.body, item.arc)
