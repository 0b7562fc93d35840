"""Normalisation and cleaning kernels against plain Python, character by character."""

from __future__ import annotations

import itertools
import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.classifier.normalisation import Normalisation, capped
from filters.classifier.texts import buffers
from filters.language import clean
from pipeline.errors import ConfigError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text(
    st.sampled_from("aÉΣσ  \n.,!?@:/wht90٣中あกัเ한🙂e\u0301İǅ\x00\xa0\x1c"), max_size=40
)
CJK = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def lowered(text):
    """Python's `lower`, but for the letters that become two."""
    return "".join(c.lower() if len(c.lower()) == 1 else c.lower()[0] for c in text)


def reference(text, options):
    """The contract, without the final sigma (which the kernel writes, see below)."""
    out, apart = [], False
    for c in text:
        kind = unicodedata.category(c)
        mark = kind[0] == "M"
        split = (options.split_punctuation and kind[0] in "PS") or (
            options.split_cjk and (0x20000 <= ord(c) < 0x40000 or bool(CJK.match(c) and kind[0] == "L"))
        )
        new = "0" if options.digits_to_zero and kind == "Nd" else lowered(c) if options.lowercase else c
        if (split or apart) and not mark and out and out[-1] != " " and c != " ":
            out.append(" ")
        if not mark:
            apart = split
        out.append(new)
    return "".join(out)


@settings(max_examples=300, deadline=None)
@given(TEXT, st.sampled_from(list(itertools.product([False, True], repeat=4))))
@example("ΟΔΟΣ", (True, False, False, False))
def test_same_as_plain_python(text, flags):
    names = ("lowercase", "digits_to_zero", "split_punctuation", "split_cjk")
    options = Normalisation(**dict(zip(names, flags, strict=True)))
    # letters of planes behind the second have no small letters; their categories are not in the table
    text = "".join(c for c in text if ord(c) < 0x20000 or 0x20000 <= ord(c) < 0x2A6E0)
    assert options.text(text).replace("ς", "σ") == reference(text, options).replace("ς", "σ")


def test_what_it_is_for():
    options = Normalisation(lowercase=True, digits_to_zero=True, split_punctuation=True, split_cjk=True)
    assert options.text("In 1984, ΟΔΥΣΣΕΥΣ said: »ÉCOLE«!") == "in 0000 , οδυσσευς said : » école « !"
    assert options.text("街角の店 ok") == "街 角 の 店 ok"
    assert options.text("İstanbul") == "istanbul"


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT, max_size=5), st.integers(1, 20))
def test_cap_cuts_at_a_character(texts, limit):
    data, starts, ends = buffers(texts)
    found = capped(data, starts, ends, limit)
    for text, a, b in zip(texts, starts, found, strict=True):
        raw = text.encode()
        cut = data[a:b].tobytes()
        assert raw.startswith(cut) and cut.decode() == text[: len(cut.decode())]
        assert len(raw) <= limit or limit - 4 < len(cut) <= limit
    if texts:
        assert Normalisation(max_bytes=limit).text(texts[0]).encode() == data[starts[0] : found[0]].tobytes()


def test_card_round_trip_and_errors():
    options = Normalisation(lowercase=True, max_bytes=9)
    assert Normalisation.from_card(options.card(), "card") == options
    for bad in (
        {"lowercase": 1},
        {"max_bytes": -1},
        {"max_bytes": True},
        {"lower": True},
        {"newlines_to_spaces": False},
        [],
    ):
        with pytest.raises(ConfigError, match="card"):
            Normalisation.from_card(bad, "card")


ADDRESSES = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\S+")
SIGNS = re.compile(r"[\d_#*|<>=~\\/\[\](){}^\x00-\x1f\x7f]+")


def cleaned(text, max_chars):
    """Cleaning for language identification by regular expressions, as it was first written."""
    seen = re.sub(r"\s+", " ", SIGNS.sub(" ", ADDRESSES.sub(" ", text[:max_chars]))).strip()
    letters = [c for c in seen[:500] if c.isalpha()]
    shouted = seen.isupper() or (bool(letters) and 10 * sum(map(str.isupper, letters)) > 7 * len(letters))
    return lowered(seen) if shouted else seen


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        TEXT
        | st.sampled_from(
            ["http://", "https://", "www.", "@", ".", "a", "B", " ", "\n", "x@y.z", "..", "http:/", "ww"]
        ),
        max_size=12,
    ).map("".join),
    st.integers(1, 60),
)
def test_cleaning_for_language(text, max_chars):
    text = "".join(c for c in text if ord(c) < 0x20000)
    assert clean(text, max_chars).replace("ς", "σ") == cleaned(text, max_chars).replace("ς", "σ")


def test_cleaning_counts_capitals_in_a_window():
    assert clean("ABC " * 125 + "small letters " * 100, 10_000).startswith("abc abc")
    assert clean("ABC " * 80 + "small letters " * 100, 10_000).startswith("ABC ABC")
