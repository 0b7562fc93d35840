"""Mixture files: every mistake is told before anything runs, with the nearest key."""

from __future__ import annotations

import pytest

from mixtures.page import markdown
from mixtures.recipe import bundled, load_mixture, parse_mixture
from pipeline.errors import ConfigError
from pipeline.yaml_input import load_yaml

GOOD = {"sources": {"a": {"run": "x"}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": {}}, "sources is missing"),
        ({"sources": ["a"]}, "sources must be a mapping"),
        ({"source": {}}, "did you mean 'sources'"),
        ({"sources": {"a": {}}}, "source 'a': say either run or inputs"),
        ({"sources": {"a": {"run": "x", "inputs": ["y"]}}}, "say either run or inputs"),
        ({"sources": {"a": {"run": "x", "wieght": 1}}}, "did you mean 'weight'"),
        ({"sources": {"a": {"run": "x", "weight": 0}}}, "weight must be above 0"),
        ({"sources": {"a": {"run": "x", "weight": -1}}}, "weight must be above 0"),
        ({"sources": {"a": {"run": "x", "weight": float("nan")}}}, "weight must be a number"),
        ({"sources": {"a": {"run": "x", "weight": "2"}}}, "weight must be a number"),
        ({"sources": {"a": {"run": "x", "tokens": 0}}}, "tokens must be above 0"),
        ({"sources": {"a": {"run": "x", "tokens": 1, "epochs": 1}}}, "say one of weight, tokens and epochs"),
        ({"sources": {"a": {"run": "this"}, "b": {"run": "this"}}}, "two sources are `run: this`"),
        ({"sources": {"a": {"run": "x", "tokens": 50}}, "total_tokens": 10}, "more than total_tokens"),
        ({"total_tokens": 0}, "total_tokens must be at least 1"),
        ({"max_epochs": 0}, "max_epochs must be above 0"),
        ({"max_epochs": 1e9}, "at most 1000"),
        ({"sources": {"a": {"run": "x", "max_epochs": 1001}}}, "at most 1000"),
        ({"sources": {"../a": {"run": "x"}}}, "letters, digits"),
        ({"sources": {"": {"run": "x"}}}, "must be a mapping from names"),
        ({"temperature": {"by": "language"}}, "by is lang or domain"),
        ({"temperature": {"exponent": 2}}, "exponent must lie in 0..1"),
        ({"quality": {"edges": [0.5, 0.1], "repeat": [1, 1, 1]}}, "rising"),
        ({"quality": {"edges": [0.5], "repeat": [1]}}, "repeat needs 2 numbers"),
        ({"quality": {"edges": [0.5], "repeat": [0, 0]}}, "not all 0"),
        ({"quality": {"edges": [0.5], "repeat": [1, float("inf")]}}, "repeat needs 2 numbers"),
        ({"quality": {"edges": [0.5], "repeat": [1, -1]}}, "repeat needs 2 numbers"),
        ({"quality": {"edges": [2], "repeat": [1, 1], "quantiles": True}}, "quantiles lie between 0 and 1"),
        ({"domain_cap": {}}, "say either share or tokens"),
        ({"domain_cap": {"share": 2}}, "share must lie in"),
        ({"held_out": {}}, "say share"),
        ({"held_out": {"share": 1}}, "below 1"),
        ({"held_out": {"after": "yesterday"}}, "YYYY-MM-DD"),
        ({"held_out": {"after": "2025-01-01", "newest_share": 0.1}}, "either after or newest_share"),
        ({"phases": []}, "phases must be a list"),
        ({"phases": [{"share": 1}]}, "name is missing"),
        ({"phases": [{"name": "m", "share": 0}]}, "share must be above 0"),
        ({"phases": [{"name": "m"}, {"name": "m"}]}, "same name"),
        ({"phases": [{"name": "m", "weights": {"b": 1}}]}, "no source is called 'b'"),
        ({"phases": [{"name": "m", "weights": {"a": 0}}]}, "all weights are 0"),
        ({"phases": [{"name": "m", "weights": {"a": float("nan")}}]}, "number of at least 0"),
        ({"phases": [{"name": "m", "repeat": [1, 2]}]}, "needs the buckets"),
        ({"control": {"edges": [0.5], "names": ["a"]}}, "2 different names"),
        ({"control": {"edges": [0.5], "names": ["a", "b"], "drop_share": 1}}, "drop_share"),
        ({"seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_mistakes_are_told(change, message):
    with pytest.raises(ConfigError, match=message) as raised:
        parse_mixture({**GOOD, **change}, "mixture 'm.yaml'")
    assert str(raised.value).startswith("mixture 'm.yaml'")


def test_files_and_bundled_ones(tmp_path):
    assert "natural" in bundled()
    assert load_mixture("natural").temperature is None  # the main job loses no document but those held out
    for name in bundled():
        load_mixture(name)
    path = tmp_path / "m.yaml"
    path.write_text("sources: {a: {run: x}}\nheld_out: {after: 2025-03-01}\n")
    assert load_mixture(str(path)).held_out.after == "2025-03-01"
    with pytest.raises(ConfigError, match="did you mean 'natural'"):
        load_mixture("naturl")
    with pytest.raises(ConfigError, match="is not a file"):
        load_mixture(str(tmp_path / "none.yaml"))
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match="must be a mapping"):
        load_mixture(str(path))


def test_the_page_is_what_the_code_says(root):
    assert (root / "docs" / "mixtures.md").read_text(encoding="utf-8") == markdown(), "run `make docs`"


def test_the_example_of_the_page_is_a_mixture():
    example = markdown().split("```yaml\n")[1].split("```")[0]
    assert parse_mixture(load_yaml(example, "example"), "example").phases[1].repeat == (0, 0, 1)
