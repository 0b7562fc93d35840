"""Splits: whatever their size, together they hold each record once, in every format."""

from __future__ import annotations

import bz2
import random
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.warc import Source, Split, plan_splits, read_pages

from .test_warc_build import batches, gz, http, kinds, page, record, rows, skips, write

SIZES = (1, 7, 61, 100, 1000, 5000, 20_000, 70_000, 1 << 20)


def whole_and_cut(source: Source, split_bytes: int) -> None:
    """Splits of this size give what the whole file gives, in the same order."""
    whole, cut = batches(source), batches(source, split_bytes)
    assert rows(cut) == rows(whole)
    assert skips(cut) == skips(whole)


def pages(count: int, seed: int = 1) -> list[bytes]:
    random.seed(seed)
    return [page(n, random.randbytes(random.choice([5, 200, 2000])).hex()) for n in range(count)]


def test_plan_is_a_partition_that_depends_on_sizes_only() -> None:
    sources = [Source("/nowhere/a", "a", 100), Source("/nowhere/b", "b", 0), Source("/nowhere/c", "c", 7)]
    for split_bytes in (1, 3, 7, 50, 99, 100, 1000):
        plan = plan_splits(sources, split_bytes)
        assert plan == plan_splits(sources, split_bytes)
        for source in sources:
            own = [split for split in plan if split.source is source]
            assert own[0].start == 0
            assert own[-1].end == source.size
            assert all(a.end == b.start for a, b in zip(own, own[1:], strict=False))
    with pytest.raises(ConfigError, match="split_bytes"):
        plan_splits(sources, 0)


@pytest.mark.parametrize("split_bytes", SIZES)
def test_gzip_and_plain(tmp_path: Path, split_bytes: int) -> None:
    some = pages(30 if split_bytes > 50 else 4)
    source = write(tmp_path, b"".join(map(gz, some)))
    whole_and_cut(source, split_bytes)
    assert len(rows(batches(source))) == len(some)
    if 100 <= split_bytes <= 1000:
        used = [split for split in plan_splits([source], split_bytes) if any(b.records for b in read_pages(split))]
        assert len(used) > 5, "the work is shared"
    plain = write(tmp_path, b"".join(some), "a.warc")
    whole_and_cut(plain, split_bytes)
    assert len(rows(batches(plain))) == len(some)


@pytest.mark.parametrize("level", [0, 1, 6])
def test_warc_in_a_payload_is_not_read_as_records(tmp_path: Path, level: int) -> None:
    """A payload that is a .warc.gz lies in stored blocks of the outer member: its members look just like the file's."""
    random.seed(5)
    inner = b"".join(gz(page(1000 + n, random.randbytes(900).hex())) for n in range(150))
    carrier = record(http(inner, content_type="application/warc"), n=1)
    data = b"".join([gz(page(0)), gz(carrier, level), gz(page(2)), gz(carrier, level)])
    assert (inner[:500] in data) or level, "at level 0 the inner file is there byte for byte"
    source = write(tmp_path, data)
    for split_bytes in (997, 10_000, 33_333, 70_000, 100_001, 1 << 30):
        found = batches(source, split_bytes)
        assert [row["url"] for row in rows(found)] == ["http://example.org/0", "http://example.org/2"], split_bytes
        assert kinds(found) == ["media_type:application/warc"] * 2
    plain_carrier = record(http(b"".join(pages(50)), content_type="application/warc"), n=1)
    plain = write(tmp_path, page(0) + plain_carrier + page(2), "a.warc")
    for split_bytes in (100, 5000, 1 << 30):
        assert [row["url"][-2:] for row in rows(batches(plain, split_bytes))] == ["/0", "/2"]


def test_single_member_gzip_belongs_to_the_first_split(tmp_path: Path) -> None:
    source = write(tmp_path, gz(b"".join(pages(50))))
    for split_bytes in (100, 1000, 10_000):
        whole_and_cut(source, split_bytes)
    plan = plan_splits([source], 1000)
    assert [sum(b.records for b in read_pages(split)) for split in plan] == [50] + [0] * (len(plan) - 1)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    st.integers(1, 3000),
    st.booleans(),
)
def test_any_file_any_damage_any_size(
    tmp_path: Path,
    shapes: list[tuple[int, bool]],
    damage: list[tuple[int, int]],
    split_bytes: int,
    packed: bool,
) -> None:
    parts = [page(n, "ab " * size) for n, (size, _) in enumerate(shapes)]
    data = bytearray(b"".join(gz(p, 0 if shapes[n][1] else 6) if packed else p for n, p in enumerate(parts)))
    for place, value in damage:
        data[place % len(data)] = value
    whole_and_cut(write(tmp_path, bytes(data), "x"), split_bytes)


ARC_HEAD = (
    b"filedesc://x.arc 0.0.0.0 20080430204825 text/plain 75\n1 0 InternetArchive\n"
    b"URL IP-address Archive-date Content-type Archive-length\n\n"
)


def arc_record(n: int, body: bytes) -> bytes:
    return b"http://example.org/%d 1.2.3.4 20080430204825 text/html %d\n%s\n" % (n, len(body), body)


