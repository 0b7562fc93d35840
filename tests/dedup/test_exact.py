"""Exact dedup against dictionaries in plain Python: keys, policies, shards, partitions, workers, and restarts."""

from __future__ import annotations

import math
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dedup.exact as exact
from dedup.exact import ExactDedup
from dedup.urls import url_key
from pipeline.errors import ConfigError, SchemaError
from pipeline.runner import InlineRunner, RayRunner
from pipeline.schema import RECORD
from pipeline.steps import Artefact
from tests.dedup.tools import context_in, run_step

Row = dict[str, Any]
COLUMNS = {
    "id": pa.string(), "text": pa.large_string(), "url": pa.string(), "number": pa.int64(), "score": pa.float64(),
    "source": pa.string(), "copies": pa.int64(),
}  # fmt: skip


def corpus(folder: Path, shards: list[list[Row]], *, copies: bool = False) -> Artefact:
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for index, shard in enumerate(shards):
        columns = {
            name: pa.array([r.get(name) for r in shard], kind, from_pandas=False)
            for name, kind in COLUMNS.items()
            if copies or name != "copies"
        }
        columns["record"] = pa.array([{"file": "f", "offset": 0, "date": r.get("date")} for r in shard], RECORD)
        names.append(f"in-{index}.parquet")
        pq.write_table(pa.table(columns), folder / names[-1], row_group_size=3)
    return Artefact("documents", folder, "x", tuple(names), sum(map(len, shards)))


def place(row: Row, keep: tuple[str, ...]) -> tuple[Any, ...]:
    """The row's place in the policy's order, as a tuple to sort by."""
    found: list[Any] = []
    for key in keep:
        key = {"newest": "-date", "record.date": "date", "-record.date": "-date"}.get(key, key)
        if key in ("longest", "shortest"):
            size = len((row["text"] or "").encode())
            found.append((False, -size if key == "longest" else size))
        elif "=" in key:
            name, values = key.split("=")
            wanted = values.split("|")
            found.append((False, wanted.index(row[name]) if row[name] in wanted else len(wanted)))
        else:
            value = row[key.lstrip("-")]
            missing = value is None or value != value
            if not missing and key.startswith("-"):
                value = tuple(-ord(c) for c in value) + (1,) if isinstance(value, str) else -value
            found.append((missing, 0 if missing else value))
    return (*found, (row["id"] is None, row["id"] or ""))


def key_of(row: Row, by: str) -> str | None:
    return url_key(row["url"]) if by == "url" else " ".join((row["text"] or "").split()).lower()


