"""The whole search on sources of known quality, its batches and its measure; all at the smallest size."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from mixtures.search import prepare, search  # noqa: E402
from mixtures.search.batches import mixture_batches, schedule  # noqa: E402
from pipeline.cli import main  # noqa: E402
from pipeline.packreader import open_packs  # noqa: E402
from pipeline.store import read_json  # noqa: E402
from tests.pipeline.token_tools import pack_set  # noqa: E402

from ..texts import write  # noqa: E402

SMALL = ["--proxies", "6", "--steps", "12", "--batch-size", "4", "--sequence-length", "64", "--vocab-size", "300",
         "--simulated", "500", "--quiet"]  # fmt: skip


def clean(rng: random.Random) -> str:
    """Counting in words: what comes next is known."""
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    first = rng.randrange(8)
    return " ".join(words[(first + i) % 8] for i in range(90))


def sources(folder: Path) -> Path:
    """A mixture of clean text, the same words shuffled, and boilerplate."""
    rng = random.Random(1)

    def shuffled() -> str:
        words = clean(rng).split()
        rng.shuffle(words)
        return " ".join(words)

    made = {
        "clean": [clean(rng) for _ in range(120)],
        "shuffled": [shuffled() for _ in range(120)],
        "boilerplate": [f"Home | Contact | Terms of use | {i}\n" * 12 for i in range(120)],
        "held": [clean(rng) for _ in range(6)],
    }
    for name, texts in made.items():
        write(folder / f"{name}.jsonl", [{"id": f"{name}-{i}", "text": text} for i, text in enumerate(texts)])
    value = {
        "name": "known",
        "max_epochs": 20,
        "sources": {name: {"inputs": [str(folder / f"{name}.jsonl")]} for name in list(made)[:3]},
    }
    value["sources"]["clean"]["weight"] = 1
    (folder / "mixture.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def found(folder: Path) -> Path:
    out = folder / "out"
    held = ["--held-out", f"clean={folder / 'held.jsonl'}"]
    assert main(["mix", "search", str(folder / "mixture.yaml"), "-o", str(out), *held, *SMALL]) == 0
    return out


def test_the_search_prefers_the_good_source(found: Path) -> None:
    told = read_json(found / "search.json")
    mixtures = told["mixtures"]
    weights = dict(zip(("clean", "shuffled", "boilerplate"), mixtures["chosen"]["weights"], strict=True))
    assert weights["clean"] > 0.8
    assert mixtures["chosen"]["measured"] < min(mixtures[name]["measured"] for name in mixtures if name != "chosen")
    assert mixtures["chosen"]["predicted"] < mixtures["natural"]["predicted"]
    assert mixtures["natural"]["chosen_better"] > 0.8
    assert len(told["proxies"]) == 6 and told["proxies"][0]["weights"] == mixtures["natural"]["weights"]
    assert {one["kind"] for one in told["regressions"]} >= {"linear", "quadratic"}
    html = (found / "report.html").read_text()
    assert "leave-one-out error" in html and "unimax" in html


def test_the_chosen_mixture_is_a_mixture(found: Path) -> None:
    from mixtures.recipe import load_mixture

    chosen = read_json(found / "search.json")["mixtures"]["chosen"]["weights"]
    made = load_mixture(str(found / "mixture.yaml"))
    assert made.name == "known" and made.max_epochs == 20
    for name, weight in zip(("clean", "shuffled", "boilerplate"), chosen, strict=True):
        assert (made.sources[name].weight == weight) if weight else (name not in made.sources)
    assert main(["mix", "plan", str(found / "mixture.yaml"), "--quiet"]) == 0


def test_a_search_goes_on_and_grows(found: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_json(found / "search.json")
    held = ["--held-out", f"clean={folder / 'held.jsonl'}"]
    command = ["mix", "search", str(folder / "mixture.yaml"), "-o", str(found), *held, *SMALL]

    def no_more(proxy: Any) -> Any:
        raise AssertionError(f"{proxy.name} was trained again")

    with monkeypatch.context() as patch:
        patch.setattr(search, "run_proxy", no_more)
        assert main(command) == 0
        assert read_json(found / "search.json") == before
    trained = []
    train = search.run_proxy

    def noted(proxy: Any) -> Any:
        trained.append(proxy.name)
        return train(proxy)

    monkeypatch.setattr(search, "run_proxy", noted)
    (found / "proxies" / "done" / "0003.json").unlink()
    command[command.index("--proxies") + 1] = "7"
    assert main([*command, "--measure", "false"]) == 0
    assert trained == ["0003", "0006"]
    assert read_json(found / "search.json")["proxies"][:6] == before["proxies"]  # the same numbers, trained anew


@pytest.mark.ray
def test_workers_change_nothing(folder: Path, tmp_path: Path) -> None:
    told = []
    for name, options in (("alone", []), ("two", ["--workers", "2"])):
        command = ["mix", "search", str(folder / "mixture.yaml"), "-o", str(tmp_path / name), *SMALL, "--steps", "4"]
        assert main([*command, "--held-out", f"clean={folder / 'held.jsonl'}", "--measure", "false", *options]) == 0
        told.append((tmp_path / name / "search.json").read_bytes())
    assert told[0] == told[1]


def test_held_out_parts_of_the_sources(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = [*SMALL, "--held-out-share", "0.2", "--objective", "shuffled", "--measure", "false", "--steps", "2"]
    assert main(["mix", "search", str(folder / "mixture.yaml"), "-o", str(out), *options]) == 0
    told = read_json(out / "search.json")
    assert told["objective"] == ["shuffled"] and [one["name"] for one in told["held_out"]] == list(
        ("clean", "shuffled", "boilerplate")
    )
    ids = []
    for kind in ("train-00", "held-00"):
        documents = next((out / "prepare" / f"packs-{kind}").glob("*-pack/packset/documents/*.parquet"))
        import pyarrow.parquet as pq

        ids.append(set(pq.read_table(documents)["id"].to_pylist()))
    assert len(ids[1]) == 24 and not ids[0] & ids[1]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, ["--proxies", "2"], "proxies must be at least 4"),
        ({}, ["--model", "tinny"], "did you mean 'tiny'"),
        ({}, ["--objective", "cleen"], "did you mean 'clean'"),
        ({}, ["--held-out", "nothing"], "NAME=FILE"),
        ({}, ["--held-out", "a=missing.jsonl"], "does not exist"),
        ({}, ["--held-out-share", "1.5"], "held_out_share"),
        ({"sources": {"a": {"inputs": ["x.jsonl"]}}}, [], "one source"),
        ({"sources": {"a": {"run": "this"}, "b": {"inputs": ["x.jsonl"]}}}, [], "say which with --run"),
        (
            {"sources": {"a": {"run": "this"}, "b": {"inputs": ["x.jsonl"]}}},
            ["--run", "nowhere"],
            "'nowhere' is no run",
        ),
        ({"sources": {"a": {"run": "nowhere"}, "b": {"inputs": ["x.jsonl"]}}}, [], "is no run with documents"),
        ({"total_tokens": 10**9}, ["--steps", "1"], "lower total_tokens"),
        ({"phases": [{"name": "a", "weights": {"clean": 1}}]}, [], "phases have weights"),
    ],
)
def test_what_is_wrong_is_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], options: list[str],
    message: str,
) -> None:  # fmt: skip
    value = {**yaml.safe_load((folder / "mixture.yaml").read_text()), **change}
    (tmp_path / "mixture.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    command = ["mix", "search", str(tmp_path / "mixture.yaml"), "-o", str(tmp_path / "out"), *SMALL, *options]
    assert main(command) == 2
    assert message in capsys.readouterr().err


def test_without_torch(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("pretrain.train.torch_available", lambda: False)
    assert main(["mix", "search", str(folder / "mixture.yaml"), "-o", str(tmp_path / "out"), *SMALL]) == 2
    assert "pip install 'gristmill[pretrain]'" in capsys.readouterr().err
    assert not (tmp_path / "out" / "prepare").exists()


def test_empty_sources(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "empty.jsonl", [{"id": "a", "text": ""}])
    value = yaml.safe_load((folder / "mixture.yaml").read_text())
    value["sources"]["empty"] = {"inputs": [str(tmp_path / "empty.jsonl")]}
    (tmp_path / "mixture.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    held = ["--held-out", f"clean={folder / 'held.jsonl'}"]
    assert main(["mix", "search", str(tmp_path / "mixture.yaml"), "-o", str(tmp_path / "o"), *SMALL, *held]) == 2
    assert "no text of 'empty'" in capsys.readouterr().err


def packs(folder: Path, name: str, token: int, documents: int = 30, length: int = 16) -> Any:
    """Sequences of one token alone, and ends of documents."""
    made = [(f"{name}{i:031x}", [token] * (length - 1) + [256]) for i in range(documents)]
    return open_packs(pack_set(folder / name, [made], length, 100))


def test_each_source_gives_its_share_at_any_time() -> None:
    rng = np.random.default_rng(0)
    for k in (1, 2, 5):
        weights = rng.dirichlet(np.ones(k))
        drawn = schedule(weights, 300)
        for n in (1, 7, 50, 300):
            counts = np.bincount(drawn[:n], minlength=k)
            assert np.all(np.abs(counts - weights * n) < k)
        assert np.all(np.bincount(drawn, minlength=k)[weights == 0] == 0)


def test_batches_come_from_the_sources_packs(tmp_path: Path) -> None:
    readers = [packs(tmp_path, "a", 5, 12), packs(tmp_path, "b", 9, 30)]
    weights = np.array([0.25, 0.75])
    batches = list(mixture_batches(readers, weights, steps=20, batch_size=4, seed=3))
    tokens = Counter(int(row[0]) for batch in batches for row in batch.input_ids)
    assert tokens == {5: 20, 9: 60}
    for source, (token, size) in enumerate(((5, 12), (9, 30))):
        order = [
            int(i)
            for batch in batches
            for row, i in zip(batch.input_ids, batch.indices, strict=True)
            if row[0] == token
        ]
        for epoch in range(0, len(order) - size + 1, size):
            assert sorted(order[epoch : epoch + size]) == list(range(size)), source
    other = list(mixture_batches(readers, np.array([0.5, 0.5]), steps=20, batch_size=4, seed=3))
    first = [[int(i) for b in made for row, i in zip(b.input_ids, b.indices, strict=True) if row[0] == 9]
             for made in (batches, other)]  # fmt: skip
    assert first[0][:40] == first[1][:40]  # chance is the same for other weights
    segments = batches[0].segment_ids
    assert segments is not None and (segments == 0).all()


def test_documents_of_a_run(tmp_path: Path) -> None:
    from mixtures.recipe import SourceSpec

    for step in ("01-extract", "03-pii"):
        (tmp_path / step / "kept").mkdir(parents=True)
        (tmp_path / step / "kept" / "00000.parquet").touch()
    (tmp_path / "04-tokenize" / "tokens").mkdir(parents=True)
    assert prepare.source_inputs("s", SourceSpec(run=str(tmp_path))) == [str(tmp_path / "03-pii" / "kept")]
    shutil.rmtree(tmp_path / "03-pii")
    assert prepare.source_inputs("s", SourceSpec(run=str(tmp_path))) == [str(tmp_path / "01-extract" / "kept")]


def test_the_search_is_plain_json(found: Path) -> None:
    text = (found / "search.json").read_text()
    assert json.loads(text) and str(found.parent) not in text.replace(json.loads(text)["mixture"], "")
