"""What a file system that takes no more leaves of `pipeline/store.py`'s files, and which error is told."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.store import atomic_path, parquet_shards

SCHEMA = pa.schema({"text": pa.string()})


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), "somewhere")


def test_a_shard_that_cannot_be_opened_leaves_nothing_half_done(tmp_path, monkeypatch):
    """Nor does anything wait for the collector, which would print a traceback on a read-only file system."""
    real, made = pq.ParquetWriter, []

    def writer(path: Path, *rest: object, **more: object) -> object:
        if made:
            path.touch()
            refuse()
        made.append(path)
        return real(path, *rest, **more)

    monkeypatch.setattr(pq, "ParquetWriter", writer)
    targets = [(tmp_path / name / "00001.parquet", SCHEMA) for name in ("kept", "dropped")]
    gc.disable()
    try:
        with pytest.raises(OSError, match="Read-only") as told, parquet_shards(*targets):
            raise AssertionError("not to be reached")
        left = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert left == [] and told.tb is not None  # whose frames hold what is not let go of
    finally:
        gc.enable()


def test_no_clearing_away_hides_the_error(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="the cause"), atomic_path(tmp_path / "a.json") as temporary:
        temporary.touch()
        monkeypatch.setattr(Path, "unlink", refuse)
        raise ValueError("the cause")


def test_a_run_says_the_way_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pipeline.run.execute", refuse)
    assert main(["run", "crawl-to-shards", "--output", str(tmp_path / "run"), "--inline", "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "gristmill: Read-only file system: 'somewhere'; what is finished is kept: "
        "mend the cause and run the same command again"
    )
