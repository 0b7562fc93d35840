"""The normaliser's `mark_capitals` and `plain_punctuation` against plain Python."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.classifier.normalisation import Normalisation

FULL = Normalisation(
    lowercase=True, digits_to_zero=True, split_punctuation=True, mark_capitals=True, plain_punctuation=True
)


def slow(text: str) -> str:
    """Texts of ASCII letters, digits, spaces, full stops and line feeds only."""
    out = []
    for line in text.split("\n"):
        before, cells = "", []
        for i, c in enumerate(line):
            opens = i > 0 and line[i - 1] == " "
            if c.isupper() and opens and before.isalnum():
                cells.append("^ ")
            if c == ".":
                cells.append(" . ")
            else:
                cells.append("0" if c.isdigit() else c.lower())
            before = before if c == " " else c
        out.append("".join(cells))
    return " ".join("\n".join(out).split())


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="aB1 .\nZz", max_size=60))
@example("The Old Town. Its Walls\nNew Line A B")
def test_capitals_as_marked_slowly(text: str) -> None:
    assert " ".join(FULL.text(text).split()) == slow(text)


def test_signs_become_plain_and_stand_alone() -> None:
    assert FULL.text("“Well” – it’s…").split() == ['"', "well", '"', "-", "it", "'", "s", "."]


def test_other_scripts_are_marked_too() -> None:
    assert FULL.text("он видел Москву и Élan").split() == ["он", "видел", "^", "москву", "и", "^", "élan"]


def test_without_the_options_nothing_changes() -> None:
    plain = Normalisation(lowercase=True, digits_to_zero=True, split_punctuation=True)
    assert plain.text("In New York – 1999").split() == ["in", "new", "york", "–", "0000"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_stays_valid(text: str) -> None:
    made = FULL.text(text)
    assert "\ufffd" not in made or "\ufffd" in text
    assert not any(c.isdecimal() and c != "0" for c in made if ord(c) < 0x20000)
