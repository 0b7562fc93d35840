"""CCNet's normalisation: its published examples of substitution, and a line-by-line rendering of the same rules."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.lm.normalisation import normalised_document, normalised_lines

SIGNS = dict(
    zip(
        "，。、„”“«»」「《》´∶：？！（）；–—．～’…━〈〉【】％►",
        [",", ".", ",", *['"'] * 9, "'", *"::?!();-", " - ", ". ", "~", "'", "...", *"-<>[]%-"],
        strict=True,
    )
)


def slow(line: str) -> str:
    """cc_net's text_normalizer.normalize, step after step."""
    line = line.strip().lower()
    line = "".join(c for c in unicodedata.normalize("NFD", line) if unicodedata.category(c) != "Mn")
    line = re.sub(r"\d", "0", line)
    line = "".join(SIGNS.get(c, c) for c in line)
    return "".join(c for c in line if not (ord(c) < 32 or 127 <= ord(c) < 160))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  Café Ñandú 1984 ", "cafe nandu 0000"),
        ("Ελλάδα ٣٤", "ελλαδα 00"),
        ("„Ja“ – «nein»…", '"ja" - "nein"...'),
        ("价格：５０％。（好）", "价格:00%.(好)"),
        ("한글", "\u1112\u1161\u11ab\u1100\u1173\u11af"),
        ("ガ", "カ"),
        ("a—b．c", "a - b. c"),
        ("a\x00b\x85c\x7fd\te", "abcde"),
        ("İstanbul", "istanbul"),
        ("ΟΔΟΣ", "οδος"),
    ],
)
def test_examples(text, line):
    assert normalised_lines(text) == [line] == [slow(text)]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.text(st.one_of(st.characters(exclude_categories=("Cs",)), st.sampled_from("İΣσ ́\u0323１—\x1c"))), max_size=5
    )
)
def test_as_cc_net_does_it_line_by_line(lines):
    lines = [line.replace("\n", " ") for line in lines]
    # combining characters that are no non-spacing marks (some vowel signs) keep their order here
    wanted = [sorted(slow(line)) for line in lines if slow(line)]
    assert [sorted(line) for line in normalised_lines("\n".join(lines))] == wanted


def test_a_document_loses_its_line_feeds_without_a_trace():
    assert normalised_document(" One\ntwo\n\nthree ") == "onetwothree"
    assert normalised_document("\n\n") == ""


def test_a_million_marks_are_linear_work():
    text = "a" + "\u0301\u0323" * 500_000 + "\u302e\u1b44" * 500_000
    start = time.process_time()
    (line,) = normalised_lines(text)
    assert len(line) == 1_000_001
    assert time.process_time() - start < 5
