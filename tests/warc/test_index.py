"""Single records through the columnar index and CDX: the rows of the whole files, no more bytes than they need."""

from __future__ import annotations

import contextlib
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import ConfigError, GristmillError, StepFailed
from pipeline.sources import WarcSource, sample_warc
from pipeline.warc import RecordSplit, Source, read_pages, records
from pipeline.warc.commoncrawl import columnar, find_records
from tests.commoncrawl_server import RELEASE, SEGMENT, TABLE, CommonCrawl, Fault, parquet
from tests.pipeline.test_warc_build import batches, rows

NAMES = [f"{SEGMENT}/warc/sample-0000{k}.warc.gz" for k in (0, 1)]
PART = f"{TABLE}/subset=warc/part-00001-0a1b.c000.gz.parquet"


@pytest.fixture(scope="module")
def everything() -> list[dict[str, Any]]:
    """The rows of the release's files, read whole from the disk."""
    found = []
    for name in NAMES:
        path = sample_warc() / Path(name).name
        found += rows(batches(Source(str(path), name, path.stat().st_size)))
    return found


def source(**options: Any) -> WarcSource:
    return WarcSource(inputs=(RELEASE,), **options)


def picked(**options: Any) -> list[dict[str, Any]]:
    made = source(**options)
    made.check()
    return rows(batch for split in made.splits(None) for batch in made.read(split))


CHOICES: list[tuple[dict[str, Any], str]] = [
    ({"domains": ("fellpath.example",)}, r"https?://([^/]*\.)?fellpath\.example(/|$)"),
    (
        {"domains": ("brevik-home.example", "oddities.example")},
        r"https?://([^/]*\.)?(brevik-home|oddities)\.example(/|$)",
    ),
    ({"urls": ("https://*.fellpath.example/outfitters/*",)}, r"https://([^/]*\.)?fellpath\.example/outfitters/"),
    ({"urls": ("*.example/forum/*",)}, r"https?://[^/]*\.example/forum/"),
]


@pytest.mark.parametrize("index", ["columnar", "cdx"])
@pytest.mark.parametrize(("choice", "regex"), CHOICES)
def test_picked_rows_are_those_of_the_whole_files(
    crawl: CommonCrawl, everything: list[dict[str, Any]], index: str, choice: dict[str, Any], regex: str
) -> None:
    """All columns: ids, offsets, dates, payloads; against a plain test of each URL."""
    indexed = {(row["warc_filename"], row["warc_record_offset"]) for row in crawl.index}
    expected = [
        row
        for row in everything
        if re.match(regex, row["url"] or "") and (row["record"]["file"], row["record"]["offset"]) in indexed
    ]
    assert len(expected) > 3
    assert picked(index=index, **choice) == expected


def test_splits_change_nothing(crawl: CommonCrawl, everything: list[dict[str, Any]]) -> None:
    small = source(domains=("example",), split_bytes=50_000)
    assert len(small.splits(None)) > 10
    assert picked(domains=("example",), split_bytes=50_000) == picked(domains=("example",))


def test_only_row_groups_that_can_match_are_fetched(crawl: CommonCrawl) -> None:
    find_records(RELEASE, ["fellpath.example"], [])
    tables = [r for r in crawl.requests if ".parquet" in r.path]
    assert not [r for r in tables if "robotstxt" in r.path]
    footers = [r for r in tables if r.range.startswith("bytes=-")]
    assert len(footers) == 3
    columns = [r for r in tables if r not in footers]
    sizes = sum(len(data) for name, data in crawl.files.items() if "subset=warc" in name)
    assert len({r.path for r in columns}) == 1 and sum(r.sent for r in columns) < sizes / 6
    crawl.forget()
    find_records(RELEASE, ["fellpath.example"], [])
    assert crawl.requests == [], "an answer is kept"
    find_records(RELEASE, ["oldstones.example"], [])
    assert not [r for r in crawl.requests if r.range.startswith("bytes=-")], "footers are kept"


