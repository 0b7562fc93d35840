"""Tokens and where they lie: against a reading character by character in plain Python."""

from __future__ import annotations

import time
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam.normalise import ACCENTS, APOSTROPHES, Normalisation, tokens_of
from pipeline.errors import SchemaError

from .scan_tools import column

SPACELESS = ("CJK UNIFIED", "CJK COMPAT", "HIRAGANA", "THAI", "LAO", "KHMER", "MYANMAR")


def pieces(text: str, options: Normalisation | None = None) -> list[str]:
    """The tokens as they stand in the text."""
    tokens = tokens_of(column(text), options)
    raw = text.encode()
    return [raw[a:b].decode() for a, b in zip(tokens.starts, tokens.ends, strict=True)]


def alike(a: str, b: str, **options: bool) -> bool:
    """Whether two texts have the same tokens."""
    tokens = tokens_of(column(a, b), Normalisation(**options))
    half = int(tokens.offsets[1])
    return tokens.hashes[:half].tolist() == tokens.hashes[half:].tolist()


def test_words_signs_and_numbers() -> None:
    assert pieces("Don\u2019t  panic -- it's 3.5% (of C++)!") == ["Don\u2019t", "panic", "it's", "3", "5", "of", "C"]
    assert pieces("") == pieces(" \n\t..'' ") == []
    assert pieces("日本語ABC漢x") == ["日", "本", "語", "ABC", "漢", "x"]
    assert pieces("snake_case") == ["snake", "case"]
    assert pieces("snake_case", Normalisation(keep_identifiers=True)) == ["snake_case"]
    assert pieces("a+b", Normalisation(strip_punctuation=False)) == ["a", "+", "b"]


def test_a_backslash_is_a_sign_where_commands_stay() -> None:
    for text, options, expected in (
        ("a\\frac b", {}, ["a", "b"]),
        ("a\\frac b", {"drop_commands": False}, ["a", "frac", "b"]),
        ("a\\frac b", {"drop_commands": False, "strip_punctuation": False}, ["a", "\\", "frac", "b"]),
        ("a\\frac b", {"strip_punctuation": False}, ["a", "b"]),
    ):
        assert pieces(text, Normalisation(**options)) == expected


@pytest.mark.parametrize(
    ("a", "b", "option"),
    [
        ("The CAT", "the cat", "lowercase"),
        ("STRASSE", "straße", "lowercase"),
        ("don\u2019t", "dont", "join_apostrophes"),
        ("Ｆｕｌｌ　１２", "Full 12", "fold_width"),
        ("x²", "x2", "fold_width"),
        ("café", "cafe", "strip_accents"),
        ("cafe\u0301", "cafe", "strip_accents"),
        ("Ёлка", "Елка", "strip_accents"),
        ("a (b), c!", "a b c", "strip_punctuation"),
        ("room 101", "room 987", "numbers_to_zero"),
        ("$\\frac{1}{2}\\cdot\\sin x_{\\mathrm{max}}$", "(1)/(2) · sin x_max", "drop_commands"),
    ],
)
def test_each_option(a: str, b: str, option: str) -> None:
    assert alike(a, b, **{option: True})
    assert not alike(a, b, **{option: False})


def test_composed_and_decomposed_are_alike() -> None:
    for text in ("がぎぐ", "한국어", "é ü", "हिन्दी"):
        assert alike(unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))
    assert not alike("が", "か")  # voicing makes another word
    assert not alike("कि", "का")  # so do Indic vowels
    assert alike("zero\u200bwidth soft\u00adhyphen", "zerowidth softhyphen")
    assert alike("\u201cquoted\u201d \u2014 dash\u2026", '"quoted" - dash...')


def plain(text: str) -> list[tuple[str, int, int]]:
    """(folded token, first byte, end) as the module's docstring says, for letters, signs and accents."""
    out: list[tuple[str, int, int]] = []
    word, start, stop, at, closed = "", 0, 0, 0, True
    for char in text:
        size = len(char.encode())
        accent = unicodedata.category(char)[0] == "M" and any(a <= ord(char) < b for a, b in ACCENTS)
        name = unicodedata.name(char, "")
        if char in APOSTROPHES or accent:
            at += size
            continue
        letter = unicodedata.category(char)[0] in "LN"
        single = name.startswith(SPACELESS)
        if word and (not letter or single or closed):
            out.append((word, start, stop))
            word = ""
        if letter:
            folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char.casefold()).casefold())
            start = start if word else at
            word += "".join(c for c in folded if unicodedata.category(c)[0] != "M")
            stop = at + size
            closed = single
        at += size
    return [*out, (word, start, stop)] if word else out


LETTERS = "abcXYZ019 .,-'_\n\té\u0301ÉñÖ\u2019ДдёαΩß漢字ひらไทяЯ"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(LETTERS, max_size=30), max_size=4))
def test_against_plain_python(texts: list[str]) -> None:
    tokens = tokens_of(column(*texts))
    for d, text in enumerate(texts):
        expected = plain(text)
        low, high = tokens.offsets[d], tokens.offsets[d + 1]
        assert [(a, b) for _, a, b in expected] == list(
            zip(tokens.starts[low:high], tokens.ends[low:high], strict=True)
        )
        spelled = tokens_of(column(" ".join(word for word, _, _ in expected)))
        if all(len(word) == len(word.encode()) for word, _, _ in expected):
            assert spelled.hashes.tolist() == tokens.hashes[low:high].tolist()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=4), st.sampled_from((None, False, True)))
def test_any_text_has_ordered_spans_inside_of_it(texts: list[str], on: bool | None) -> None:
    options = Normalisation(**{} if on is None else dict.fromkeys(Normalisation.__dataclass_fields__, on))
    tokens = tokens_of(column(*texts), options)
    for d, text in enumerate(texts):
        low, high = tokens.offsets[d], tokens.offsets[d + 1]
        edges = [0]
        for a, b in zip(tokens.starts[low:high].tolist(), tokens.ends[low:high].tolist(), strict=True):
            edges += [a, b]
            assert a < b
            text.encode()[a:b].decode()
        assert edges == sorted(edges) and edges[-1] <= len(text.encode())


def test_slices_chunks_nulls_and_types() -> None:
    whole = column("one two", None, "three", "four five six")
    cut = tokens_of(whole.slice(1, 2))
    assert cut.offsets.tolist() == [0, 0, 1]
    chunked = pa.chunked_array([column("one two", None), column("three", "four five six")])
    assert tokens_of(chunked).hashes.tolist() == tokens_of(whole).hashes.tolist()
    assert tokens_of(column()).offsets.tolist() == [0]
    with pytest.raises(SchemaError):
        tokens_of(pa.array([1, 2]))


def test_hostile_texts_take_linear_time() -> None:
    tokens_of(column("warm"))
    for unit in ("a ", "'", "\u0301", "\0", "漢", "a\n", "\u202e", "ß", "x"):
        began = time.process_time()
        tokens_of(column(unit * (2_000_000 // len(unit.encode()))))
        assert time.process_time() - began < 2


def test_nothing_but_punctuation_finds_room() -> None:
    text = "!?" * 50_000
    tokens = tokens_of(column(text), Normalisation(strip_punctuation=False))
    assert np.array_equal(tokens.starts, np.arange(len(text))) and np.array_equal(tokens.ends, tokens.starts + 1)
