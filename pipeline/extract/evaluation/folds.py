"""Folds for cross-validation in which nothing of a page is on both sides.

Pages are grouped if they share the registered domain (a site has one template, often one writer), if their
visible text nearly coincides (syndicated articles, re-fetched pages), or if their markup does (one template on two
domains of a company); groups are the connected components over all three, over all gold sets at once.
Near-coincidence: Jaccard index of at least MIN_JACCARD between the sets of 5-shingles, of words for the text and of
start tags with their classes for the markup; found by MinHash and LSH (Broder 1997; Indyk and Motwani 1998; library
datasketch), then verified exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import xxhash

from ...errors import ConfigError
from ..charset import decode
from .gold import GoldPage
from .scores import tokens

SHINGLE = 5
"""Words, or start tags, of a shingle."""

MIN_JACCARD = 0.5
MIN_SHINGLES = 20
"""A page with fewer tells too little: two error pages are no near-duplicates."""

_PERMUTATIONS = 128
_LSH_THRESHOLD = 0.4  # below MIN_JACCARD, so that the estimate's noise loses next to none; candidates are verified
_TAG = re.compile(r"<([a-zA-Z][\w:-]*)([^<>]*)")
_CLASS = re.compile(r"""\sclass\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_ARCHIVED = re.compile(r"archive\.org/web/\d+[^/]*/(?:https?://)?([^/:]+)")
_DIGITS = re.compile(r"\d+")


def groups(pages: Sequence[GoldPage], *, markup: bool = True) -> list[int]:
    """A group number for each page, 0.. in order of first appearance. `markup=False`: domain and text only."""
    parent = list(range(len(pages)))
    first: dict[str, int] = {}
    for i, page in enumerate(pages):
        for key in (*(f"domain {domain}" for domain in _domains(page)), f"page {page.sha1}"):
            _unite(parent, first.setdefault(key, i), i)
    html = [decode(page.payload, page.content_type).text for page in pages]
    for units in (_text_units, _markup_units) if markup else (_text_units,):
        for i, j in near_duplicates([shingle_hashes(units(text)) for text in html]):
            _unite(parent, i, j)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(_find(parent, i), len(numbers)) for i in range(len(pages))]


def folds(pages: Sequence[GoldPage], k: int, seed: int, *, group: Sequence[int] | None = None) -> list[int]:
    """A fold in 0..k-1 for each page; groups (`group`: those of `groups`, if known) stay whole.

    Balanced by greedy placement: groups from the largest to the smallest, equals in an order drawn by `seed`, each
    into the fold that then has the least sum of squares of relative excess over all strata (set and page type
    or language) and in total. Raises ConfigError if there are fewer groups than folds.
    """
    numbers = list(groups(pages) if group is None else group)
    if len(numbers) != len(pages):
        raise ConfigError("folds: there must be one group number for each page")
    members: dict[int, list[int]] = {}
    for i, number in enumerate(numbers):
        members.setdefault(number, []).append(i)
    if not 2 <= k <= len(members):
        raise ConfigError(f"folds: k={k} must be from 2 to the number of groups, {len(members)}")
    strata: dict[tuple[str, str], int] = {}
    of_page = [strata.setdefault((p.set, p.page_type or p.lang or ""), len(strata)) for p in pages]
    counts = {g: np.zeros(len(strata) + 1) for g in members}
    for g, indices in members.items():
        for i in indices:
            counts[g][[of_page[i], -1]] += 1
    goal = sum(counts.values(), np.zeros(len(strata) + 1)) / k
    weight = 1 / np.maximum(goal, 1.0)
    drawn = {g: min(_draw(pages[i], seed) for i in indices) for g, indices in members.items()}
    filled = np.zeros((k, len(strata) + 1))
    place: dict[int, int] = {}
    for g in sorted(members, key=lambda g: (-len(members[g]), drawn[g])):
        # what the sum of squares grows by if the group goes into each fold
        growth = ((2 * filled + counts[g]) * counts[g] * weight).sum(axis=1)
        place[g] = int(np.argmin(growth))
        filled[place[g]] += counts[g]
    return [place[number] for number in numbers]


def shingle_hashes(units: Sequence[str]) -> np.ndarray:
    """The set of SHINGLE-shingles as sorted distinct 64-bit hashes (uint64)."""
    hashed = [
        xxhash.xxh64_intdigest(" ".join(units[i : i + SHINGLE]).encode()) for i in range(len(units) - SHINGLE + 1)
    ]
    return np.unique(np.array(hashed, dtype=np.uint64))


def near_duplicates(sets: Sequence[np.ndarray], *, threshold: float = MIN_JACCARD) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, of shingle sets whose Jaccard index is at least `threshold`, in order of j, then i."""
    from datasketch import MinHash, MinHashLSH

    lsh = MinHashLSH(threshold=_LSH_THRESHOLD * threshold / MIN_JACCARD, num_perm=_PERMUTATIONS, weights=(0.1, 0.9))
    for j, units in enumerate(sets):
        if len(units) < MIN_SHINGLES:
            continue
        sketch = MinHash(num_perm=_PERMUTATIONS, seed=1, hashfunc=_low_bits)
        sketch.update_batch(units.tolist())
        for i in sorted(lsh.query(sketch)):
            if jaccard(sets[i], units) >= threshold:
                yield i, j
        lsh.insert(j, sketch)


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Jaccard index of two sorted sets of hashes; 0 if both are empty."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    either = len(one) + len(other) - both
    return both / either if either else 0.0


def _low_bits(value: int) -> int:
    return value & 0xFFFFFFFF


def _text_units(html: str) -> list[str]:
    from resiliparse.extract.html2text import extract_plain_text

    return tokens(extract_plain_text(html, main_content=False).lower(), characters=True)


def _markup_units(html: str) -> list[str]:
    units = []
    for tag in _TAG.finditer(html):
        found = _CLASS.search(tag[2])
        classes = sorted((found[1] or found[2] or found[3] or "").split()) if found else ()
        units.append(_DIGITS.sub("0", f"{tag[1].lower()}.{'.'.join(classes)}"))
    return units


def _domains(page: GoldPage) -> list[str]:
    """The registered domain of the page's host, and of the URL that a web archive's URL carries inside."""
    from filters.url import registered_domain

    inside = _ARCHIVED.search(page.url)
    hosts = [(page.host or "").rstrip("."), inside[1].lower() if inside else ""]
    return [registered_domain(host) or host for host in hosts if host]


def _draw(page: GoldPage, seed: int) -> int:
    return xxhash.xxh64_intdigest(f"{page.set} {page.id}".encode(), seed)


def _find(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _unite(parent: list[int], i: int, j: int) -> None:
    a, b = _find(parent, i), _find(parent, j)
    parent[max(a, b)] = min(a, b)
