"""Items of made-up records in the layout of every benchmark, and records that give none."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam.items import ITEM, BenchmarkError, item_of, read, read_items
from decontam.registry import PLAIN, Registry, load_registry, parse_registry
from decontam.sources import BenchmarkFile

from .item_tools import FOUR, LAYOUTS, LISTED, write


@pytest.mark.parametrize(("file", "record", "question", "choices", "answer", "passage"), LAYOUTS)
def test_layout(tmp_path, file, record, question, choices, answer, passage):
    write(tmp_path / file, record)
    (item,) = read_items(str(tmp_path)).to_pylist()
    assert (item["question"], item["choices"], item["answer"], item["passage"]) == (question, choices, answer, passage)


def test_every_entry_has_a_made_up_record():
    tried = {load_registry().fitting(file)[0][0].name for file, *_ in LAYOUTS}
    assert tried == set(load_registry().entries) - {PLAIN}


def test_names_of_items_are_one_line_and_have_two_slashes(tmp_path):
    names = ["../../etc", "a\nb", " hard  test ", "", "val"]
    made = [{"question": f"Which of {n}?", "answer": "ash", "split": split} for n, split in enumerate(names)]
    items = read_items(write(tmp_path / "q.jsonl", *made))
    expected = [".._.._etc", "a_b", "hard_test", "all", "validation"]
    assert items["item"].to_pylist() == [f"q/{split}/{n}" for n, split in enumerate(expected, 1)]


def test_the_table_is_as_promised(tmp_path):
    record = {"question": "Which?", "choices": FOUR, "answer": 2, "split": "val"}
    table = read_items(write(tmp_path / "mmlu.jsonl", record))
    assert table.schema == ITEM
    text = pa.large_string()
    assert dict(zip(ITEM.names, ITEM.types, strict=True)) == {
        "item": text, "benchmark": text, "split": text, "source": text, "line": pa.int64(), "question": text,
        "choices": pa.list_(pa.string()), "answer": text, "passage": text,
    }  # fmt: skip
    assert table["item"].to_pylist() == ["mmlu/validation/1"]


def test_numbers_go_on_over_files_and_stay_where_a_record_is_rejected(tmp_path):
    good = [{"question": f"{n} + 1?", "answer": str(n + 1)} for n in range(6)]
    write(tmp_path / "gsm8k" / "test-00000-of-00002.jsonl", good[0], {"question": "no answer"}, good[1])
    write(tmp_path / "gsm8k" / "test-00001-of-00002.jsonl", good[2], good[3])
    write(tmp_path / "gsm8k" / "train.jsonl", good[4])
    reading = read(str(tmp_path), on_error="skip")
    assert reading.items["item"].to_pylist() == [
        "gsm8k/test/1", "gsm8k/test/3", "gsm8k/test/4", "gsm8k/test/5", "gsm8k/train/1",
    ]  # fmt: skip
    assert reading.items["line"].to_pylist() == [1, 3, 1, 2, 1]
    assert [(count.records, count.items, count.problems) for count in reading.files] == [
        (3, 2, {"missing": 1}), (2, 2, {}), (1, 1, {}),
    ]  # fmt: skip


def test_splits_mixed_in_a_file_number_by_record(tmp_path):
    records = [
        {"question": f"Which {n}?", "choices": FOUR, "answer": n % 4, "split": split}
        for n, split in enumerate(["dev", "test", "dev"])
    ]
    path = write(tmp_path / "mmlu.jsonl", *records)
    assert read_items(path)["item"].to_pylist() == ["mmlu/dev/1", "mmlu/test/2", "mmlu/dev/3"]


@pytest.mark.parametrize(
    ("file", "record", "kind", "message"),
    [
        ("hellaswag.jsonl", {"endings": FOUR, "label": "1"}, "missing", "no question: there is no field 'ctx'"),
        ("hellaswag.jsonl", {"ctx": "x", "ending": FOUR, "label": "1"}, "missing", "did you mean 'ending'"),
        ("hellaswag.jsonl", {"ctx": None, "endings": FOUR, "label": "1"}, "missing", "'ctx' is null"),
        ("hellaswag.jsonl", {"ctx": "x", "endings": "a, b", "label": "1"}, "missing", "is no list"),
        ("hellaswag.jsonl", {"ctx": "x", "endings": [], "label": "1"}, "missing", "no choices"),
        ("hellaswag.jsonl", {"ctx": "x", "endings": ["a", None], "label": "1"}, "missing", "no choice 2"),
        ("hellaswag.jsonl", {"ctx": "x", "endings": FOUR}, "missing", "no answer: there is no field 'label'"),
        ("hellaswag.jsonl", {"ctx": "x", "endings": FOUR, "label": ""}, "unanswered", "the item has no answer"),
        ("hellaswag.jsonl", {"ctx": "x", "endings": FOUR, "label": None}, "unanswered", "on_error: skip"),
        ("hellaswag.jsonl", {"ctx": "x", "endings": FOUR, "label": "4"}, "bad_answer", "outside the 4 choices"),
        ("hellaswag.jsonl", {"ctx": " \n", "endings": FOUR, "label": "1"}, "empty", "the question is empty"),
        ("hellaswag.jsonl", {"ctx": "a\0b", "endings": FOUR, "label": "1"}, "nul", "question has a NUL .* character 2"),
        ("hellaswag.jsonl", {"ctx": "x", "endings": ["a", "\ud800"], "label": "0"}, "surrogate", "choice 2 has a lone"),
        ("piqa.jsonl", {"goal": "x", "sol1": "a", "sol2": "b", "label": -1}, "unanswered", "the item has no answer"),
        (
            "arc_easy.jsonl",
            {"question": "x", "choices": LISTED, "answerKey": "E"},
            "bad_answer",
            "none of `choices.lab",
        ),
        ("boolq.jsonl", {"question": "x", "answer": True}, "missing", "no passage: there is no field 'passage'"),
        ("mmlu.jsonl", {"question": "x", "options": FOUR, "answer": 1}, "missing", "no field 'choices'"),
    ],
)
def test_records_that_give_no_item_are_errors_that_name_the_line(tmp_path, file, record, kind, message):
    good = next(one for name, one, *_ in LAYOUTS if name == file)
    path = write(tmp_path / file, good, record)
    with pytest.raises(BenchmarkError, match=message) as error:
        read_items(path)
    assert error.value.kind == kind
    assert str(error.value).startswith(f"{path}, line 2: ")
    reading = read(path, on_error="skip")
    assert reading.items.num_rows == 1
    (count,) = reading.files
    assert count.problems == {kind: 1} and count.examples == {kind: str(error.value)}


def test_broken_lines_are_errors_or_counted(tmp_path):
    path = tmp_path / "gsm8k.jsonl"
    path.write_bytes(b'{"question": "a", "answer": "b"}\n{"question": \n{"question": "caf\xe9", "answer": "b"}\n[]\n')
    with pytest.raises(BenchmarkError, match="line 2: gsm8k: this is no JSON"):
        read_items(str(path))
    reading = read(str(path), on_error="skip")
    assert reading.items.num_rows == 1
    assert reading.files[0].problems == {"json": 1, "encoding": 1, "not_object": 1}


def test_unanswered_splits_are_a_stated_exception(tmp_path):
    record = {"ctx": "x", "endings": FOUR, "label": ""}
    table = read_items(write(tmp_path / "hellaswag_test.jsonl", record))
    assert table.select(["split", "answer"]).to_pylist() == [{"split": "test", "answer": None}]
    with pytest.raises(BenchmarkError, match=r"answers: \{validation: none\}.*'hellaswag'"):
        read_items(write(tmp_path / "hellaswag_val.jsonl", record))


def test_duplicates(tmp_path):
    first = {"ctx": "He sits.", "endings": FOUR, "label": "1"}
    same = {"ctx": "he  SITS.", "endings": FOUR, "label": "2"}
    other = {"ctx": "He sits.", "endings": FOUR[::-1], "label": "2"}
    path = write(tmp_path / "hellaswag_val.jsonl", first, other, same)
    with pytest.raises(BenchmarkError, match="line 3: .*the same question and choices as line 1;") as error:
        read_items(path)
    assert error.value.kind == "duplicate"
    assert read_items(path, on_error="skip")["line"].to_pylist() == [1, 2]
    write(tmp_path / "hellaswag_val.jsonl", first, other)
    copy = write(tmp_path / "hf_hellaswag.jsonl", other)
    with pytest.raises(BenchmarkError, match="hf_hellaswag.jsonl, line 1: .*hellaswag_val.jsonl, line 2;"):
        read_items([str(tmp_path / "hellaswag_val.jsonl"), copy])
    bbh = write(tmp_path / "bbh.jsonl", {"input": "a", "target": "b"}, {"input": "a", "target": "b"})
    assert read_items(bbh).num_rows == 2  # a stated exception: published with duplicates


def test_signs_make_a_question_another_one(tmp_path):
    path = write(tmp_path / "gsm8k.jsonl", *({"question": f"2 {sign} 2?", "answer": "x"} for sign in "+-*/"))
    assert read_items(path).num_rows == 4
    passages = [{"question": "who", "passage": text, "answer": True} for text in ("one", "two")]
    assert read_items(write(tmp_path / "boolq.jsonl", *passages)).num_rows == 2


def test_a_record_that_nests_deep_is_a_problem_not_a_crash(tmp_path):
    nested = "[" * 900 + "]" * 900
    path = tmp_path / "squad.jsonl"
    path.write_text('{"question": "q", "context": "c", "answers": {"text": ["a"]}}\n'
                    f'{{"question": "r", "context": "c", "answers": {nested}}}\n'
                    f'{{"question": {nested}, "context": "c", "answers": {{"text": ["a"]}}}}\n')  # fmt: skip
    reading = read(path, on_error="skip")
    assert reading.items.num_rows == 1
    assert sum(reading.files[0].problems.values()) == 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(), st.lists(st.text(), min_size=2, max_size=4), st.integers(-2, 5)), max_size=8))
def test_any_texts_come_out_as_they_went_in(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    text = "x: {files: x, fields: {question: q, choices: c, answer: '[a]'}}"
    registry = Registry(parse_registry(text, "x", own=True))
    path = write(folder / "x.jsonl", {"q": "a question", "c": ["p", "r"], "a": 0},
                 *({"q": q, "c": c, "a": a} for q, c, a in rows))  # fmt: skip
    found = {item["line"]: item for item in read_items(path, registry, on_error="skip").to_pylist()}
    seen = set()
    for line, (question, choices, answer) in enumerate(rows, 2):
        texts = [question, *choices]
        key = tuple(" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in texts)
        usable = bool(question.strip()) and not any(
            "\0" in text or "\ud800" <= c <= "\udfff" for text in texts for c in text
        )
        usable = usable and 0 <= answer < len(choices) and bool(choices[answer].strip())
        if usable and key not in seen and key != ("a question", "p", "r"):
            item = found.pop(line)
            assert (item["question"], item["choices"], item["answer"]) == (question, choices, choices[answer])
            seen.add(key)
    assert set(found) == {1}


def test_every_layout_reads_megabytes_in_linear_time():
    marks = "\nQuestion: \nChoices: A. \nOptions:\n(A) \n- \nQ: \nAnswer:Context: Passage: \nBackground: \nA.) ( "
    hostile = [marks * 10_000, " " * 1_000_000, "\n(" * 500_000]

    def swollen(value, text):
        if isinstance(value, dict):
            return {key: swollen(inner, text) for key, inner in value.items()}
        if isinstance(value, list):
            return [swollen(inner, text) for inner in value]
        return text if isinstance(value, str) else value

    registry = load_registry()
    start = time.perf_counter()
    for name, record, *_ in LAYOUTS:
        for text in hostile:
            for level in registry.fitting(name):
                for entry in level:
                    item_of(swollen(record, text), BenchmarkFile(Path(name), name, entry, entry.name, name))
    assert time.perf_counter() - start < 30  # some 180 MB of text; quadratic reading would take hours
