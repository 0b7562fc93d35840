"""One bad record costs one record: damage at every place of small files, lying lengths, bombs, foreign bytes."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from pathlib import Path

import pytest

from pipeline.errors import StepFailed
from pipeline.warc import Source, Split, members, read_pages
from pipeline.warc import ranged as ranged_module

from .test_warc_build import batches, gz, http, kinds, page, record, rows, skips, write

N = 5
MEMBERS = [gz(page(n, "some words " * n)) for n in range(N)]
RECORDS = [page(n, "some words " * n) for n in range(N)]
STARTS = [sum(map(len, MEMBERS[:k])) for k in range(N + 1)]


def numbers(found) -> list[int]:
    """Which of the numbered pages came out whole."""
    whole = {row["payload"]: n for n in range(N) for row in [{"payload": RECORDS[n].split(b"\r\n\r\n")[2]}]}
    return [whole[row["payload"]] for row in rows(found) if row["payload"] in whole]


@pytest.fixture(params=["isal", "zlib"])
def inflater(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both gzip libraries, since the second stands in where the first isn't installed."""
    if request.param == "zlib":
        monkeypatch.setattr(members, "_make_inflater", zlib.decompressobj)
        monkeypatch.setattr(members, "INFLATE_ERRORS", (zlib.error,))
    elif members.INFLATER != "isal":
        pytest.skip("isal isn't installed")
    return str(request.param)


def test_gzip_truncated_at_every_byte(tmp_path: Path, inflater: str) -> None:
    data = b"".join(MEMBERS)
    for cut in range(len(data)):
        found = batches(write(tmp_path, data[:cut]))
        whole = sum(end <= cut for end in STARTS[1:])
        assert numbers(found) == list(range(whole)), cut
        rest = kinds(found)
        assert rest == [] if cut in STARTS else rest in (["truncated"], ["garbage"]), cut
        if cut not in STARTS:
            assert skips(found)[0].offset == STARTS[whole]
            assert rest == ["truncated"] or cut - STARTS[whole] < 3


def test_gzip_with_every_byte_changed(tmp_path: Path, inflater: str) -> None:
    data = b"".join(MEMBERS)
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << at % 7
        hit = max(k for k in range(N) if STARTS[k] <= at)
        found = batches(write(tmp_path, bytes(broken)))
        others = [n for n in range(N) if n != hit]
        assert [n for n in numbers(found) if n != hit] == others, at
        assert len(kinds(found)) <= 1, (at, skips(found))
        if hit not in numbers(found):
            assert [skip.offset for skip in skips(found)] == [STARTS[hit]], at
            assert kinds(found)[0] in ("corrupt_gzip", "garbage"), at


def test_plain_with_every_byte_changed(tmp_path: Path) -> None:
    data = b"".join(RECORDS)
    starts = [sum(map(len, RECORDS[:k])) for k in range(N)]
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 4
        hit = max(k for k in range(N) if starts[k] <= at)
        found = batches(write(tmp_path, bytes(broken), "a.warc"))
        assert [n for n in numbers(found) if n != hit] == [n for n in range(N) if n != hit], (at, skips(found))
        assert len(rows(found)) + len(skips(found)) == N, (at, skips(found))


def test_plain_truncated_at_every_byte(tmp_path: Path) -> None:
    data = b"".join(RECORDS)
    ends = [sum(map(len, RECORDS[: k + 1])) - 4 for k in range(N)]
    for cut in range(len(data)):
        found = batches(write(tmp_path, data[:cut], "a.warc"))
        whole = sum(end <= cut for end in ends)
        assert numbers(found) == list(range(whole)), cut
        left = data[:cut][ends[whole - 1] if whole else 0 :].strip()
        assert kinds(found) == (["truncated"] if left else []), cut


