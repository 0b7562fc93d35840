"""Small models of all kinds, trained once, and texts to score."""

from __future__ import annotations

import random

import pytest

_TEXT = (
    "the of and to in a is that for it was on are as with his they at be this from have or by one had not but what "
    "der die und das nicht über größer Straße мир труд май слово язык 街角 面包店 六点 开门 조용한 아침 ประเทศไทย "
    "naïve café façade ÉCOLE Zürich 🙂 £5 3.14 e-mail http://a.example/x word. word, (word) WORD"
)
WORDS = _TEXT.split()


def sentence(rng: random.Random, label: int) -> str:
    """Some words, with more of one part of the list for each label."""
    part = WORDS[label * 12 : label * 12 + 24]
    return " ".join(rng.choice(part if rng.random() < 0.4 else WORDS) for _ in range(rng.randint(1, 30)))


@pytest.fixture(scope="session")
def training_file(tmp_path_factory):
    """A fastText training file of four labels."""
    rng = random.Random(1)
    path = tmp_path_factory.mktemp("fasttext") / "train.txt"
    lines = []
    for i in range(3000):
        label = i % 2 if i % 5 else 2 + i % 2
        lines.append(f"__label__{'abcd'[label]} {sentence(rng, label)} w{rng.randint(0, 400)}\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def two_labels_file(training_file, tmp_path_factory):
    """The same texts with the labels a and b only."""
    path = tmp_path_factory.mktemp("fasttext2") / "train.txt"
    text = training_file.read_text(encoding="utf-8").replace("__label__c", "__label__a")
    path.write_text(text.replace("__label__d", "__label__b"), encoding="utf-8")
    return path


def odd_word(rng: random.Random) -> str:
    """A letter from anywhere before a common word."""
    letters = (rng.randint(33, 0x2FF), rng.randint(0x400, 0xD7FF), rng.randint(0x10000, 0x1FFFF))
    return chr(rng.choice(letters)) + rng.choice(WORDS)


@pytest.fixture(scope="session")
def texts():
    """Texts for the models to score: like those trained on, and hostile ones.

    None repeats one word thousands of times: the library's sums in single precision are then off by more than 1e-5.
    """
    rng = random.Random(2)
    found = [sentence(rng, i % 4) for i in range(400)]
    found += [" ".join(odd_word(rng) for _ in range(rng.randint(1, 12))) for _ in range(400)]
    found += ["", " ", "\t\v\f\r", "a", "\0", "x\0y", "\u00a0", "the\u00a0of", "__label__a", "__label__zz the of"]
    found += ["__labe", "<", ">", "<>", "a" * 300, "é" * 200, "🙂" * 100, "the " * 200, "\u202e\u200f مرحبا"]
    return found + ["e\u0301\u0301\u0301 x", "</s", "</s>x", "\U0010ffff", "\u0301", "\u0301\u0301 \u0301"]
