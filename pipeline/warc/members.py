"""Compressed members of a file: opening one, reading it in bounded pieces, finding the next.

A *member* is a gzip member, a zstd frame, or the one bzip2 or lz4 stream of a file. Common Crawl and
most crawlers write one record a member. A member *begins a record* if its text starts with a WARC or
ARC header; such members are the places where reading resumes after damage and where files are split.

Whether a gzip member begins a record at an offset is decided from the bytes near that offset alone,
so that every split of a file comes to the same answer: the gzip magic, a trial inflate that shows a
header, and no sign that the bytes lie inside a stored (uncompressed) block of another member, as they
do when a payload is itself a .warc.gz.

gzip is inflated by ISA-L (package `isal`, 2.3 times as fast as zlib on web pages here) and, where that
isn't installed, by zlib. Both give the same bytes and reject the same members.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from typing import Any, Protocol, cast

import numpy as np

from . import zstdframe
from .patterns import START_WINDOW, starts
from .ranged import Ranged, RangedFile

Errors = tuple[type[Exception], ...]

try:
    from isal import isal_zlib
    from isal.isal_zlib import IsalError

    _make_inflater: Callable[..., Any] = isal_zlib.decompressobj
    INFLATE_ERRORS: Errors = (zlib.error, cast("type[Exception]", IsalError))  # its stub calls it an instance
    INFLATER = "isal"
except ImportError:
    _make_inflater = zlib.decompressobj
    INFLATE_ERRORS = (zlib.error,)
    INFLATER = "zlib"

IN_CHUNK = 1 << 16
OUT_CHUNK = 4 << 20
"""Most bytes that one `read` returns; bounds what a decompression bomb can ask for at once."""

GZIP_MAGIC = b"\x1f\x8b\x08"
NESTED_PROOF = 4 << 20
"""Bytes inflated without an error after which a supposed outer stream is believed."""


class Damage(Exception):
    """A member can't be read on. `kind` is the skip it becomes."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class Member(Protocol):
    """One compressed member. `end` is the file offset after it, valid once `read` has returned b""."""

    end: int
    taken: int

    def read(self) -> bytes:
        """Next decompressed bytes, at most about OUT_CHUNK, b"" at the end; raises Damage."""
        ...


class _Feed:
    """A member of a codec with the interface of zlib's decompression objects."""

    def __init__(self, source: Ranged, start: int, make: Callable[[], Any], errors: Errors) -> None:
        self._source = source
        self._errors = errors
        self.start = start
        self.end = start
        self.taken = 0
        self.given = 0
        self._next = start
        self._engine = make()
        self._more = False
        self._salvage = False
        self._bad: Damage | None = None

    def _step(self, limit: int) -> bytes | None:
        """One call of the codec; None where it has ended."""
        engine = self._engine
        while not engine.eof:
            if self._more:
                chunk: Any = engine.unconsumed_tail
            else:
                chunk = self._source.peek(self._next, IN_CHUNK)
                if not chunk:
                    raise Damage("truncated", "the file ends inside a compressed member")
                self._next += len(chunk)
            out: bytes = engine.decompress(chunk, limit)
            self._more = len(out) >= limit or bool(engine.unconsumed_tail)
            if out:
                return out
        return None

    def read(self) -> bytes:
        """Next decompressed bytes; raises Damage once everything before it has been handed out."""
        if self._bad:
            raise self._bad
        try:
            out = self._step(OUT_CHUNK if not self._salvage else 4096)
        except self._errors:
            if not self._salvage:
                return self._recover()
            self._bad = Damage("corrupt_gzip", "compressed data or its checksum is damaged")
            raise self._bad from None
        except Damage as damage:
            if not self._salvage:
                return self._recover()  # zlib says which: damaged, or only cut off
            self._bad = damage
            raise
        self.taken = self._next - self.start
        if out is None:
            self.end = self._next - len(self._engine.unused_data)
            self.taken = self.end - self.start
            return b""
        self.given += len(out)
        return out

    def _recover(self) -> bytes:
        """Inflate again in small steps, so that all text before the error comes out."""
        self._salvage = True
        self._engine = zlib.decompressobj(31)
        self._errors = (zlib.error,)
        self._next = self.start
        self._more = False
        again = self.given
        self.given = 0
        while True:
            out = self.read()
            if self.given > again:
                return out[len(out) - (self.given - again) :]
            if not out:
                return out


class GzipMember(_Feed):
    """A gzip member at `start`. Raises Damage of kind `corrupt_gzip` or `truncated`."""

    def __init__(self, source: Ranged, start: int) -> None:
        super().__init__(source, start, lambda: _make_inflater(31), INFLATE_ERRORS)
        flags = bytes(source.peek(start + 3, 1))
        if flags >= b"\x20":  # reserved bits (RFC 1952, 2.3.1.2), which zlib rejects and ISA-L overlooks
            self._bad = Damage("corrupt_gzip", "reserved flags in the gzip header")


class StreamMember:
    """All of a file through a file-like decompressor: bzip2 and lz4, which have no member per record."""

    def __init__(self, source: Ranged, codec: str) -> None:
        raw = RangedFile(source)
        self.codec = codec
        self.end = source.size
        self.taken = source.size
        if codec == "bz2":
            self._stream: Any = bz2.BZ2File(raw)  # type: ignore[arg-type]
        else:
            from fastwarc.stream_io import Lz4Reader

            self._stream = Lz4Reader(raw)

    def read(self) -> bytes:
        """Next decompressed bytes; raises Damage."""
        try:
            return bytes(self._stream.read(1 << 20))
        except EOFError:
            raise Damage("truncated", f"the file ends inside its {self.codec} stream") from None
        except (OSError, ValueError):
            raise Damage(f"corrupt_{self.codec}", "compressed data or its checksum is damaged") from None


