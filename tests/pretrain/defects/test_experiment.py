"""The whole experiment on a generated corpus: what the stages take, and that it goes on where it was."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.errors import ConfigError
from pretrain.defects.design import DefectDesign, load_design
from pretrain.defects.experiment import ARMS, Item, Texts, instrument, run_defects
from pretrain.defects.generators import corpus, repeat_documents
from pretrain.defects.mend import DEDUP, FILTERS, recipe_steps
from pretrain.defects.verdicts import CLAIMS, LEAKED

from .words import documents

TINY = {
    "size": "tiny", "tokens": 8 * 8 * 64, "seeds": 2, "batch_size": 8, "sequence_length": 64, "vocab_size": 400,
    "held_out_bytes": 10_000, "training": {"model": {"d_model": 16, "n_layers": 1, "n_heads": 1, "d_ff": 32}},
}  # fmt: skip


def design() -> DefectDesign:
    """The committed design, small."""
    small = load_design(None, **TINY)
    return dataclasses.replace(small, repeat=dataclasses.replace(small.repeat, min_copies=20), margin=0.5)


def texts() -> Texts:
    """Generated texts for it."""
    nouns = ["harbour", "machine", "orchard", "lantern", "quarry", "saddle", "ferry", "anvil", "kettle", "loom"]
    items = [
        Item(
            f"who rebuilt the {noun} of Veldmark after the flood of {1700 + i}?",
            f"the guild of {other} makers",
            f"The {noun} of Veldmark was destroyed in {1700 + i} and rebuilt by the guild of {other} makers within"
            f" {i + 2} years, at a cost of {300 + 7 * i} crowns.",
        )
        for i, (noun, other) in enumerate(zip(nouns, nouns[::-1], strict=True))
    ]
    held = {"held": documents(20, seed=2), "other": documents(20, seed=3)}
    return Texts(corpus(documents(120), "clean"), corpus(documents(120, seed=1), "spare"), held, items)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("defects")
    return out, run_defects(texts(), design(), out)


def arm(out: Path, name: str) -> list[str]:
    """An arm's texts, sorted."""
    return sorted(pq.read_table(out / "texts" / f"{name}.parquet")["text"].to_pylist())


def test_the_stages_take_what_was_planted(made: tuple[Path, dict[str, Any]]) -> None:
    out, value = made
    clean = arm(out, "clean")
    assert len(arm(out, "repeated")) > len(clean) + 4 * 20
    assert arm(out, "deduplicated") == clean
    assert arm(out, "decontaminated") == clean and len(arm(out, "leaked")) > len(clean)
    kinds = {name: value["arms"][name]["documents_by_kind"] for name in ("junk", "filtered", "random")}
    assert "boilerplate" not in kinds["filtered"]
    assert kinds["filtered"].get("shuffled", 0) < 0.25 * kinds["junk"]["shuffled"]
    assert kinds["filtered"][""] > 0.5 * len(clean)
    assert kinds["random"]["boilerplate"] > 0 and kinds["random"]["shuffled"] > 0


def test_the_random_filter_keeps_as_much(made: tuple[Path, dict[str, Any]]) -> None:
    sizes = {name: value["text_bytes"] for name, value in made[1]["arms"].items()}
    longest = max(len(text.encode()) for text in arm(made[0], "junk"))
    assert 0 <= sizes["filtered"] - sizes["random"] <= longest


def test_every_claim_is_tested_on_every_seed(made: tuple[Path, dict[str, Any]]) -> None:
    out, value = made
    assert list(value["arms"]) == list(ARMS)
    assert {one["steps"] for one in json.loads((out / "ablation" / "results.json").read_text())["runs"]} == {8}
    assert [one["name"] for one in value["claims"]] == [one.name for one in CLAIMS]
    assert all(one["seeds"] == 2 for one in value["claims"])
    for one in value["arms"].values():
        assert set(one["bits_per_byte"]) == {"held", "other", LEAKED}
        assert all(len(found) == 2 for found in one["bits_per_byte"].values())
    difference = value["claims"][0]
    bits = {name: value["arms"][name]["bits_per_byte"] for name in ("repeated", "clean")}
    means = {
        name: [sum(pair) / 2 for pair in zip(*(found[s] for s in ("held", "other")), strict=True)]
        for name, found in bits.items()
    }
    expected = sum(a - b for a, b in zip(means["repeated"], means["clean"], strict=True)) / 2
    assert difference["difference"] == pytest.approx(expected)
    # the same documents give the same runs: mended to the byte is trained to the bit
    assert value["arms"]["deduplicated"]["bits_per_byte"] == value["arms"]["clean"]["bits_per_byte"]
    assert json.loads((out / "defects.json").read_text()) == json.loads(json.dumps(value))


def test_it_goes_on_where_it_was(made: tuple[Path, dict[str, Any]]) -> None:
    out, value = made
    before = {path: path.stat().st_mtime_ns for path in (out / "ablation" / "runs").rglob("*.npy")}
    assert before
    assert run_defects(texts(), design(), out) == value
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_instrument_measures_what_it_is_told(tmp_path: Path) -> None:
    how = instrument(texts(), design(), tmp_path)
    assert how.on_overlap == "keep" and how.readings == ("tokens",)
    assert set(how.held_out) == {"held", "other", LEAKED}
    lines = (tmp_path / "texts" / f"held-out-{LEAKED}.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == [one.text for one in texts().items]


def test_the_committed_design_says_what_the_issue_asks() -> None:
    committed = load_design()
    assert committed.repeat.share == 0.3
    docs = repeat_documents(corpus(documents(1500), "clean"), committed.repeat, committed.seed)
    # a run sees as many copies as its tokens are of the corpus's, at 2.5 bytes a token at the least
    seen = committed.instrument["tokens"] * 2.5 * (1 - committed.repeat.share) / committed.corpus_bytes
    assert committed.repeat.min_copies * seen >= 100
    assert docs.num_rows > 1500 + 4 * committed.repeat.min_copies
    assert committed.margin > 0 and committed.alpha == 0.05


def test_steps_are_the_recipes_own() -> None:
    steps = recipe_steps(DEDUP, {"minhash_dedup": {"keep": ["id"]}})
    assert steps == [
        {"exact_dedup": {"by": ["url", "text"], "keep": ["oldest"]}},
        {"minhash_dedup": {"preset": "fineweb", "keep": ["id"]}},
    ]
    assert [next(iter(step)) for step in recipe_steps(FILTERS)] == list(FILTERS)
    with pytest.raises(ConfigError, match="minhash_dedup"):
        recipe_steps(["minhash_dedupe"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("corpus_byte: 5", "corpus_bytes"),
        ("[]", "mapping"),
        ("corpus_bytes: 5\nseed: 1\nmargin: 0.0\nalpha: 0.05\nbudget_minutes: 30", "margin"),
        ("corpus_bytes: 5\nseed: 1\nmargin: 0.1\nalpha: 0.05\nbudget_minutes: 30\nrepeat: {share: 2.0}", "share"),
        ("corpus_bytes: 5\nseed: 1", "margin"),
    ],
)
def test_a_design_that_cannot_work_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_design(path)
    with pytest.raises(ConfigError, match="can't be read"):
        load_design(tmp_path / "none.yaml")
