"""A few compressed bytes that stand for very many cost neither memory nor the run."""

from __future__ import annotations

import bz2
import gzip
import json
import subprocess
import sys
import tempfile
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard

from decontam import readers
from pipeline import documents, mapstep
from pipeline.documents import DocumentSplit, read_documents
from pipeline.warc import Source, reader, zstdframe
from pipeline.warc.payload import BadPayload, decoded
from pipeline.warc.ranged import Ranged
from pipeline.warc.streams import MemberStream
from tests.pipeline.test_warc_build import batches, gz, http, kinds, page, record, rows, write
from tests.pipeline.test_warc_splits import _lz4

PACKED: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}


def read(path: Path) -> list[Any]:
    return list(read_documents(DocumentSplit(str(path), path.name, path.stat().st_size)))


@pytest.mark.parametrize("token", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("levels", [1, 2, 5])
def test_chains_of_content_encodings(token: str, levels: int) -> None:
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}[token]
    body = bytes(8 << 20)
    for _ in range(levels):
        body = pack(body)
    with pytest.raises(BadPayload) as caught:
        decoded(body, [token] * levels, 1 << 20, cut=False)
    assert caught.value.kind == "too_large"


def test_a_chain_without_end_is_not_followed(tmp_path: Path) -> None:
    body = b"<html>deep"
    for _ in range(40):
        body = gzip.compress(body)
    found = batches(
        write(tmp_path, record(http(body, "200 OK", "text/html", "Content-Encoding: " + ", ".join(["gzip"] * 40))))
    )
    assert rows(found) == [] or rows(found)[0]["payload"][:2] == b"\x1f\x8b"  # 16 levels, and no more


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str) -> None:
    monkeypatch.setattr(documents, "MAX_LINE_BYTES", 1 << 20)
    monkeypatch.setattr(documents, "MAX_PASSED_OVER", 8 << 20)
    good = b'{"text": "good"}\n'
    long = b'{"text": "' + b"a" * (3 << 20) + b'"}\n'
    path = tmp_path / f"a.jsonl{packing}"
    path.write_bytes(PACKED[packing](good + long + good + b'{"text": "' + b"a" * (24 << 20)))
    (batch,) = read(path)
    assert batch.table["text"].to_pylist() == ["good", "good"]
    assert [(skip.kind, skip.offset) for skip in batch.skips] == [("too_large", 1), ("too_large", 3)]
    assert batch.records == 4


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_blank_lines_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str) -> None:
    monkeypatch.setattr(documents, "MAX_BLANK", 1 << 16)
    path = tmp_path / f"a.jsonl{packing}"
    path.write_bytes(PACKED[packing](b'{"text": "a"}\n' + b"\n" * 1000 + b'{"text": "b"}\n' + b"\n" * (1 << 20)))
    (batch,) = read(path)
    assert batch.table["text"].to_pylist() == ["a", "b"]
    assert [skip.kind for skip in batch.skips] == ["too_large"]


def test_lines_that_give_nothing_fill_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_SKIPS", 1000)
    monkeypatch.setattr(documents, "BATCH_BYTES", 1 << 20)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"0\n" * 10_500 + (b'{"text": "' + b"a" * 500_000 + b'"}\n') * 10))
    found = read(path)
    assert max(len(batch.skips) for batch in found) == 1000
    assert max(batch.table.nbytes for batch in found) < 3 << 20
    assert sum(batch.records for batch in found) == 10_510