def test_damage_of_many_kinds_keeps_all_untouched_members(tmp_path: Path, inflater: str) -> None:
    random.seed(20240506)
    pieces = [gz(page(n, random.randbytes(random.choice([10, 300, 5000])).hex())) for n in range(40)]
    for _ in range(60):
        touched = set(random.sample(range(40), random.choice([1, 3, 10])))
        out = []
        for k, piece in enumerate(pieces):
            one = bytearray(piece)
            if k in touched:
                at = random.randrange(len(one))
                how = random.randrange(4)
                if how == 0:
                    one[at] ^= 1 << random.randrange(8)
                elif how == 1:
                    del one[at:]
                elif how == 2:
                    del one[at : at + random.randrange(1, 60)]
                else:
                    one[at:at] = random.randbytes(random.randrange(1, 60))
            out.append(bytes(one))
        source = write(tmp_path, b"".join(out))
        found = batches(source)
        came = {int(row["url"].rsplit("/", 1)[1]) for row in rows(found)}
        assert set(range(40)) - touched <= came
        whole = (rows(found), skips(found))
        for split_bytes in (997, source.size // 3):
            cut = batches(source, split_bytes)
            assert (rows(cut), skips(cut)) == whole


def test_both_inflaters_agree_on_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if members.INFLATER != "isal":
        pytest.skip("isal isn't installed")
    random.seed(7)
    files = []
    for k in range(150):
        data = bytearray(b"".join(MEMBERS) if k % 2 else gz(b"".join(RECORDS)))
        for _ in range(random.choice([1, 2, 5])):
            data[random.randrange(len(data))] = random.randrange(256)
        files.append(write(tmp_path, bytes(data), f"{k}.warc.gz"))
    first = [(rows(found), skips(found)) for found in map(batches, files)]
    monkeypatch.setattr(members, "_make_inflater", zlib.decompressobj)
    monkeypatch.setattr(members, "INFLATE_ERRORS", (zlib.error,))
    second = [(rows(found), skips(found)) for found in map(batches, files)]
    assert first == second


@pytest.mark.parametrize("wrong", [0, 1, 40, 10**3, 10**6, 10**12])
@pytest.mark.parametrize("packing", ["members", "plain", "one member"])
def test_lying_content_length_costs_one_record(tmp_path: Path, wrong: int, packing: str) -> None:
    block = http(b"<html>" + b"liar " * 60)
    all_records = [page(0), record(block, n=9, length=wrong), page(1), page(2)]
    if packing == "members":
        data = b"".join(map(gz, all_records))
    else:
        data = b"".join(all_records) if packing == "plain" else gz(b"".join(all_records))
    found = batches(write(tmp_path, data, "a.warc"))
    assert [row["url"][-1] for row in rows(found)] == ["0", "1", "2"]
    assert kinds(found) == ["bad_content_length"]


def test_content_length_a_little_long_takes_only_line_ends(tmp_path: Path) -> None:
    block = http(b"<html>body")
    found = batches(write(tmp_path, record(block, length=len(block) + 4) + page(1), "a.warc"))
    assert [row["payload"].rstrip() for row in rows(found)][0] == b"<html>body"
    assert len(rows(found)) == 2


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        (b"\0" * 5000, []),
        (b"\r\n\r\n", []),
        (b"what is this", ["garbage"]),
        (gz(b"a member, but no record"), ["garbage"]),
        (gz(b""), []),
        (b"\x1f\x8b\x08\x00 false magic", ["corrupt_gzip"]),
        (gz(b"x" * 100)[:-5], ["corrupt_gzip"]),
    ],
)
def test_foreign_bytes_between_members(tmp_path: Path, between: bytes, expected: list[str]) -> None:
    data = MEMBERS[0] + MEMBERS[1] + between + MEMBERS[2] + MEMBERS[3]
    for split_bytes in (1 << 30, 50):
        found = batches(write(tmp_path, data), split_bytes)
        assert numbers(found) == [0, 1, 2, 3]
        assert kinds(found) == expected


