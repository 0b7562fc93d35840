"""A made-up bench for the scorecard's tests: items of both halves, and pages, from a vocabulary of syllables."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow as pa

from decontam.scorecard.draws import Draws
from decontam.scorecard.split import half_of_host

COMMON = ["the", "of", "and", "a", "to", "in", "is", "it", "that", "was", "for", "on", "with", "as", "they", "at", "be"]
TOPIC_WORDS = 2000
PER_SPLIT = 30
"""Items of each made-up benchmark and split."""


def vocabulary(count: int, *key: object) -> list[str]:
    """Different made-up words of two or three syllables."""
    draws = Draws("vocabulary", *key)
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(draws.choice("bdfgklmnprstvz") + draws.choice("aeiou") for _ in range(draws.between(2, 3)))] = (
            None
        )
    return list(found)


TOPICS = vocabulary(TOPIC_WORDS, "topics")


def sentence(draws: Draws, words: int, end: str = ".", stock: list[str] = TOPICS) -> str:
    """Half common words, half made-up ones, with a capital, a comma and an end."""
    made = [draws.choice(stock if at % 2 else COMMON) for at in range(words)]
    made[0] = made[0].capitalize()
    if words > 6:
        made[words // 2] += ","
    return " ".join(made) + end


def _row(benchmark: str, split: str, number: int) -> dict[str, Any]:
    draws = Draws("item", benchmark, split, number)
    row: dict[str, Any] = {"item": f"{benchmark}/{split}/{number}", "benchmark": benchmark, "split": split}
    if benchmark in ("commonsense_qa", "mmlu"):
        choices = [f"{sentence(draws, 3, '')} {at}" for at in range(4)]
        row |= {"question": sentence(draws, 18, "?"), "choices": choices, "answer": draws.choice(choices)}
        if benchmark == "mmlu" and number % 3 == 0:
            lines = ["This question refers to the following information.", sentence(draws, 30), row["question"]]
            row["question"] = "\n".join(lines)
    elif benchmark in ("boolq", "squad"):
        row |= {"question": sentence(draws, 12, "?"), "answer": sentence(draws, 3, "")}
        row["passage"] = " ".join(sentence(draws, 14) for _ in range(4))
    elif benchmark in ("mbpp", "humaneval"):
        name = draws.choice(TOPICS)
        row |= {
            "question": f"Write a function to {sentence(draws, 14)}",
            "answer": f"def {name}(a):\n    return a * {number}\n",
        }
    elif benchmark in ("math", "svamp"):
        low, high = draws.between(10, 99), draws.between(100, 999)
        row["question"] = f"{sentence(draws, 14)} Find $\\frac{{{low}}}{{{high}}} \\cdot \\sqrt{{{number}}}$ of \\$5."
        row["answer"] = f"$\\frac{{{high}}}{{2}}$"
    elif benchmark == "gsm8k":
        row["question"] = (
            f"{sentence(draws, 10)} {draws.between(10, 99)} {sentence(draws, 12)} {draws.between(100, 999)}?"
        )
        row["answer"] = f"{sentence(draws, 12)} #### {draws.between(10, 99)}"
    else:
        row |= {"question": sentence(draws, draws.between(4, 6), "?"), "answer": sentence(draws, 2, "")}
    return row


def item_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows with some of the ITEM columns as a table of those that the scorecard reads."""
    kinds = dict.fromkeys(("item", "benchmark", "split", "question", "answer", "passage"), pa.large_string())
    kinds["choices"] = pa.list_(pa.string())
    return pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()})


SPLITS = {
    "tuning": {"gsm8k": ("test", "train"), "boolq": ("validation",), "mbpp": ("all",), "math": ("test",),
               "commonsense_qa": ("validation",), "trivia_qa": ("validation",)},
    "reporting": {"mmlu": ("test", "dev"), "squad": ("validation",), "humaneval": ("test",), "svamp": ("test",),
                  "jeopardy": ("train",)},
}  # fmt: skip
"""The made-up benchmarks by their half, with their splits."""


def made_items() -> pa.Table:
    """PER_SPLIT items of every made-up benchmark and split."""
    names = [(name, split) for half in SPLITS.values() for name, splits in half.items() for split in splits]
    return item_table([_row(name, split, number) for name, split in names for number in range(1, PER_SPLIT + 1)])


def made_hosts(count: int = 80) -> pa.Table:
    """Pages of 100 to 300 words in lines, every eighth of 1 600; half their made-up words are the items' own; every
    second has a question's words in another order."""
    stock = [*TOPICS, *vocabulary(TOPIC_WORDS, "pages")]
    asked = made_items()["question"].to_pylist()
    rows = []
    for number in range(count):
        draws = Draws("host", number)
        lines = [sentence(draws, 10, stock=stock) for _ in range(draws.between(10, 30) if number % 8 else 160)]
        if number % 2:
            lines[5] = " ".join(draws.shuffled(draws.choice(asked).split()))
        text = "\n".join(lines)
        rows.append(
            {"id": f"page-{number:03d}", "text": text, "url": f"https://site{number}.invalid/page", "lang": "en"}
        )
    return pa.table({name: [row[name] for row in rows] for name in ("id", "text", "url", "lang")})


@cache
def hosts_of(half: str) -> set[str]:
    """Names of the made-up hosts of one half."""
    table = made_hosts()
    pairs = zip(table["id"].to_pylist(), table["url"].to_pylist(), strict=True)
    return {name for name, url in pairs if half_of_host(url, name) == half}