def test_the_log_of_damage_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.recipe import build
    from tests.runs import run_recipe

    monkeypatch.setattr(mapstep, "MAX_LOGGED", 5)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a b c"}\n' * 30 + b"no json\n" * 20)
    steps = [{"gopher_quality": {}}]
    out = run_recipe(build({"source": {"documents": {"inputs": [str(path)]}}, "steps": steps}), tmp_path / "out")
    (log,) = out.glob("*/skips/*.jsonl")
    assert len(log.read_text().splitlines()) == 1 + 5
    assert '"bad_json": 20' in (out / "01-gopher_quality" / "manifest.json").read_text()


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_benchmark_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str) -> None:
    monkeypatch.setattr(readers, "MAX_LINE_BYTES", 1 << 20)
    monkeypatch.setattr(readers, "MAX_FILE_BYTES", 1 << 20)
    lines = tmp_path / f"a.jsonl{packing}"
    lines.write_bytes(PACKED[packing](b'{"question": "' + b"a" * (24 << 20) + b'"}\n{"question": "b"}\n'))
    first, second = readers.records(lines)
    assert first.problem is not None and first.problem.kind == "too_long" and second.record == {"question": "b"}
    for name in (f"a.json{packing}", f"a.csv{packing}"):
        (tmp_path / name).write_bytes(PACKED[packing](b'["' + b"a" * (24 << 20)))
        with pytest.raises(readers.BenchmarkError):
            list(readers.records(tmp_path / name))


HIGH_WATER = """
def high_water_mb():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024
"""
"""Most memory of a process since it began; getrusage's figure is at least that of the process that started it."""


def in_child(code: str) -> Any:
    """What some code prints as JSON, in a process of its own."""
    text = HIGH_WATER + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def read_in_child(source: Source) -> tuple[list[int], dict[str, int], int]:
    """(numbers of the pages, skips by kind, MB by which reading a file made a process grow)."""
    numbers, kinds, grown = in_child(f"""
        import collections, json
        from pipeline.warc import Source, read_pages, plan_splits
        source = Source({source.path!r}, "a.warc", {source.size})
        before = high_water_mb()
        numbers, kinds = [], collections.Counter()
        for split in plan_splits([source], 1 << 40):
            for batch in read_pages(split, max_payload_bytes=1 << 20):
                numbers += [int(url.rpartition("/")[2]) for url in batch.table["url"].to_pylist()]
                kinds.update(skip.kind for skip in batch.skips)
        print(json.dumps([numbers, kinds, high_water_mb() - before]))
    """)
    return numbers, kinds, grown


def zstd_window(log: int) -> Callable[[bytes], bytes]:
    """A packer whose frames ask for a window of 2^log bytes."""

    def pack(data: bytes) -> bytes:
        made = zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters.from_level(3, window_log=log)
        ).compressobj()
        return bytes(made.compress(data) + made.flush())

    return pack


