"""Which records become pages, with which columns; payload decoding; skips by kind."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard

from pipeline import schema
from pipeline.errors import ConfigError
from pipeline.warc import Split, read_pages
from pipeline.warc.pages import page_id
from pipeline.warc.payload import looks_like_html, unchunked

from .test_warc_build import batches, gz, http, kinds, page, record, rows, skips, write

HTML = b"<!doctype html><html><body><p>" + b"words and more words " * 40 + b"</p></body></html>"
ENGINES = ("fastwarc", "warcio")


def packed(body: bytes) -> bytes:
    """By gzip, without the time: it would be in the names of the tests, which all processes of a run must agree on."""
    return gzip.compress(body, mtime=0)


def chunked(body: bytes, size: int = 100) -> bytes:
    pieces = [body[k : k + size] for k in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def one(tmp_path: Path, data: bytes, **options: object) -> tuple[list[dict], list[str]]:
    found = batches(write(tmp_path, gz(data)), **options)
    return rows(found), kinds(found)


@pytest.mark.parametrize("engine", ENGINES)
def test_all_columns(tmp_path: Path, engine: str) -> None:
    block = http(
        HTML,
        "200 OK",
        "text/html; charset=utf-8",
        "X-Robots-Tag: noindex",
        "x-robots-tag: noai",
        "TDM-Reservation: 1",
        "tdm-policy: https://example.org/p",
        "Link: <a>; rel=x",
        "Link: <b>",
    )
    data = record(
        block,
        n=7,
        WARC_Truncated="length",
        WARC_Payload_Digest="sha1:ABC",
        WARC_Target_URI="<http://example.org/a b>",
    )
    source = write(tmp_path, gz(record(b"software: x\r\n", "warcinfo")) + gz(data))
    found = batches(source, engine=engine)
    assert kinds(found) == ["type:warcinfo"]
    assert found[0].table.schema.equals(schema.PAGE)
    (row,) = rows(found)
    offset = len(gz(record(b"software: x\r\n", "warcinfo")))
    assert row.pop("record") == {
        "file": "a.warc.gz",
        "offset": offset,
        "record_id": "urn:uuid:00000000-0000-0000-0000-000000000007",
        "date": "2024-05-06T07:08:09Z",
        "status": 200,
        "content_type": "text/html; charset=utf-8",
        "digest": "sha1:ABC",
        "truncated": "length",
        "x_robots_tag": "noindex, noai",
        "tdm_reservation": "1",
        "tdm_policy": "https://example.org/p",
        "link": "<a>; rel=x, <b>",
    }
    assert row == {
        "id": page_id("a.warc.gz", "urn:uuid:00000000-0000-0000-0000-000000000007", offset, 0),
        "url": "http://example.org/a%20b",
        "payload": HTML,
        "payload_kind": "html",
    }


@pytest.mark.parametrize(
    ("data", "payload_kind"),
    [
        (record(http(HTML)), "html"),
        (record(http(HTML, content_type="application/xhtml+xml")), "html"),
        (record(http(HTML, content_type="TEXT/HTML;charset=x")), "html"),
        (record(http(HTML, content_type=None)), "html"),
        (record(http(b"just text", content_type="text/plain")), "text"),
        (record(http(b"no tags", content_type=None), WARC_Identified_Payload_Type="text/html"), "html"),
        (record(b"plain words", "conversion"), "text"),
        (record(HTML, "resource"), "html"),
        (record(http(HTML, "200")), "html"),
        (record(http(HTML)).replace(b"\r\n", b"\n"), "html"),
        (record(http(HTML)).replace(b"WARC/1.0", b"warc/1.1"), "html"),
    ],
)
def test_pages(tmp_path: Path, data: bytes, payload_kind: str) -> None:
    if b"\r\n" not in data:
        body = http(HTML).replace(b"\r\n", b"\n")
        data = data.replace(b"Content-Length: %d" % len(http(HTML)), b"Content-Length: %d" % len(body))
    for engine in ENGINES:
        found, none = one(tmp_path, data, engine=engine)
        assert none == []
        assert [row["payload_kind"] for row in found] == [payload_kind]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (record(b"x", "request"), "type:request"),
        (record(b"x", "metadata"), "type:metadata"),
        (record(b"x", "revisit"), "type:revisit"),
        (record(b"x", "my-own-type"), "type:unknown"),
        (record(b"x", WARC_Type=""), "type:none"),
        (record(http(HTML, "404 Not Found")), "status:404"),
        (record(http(HTML, "999 x")), "status:invalid"),
        (record(http(HTML, content_type="image/png")), "media_type:image/png"),
        (record(http(HTML, content_type="a b c")), "media_type:invalid"),
        (record(http(b"\x00\x01\x02", content_type=None)), "media_type:none"),
        (record(http(b"")), "empty_payload"),
        (record(b""), "empty_payload"),
        (record(b"<html>no HTTP header"), "bad_http_header"),
        (record(b"HTTP/1.1 200 OK\r\nContent-Type: text/html"), "bad_http_header"),
        (record(b"1.2.3.4", Content_Type="text/dns"), "media_type:text/dns"),
        (record(http(HTML), WARC_Segment_Number="1"), "segmented"),
        (record(http(HTML), Content_Length=""), "bad_warc_header"),
        (record(http(HTML), Content_Length="12x"), "bad_content_length"),
        (record(http(HTML), Content_Length="-5"), "bad_content_length"),
        (record(http(HTML), Content_Length="9" * 40), "bad_content_length"),
        (b"<html>this is no WARC at all</html>", "garbage"),
    ],
)
def test_skips(tmp_path: Path, data: bytes, kind: str) -> None:
    for engine in ENGINES:
        assert one(tmp_path, data, engine=engine) == ([], [kind])


def test_options_select(tmp_path: Path) -> None:
    data = record(http(HTML, "404 Not Found", "text/calendar"))
    found, none = one(tmp_path, data, statuses=(404,), html_types=(), text_types=("text/calendar",))
    assert [row["payload_kind"] for row in found] == ["text"]
    assert found[0]["record"]["status"] == 404
    assert none == []


def _raw_deflate(body: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(body) + engine.flush()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (chunked(HTML), ["Transfer-Encoding: chunked"]),
        (chunked(HTML).replace(b"\r\n", b";ext=1\r\n", 1), ["Transfer-Encoding: Chunked"]),
        (chunked(HTML)[: -len(b"0\r\n\r\n")], ["Transfer-Encoding: chunked"]),
        (HTML, ["Transfer-Encoding: chunked"]),
        (b"abc: no size\r\n" + HTML, ["Transfer-Encoding: chunked"]),
        (packed(HTML), ["Content-Encoding: gzip"]),
        (packed(HTML[:50]) + packed(HTML[50:]), ["Content-Encoding: x-gzip"]),
        (zlib.compress(HTML), ["Content-Encoding: deflate"]),
        (_raw_deflate(HTML), ["Content-Encoding: deflate"]),
        (brotli.compress(HTML), ["Content-Encoding: br"]),
        (zstandard.compress(HTML), ["Content-Encoding: zstd"]),
        (chunked(packed(HTML)), ["Transfer-Encoding: chunked", "Content-Encoding: gzip"]),
        (brotli.compress(packed(HTML)), ["Content-Encoding: gzip, br"]),
        (HTML, ["Content-Encoding: gzip"]),
        (HTML, ["Content-Encoding: br"]),
        (HTML, ["Content-Encoding: deflate"]),
        (HTML, ["Content-Encoding: zstd"]),
        (HTML, ["Content-Encoding: utf-8"]),
        (HTML, ["X-Crawl-Content-Encoding: gzip", "X-Crawl-Transfer-Encoding: chunked"]),
    ],
)
def test_encodings_undone(tmp_path: Path, body: bytes, headers: list[str]) -> None:
    found, none = one(tmp_path, record(http(body, "200 OK", "text/html", *headers)))
    assert none == []
    expected = body if body.startswith(b"abc: no") else HTML
    assert [row["payload"] for row in found] == [expected]


@pytest.mark.parametrize(
    ("body", "headers", "kind"),
    [
        (chunked(HTML)[:-60], ["Transfer-Encoding: chunked"], "bad_chunked"),
        (chunked(HTML, 100).replace(b"\r\n64\r\n", b"\r\nzz\r\n", 1), ["Transfer-Encoding: chunked"], "bad_chunked"),
        (packed(HTML)[:-20], ["Content-Encoding: gzip"], "bad_content_encoding"),
        (packed(HTML)[:-8] + b"12345678", ["Content-Encoding: gzip"], "bad_content_encoding"),
        (brotli.compress(HTML)[:-9], ["Content-Encoding: br"], "bad_brotli"),
        (b"\xff\xff\x01\x02" * 9, ["Content-Encoding: br"], "bad_brotli"),
        (zstandard.compress(HTML)[:9] + b"\xff" * 30, ["Content-Encoding: zstd"], "bad_content_encoding"),
        (b"\x1f\x9d\x90", ["Content-Encoding: compress"], "bad_content_encoding"),
        (b"0\r\n\r\n", ["Transfer-Encoding: chunked"], "empty_payload"),
    ],
)
def test_damaged_encodings(tmp_path: Path, body: bytes, headers: list[str], kind: str) -> None:
    data = gz(record(http(body, "200 OK", "text/html", *headers))) + gz(page(1))
    found = batches(write(tmp_path, data))
    assert kinds(found) == [kind]
    assert len(rows(found)) == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (chunked(HTML)[:-60], ["Transfer-Encoding: chunked"]),
        (packed(HTML * 9)[:-12], ["Content-Encoding: gzip"]),
        (chunked(packed(HTML * 9), 20)[:-60], ["Transfer-Encoding: chunked", "Content-Encoding: gzip"]),
        (brotli.compress(HTML)[:-3], ["Content-Encoding: br"]),
    ],
)
def test_prefix_of_a_record_marked_as_cut_is_kept(tmp_path: Path, body: bytes, headers: list[str]) -> None:
    found, none = one(tmp_path, record(http(body, "200 OK", "text/html", *headers), WARC_Truncated="length"))
    assert none == []
    assert len(found[0]["payload"]) > 0
    assert (HTML * 9).startswith(found[0]["payload"])


@pytest.mark.parametrize("encode", [gzip.compress, brotli.compress, zstandard.compress, zlib.compress])
def test_encoding_bombs_are_too_large(tmp_path: Path, encode) -> None:
    name = {gzip.compress: "gzip", brotli.compress: "br", zstandard.compress: "zstd", zlib.compress: "deflate"}[encode]
    block = http(encode(bytes(8 << 20)), "200 OK", "text/html", f"Content-Encoding: {name}")
    assert one(tmp_path, record(block), max_payload_bytes=1 << 20) == ([], ["too_large"])


def test_one_chunk_is_no_copy_and_chunk_sizes_are_hexadecimal() -> None:
    assert unchunked(b"1A\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", cut=False) == b"x" * 26


def test_sniffing_follows_the_standard() -> None:
    for sign in (b"<!DOCTYPE HTML>", b"\xef\xbb\xbf <html>", b"<!-- c", b"\n<P>", b"\xff\xfe<\0h\0t\0m\0l\0>\0"):
        assert looks_like_html(sign), sign
    for other in (b"<?xml version='1.0'?><rss>", b"%PDF-1.4", b"plain", b"<paragraph>", b""):
        assert not looks_like_html(other), other


def test_same_record_id_twice_gives_two_ids(tmp_path: Path) -> None:
    copies = [record(http(b"<html>%d" % k), n=5) for k in range(3)]
    separate = rows(batches(write(tmp_path, b"".join(map(gz, copies)), "s.warc.gz"), split_bytes=100))
    joined = rows(batches(write(tmp_path, gz(b"".join(copies)), "j.warc.gz")))
    plain = rows(batches(write(tmp_path, b"".join(copies), "p.warc")))
    for found in (separate, joined, plain):
        assert len(found) == 3
        assert len({row["id"] for row in found}) == 3
        assert {row["record"]["record_id"] for row in found} == {"urn:uuid:00000000-0000-0000-0000-000000000005"}


def test_id_does_not_depend_on_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    here, there = write(tmp_path, gz(page(1))), write(tmp_path / "x", gz(page(1)))
    assert rows(batches(here)) == rows(batches(there))


def test_batches_are_bounded(tmp_path: Path) -> None:
    source = write(tmp_path, b"".join(gz(page(n, "x" * 1000)) for n in range(100)))
    assert {batch.table.num_rows for batch in batches(source, batch_rows=10)} == {10}
    assert max(batch.table.num_rows for batch in batches(source, batch_bytes=5000)) == 5


def test_unknown_engine_names_the_nearest(tmp_path: Path) -> None:
    source = write(tmp_path, gz(page(1)))
    with pytest.raises(ConfigError, match="fastwarc"):
        list(read_pages(Split(source, 0, source.size), engine="fastwrac"))


def test_missing_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    source = write(tmp_path, gz(page(1)))
    Path(source.path).unlink()
    with pytest.raises(ConfigError, match=r"a\.warc\.gz"):
        list(read_pages(Split(source, 0, source.size)))


def test_hostile_header_values_do_not_make_new_kinds(tmp_path: Path) -> None:
    values = ["image/" + "x" * 500, "a/b/c", "../..", "x\ty", "\u202e/x"]
    data = b"".join(
        gz(record(http(HTML, "200 OK", None, f"Content-Type: {v}"[:600].encode().decode("latin-1")))) for v in values
    )
    found = batches(write(tmp_path, data))
    assert {skip.kind for skip in skips(found)} == {"media_type:invalid"}
