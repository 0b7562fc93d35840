"""Hard negatives: texts that are like benchmark items, or like what methods look for, and are no contamination.

What makes them none: a model that trains on them has not been asked the item. Their text shares no run of RUN words
with the stem, choices or answer of an evaluated item, and holds no short question whole (`pool.Screen`), but for the
exempt forms, whose `doc` says what they share. A method that marks one as `dirty` is wrong; `suspect` is right enough
where the form expects it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .draws import Draws
from .forms import MOST_WORDS, VERDICTS, Form, World
from .noise import WORD
from .pool import SOURCED, Item
from .render import LABELS, choice_lines, full_text
from .templates import INSTRUCTIONS, OPTIONS, STORIES, fill, program
from .wording import share_run, words

NEAR_RUN = 8
"""Words on end that a negative may at most not share with the item that it is near to."""
COMMON_SHARE = 0.02
"""A word is part of the template where more than this share of all questions hold it."""
LEAST_REPLACED = 1 / 3
LEAST_PASSAGE = 12
"""Words of a passage that is worth a case."""
LEAST_QUOTED, LEAST_ASKED = NEAR_RUN, 4
"""Words of a quotation, and of the question around it, for a case. What is asked may be much less than the quotation:
the less it is, the harder to see that it is not there."""
QUOTING = ("mmlu", "trivia_qa")
"""Benchmarks whose questions quote books, songs, laws and speeches."""
PAIRS = ("mrpc",)
"""Benchmarks whose question is two lines of news side by side; a page has the first of them."""
REFERS = "This question refers to the following information"
"""Opening of MMLU's history questions; the lines up to the last are the source."""
_QUOTE = re.compile(r"(?:^|[\s(:：])[\"“]+([^\s\"“”][^\"“”]{30,}[^\s\"“”])[\"”]+(?=$|[\s.,;:?)。，])")


