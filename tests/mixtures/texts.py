"""Generated corpora: documents of several topics, each with words of its own."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

TOPICS = ("sea", "law", "food", "math")


def document(rng: random.Random, topic: str, words: int) -> str:
    """Words of the topic and common ones, in sentences."""
    out = []
    for i in range(words):
        common = rng.random() < 0.5
        word = f"the{rng.randrange(20)}" if common else f"{topic}{int(rng.paretovariate(0.7)) % 200}"
        out.append(word.capitalize() if i % 9 == 0 else word)
        if i % 9 == 8:
            out[-1] += "."
    return " ".join(out)


def corpus(
    documents: int = 200, seed: int = 0, topics: tuple[str, ...] = TOPICS, low: int = 60
) -> list[dict[str, str]]:
    """Documents of 60 to 160 words with `id`, `text` and `topic`."""
    rng = random.Random(seed)
    rows = []
    for i in range(documents):
        topic = topics[i % len(topics)]
        rows.append({"id": f"{seed}-{i}", "text": document(rng, topic, rng.randrange(low, 160)), "topic": topic})
    return rows


def write(path: Path, rows: list[dict[str, object]] | list[dict[str, str]]) -> Path:
    """A file of JSON lines, packed where the name says so."""
    raw = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.name.endswith(".gz") else raw)
    return path