def oracle(rows: list[Row], by: tuple[str, ...], keep: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """(id of the kept one, reason) of each dropped id; two keys as two passes."""
    gone: dict[str, tuple[str, str]] = {}
    for key in by:
        best: dict[str, str] = {}
        for row in sorted((r for r in rows if r["id"] not in gone), key=lambda r: place(r, keep)):
            value = key_of(row, key)
            if value is not None and best.setdefault(value, row["id"]) != row["id"]:
                gone[row["id"]] = (best[value], f"duplicate_{key}")
    for one, (to, why) in list(gone.items()):
        gone[one] = (gone[to][0] if to in gone else to, why)
    assert not any(to in gone for to, _ in gone.values())
    return gone


TEXTS = ["a b", "A  b", "a\nb", "c", "", "d e f", "ß", "\u00a0c", None, "ὈΔΥΣΣΕΎΣ x", "ὀδυσσεύς  X"]
URLS = ["http://a.b/x", "https://www.a.b/x/", "http://a.b/x?utm_source=y", "http://a.b/y", None, "N/A", "http://c.d"]
KEEPS: list[tuple[str, ...]] = [
    ("record.date",), ("-record.date",), ("-number", "record.date"), (), ("newest", "longest"), ("shortest",),
    ("-score", "number"), ("score",), ("source=wiki|books", "newest"), ("-source",),
]  # fmt: skip
ROW = st.fixed_dictionaries(
    {
        "text": st.sampled_from(TEXTS),
        "url": st.sampled_from(URLS),
        "date": st.sampled_from(["2020", "2021", None]),
        "number": st.integers(0, 2),
        "score": st.sampled_from([0.5, math.nan, None, -math.inf, 1.0]),
        "source": st.sampled_from(["wiki", "books", "web", None]),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(st.lists(ROW, max_size=8), min_size=0, max_size=4),
    keep=st.sampled_from(KEEPS),
    by=st.sampled_from([("text",), ("url",), ("url", "text"), ("text", "url")]),
    per_partition=st.sampled_from([1, 3, 1000]),
    turn=st.randoms(use_true_random=False),
)
def test_against_dictionaries(tmp_path_factory, data, keep, by, per_partition, turn):
    tmp = tmp_path_factory.mktemp("dedup")
    rows = [row for shard in data for row in shard]
    for number, row in enumerate(rows):
        row["id"] = f"{(number * 7919) % 1000:03d}"
    want = oracle(rows, by, keep)
    shuffled = [list(shard) for shard in data]  # the order of files and of rows plays no part
    turn.shuffle(shuffled)
    for shard in shuffled:
        turn.shuffle(shard)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "ROWS_PER_PARTITION", per_partition)
        kept, dropped, manifest = run_step(ExactDedup(by=by, keep=keep), tmp / "out", corpus(tmp / "in", shuffled))
    assert {row["id"]: (row["duplicate_of"], row["drop_reason"]) for row in dropped} == want
    assert [row["id"] for row in kept] == [r["id"] for shard in shuffled for r in shard if r["id"] not in want]
    stand_for = [to for to, _ in want.values()]
    assert {row["id"]: row["copies"] for row in kept} == {row["id"]: 1 + stand_for.count(row["id"]) for row in kept}
    assert all(row["drop_filter"] == "exact_dedup" and row["copies"] == 1 for row in dropped)
    assert manifest["rows"] == len(kept) and manifest["documents_read"] == len(rows)
    assert sum(sum(count["dropped"].values()) for count in manifest["counts"]) == len(want)
    assert len(manifest["counts"]) == (1 if data else 0)
    assert {p.name for p in (tmp / "out").iterdir()} <= {"plan.json", "done", "timings", "kept", "dropped"}
    if "text" in by:
        assert all(len(row["text_hash"]) == 32 for row in [*kept, *dropped])
    shutil.rmtree(tmp)


def test_two_keys_lose_no_text(tmp_path):
    """T has K's text and goes for the newer page at its own URL, so K stays: each key only counts what is there."""
    rows: list[Row] = [
        {"id": "k2", "url": "http://a.b", "text": "new", "date": "2022"},
        {"id": "t", "url": "http://a.b", "text": "same", "date": "2021"},
        {"id": "k", "url": "http://c.d", "text": "same", "date": "2020"},
    ]
    kept, dropped, _ = run_step(
        ExactDedup(by=("url", "text"), keep=("newest",)), tmp_path / "o", corpus(tmp_path / "i", [rows])
    )
    assert [row["id"] for row in kept] == ["k2", "k"]
    assert [(row["id"], row["duplicate_of"]) for row in dropped] == [("t", "k2")]


def test_what_goes_names_a_kept_document_even_over_two_keys(tmp_path):
    rows: list[Row] = [
        {"id": "t", "url": "http://c.d", "text": "same", "date": "2023"},
        {"id": "k", "url": "http://a.b", "text": "same", "date": "2022"},
        {"id": "u", "url": "http://a.b", "text": "old", "date": "2021"},
    ]
    for shards in ([rows], [[row] for row in rows]):
        shutil.rmtree(tmp_path / "o", ignore_errors=True)
        kept, dropped, _ = run_step(
            ExactDedup(by=("url", "text"), keep=("newest",)), tmp_path / "o", corpus(tmp_path / "i", shards)
        )
        assert [(row["id"], row["copies"]) for row in kept] == [("t", 3)]
        assert [(r["id"], r["duplicate_of"], r["drop_reason"]) for r in dropped] == [
            ("k", "t", "duplicate_text"),
            ("u", "t", "duplicate_url"),
        ]


def test_ids_that_are_null_lose_no_duplicate(tmp_path):
    """And which content stays depends neither on the files' order nor on the rows'."""
    rows: list[Row] = [{"id": None, "text": text} for text in ("x", "X", " x", "x ", "X\n", "x")]
    left = set()
    for seed in range(4):
        random.Random(seed).shuffle(rows)
        documents = corpus(tmp_path / f"in{seed}", [rows[:2], rows[2:]])
        kept, dropped, _ = run_step(ExactDedup(), tmp_path / f"out{seed}", documents)
        assert (len(kept), len(dropped), kept[0]["copies"]) == (1, 5, 6)
        assert {row["duplicate_of"] for row in dropped} == {""}
        left.add(kept[0]["text"])
    assert len(left) == 1


def test_copies_of_an_earlier_step_count(tmp_path):
    rows: list[Row] = [
        {"id": "a", "text": "x", "copies": 3},
        {"id": "b", "text": "X", "copies": 4},
        {"id": "c", "text": "y", "copies": 2},
        {"id": "d", "text": "z"},
    ]
    kept, dropped, _ = run_step(ExactDedup(), tmp_path / "o", corpus(tmp_path / "i", [rows[:1], rows[1:]], copies=True))
    assert [(row["id"], row["copies"]) for row in kept][:2] == [("a", 7), ("c", 2)]
    assert [(row["id"], row["copies"]) for row in dropped] == [("b", 4)]


def many(n: int) -> list[list[Row]]:
    """Four shards of n documents in all, every third a copy."""
    turn = random.Random(1)
    rows: list[Row] = [
        {"id": f"{i:06d}", "text": f"t {turn.randrange(2 * n // 3)}", "url": f"http://a.b/{turn.randrange(n)}"}
        for i in range(n)
    ]
    return [rows[i::4] for i in range(4)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


class Stopping(InlineRunner):
    """Dies after so many tasks."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.left = tasks

    def map(self, function, tasks, **more):  # type: ignore[no-untyped-def]
        for task in tasks:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            super().map(function, [task], **more)


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(exact, "ROWS_PER_PARTITION", 100)
    documents = corpus(tmp_path / "in", many(400))
    step = ExactDedup(by=("url", "text"))
    run_step(step, tmp_path / "whole", documents)
    whole = contents(tmp_path / "whole")
    assert len(whole) == 8
    for tasks in (0, 2, 5, 9, 13):
        folder = tmp_path / f"killed{tasks}"
        with pytest.raises(KeyboardInterrupt):
            step.run(context_in(folder, {"documents": documents}, Stopping(tasks)))
        run_step(step, folder, documents)
        assert contents(folder) == whole


@pytest.mark.ray
def test_workers_change_nothing(tmp_path):
    documents = corpus(tmp_path / "in", many(400))
    step = ExactDedup(by=("url", "text"))
    run_step(step, tmp_path / "one", documents)
    with RayRunner(workers=2) as runner:
        run_step(step, tmp_path / "two", documents, runner)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_long_documents_are_read_in_small_batches(tmp_path, monkeypatch):
    import dedup.shuffle as shuffle

    monkeypatch.setattr(shuffle, "BYTES_PER_BATCH", 1 << 16)
    shard: list[Row] = [{"id": f"{i:03d}", "text": f"{i % 50} " + "word " * 2000} for i in range(100)]
    documents = corpus(tmp_path / "in", [shard])
    sizes = [table.num_rows for _, table in shuffle.document_batches(documents.path / documents.files[0])]
    assert max(sizes) <= 16 and sum(sizes) == 100
    kept, _, _ = run_step(ExactDedup(), tmp_path / "out", documents)
    assert [row["id"] for row in kept] == [f"{i:03d}" for i in range(50)]


def test_errors():
    with pytest.raises(ConfigError, match="is no key"):
        ExactDedup(keep=("no column!",)).check()
    with pytest.raises(ConfigError, match="did you mean 'text'"):
        ExactDedup(by=("texts",)).check()
    for by in ((), ("url", "url")):
        with pytest.raises(ConfigError, match="by must name"):
            ExactDedup(by=by).check()
    with pytest.raises(SchemaError, match="quality"):
        ExactDedup(keep=("-quality",)).columns({"id", "text", "record"})
    with pytest.raises(SchemaError, match="url"):
        ExactDedup(by=("url",)).columns({"id", "text", "record"})
    assert ExactDedup().columns({"id", "text", "record"}) == {"id", "text", "record", "text_hash", "copies"}
