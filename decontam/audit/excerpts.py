"""Texts for people to look at, bounded in length, and which of their characters item and match share."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..normalise import Normalisation, tokens_of

TEXT_CHARS = 1500
"""Characters of a match; a longer one is shown by its beginning."""
CONTEXT_CHARS = 200
"""Characters before and behind it."""
PART_CHARS = {"question": 4000, "choices": 1000, "answer": 1000, "passage": 2000}
"""Characters of an item's parts (of each choice)."""
ELSEWHERE = 3
"""Tokens in a row from which on a part that the score was not read from is marked too, or another copy."""
MOST_COPIES = 8
"""Copies in one excerpt that are marked."""


class Excerpt(NamedTuple):
    """A match and what stands around it."""

    before: str
    text: str
    after: str
    shortened: bool


def excerpt(raw: NDArray[np.uint8], start: int, end: int) -> Excerpt:
    """The match [start, end) of a document's UTF-8 bytes."""
    stop = min(end, start + 4 * TEXT_CHARS)
    text = _text(raw[start:stop])[:TEXT_CHARS]
    behind = start + len(text.encode())
    shortened = behind < end
    before = _text(raw[max(start - 4 * CONTEXT_CHARS, 0) : start])[-CONTEXT_CHARS:]
    after = _text(raw[behind : behind + 4 * CONTEXT_CHARS])[:CONTEXT_CHARS]
    return Excerpt(before, text, after, shortened)


def _text(raw: NDArray[np.uint8]) -> str:
    """A piece of UTF-8, without the parts of characters at its edges."""
    return raw.tobytes().decode("utf-8", "ignore")


def shortened_parts(item: dict[str, Any]) -> dict[str, Any]:
    """The parts of an item, each up to its PART_CHARS."""
    made: dict[str, Any] = {}
    for name, most in PART_CHARS.items():
        value = item[name]
        made[name] = [one[:most] for one in value] if isinstance(value, list) else value and value[:most]
    return made


def named_parts(item: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(kind, name, text) of the parts of an item that are there: question, choice 1, choice 2, answer, passage."""
    named = []
    for kind in PART_CHARS:
        value = item[kind]
        for number, text in enumerate(value if isinstance(value, list) else [value], 1):
            if text:
                named.append((kind, f"choice {number}" if kind == "choices" else kind, text))
    return named


class _Cut:
    """Texts cut into tokens, with the characters that each token has."""

    def __init__(self, texts: Sequence[str], normalisation: Normalisation) -> None:
        tokens = tokens_of(pa.array(texts, pa.large_string()), normalisation)
        self.texts, self.offsets = texts, tokens.offsets
        self.hashes = tokens.hashes.tolist()
        self.starts, self.ends = tokens.starts, tokens.ends

    def hashes_of(self, number: int) -> list[int]:
        """The tokens of a text."""
        return list(self.hashes[self.offsets[number] : self.offsets[number + 1]])

    def characters(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First character of each token of a text, and the one behind its last."""
        low, high = self.offsets[number], self.offsets[number + 1]
        starts, ends = self.starts[low:high], self.ends[low:high]
        if self.texts[number].isascii():
            return starts, ends
        raw = np.frombuffer(self.texts[number].encode(), np.uint8)
        before = np.concatenate([[0], np.cumsum((raw & 0xC0) != 0x80)])
        return before[starts], before[ends]


def mark_overlaps(
    matches: Sequence[tuple[str, str, int]], items: Sequence[dict[str, Any]], normalisation: Normalisation
) -> list[tuple[list[dict[str, int]], list[dict[str, Any]]]]:
    """(overlap, item_overlap) of each match, given as text, kind of part and number of its item.

    The part that the score was read from is marked wherever its tokens follow each other in the text in its order;
    other parts where ELSEWHERE or more tokens (or all of a shorter part) stand in a row.
    """
    parts = [[*named_parts(item)] for item in items]
    firsts = np.concatenate([[0], np.cumsum([len(one) for one in parts])]).astype(int).tolist()
    texts = _Cut([text for text, _, _ in matches], normalisation)
    cut = _Cut([text for one in parts for _, _, text in one], normalisation)
    marked = []
    for number, (_, kind, item) in enumerate(matches):
        of_item = [(k, name, firsts[item] + i) for i, (k, name, _) in enumerate(parts[item])]
        of_item.sort(key=lambda one: one[0] != kind)
        marked.append(_marked(texts, number, cut, of_item, kind))
    return marked


def _marked(
    texts: _Cut, number: int, cut: _Cut, parts: list[tuple[str, str, int]], kind: str
) -> tuple[list[dict[str, int]], list[dict[str, Any]]]:
    starts, ends = texts.characters(number)
    overlap: list[tuple[int, int]] = []
    item_overlap: list[tuple[str, int, int]] = []
    free = texts.hashes_of(number)
    for of_kind, name, part in parts:
        wanted = cut.hashes_of(part)
        part_starts, part_ends = cut.characters(part)
        least = 1 if of_kind == kind else ELSEWHERE
        for _ in range(MOST_COPIES):
            found = _shared(free, wanted, min(least, len(wanted)))
            for a, b, size in found:
                overlap.append((int(starts[a]), int(ends[a + size - 1])))
                item_overlap.append((name, int(part_starts[b]), int(part_ends[b + size - 1])))
                free[a : a + size] = [-1] * size  # no token has this hash, and each is marked once
            if not found:
                break
            least = ELSEWHERE  # another copy of the same part
    return (
        [{"start": start, "end": end} for start, end in sorted(overlap)],
        [{"part": name, "start": start, "end": end} for name, start, end in dict.fromkeys(item_overlap)],
    )


def _shared(text: list[int], part: list[int], least: int) -> list[tuple[int, int, int]]:
    """Rows of `least` or more equal tokens, in the order of both: (place in the text, in the part, tokens)."""
    if not part:
        return []
    blocks = difflib.SequenceMatcher(None, text, part, autojunk=False).get_matching_blocks()
    return [(block.a, block.b, block.size) for block in blocks if block.size >= max(least, 1)]
