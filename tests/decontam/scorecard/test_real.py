"""Real benchmarks in real pages: 200 cases of every form that the sets here have items for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from decontam.index import build_index
from decontam.items import read_items
from decontam.methods import method_named
from decontam.scorecard.cases import FORMS, Bench, Case, make_cases, shortfalls
from decontam.scorecard.compare import compare
from decontam.scorecard.quotations import quotations_from
from decontam.scorecard.wording import words

BENCHMARKS = ("arc_challenge", "arc_easy", "humaneval", "sciq", "squad", "svamp")


@pytest.fixture(scope="module")
def hosts(shared_data: Path) -> pa.Table:
    with gzip.open(shared_data / "html/gold/wcxb.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return pa.table({name: pa.array([row[name] for row in rows], pa.large_string()) for name in ("id", "text", "url")})


@pytest.fixture(scope="module")
def cases(shared_data: Path, hosts: pa.Table) -> list[Case]:
    items = read_items([str(shared_data / "evals")], only=BENCHMARKS, on_error="skip")
    quotations = quotations_from(shared_data / "quality/tinyshakespeare.txt")
    return make_cases(Bench(items), hosts, "reporting", quotations=quotations)


def test_two_hundred_of_every_form(cases):
    without = {"formulas", "quoted_source"}  # MMLU's
    assert shortfalls(cases, 200, [name for name in FORMS if name not in without]) == {}
    assert len({case.name for case in cases}) == len(cases)
    assert {case.item.split("/")[0] for case in cases if case.item} == set(BENCHMARKS)


def test_the_play_is_quoted(cases):
    text = [case.text.encode()[case.start : case.end].decode() for case in cases if case.form == "famous_passage"]
    assert sum("\n" in passage and ":" in passage for passage in text) > 100
    assert all(20 <= len(words(passage)) <= 150 for passage in text)


def test_floors_of_the_default_method_on_real_benchmarks(shared_data: Path, hosts: pa.Table) -> None:
    only = ("boolq", "commonsense_qa", "openbookqa")
    forms = ["verbatim", "verbatim_short", "with_passage", "case_noise", "punctuation_noise", "unicode_noise"]
    forms += ["substituted_10", "dropped_10", "clean_host", "passage_source", "template_question", "same_template"]
    items = read_items([str(shared_data / "evals")], only=only, on_error="skip")
    methods = [method_named("coverage"), method_named("gpt3_13gram")]
    result = compare(items, build_index(items), hosts, methods, "tuning", per_form=25, forms=forms).result
    assert set(result["benchmarks"]) == set(only)
    coverage, gpt3 = (result["methods"][method.name] for method in methods)
    rates = {row["form"]: row["rate"] for row in coverage["forms"]}
    assert coverage["summary"]["precision"] >= 0.98
    assert min(rates["verbatim"], rates["verbatim_short"], rates["with_passage"]) >= 0.96
    assert min(rates["case_noise"], rates["punctuation_noise"], rates["unicode_noise"]) >= 0.95
    assert min(rates["substituted_10"], rates["dropped_10"]) >= 0.8
    assert gpt3["summary"]["recall"] < coverage["summary"]["recall"]
    assert gpt3["able"] < coverage["able"] <= items.num_rows
