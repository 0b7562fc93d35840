"""A text with an order of words that a small model learns in seconds, and an ablation of it against shuffled words."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

WORDS = [a + b for a in ("ba", "ke", "li", "mo", "su", "ter") for b in ("ran", "dol", "fim", "gus", "pek", "von")]
SMALL = {"model": {"d_model": 32, "n_layers": 1, "n_heads": 2, "d_ff": 64}}
"""A model that trains at hundreds of steps a second."""


def sentence(draw: random.Random, length: int) -> list[str]:
    """Words that mostly follow one another in a fixed order."""
    at = draw.randrange(len(WORDS))
    out = []
    for _ in range(length):
        out.append(WORDS[at])
        at = (at * 7 + 3) % len(WORDS) if draw.random() < 0.75 else draw.randrange(len(WORDS))
    return out


def documents(seed: int, count: int, *, shuffled: bool = False) -> list[str]:
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        words = sentence(draw, draw.randint(30, 60))
        if shuffled:
            draw.shuffle(words)
        made.append(" ".join(words))
    return made


def write(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Files by name: ordered and shuffled texts (of other documents than the held-out one), and a benchmark."""
    folder = tmp_path_factory.mktemp("ablation-texts")
    made = {
        "ordered": write(folder / "ordered.jsonl", documents(0, 300)),
        "shuffled": write(folder / "shuffled.jsonl", documents(0, 300, shuffled=True)),
        "other": write(folder / "other.jsonl", documents(5, 300)),
        "held": write(folder / "held.jsonl", documents(1, 40)),
        "leaky": write(folder / "leaky.jsonl", documents(0, 300) + documents(1, 40)[:10]),
    }
    quiz = folder / "quiz.jsonl"
    draw = random.Random(2)
    with open(quiz, "w", encoding="utf-8") as out:
        for k in range(12):
            words = sentence(draw, 9)
            record = {"question": " ".join(words[:6]) + f" {k}", "choices": ["no", " ".join(words[6:])]}
            out.write(json.dumps({**record, "answer": record["choices"][1]}) + "\n")
    made["quiz"] = f"quiz={quiz}"
    return made.__getitem__


@pytest.fixture(scope="session")
def bpe(tmp_path_factory: pytest.TempPathFactory):
    """A byte-level tokenizer of a few hundred ids."""
    from pipeline.bpe import load_tokenizer, train_bpe

    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    train_bpe([["the cat sat on the mat, Question: who?\nAnswer: " * 20]], 300).save(str(path))
    return load_tokenizer(path)
