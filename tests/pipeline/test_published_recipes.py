"""The published pipelines: valid, in their published order, and run on the sample crawl."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from filters.settings import settings_by_language
from pipeline.recipe import build, override, read_recipe
from pipeline.stage import CUT_SPANS, Editor, registered, split
from tests.runs import run_recipe

GLOBAL = {
    "fineweb": ["minhash_dedup"],
    "fineweb2": ["minhash_dedup"],
    "c4": ["exact_dedup"],
    "refinedweb": ["minhash_dedup", "substring_dedup", "exact_dedup"],
    "dclm": ["line_dedup"],
}
ORDERS = {
    "fineweb": "url extract language gopher_repetition gopher_quality c4_lines c4_documents fineweb_quality",
    "fineweb2": "url extract language gopher_repetition fineweb_quality gopher_quality mojibake_repair",
    "c4": "extract c4_lines c4_documents language",
    "refinedweb": "url extract language gopher_repetition gopher_quality refinedweb_lines",
    "dclm": "url extract language gopher_quality gopher_repetition refinedweb_lines",
}


@pytest.mark.parametrize("name", ORDERS)
def test_the_published_order(name):
    stages = [s.name for step in build(read_recipe(name), name).steps for s in getattr(step, "stages", [])]
    wanted = ORDERS[name].split()
    assert [s for s in stages if s in wanted] == wanted
    steps = [step.name for step in build(read_recipe(name), name).steps]
    assert [step for step in steps if step.endswith("_dedup")] == GLOBAL[name]


@pytest.fixture(scope="module")
def documents(sample_run):
    """The sample crawl's extracted documents."""
    folder = next(p for p in sorted(sample_run.iterdir()) if p.name.endswith("extract"))
    docs = pa.concat_tables(pq.read_table(p) for p in sorted((folder / "kept").glob("*.parquet")))
    return docs.select(["id", "text", "url", "record"])


@pytest.mark.parametrize("name", ORDERS)
def test_the_filters_on_the_sample(name, documents):
    """What runs after extraction, stage by stage; each drops few or some, none drops all."""
    stages = [s for step in build(read_recipe(name), name).steps for s in getattr(step, "stages", [])]
    docs, reasons = documents, {}
    for stage in stages[[s.name for s in stages].index("extract") + 1 :]:
        docs, dropped = split(stage(docs), stage)
        reasons[stage.name] = dropped.num_rows
    assert reasons["language"] > 0
    assert 0.1 < docs.num_rows / documents.num_rows < 0.9
    others = sum(n for stage, n in reasons.items() if stage != "language")
    assert 0 < others < documents.num_rows / 2
    if any(isinstance(stage, Editor) for stage in stages):
        assert CUT_SPANS in docs.column_names and all(docs["text"].to_pylist())


def test_a_whole_run(tmp_path):
    """C4 on the sample crawl, with the global step in its place."""
    run_recipe(build(override(read_recipe("c4"), ["extract.isolate=false"]), "c4"), tmp_path / "run")
    kept = [
        sum(pq.read_metadata(p).num_rows for p in folder.glob("kept/*.parquet"))
        for folder in sorted((tmp_path / "run").iterdir())
        if (folder / "kept").is_dir()
    ]
    assert len(kept) == 4 and kept == sorted(kept, reverse=True) and kept[-1] > 100


def test_settings_of_fineweb2_name_options_that_exist(root):
    table = yaml.safe_load((root / "filters" / "data" / "settings" / "fineweb2.yaml").read_text("utf-8"))
    stop_words = yaml.safe_load((root / "filters" / "data" / "settings" / "stopwords_fineweb2.yaml").read_text("utf-8"))
    assert len(table) >= 30 and set(stop_words) == {*table, "en"}
    for stage in ("gopher_repetition", "gopher_quality", "fineweb_quality"):
        rules = tuple(rule.option for rule in registered()[stage].rules)
        found = settings_by_language("fineweb2", stage, rules)
        assert all(found[lang] for lang in table)
    assert {stage for own in table.values() for stage in own} == {
        "gopher_repetition",
        "gopher_quality",
        "fineweb_quality",
    }
    french = table["fr"]  # configs/fra_Latn.yml at 05e6729567
    assert french["gopher_repetition"]["max_dup_line_share"] == 0.264
    assert french["gopher_repetition"]["max_top_2gram_char_share"] == 0.161
    assert french["gopher_repetition"]["max_dup_10gram_char_share"] == 0.1
    assert french["fineweb_quality"]["min_terminal_line_share"] == 0.1
    assert french["gopher_quality"] == {
        "min_mean_word_chars": 2, "max_mean_word_chars": 11, "min_alpha_word_share": 0.812,
    }  # fmt: skip
    for own in table.values():
        shares = own["gopher_repetition"]
        assert 0 < shares["max_dup_10gram_char_share"] < shares["max_dup_5gram_char_share"]
        assert own["gopher_quality"]["min_mean_word_chars"] < own["gopher_quality"]["max_mean_word_chars"]
