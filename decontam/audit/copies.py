"""Which hits of an item in one document belong to the same copy of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..evidence import Evidence, Hits
from ..index import Index

WHOLE = 1.1
"""Hits of one part are of one copy as long as together they are no longer than the part by more than this factor."""
ANOTHER = 1.5
"""A stretch that is longer than a part by this factor may hold it more than once."""
SPAN, SLACK = 1.5, 30
"""And the copy spans no more than this times the tokens of the parts that were hit, and some tokens between them."""


@dataclass
class Copy:
    """A stretch of a document in which an item stands once; tokens of the evidence."""

    document: int
    item: int
    kind: int
    """Of the part with the best hit."""
    verdict: int
    score: float
    start: int
    end: int
    count: int = 1
    """Several where copies follow each other so closely that a method sees them as one."""


def copies_of(hits: Hits, evidence: Evidence) -> Iterator[list[Copy]]:
    """The copies of each item in each document, by document, item and place.

    Hits are of the same copy where they overlap, or where they fit into one: pieces of an edited question, a question
    and its choices. Two whole questions are two copies, however close they stand.
    """
    for copies in _groups(hits, evidence.index):
        for copy in copies:
            copy.count = _count(copy, evidence)
        yield copies


def _count(copy: Copy, evidence: Evidence) -> int:
    """How often a stretch of text holds the part: the median, over its tokens that are there, of how often each is."""
    index = evidence.index
    best = 1
    for part in index.parts_of(copy.item, copy.kind):
        length = int(index.part_lengths[part])
        if copy.end - copy.start < ANOTHER * length:
            continue
        mine = (evidence.pair_document == copy.document) & (evidence.pair_part == part)
        times = np.zeros(length, np.int64)
        for pair in np.flatnonzero(mine).tolist():
            for run in range(int(evidence.run_offsets[pair]), int(evidence.run_offsets[pair + 1])):
                text, size = int(evidence.run_text[run]), int(evidence.run_length[run])
                if copy.start <= text and text + size <= copy.end:
                    place = int(evidence.run_place[run]) - int(index.part_offsets[part])
                    times[place : place + size] += 1
        if times.any():
            best = max(best, int(np.median(times[times > 0])))
    return best


def _groups(hits: Hits, index: Index) -> Iterator[list[Copy]]:
    order = np.lexsort((hits.end, hits.start, hits.item, hits.document)).tolist()
    names = ("document", "item", "kind", "verdict", "score", "start", "end")
    rows = list(zip(*(getattr(hits, name)[order].tolist() for name in names), strict=True))
    first = 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or rows[place][:2] != rows[first][:2]:
            yield _joined(rows[first:place], index)
            first = place


def _joined(rows: list[tuple[int, int, int, int, float, int, int]], index: Index) -> list[Copy]:
    copies: list[Copy] = []
    found: dict[int, int] = {}  # tokens of each kind of part that the last copy has
    sizes: dict[int, int] = {}
    for document, item, kind, verdict, score, start, end in rows:
        if kind not in sizes:
            sizes[kind] = int(index.part_lengths[index.parts_of(item, kind)].sum())
        last = copies[-1] if copies else None
        if last is not None:
            fresh = max(end - max(start, last.end), 0)
            span = SPAN * sum(sizes[one] for one in {*found, kind}) + SLACK
            fits = found.get(kind, 0) + fresh <= WHOLE * sizes[kind] and end - last.start <= span
            if start < last.end or fits:
                found[kind] = found.get(kind, 0) + fresh
                last.end = max(last.end, end)
                if (verdict, score) > (last.verdict, last.score):
                    last.kind, last.verdict, last.score = kind, verdict, score
                continue
        copies.append(Copy(document, item, kind, verdict, score, start, end))
        found = {kind: end - start}
    return copies
