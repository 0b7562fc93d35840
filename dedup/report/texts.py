"""What documents share, and where two of them differ, of texts of any size: bounded work and bounded excerpts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

READ_CHARS = 100_000
"""Of a text."""
MIN_LINE, LINE_CHARS, LINES = 15, 240, 5
"""Shorter lines are not named as common text; of longer ones so much is shown; so many."""
RUN = 5
"""Words that a common run has at least, where no whole line is common."""
COMPARED_WORDS = 1500
"""Of each text, after what both begin with."""
CONTEXT, SHOWN_WORDS, WORD_CHARS = 10, 350, 60

_SPACELESS = "\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
_BETWEEN = re.compile(f"(?<=[{_SPACELESS}]) | (?=[{_SPACELESS}])")
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


def common_text(texts: Sequence[str]) -> list[dict[str, Any]]:
    """The longest lines that all texts have, else those of at least half of them, else runs of words of all.

    Each with the number of `documents` that have it.
    """
    if len(texts) < 2:
        return []
    texts = [text[:READ_CHARS] for text in texts]
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(
            {line for line in (" ".join(part.split()) for part in text.splitlines()) if len(line) >= MIN_LINE}
        )
    for least in (len(texts), max(2, (len(texts) + 1) // 2)):
        lines = [(line, n) for line, n in counts.items() if n >= least]
        if lines:
            lines.sort(key=lambda pair: (-len(pair[0]), pair[0]))
            return [{"text": _bounded(line), "documents": n} for line, n in lines[:LINES]]
    return [{"text": _bounded(run), "documents": len(texts)} for run in _common_runs(texts)[:LINES]]


def _common_runs(texts: Sequence[str]) -> list[str]:
    """Runs of words of the first text whose every RUN words stand in all others, the longest first."""
    spans = [m.span() for m in _TOKEN.finditer(texts[0])]
    words = [texts[0][a:b] for a, b in spans]
    others = []
    for text in texts[1:]:
        tokens = _TOKEN.findall(text)
        others.append({tuple(tokens[i : i + RUN]) for i in range(len(tokens) - RUN + 1)})
    shared = [all(tuple(words[i : i + RUN]) in other for other in others) for i in range(len(words) - RUN + 1)]
    runs = []
    start: int | None = None
    for i, yes in enumerate([*shared, False]):
        if yes and start is None:
            start = i
        elif not yes and start is not None:
            runs.append(" ".join(texts[0][spans[start][0] : spans[i + RUN - 2][1]].split()))
            start = None
    return sorted(set(runs), key=lambda run: (-len(run), run))


def _bounded(text: str) -> str:
    return text if len(text) <= LINE_CHARS else text[:LINE_CHARS] + "…"


def word_diff(kept: str, gone: str) -> list[tuple[str, str]]:
    """What makes `gone` of `kept`: pieces ("same" | "kept" | "gone" | "skip", text), words joined by spaces
    (but in scripts that have none).

    "skip" stands for words that are left out, its text says how many. The texts' beginnings are compared, from where
    they part on; as many words are shown as SHOWN_WORDS.
    """
    whole_a, whole_b = _words(kept), _words(gone)
    start = 0
    while start < min(len(whole_a), len(whole_b)) and whole_a[start] == whole_b[start]:
        start += 1
    first = max(0, start - CONTEXT)
    a, b = whole_a[first : first + COMPARED_WORDS], whole_b[first : first + COMPARED_WORDS]
    pieces: list[tuple[str, str]] = []
    room = SHOWN_WORDS

    def put(kind: str, words: Sequence[str]) -> None:
        nonlocal room
        if words and room > 0:
            shown = words[:room]
            room -= len(shown)
            line = " ".join(w if len(w) <= WORD_CHARS else w[:WORD_CHARS] + "…" for w in shown)
            pieces.append((kind, _BETWEEN.sub("", line)))

    def skip(count: int) -> None:
        if count and room > 0:
            pieces.append(("skip", f"{count:,} words the same"))

    skip(first)
    codes = SequenceMatcher(None, a, b).get_opcodes()
    for number, (kind, a1, a2, b1, b2) in enumerate(codes):
        if kind != "equal":
            put("kept", a[a1:a2])
            put("gone", b[b1:b2])
            continue
        last = number == len(codes) - 1
        head = CONTEXT if number else a2 - a1 if last else 0
        tail = 0 if last else CONTEXT
        if a2 - a1 <= head + tail:
            put("same", a[a1:a2])
        else:
            put("same", a[a1 : a1 + head])
            skip(a2 - a1 - head - tail)
            put("same", a[a2 - tail : a2] if tail else [])
    rest = max(len(whole_a), len(whole_b)) - first - COMPARED_WORDS
    if rest > 0 or room <= 0:
        pieces.append(("skip", "more is not shown"))
    return pieces


def _words(text: str) -> list[str]:
    """The text's words, ⏎ for line breaks; characters of scripts without spaces are words each."""
    return _TOKEN.findall(re.sub(r"\s*\n\s*", " ⏎ ", text[:READ_CHARS]))
