"""Layouts in which web pages show a question with its choices and its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .draws import Draws
from .pool import Item

LABELS: dict[str, Callable[[int], str]] = {
    "A.": lambda at: f"{chr(65 + at)}.",
    "(A)": lambda at: f"({chr(65 + at)})",
    "A)": lambda at: f"{chr(65 + at)})",
    "a)": lambda at: f"{chr(97 + at)})",
    "1.": lambda at: f"{at + 1}.",
    "(1)": lambda at: f"({at + 1})",
}
"""Ways to number choices, each from the choice's place (from 0) to its label."""

_OPENINGS = ("", "", "Question: ", "Q: ", "Q. ", "Example. ")
_ANSWERS = ("Answer: ", "A: ", "Ans: ", "Correct answer: ")


def label_of(place: int, style: str) -> str:
    """The label of the choice at this place; after the 26th letter it is a number."""
    return LABELS[style](place) if place < 26 else f"{place + 1}."


def choice_lines(choices: Sequence[str], style: str) -> list[str]:
    """Each choice behind its label."""
    return [f"{label_of(at, style)} {choice}" for at, choice in enumerate(choices)]


def answer_text(choices: Sequence[str], answer: str, style: str) -> str:
    """The answer, behind the label of its choice where it is one."""
    return f"{label_of(choices.index(answer), style)} {answer}" if answer in choices else answer


def full_text(
    item: Item,
    draws: Draws,
    *,
    stem: str | None = None,
    choices: Sequence[str] | None = None,
    answer: str | None = None,
) -> str:
    """Stem, choices and answer in a drawn layout; the parts given by name take the place of the item's own.

    A program follows its question on a new line, without any label."""
    stem = item.stem if stem is None else stem
    choices = list(item.choices if choices is None else choices)
    answer = item.answer if answer is None else answer
    if item.is_code:
        return f"{stem}\n{answer}"
    style = draws.choice(list(LABELS))
    lines = [draws.choice(_OPENINGS) + stem]
    if choices:
        listed = choice_lines(choices, style)
        lines += [" ".join(listed)] if draws.chance(0.25) else listed
    if answer:
        lines.append(draws.choice(_ANSWERS) + answer_text(choices, answer, style))
    return "\n".join(lines)