@pytest.mark.parametrize("tail", [b"\0" * 3000, b"\r\n"])
def test_padding_at_the_end_is_no_record(tmp_path: Path, tail: bytes) -> None:
    for data, name in ((b"".join(MEMBERS), "a.warc.gz"), (b"".join(RECORDS), "a.warc")):
        assert kinds(batches(write(tmp_path, data + tail, name))) == []


def test_record_across_members_is_read(tmp_path: Path) -> None:
    text = b"".join(RECORDS)
    data = b"".join(gz(text[k : k + 97]) for k in range(0, len(text), 97))
    for split_bytes in (1 << 30, 60):
        found = batches(write(tmp_path, data), split_bytes)
        assert numbers(found) == list(range(N))
        assert kinds(found) == []


def test_damage_late_in_one_member_keeps_the_records_before_it(tmp_path: Path, inflater: str) -> None:
    random.seed(3)
    texts = [page(n, random.randbytes(3000).hex()) for n in range(20)]
    data = bytearray(gz(b"".join(texts)))
    place = len(data) * 3 // 4
    data[place : place + 8] = bytes(8)
    found = batches(write(tmp_path, bytes(data)))
    came = [int(row["url"].rsplit("/", 1)[1]) for row in rows(found)]
    assert came[:13] == list(range(13))
    assert kinds(found) and "corrupt_gzip" in kinds(found)


@pytest.mark.timeout(60)
def test_decompression_bomb_is_left(tmp_path: Path) -> None:
    head = record(b"", n=1, length=4 << 30).removesuffix(b"\r\n\r\n")
    engine = zlib.compressobj(9, wbits=31)
    bomb = [engine.compress(head)]
    bomb += [engine.compress(bytes(1 << 24)) for _ in range(30)]
    bomb.append(engine.flush())
    source = write(tmp_path, MEMBERS[0] + b"".join(bomb) + MEMBERS[2])
    tracemalloc.start()
    found = batches(source, max_payload_bytes=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert numbers(found) == [0, 2]
    assert kinds(found) == ["too_large"]
    assert peak < 64 << 20


def test_large_records_are_passed_over_in_every_packing(tmp_path: Path) -> None:
    random.seed(1)
    big = record(http(random.randbytes(3 << 20)), n=8)
    for data, name in (
        (b"".join(map(gz, [RECORDS[0], big, RECORDS[1]])), "a.warc.gz"),
        (gz(RECORDS[0] + big + RECORDS[1]), "b.warc.gz"),
        (RECORDS[0] + big + RECORDS[1], "c.warc"),
    ):
        found = batches(write(tmp_path, data, name), max_payload_bytes=1 << 20)
        assert numbers(found) == [0, 1]
        assert kinds(found) == ["too_large"]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    random.seed(2)
    text = random.randbytes(20_000).hex()
    peaks = []
    for n in (50, 400):
        one = gz(b"".join(page(k, text) for k in range(n)), 1)
        source = write(tmp_path, one)
        tracemalloc.start()
        for batch in read_pages(Split(source, 0, source.size), batch_bytes=1 << 20):
            assert batch.records
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5
    assert peaks[1] < 16 << 20


def test_disk_errors_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path, b"".join(MEMBERS))

    def broken(self: object, offset: int, n: int) -> bytes:
        raise OSError("input/output error")

    monkeypatch.setattr(ranged_module.LocalFile, "read", broken)
    with pytest.raises(StepFailed, match="input/output error"):
        list(read_pages(Split(source, 0, source.size)))


def test_file_that_shrinks_is_no_damage(tmp_path: Path) -> None:
    source = write(tmp_path, b"".join(RECORDS) * 1000, "a.warc")
    reader = read_pages(Split(source, 0, source.size), batch_rows=5)
    next(reader)
    with open(source.path, "r+b") as file:
        file.truncate(len(RECORDS[0]))
    with pytest.raises(StepFailed, match="did it change"):
        list(reader)


def test_empty_file_has_no_records(tmp_path: Path) -> None:
    assert batches(write(tmp_path, b"")) == []
    assert batches(Source(write(tmp_path, b"").path, "x", 0)) == []