def _clean_host(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    return []


def _famous_passage(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    return [draws.choice(world.quotations)] if world.quotations else None


def _quoted_source(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    if item.benchmark not in (*QUOTING, *PAIRS):
        return None
    opening, *lines = item.question.split("\n")
    if item.benchmark in PAIRS:
        quote = opening
    elif opening.startswith(REFERS) and len(lines) > 1:
        quote = "\n".join(lines[:-1])
    else:
        quote = max(_QUOTE.findall(item.question), key=len, default="")
    rest = words(item.question.replace(quote, " ")) if quote else []
    return [quote.strip()] if len(words(quote)) >= LEAST_QUOTED and len(rest) >= LEAST_ASKED else None


def _passage_source(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    if item.benchmark not in SOURCED or not item.passage:
        return None
    tokens = words(item.passage)
    if not LEAST_PASSAGE <= len(tokens) <= MOST_WORDS or share_run(tokens, words(item.question), NEAR_RUN):
        return None
    return [item.passage]


def _template_question(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    lines = []
    for _ in range(draws.between(1, 3)):
        story = draws.choice(STORIES)
        lines.append(draws.choice(("", "Question: ", "Q: ")) + fill(story, draws))
        if story.startswith(("Which", "What", "is ", "A patient")):
            lines += choice_lines([fill(draws.choice(("{material}", "the {body}", "{n}", "{thing}")), draws)
                                   for _ in range(4)], draws.choice(list(LABELS)))  # fmt: skip
        lines.append(draws.choice(("Answer: ", "A: ")) + draws.choice(("A", "B", "C", "D", "12", "48", "yes", "no")))
    return ["\n".join(lines)]


def _same_template(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    if item.is_code or not item.distinct or not item.stands_alone:
        return None
    if "\\" in item.question or not item.question.isascii():
        return None
    found = list(WORD.finditer(item.question))
    tokens = words(item.question)
    if len(tokens) < NEAR_RUN or len(found) < NEAR_RUN or len(found) > MOST_WORDS:
        return None
    others = world.pool.by_benchmark[item.benchmark]
    limit = COMMON_SHARE * len(world.pool.items)

    def rare(word: str) -> bool:
        return word.isdigit() or bool((world.pool.spread(words(word)) <= limit).any())

    text, at, replaced = [], 0, 0
    for match in found:
        word = match.group()
        if rare(word):
            for _ in range(64):
                donor = draws.choice(others)
                chosen = WORD.findall(donor.question) if donor.name != item.name else []
                other = draws.choice(chosen) if chosen else word
                if (
                    rare(other)
                    and other.isascii()
                    and other.casefold() != word.casefold()
                    and other.isdigit() == word.isdigit()
                ):
                    break
            else:
                continue
            text += [item.question[at : match.start()], other]
            at = match.end()
            replaced += 1
    changed = "".join(text) + item.question[at:]
    if replaced < LEAST_REPLACED * len(found) or share_run(words(changed), tokens, NEAR_RUN):
        return None
    return [draws.choice(("", "Question: ", "Q: ")) + changed]


def _choice_boilerplate(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    style = draws.choice(list(LABELS))
    lines = [fill(line, draws) for line in draws.sample(INSTRUCTIONS, draws.between(1, 3))]
    for options in draws.sample(OPTIONS, draws.between(1, 3)):
        lines += choice_lines(draws.shuffled(options), style)
    return ["\n".join(lines)]


def _other_split(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    return [full_text(item, draws)] if item.stem and item.answer and len(words(item.stem)) <= MOST_WORDS else None


def _code_boilerplate(item: Item, draws: Draws, world: World) -> Sequence[str] | None:
    return ["\n\n".join(program(draws) for _ in range(draws.between(1, 3)))]


NEGATIVES = (
    Form("clean_host", False, VERDICTS[0], "A page as it is.", _clean_host, "none", "host"),
    Form(
        "same_topic",
        False,
        VERDICTS[0],
        "A page that shares rare words with an item, and no 8 words on end.",
        _clean_host,
        "topic",
        "host",
    ),
    Form(
        "famous_passage",
        False,
        VERDICTS[0],
        "A quotation of a famous text, a licence or an oath. Items that quote the same text share long runs with it.",
        _famous_passage,
        "none",
        exempt=True,
    ),
    Form(
        "quoted_source",
        False,
        VERDICTS[1],
        "The text that an item's question quotes, without what it asks: any page with that source has it. It shares "
        "the quotation with the item; suspect at most.",
        _quoted_source,
        exempt=True,
    ),
    Form(
        "passage_source",
        False,
        VERDICTS[1],
        "The published text that an item reads, such as an encyclopedia's paragraph, without the question. It shares "
        "the passage with the item, and no 8 words on end with its question; suspect at most.",
        _passage_source,
    ),
    Form(
        "template_question",
        False,
        VERDICTS[0],
        "Questions from templates that benchmarks use too, with people, things and numbers of their own.",
        _template_question,
        "none",
    ),
    Form(
        "same_template",
        False,
        VERDICTS[0],
        "An item's question in which every word but the common ones, at least a third, is another item's; no 8 words "
        "on end are left.",
        _same_template,
    ),
    Form(
        "choice_boilerplate",
        False,
        VERDICTS[0],
        "Exam instructions and stock choices such as `All of the above`. Items with these choices share runs with it.",
        _choice_boilerplate,
        "none",
        exempt=True,
    ),
    Form(
        "other_split",
        False,
        VERDICTS[0],
        "An item of another split of the benchmark than the one that is evaluated, such as train. Judged against the "
        "evaluated split: an index that holds the other split too is right to name that item.",
        _other_split,
        "held_out",
    ),
    Form(
        "code_boilerplate",
        False,
        VERDICTS[0],
        "Code that every tutorial has. Solutions of programming tasks share lines with it.",
        _code_boilerplate,
        "none",
        exempt=True,
    ),
)
"""The forms of hard negatives, in the order of reports."""
