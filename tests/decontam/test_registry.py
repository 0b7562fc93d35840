"""Entries: what they may say, which files they fit, and that five lines are enough."""

from __future__ import annotations

import json
import re

import pytest

from decontam.expressions import parse
from decontam.items import read, read_items
from decontam.registry import PLAIN, load_registry, parse_registry, split_of_path
from pipeline.errors import ConfigError

REQUIRED = """
    mmlu hellaswag arc_easy arc_challenge gsm8k math humaneval mbpp piqa winogrande boolq commonsense_qa openbookqa
    siqa trivia_qa natural_questions squad drop lambada sciq agieval bbh truthfulqa ifeval xcopa medqa pubmed_qa
    logiqa svamp jeopardy copa wsc lsat_ar
"""
FIVE_LINES = """
pub_quiz:
  files: pub_quiz
  fields: {question: q, choices: options, answer: "[right]"}
  licence: CC-BY-4.0
  url: https://quiz.example
"""


def names(levels):
    return [[entry.name for entry in level] for level in levels]


def test_the_registry_knows_the_benchmarks_of_the_issue():
    entries = load_registry().entries
    assert set(REQUIRED.split()) <= set(entries)
    for entry in entries.values():
        assert entry.name == PLAIN or (entry.licence and entry.url.startswith("https://")), entry.name


def test_five_lines_add_a_benchmark(tmp_path):
    assert len(FIVE_LINES.strip().splitlines()) == 5
    (tmp_path / "mine.yaml").write_text(FIVE_LINES)
    quiz = {"q": "Which came first?", "options": ["hen", "egg"], "right": "B"}
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "pub-quiz_test.jsonl").write_text(json.dumps(quiz))
    registry = load_registry([tmp_path / "mine.yaml"])
    items = read_items(str(tmp_path / "bench"), registry).to_pylist()
    assert items == [
        {
            "item": "pub_quiz/test/1", "benchmark": "pub_quiz", "split": "test", "source": "pub-quiz_test.jsonl",
            "line": 1, "question": "Which came first?", "choices": ["hen", "egg"], "answer": "egg", "passage": None,
        }
    ]  # fmt: skip
    assert read(str(tmp_path / "bench")).unknown == ["pub-quiz_test.jsonl"]


def test_an_entry_of_ones_own_goes_before_the_bundled_ones(tmp_path):
    text = FIVE_LINES.replace("files: pub_quiz", "files: '*mmlu*.jsonl'")
    registry = parse_registry(text, "mine", own=True)
    (tmp_path / "mine.yaml").write_text(text)
    both = load_registry([tmp_path / "mine.yaml"])
    assert names(both.fitting("mmlu.jsonl")) == [["pub_quiz"]]
    assert names(both.fitting("hellaswag.jsonl")) == [["hellaswag"]]
    assert list(registry) == ["pub_quiz"]
    (tmp_path / "other.yaml").write_text(FIVE_LINES.replace("pub_quiz:", "mmlu:"))
    assert load_registry([tmp_path / "other.yaml"])["mmlu"].url == "https://quiz.example"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("mmlu.jsonl", [["mmlu"]]),
        ("evals/MMLU_test.csv", [["mmlu"]]),
        ("mmlu/test-00000-of-00002.parquet", [["mmlu"]]),
        ("cais/mmlu/abstract_algebra/dev.parquet", [["mmlu"]]),
        ("hf_hails_mmlu_no_train.jsonl.gz", [["mmlu"]]),
        ("gsm8k_train.jsonl.gz", [["gsm8k"]]),
        ("gsm8k/main/test-00000-of-00001.parquet", [["gsm8k"]]),
        ("math/gsm8k.jsonl", [["gsm8k"], ["math"]]),
        ("ai2_arc/ARC-Easy/test.parquet", [["arc_easy"], ["arc_challenge", "arc_easy"]]),
        ("ai2_arc/test.parquet", [["arc_challenge", "arc_easy"]]),
        ("super_glue/copa/validation.parquet", [["copa"]]),
        ("mmlu_pro.jsonl", []),
        ("notes.jsonl", []),
        ("sample/benchmark.jsonl", [["gristmill_sample"]]),
        ("benchmark.jsonl", []),
    ],
)
def test_files_find_their_entries(path, expected):
    assert names(load_registry().fitting(path)) == expected


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("gsm8k_test.jsonl.gz", "test"),
        ("mmlu_no_train/abstract_algebra/dev/data.arrow", "dev"),
        ("piqa/valid.jsonl", "validation"),
        ("x-val.csv", "validation"),
        ("latest/contest.jsonl", None),
        ("training.jsonl", None),
    ],
)
def test_split_of_path(path, split):
    assert split_of_path(path) == split


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "must map names to entries"),
        ("x: 1", "must be a mapping with `files` and `fields`"),
        ("'a/b': {files: a, fields: {question: q, answer: a}}", "a name has letters"),
        ("x: {fields: {question: q, answer: a}}", "needs `files`"),
        ("x: {files: a}", "must map at least `question`"),
        ("x: {files: a, fields: {question: q}}", "`answer` is missing; write `answers: none`"),
        ("x: {files: a, fields: {question: q, anwser: a}}", "no key 'anwser' .did you mean 'answer'"),
        ("x: {files: a, feilds: {}}", "no key 'feilds' .did you mean 'fields'"),
        ("x: {files: a, fields: {question: 'q[', answer: a}}", "expected"),
        ("x: {files: a, fields: {question: q, answer: a, choices: [one]}}", "one choice is no choice"),
        ("x: {files: a, fields: {question: q, answer: a, where: 3}}", "where: must map"),
        ("x: {files: a, answers: never, fields: {question: q}}", "answers: must be `none`"),
        ("x: {files: a, duplicates: drop, fields: {question: q, answer: a}}", "duplicates: must be `keep`"),
        ("x: {files: [a, 3], fields: {question: q, answer: a}}", "files: must be a text"),
        ("x: {files: a, split: 3, fields: {question: q, answer: a}}", "split: must be a text"),
        ("x: {files: a, files: b}", "there twice"),
        ("x: [", "can't be read as YAML"),
    ],
)
def test_mistakes_in_an_entry_are_named(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        load_registry([path])
    assert "mine.yaml" in str(error.value)


def test_unknown_names_are_errors(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'hellaswag'"):
        load_registry()["helaswag"]
    with pytest.raises(ConfigError, match="no-such.yaml"):
        load_registry([tmp_path / "no-such.yaml"])
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_registry([tmp_path / "empty.yaml"]).entries == load_registry().entries


def test_the_manual_of_expressions_parses():
    from decontam import expressions

    shown = re.findall(r"^`(.+?)` {2,}", expressions.__doc__ or "", re.MULTILINE)
    assert len(shown) == 15
    for expression in shown:
        parse(expression, "manual")
