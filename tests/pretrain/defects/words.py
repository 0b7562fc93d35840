"""A generated corpus of prose-like text: sentences of made-up grammar, so that the tests need no data."""

from __future__ import annotations

import random

NOUNS = ("river", "farmer", "market", "letter", "garden", "teacher", "engine", "window", "village", "doctor", "bridge",
         "kitchen", "soldier", "morning", "captain", "forest", "question", "harbour", "student", "machine")  # fmt: skip
VERBS = ("carried", "described", "repaired", "remembered", "followed", "noticed", "painted", "crossed", "explained")
QUALITIES = ("old", "quiet", "narrow", "bright", "heavy", "patient", "distant", "careful", "wooden", "early", "gentle")
PLACES = ("near the station", "in the valley", "after the war", "before noon", "on the hill", "behind the church")


def sentence(rng: random.Random) -> str:
    """A sentence of seven to a dozen words."""
    parts = [
        f"The {rng.choice(QUALITIES)} {rng.choice(NOUNS)} {rng.choice(VERBS)} the {rng.choice(NOUNS)}",
        f"{rng.choice(PLACES)}, and it was {rng.choice(QUALITIES)} to have a {rng.choice(NOUNS)} with that"
        if rng.random() < 0.5
        else rng.choice(PLACES),
    ]
    return " ".join(parts) + "."


def documents(count: int, seed: int = 0, sentences: int = 25) -> list[str]:
    """Texts of about `sentences` sentences in paragraphs of five."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        some = [sentence(rng) for _ in range(rng.randint(sentences // 2, sentences * 3 // 2))]
        made.append("\n".join(" ".join(some[i : i + 5]) for i in range(0, len(some), 5)))
    return made
