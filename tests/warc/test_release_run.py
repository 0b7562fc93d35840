"""`gristmill extract` on a release: byte for byte what it makes of the same files on the disk; killed and resumed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.sources import sample_warc
from tests.commoncrawl_server import RELEASE, SEGMENT, CommonCrawl, Fault

FAST = ["--engine", "resiliparse", "--isolate", "false", "--quiet"]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder with the release's files where the release has them."""
    folder = tmp_path / "disk" / SEGMENT / "warc"
    folder.mkdir(parents=True)
    for name in ("sample-00000.warc.gz", "sample-00001.warc.gz"):
        shutil.copy(sample_warc() / name, folder)
    return tmp_path / "disk"


def extract(output: Path, *arguments: str | Path) -> bytes:
    assert main(["extract", *map(str, arguments), "-o", str(output), *FAST]) == 0
    return output.read_bytes()


def test_output_is_that_of_the_files_on_the_disk(
    crawl: CommonCrawl, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Downloaded, and streamed in several splits over a bad line."""
    local = extract(tmp_path / "local.parquet", disk, "--split-bytes", "150000")
    assert extract(tmp_path / "kept.parquet", RELEASE, "--warcs", "2", "--split-bytes", "150000") == local
    monkeypatch.setattr("pipeline.warc.commoncrawl.polite.MAX_WAIT_S", 0.02)
    crawl.every = (4, Fault(cut=3000))
    crawl.faults = [Fault(503), Fault(500)]
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "other"))
    assert extract(tmp_path / "s.parquet", RELEASE, "--share", "1", "--stream", "--split-bytes", "150000") == local


@pytest.mark.parametrize("index", ["columnar", "cdx"])
def test_domains_are_what_the_whole_gives_of_them(crawl: CommonCrawl, disk: Path, tmp_path: Path, index: str) -> None:
    extract(tmp_path / "local.jsonl", disk)
    lines = [json.loads(line) for line in (tmp_path / "local.jsonl").read_text(encoding="utf-8").splitlines()]
    expected = [row for row in lines if re.match(r"https?://([^/]*\.)?(fellpath|oldstones)\.example/", row["url"])]
    domains = ["--domains", "fellpath.example", "oldstones.example", "--index", index]
    extract(tmp_path / "picked.jsonl", RELEASE, *domains)
    picked = [json.loads(line) for line in (tmp_path / "picked.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(picked) > 10 and picked == expected


def marks(work: Path) -> list[str]:
    """The shards that are finished."""
    return sorted(path.name for path in work.glob("01-extract/done/*") if not path.name.startswith("."))


def test_killed_run_fetches_no_finished_shard_again(crawl: CommonCrawl, disk: Path, tmp_path: Path) -> None:
    local = extract(tmp_path / "local.parquet", disk, "--split-bytes", "100000")
    output = tmp_path / "out.parquet"
    command = [sys.executable, "-m", "pipeline.cli", "extract", RELEASE, "--warcs", "2", "--stream"]
    command += ["--split-bytes", "100000", "-o", str(output), *FAST]
    crawl.delay = 0.15
    first = subprocess.Popen(command)
    work = tmp_path / "out.parquet.work"
    until = time.monotonic() + 60
    while len(marks(work)) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    first.kill()
    first.wait()
    done = marks(work)
    assert 3 <= len(done) < 8
    crawl.delay = 0.0
    crawl.forget()
    subprocess.run(command, check=True, timeout=120, env=os.environ)
    assert output.read_bytes() == local
    blocks = {r.range for r in crawl.seen("sample-00000")}  # each split's block ends where the split ends
    ends = {int(one.rpartition("-")[2]) + 1 for one in blocks}
    assert not ends & {100_000, 200_000, 300_000}, "three shards were finished, and are not read again"
    assert "bytes=0-0" not in blocks, "sizes are kept"
