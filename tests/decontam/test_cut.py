"""Cutting: against the plain code of `gpt3.fragments`, and by what must hold of any cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam.cut import cutting
from decontam.methods.gpt3 import fragments

TEXTS = st.text(alphabet="ab é\u0645語😀\n\0", max_size=60)


def raw(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


@st.composite
def texts_with_spans(draw):
    text = draw(TEXTS)
    edges = [len(text[:i].encode()) for i in range(len(text) + 1)]
    spans = draw(st.lists(st.tuples(st.sampled_from(edges), st.sampled_from(edges)), min_size=1, max_size=5))
    return text, [(min(a, b), max(a, b)) for a, b in spans if a != b]


@settings(max_examples=300, deadline=None)
@given(texts_with_spans(), st.integers(0, 6), st.integers(0, 6))
def test_cuts_as_the_plain_code_has_them(case, context, shortest):
    text, spans = case
    if not spans:
        return
    made = cutting(raw(text), spans, context, shortest)
    assert list(made.pieces) == fragments(text, spans, context, max(shortest, 1), 10**6)
    for most in (1, 2, 3):
        assert (made.fragments > most) == (fragments(text, spans, context, 0, most) == [] and made.fragments > 0)


@settings(max_examples=200, deadline=None)
@given(texts_with_spans(), st.integers(0, 6), st.integers(0, 6))
def test_pieces_and_what_went_are_the_whole_text(case, context, shortest):
    text, spans = case
    if not spans:
        return
    made = cutting(raw(text), spans, context, shortest)
    parts = sorted([*made.pieces, *made.cuts, *made.short])
    assert "".join(text.encode()[a:b].decode() for a, b in parts) == text  # decodes: no character is cut in two
    assert all(any(a <= start and end <= b for a, b in made.cuts) for start, end in spans)
    assert all(len(text.encode()[a:b].decode()) >= shortest for a, b in made.pieces)
    assert made.fragments == len(made.pieces) + len(made.short)


def test_context_and_pieces_are_counted_in_characters():
    text = "語" * 500 + "BAD" + "語" * 399
    made = cutting(raw(text), [(1500, 1503)], 200, 200)
    assert made.cuts == ((900, 2103),)  # 200 characters of three bytes on each side
    assert made.pieces == ((0, 900),)
    assert made.short == ((2103, 2700),)  # 199 characters
    assert cutting(raw(text + "語"), [(1500, 1503)], 200, 200).short == ()


@pytest.mark.parametrize("text", ["x", "\0\0\0\0\0"])
def test_a_text_that_is_all_match(text):
    made = cutting(raw(text), [(0, len(text))], 200, 200)
    assert (made.pieces, made.cuts, made.short, made.fragments) == ((), ((0, len(text)),), (), 0)


def test_ten_megabytes_with_many_matches():
    size = 10_000_000
    spans = [(i, i + 50) for i in range(0, size, 1000)]
    made = cutting(np.full(size, 97, np.uint8), spans, 200, 200)
    assert made.fragments == len(spans)
    assert len(made.pieces) == len(spans) and made.pieces[0] == (250, 800)
