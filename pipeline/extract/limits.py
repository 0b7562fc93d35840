"""What is too much, decided from the bytes before any parser sees them: size, node count, nesting depth.

Parsers take quadratic time in the depth of a tree, in the attributes of one element and in open
formatting elements (resiliparse 2.0.1: 10 000 nested `<div>` 0.9 s, 100 000 over 10 s; 1 000 unclosed
`<font>` 0.6 s, 10 000 over a minute; 100 000 attributes over 10 s), and linear memory in the nodes.

The start tags bound both counts from above; a page with few of them, as nearly all have, has cost some
microseconds. Only one with more is looked at tag by tag (numpy, linear time and memory, no recursion).
The measure of depth takes tags at their word: an element that is never closed stays open, unless HTML
says that it needs no end tag (`p`, `li`, `td`, void elements). Scripts, styles and comments don't count.
A page built to hide its depth from this passes on to the time and memory limits of `guard`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Thresholds of the three drop reasons.

    Largest of 7 207 real pages: 2.2 MB, 20 721 elements, depth 573 (the second 178), 1 202 attributes
    (counted by these rules over `../shared/data/html`). None of them comes near being dropped. A page at
    the limits takes trafilatura 2.3.1 some seconds and several hundred MB (a table of 100 000 elements); the
    guard bounds both.
    """

    max_bytes: int = 10_000_000
    max_nodes: int = 100_000
    max_depth: int = 2_000
    max_attributes: int = 10_000  # of one element; beyond it the page counts as too_many_nodes

    def too_much(self, payload: bytes) -> str | None:
        """`too_many_bytes`, `too_many_nodes`, `too_deep`, or None where the page may be parsed."""
        if len(payload) > self.max_bytes:
            return "too_many_bytes"
        data = np.frombuffer(payload, np.uint8)
        marks = data == _LT
        few = int(np.count_nonzero(marks)) <= min(self.max_depth, self.max_nodes)
        if not few:  # start tags alone; for the depth, if need be, those that nest
            name = np.flatnonzero(marks[:-3]) + 1
            starts = int(np.count_nonzero(_LETTER[data[name]]))
            few = starts <= self.max_nodes and (
                starts <= self.max_depth or starts - int(np.count_nonzero(_FLAT[_key(data, name)])) <= self.max_depth
            )
        few_attributes = int(np.count_nonzero(data == _EQUALS)) <= self.max_attributes
        if few and few_attributes:
            return None
        tags = measure(payload, attributes=not few_attributes)
        if tags.nodes > self.max_nodes or tags.attributes > self.max_attributes:
            return "too_many_nodes"
        return "too_deep" if tags.depth > self.max_depth else None


@dataclass(frozen=True, slots=True)
class Measured:
    """Start tags of a page, its deepest nesting, and the most attributes of one tag."""

    nodes: int
    depth: int
    attributes: int


def measure(payload: bytes, attributes: bool = True) -> Measured:
    """Count a page's tags (see the module's text for what is counted). Linear in its bytes.

    `attributes`: whether to look for the tag with the most of them (0 otherwise).
    """
    data = np.frombuffer(payload + b">   ", np.uint8)
    at = np.flatnonzero(data[:-4] == _LT)
    is_end = data[at + 1] == ord("/")
    name = at + 1 + is_end
    key = _key(data, name)
    keep = _tags(payload, data, at, is_end, key)
    at, is_end, key = at[keep], is_end[keep], key[keep]
    if not len(at):
        return Measured(0, 0, 0)
    step = np.where(_FLAT[key], 0, np.where(is_end, -1, 1))
    foreign = np.flatnonzero(_FOREIGN[key] & ~is_end)
    closes = np.flatnonzero(data == ord(">")) if len(foreign) or attributes else at
    if len(foreign):
        end = closes[np.searchsorted(closes, at[foreign])]
        step[foreign[data[end - 1] == ord("/")]] = 0
    level = np.cumsum(step)
    depth = level - np.minimum(np.minimum.accumulate(level), 0)
    most = 0
    if attributes:
        equals = np.flatnonzero(data == _EQUALS)
        end = closes[np.searchsorted(closes, at)]
        most = int((np.searchsorted(equals, end) - np.searchsorted(equals, at)).max())
    return Measured(int((~is_end).sum()), int(depth.max()), most)


def _key(data: NDArray[np.uint8], name: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for the first three characters of each tag's name; 0 where there is no letter."""
    first, second, third = _FOLD[data[name]], _FOLD[data[name + 1]], _FOLD[data[name + 2]]
    third[second == 0] = 0
    return np.where(_LETTER[data[name]], (first * _BASE + second) * _BASE + third, 0)


def _tags(
    payload: bytes,
    data: NDArray[np.uint8],
    at: NDArray[np.int64],
    is_end: NDArray[np.bool_],
    key: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which `<` are tags: those with a name, outside comments, scripts, styles and textareas."""
    keep = key > 0
    comment = (data[at + 1] == ord("!")) & (data[at + 2] == ord("-")) & (data[at + 3] == ord("-"))
    raw = _RAW[key]
    ends = {k: at[is_end & (key == k)] for k in np.unique(key[raw])}
    free = 0  # first byte that is not inside a region
    for i in np.flatnonzero(comment | (raw & ~is_end)):
        start = int(at[i])
        if start < free:
            continue
        if comment[i]:
            stop = payload.find(b"-->", start + 2)
        else:
            later = ends[key[i]]
            following = int(np.searchsorted(later, start))
            stop = int(later[following]) if following < len(later) else -1
        free = stop if stop >= 0 else len(payload)
        keep[i + 1 : np.searchsorted(at, free)] = False
    return keep


def _fold_table() -> NDArray[np.int64]:
    """Letters to 1..26 without regard to case, digits to 27..36, everything else to 0."""
    table = np.zeros(256, np.int64)
    for i in range(26):
        table[ord("a") + i] = table[ord("A") + i] = i + 1
    for i in range(10):
        table[ord("0") + i] = 27 + i
    return table


_LT, _EQUALS = ord("<"), ord("=")
_BASE = 40
_FOLD = _fold_table()
_LETTER = (_FOLD >= 1) & (_FOLD <= 26)


def _keys(names: str) -> NDArray[np.bool_]:
    """Table over the keys of tag names (their first three characters), true for these."""
    table = np.zeros(_BASE**3, np.bool_)
    for name in names.split():
        data = np.frombuffer(name.encode() + b"  ", np.uint8)
        table[_key(data, np.zeros(1, np.int64))] = True
    return table


# void elements and those whose end tag HTML lets one leave out. The keys are three letters long: `col`
# takes `colgroup` with it, `tra` is `track`; `area`, `link`, `meta` ... share theirs with nothing else in use
_FLAT = _keys(
    "area base br col embed hr img input link meta param source track wbr basefont bgsound frame keygen "
    "p li td tr th thead tbody tfoot dt dd option optgroup html head body rp rt"
)
_RAW = _keys("script style textarea")  # `str` and `sec`, for example, are other keys
# elements of SVG and MathML, where `/>` ends the element; in HTML it means nothing
_FOREIGN = _keys(
    "path g circle rect line polygon polyline ellipse stop use image defs clippath mask pattern filter fe text "
    "tspan animate set view symbol lineargradient radialgradient mspace mrow mi mo mn none svg fegaussianblur"
)
