"""Made-up web spam with known labels: stuffed, doorway, affiliate, link-list and spun pages.

There is no labelled set of web spam here, so the pages are generated. The two sides, `tune` and `report`, share no
template, trade, place or phrase list, so that a figure on `report` says something about pages unlike those tuned on.
It still says nothing about spam that is unlike both. Kinds after Gyöngyi and Garcia-Molina 2005, Web Spam Taxonomy
(term spam: repetition, dumping, weaving, stitching) and Google's published spam policies (doorway pages, keyword
stuffing, scaled content). Every draw is a hash of (seed, number, step): no stream of random numbers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from . import spam_phrases as phrases

Side = Literal["tune", "report"]
KINDS = ("stuffed", "doorway", "affiliate", "links", "spun")


@dataclass
class Draw:
    """Choices for one page; each asks for the next hash."""

    seed: int
    number: int
    step: int = field(default=0)

    def below(self, n: int) -> int:
        """An integer in [0, n)."""
        self.step += 1
        raw = hashlib.blake2b(f"{self.seed} {self.number} {self.step}".encode(), digest_size=8).digest()
        return int.from_bytes(raw, "big") % n

    def one(self, items: tuple[str, ...]) -> str:
        """One of several."""
        return items[self.below(len(items))]

    def some(self, items: tuple[str, ...], n: int) -> list[str]:
        """n different ones, in a drawn order (all of them if there are fewer)."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(min(n, len(left)))]


def spam_page(number: int, *, seed: int, side: Side) -> tuple[str, str]:
    """(kind, text) of page `number`; lines as an extractor would write them."""
    draw = Draw(seed, number)
    kind = KINDS[number % len(KINDS)]
    return kind, "\n".join(_MAKERS[kind](draw, phrases.SIDES[side]))


def _filled(draw: Draw, template: str, words: phrases.Phrases, trade: str, place: str) -> str:
    return template.format(
        trade=trade, Trade=trade.capitalize(), place=place, adjective=draw.one(words.adjectives),
        Adjective=draw.one(words.adjectives).capitalize(), verb=draw.one(words.verbs), n=draw.below(90) + 10,
    )  # fmt: skip


def _stuffed(draw: Draw, words: phrases.Phrases) -> list[str]:
    """Sentences that say the key phrase again and again, and a dump of its variants."""
    trade, place = draw.one(words.trades), draw.one(words.places)
    lines = [_filled(draw, t, words, trade, place) for t in draw.some(words.stuffed, 4 + draw.below(5))]
    dump = [f"{a} {trade}" for a in draw.some(words.adjectives, 4 + draw.below(6))]
    if draw.below(2):
        dump += [f"{trade} {tail}" for tail in draw.some(words.tails, 3)]
    lines.insert(draw.below(len(lines) + 1), ", ".join(dump) + ("." if draw.below(2) else ""))
    return lines


def _doorway(draw: Draw, words: phrases.Phrases) -> list[str]:
    """One template for a trade in a place, with the neighbouring places listed."""
    trade, place = draw.one(words.trades), draw.one(words.places)
    lines = [_filled(draw, draw.one(words.titles), words, trade, place)]
    lines += [_filled(draw, t, words, trade, place) for t in draw.some(words.doorway, 5 + draw.below(4))]
    lines += [f"{trade} {p}" for p in draw.some(words.places, 4 + draw.below(8))]
    return lines


def _affiliate(draw: Draw, words: phrases.Phrases) -> list[str]:
    """A top list of offers that all ask for the click."""
    trade, place = draw.one(words.offers), draw.one(words.places)
    lines = [_filled(draw, t, words, trade, place) for t in draw.some(words.pitches, 2 + draw.below(2))]
    lines += [
        f"{i}. {name}: {_filled(draw, draw.one(words.deals), words, trade, place)}"
        for i, name in enumerate(draw.some(words.brands, 4 + draw.below(4)), 1)
    ]
    return lines + [_filled(draw, t, words, trade, place) for t in draw.some(words.closings, 2)]


def _links(draw: Draw, words: phrases.Phrases) -> list[str]:
    """Anchor texts of a link farm, grouped or in one paragraph."""
    anchors = []
    for _ in range(25 + draw.below(50)):
        what = draw.one(words.offers if draw.below(3) == 0 else words.trades)
        form = draw.below(4)
        anchors.append(
            (f"{draw.one(words.adjectives)} {what}", f"{what} {draw.one(words.places)}",
             f"{draw.one(words.verbs)} {what} {draw.one(words.tails)}", f"{what} {draw.one(words.tails)}")[form]
        )  # fmt: skip
    if draw.below(2):
        return anchors
    return [" ".join(anchors[i : i + 12]) for i in range(0, len(anchors), 12)]


def _spun(draw: Draw, words: phrases.Phrases) -> list[str]:
    """An article put together from slotted sentences, each about nothing but the key phrase."""
    trade, place = draw.one(words.trades), draw.one(words.places)
    sentences = [_filled(draw, t, words, trade, place) for t in draw.some(words.spun, 7 + draw.below(4))]
    half = len(sentences) // 2
    return [" ".join(sentences[:half]), _filled(draw, draw.one(words.titles), words, trade, place),
            " ".join(sentences[half:])]  # fmt: skip


_MAKERS = {"stuffed": _stuffed, "doorway": _doorway, "affiliate": _affiliate, "links": _links, "spun": _spun}