@pytest.mark.parametrize("index", ["columnar", "cdx"])
def test_stopped_lookup_goes_on(crawl: CommonCrawl, index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.warc.commoncrawl.polite.MAX_WAIT_S", 0.01)
    broken = "part-00002" if index == "columnar" else "page=9"
    crawl.faults = [Fault(502, path=broken)] * 99
    if index == "columnar":
        crawl.faults = [Fault(path=broken), *crawl.faults]  # its footer comes
    with pytest.raises(StepFailed, match="502"):
        find_records(RELEASE, ["example"], [], index)
    done = {(r.path, r.range) for r in crawl.requests if r.status in (200, 206) and broken not in r.path}
    assert len(done) >= 5
    crawl.faults = []
    crawl.forget()
    assert find_records(RELEASE, ["example"], [], index).num_rows == 411
    again = {(r.path, r.range) for r in crawl.requests} & done
    assert len(again) <= 1, "at most the count of pages"


def test_neighbours_come_in_one_request(crawl: CommonCrawl, monkeypatch: pytest.MonkeyPatch) -> None:
    assert records.runs([(0, 10), (10, 5), (20, 5)]) == [[(0, 10), (10, 5), (20, 5)]]
    apart = 10 + records.MAX_GAP
    assert records.runs([(0, 10), (apart, 5), (2 * apart + 6, 5)]) == [[(0, 10), (apart, 5)], [(2 * apart + 6, 5)]]
    long = records.MAX_RUN
    assert records.runs([(0, long), (long, 5), (long + 5, 2 * long)]) == [
        [(0, long)],
        [(long, 5)],
        [(long + 5, 2 * long)],
    ]
    split = source(domains=("example",)).splits(None)[0]
    crawl.forget()
    whole = rows(read_pages(split))
    assert len(split.records) == 411 and len(crawl.seen("/warc/")) == 2
    monkeypatch.setattr(records, "MAX_GAP", -1)
    crawl.forget()
    assert rows(read_pages(split)) == whole
    assert len(crawl.seen("/warc/")) == 411


def test_only_successes_that_can_be_text(crawl: CommonCrawl) -> None:
    def change(row: dict[str, Any], number: int) -> dict[str, Any]:
        kinds = [
            {},
            {"fetch_status": 404},
            {"content_mime_type": "image/png", "content_mime_detected": "image/png"},
            {"content_mime_type": "image/png", "content_mime_detected": "text/html"},
            {"content_mime_type": "text/html", "content_mime_detected": "image/png"},
            {"content_mime_type": None, "content_mime_detected": "application/octet-stream"},
            {"content_mime_type": "unk", "content_mime_detected": "application/xml"},
        ]
        return row | kinds[number % 7]

    base = next(row for row in crawl.index if row["content_mime_type"] == "text/html")
    changed = [change(base | {"warc_record_offset": number}, number) for number in range(7)]
    crawl.index = changed
    crawl.list_files("cc-index-table", [PART])
    crawl.files[PART] = parquet(changed, 3)
    for index in ("columnar", "cdx"):
        found = find_records(RELEASE, ["example"], [], index)
        assert found["offset"].to_pylist() == [0, 3, 4, 5, 6]


def test_index_without_optional_columns_and_statistics(crawl: CommonCrawl) -> None:
    import pyarrow.parquet as pq

    for name in [name for name in crawl.files if "subset=warc" in name]:
        table = pq.read_table(pa.BufferReader(crawl.files[name]))
        table = table.drop_columns(["content_mime_type", "content_mime_detected", "fetch_status"])
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, write_statistics=False)
        crawl.files[name] = sink.getvalue().to_pybytes()
    assert find_records(RELEASE, ["fellpath.example"], []).num_rows == 11


def test_subset_of_files_and_errors(crawl: CommonCrawl, tmp_path: Path) -> None:
    first = picked(domains=("oddities.example",), warcs=1)
    assert first and {row["record"]["file"] for row in first} == {NAMES[0]}
    with pytest.raises(ConfigError, match="no pages of nowhere.example"):
        picked(domains=("nowhere.example",))
    with pytest.raises(ConfigError, match="no pages of nowhere.example"):
        picked(domains=("nowhere.example",), index="cdx")
    with pytest.raises(ConfigError, match="'crawl/' is none"):
        WarcSource(inputs=("crawl/",), domains=("a.example",)).splits(None)
    with pytest.raises(ConfigError, match="WARC files"):
        WarcSource(inputs=(f"{RELEASE}:wet",), domains=("a.example",)).splits(None)
    with pytest.raises(ConfigError, match="did you mean 'cdx'"):
        source(domains=("a.example",), index="cdxj").check()
    with pytest.raises(ConfigError, match="end of the host"):
        source(urls=("*/x",)).check()
    with pytest.raises(ConfigError, match="404"):
        find_records("CC-MAIN-1999-01", ["a.example"], [], "cdx")
    crawl.list_files("cc-index-table", [f"{TABLE}/subset=robotstxt/x.parquet"])
    with pytest.raises(ConfigError, match="no columnar index"):
        find_records(RELEASE, ["new.example"], [], cache_dir=tmp_path)


def test_fingerprint_is_that_of_the_records(crawl: CommonCrawl) -> None:
    """The same by either index; another choice is another input."""
    marks = [source(domains=("fellpath.example",), index=index).fingerprint() for index in ("columnar", "cdx")]
    assert marks[0] == marks[1] != source(domains=("oddities.example",)).fingerprint()
    assert "domains" not in source(domains=("fellpath.example",)).config()


EVIL = ["../../etc/passwd", "/etc/passwd", "http://evil.example/x.warc.gz", "crawl-data/../../x", "other/x.warc.gz"]
EVIL += ["crawl-data/a?b", "crawl-data//x", "crawl-data/\n", "crawl-data/%2e%2e/x"]


