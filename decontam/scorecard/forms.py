"""Forms of planted contamination: how an item gets into a page, and what verdict it deserves.

A form that is contamination by definition gives a model, in training, the text that the benchmark asks it (its stem)
nearly as it stands, with or without the answer. `expected` is the least verdict that a plant deserves and the most that
a negative may get: `dirty` (remove it), `suspect` (show it), `clean`. Forms here make fragments of text, one for each
place of the page; `cases` puts them into a host. Lengths are in words as `wording.size` counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .draws import Draws
from .markup import html_list, markdown, page_break, plain_formulas
from .noise import WORD, case_noise, change_numbers, edit_words, punctuation_noise, unicode_noise
from .pool import RUN, SOURCED, Item, Pool
from .render import LABELS, full_text, label_of
from .wording import size

VERDICTS = ("clean", "suspect", "dirty")
"""Verdicts in ascending order."""

LEAST_WORDS = 8
MOST_WORDS = 1500
"""A plant of more words than this would be the page rather than stand in it."""

NOISE_DRAWS = 8
"""How often noise is drawn until it changes the stem, not the layout alone."""


@dataclass(frozen=True)
class World:
    """What makers may draw on beside the item: the pool of the half's items, and quotations."""

    pool: Pool
    quotations: Sequence[str] = ()


@dataclass(frozen=True)
class Form:
    """One form of plants or of negatives.

    `source` says where its item comes from: `evaluated` (the split that is judged), `held_out` (another split),
    `topic` (an item whose rare words the host shares) or `none`. `place` is where the fragments go: `any`, `start`,
    `middle`, `end` of the host, `apart` (two places), or `host` (nothing is added).
    `exempt`: the text may share 8 words on end with an item, or 13, without being contaminated: `doc` says why."""

    name: str
    contaminated: bool
    expected: str
    doc: str
    make: Callable[[Item, Draws, World], Sequence[str] | None]
    source: str = "evaluated"
    place: str = "any"
    exempt: bool = False


def _size(item: Item) -> int:
    return size(f"{item.stem} {item.answer}")


def _fit(item: Item, least: int = LEAST_WORDS) -> bool:
    """Whether the item has a stem and an answer of at least `least` words together, and is prose of a usual length."""
    return bool(item.stem and item.answer) and not item.is_code and least <= _size(item) <= MOST_WORDS


