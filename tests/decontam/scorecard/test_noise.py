"""Noise keeps the words, edits change the stated share: checked on arbitrary text by other means than the makers'."""

from __future__ import annotations

import difflib
import html
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam.scorecard.draws import Draws
from decontam.scorecard.markup import html_list, markdown, page_break, plain_formulas
from decontam.scorecard.noise import WORD, case_noise, change_numbers, edit_words, punctuation_noise, unicode_noise
from decontam.scorecard.pool import Item

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
PROSE = (
    'The "old" well-known café, re-opened in 1987; was it fifty-fifty - or more? It\'s an office (flat 3.5).\nYes: no!'
)


def plainest(text: str) -> str:
    """What is left of a text without case of quotes, dashes, spaces, width and invisible characters."""
    text = unicodedata.normalize("NFKC", re.sub("[\u200b\u2060\u00ad\ufeff]", "", text))
    return re.sub(r"\s", " ", re.sub("[‐‑–—]", "-", re.sub("[“”]", '"', text.replace("’", "'"))))


@given(TEXT, st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_case_noise_changes_only_case(text, key):
    changed = case_noise(text, Draws(key))
    assert changed is None or (changed != text and changed.casefold() == text.casefold())


@given(TEXT, st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_punctuation_noise_keeps_every_word(text, key):
    changed = punctuation_noise(text, Draws(key))
    assert changed is not None
    assert re.findall(r"\w+", changed) == re.findall(r"\w+", text)
    assert changed != text or not text.strip()


@given(TEXT, st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_unicode_noise_keeps_the_plain_text(text, key):
    changed = unicode_noise(text, Draws(key))
    assert changed is None or (changed != text and plainest(changed) == plainest(text))


def test_every_kind_of_noise_changes_prose_and_every_way_comes_up():
    for noise, least in ((case_noise, 5), (punctuation_noise, 40), (unicode_noise, 30)):
        changed = {noise(PROSE, Draws(key)) for key in range(60)}
        assert None not in changed and PROSE not in changed
        assert len(changed) >= least
    unicode = "".join(unicode_noise(PROSE, Draws(key)) or "" for key in range(60))
    for mark in ("“", "’", "‑", "—", "\u200b", "\u00a0", "\ufb03", "\u0301", "１"):
        assert mark in unicode
    scripts = {unicodedata.name(char, "").split()[0] for char in unicode if char.isalpha()}
    assert scripts == {"LATIN", "FULLWIDTH"}  # no lookalikes of other scripts


def test_nothing_to_change():
    assert case_noise("123 漢字", Draws(1)) is None
    assert unicode_noise("", Draws(1)) is None
    assert change_numbers(["one 1"], Draws(1)) is None
    assert edit_words(["nineteen words " * 9 + "one"], 0.1, Draws(1), None) is None
    assert edit_words(["हिन्दी में बीस से अधिक शब्द " * 5], 0.1, Draws(1), None) is None


@given(st.lists(st.text("ab 0123456789.,", max_size=30), min_size=1, max_size=4), st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_all_numbers_change_and_nothing_else(parts, key):
    changed = change_numbers(parts, Draws(key))
    if changed is None:
        assert len(set(re.findall(r"\d[\d.,]*\d|\d", " ".join(parts)))) < 3
        return
    old, new = "\n".join(parts), "\n".join(changed)
    assert re.sub(r"\d", "#", old) == re.sub(r"\d", "#", new)
    pairs = list(zip(re.findall(r"\d+(?:[.,]\d+)*", old), re.findall(r"\d+(?:[.,]\d+)*", new), strict=True))
    assert pairs and all(before != after for before, after in pairs)
    assert len(dict(pairs)) == len(set(pairs))  # the same number changes the same way


@pytest.mark.parametrize("share", [0.05, 0.10, 0.20])
@pytest.mark.parametrize("count", [20, 47, 200])
def test_edits_have_the_stated_share(share, count):
    names = [f"w{number}x" for number in range(count)]
    parts = [" ".join(names[: count // 2]) + ".", " ".join(names[count // 2 :]) + "?"]
    asked = max(1, round(share * count))
    for key in range(10):
        dropped = edit_words(parts, share, Draws(key), None)
        blocks = difflib.SequenceMatcher(None, names, WORD.findall(" ".join(dropped)), False).get_matching_blocks()
        assert sum(block.size for block in blocks) == count - asked == len(WORD.findall(" ".join(dropped)))
        assert "  " not in " ".join(dropped)
        swapped = edit_words(parts, share, Draws(key), lambda word: "other")
        kept = WORD.findall(" ".join(swapped))
        assert len(kept) == count
        assert sum(before != after for before, after in zip(names, kept, strict=True)) == asked


ITEM = Item(
    "b/test/1", "b", "test", "Is 3 < 4? Say & see.", ("yes & so", "no", "never"), "no", "", "Is 3 < 4? Say & see."
)


def test_lists_hold_stem_choices_and_answer_in_order():
    ways = {html_list(ITEM, Draws(key)) for key in range(40)}
    assert {way.startswith("<") for way in ways} == {True, False}
    for way in ways:
        plain = " ".join(re.sub(r"</?[uo]?li?>|^\s*[*•◦-] ", " ", way, flags=re.M).split())
        assert plain == "Is 3 < 4? Say & see. yes & so no never Answer: no"


def test_markdown_holds_stem_choices_and_answer():
    ways = [markdown(ITEM, Draws(key)) for key in range(40)]
    assert {way[0] for way in ways} == {"#", "<", "|"}
    for way in ways:
        plain = html.unescape(re.sub(r"<[^<>]*>", " ", way)) if way[0] == "<" else way.replace("_", " ")
        tokens = re.findall(r"\w+", plain)
        rest = iter(tokens)
        assert all(word in rest for word in re.findall(r"\w+", f"{ITEM.stem} {' '.join(ITEM.choices)} {ITEM.answer}"))


def test_a_page_break_adds_and_takes_nothing_else():
    words = " ".join(f"w{number}" for number in range(40))
    for key in range(20):
        before, after = page_break(words, Draws(key), "HEAD").split("\f")
        first = before[: before.rindex("\n", 0, before.rstrip("\n").rindex("\n") + 1)].split()
        last = after.split("\n")[-1].split()
        assert first + last == words.split()
        assert 0.3 * 39 - 1 <= len(first) <= 0.7 * 39 + 1
    assert page_break("only six words stand in here", Draws(1), "HEAD") is None


def test_formulas_become_plain():
    text = (
        "Let $x^2 \\cdot \\frac{1}{\\sqrt{2}} \\le \\tfrac34$ and \\text{so on} cost \\$5, then $a_{10}$ is $9^\\circ$."
    )
    seen = {plain_formulas(text, Draws(key)) for key in range(20)}
    assert "Let x^2 · (1)/(sqrt(2)) ≤ (3)/(4) and so on cost USD 5, then a_10 is 9°." in seen
    assert len(seen) >= 6
    assert not any(re.search(r"[\\${}]", way) for way in seen)
    for text in ("no command $x$", "a drawing [asy] \\draw [/asy]", "\\begin{array} 1 \\end{array}"):
        assert plain_formulas(text, Draws(1)) is None
