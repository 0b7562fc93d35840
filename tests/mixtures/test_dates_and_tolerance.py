"""How near to their targets the counts come, whatever the packs' length; the newest days where few have a date."""

from __future__ import annotations

import json

import pytest
import yaml

from mixtures.estimate import plan
from mixtures.recipe import parse_mixture
from mixtures.step import Mix
from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.packstep import Pack
from pipeline.recipe import build
from tests.pipeline.token_tools import byte_tokenizer

from .mix_tools import Doc, make_run, mix, random_docs


def test_few_dates_are_told_and_none_is_an_error(tmp_path):
    """40 of 200 documents have a date; the newest that fit are fresh, all 40 where the share has room for them."""
    docs = [
        Doc(f"{i:032x}", [1] * 9, date=f"2025-03-{1 + i // 10:02d}T00:00:00Z" if i < 40 else "") for i in range(200)
    ]
    run = make_run(tmp_path / "a", docs)
    for share, fresh in ((0.06, docs[30:40]), (0.3, docs[:40])):
        held = {"newest_share": share, "near_duplicates": False}
        made = mix(tmp_path / f"m{share}", {"sources": {"a": {"run": str(run)}}, "held_out": held})
        assert {r["id"] for r in made.draws("fresh")} == {d.id for d in fresh}
        (warning,) = made.report["warnings"]
        assert warning.startswith("only 40 of 200 documents (20.00%) have a date (record)")
    mixture = parse_mixture({"sources": {"a": {"run": str(run)}}, "held_out": held}, "m")
    assert plan(mixture)["warnings"] == [warning]
    held["newest_share"] = 0.04  # less than a day has
    made = mix(tmp_path / "day", {"sources": {"a": {"run": str(run)}}, "held_out": held})
    assert [text for text in made.report["warnings"] if "nothing is fresh: the latest day, 2025-03-04, has 100" in text]
    held["date"] = "published"
    with pytest.raises(ConfigError, match="none of 200 documents has one .published."):
        mix(tmp_path / "none", {"sources": {"a": {"run": str(run)}}, "held_out": held})
    with pytest.raises(ConfigError, match="none of 200 documents has one"):
        plan(parse_mixture({"sources": {"a": {"run": str(run)}}, "held_out": held}, "m"))


def test_counts_are_within_a_sequence_whatever_its_length(tmp_path):
    """In a recipe the tolerance is what the step pack cuts by; more than that is refused before anything runs."""
    (tmp_path / "a.jsonl").write_text("{}")

    def chain(pack: dict[str, object], **options: object) -> Mix:
        steps = [{"tokenize": {"tokenizer": str(tmp_path / "t.json")}}, {"mix": options}, {"pack": pack}]
        byte_tokenizer(tmp_path / "t.json")
        recipe = build({"source": {"documents": {"inputs": [str(tmp_path / "a.jsonl")]}}, "steps": steps})
        (step,) = [step for step in recipe.steps if isinstance(step, Mix)]
        return step

    for pack, tolerance in (
        ({"drawn": True}, Pack.sequence_length),
        ({"drawn": True, "sequence_length": 48}, 48),
        ({"drawn": True, "sequence_length": 2048, "long_lengths": [8192]}, 2048),
    ):
        assert chain(pack).tolerance == chain(pack).config()["tolerance_tokens"] == tolerance
        assert chain(pack, tolerance_tokens=7).tolerance == 7
        with pytest.raises(ConfigError, match=f"more than a sequence of the step pack, {tolerance}"):
            chain(pack, tolerance_tokens=tolerance + 1)
    docs = {"a": random_docs("a", 60, 3, 90)}
    run = make_run(tmp_path / "a", docs["a"])
    recipe = {"sources": {"a": {"run": str(run), "epochs": 0.63}}, "phases": [{"name": "x"}, {"name": "y", "share": 2}]}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(recipe))
    for length in (8, 1000):
        command = ["mix", "run", str(tmp_path / "m.yaml"), "-o", str(tmp_path / f"o{length}"), "--inline", "--quiet"]
        assert main([*command, "--sequence-length", str(length)]) == 0
        report = json.loads((tmp_path / f"o{length}" / "01-mix" / "manifest.json").read_text())["report"]
        for row in report["drawn"]:
            assert abs(row["tokens"] - row["wanted_tokens"]) < length
        whole = sum(row["divided"] for row in report["drawn"]) == 0
        assert whole is (length == 1000)  # sequences of 8 tokens can't be met by whole documents
