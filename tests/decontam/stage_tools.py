"""A small benchmark and documents that hold its items, for tests of the stage; and what plain Python makes of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa

QUIZ = {
    "quiz/all/1": (
        "Which of the nine lanterns on Harbour Street did Odile Marchetti repaint green after the flood of 1911?",
        "the seventh one beside the chandler's door",
    ),
    "quiz/all/2": (
        "A ferry leaves Skerrow at noon with forty two goats aboard and returns with half as many; how many stayed?",
        "twenty one goats",
    ),
    "quiz/all/3": (
        "Explain why the copper kettle in the museum of tides whistles a semitone lower on frosty days than in June",
        "the cold brass valve opens later",
    ),
}
WHO = ("The vicar", "Mrs Tarrant", "A plumber from Leith", "Our treasurer", "The elder twin", "Nobody here", "His aunt")
DID = ("had mislaid", "once sold", "never believed in", "wrote a letter about", "was asked to carry")
WHAT = (
    "the second best teapot", "a ladder of nine rungs", "the minutes of the meeting", "some very early marrows",
    "an umbrella with a brass tip", "the parish lawnmower", "two tickets to Dover", "a bucket of whitewash",
    "that curious barometer", "the keys to the boathouse", "all of the folding chairs",
)  # fmt: skip


def filler(first: int, units: int) -> str:
    """Sentences that hardly repeat each other, some 250 characters a unit."""
    numbers = range(5 * first, 5 * (first + units))
    return " ".join(f"{WHO[k % 7]} {DID[k % 5]} {WHAT[k % 11]}, {k} times." for k in numbers)


FILLER = filler(70, 4)


def write_benchmark(path: Path, items: dict[str, tuple[str, str]] = QUIZ) -> Path:
    """The items as JSON lines; `path` must be called after them (quiz.jsonl)."""
    lines = [json.dumps({"question": q, "answer": a}) for q, a in items.values()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def words(text: str) -> list[str]:
    """Words in small letters, punctuation left out."""
    return re.findall(r"[^\W_]+", text.lower().replace("'", ""))


def holds(text: str, question: str) -> bool:
    """Whether the question's words stand in the text in a row: a plain search."""
    return " ".join(["", *words(question), ""]) in " ".join(["", *words(text), ""])


def documents(texts: list[str | None]) -> pa.Table:
    """A table of documents with ids, addresses and WARC records."""
    return pa.table(
        {
            "id": [f"doc{i}" for i in range(len(texts))],
            "text": pa.array(texts, pa.large_string()),
            "url": [f"https://site{i}.example/" for i in range(len(texts))],
            "record": [{"file": "a.warc.gz", "offset": 100 * i} for i in range(len(texts))],
        }
    )


def page(before: int, number: int, after: int, *, noise: bool = False) -> str:
    """Filler with question `number` (from 1) in it; `noise`: in capitals, without its punctuation."""
    question = QUIZ[f"quiz/all/{number}"][0]
    if noise:
        question = re.sub(r"[^\w\s]", "", question).upper()
    return f"{filler(10 * number, before)} {question} {filler(10 * number + 5, after)}".strip()
