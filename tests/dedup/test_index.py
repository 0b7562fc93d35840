"""An index of an earlier crawl: what a later one is deduplicated against."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dedup.index import Index
from dedup.minhash import MinhashDedup
from pipeline.errors import ConfigError, SchemaError
from pipeline.steps import Artefact
from tests.dedup.test_minhash import changed, families, greedy, order, shingles, written
from tests.dedup.tools import corpus, run_step


def paths(documents: Artefact) -> list[Path]:
    return [documents.path / file for file in documents.files]


def built(folder: Path, rows: list[dict], shards: int = 2) -> Index:
    documents = corpus(folder / "old", [rows[i::shards] for i in range(shards)])
    return Index.create(folder / "index", MinhashDedup().parameters).add(paths(documents))


def against(folder: Path, rows: list[dict], **options):
    step = MinhashDedup(against=(str(folder / "index"),), **options)
    out = folder / f"out-{Index.open(folder / 'index').revision}"
    return run_step(step, out, corpus(folder / "new", [rows[::2], rows[1::2]]))


def greedy_after(old: list[dict], new: list[dict], step: MinhashDedup) -> dict[str, str]:
    """What brute force removes of `new` where all of `old` is kept: greedy over both, old documents never removed."""
    from tests.dedup.test_minhash import candidates

    rows = old + sorted(new, key=order)
    keys, sets = candidates(rows, step), [shingles(row["text"]) for row in rows]
    kept, gone = list(range(len(old))), {}
    for i in range(len(old), len(rows)):
        near = [
            k
            for k in kept
            if keys[i] & keys[k] and len(sets[i] & sets[k]) / len(sets[i] | sets[k]) >= step.least_similarity
        ]
        if near:
            gone[rows[i]["id"]] = {rows[k]["id"] for k in near}
        else:
            kept.append(i)
    return gone


@pytest.mark.parametrize("block_bytes", [1 << 30, 9_000])
def test_a_new_crawl_against_an_old_one(tmp_path, monkeypatch, block_bytes):
    rows = families(21)
    old, new = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    built(tmp_path, old)
    monkeypatch.setattr("dedup.minhash.BLOCK_BYTES", block_bytes)
    kept, dropped, _ = against(tmp_path, new)
    want = greedy_after(old, new, MinhashDedup())
    assert {r["id"] for r in dropped} == set(want)
    assert len(want) > len(greedy(new, MinhashDedup())) + 5
    names = {r["id"] for r in old}
    for row in dropped:
        assert row["duplicate_of"] in want[row["id"]]
        assert (row["duplicate_in"] is not None) == (row["duplicate_of"] in names)
        assert row["similarity"] >= MinhashDedup().least_similarity
    assert any(row["duplicate_in"] is None for row in dropped)
    assert {r["duplicate_in"] for r in dropped} == {None, str(tmp_path / "index")}
    assert len(kept) + len(dropped) == len(new)


def test_adding_what_was_kept_and_removing_it_again(tmp_path):
    rng = random.Random(3)
    first, second = written(rng, 120), written(rng, 120)
    index = built(tmp_path, [{"id": "a", "text": " ".join(first), "url": "https://a.example/"}])
    new = [{"id": "b", "text": " ".join(changed(rng, first, 2))}, {"id": "c", "text": " ".join(second)}]
    kept, dropped, _ = against(tmp_path, new)
    assert [r["id"] for r in kept] == ["c"] and [r["duplicate_of"] for r in dropped] == ["a"]
    [found] = index.find(["a", "nobody"])
    assert (found["id"], found["url"], found["copies"]) == ("a", "https://a.example/", 1)

    out = tmp_path / f"out-{index.revision}" / "kept"
    index = index.add(sorted(out.glob("*.parquet")))
    assert index.documents() == 2
    later = [{"id": "d", "text": " ".join(changed(rng, second, 2))}]
    (tmp_path / "later").mkdir()
    (tmp_path / "index").rename(tmp_path / "later" / "index")
    _, dropped, _ = against(tmp_path / "later", later)
    assert [r["duplicate_of"] for r in dropped] == ["c"]

    index, removed = Index.open(tmp_path / "later" / "index").remove(["c", "nobody"])
    assert (removed, index.documents(), index.find(["c"])) == (1, 1, [])
    kept, _, _ = against(tmp_path / "later", later)
    assert [r["id"] for r in kept] == ["d"]
    index = index.add(sorted(out.glob("*.parquet")))  # a removed document may come back
    assert index.documents() == 2
    assert against(tmp_path / "later", later)[1][0]["duplicate_of"] == "c"


def test_without_verification(tmp_path):
    rows = families(22)
    old, new = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    built(tmp_path, old)
    _, dropped, _ = against(tmp_path, new, verify=False)
    assert {r["id"] for r in dropped} >= set(greedy_after(old, new, MinhashDedup()))
    assert not {r["id"] for r in dropped} & {r["id"] for r in old}


def test_the_result_depends_on_the_index_and_says_so(tmp_path):
    rows = families(23, 4)
    index = built(tmp_path, rows)
    step = MinhashDedup(against=(str(tmp_path / "index"),))
    before = step.config()
    index.remove([rows[0]["id"]])
    assert step.config() != before


def test_errors(tmp_path):
    rows = families(24, 3)
    index = built(tmp_path, rows)
    with pytest.raises(ConfigError, match="is no index"):
        MinhashDedup(against=(str(tmp_path),)).check()
    with pytest.raises(ConfigError, match="was built with"):
        MinhashDedup(preset="dclm", against=(str(tmp_path / "index"),)).check()
    with pytest.raises(ConfigError, match="not empty"):
        Index.create(tmp_path / "index", MinhashDedup().parameters)
    with pytest.raises(ConfigError, match=f"'{rows[0]['id']}'"):
        index.add(paths(corpus(tmp_path / "x", [rows[:1]])))
    with pytest.raises(ConfigError, match="repeat"):
        index.add(paths(corpus(tmp_path / "y", [[{"id": "z", "text": "a b"}], [{"id": "z", "text": "c d"}]])))
    with pytest.raises(SchemaError, match="without an id"):
        index.add(paths(corpus(tmp_path / "z", [[{"id": None, "text": "a b"}]])))
    assert Index.open(tmp_path / "index") == index  # nothing of the failed changes is seen
    assert index.documents() == len(rows)
    (tmp_path / "index" / "index.json").write_text('{"format": 99}')
    with pytest.raises(ConfigError, match="format 99"):
        Index.open(tmp_path / "index")


def test_an_empty_index_changes_nothing(tmp_path):
    rows = families(25, 8)
    Index.create(tmp_path / "index", MinhashDedup().parameters)
    _, dropped, _ = against(tmp_path, rows)
    assert {r["id"]: r["duplicate_of"] for r in dropped} == {k: v[0] for k, v in greedy(rows, MinhashDedup()).items()}