class ZstdMember:
    """A zstd frame at `start`, with the file's dictionary if it has one."""

    def __init__(self, frames: zstdframe.Frames, start: int, dictionary: Any | None) -> None:
        try:
            self.end = frames.end(start)
        except zstdframe.BadFrame as error:
            raise Damage(error.kind, str(error)) from None
        self.taken = self.end - start
        self._stream = zstdframe.frame_reader(RangedFile(frames.source, start, self.end), dictionary)

    def read(self) -> bytes:
        """Next decompressed bytes; raises Damage of kind `corrupt_zstd`."""
        import zstandard

        try:
            return bytes(self._stream.read(1 << 20))
        except zstandard.ZstdError:
            raise Damage("corrupt_zstd", "compressed data or its checksum is damaged") from None


def gzip_text(source: Ranged, offset: int) -> bytes:
    """The first START_WINDOW bytes of the gzip member at `offset`, or what of them can be inflated."""
    member = zlib.decompressobj(31)
    out = b""
    at = offset
    for size in (4096, IN_CHUNK, IN_CHUNK, IN_CHUNK):
        chunk = bytes(source.peek(at, size))
        at += len(chunk)
        try:
            while chunk and len(out) < START_WINDOW and not member.eof:
                out += member.decompress(chunk, 512)
                chunk = member.unconsumed_tail
        except zlib.error:
            break
        if len(out) >= START_WINDOW or member.eof or starts(out.lstrip(b"\r\n")):
            break
    return out


def begins_record(text: bytes) -> bool:
    """Whether decompressed `text` starts with a WARC or ARC header (after stray line ends)."""
    return starts(text[:START_WINDOW].lstrip(b"\r\n")) is not None


def find_gzip_start(source: Ranged, lo: int, hi: int) -> int | None:
    """The first offset in `[lo, hi)` at which a gzip member begins a record, else None."""
    step = 1 << 20
    at = lo
    while at < hi:
        window = bytes(source.read_at(at, min(step, hi - at) + len(GZIP_MAGIC)))
        place = window.find(GZIP_MAGIC)
        skip_to = 0
        while place >= 0 and at + place < hi:
            offset = at + place
            flags = window[place + 3] if place + 3 < len(window) else 0
            if flags < 0x20 and begins_record(gzip_text(source, offset)):
                outer = _inside_stored_block(source, offset)
                if outer is None:
                    return offset
                skip_to = outer
                if skip_to >= at + len(window):
                    break
                place = window.find(GZIP_MAGIC, max(place + 1, skip_to - at))
            else:
                place = window.find(GZIP_MAGIC, place + 1)
        at = max(at + step, skip_to)
    return None


def _inside_stored_block(source: Ranged, offset: int) -> int | None:
    """If `offset` lies in a stored deflate block, a later offset still inside that stream or at its end.

    A stored block is LEN, its complement, and LEN plain bytes (RFC 1951, 3.2.4), so `offset` can only be
    inside one whose header lies in the 64 KiB before. Every such place is tried: the deflate stream must go
    on after the block, to a clean end followed by another member or the end of the file, or for
    NESTED_PROOF bytes without an error. Random data fails within some hundred bytes.
    """
    lo = max(0, offset - 65540)
    before = np.frombuffer(source.read_at(lo, offset - lo), np.uint8)
    if len(before) < 5:
        return None
    length = before[1:-3].astype(np.int64) | (before[2:-2].astype(np.int64) << 8)
    complement = before[3:-1].astype(np.int64) | (before[4:].astype(np.int64) << 8)
    header = np.arange(len(length), dtype=np.int64)
    block_end = lo + header + 5 + length
    inside = (length ^ complement == 0xFFFF) & (before[:-4] < 64) & (block_end > offset)
    for start in np.flatnonzero(inside):
        final = _is_final(int(before[start]))
        end = _inflates_on(source, int(block_end[start]), final)
        if end is not None:
            return end
    return None


def _is_final(header: int) -> bool:
    """Whether the byte that holds a stored block's 3 header bits surely says that it is the last block."""
    return header == 1


def _inflates_on(source: Ranged, at: int, final: bool) -> int | None:
    """File offset up to which raw deflate data at `at` decodes well enough to be believed, else None."""
    if final:
        return at + 8 if _trailer_then_member(source, at) else None
    stream = zlib.decompressobj(-15, zdict=bytes(32768))
    given = 0
    while not stream.eof:
        chunk: bytes | memoryview = source.peek(at, IN_CHUNK)
        if not chunk:
            return None
        at += len(chunk)
        while len(chunk) and not stream.eof:
            try:
                given += len(stream.decompress(chunk, OUT_CHUNK))
            except zlib.error:
                return None
            chunk = stream.unconsumed_tail
            if given >= NESTED_PROOF:
                return at - len(chunk)
    at -= len(stream.unused_data)
    return at + 8 if _trailer_then_member(source, at) else None


def _trailer_then_member(source: Ranged, at: int) -> bool:
    """Whether a gzip trailer (8 bytes) at `at` ends the file or is followed by another member."""
    after = at + 8
    return after == source.size or bytes(source.peek(after, 3)) == GZIP_MAGIC
