"""All finders together over one window of text: overlaps resolved, and repeated until nothing new is found.

Masking one hit can bring a word into reach of the next number, so the finders run again on the masked window
while it has hits; a masked text has nothing left to mask.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from functools import lru_cache

from .cards import cards, ibans
from .email import emails, spelled
from .ip import ipv4, ipv6
from .keys import keys, private_keys
from .national import national_ids
from .phone import phones
from .text import Hit, fold

KINDS = ("email", "ip", "phone", "card", "iban", "national_id", "key")
PLACEHOLDERS = {
    "email": "<EMAIL>",
    "ip": "<IP>",
    "phone": "<PHONE>",
    "card": "<CARD>",
    "iban": "<IBAN>",
    "national_id": "<ID>",
    "key": "<KEY>",
}
_RANK = {"key": 0, "email": 1, "iban": 2, "card": 3, "national_id": 4, "ip": 5, "phone": 6}
AT, NUMBER, IPV4, IPV6, TOKEN, ALNUM, PEM, SPELLED, SHORT = (1 << i for i in range(9))  # as in filters/kernels/pii.py
ALL = 511
_ROUNDS = 8


@lru_cache(maxsize=64)
def _wanted(kinds: tuple[str, ...]) -> frozenset[str]:
    return frozenset(kinds)


def _candidates(text: str, wanted: Collection[str], mask: int) -> Iterator[Hit]:
    folded = fold(text)
    if mask & PEM and "key" in wanted:
        yield from private_keys(text)
    if mask & TOKEN and "key" in wanted:
        yield from keys(text)
    if "email" in wanted:
        if mask & AT:
            yield from emails(folded)
        if mask & SPELLED:
            yield from spelled(folded)
    if mask & (NUMBER | ALNUM):
        if "iban" in wanted:
            yield from ibans(folded)
        if "national_id" in wanted:
            yield from national_ids(folded)
    if mask & NUMBER and "card" in wanted:
        yield from cards(folded)
    if mask & (NUMBER | SHORT) and "phone" in wanted:
        yield from phones(folded)
    if "ip" in wanted:
        if mask & IPV4:
            yield from ipv4(folded)
        if mask & IPV6:
            yield from ipv6(folded)


def _once(text: str, wanted: Collection[str], mask: int) -> list[Hit]:
    """Hits that don't overlap: the kind that is checked best wins, then the longer."""
    found = sorted(_candidates(text, wanted, mask), key=lambda h: (h.start, _RANK[h.kind], -h.end))
    out: list[Hit] = []
    for hit in found:
        if out and hit.start < out[-1].end:
            last = out[-1]
            if (_RANK[hit.kind], last.end - last.start) < (_RANK[last.kind], hit.end - hit.start) and (
                len(out) < 2 or out[-2].end <= hit.start
            ):
                out[-1] = hit
            continue
        out.append(hit)
    return out


def find(text: str, kinds: tuple[str, ...] = KINDS, mask: int = ALL) -> list[Hit]:
    """The hits of a text in order; `mask` says which finders to run. Offsets are characters of `text`."""
    wanted = _wanted(kinds)
    hits = _once(text, wanted, mask)
    fresh = hits
    for _ in range(_ROUNDS):
        if not fresh:
            break
        masked, places = _masked(text, hits)
        fresh = [_original(hit, places) for hit in _once(masked, wanted, mask | ALL & ~SPELLED)]
        hits = sorted(hits + fresh) if fresh else hits
    return hits


def _masked(text: str, hits: list[Hit]) -> tuple[str, list[tuple[int, int]]]:
    """The masked text, and pairs (position in it, shift back to the text) after each placeholder."""
    parts, places, done, size = [], [(0, 0)], 0, 0
    for hit in hits:
        parts += [text[done : hit.start], PLACEHOLDERS[hit.kind]]
        size += hit.start - done + len(PLACEHOLDERS[hit.kind])
        done = hit.end
        places.append((size, done - size))
    return "".join([*parts, text[done:]]), places


def _original(hit: Hit, places: list[tuple[int, int]]) -> Hit:
    """A hit of the masked text in characters of the text; it lies between two placeholders."""
    shift = places[bisect_right(places, (hit.start, 1 << 60)) - 1][1]
    return hit._replace(start=hit.start + shift, end=hit.end + shift)
