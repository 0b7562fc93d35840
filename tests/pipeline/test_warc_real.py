"""Every real file: no exception, no hang, every record accounted for; healthy ones as warcio reads them."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.warc import Source
from pipeline.warc.pages import HTML_TYPES, TEXT_TYPES

from .test_warc_build import batches, rows, skips

DAMAGE = ("bad_", "corrupt_", "garbage", "truncated", "unsupported")


def source_of(path: Path) -> Source:
    return Source(str(path), path.name, path.stat().st_size)


def warcio_records(path: Path) -> list[tuple[str, str | None, str | None, bytes]] | None:
    """(type, WARC-Record-ID, HTTP status, body without transfer and content encoding) by warcio, None if it fails."""
    from warcio.archiveiterator import ArchiveIterator

    found = []
    with open(path, "rb") as file, contextlib.suppress(ImportError):
        try:
            for one in ArchiveIterator(file, arc2warc=True):
                status = one.http_headers.get_statuscode() if one.http_headers else None
                record_id = one.rec_headers.get_header("WARC-Record-ID")
                found.append((one.rec_type, record_id and record_id.strip("<>"), status, one.content_stream().read()))
        except Exception:
            return None
    return found


@pytest.mark.timeout(240)
def test_every_fixture(shared_data: Path) -> None:
    manifest = json.loads((shared_data / "warc" / "manifest.json").read_text())
    assert len(manifest) > 300
    agreeing = 0
    for entry in manifest:
        path = shared_data / entry["file"]
        source = source_of(path)
        whole = batches(source)
        found, left = rows(whole), skips(whole)
        assert len({row["id"] for row in found}) == len(found), entry["file"]
        if source.size < 120_000 and path.name != "bench.warc.bz2":  # which is 512 MiB of one letter
            assert [(rows(b), skips(b)) for b in [batches(source, engine="warcio")]] == [(found, left)], entry["file"]
            for split_bytes in (max(97, source.size // 15), max(1, source.size // 3)):
                cut = batches(source, split_bytes)
                assert (rows(cut), skips(cut)) == (found, left), (entry["file"], split_bytes)
        if entry["warcio_error"] or any(skip.kind.startswith(DAMAGE) for skip in left) or not entry["records"]:
            continue
        oracle = warcio_records(path)
        if oracle is None:
            continue
        if len(oracle) != len(found) + len(left):
            assert entry["file"].rsplit("/", 1)[1] in OTHER_COUNTS, (entry["file"], len(oracle), len(found), len(left))
            continue
        agreeing += 1
        if path.suffix.lower() == ".arc" or path.name in OTHER_BODIES:
            continue
        bodies = Counter(body for *_, body in oracle)
        for row in found:
            assert bodies[row["payload"]] > 0, (entry["file"], row["url"])
    assert agreeing > 190


OTHER_COUNTS = {
    "2-metadata-1.arc",  # one record holds CDX lines, which warcio takes for 43 records
    "30-metadata-4.arc",  # a record of 0 bytes before the first: warcio doesn't see it
    "test.warc",  # blank lines before the first record: warcio stops after it
}
"""Files in which warcio counts other records; looked at by eye, ours are right."""

OTHER_BODIES = {
    "fb.warc.gz",  # zstd content encoding, which warcio leaves as it is
    "example.com.warc",  # HTTP responses with file: URLs, whose HTTP header warcio leaves in the body
}
"""Files in which warcio has other bodies, and why. (In ARC fixtures HTTP headers are overwritten with X's.)"""


@pytest.mark.timeout(240)
def test_every_html_file_has_all_its_pages(shared_data: Path) -> None:
    """Exactly the payloads that each file's index lists by SHA-1, none skipped."""
    import hashlib

    total = 0
    for path in sorted((shared_data / "html").glob("*.warc.gz")):
        if path.stat().st_size > 10_000_000:
            continue
        index = path.with_name(path.name.replace(".warc.gz", ".index.jsonl.gz"))
        entries = [json.loads(line) for line in gzip.decompress(index.read_bytes()).splitlines()]
        whole = batches(source_of(path))
        assert skips(whole) == [], path.name
        ours = Counter(hashlib.sha1(row["payload"]).hexdigest() for row in rows(whole))
        assert ours == Counter(entry["sha1"] for entry in entries), path.name
        total += sum(ours.values())
    assert total == 5777


def test_media_types_that_are_pages_are_what_browsers_show_as_text() -> None:
    assert set(HTML_TYPES) | set(TEXT_TYPES) == {"text/html", "application/xhtml+xml", "text/plain"}


@pytest.mark.timeout(120)
def test_large_file_in_many_splits(shared_data: Path) -> None:
    """wcxb in 4 MiB splits: the same ids as in one go, and every split has its share."""
    source = source_of(shared_data / "html" / "wcxb.warc.gz")
    whole = [i for batch in batches(source) for i in batch.table["id"].to_pylist()]
    assert len(whole) == len(set(whole)) == 1430
    cut = batches(source, 4 << 20)
    assert [i for batch in cut for i in batch.table["id"].to_pylist()] == whole
