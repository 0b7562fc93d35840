"""A few compressed bytes that stand for very many cost neither memory nor the run."""

from __future__ import annotations

import bz2
import gzip
import subprocess
import sys
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
from pipeline.warc.payload import BadPayload, decoded
from tests.pipeline.test_warc_build import batches, gz, http, page, record, rows, write

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


@pytest.mark.parametrize("pack", [gz, zstandard.ZstdCompressor().compress, bz2.compress])
def test_members_in_every_packing(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """A record of 100 MB of nothing after a page, read in a process of its own, which must not grow by so much."""
    bomb = record(http(bytes(100 << 20)), n=8)
    source = write(tmp_path, pack(page(0, "one") + bomb), "a.warc")
    del bomb
    code = f"""
        import resource
        from pipeline.warc import Source, read_pages, plan_splits
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        source = Source({source.path!r}, "a.warc", {source.size})
        pages = skips = 0
        for split in plan_splits([source], 1 << 40):
            for batch in read_pages(split, max_payload_bytes=1 << 20):
                pages += batch.table.num_rows
                skips += len(batch.skips)
        print(pages, skips, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    pages, skips, grown_mb = map(int, done.stdout.split())
    assert (pages, skips) == (1, 1) and grown_mb < 60
