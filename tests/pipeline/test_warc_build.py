"""Builders of WARC files for the tests of the WARC source, written against ISO 28500 without the code under test."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

from pipeline.warc import PageBatch, Skip, Source, plan_splits, read_pages

CRLF = b"\r\n"


def http(body: bytes, status: str = "200 OK", content_type: str | None = "text/html", *more: str) -> bytes:
    """An HTTP response."""
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {content_type}"] if content_type else []), *more]
    return "\r\n".join(lines).encode("latin-1") + CRLF * 2 + body


def record(block: bytes, kind: str = "response", n: int = 0, length: int | None = None, **fields: str) -> bytes:
    """A WARC record; `length` lies about the block's, `fields` add or replace headers (`_` stands for `-`)."""
    head = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:00000000-0000-0000-0000-{n:012d}>",
        "WARC-Date": "2024-05-06T07:08:09Z",
        "WARC-Target-URI": f"http://example.org/{n}",
        "Content-Type": {"response": "application/http; msgtype=response", "conversion": "text/plain"}.get(
            kind, "text/html" if kind == "resource" else "application/warc-fields"
        ),
        "Content-Length": str(len(block) if length is None else length),
    }
    head.update({name.replace("_", "-"): value for name, value in fields.items()})
    lines = ["WARC/1.0", *(f"{name}: {value}" for name, value in head.items() if value != "")]
    return "\r\n".join(lines).encode() + CRLF * 2 + block + CRLF * 2


def page(n: int, text: str = "") -> bytes:
    """A response record whose body names `n`."""
    return record(http(f"<html><body>page {n} {text}</body></html>".encode()), n=n)


def gz(data: bytes, level: int = 6) -> bytes:
    """One gzip member."""
    return gzip.compress(data, level, mtime=0)


def write(folder: Path, data: bytes, name: str = "a.warc.gz") -> Source:
    """A source with this content."""
    path = folder / name
    path.write_bytes(data)
    return Source(str(path), name, len(data))


def batches(source: Source, split_bytes: int = 1 << 40, **options: object) -> list[PageBatch]:
    """All batches of a source, with the accounting checked."""
    result: list[PageBatch] = []
    for split in plan_splits([source], split_bytes):
        for batch in read_pages(split, **options):  # type: ignore[arg-type]
            assert batch.records == batch.table.num_rows + len(batch.skips)
            result.append(batch)
    return result


def rows(found: Iterable[PageBatch]) -> list[dict]:
    """All page rows."""
    return [row for batch in found for row in batch.table.to_pylist()]


def skips(found: Iterable[PageBatch]) -> list[Skip]:
    """All skips."""
    return [skip for batch in found for skip in batch.skips]


def kinds(found: Iterable[PageBatch]) -> list[str]:
    """The kinds of all skips, in order."""
    return [skip.kind for skip in skips(found)]


def test_builder_is_read_by_warcio(tmp_path: Path) -> None:
    """The builder's files are WARC to an independent reader, so the other tests rest on something."""
    from warcio.archiveiterator import ArchiveIterator

    source = write(tmp_path, gz(page(1)) + gz(page(2)))
    with open(source.path, "rb") as file:
        bodies = [one.content_stream().read() for one in ArchiveIterator(file)]
    assert bodies == [f"<html><body>page {n} </body></html>".encode() for n in (1, 2)]
