"""Pages on an item's topic: the stretch of a page that shares the rarest words with the item, but no run of words."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .draws import number_of
from .pool import FEW_ITEMS, Item, Pool
from .wording import share_run, words

STRETCH_WORDS = 150
LEAST_SHARED = 3
"""Rare words that an item and a stretch share at least."""
RARE_SHARE = 0.003
"""A word is rare in at most this share of all items' questions, or in FEW_ITEMS."""
ITEMS = 3000
"""Items looked at, as many of each benchmark."""
PIECES_PER_ITEM = 20


@dataclass(frozen=True)
class Stretch:
    """Whole lines of a host of about STRETCH_WORDS words: host's place in the list, characters [start, end)."""

    host: int
    start: int
    end: int


def stretches(texts: Sequence[str]) -> Iterator[Stretch]:
    """The texts cut at line ends, in order."""
    for number, text in enumerate(texts):
        start = end = size = 0
        for line in text.splitlines(keepends=True):
            end += len(line)
            size += len(line.split())
            if size >= STRETCH_WORDS:
                yield Stretch(number, start, end)
                start, size = end, 0
        if size:
            yield Stretch(number, start, end)


def matches(items: Sequence[Item], texts: Sequence[str], pool: Pool, near_run: int, *key: object) -> Iterator[
    tuple[Item, Stretch]
]:  # fmt: skip
    """Items with the stretch that is nearest to each, each benchmark's nearest pairs first and the
    benchmarks in turn; each host and each item at most once.

    Nearness is the sum of the shared rare words' inverse document frequencies over the stretches. At most ITEMS
    items are looked at, drawn by the key."""
    drawn: list[Item] = []
    by_benchmark: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_benchmark[item.benchmark].append(item)
    for _, group in sorted(by_benchmark.items()):
        drawn += sorted(group, key=lambda item: number_of(*key, item.name))[: ITEMS // len(by_benchmark)]
    limit = max(FEW_ITEMS, RARE_SHARE * len(pool.items))
    rare = {item.name: _rare(item, pool, limit) for item in drawn}
    wanted = set().union(*rare.values()) if rare else set()
    pieces = list(stretches(texts))
    holders: dict[str, list[int]] = defaultdict(list)
    for at, piece in enumerate(pieces):
        for word in sorted(wanted.intersection(words(texts[piece.host][piece.start : piece.end]))):
            holders[word].append(at)
    queues: dict[str, list[tuple[float, str, int, Item]]] = defaultdict(list)
    for item in drawn:
        weight: dict[int, float] = defaultdict(float)
        shared: Counter[int] = Counter()
        for word in sorted(rare[item.name]):
            for at in holders[word]:
                weight[at] += math.log(len(pieces) / len(holders[word]))
                shared[at] += 1
        near = [at for at in weight if shared[at] >= LEAST_SHARED]
        for at in sorted(near, key=lambda at: (-weight[at], at))[:PIECES_PER_ITEM]:
            queues[item.benchmark].append((-weight[at], item.name, at, item))
    turns = [iter(sorted(queue, key=lambda entry: entry[:3])) for _, queue in sorted(queues.items())]
    taken: set[int] = set()
    used: set[str] = set()
    while turns:
        left = []
        for turn in turns:
            for _, name, at, item in turn:
                host = pieces[at].host
                if name not in used and host not in taken and not _quotes(item, texts[host], near_run):
                    used.add(name)
                    taken.add(host)
                    left.append(turn)
                    yield item, pieces[at]
                    break
        turns = left


def _quotes(item: Item, text: str, near_run: int) -> bool:
    tokens = words(text)
    return any(share_run(words(part), tokens, near_run) for part in (*item.parts(), item.passage))


def _rare(item: Item, pool: Pool, limit: float) -> set[str]:
    tokens = sorted({word for word in words(f"{item.stem} {item.answer}") if len(word) > 3 and not word.isdigit()})
    return {word for word, spread in zip(tokens, pool.spread(tokens), strict=True) if 0 < spread <= limit}
