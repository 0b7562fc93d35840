"""Partitioned files against lists."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import shuffle
from dedup.shuffle import document_batches, files_in, partition_count, read_partition, write_partitions
from pipeline.errors import StepFailed


@settings(max_examples=60, deadline=None)
@given(files=st.lists(st.lists(st.tuples(st.integers(0, 4), st.text(max_size=5)), max_size=20), min_size=1, max_size=3))
def test_rows_come_back_by_partition(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("s") / "x"
    for number, rows in enumerate(files):
        table = pa.table({"text": pa.array([t for _, t in rows], pa.large_string()), "n": np.arange(len(rows))})
        entry = write_partitions(folder / f"{number}.arrow", table, np.array([p for p, _ in rows], np.int64), 5)
        assert entry["rows"] == len(rows) and entry["file"] == f"x/{number}.arrow"
    for p in range(5):
        want = [(t, n) for rows in files for n, (q, t) in enumerate(rows) if q == p]
        table = read_partition(files_in(folder, len(files)), p)
        assert list(zip(table["text"].to_pylist(), table["n"].to_pylist(), strict=True)) == want
        assert read_partition(files_in(folder), p, ["n"]).column_names == ["n"]


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(StepFailed, match="0 of 1 files"):
        files_in(tmp_path, 1)


def test_batches_of_documents(tmp_path, monkeypatch):
    monkeypatch.setattr(shuffle, "BYTES_PER_BATCH", 2000)
    table = pa.table({"text": pa.array(["x" * 100] * 90, pa.large_string()), "id": [str(i) for i in range(90)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False)
    batches = list(document_batches(tmp_path / "a.parquet", ["id"]))
    assert [start for start, _ in batches] == [sum(t.num_rows for _, t in batches[:i]) for i in range(len(batches))]
    assert pa.concat_tables([t for _, t in batches]).equals(table.select(["id"]))
    assert max(t.num_rows for _, t in batches) <= 20 < 90
    pq.write_table(table.slice(0, 0), tmp_path / "b.parquet")
    assert list(document_batches(tmp_path / "b.parquet")) == []


@pytest.mark.parametrize(("rows", "size", "want"), [(0, 5, 1), (5, 5, 1), (6, 5, 2), (11, 5, 3)])
def test_partition_count(rows, size, want):
    assert partition_count(rows, size) == want


@pytest.mark.parametrize(
    ("rows", "want"), [(0, 1), (62_499, 1), (125_000, 2), (400_000, 6), (10**6, 16), (15 * 10**6, 16), (17 * 10**6, 17)]
)
def test_few_rows_are_divided_for_several_workers(rows, want):
    assert partition_count(rows, 10**6, 16) == want
