"""A small corpus with planted items, and what an audit has to say of it, found by reading alone."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz"
COPIES = {0: [3], 1: [4, 4], 2: [5, 6], 3: [7, 7, 7, 8], 4: [9], 6: [10, 11, 12]}
"""Item: the documents that it stands in, once for each mention."""
REPEATED = {20: 5, 21: 5, 22: 10}
"""Documents that are copies of others, letter by letter."""
DOCUMENTS = 40


@dataclass
class Planted:
    """Files, and what is in them."""

    folder: Path
    corpus: Path
    bench: Path
    registry: Path
    texts: list[str]
    urls: list[str]
    items: list[dict[str, Any]] = field(default_factory=list)
    expected: dict[int, list[int]] = field(default_factory=dict)
    """Item: the documents of the corpus that it stands in, once for each mention."""


def words(rng: random.Random, count: int) -> list[str]:
    """Words that nobody else has."""
    return ["".join(rng.choice(LETTERS) for _ in range(rng.randint(4, 9))) for _ in range(count)]


def plant(folder: Path) -> Planted:
    """Write bench/quiz-test.jsonl and bench/quiz-train.jsonl, quiz.yaml and corpus.jsonl."""
    rng = random.Random(11)
    items = []
    for number in range(10):
        question = " ".join(words(rng, 16 + number)).capitalize() + "?"
        if number == 6:
            question = "Où est le grüne «Bär»: 渡し舟の下, " + question
        options = [" ".join(words(rng, 3)) for _ in range(4)]
        items.append({"q": question, "options": options, "right": number % 4})
    items[9] = {"q": "Why so?", "options": ["no", "yes", "so", "to"], "right": 1}  # too short for anything
    (folder / "bench").mkdir()
    for name, part in (("quiz-test", items[:7]), ("quiz-train", items[7:])):
        (folder / "bench" / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in part))
    registry = folder / "quiz.yaml"
    registry.write_text(
        "quiz:\n  files: quiz*\n  fields: {question: q, choices: options, answer: '[right]'}\n"
        "  licence: none\n  url: https://quiz.example\n"
    )
    texts = []
    for number in range(DOCUMENTS):
        parts = [" ".join(words(rng, 60)) + ". Ünïcode – 猫."]
        for item, documents in COPIES.items():
            for _ in range(documents.count(number)):
                parts += [items[item]["q"], " ".join(words(rng, 40)) + "."]
        texts.append("\n".join(parts))
    for copy, of in REPEATED.items():
        texts[copy] = texts[of]
    urls = [f"https://host{number % 4}.example/page/{number}" for number in range(DOCUMENTS)]
    corpus = folder / "corpus.jsonl"
    lines = [json.dumps({"text": t, "url": u, "id": f"d{n}"}) for n, (t, u) in enumerate(zip(texts, urls, strict=True))]
    corpus.write_text("\n".join([*lines[:30], "{broken", *lines[30:]]) + "\n")
    planted = Planted(folder, corpus, folder / "bench", registry, texts, urls, items)
    for item, one in enumerate(items[:9]):
        found = [n for n, text in enumerate(texts) for _ in re.finditer(re.escape(one["q"]), text)]
        if found:
            planted.expected[item] = found
    return planted


def name_of(item: int) -> str:
    """The id of an item."""
    return f"quiz/test/{item + 1}" if item < 7 else f"quiz/train/{item - 6}"
