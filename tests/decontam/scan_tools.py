"""Items made by hand, and the methods' definitions in plain Python over lists of words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from decontam.scan import ScanOptions

EXACT = ScanOptions(
    max_items=None, max_benchmarks=None, max_places=None, max_documents=None, min_share=0.0, min_score=0.0
)
"""No guard, and every pair that shares a 5-gram is looked at."""
TEXT = pa.large_string()


def items_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """A table of items from rows of parts; what is left out is null, the benchmark is `b`."""
    full = [
        {
            "item": f"{row.get('benchmark', 'b')}/test/{i}",
            "benchmark": row.get("benchmark", "b"),
            "split": "test",
            **{part: row.get(part) for part in ("question", "choices", "answer", "passage")},
        }
        for i, row in enumerate(rows)
    ]
    names = pa.string()
    schema = [("item", names), ("benchmark", names), ("split", names), ("question", TEXT)]
    schema += [("choices", pa.list_(names)), ("answer", TEXT), ("passage", TEXT)]
    return pa.Table.from_pylist(full, schema=pa.schema(schema))


def questions(*texts: str) -> pa.Table:
    """Items of a question each."""
    return items_of([{"question": text} for text in texts])


def column(*texts: str | None) -> pa.Array:
    """A column of texts."""
    return pa.array(texts, TEXT)


def grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Every n words in a row."""
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def covered(item: Sequence[str], text: Sequence[str], n: int) -> set[int]:
    """Positions of the item's words in n-grams that the text has."""
    known = set(grams(text, n))
    return {i + k for i, gram in enumerate(grams(item, n)) if gram in known for k in range(n)}


def skipgram_covered(item: Sequence[str], text: Sequence[str], exact: int, budget: int) -> set[int]:
    """Positions of words that are equal in a window that both have, with up to `budget` others."""
    found: set[int] = set()
    for i in range(len(item)):
        for d in range(len(text)):
            misses = 0
            equal: list[int] = []
            for k in range(min(len(item) - i, len(text) - d)):
                if item[i + k] == text[d + k]:
                    equal.append(i + k)
                    if k + 1 > exact:
                        found.update(equal)
                elif k < exact or misses == budget:
                    break
                else:
                    misses += 1
    return found


def decon_overlaps(
    item: Sequence[str], text: Sequence[str], counts: dict[tuple[str, ...], int], items: int, misses: int
) -> list[tuple[int, int, float]]:
    """(first word, end, overlap) of each cluster of 5-grams of the question in the text."""
    own = set(grams(item, 5))
    idf = {gram: math.log(items / counts[gram]) for gram in own}
    clusters: list[list[int]] = []
    for d, gram in enumerate(grams(text, 5)):
        if gram in own:
            if clusters and d - clusters[-1][-1] - 1 < misses:
                clusters[-1].append(d)
            else:
                clusters.append([d])
    out = []
    for cluster in clusters:
        seen = {tuple(text[d : d + 5]) for d in cluster}
        whole = math.fsum(idf.values())
        if whole:
            share = 1.0 if seen == own else math.fsum(idf[gram] for gram in seen) / whole
            out.append((cluster[0], cluster[-1] + 5, share))
    return out
