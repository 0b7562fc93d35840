"""Real benchmarks in real pages: 200 cases of every form that the sets here have items for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from decontam.items import read_items
from decontam.scorecard.cases import FORMS, Bench, Case, make_cases, shortfalls
from decontam.scorecard.quotations import quotations_from
from decontam.scorecard.wording import words

BENCHMARKS = ("arc_challenge", "arc_easy", "humaneval", "sciq", "squad", "svamp")


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> list[Case]:
    items = read_items([str(shared_data / "evals")], only=BENCHMARKS, on_error="skip")
    with gzip.open(shared_data / "html/gold/wcxb.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    hosts = pa.table({name: [row[name] for row in rows] for name in ("id", "text", "url")})
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
