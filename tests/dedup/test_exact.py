"""Exact dedup against a dictionary in plain Python, over shards, partitions, policies and worker counts."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dedup.exact as exact
from dedup.exact import ExactDedup
from dedup.hashing import text_hash
from pipeline.errors import ConfigError, SchemaError
from pipeline.progress import Progress
from pipeline.runner import InlineRunner
from pipeline.schema import RECORD
from pipeline.steps import Artefact, StepContext
from pipeline.store import StepFolder


def shard_files(folder: Path, shards: list[list[tuple[str, str, str | None, int]]]) -> Artefact:
    """Documents as (id, text, date, number) rows."""
    names, rows = [], 0
    folder.mkdir(parents=True, exist_ok=True)
    for index, shard in enumerate(shards):
        table = pa.table(
            {
                "id": pa.array([r[0] for r in shard], pa.string()),
                "text": pa.array([r[1] for r in shard], pa.large_string()),
                "url": pa.nulls(len(shard), pa.string()),
                "record": pa.array([{"file": "f", "offset": 0, "date": r[2]} for r in shard], RECORD),
                "number": pa.array([r[3] for r in shard], pa.int64()),
            }
        )
        names.append(f"in-{index}.parquet")
        pq.write_table(table, folder / names[-1])
        rows += len(shard)
    return Artefact("documents", folder, "x", tuple(names), rows)


def run(tmp: Path, artefact: Artefact, **options) -> tuple[list[dict], list[dict], dict]:
    step = ExactDedup(**options)
    step.check()
    folder = StepFolder(tmp / "out")
    folder.begin("f", {})
    context = StepContext(
        "t", folder, {"documents": artefact}, InlineRunner(), Progress(quiet=True, stream=io.StringIO())
    )
    manifest = step.run(context)
    tables = {
        kind: [pq.read_table(folder.path / e["file"]) for e in manifest["files"] if e["file"].startswith(kind)]
        for kind in ("kept", "dropped")
    }
    kept, dropped = ([row for table in tables[kind] for row in table.to_pylist()] for kind in ("kept", "dropped"))
    return kept, dropped, manifest


def oracle(shards, keep) -> dict[str, str]:
    """id of the survivor for each id, by sorting in plain Python."""

    def value(row, key):
        found = {"record.date": row[2], "number": row[3]}[key.lstrip("-")]
        return (found is None, found)

    rows = [row for shard in shards for row in shard]
    rows.sort(key=lambda r: r[0])
    for key in reversed(keep):
        rows.sort(key=lambda r: value(r, key)[1] if value(r, key)[1] is not None else "", reverse=key.startswith("-"))
        rows.sort(key=lambda r: value(r, key)[0])
    best: dict[str, str] = {}
    for row in rows:
        best.setdefault(" ".join(row[1].split()).lower(), row[0])
    return {row[0]: best[" ".join(row[1].split()).lower()] for row in rows}


TEXTS = ["a b", "A  b", "a\nb", "c", "", "d e f", "ß", "\u00a0c"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(
        st.lists(
            st.tuples(st.sampled_from(TEXTS), st.sampled_from(["2020", "2021", None]), st.integers(0, 2)), max_size=6
        ),
        min_size=1,
        max_size=4,
    ),
    keep=st.sampled_from([("record.date",), ("-record.date",), ("-number", "record.date"), ()]),
    rows_per_partition=st.sampled_from([1, 3, 1000]),
)
def test_against_a_dictionary(tmp_path_factory, data, keep, rows_per_partition):
    tmp = tmp_path_factory.mktemp("dedup")
    shards, number = [], 0
    for shard in data:
        shards.append([])
        for text, date, value in shard:
            shards[-1].append((f"{(number * 7919) % 1000:03d}", text, date, value))
            number += 1
    original = exact.ROWS_PER_PARTITION
    exact.ROWS_PER_PARTITION = rows_per_partition
    try:
        kept, dropped, manifest = run(tmp, shard_files(tmp / "in", shards), keep=keep)
    finally:
        exact.ROWS_PER_PARTITION = original
    want = oracle(shards, keep)
    assert {row["id"] for row in kept} == set(want.values())
    assert {row["id"]: row["duplicate_of"] for row in dropped} == {k: v for k, v in want.items() if k != v}
    assert all(row["drop_filter"] == "exact_dedup" and row["drop_reason"] == "duplicate_text" for row in dropped)
    assert manifest["rows"] == len(kept)
    assert manifest["counts"][0]["n_in"] == number


def test_order_of_the_kept_rows_is_the_input_order(tmp_path):
    shards = [
        [("3", "x", None, 0), ("1", "y", None, 0), ("2", "x", None, 0)],
        [("0", "y", None, 0), ("9", "z", None, 0)],
    ]
    kept, _, _ = run(tmp_path, shard_files(tmp_path / "in", shards), keep=())
    assert [row["id"] for row in kept] == ["2", "0", "9"]


def test_ids_that_are_null_lose_no_duplicate(tmp_path):
    (tmp_path / "in").mkdir()
    table = pq.read_table(shard_files(tmp_path / "x", [[("a", "x", None, 0)] * 6]).path / "in-0.parquet")
    pq.write_table(table.set_column(0, "id", pa.nulls(6, pa.string())), tmp_path / "in" / "in-0.parquet")
    kept, dropped, _ = run(tmp_path, Artefact("documents", tmp_path / "in", "x", ("in-0.parquet",), 6))
    assert (len(kept), len(dropped)) == (1, 5)


def test_hash_is_known():
    assert text_hash("  Hello\n WORLD ") == text_hash("hello world") == "df8d09e93f874900a99b8775cc15b6c7"
    assert text_hash("hello world") != text_hash("helloworld")


def test_errors():
    with pytest.raises(ConfigError, match="is no key"):
        ExactDedup(keep=("no column!",)).check()
    with pytest.raises(SchemaError, match="quality"):
        ExactDedup(keep=("-quality",)).columns({"id", "text", "record"})
