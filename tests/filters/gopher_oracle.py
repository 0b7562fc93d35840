"""The published rules in plain Python, slow and simple: lists of strings, Counter, str methods."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import regex

from filters.kernels.tables import CCNET_PUNCTUATION

SPACELESS = regex.compile(r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")


def ratio(part: float, whole: float) -> float:
    """part / whole, nan for a whole of 0."""
    return part / whole if whole else float("nan")


def _later(parts: list[str]) -> tuple[int, int]:
    copies = [p for k, p in enumerate(parts) if p in parts[:k]]
    return len(copies), sum(map(len, copies))


def _every(parts: list[str]) -> tuple[int, int]:
    copies = [p for p in parts if parts.count(p) > 1]
    return len(copies), sum(map(len, copies))


def repetition(text: str, words: list[str], flavour: str = "fineweb") -> dict[str, Any]:
    """The measures of gopher_repetition."""
    every = flavour == "dclm"
    out: dict[str, Any] = {"chars": len(text)}
    for name, parts in (("para", re.split("\n{2,}", text.strip())), ("line", re.split("\n+", text))):
        if every:
            parts = [p for p in map(str.strip, parts) if p]
            count, chars = _every(parts) if len(parts) > 1 else (0, 0)
            whole = sum(map(len, parts))
        else:
            count, chars = _later(parts)
            whole = len(text)
            if (name == "para" and not text.strip()) or not text:
                parts = []
        out[f"dup_{name}_share"] = ratio(count, len(parts))
        out[f"dup_{name}_char_share"] = ratio(chars, whole)
    if every:
        words = [w for w in words if regex.match(r"[\p{L}\p{N}]", w)]
    whole = sum(map(len, words)) if every else len(text)
    for n in range(2, 11):
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        counts = Counter(grams)
        if n <= 4:
            share = float("nan")
            if grams:
                most = max(counts.values())
                best = [g for g in counts if counts[g] == most]
                if not every:
                    share = ratio(len(" ".join(best[0])) * most, whole)
                else:
                    share = ratio(max(sum(map(len, g)) for g in best) * most if most > 1 else 0, whole)
            out[f"top_{n}gram_char_share"] = share
            continue
        if every:
            covered = {i + k for i, g in enumerate(grams) if counts[g] > 1 for k in range(n)}
            chars = sum(len(words[i]) for i in covered)
        else:
            seen, chars, i = set(), 0, 0
            while i < len(grams):
                if grams[i] in seen:
                    chars += sum(map(len, grams[i]))
                    i += n
                else:
                    seen.add(grams[i])
                    i += 1
        out[f"dup_{n}gram_char_share"] = ratio(chars, whole)
    return out


def no_word(word: str) -> bool:
    """Whether a word is punctuation and control characters alone, as datatrove's list has them."""
    return all(
        c in CCNET_PUNCTUATION or regex.match(r"[\p{Cc}\p{Sentence_Terminal}\u17D6\u17D9\u17DA]", c) for c in word
    )


def quality(
    text: str, words: list[str], weight: Any, stop_words: tuple[str, ...], marks_count: bool = True
) -> dict[str, Any]:
    """The measures of gopher_quality; `weight` says for how many words one counts."""
    proper = [w for w in words if not no_word(w)]
    n_words, n_proper = sum(map(weight, words if marks_count else proper)), sum(map(weight, proper))
    lines = text.splitlines()
    bullets = [line for line in lines if line.lstrip()[:1] in ("•", "-") and line.strip()]
    ellipses = [line for line in lines if line.rstrip().endswith(("...", "…"))]
    return {
        "words": n_proper,
        "mean_word_chars": ratio(sum(map(len, proper)), n_proper),
        "hashes_per_word": ratio(text.count("#"), n_words),
        "ellipses_per_word": ratio(text.count("...") + text.count("…"), n_words),
        "bullet_line_share": ratio(len(bullets), len(lines)),
        "ellipsis_line_share": ratio(len(ellipses), len(lines)),
        "alpha_word_share": ratio(sum(weight(w) for w in words if regex.search(r"\p{L}", w)), n_words),
        "stop_words": len(set(words) & set(stop_words)),
    }


def fineweb(text: str, n_words: float, short: int = 30) -> dict[str, Any]:
    """The measures of fineweb_quality."""
    lines = [line for line in text.split("\n") if line.strip()]
    terminal = [line for line in lines if regex.search(r"[\p{Sentence_Terminal}\u17D6\u17D9\u17DA]\Z", line)]
    return {
        "lines": len(lines),
        "terminal_line_share": ratio(len(terminal), len(lines)),
        "short_line_share": ratio(sum(len(line) <= short for line in lines), len(lines)),
        "dup_line_char_share": ratio(_later(lines)[1], len(text.replace("\n", ""))),
        "newlines_per_word": ratio(text.count("\n"), n_words),
    }
