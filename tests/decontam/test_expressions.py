"""The language of the registry, on records written here."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decontam.expressions import BadAnswer, parse, place, plain
from pipeline.errors import ConfigError

RECORD = {
    "q": "Why?",
    "Best Answer": "because",
    "a.b": "dotted",
    "doc": {"q": "inner", "answers": [{"text": ["x", "y"]}, {"text": []}], "n": 0},
    "options": ["red", "green", "blue"],
    "labelled": {"label": ["1", "2", "3"], "text": ["one", "two", "three"]},
    "right": 1,
    "from_one": "3",
    "letter": "C",
    "letters": ["A", "C"],
    "joined": "AB",
    "spaced": "A, C",
    "whole": "blue",
    "key": "2",
    "flag": True,
    "nothing": None,
    "empty": "",
    "prompt": "Context: a: b\nQ: first\nQ: second\nA. one\nB. two\n",
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("q", "Why?"),
        ("Best Answer", "because"),
        ("a.b", "dotted"),
        ("doc.q", "inner"),
        ("doc.n", 0),
        ("doc.answers.text", [["x", "y"], []]),
        ("absent", None),
        ("doc.absent.deeper", None),
        ("q.deeper", None),
        ("absent?", None),
        ("options[0]", "red"),
        ("options[3]", None),
        ("options[right]", "green"),
        ("options[from_one - 1]", "blue"),
        ("options[from_one-1]", "blue"),
        ("options[letter]", "blue"),
        ("options[letters]", "red\nblue"),
        ("options[joined]", "red\ngreen"),
        ("options[spaced]", "red\nblue"),
        ("options[whole]", "blue"),
        ("options[nothing]", None),
        ("options[empty]", None),
        ("options[absent]", None),
        ("labelled.text[key in labelled.label]", "two"),
        ("labelled.text[nothing in labelled.label]", None),
        ("['no', 'yes'][flag]", "yes"),
        ('["no", "yes"][right]', "yes"),
        ("absent | q", "Why?"),
        ("empty | nothing | doc.q", "inner"),
        ("labelled.text[whole in labelled.label] | q", "Why?"),
        ("{q} And {doc.q}!", "Why? And inner!"),
        ("{q}{absent}", None),
        ("{q}{absent?}", "Why?"),
        ("{{{q}}}", "{Why?}"),
        (r"after(prompt, '\nQ: ')", "first\nQ: second\nA. one\nB. two\n"),
        (r"after_last(prompt, '\nQ: ')", "second\nA. one\nB. two\n"),
        (r"before(prompt, '\nQ: ')", "Context: a: b"),
        (r"before_last(prompt, '\nQ: ')", "Context: a: b\nQ: first"),
        ("after(prompt, 'no such mark')", None),
        (r"before(after_last(prompt, '\nQ: '), '\nA. ')", "second"),
        (r"split(after(prompt, 'second'), '\n[A-B]\. |\n$')", ["one", "two"]),
        ("remove(options, '^(?:r|b)')", ["ed", "green", "lue"]),
        ("remove(q, 'h')", "Wy?"),
        ("remove(prompt, '(?s)o{1}.*')", "C"),
        ("join(options, ', ')", "red, green, blue"),
        ("split(nothing, 'x')", None),
    ],
)
def test_value(expression, expected):
    assert parse(expression, "here").evaluate(RECORD, None) == expected


def test_index_alone_counts_in_the_mapped_choices():
    assert parse("[right]", "here").evaluate(RECORD, ["p", "q"]) == "q"
    with pytest.raises(BadAnswer, match="no"):
        parse("[right]", "here").evaluate(RECORD, None)


@pytest.mark.parametrize(
    ("value", "less", "expected"),
    [
        (0, 0, 0), (2, 0, 2), (1, 1, 0), (3, 1, 2), ("2", 0, 2), (" 2 ", 0, 2), ("A", 0, 0), ("c", 0, 2), ("B", 1, 1),
        ("(B)", 0, 1), ("B.", 0, 1), ("B)", 0, 1), (True, 0, 1), (False, 0, 0), (1.0, 0, 1), (-1, 0, None),
        (-1, 1, None), ("-1", 0, None), ("", 0, None), ("  ", 0, None), (None, 0, None), ("gamma ", 0, 2),
    ],
)  # fmt: skip
def test_place(value, less, expected):
    assert place(value, ["alpha", "beta", "gamma"], less) == expected


@pytest.mark.parametrize(
    ("value", "less"), [(3, 0), (0, 1), (-2, 0), ("D", 0), ("9", 0), ("delta", 0), (1.5, 0), ({}, 0), (float("nan"), 0)]
)
def test_place_refuses(value, less):
    with pytest.raises(BadAnswer):
        place(value, ["alpha", "beta", "gamma"], less)


def test_plain_takes_the_first_answer_that_is_there():
    assert plain([]) is None
    assert plain(["", "second"]) == "second"
    assert plain([["1947", "1948"], ["1950"]]) == "1947, 1948"
    assert plain([[], ["later"]]) == "later"
    assert (plain(True), plain(3), plain(2.5), plain(None), plain({"a": 1})) == ("true", "3", "2.5", None, None)
    assert plain(float("nan")) is None and plain([float("nan"), "1947"]) == "1947"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "must be a text"),
        ("a b [", "expected"),
        ("a[b", "expected"),
        ("a]", "nothing is expected"),
        ("before(a)", "`,` is expected"),
        ("before(a, 'x'", r"`\)` is expected"),
        ("beforr(a, 'x')", "did you mean 'before'"),
        ("before(a, '')", "not empty"),
        ("split(a, '(')", "no regular expression"),
        ("split(a, b)", "quotation marks"),
        ("['a, b][c]", "quotation marks|is expected"),
        ("{a", "other half"),
        ("a}", "other half"),
        ("a |", "field's name"),
        ("{}", "must be a text"),
    ],
)
def test_mistakes_are_named(expression, message):
    with pytest.raises(ConfigError, match=message) as error:
        parse(expression, "my.yaml, benchmark 'x'")
    assert "my.yaml, benchmark 'x'" in str(error.value)


@given(st.text(max_size=40))
def test_any_text_parses_or_is_refused(text):
    try:
        parsed = parse(text, "here")
    except ConfigError as error:
        assert "here" in str(error)
        return
    assert parsed.text == text
    with contextlib.suppress(BadAnswer):
        parsed.evaluate({"a": [1]}, ["x"])


def test_marks_are_looked_for_in_linear_time():
    record = {"q": "\nQuestion: " * 200_000}
    start = time.perf_counter()
    assert parse(r"before(after(q, '\nQuestion: '), '\nChoices:')", "here").evaluate(record, None) is None
    assert time.perf_counter() - start < 20
