"""A generated corpus of prose-like text: sentences of a small grammar, so that the tests need no data."""

from __future__ import annotations

import random

NOUNS = (
    "river", "farmer", "market", "letter", "garden", "teacher", "engine", "window", "village", "doctor", "bridge",
    "kitchen", "soldier", "morning", "captain", "forest", "question", "harbour", "student", "machine", "island",
    "painter", "journey", "neighbour", "lesson", "winter", "library", "railway", "factory", "chapel", "orchard",
    "lawyer", "sailor", "theatre", "hospital", "museum", "border", "mountain",
)  # fmt: skip
VERBS = (
    "carried", "described", "repaired", "remembered", "followed", "noticed", "painted", "crossed", "explained",
    "visited", "sold", "measured", "admired", "questioned", "protected", "ignored", "studied", "reached",
    "bought", "feared",
)  # fmt: skip
QUALITIES = (
    "old", "quiet", "narrow", "bright", "heavy", "patient", "distant", "careful", "wooden", "early", "gentle",
    "broken", "familiar", "empty", "modern", "famous",
)  # fmt: skip
LINKS = ("because", "while", "although", "before", "after", "until", "where", "so that")
ENDS = ("with great care", "of all things", "in spite of that", "to be sure", "for many years", "at last", "as ever")


def sentence(rng: random.Random) -> str:
    """A sentence of one or two clauses."""

    def thing() -> str:
        word = rng.choice(("the", "that", "this", "every", "one", "their", "our", "his"))
        quality = f"{rng.choice(QUALITIES)} " if rng.random() < 0.5 else ""
        return f"{word} {quality}{rng.choice(NOUNS)}"

    def clause() -> str:
        return f"{thing()} {rng.choice(VERBS)} {thing()}" + (f" {rng.choice(ENDS)}" if rng.random() < 0.3 else "")

    text = clause() + (f" {rng.choice(LINKS)} {clause()}" if rng.random() < 0.7 else "")
    return f"{text[0].upper()}{text[1:]}."


def documents(count: int, seed: int = 0, sentences: int = 25) -> list[str]:
    """Texts of about `sentences` sentences, a line each."""
    rng = random.Random(seed)
    return [
        "\n".join(sentence(rng) for _ in range(rng.randint(sentences // 2, sentences * 3 // 2))) for _ in range(count)
    ]
