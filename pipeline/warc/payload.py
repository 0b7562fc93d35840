"""Undoing HTTP transfer and content encodings, with damage named and bombs bounded.

What is done with damaged encodings, and why:

- A header that promises an encoding the body plainly doesn't have (no chunk size line, no gzip or zstd magic, HTML
  where brotli or deflate should be) is believed less than the body: crawlers, Common Crawl among them, store bodies
  decoded under the server's own headers. The body is taken as it is.
- An encoding that breaks off in a record that the crawler itself marked as cut (WARC-Truncated) is expected:
  the part that decodes is taken.
- Any other break (`bad_chunked`, `bad_content_encoding`, `bad_brotli`) costs the record: the text after the break is
  lost, what came before may be wrong too, and one page in a large crawl is worth less than text known to be whole.
  One exception: chunks that end properly but lack the last, empty chunk are taken whole.
"""

from __future__ import annotations

import re
import zlib
from typing import Any

Body = bytes | memoryview

_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]{0,4096})?\r?\n")
_MARKUP = re.compile(
    rb"\s*(?:\xef\xbb\xbf|\xfe\xff|\xff\xfe)?\s*<(?:!--|(?:!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|"
    rb"style|title|b|body|br|p)[\s>])",
    re.IGNORECASE,
)
"""Signs of HTML at the beginning of a body, after the WHATWG's "MIME Sniffing", section 7.1."""

_PIECE = 1 << 16


class BadPayload(Exception):
    """A payload can't be decoded. `kind` is the skip it becomes."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


def looks_like_html(body: Body) -> bool:
    """Whether a body begins as an HTML document does (UTF-16 included)."""
    return _MARKUP.match(bytes(body[:512]).replace(b"\0", b"")) is not None


def unchunked(body: Body, cut: bool) -> Body:
    """The body without chunked framing (RFC 9112, section 7.1). `cut`: the record is marked as truncated."""
    parts: list[Body] = []
    at = 0
    while True:
        line = _CHUNK_SIZE.match(body, at)
        if not line:
            if not parts:
                return body
            if at >= len(body) or cut:
                break
            raise BadPayload("bad_chunked", f"no chunk size at {at}")
        size = int(line[1], 16)
        begin = line.end()
        if size == 0:
            break
        end = begin + size
        if end > len(body):
            if not parts and looks_like_html(body):
                return body
            if not cut:
                raise BadPayload("bad_chunked", f"chunk of {size} bytes at {at} goes beyond the end")
            parts.append(body[begin:])
            break
        after = bytes(body[end : end + 2])
        if after == b"\r\n":
            at = end + 2
        elif after[:1] == b"\n":
            at = end + 1
        elif not after:
            at = end
        elif not parts:
            return body
        else:
            raise BadPayload("bad_chunked", f"chunk of {size} bytes at {at} has no line end")
        parts.append(body[begin:end])
    return b"".join(parts) if len(parts) != 1 else parts[0]


def decoded(body: Body, encodings: list[str], limit: int, cut: bool) -> Body:
    """The body with Content-Encoding tokens (in the order they were applied) undone.

    `limit`: most bytes of the result; `cut`: the record is marked as truncated. Raises BadPayload.
    """
    for token in reversed(encodings):
        if not len(body):
            break
        if token in ("gzip", "x-gzip"):
            if bytes(body[:2]) == b"\x1f\x8b":
                body = _inflate(body, 31, limit, cut)
        elif token == "deflate":
            body = _deflate(body, limit, cut)
        elif token == "br":
            body = _brotli(body, limit, cut)
        elif token == "zstd":
            if bytes(body[:4]) == b"\x28\xb5\x2f\xfd":
                body = _zstd(body, limit, cut)
        elif token in ("compress", "x-compress", "dcb", "dcz", "aws-chunked") and not looks_like_html(body):
            raise BadPayload("bad_content_encoding", f"no decoder for {token}")
    return body


def _too_large(limit: int) -> BadPayload:
    return BadPayload("too_large", f"more than {limit} bytes when decoded")


def _inflate(body: Body, wbits: int, limit: int, cut: bool) -> bytes:
    parts: list[bytes] = []
    total = 0
    rest = body
    while len(rest):
        engine = zlib.decompressobj(wbits)
        for at in range(0, len(rest), _PIECE):
            piece: Body = rest[at : at + _PIECE]
            try:
                out = engine.decompress(piece, limit + 1 - total)
            except zlib.error:
                if cut and total:
                    return b"".join(parts)
                raise BadPayload("bad_content_encoding", "damaged gzip or deflate body") from None
            total += len(out)
            if total > limit:
                raise _too_large(limit)
            parts.append(out)
            if engine.eof:
                break
        if not engine.eof:
            if cut:
                return b"".join(parts)
            raise BadPayload("bad_content_encoding", "gzip or deflate body breaks off")
        rest = rest[at + len(piece) - len(engine.unused_data) :]
        if wbits != 31 or bytes(rest[:2]) != b"\x1f\x8b":
            break
    return b"".join(parts)


def _deflate(body: Body, limit: int, cut: bool) -> Body:
    """A `deflate` body: zlib format as the standard says, else raw as some servers send it, else as it is."""
    if looks_like_html(body):
        return body
    header = int.from_bytes(body[:2], "big")
    wbits = 15 if body[0] & 15 == 8 and header % 31 == 0 else -15
    return _inflate(body, wbits, limit, cut)


def _brotli(body: Body, limit: int, cut: bool) -> Body:
    import brotli

    engine: Any = brotli.Decompressor()
    parts: list[bytes] = []
    total = 0
    at = 0
    try:
        while not engine.is_finished():
            if engine.can_accept_more_data():
                piece = bytes(body[at : at + _PIECE])
                if not piece:
                    break
                at += len(piece)
            else:
                piece = b""
            out = engine.process(piece, output_buffer_limit=1 << 20)
            total += len(out)
            if total > limit:
                raise _too_large(limit)
            parts.append(out)
    except brotli.error:
        if looks_like_html(body):
            return body
        if not (cut and total):
            raise BadPayload("bad_brotli", "damaged brotli body") from None
        return b"".join(parts)
    if not engine.is_finished() and not cut:
        if looks_like_html(body):
            return body
        raise BadPayload("bad_brotli", "brotli body breaks off")
    return b"".join(parts)


def _zstd(body: Body, limit: int, cut: bool) -> bytes:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(bytes(body), read_across_frames=True)
    parts: list[bytes] = []
    total = 0
    try:
        while True:
            out = reader.read(1 << 20)
            if not out:
                break
            total += len(out)
            if total > limit:
                raise _too_large(limit)
            parts.append(out)
    except zstandard.ZstdError:
        if not (cut and total):
            raise BadPayload("bad_content_encoding", "damaged zstd body") from None
    return b"".join(parts)