def lz4(data: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return _lz4(data, Path(folder) / "raw")


plain_zstd = zstandard.ZstdCompressor().compress
MEMBERS = [
    pytest.param(gz, gz, "too_large", 60, id="gzip"),
    pytest.param(plain_zstd, plain_zstd, "too_large", 60, id="zstd"),
    pytest.param(plain_zstd, zstd_window(27), "too_large", 60 + 128, id="zstd, largest window"),
    pytest.param(plain_zstd, zstd_window(30), "corrupt_zstd", 60, id="zstd, too large a window"),
    pytest.param(bz2.compress, bz2.compress, "bad_content_length", 60, id="bzip2"),  # no page shrinks so much
    pytest.param(lz4, lz4, "too_large", 60, id="lz4"),
]


@pytest.mark.parametrize(("pack", "pack_bomb", "kind", "most_mb"), MEMBERS)
def test_members_in_every_packing(
    tmp_path: Path, pack: Callable[[bytes], bytes], pack_bomb: Callable[[bytes], bytes], kind: str, most_mb: int
) -> None:
    """A record of 100 MB of nothing between two pages costs itself."""
    bomb = pack_bomb(record(http(bytes(100 << 20)), n=8))
    found = read_in_child(write(tmp_path, pack(page(0, "one")) + bomb + pack(page(1, "two")), "a.warc"))
    assert found[:2] == ([0, 1], {kind: 1}) and found[2] < most_mb


def test_a_record_that_swells_without_end_is_left(tmp_path: Path) -> None:
    """Its stated length is never reached; an lz4 file, which is one stream, is left with it."""
    head = record(b"", n=8).replace(b"Content-Length: 0", b"Content-Length: %d" % (1 << 31)).rstrip(b"\r\n")
    bomb = lz4(head + b"\r\n\r\n" + bytes(300 << 20))
    found = read_in_child(write(tmp_path, lz4(page(0, "one")) + bomb + lz4(page(1, "two")), "a.warc"))
    assert found[:2] == ([0], {"too_large": 1}) and found[2] < 60


BODIES: list[Any] = [
    pytest.param("gzip", gzip.compress, 40, id="gzip"),
    pytest.param("deflate", zlib.compress, 40, id="deflate"),
    pytest.param("br", lambda body: brotli.compress(body, quality=1), 40, id="br"),
    pytest.param("zstd", zstandard.compress, 40, id="zstd"),
    pytest.param("zstd", zstd_window(27), 40 + 128, id="zstd, largest window"),
]


@pytest.mark.parametrize(("token", "pack", "most_mb"), BODIES)
def test_bodies_in_every_encoding(tmp_path: Path, token: str, pack: Callable[[bytes], bytes], most_mb: int) -> None:
    path = tmp_path / "body"
    path.write_bytes(pack(bytes(100 << 20)))
    kind, grown = in_child(f"""
        import json
        import brotli, zstandard
        from pipeline.warc.payload import BadPayload, decoded
        body = open({str(path)!r}, "rb").read()
        before = high_water_mb()
        try:
            kind = str(len(decoded(body, [{token!r}], 1 << 20, cut=False)))
        except BadPayload as error:
            kind = error.kind
        print(json.dumps([kind, high_water_mb() - before]))
    """)
    assert kind == "too_large" and grown < most_mb


def test_zstd_frames_that_lead_into_the_same_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Places that look like frames, each with a block that leads to ten thousand empty ones and no end."""
    monkeypatch.setattr(zstdframe, "BLOCKS_FREE", 1000)
    peeks: list[int] = []
    peek = Ranged.peek
    monkeypatch.setattr(Ranged, "peek", lambda self, at, n: (peeks.append(at), peek(self, at, n))[1])
    place = b"\x28\xb5\x2f\xfd\x00\x58" + (20_000 << 3).to_bytes(3, "little")
    data = zstandard.compress(page(0)) + place * 1000 + bytes(50_000)
    found = batches(write(tmp_path, data, "a.warc.zst"))
    assert len(rows(found)) == 1 and kinds(found) == ["truncated"]
    assert len(peeks) < len(data), "ten million without a limit"


def test_many_empty_zstd_frames_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstdframe, "BLOCKS_FREE", 20)
    data = zstandard.compress(page(0)) + zstandard.compress(b"") * 2000 + zstandard.compress(page(1))
    found = batches(write(tmp_path, data, "a.warc.zst"))
    assert len(rows(found)) == 2 and kinds(found) == []


def test_a_zstd_dictionary_that_is_none(tmp_path: Path) -> None:
    """It has a dictionary's magic number and nothing after it that makes sense; the frames do without."""
    bad = b"\x37\xa4\x30\xec\1\0\0\0" + b"\xff" * 200
    data = b"\x5d\x2a\x4d\x18" + len(bad).to_bytes(4, "little") + bad + zstandard.compress(page(0))
    found = batches(write(tmp_path, data, "a.warc.zst"))
    assert len(rows(found)) == 1 and kinds(found) == ["corrupt_zstd"]


def test_of_empty_members_none_is_remembered(tmp_path: Path) -> None:
    parts = [gz(b"WARC/1.0\r\n"), *[gz(b"")] * 3000, gz(b"more"), *[gz(b"")] * 3000, gz(page(1))]
    with Ranged(write(tmp_path, b"".join(parts), "a.warc.gz").path) as source:
        codec = reader._gzip(source)
        stream = MemberStream(source, 0, None, codec.open, codec.has_magic, codec.text_at)
        assert bytes(stream.at(0, 1 << 20)) == b"WARC/1.0\r\nmore"
        assert stream.locate(12) == (len(b"".join(parts[:3001])), 2)
        assert stream.next_start == len(b"".join(parts[:-1]))
        assert len(stream._starts) == 2 and len(stream._boundaries) <= 2