def _verbatim(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    return [full_text(item, draws)] if _fit(item, RUN) else None


def _verbatim_short(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    if not _fit(item, 5) or _size(item) >= RUN or size(item.stem) < 3:
        return None
    return [full_text(item, draws, choices=())]


def _verbatim_code(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    return [full_text(item, draws)] if item.is_code and item.stem else None


def _with_passage(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    if (
        item.benchmark not in SOURCED
        or not item.passage
        or not item.stands_alone
        or not _fit(item)
        or size(item.passage) > MOST_WORDS
    ):
        return None
    return [f"{item.passage}\n{full_text(item, draws)}"]


def _question_only(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    if item.is_code or not item.distinct or not item.stands_alone:
        return None
    return [item.stem] if LEAST_WORDS <= size(item.stem) <= MOST_WORDS else None


def _apart(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    asked = _question_only(item, draws, world) if item.answer else None
    opening = draws.choice(("Answer: {}", "The answer is: {}", "{}", "Solution. {}"))
    return [*asked, opening.format(item.answer)] if asked else None


def _choices_reordered(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    if not _fit(item) or len(set(item.choices)) < 3:
        return None
    choices = list(item.choices)
    while choices == list(item.choices):
        choices = draws.shuffled(choices)
    return [full_text(item, draws, choices=choices)]


def _noisy(change: Callable[[str, Draws], str | None]) -> Callable[[Item, Draws, World], Sequence[str] | None]:
    def make(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
        if not _fit(item):
            return None
        plain = full_text(item, draws)
        for _ in range(NOISE_DRAWS):
            text = change(plain, draws)
            if text and item.stem not in text:
                return [text]
        return None

    return make


def _with_parts(item: Item, parts: Sequence[str], draws: Draws) -> list[str]:
    return [full_text(item, draws, stem=parts[0], choices=parts[1:-1], answer=parts[-1])]


def _numbers_changed(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    if not _fit(item) or not item.is_one_text or change_numbers([item.stem], draws) is None:
        return None
    parts = change_numbers([item.stem, *item.choices, item.answer], draws)
    return _with_parts(item, parts, draws) if parts else None


def _edited(share: float, drop: bool) -> Callable[[Item, Draws, World], Sequence[str] | None]:
    def make(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
        others = world.pool.by_benchmark[item.benchmark]
        if not _fit(item) or not item.is_one_text or len(others) < 2:
            return None

        def substitute(word: str) -> str:
            for _ in range(64):
                donor = draws.choice(others)
                found = WORD.findall(donor.stem) if donor.name != item.name else []
                other = draws.choice(found) if found else word
                if other.casefold() != word.casefold():
                    return other[0].upper() + other[1:] if word[0].isupper() else other
            return f"{word}s"  # a benchmark of one word over and over

        style = draws.choice(list(LABELS))
        parts = edit_words([item.stem, *(item.choices or (item.answer,))], share, draws, None if drop else substitute)
        if parts is None:
            return None
        if not item.choices:
            return ["\n".join(parts)]
        lines = [f"{label_of(at, style)} {choice}" for at, choice in enumerate(parts[1:])]
        right = item.choices.index(item.answer) if item.answer in item.choices else 0
        return ["\n".join([parts[0], *lines, f"Answer: {label_of(right, style)}"])]

    return make


def _html_list(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    return [html_list(item, draws)] if _fit(item) else None


def _page_break(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    heads = ("Practice workbook", "CHAPTER 4   REVIEW", "Study guide - unit 7", "Exam archive 2019", "Lecture notes")
    if not _fit(item) or size(item.stem) < LEAST_WORDS:
        return None
    cut = page_break(item.stem, draws, draws.choice(heads))
    return [full_text(item, draws, stem=cut)] if cut else None


def _formulas(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    if not _fit(item) or "\\" not in item.stem:
        return None
    text = plain_formulas("\n\x1e\n".join([item.stem, *item.choices, item.answer]), draws)
    return _with_parts(item, text.split("\n\x1e\n"), draws) if text else None


def _markdown(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    text = markdown(item, draws) if _fit(item) else None
    return [text] if text else None


def _plant(
    name: str,
    make: Callable[[Item, Draws, World], Sequence[str] | None],
    doc: str,
    expected: str = "dirty",
    place: str = "any",
) -> Form:
    return Form(name, True, expected, doc, make, place=place)


PLANTS = (
    _plant("verbatim", _verbatim, "Stem, choices and answer, word for word, in one of many layouts; 13 words or more."),
    _plant("verbatim_short", _verbatim_short, "Question and answer, word for word, of 5 to 12 words together."),
    _plant("verbatim_code", _verbatim_code, "A programming task with its solution, white space and all."),
    _plant("with_passage", _with_passage, "Published passage, question and answer, word for word."),
    _plant(
        "question_only", _question_only, "A question of 8 words or more that says what it asks, its answer left out."
    ),
    _plant("apart", _apart, "Question and answer in two paragraphs, text of the page between.", place="apart"),
    _plant("choices_reordered", _choices_reordered, "The choices in another order, with other labels."),
    _plant("case_noise", _noisy(case_noise), "Capitals and small letters changed; the words are the same."),
    _plant("punctuation_noise", _noisy(punctuation_noise), "Marks removed, doubled, moved or added; the words stay."),
    _plant("unicode_noise", _noisy(unicode_noise), "Quotes, dashes, width, accents, invisible characters, ligatures."),
    _plant(
        "numbers_changed",
        _numbers_changed,
        "Every number is another one. The story is the benchmark's, the answer is not: suspect at least.",
        "suspect",
    ),
    _plant("substituted_05", _edited(0.05, False), "5 % of the words replaced by words of the same benchmark's items."),
    _plant("substituted_10", _edited(0.10, False), "10 % of the words replaced."),
    _plant("substituted_20", _edited(0.20, False), "20 % of the words replaced: suspect at least.", "suspect"),
    _plant("dropped_05", _edited(0.05, True), "5 % of the words dropped."),
    _plant("dropped_10", _edited(0.10, True), "10 % of the words dropped."),
    _plant("dropped_20", _edited(0.20, True), "20 % of the words dropped: suspect at least.", "suspect"),
    _plant("html_list", _html_list, "A list in tags or bullets: an entry a choice, and often an entry a sentence."),
    _plant("page_break", _page_break, "A page's footer and header amid the question's words."),
    _plant("formulas", _formulas, "LaTeX formulas written as plain text."),
    _plant("markdown", _markdown, "Markdown with emphasis, a table, or HTML with its characters escaped."),
    _plant("long_host_start", _verbatim, "Verbatim, before a page of 1 500 words or more.", place="start"),
    _plant("long_host_middle", _verbatim, "Verbatim, in the middle of a page of 1 500 words or more.", place="middle"),
    _plant("long_host_end", _verbatim, "Verbatim, after a page of 1 500 words or more.", place="end"),
)
"""The forms of planted contamination, in the order of reports."""