@pytest.mark.parametrize("index", ["columnar", "cdx"])
@pytest.mark.parametrize("evil", EVIL)
def test_rows_cannot_lead_elsewhere(crawl: CommonCrawl, index: str, evil: str) -> None:
    rows_ = [row | {"warc_filename": evil} for row in crawl.index[:3]]
    crawl.index = rows_
    crawl.list_files("cc-index-table", [PART])
    crawl.files[PART] = parquet(rows_, 3)
    with pytest.raises(ConfigError, match="leads elsewhere"):
        find_records(RELEASE, ["example"], [], index)


@pytest.mark.parametrize(("field", "value"), [("offset", -5), ("length", 0), ("length", -1), ("length", (1 << 30) + 1)])
def test_places_that_cannot_be(crawl: CommonCrawl, field: str, value: int) -> None:
    crawl.list_files("cc-index-table", [PART])
    crawl.files[PART] = parquet([crawl.index[0] | {f"warc_record_{field}": value}], 3)
    with pytest.raises(ConfigError, match="can't be"):
        find_records(RELEASE, ["example"], [])


def test_places_beyond_the_file_or_at_no_record(crawl: CommonCrawl) -> None:
    size = len(crawl.files[NAMES[0]])
    file = Source(f"{crawl.url}/{NAMES[0]}", NAMES[0], -1)
    for offset, length in ((size - 5, 10), (size + 5, 10), (0, size + 1)):
        with pytest.raises(StepFailed):
            list(read_pages(RecordSplit(file, (file,), ((0, offset, length),))))
    (batch,) = read_pages(RecordSplit(file, (file,), ((0, 1000, 500),)))
    assert batch.table.num_rows == 0 and [skip.kind for skip in batch.skips] == ["garbage"]


def test_damaged_index_files_never_end_the_process(
    crawl: CommonCrawl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random damage to footers and columns: rows, or an error that names the file; the child is what may die."""
    kept = columnar._Child()
    monkeypatch.setattr(columnar, "_Child", lambda: contextlib.nullcontext(kept))  # starting one takes a second
    good = crawl.files[PART]
    length = int.from_bytes(good[-8:-4], "little")
    draw = random.Random(7)
    crawl.list_files("cc-index-table", [PART])
    errors = 0
    for number in range(60):
        bad = bytearray(good)
        for _ in range(draw.choice([1, 3, 30])):
            place = draw.randrange(len(bad) - 8 - length, len(bad)) if number % 3 else draw.randrange(4, len(bad))
            bad[place] = draw.randrange(256)
        crawl.files[PART] = bytes(bad)
        try:
            find_records(RELEASE, ["example"], [], cache_dir=tmp_path / str(number))
        except GristmillError as error:
            errors += 1
            assert "part-00001" in str(error) or "columnar index" in str(error)
    assert errors >= 20
    kept.close()


def test_reader_that_dies_is_told_with_its_file(crawl: CommonCrawl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar._Child, "command", (sys.executable, "-c", "import os; os.abort()"))
    with pytest.raises(StepFailed, match=r"part-00000.*its reader died \(status -6\).*index: cdx"):
        find_records(RELEASE, ["example"], [])
    monkeypatch.setattr(columnar._Child, "command", (sys.executable, "-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(columnar, "TIMEOUT_S", 0.2)
    with pytest.raises(StepFailed, match=r"its reader died \(status -9\)"):
        find_records(RELEASE, ["example"], [])
    monkeypatch.undo()


@pytest.mark.parametrize(
    "bad", [b"", b"PAR1", b"x" * 100, b"x" * 92 + b"\xff\xff\xff\x7fPAR1", b"x" * 92 + bytes(4) + b"PAR1"]
)
def test_files_that_are_no_parquet(crawl: CommonCrawl, bad: bytes) -> None:
    crawl.list_files("cc-index-table", [PART])
    crawl.files[PART] = bad
    with pytest.raises(GristmillError, match="part-00001"):
        find_records(RELEASE, ["example"], [])


def test_missing_column_is_named(crawl: CommonCrawl) -> None:
    crawl.list_files("cc-index-table", [PART])
    crawl.files[PART] = parquet([{"url": "http://a.example/", "warc_filename": "x"}], 3)
    with pytest.raises(StepFailed, match="no columns warc_record_offset, warc_record_length, url_surtkey"):
        find_records(RELEASE, ["example"], [])


@pytest.mark.parametrize("line", [b"<html>", b"[1]", b'{"url": "x"}', b"[" * 100_000, json.dumps({"url": 5}).encode()])
def test_cdx_answers_that_make_no_sense(crawl: CommonCrawl, monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    answer = CommonCrawl.cdx
    pages = b'{"pages": 1}'
    monkeypatch.setattr(
        CommonCrawl, "cdx", lambda self, query: (200, pages if "showNumPages" in query else line + b"\n")
    )
    with pytest.raises(StepFailed, match="no capture"):
        find_records(RELEASE, ["example"], [], "cdx")
    pages = line
    with pytest.raises(StepFailed, match="not an answer"):
        find_records(RELEASE, ["example"], [], "cdx")
    monkeypatch.setattr(CommonCrawl, "cdx", answer)