@pytest.mark.parametrize("packed", [False, True])
def test_arc(tmp_path: Path, packed: bool) -> None:
    """ARC version 1: columns come from the URL-record line; warcio is the oracle for the bodies."""
    from warcio.archiveiterator import ArchiveIterator

    parts = [ARC_HEAD, *(arc_record(n, http(b"<html>arc page %d" % n + b"x" * 300)) for n in range(8))]
    source = write(tmp_path, b"".join(map(gz, parts)) if packed else b"".join(parts), "x.arc")
    for split_bytes in (50, 333, 2000):
        whole_and_cut(source, split_bytes)
    found = batches(source)
    assert kinds(found) == ["type:warcinfo"]
    with open(source.path, "rb") as file:
        oracle = [one.content_stream().read() for one in ArchiveIterator(file, arc2warc=True)][1:]
    assert [row["payload"] for row in rows(found)] == oracle
    first = rows(found)[0]
    assert first["url"] == "http://example.org/0"
    assert first["record"]["date"] == "2008-04-30T20:48:25Z"
    assert first["record"]["status"] == 200
    assert first["record"]["record_id"] is None


def test_arc_damage_costs_one_record(tmp_path: Path) -> None:
    parts = [ARC_HEAD, *(arc_record(n, http(b"<html>arc page %d" % n + b"x" * 300)) for n in range(5))]
    lying = parts[2].replace(b"text/html 3", b"text/html 9")
    assert lying != parts[2]
    found = batches(write(tmp_path, b"".join([*parts[:2], lying, *parts[3:]]), "x.arc"))
    assert [row["url"][-1] for row in rows(found)] == ["0", "2", "3", "4"]
    assert kinds(found) == ["type:warcinfo", "bad_content_length"]


def _zstd(parts: list[bytes], dictionary: bytes | None) -> bytes:
    known = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    frames = [zstandard.ZstdCompressor(dict_data=known, write_checksum=True).compress(p) for p in parts]
    if not dictionary:
        return b"".join(frames)
    packed = zstandard.compress(dictionary)
    return b"\x5d\x2a\x4d\x18" + len(packed).to_bytes(4, "little") + packed + b"".join(frames)


@pytest.mark.parametrize("with_dictionary", [False, True])
def test_zstd_frames(tmp_path: Path, with_dictionary: bool) -> None:
    parts = pages(40)
    dictionary = zstandard.train_dictionary(4096, parts * 5).as_bytes() if with_dictionary else None
    data = _zstd(parts, dictionary)
    source = write(tmp_path, data, "a.warc.zst")
    whole_and_cut(source, 3000)
    assert [row["payload"] for row in rows(batches(source))] == [p.split(b"\r\n\r\n")[2] for p in parts]
    offsets = [row["record"]["offset"] for row in rows(batches(source))]
    assert offsets == sorted(set(offsets))
    assert all(data[at : at + 4] == b"\x28\xb5\x2f\xfd" for at in offsets)
    broken = bytearray(data)
    broken[offsets[11] - 9] ^= 0x10
    found = batches(write(tmp_path, bytes(broken), "b.warc.zst"))
    assert [int(row["url"].rsplit("/", 1)[1]) for row in rows(found)] == [n for n in range(40) if n != 10]
    assert kinds(found) == ["corrupt_zstd"]
    assert kinds(batches(write(tmp_path, data[:-5], "c.warc.zst"))) == ["truncated"]


def _lz4(data: bytes, path: Path) -> bytes:
    from fastwarc.stream_io import Lz4Writer

    with open(path, "wb") as file:
        writer = Lz4Writer(file)
        writer.write(data)
        writer.close()
    return path.read_bytes()


def test_bzip2_and_lz4(tmp_path: Path) -> None:
    text = b"".join(pages(20))
    for name, data in (("bz2", bz2.compress(text)), ("lz4", _lz4(text, tmp_path / "raw"))):
        source = write(tmp_path, data, f"a.warc.{name}")
        whole_and_cut(source, 999)
        assert len(rows(batches(source))) == 20, name
        cut = batches(write(tmp_path, data[: len(data) * 2 // 3], f"b.warc.{name}"))
        assert kinds(cut) and len(rows(cut)) < 20


def test_wacz_offsets_lead_into_the_zip_file(tmp_path: Path) -> None:
    parts = pages(6)
    path = tmp_path / "a.wacz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("datapackage.json", "{}")
        archive.writestr("archive/data.warc.gz", b"".join(map(gz, parts)))
        archive.writestr("archive/plain.warc", page(50))
        archive.writestr(zipfile.ZipInfo("archive/deflated.warc"), page(60), zipfile.ZIP_DEFLATED)
    source = Source(str(path), "a.wacz", path.stat().st_size)
    found = batches(source, 500)
    assert [int(row["url"].rsplit("/", 1)[1]) for row in rows(found)] == [0, 1, 2, 3, 4, 5, 50]
    data = path.read_bytes()
    for n, row in enumerate(rows(found)[:6]):
        assert data[row["record"]["offset"] :].startswith(gz(parts[n]))
    assert kinds(found) == ["unsupported:zip"]
    broken = data.replace(b"PK\x01\x02", b"PK\x00\x00")
    assert kinds(batches(write(tmp_path, broken, "b.wacz"))) == ["corrupt_zip"]


def test_format_is_told_by_content(tmp_path: Path) -> None:
    parts = pages(5)
    expected = [p.split(b"\r\n\r\n")[2] for p in parts]
    for data in (b"".join(parts), b"".join(map(gz, parts)), bz2.compress(b"".join(parts)), _zstd(parts, None)):
        assert [row["payload"] for row in rows(batches(write(tmp_path, data, "no-ending")))] == expected


def test_split_past_the_end_is_empty(tmp_path: Path) -> None:
    source = write(tmp_path, gz(page(1)))
    assert list(read_pages(Split(source, source.size, source.size + 5))) == []
