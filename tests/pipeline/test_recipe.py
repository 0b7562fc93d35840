"""Recipes: typos are named, bad shapes are errors, a good one gives the chain that it says."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, GristmillError, SchemaError
from pipeline.recipe import build, bundled, override, read_recipe, without

PLAIN = {
    "name": "r",
    "source": {"warc": {"inputs": ["sample"]}},
    "steps": ["url", {"extract": {"engine": "resiliparse"}}, {"language": {"languages": ["en"]}}, "exact_dedup"],
}


def test_chain():
    recipe = build(PLAIN)
    assert [step.folder_name() for step in recipe.steps] == ["extract", "language", "exact_dedup"]
    assert [stage.name for stage in recipe.steps[0].stages] == ["url", "extract"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": []}, "did you mean 'steps'"),
        ({"steps": ["langauge"]}, "did you mean 'language'"),
        ({"steps": [{"language": {"min_scor": 1}}]}, "did you mean 'min_score'"),
        ({"steps": ["url", "extract", {"exact_dedup": {"kep": []}}]}, "did you mean 'keep'"),
        ({"source": {"wrac": {}}}, "did you mean 'warc'"),
        ({"source": {"warc": {"inputs": ["x"], "split_byte": 1}}}, "did you mean 'split_bytes'"),
        ({"source": {"warc": {}}}, "needs `inputs`"),
        ({"source": {"warc": {"inputs": ["x"], "split_bytes": 0}}}, "positive"),
        ({"source": None}, "must be one of"),
        ({"steps": "url"}, "must be a list"),
        ({"steps": [{"url": {}, "extract": {}}]}, "write a step as"),
        ({"steps": [["url"]]}, "write a step as"),
        ({"steps": ["url", "extract", "pack"]}, r"needs \['tokens'\]"),
        ({"steps": ["url", "extract", "tokenize"]}, r"needs \['tokenizer'\]"),
        ({"steps": ["extract", "train_tokenizer", "tokenize", "mix", "pack"]}, "would pass over the draws"),
        ({"name": "../x"}, "plain word"),
        ({"steps": ["url", "extract", {"language": {"languages": ["english"]}}]}, "no language codes"),
    ],
)
def test_errors_name_what_is_wrong(change, message):
    with pytest.raises(ConfigError, match=message):
        build({**PLAIN, **change})


def test_columns_are_checked_before_a_run():
    with pytest.raises(SchemaError, match="language"):
        build({**PLAIN, "steps": ["language", "extract"]})
    with pytest.raises(SchemaError, match="quality"):
        build({**PLAIN, "steps": ["extract", {"exact_dedup": {"keep": ["-quality"]}}]})
    last = ["train_tokenizer", "tokenize", {"mix": {"mixture": "best-last"}}, {"pack": {"drawn": True}}]
    with pytest.raises(SchemaError, match="mixture 'best-last' asks for the score 'quality'"):
        build({**PLAIN, "steps": ["extract", "language", *last]})
    build({**PLAIN, "steps": ["extract", "language", "quality", *last]})


def test_bundled_recipes_are_valid():
    assert "crawl-to-shards" in bundled()
    for name in bundled():
        build(read_recipe(name), name)


def test_override_and_without():
    changed = override(PLAIN, ["language.min_score=0.9", "url.words=[spam]", "warc.split_bytes=7"])
    recipe = build(changed)
    assert recipe.steps[1].stages[0].min_score == 0.9
    assert recipe.steps[0].stages[0].words == ("spam",)
    assert recipe.steps[0].source.split_bytes == 7
    assert PLAIN["steps"][0] == "url"
    assert [s.folder_name() for s in build(without(PLAIN, ["language"])).steps] == ["extract", "exact_dedup"]
    for bad in ("language=3", "min_score", "languag.min_score=1", "language.min_score=[", ""):
        with pytest.raises(ConfigError):
            override(PLAIN, [bad])
    with pytest.raises(ConfigError, match="did you mean"):
        without(PLAIN, ["languag"])


def test_files(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(PLAIN))
    assert read_recipe(str(path)) == PLAIN
    for content in (b"a: [", b"- 1", b"\xff\xfe\x00", b"", b"&a [*a, *a]"):
        path.write_bytes(content)
        with pytest.raises(ConfigError):
            build(read_recipe(str(path)))
    with pytest.raises(ConfigError, match="did you mean 'crawl-to-shards'"):
        read_recipe("crawl-to-shard")
    path.write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match="read as YAML"):
        read_recipe(str(path))


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["url", "extract", "language", "name", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["name", "source", "steps", "output", "x"]), json_like))
def test_any_mapping_is_a_recipe_or_one_of_our_errors(plain):
    try:
        build(plain)
    except GristmillError as error:
        assert str(error)
