"""Common text of documents, and differences of two: against plain expectations, and on hostile texts."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from dedup.report.figures import diff_html, diff_line
from dedup.report.texts import SHOWN_WORDS, common_text, word_diff

LONG = "this whole line stands in every document of the cluster"


def test_longest_common_lines():
    texts = [f"start {i} of a document\n{LONG}\n  a shorter common line \nend {i}" for i in range(4)]
    assert [(c["text"], c["documents"]) for c in common_text(texts)] == [(LONG, 4), ("a shorter common line", 4)]


def test_lines_of_most_documents_where_none_is_in_all():
    texts = [f"{LONG}\nown line of document {i}" for i in range(3)] + ["something quite different"]
    assert common_text(texts) == [{"text": LONG, "documents": 3}]


def test_runs_of_words_where_no_line_is_common():
    texts = [f"w{i} x{i} the same seven words stand right here y{i} z{i}" for i in range(3)]
    assert common_text(texts) == [{"text": "the same seven words stand right here", "documents": 3}]
    assert common_text(["甲这是一个共同的部分乙", "丙这是一个共同的部分丁"])[0]["text"] == "这是一个共同的部分"
    assert common_text(["a b c", "d e f"]) == [] == common_text([LONG]) == common_text([])


def test_differences():
    assert word_diff("one two three four", "one two drei four") == [
        ("same", "one two"), ("kept", "three"), ("gone", "drei"), ("same", "four")]  # fmt: skip
    words = [f"w{i}" for i in range(100)]
    other = [*words[:50], "NEW", *words[50:]]
    assert word_diff(" ".join(words), " ".join(other)) == [
        ("skip", "40 words the same"), ("same", " ".join(words[40:50])), ("gone", "NEW"),
        ("same", " ".join(words[50:60])), ("skip", "40 words the same")]  # fmt: skip
    assert word_diff("", "") == []
    assert word_diff("这是,旧的 text 部分", "这是,新的 text 部分") == [
        ("same", "这是,"), ("kept", "旧"), ("gone", "新"), ("same", "的text部分")]  # fmt: skip
    assert word_diff("a\n\nb", "a b") == [("same", "a"), ("kept", "⏎"), ("same", "b")]


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_texts(a, b):
    pieces = word_diff(a, b)
    shown = diff_html(pieces)
    assert "<" not in shown.replace("<p ", "").replace("</p>", "").replace("<bdi>", "").replace("</bdi>", "").replace(
        "<del ", "").replace("</del>", "").replace("<ins ", "").replace("</ins>", "").replace("<span ", "").replace(
        "</span>", "")  # fmt: skip
    assert len(diff_line(pieces, 50)) <= 51
    for one in common_text([a, b, a]):
        assert one["documents"] in (2, 3)


def test_texts_of_a_megabyte_take_bounded_time_and_room():
    start = time.monotonic()
    for a, b in (
        ("word " * 200_000, "word " * 200_000 + "end"),
        ("a b " * 250_000, "b a " * 250_000),
        ("x" * 1_000_000, "x" * 999_999 + "y"),
        ("a\n" * 500_000, "b\n" * 500_000),
        ("字" * 300_000, "宇" * 300_000),
        ("", "same " * 200_000),
    ):
        pieces = word_diff(a, b)
        assert sum(len(text.split()) for kind, text in pieces if kind != "skip") <= SHOWN_WORDS
        assert sum(len(text) for _, text in pieces) < 30_000
        assert all(len(one["text"]) <= 241 for one in common_text([a, b]))
    assert time.monotonic() - start < 30  # no quadratic work: a tenth of that when idle
