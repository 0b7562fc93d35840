"""Placeholder pages: phrases against regular expressions, mentions that stay, clean text of many languages."""

from __future__ import annotations

import gzip
import json
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.phrases import phrase_table, read_phrases
from filters.placeholder import KINDS, Placeholder
from pipeline.stage import DROP_REASON

PHRASES = read_phrases("placeholders.txt", KINDS)
LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore "
    "magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo."
)


def table(texts):
    return pa.table({"text": pa.array(texts, pa.large_string())})


def covered(text):
    return Placeholder().scored(table([text]))["placeholder"].to_pylist()[0]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (LOREM, "lorem_ipsum"),
        ("This domain is for sale!", "parked"),
        ("网站建设中，敬请期待", "construction"),
        ("PAGE NOT FOUND", "error"),
        ("Welcome to nginx!\nFurther configuration is required.", "server"),
        ("Please enable JavaScript and cookies\u00a0to continue.", "wall"),
        ("Страница не найдена", "error"),
        ("Cette page est en construction. Bientôt disponible", "construction"),
    ],
)
def test_placeholders_go(text, kind):
    found = covered(text)
    assert max(KINDS, key=lambda k: found[k]) == kind
    assert Placeholder()(table([text]))[DROP_REASON].to_pylist() == ["max_covered"]


def test_a_text_about_lorem_ipsum_stays():
    text = (
        "In publishing, lorem ipsum is a placeholder text that shows the form of a document without its content. It "
        "is derived from sections 1.10.32 and 1.10.33 of Cicero's De finibus bonorum et malorum, of 45 BC. A page "
        "that is under construction often shows it, and designers reach for it when the words are still to come."
    )
    assert 0 < covered(text)["covered"] < 0.25
    assert Placeholder()(table([text, "", None]))[DROP_REASON].to_pylist() == [None] * 3


def test_the_threshold_and_the_edges_of_words():
    text = "page not found"
    assert Placeholder()(table([text + "x" * 0 + " " * 42, text + " " * 41]))[DROP_REASON].to_pylist() == [
        None, "max_covered",
    ]  # fmt: skip
    assert [covered(t)["covered"] > 0 for t in ("xpage not found", "page not foundx", "(page not found)")] == [
        False, False, True,
    ]  # fmt: skip
    assert covered("这是页面不存在的")["error"] > 0


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(st.sampled_from([p for p, _ in PHRASES]), st.text(alphabet="ab é漢.\n", max_size=5)), max_size=6
    ),
    st.sampled_from([" ", "\n", " — ", "\xa0"]),
)
def test_as_regular_expressions_find_them(pieces, gap):
    text = gap.join(pieces)
    longest = sorted({p for p, _ in PHRASES}, key=len, reverse=True)
    spaceless = r"[\u3040-\u30ff\u4e00-\u9fff\u0e00-\u0e7f]"
    edge = rf"(?:(?<!\w)|(?<={spaceless})|(?={spaceless}))"
    after = rf"(?:(?!\w)|(?<={spaceless})|(?={spaceless}))"
    joined = "|".join(re.escape(p).replace(r"\ ", r"\s+").replace("'", "['\u2019]") for p in longest)
    if re.search("[\u0300-\u036f\u0e00-\u0e7f\u0900-\u097f]", text):
        return  # marks are no \w
    found = sum(len(m[0].encode()) for m in re.finditer(f"{edge}(?:{joined}){after}", text))
    assert covered(text)["covered"] == pytest.approx(found / max(len(text.encode()), 1), abs=1e-12)


def test_any_case_and_shares_by_kind():
    for phrase, kind in PHRASES:
        for text in (phrase, phrase.upper(), phrase.capitalize()):
            if text.lower() == phrase:
                found = covered(text)
                assert found["covered"] == pytest.approx(1), text
                assert found[KINDS[kind]] > 0


def test_hostile_texts_and_bad_phrases():
    texts = [
        "lorem" * 200_000,
        "page not " * 200_000,
        "the" * 300_000,
        "\x00" * 500_000,
        "页面不" * 100_000,
        " " * 1_000_000,
    ]
    rows = Placeholder().scored(table(texts))["placeholder"].to_pylist()
    assert [row["covered"] for row in rows] == [0] * 6
    assert Placeholder()(table([])).num_rows == 0
    for bad in ("abc", "😀😀"):
        with pytest.raises(ValueError, match="four bytes"):
            phrase_table([(bad, 0)])


def test_clean_sentences_of_75_languages_stay(shared_data):
    with gzip.open(shared_data / "lid" / "lingua_sentences75.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    out = Placeholder()(table(texts))
    assert out[DROP_REASON].null_count == len(texts)
