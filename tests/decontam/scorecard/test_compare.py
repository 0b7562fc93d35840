"""The whole scorecard on made-up benchmarks: its figures against a second count of the cases that it writes."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decontam.index import build_index
from decontam.methods import method_named
from decontam.scorecard.carried import Carried
from decontam.scorecard.cases import FORMS, Bench, Case
from decontam.scorecard.compare import Comparison, compare
from decontam.scorecard.dump import write_cases
from decontam.scorecard.hosts import read_hosts
from decontam.scorecard.judged import judge_all
from decontam.scorecard.plot import dots
from decontam.scorecard.tables import page, sections
from pipeline.errors import ConfigError, SchemaError

from .tools import made_hosts, made_items

METHODS = ("coverage", "gpt3_13gram", "exact")
RANK = {"clean": 0, "suspect": 1, "dirty": 2}


@pytest.fixture(scope="module")
def compared(bench: Bench) -> Comparison:
    items = made_items()
    methods = [method_named(name) for name in METHODS]
    return compare(items, build_index(items), made_hosts(), methods, "reporting", per_form=8, seed=3, bench=bench)


@pytest.fixture(scope="module")
def written(compared: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases") / "deep" / "folder"
    write_cases(folder, compared)
    return folder


def counted(rows: list[dict[str, Any]], method: str) -> dict[str, dict[str, float]]:
    """A second count: by form, of cases as they were written."""
    groups: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        said = {item: RANK[word] for item, word in row["verdicts"][method].items()}
        wanted = [rank for item, rank in said.items() if (item in row["carries"]) == row["contaminated"]]
        groups[row["form"]].append(max(wanted, default=0))
    out = {}
    for form, ranks in groups.items():
        n, k, z = len(ranks), ranks.count(2), 1.959963984540054
        p, spread = k / n, z * math.sqrt((k / n) * (1 - k / n) / n + z * z / (4 * n * n))
        ends = [(p + z * z / (2 * n) + side * spread) / (1 + z * z / n) for side in (-1, 1)]
        out[form] = {"cases": n, "dirty": k, "suspect": ranks.count(1), "rate": p, "low": ends[0], "high": ends[1]}
    return out


def test_figures_are_those_of_the_cases(compared: Comparison, written: Path) -> None:
    rows = [json.loads(line) for line in (written / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == len(compared.cases) > 150
    for method in METHODS:
        figures = compared.result["methods"][method]
        second = counted(rows, method)
        assert {row["form"] for row in figures["forms"]} == set(second)
        for row in figures["forms"]:
            for name, value in second[row["form"]].items():
                assert row[name] == pytest.approx(value, abs=1e-12), (method, row["form"], name)
        plants = [one["rate"] for form, one in second.items() if FORMS[form].contaminated]
        negatives = [one["rate"] for form, one in second.items() if not FORMS[form].contaminated]
        recall, false = sum(plants) / len(plants), sum(negatives) / len(negatives)
        summary = figures["summary"]
        assert summary["recall"] == pytest.approx(recall)
        assert summary["false_positive_rate"] == pytest.approx(false)
        precision = recall / (recall + false)
        assert summary["precision"] == pytest.approx(precision)
        assert summary["f1"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_the_wrong_item_is_no_find(compared: Comparison) -> None:
    rows = compared.result["methods"]["coverage"]["forms"]
    for row in rows:
        cases = [
            (case, compared.verdicts["coverage"][at])
            for at, case in enumerate(compared.cases)
            if case.form == row["form"]
        ]
        wrong = [
            any(word == "dirty" and item not in case.carries for item, word in said.items()) for case, said in cases
        ]
        assert row["others"] == (sum(wrong) if row["contaminated"] else 0)


def test_matchable_plants_are_long_enough(compared: Comparison) -> None:
    words = {row["item"]: row for row in made_items().to_pylist()}
    parts = ("question", "answer", "passage")
    for form in ("verbatim", "question_only"):
        able = 0
        for case in (case for case in compared.cases if case.form == form):
            texts = [words[case.item][part] or "" for part in parts] + (words[case.item]["choices"] or [])
            able += any(len(re.findall(r"\w+", text)) >= 13 for text in texts)  # no command of TeX in these
        figures = compared.result["methods"]["gpt3_13gram"]["matchable"]["forms"]
        found = next((row["cases"] for row in figures if row["form"] == form), 0)
        assert found <= able
        if form == "question_only":
            assert found == able


def test_table_page_and_plot_show_the_figures(compared: Comparison) -> None:
    result = compared.result
    shown = {section.title: section for section in sections(result)}
    recall = shown["Recall by form of plants"]
    for row in recall.rows:
        for column, method in zip(row[2:], METHODS, strict=True):
            rates = {one["form"]: one["rate"] for one in result["methods"][method]["forms"]}
            assert float(column) == rates[row[0]]
    detail = shown["coverage, form by form"]
    assert len(detail.rows) == len([form for form in result["forms"] if form["cases"]])
    svg = dots(result)
    told = re.findall(r"<g class=\"dot\"><title>(\w+), (\w+): (\d+) of (\d+), ([\d.]+) ", svg)
    expected = {
        (method, row["form"]): (row["flagged"], row["cases"])
        for method in METHODS
        for row in result["methods"][method]["forms"]
    }
    assert {(method, form): (int(k), int(n)) for method, form, k, n, _ in told} == expected
    place = {
        (method, form): (float(x1), float(x2), float(cx))
        for method, form, x1, x2, cx in re.findall(
            r"<title>(\w+), (\w+): [^<]*</title><line x1=\"([\d.]+)\" x2=\"([\d.]+)\".*?<circle cx=\"([\d.]+)\"", svg
        )
    }
    assert all(low - 0.06 <= at <= high + 0.06 for low, high, at in place.values())
    made = page(result)
    assert "<script" not in made and svg in made
    assert all(form["doc"].split(".")[0].replace("'", "&#x27;").split("`")[0] in made for form in result["forms"])


def test_hostile_names_are_escaped(compared: Comparison) -> None:
    evil = "<img src=x onerror=alert(1)>"
    quoting = [{"id": evil, "url": evil, "methods": {"coverage": {evil: "dirty"}}}]
    result = {**compared.result, "half": evil, "real": {**compared.result["real"], "quoting": quoting}}
    assert "<img" not in page(result) and "<img" not in dots(result)


def test_the_same_call_gives_the_same_figures(compared: Comparison, bench: Bench) -> None:
    items = made_items()
    order = pa.array(list(range(made_hosts().num_rows))[::-1])
    methods = [method_named(name) for name in METHODS]
    hosts = made_hosts().take(order)
    again = compare(items, build_index(items), hosts, methods, "reporting", per_form=8, seed=3, bench=bench)
    assert json.dumps(again.result) == json.dumps(compared.result)
    assert again.cases == compared.cases
    other = compare(
        items, build_index(items), hosts, methods[:1], "reporting", per_form=2, seed=4, bench=bench,
        forms=["verbatim", "clean_host"],
    )  # fmt: skip
    assert [case.text for case in other.cases] != [case.text for case in compared.cases[:4]]
    assert {case.form for case in other.cases} == {"verbatim", "clean_host"}


def test_real_pages_are_those_of_the_half(compared: Comparison, bench: Bench) -> None:
    items, hosts = made_items(), made_hosts()
    whole = items.filter(pa.array([name.startswith("gsm8k/test/") for name in items["item"].to_pylist()]))
    question = whole["question"][0].as_py()
    texts = [text if at else f"{text}\n{question}" for at, text in enumerate(hosts["text"].to_pylist())]
    planted = hosts.set_column(hosts.schema.get_field_index("text"), "text", pa.array(texts))
    found = compare(
        items,
        build_index(items),
        planted,
        [method_named("coverage")],
        "all",
        per_form=1,
        forms=["verbatim"],
        bench=bench,
    ).result["real"]
    assert found["pages"] == hosts.num_rows
    assert found["methods"]["coverage"]["dirty"] == found["methods"]["coverage"]["dirty_quoting"] == 1
    assert [one["methods"]["coverage"] for one in found["quoting"]] == [{whole["item"][0].as_py(): "dirty"}]
    assert compared.result["real"]["methods"]["coverage"]["dirty"] == 0
    assert compared.result["real"]["pages"] < hosts.num_rows


def test_the_guard_tells_where_sources_are_common(compared: Comparison) -> None:
    guard = compared.result["guard"]
    assert guard["off"]["gpt3_13gram"]["passage_source"] == 1.0
    assert guard["common"]["gpt3_13gram"]["passage_source"] == 0.0
    assert guard["common"]["coverage"]["recall"] > guard["off"]["coverage"]["recall"] - 0.05
    assert guard["documents"] >= guard["copies"] > 10


def test_what_a_text_carries_beside_the_planted_item(bench: Bench) -> None:
    pool = bench.pool
    one, other, *_ = [item for item in pool.items if item.benchmark == "svamp"]
    carried = Carried(pool)
    case = Case(
        0, f"Some text. {other.stem.upper()} and more.", one.name, "verbatim", 0, 1, "h", "reporting", None, (one.name,)
    )
    names = [one.name, other.name, "no/such/item"]
    assert carried.of(case, names) == (one.name, other.name)
    assert carried.of(Case(0, "Nothing.", None, "clean_host", 0, 1, "h", "reporting"), names) == ()


def test_verdicts_of_batches_are_those_of_each_text(compared: Comparison) -> None:
    index = build_index(made_items())
    texts = pa.array([case.text for case in compared.cases[:40]], pa.large_string())
    methods = [method_named(name) for name in METHODS]
    seen: list[int] = []
    together = judge_all(texts, index, methods, advance=seen.append)
    assert sum(seen) == 40
    for at in range(0, 40, 7):
        alone = judge_all(texts.slice(at, 1), index, methods)
        assert {name: given[0] for name, given in alone.items()} == {
            name: given[at] for name, given in together.items()
        }


def test_texts_are_read_from_all_kinds_of_files(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "text": ["x\ny", "z"], "url": ["https://a.example/", None]})
    pq.write_table(table, tmp_path / "one.parquet")
    (tmp_path / "two.jsonl").write_text('{"id": "c", "body": "w"}\n', encoding="utf-8")
    with pa.OSFile(str(tmp_path / "f.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    unnamed = table.drop_columns(["id"])
    with pa.OSFile(str(tmp_path / "s.arrow"), "wb") as sink, pa.ipc.new_stream(sink, unnamed.schema) as writer:
        writer.write_table(unnamed)
    assert read_hosts([str(tmp_path / "one.parquet")])["text"].to_pylist() == ["x\ny", "z"]
    assert read_hosts([str(tmp_path / "two.jsonl")], "body")["text"].to_pylist() == ["w"]
    assert read_hosts([str(tmp_path / "f.arrow")])["id"].to_pylist() == ["a", "b"]
    assert read_hosts([str(tmp_path / "s.arrow")])["id"].to_pylist() == ["https://a.example/", "s.arrow:1"]
    assert read_hosts([str(tmp_path / "one.parquet"), str(tmp_path / "s.arrow")]).num_rows == 4
    (tmp_path / "bad.arrow").write_bytes(b"no arrow")
    with pytest.raises(ConfigError, match="is not an Arrow file"):
        read_hosts([str(tmp_path / "bad.arrow")])
    with pytest.raises(ConfigError, match="does not exist"):
        read_hosts([str(tmp_path / "none.arrow")])
    with pytest.raises(SchemaError, match="needs the column body"):
        read_hosts([str(tmp_path / "f.arrow")], "body")
