"""RefinedWeb's line corrections against a plain-Python reading of the same rules."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.kernels.phrases import read_phrases
from filters.kernels.refinedweb import PLACES
from filters.refinedweb import RefinedWebLines
from pipeline.errors import ConfigError
from pipeline.stage import CUT_SPANS, DROP_REASON


def table(texts):
    return pa.table({"text": pa.array(texts, pa.large_string())})


def kinds(line, **options):
    """What happens to one line, and the text that stays; a long line beside it keeps the document."""
    out = RefinedWebLines(max_words_taken=None, **options)(table([line + "\n" + "some words " * 9 + "end"]))
    text = out["text"].to_pylist()[0]
    assert text.endswith("some words end")
    return [s["kind"] for s in out[CUT_SPANS].to_pylist()[0]], text[: -len("some words " * 9 + "end")].rstrip("\n")


@pytest.mark.parametrize(
    ("line", "kind", "rest"),
    [
        ("SHOUTED WORDS here", ["uppercase"], ""),  # 12 of 18
        ("SHOUTED words", ["uppercase"], ""),  # 7 of 13
        ("SHOUTE words.", [], "SHOUTE words."),  # 6 of 13
        ("ABcd ef", [], "ABcd ef"),
        ("ΑΒΓΔ εζ", ["uppercase"], ""),
        ("12345", ["numbers"], ""),
        ("12 345", ["numbers"], ""),
        ("12,345 of", [], "12,345 of"),
        ("٣٤٥ ١", ["numbers"], ""),
        ("3 likes", ["counter"], ""),
        ("1,204 Comments", ["counter"], ""),
        ("2.5K views •", ["counter"], ""),
        ("10+ shares", ["counter"], ""),
        ("3 likes for you", [], "3 likes for you"),
        ("three likes", [], "three likes"),
        ("Word", ["one_word"], ""),
        ("— Word —", ["one_word"], ""),
        ("two words", [], "two words"),
        ("漢字", ["one_word"], ""),
        ("漢字漢字", [], "漢字漢字"),
        ("Sign-in now please", ["pattern"], "now please"),
        ("The cats came back. Read more...", ["pattern"], "The cats came back."),
        ("Read More »", ["pattern"], ""),
        ("You have 2 items in cart today", ["pattern"], "You have 2 today"),
        ("We read more books", [], "We read more books"),
        ("one two three four five six seven eight read more", ["pattern"], "one two three four five six seven eight"),
        ("one two three four five six seven eight nine read more", [], None),
        ("Contact us", ["pattern"], ""),
        ("Please contact us", [], "Please contact us"),
        ("Contact us by mail", [], "Contact us by mail"),
        ("breadmore tales", [], "breadmore tales"),
        ("世界新闻 阅读更多", ["pattern"], "世界新闻"),
        ("Подробнее", ["one_word"], ""),
        ("О котах. Читать далее", ["pattern"], "О котах."),
        ("read\xa0more", ["pattern"], ""),
        ("", [], ""),
    ],
)
def test_one_line(line, kind, rest):
    found, left = kinds(line)
    if line == "— Word —":  # three words by white space
        assert (found, left) == ([], line)
    elif line == "Подробнее":  # one word and a pattern: taken either way
        assert left == "" and len(found) == 1
    else:
        assert (found, left) == (kind, line if rest is None else rest)


def test_rules_are_options():
    lines = ["SHOUTED WORDS", "12 34", "3 likes", "Word", "Read more"]
    off = {"max_uppercase": None, "numbers": False, "counters": False, "one_word": False, "patterns": False}
    assert [kinds(line, **off) for line in lines] == [([], line) for line in lines]
    assert kinds("aa AA", max_uppercase=0.4)[0] == [] and kinds("aaAAA", max_uppercase=0.6)[0] == ["one_word"]
    assert kinds("a b c read more", max_pattern_words=4)[0] == []


def test_five_per_cent_of_the_words():
    prose = " ".join(["word"] * 38)
    stage = RefinedWebLines()
    out = stage(table([prose + "\nContact us", prose + " word\nContact us", prose, ""]))  # 2 of 40, 2 of 41
    assert [round(x, 4) for x in out["words_taken"].to_pylist()] == [0.05, round(2 / 41, 4), 0, 0]
    out = stage(table([prose[:-5] + "\nContact us"]))  # 2 of 39
    assert out[DROP_REASON].to_pylist() == ["max_words_taken"]
    again = stage(stage(table([prose])).drop_columns([DROP_REASON]))
    assert again.column_names.count("words_taken") == 1


FRAMES = ["{}", "{} x y", "x y {}", "x {} y"]
PHRASES = read_phrases("refinedweb_lines.txt", PLACES)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(PHRASES), st.sampled_from(["{}", "{} x y", "x y {}", "x {} y"]), st.sampled_from([str, str.upper])
)
def test_each_phrase_counts_where_it_should(phrase, frame, case):
    text, kind = phrase
    place = PLACES[kind]
    if case(text).lower() != text.lower():
        return  # İ, ß
    line = frame.format(case(text))
    found, _ = kinds(line, max_uppercase=None, one_word=False, counters=False, max_pattern_words=20)
    named = {p for t, k in PHRASES for p in [PLACES[k]] if re.search(rf"(?<!\w){re.escape(t)}", text, re.I)}
    expected = {
        "begin": frame.startswith("{}"), "end": frame.endswith("{}"), "anywhere": True, "line": frame == "{}",
        "counter": False,
    }[place]  # fmt: skip
    if expected:
        assert found
    elif len(named) == 1:
        assert not found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(["read more", "3 likes", "WORD", "word ", "\n", "\n\n", "\r\n", " ", "12", "sign-in", "»"]),
            st.text(max_size=6),
        ),
        max_size=30,
    ).map("".join)
)
@example("sign-in_0")
def test_what_stays_is_the_text_without_its_spans(text):
    out = RefinedWebLines(max_words_taken=None)(table([text, "x"]))
    spans, new = out[CUT_SPANS].to_pylist()[0], out["text"].to_pylist()[0]
    raw, at, rest = text.encode(), 0, b""
    for span in spans:
        assert at <= span["start"] < span["end"] <= len(raw)
        rest += raw[at : span["start"]]
        at = span["end"]
    rest = (rest + raw[at:]).decode()
    if not spans:
        assert new == text
    marks = re.compile(r"[\W_]")  # what a cut leaves at the edge of a line goes with it
    assert marks.sub("", new) == marks.sub("", rest)
    assert 0 <= out["words_taken"].to_pylist()[0] <= 1


def test_hostile_texts_chunks_and_options():
    texts = [
        "read more " * 200_000,
        "A\n" * 200_000,
        "x " * 1_000_000,
        "read\n" * 100_000,
        "sign-in" * 100_000,
        "\n" * 300_000,
    ]
    out = RefinedWebLines(max_pattern_words=1000)(table(texts))
    assert out["text"].to_pylist()[1] == "" and out["text"].to_pylist()[2] == texts[2]
    assert RefinedWebLines()(table([])).num_rows == 0
    chunked = pa.chunked_array([pa.array(["a b\nHome"], pa.large_string()), pa.array([None, "c d"], pa.large_string())])
    assert RefinedWebLines()(pa.table({"text": chunked}))["text"].to_pylist() == ["a b", "", "c d"]
    for bad in ({"max_uppercase": 2}, {"max_words_taken": -1}, {"max_pattern_words": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            RefinedWebLines(**bad).check()
