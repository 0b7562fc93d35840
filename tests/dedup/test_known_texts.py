"""Exact dedup against indexes, beside plain Python."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dedup import exact
from dedup.exact import ExactDedup
from dedup.index import Index
from dedup.minhash import MinhashDedup
from dedup.shuffle import partition_count
from pipeline.cli import main
from pipeline.errors import ConfigError
from tests.dedup.tools import corpus, run_step


def index(folder: Path, rows: list[dict]) -> str:
    documents = corpus(folder / "documents", [rows[::2], rows[1::2]])
    made = Index.create(folder / "index", MinhashDedup().parameters)
    made.add([documents.path / file for file in documents.files])
    return str(made.path)


def documents(seed: int) -> list[dict]:
    """Few texts and fewer URLs, so that all kinds of chains come about."""
    rng = random.Random(seed)
    return [
        {"id": f"n{i:03d}", "text": f"words of  text {rng.randint(0, 25)}", "date": f"20{rng.randint(10, 30)}",
         "url": rng.choice([None, f"http://e.com/{rng.randint(0, 40)}"])}
        for i in range(90)
    ]  # fmt: skip


def expected(rows: list[dict], by: tuple[str, ...], known: list[tuple[str, dict]]) -> dict[str, tuple[str, str, str]]:
    """{id: (duplicate_of, reason, index)}, key by key in plain Python."""
    gone: dict[str, tuple[str, str, str | None]] = {}
    for key in by:
        first: dict[str, tuple[str, str | None]] = {}
        if key == "text":
            for path, row in known:
                first.setdefault(" ".join(row["text"].lower().split()), (row["id"], path))
        for row in sorted((r for r in rows if r["id"] not in gone), key=lambda r: (r["date"], r["id"])):
            value = row["url"] if key == "url" else " ".join(row["text"].lower().split())
            if value is None:
                continue
            if value in first:
                gone[row["id"]] = (first[value][0], f"duplicate_{key}", first[value][1])
            else:
                first[value] = (row["id"], None)
    for name, (to, why, path) in list(gone.items()):  # whose kept one went later goes to that one's
        if to in gone:
            gone[name] = (gone[to][0], why, gone[to][2])
        else:
            gone[name] = (to, why, path)
    return gone


@pytest.mark.parametrize("by", [("text",), ("url", "text")])
@pytest.mark.parametrize("partitions", [1, 7])
@pytest.mark.parametrize("seed", range(3))
def test_beside_plain_python(tmp_path, monkeypatch, by, partitions, seed):
    monkeypatch.setattr(exact, "partition_count", lambda rows, each, at_once: partitions)
    assert partition_count(10, 1) == 10
    known = [[{"id": f"{name}{i}", "text": f"Words of text  {i}"} for i in of] for name, of in
             (("a", (3, 5, 8)), ("b", (5, 9, 30, 12)))]  # fmt: skip
    paths = [index(tmp_path / str(i), rows) for i, rows in enumerate(known)]
    rows = documents(seed)
    step = ExactDedup(by=by, against=tuple(paths))
    kept, dropped, _ = run_step(step, tmp_path / "out", corpus(tmp_path / "in", [rows[::3], rows[1::3], rows[2::3]]))
    want = expected(rows, by, [(path, row) for path, of in zip(paths, known, strict=True) for row in of])
    assert {r["id"]: (r["duplicate_of"], r["drop_reason"], r["duplicate_in"]) for r in dropped} == want
    assert {r["id"] for r in kept} == {r["id"] for r in rows} - set(want)
    assert sum(place is not None for _, _, place in want.values()) > 5
    assert {place for _, _, place in want.values()} == {None, *paths}
    own = [w for w in want.values() if w[2] is None]
    assert sum(r["copies"] for r in kept) == len(kept) + len(own)


def test_removed_documents_are_not_known(tmp_path):
    path = index(tmp_path, [{"id": "a", "text": "the text"}, {"id": "b", "text": "another text"}])
    rows = corpus(tmp_path / "in", [[{"id": "n", "text": "The text"}, {"id": "m", "text": "another text"}], []])
    before = ExactDedup(against=(path,)).config()
    assert not run_step(ExactDedup(against=(path,)), tmp_path / "one", rows)[0]
    Index.open(Path(path)).remove(["a"])
    kept, dropped, _ = run_step(ExactDedup(against=(path,)), tmp_path / "two", rows)
    assert [r["id"] for r in kept] == ["n"] and [r["duplicate_of"] for r in dropped] == ["b"]
    assert ExactDedup(against=(path,)).config() != before
    empty = Index.create(tmp_path / "empty", MinhashDedup().parameters)
    assert len(run_step(ExactDedup(against=(str(empty.path),)), tmp_path / "three", rows)[0]) == 2


def test_command(tmp_path):
    path = index(tmp_path, [{"id": "a", "text": "the text", "url": "https://old.example/"}])
    (tmp_path / "new.jsonl").write_text('{"id": "n", "text": "The  TEXT"}\n{"id": "m", "text": "more"}')
    out = ["-o", str(tmp_path / "out.parquet"), "--dropped", str(tmp_path / "gone.parquet"), "--quiet"]
    assert main(["dedup", "exact", str(tmp_path / "new.jsonl"), "--against", path, *out]) == 0
    (gone,) = pq.read_table(tmp_path / "gone.parquet").to_pylist()
    assert (gone["id"], gone["duplicate_of"], gone["duplicate_in"]) == ("n", "a", path)
    assert (
        main(["dedup", "report", *(o for o in out if o.endswith("parquet")), "--json", str(tmp_path / "r.json")]) == 0
    )
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["steps"][0]["random_pairs"][0]["kept"]["url"] == "https://old.example/"


def test_errors(tmp_path):
    path = index(tmp_path, [{"id": "a", "text": "the text"}])
    with pytest.raises(ConfigError, match="must be the last of by"):
        ExactDedup(by=("text", "url"), against=(path,)).check()
    with pytest.raises(ConfigError, match="is no index"):
        ExactDedup(against=(str(tmp_path),)).check()
