"""The selection steps: against the oracle, over workers, kinds of budgets, and inputs that don't fit."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixtures import selection
from mixtures.dsir_features import Featurizer, divergence
from pipeline.cli import main
from pipeline.errors import ConfigError, SchemaError, StepFailed
from pipeline.recipe import build
from pipeline.runner import RayRunner
from pipeline.store import read_json
from tests.pipeline.token_tools import byte_tokenizer
from tests.runs import digests, run_recipe

from . import dsir_oracle as oracle
from .texts import corpus, document, write


def recipe(inputs: Path, step: str, **options: Any) -> Any:
    source = {"documents": {"inputs": [str(inputs)]}}
    return build({"name": "s", "source": source, "steps": [{step: options}]})


def kept(run: Path, what: str = "kept") -> pa.Table:
    folder = next(run.glob("02-*")) / what
    return pa.concat_tables(pq.read_table(file) for file in sorted(folder.glob("*.parquet")))


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    rows = corpus(240)
    for part in range(3):
        write(folder / f"{part}.jsonl", rows[part::3])
    return folder


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("target") / "t.jsonl.gz", corpus(40, seed=9, topics=("sea",)))


@pytest.mark.parametrize(("seed", "chunk_words"), [(0, 0), (1, 0), (0, 128), (1, 20)])
def test_dsir_is_that_of_the_paper(raw: Path, target: Path, tmp_path: Path, seed: int, chunk_words: int) -> None:
    options = {"target": [str(target)], "keep": 60, "seed": seed, "chunk_words": chunk_words}
    run = run_recipe(recipe(raw, "select_dsir", **options), tmp_path / "run")
    rows, wanted = corpus(240), corpus(40, seed=9, topics=("sea",))
    ids, texts, like = [r["id"] for r in rows], [r["text"] for r in rows], [r["text"] for r in wanted]
    found = kept(run)
    assert sorted(found["id"].to_pylist()) == oracle.select(ids, texts, like, 60, seed, chunk_words)
    weights = dict(zip(ids, oracle.weights(texts, like, chunk_words), strict=True))
    for table in (found, kept(run, "dropped")):
        for key, weight in zip(table["id"].to_pylist(), table["dsir_weight"].to_pylist(), strict=True):
            assert weight == pytest.approx(weights[key], abs=1e-8)
    reasons = kept(run, "dropped")
    for text, why in zip(reasons["text"].to_pylist(), reasons["drop_reason"].to_pylist(), strict=True):
        assert (why == "too_short") == (len(oracle.words(text)) < 100)
    manifest = read_json(next(run.glob("02-*")) / "manifest.json")
    told = manifest["selection"]
    goal = oracle.counts(like)
    assert told["KL from target, corpus"] == pytest.approx(oracle.kl(goal, oracle.counts(texts)), abs=1e-5)
    chosen = [r["text"] for r in rows if r["id"] in set(found["id"].to_pylist())]
    assert told["KL from target, kept"] == pytest.approx(oracle.kl(goal, oracle.counts(chosen)), abs=1e-5)


def test_dsir_comes_nearer_to_the_target_than_chance(raw: Path, target: Path, tmp_path: Path) -> None:
    goal = oracle.counts([r["text"] for r in corpus(40, seed=9, topics=("sea",))])
    dsir = kept(run_recipe(recipe(raw, "select_dsir", target=[str(target)], keep=50, min_words=0), tmp_path / "d"))
    assert all(int(key.split("-")[1]) % 4 == 0 for key in dsir["id"].to_pylist())  # the rows about the sea
    near = oracle.kl(goal, oracle.counts(dsir["text"].to_pylist()))
    for seed in range(3):
        by_chance = kept(run_recipe(recipe(raw, "select_random", keep=50, seed=seed), tmp_path / f"r{seed}"))
        assert near < 0.5 * oracle.kl(goal, oracle.counts(by_chance["text"].to_pylist()))


def test_drawing_is_in_proportion_to_the_weights(raw: Path) -> None:
    """One of three documents by Gumbel noise: as often as exp(weight) says, within four deviations."""
    from mixtures.selection import gumbel

    weights, n = [0.0, 1.0, 2.0], 4000
    noise = [gumbel(pa.array([f"{trial}-{i}" for trial in range(n)]), 7) for i in range(3)]
    wins = [0, 0, 0]
    for trial in range(n):
        keys = [w + float(noise[i][trial]) for i, w in enumerate(weights)]
        wins[keys.index(max(keys))] += 1
    total = sum(2.718281828459045**w for w in weights)
    for w, got in zip(weights, wins, strict=True):
        p = 2.718281828459045**w / total
        assert abs(got - n * p) < 4 * (n * p * (1 - p)) ** 0.5


@pytest.mark.ray
def test_workers_change_no_byte(raw: Path, target: Path, tmp_path: Path) -> None:
    made = recipe(raw, "select_dsir", target=[str(target)], keep="30% bytes")
    alone = digests(run_recipe(made, tmp_path / "one"))
    for workers in (2, 4):
        assert digests(run_recipe(made, tmp_path / str(workers), RayRunner(workers=workers))) == alone


def test_the_names_and_order_of_files_play_no_part(raw: Path, target: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write(other / "a.jsonl", corpus(240)[::-1])
    options = {"target": [str(target)], "keep": 60}
    first, second = (
        set(kept(run_recipe(recipe(where, "select_dsir", **options), tmp_path / name))["id"].to_pylist())
        for where, name in ((raw, "x"), (other, "y"))
    )
    assert first == second


def scored(folder: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), folder / "scored.parquet")
    return folder / "scored.parquet"


def test_top_keeps_the_best_within_the_budget(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": "w " * (i % 7), "quality": q, "n_tokens": i % 7}
            for i, q in enumerate([0.5, 0.9, None, 0.1, 0.9, float("nan"), 0.7, 0.2, -1.0])]  # fmt: skip
    path = scored(tmp_path, rows)
    run = run_recipe(recipe(path, "select_top", by="quality", keep="12 tokens"), tmp_path / "run")
    # 1 (1 token) and 4 (4) of 0.9, 6 (6) of 0.7, and 0 (0) of 0.5; 7 (0) of 0.2, 3 (3) would be too much
    assert sorted(kept(run)["id"].to_pylist()) == ["0", "1", "4", "6", "7"]
    gone = kept(run, "dropped")
    told = dict(zip(gone["id"].to_pylist(), gone["drop_reason"].to_pylist(), strict=True))
    assert told == {"2": "no_value", "5": "no_value", "3": "not_selected", "8": "not_selected"}
    run = run_recipe(recipe(path, "select_top", by="-quality", keep=2), tmp_path / "low")
    assert sorted(kept(run)["id"].to_pylist()) == ["3", "8"]


def test_buckets_share_the_budget(tmp_path: Path) -> None:
    names = ["head"] * 50 + ["middle"] * 30 + ["tail"] * 20 + [None] * 5
    rows = [{"id": str(i), "text": f"text {i}", "perplexity_bucket": name} for i, name in enumerate(names)]
    path = scored(tmp_path, rows)
    run = run_recipe(recipe(path, "select_buckets", keep=40, shares=["head=3", "tail=1"]), tmp_path / "run")
    found = kept(run)["perplexity_bucket"].to_pylist()
    assert {name: found.count(name) for name in set(found)} == {"head": 30, "tail": 10}
    reasons = kept(run, "dropped")["drop_reason"].to_pylist()
    assert (reasons.count("not_asked_for"), reasons.count("no_value"), reasons.count("not_selected")) == (30, 5, 30)


def test_tokens_are_counted_by_a_tokenizer(tmp_path: Path) -> None:
    from pipeline.bpe import train_bpe

    texts = [f"number {i} " * (1 + i % 5) for i in range(40)]
    tokenizer = train_bpe([texts], 300)
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_str())
    path = write(tmp_path / "d.jsonl", [{"id": str(i), "text": text} for i, text in enumerate(texts)])
    run = run_recipe(
        recipe(path, "select_random", keep="300 tokens", tokenizer=str(tmp_path / "tokenizer.json")), tmp_path / "run"
    )
    chosen = kept(run)["text"].to_pylist()
    total = sum(len(tokenizer.encode(text, add_special_tokens=False).ids) + 1 for text in chosen)  # and the end's
    assert 300 - 60 < total <= 300
    assert read_json(next(run.glob("02-*")) / "manifest.json")["selection"]["kept"] == total


def test_more_than_there_is(raw: Path, tmp_path: Path) -> None:
    run = run_recipe(recipe(raw, "select_random", keep="1M bytes"), tmp_path / "run")
    assert kept(run).num_rows == 240 and kept(run, "dropped").num_rows == 0


def test_empty_and_hostile_documents(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": ""}, {"id": "b", "text": "\0"}, {"id": "c", "text": "x" * 2_000_000},
            {"id": "d", "text": "\u202e\u05d0 \ud7ff " * 200}, {"id": "d", "text": "y\n" * 100_000}]  # fmt: skip
    raw = write(tmp_path / "raw.jsonl", rows)
    goal = write(tmp_path / "goal.jsonl", [{"text": ""}, {"text": "y z"}])
    run = run_recipe(recipe(raw, "select_dsir", target=[str(goal)], keep="50%"), tmp_path / "run")
    assert kept(run).num_rows == 2
    assert sorted(kept(run, "dropped")["drop_reason"].to_pylist()) == ["too_short"] * 3


@pytest.mark.parametrize(
    ("step", "options", "message"),
    [
        ("select_dsir", {"keep": 5}, "target must name"),
        ("select_dsir", {"keep": 5, "target": ["nowhere.jsonl"]}, "does not exist"),
        ("select_dsir", {"target": ["T"]}, "keep must be written"),
        ("select_dsir", {"keep": 5, "target": ["T"], "ngrams": 0}, "ngrams must lie"),
        ("select_dsir", {"keep": 5, "target": ["T"], "buckets": 1}, "buckets must lie"),
        ("select_dsir", {"keep": 5, "target": ["T"], "fit_share": 0.0}, "fit_share must lie"),
        ("select_dsir", {"keep": 5, "target": ["T"], "smoothing": 0.0}, "smoothing must be"),
        ("select_dsir", {"keep": 5, "target": ["T"], "chunk_words": -1}, "chunk_words can't be negative"),
        ("select_dsir", {"keep": 5, "target": ["T"], "min_word": 3}, "did you mean 'min_words'"),
        ("select_top", {"keep": 5}, "by must name"),
        ("select_random", {"keep": "5 tokens"}, "n_tokens"),
        ("select_buckets", {"keep": 5, "shares": ["head"]}, "head=0.6"),
        ("select_buckets", {"keep": 5, "shares": ["a=1", "a=2"]}, "once"),
    ],
)
def test_wrong_options(raw: Path, target: Path, step: str, options: dict[str, Any], message: str) -> None:
    if options.get("target") == ["T"]:
        options = {**options, "target": [str(target)]}
    with pytest.raises((ConfigError, SchemaError), match=message):
        recipe(raw, step, **options)


def test_wrong_columns(tmp_path: Path) -> None:
    path = scored(tmp_path, [{"id": "a", "text": "t", "quality": "good", "bucket": 3}])
    for step, options in (("select_top", {"by": "quality"}), ("select_buckets", {"by": "bucket"})):
        with pytest.raises(SchemaError, match="holds"):
            run_recipe(recipe(path, step, keep=1, **options), tmp_path / step)


def test_the_commands(raw: Path, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    code = main(["select", "dsir", str(raw), "--target", str(target), "--keep", "25%", "-o", str(out)])
    assert code == 0 and "KL from target, kept" in capsys.readouterr().out
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 60 and {"id", "text", "topic", "dsir_weight"} <= set(rows[0])
    assert main(["select", "top", str(tmp_path / "out.jsonl"), "--keep", "5", "-o", str(tmp_path / "x.jsonl")]) == 2
    scores = scored(tmp_path, [{"id": r["id"], "text": r["text"], "w": r["dsir_weight"]} for r in rows])
    top = tmp_path / "top.parquet"
    assert main(["select", "top", str(scores), "--by", "-w", "--keep", "9", "-o", str(top), "--quiet"]) == 0
    lowest = sorted(rows, key=lambda r: r["dsir_weight"])[:9]
    assert sorted(pq.read_table(top)["id"].to_pylist()) == sorted(r["id"] for r in lowest)
    assert main(["select", "dsr"]) == 2 and "did you mean 'dsir'" in capsys.readouterr().err
    assert main(["select"]) == 0


def test_length_plays_no_part_in_the_weight_of_a_chunk(tmp_path: Path) -> None:
    """The same words once and thirty times have one weight, but for the n-grams across; their sums differ."""
    rng = random.Random(5)
    short = document(rng, "law", 150)
    raw = write(tmp_path / "raw.jsonl", [{"id": "short", "text": short}, {"id": "long", "text": f"{short} " * 30}])
    goal = write(tmp_path / "goal.jsonl", corpus(10, seed=3, topics=("sea",)))
    found = {}
    for chunk_words in (0, 128):
        options = {"target": [str(goal)], "keep": 2, "chunk_words": chunk_words}
        table = kept(run_recipe(recipe(raw, "select_dsir", **options), tmp_path / str(chunk_words)))
        found[chunk_words] = dict(zip(table["id"].to_pylist(), table["dsir_weight"].to_pylist(), strict=True))
    assert found[128]["long"] == pytest.approx(found[128]["short"], rel=0.05)
    assert found[0]["long"] == pytest.approx(30 * found[0]["short"], rel=0.05)


def test_dsir_comes_nearer_on_real_text(shared_data: Path, tmp_path: Path) -> None:
    """Towards one half of a text book, measured on the other half, against as many pages of the web by chance."""
    with gzip.open(shared_data / "quality" / "openstax_md.jsonl.gz", "rt") as lines:
        books = [json.loads(line)["text"] for line in lines][:60]
    with gzip.open(shared_data / "html" / "gold" / "wcxb.jsonl.gz", "rt") as lines:
        pages = [json.loads(line) for line in lines][:300]
    raw = write(tmp_path / "raw.jsonl", [{"id": page["id"], "text": page["text"]} for page in pages])
    goal = write(tmp_path / "goal.jsonl", [{"text": text} for text in books[::2]])
    options = {"target": [str(goal)], "keep": 30}
    chosen = kept(run_recipe(recipe(raw, "select_dsir", **options), tmp_path / "dsir"))["text"].to_pylist()
    featurizer = Featurizer()
    other = featurizer(pa.array(books[1::2], pa.large_string())).counts

    def distance(texts: list[str]) -> float:
        return divergence(other, featurizer(pa.array(texts, pa.large_string())).counts)

    by_chance = [
        distance(
            kept(run_recipe(recipe(raw, "select_random", keep=30, seed=s), tmp_path / f"r{s}"))["text"].to_pylist()
        )
        for s in range(5)
    ]
    assert distance(chosen) < min(by_chance)


@pytest.mark.parametrize("task", ["score_shard", "cut_groups", "split_shard"])
def test_a_stopped_selection_goes_on(
    raw: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    made = recipe(raw, "select_dsir", target=[str(target)], keep=60)
    whole = digests(run_recipe(made, tmp_path / "whole"))
    function, calls = getattr(selection, task), []

    def stopped(work: Any) -> Any:
        calls.append(work)
        if len(calls) == 2 or task == "cut_groups":
            raise RuntimeError("killed")
        return function(work)

    with monkeypatch.context() as patch, pytest.raises(StepFailed, match="killed"):
        patch.setattr(selection, task, stopped)
        run_recipe(made, tmp_path / "stopped")
    monkeypatch.setattr(selection, task, lambda work: calls.append(work) or function(work))
    before = len(calls)
    assert digests(run_recipe(made, tmp_path / "stopped")) == whole
    assert len(calls) - before == (1 if task == "cut_groups" else 2)  # of three shards one was done


def test_a_changed_target_is_another_selection(raw: Path, tmp_path: Path) -> None:
    goal = write(tmp_path / "goal.jsonl", corpus(20, seed=3, topics=("sea",)))
    made = recipe(raw, "select_dsir", target=[str(goal)], keep=40, min_words=0)
    first = set(kept(run_recipe(made, tmp_path / "run"))["id"].to_pylist())
    write(goal, corpus(20, seed=3, topics=("law",)))
    second = set(kept(run_recipe(made, tmp_path / "run"))["id"].to_pylist())
    assert all(int(key.split("-")[1]) % 4 == 0 for key in first)
    assert all(int(key.split("-")[1]) % 4 == 1 for key in second)


def test_keys_of_json_lines_are_chosen_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        json.dumps({"id": str(i), "text": f"text {i}", "rank": {"best": i}, "bucket": "head" if i < 3 else "tail"})
        for i in range(20)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, json.dumps({"id": "x", "text": "none", "rank": "high"})]))

    def select(*how: str) -> list[str]:
        out = tmp_path / "out.jsonl"
        assert main(["select", how[0], str(tmp_path / "a.jsonl"), "-o", str(out), "--quiet", *how[1:]]) == 0
        return sorted(json.loads(line)["id"] for line in out.read_text().splitlines())

    assert select("top", "--keep", "3", "--by", "rank.best") == ["17", "18", "19"]
    assert select("top", "--keep", "2", "--by", "-rank.best") == ["0", "1"]
    assert select("buckets", "--keep", "9", "--by", "bucket") == ["0", "1", "2"]
    words = ["select", "top", str(tmp_path / "a.jsonl"), "-o", str(tmp_path / "o.jsonl"), "--quiet", "--keep", "2"]
    assert main([*words, "--by", "bucket"]) == 2  # a key, but of no numbers: seen when the documents are read
    assert "no document has a value in 'bucket'" in capsys.readouterr().err


def test_a_mistyped_key_is_told_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The keys are those of the first documents of all files, one of which may have it, in any depth."""
    (tmp_path / "in").mkdir()
    for name, key in (("a", "other"), ("b", "rank")):
        lines = [json.dumps({"text": "w", key: {"best": i}}) for i in range(3)]
        (tmp_path / "in" / f"{name}.jsonl").write_text("\n".join(["no json", *lines, "[]"]))
    words = ["select", "top", str(tmp_path / "in"), "-o", str(tmp_path / "o.jsonl"), "--quiet", "--keep", "2", "--by"]
    for by, near in (("rnak.best", "rank.best"), ("rank.bets", "rank.best"), ("-rank.bets", "rank.best"), ("x", "")):
        assert main([*words, by]) == 2
        told = capsys.readouterr().err
        assert "none of the first 100 documents of a file has that key" in told and near in told
        assert not (tmp_path / "o.jsonl.work").exists()
    assert main([*words, "rank.best"]) == 0
    buckets = [word.replace("top", "buckets") if word == "top" else word for word in words]
    assert main([*buckets, "bukcet"]) == 2 and "has that key" in capsys.readouterr().err
    mixture = tmp_path / "m.yaml"
    mixture.write_text("sources: {a: {run: this}}\nquality: {column: rank.bets, edges: [1], repeat: [0, 1]}\n")
    tokenizer = byte_tokenizer(tmp_path / "t.json").path
    with pytest.raises(SchemaError, match="mix: no column is called 'rank.bets'.*did you mean 'rank.best'"):
        build({"source": {"documents": {"inputs": [str(tmp_path / "in")]}}, "steps": [
            {"tokenize": {"tokenizer": str(tokenizer)}},
            {"mix": {"mixture": str(mixture)}}, {"pack": {"drawn": True}},
        ]})  # fmt: skip
