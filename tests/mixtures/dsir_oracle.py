"""DSIR in plain Python, written from the paper (Xie et al. 2023) and the description of its published code."""

from __future__ import annotations

import hashlib
import math
import re

import xxhash

WORDS = re.compile(r"\w+|[^\w\s]+")
GOLDEN = 0x9E3779B97F4A7C15


def words(text: str) -> list[str]:
    return WORDS.findall(text.lower())


def bucket(ngram: list[str], buckets: int) -> int:
    return int(hashlib.sha256(" ".join(ngram).encode()).hexdigest(), 16) % buckets


def features(text: str, buckets: int = 10_000, longest: int = 2) -> list[int]:
    """The bucket of every n-gram."""
    cut = words(text)
    return [bucket(cut[i : i + n], buckets) for n in range(1, longest + 1) for i in range(len(cut) - n + 1)]


def counts(texts: list[str], buckets: int = 10_000, longest: int = 2) -> list[int]:
    found = [0] * buckets
    for text in texts:
        for one in features(text, buckets, longest):
            found[one] += 1
    return found


def differences(target: list[int], raw: list[int], smoothing: float = 1e-8) -> list[float]:
    p, q = max(1, sum(target)), max(1, sum(raw))
    return [math.log(a / p + smoothing) - math.log(b / q + smoothing) for a, b in zip(target, raw, strict=True)]


def noise(key: str, seed: int) -> float:
    """Standard Gumbel noise of (seed, id)."""
    base = (seed * GOLDEN + xxhash.xxh3_64_intdigest(b"gumbel")) % 2**64
    uniform = ((xxhash.xxh3_64_intdigest(key.encode(), base) >> 11) + 0.5) / 2**53
    return -math.log(-math.log(uniform))


def weights(texts: list[str], target: list[str], chunk_words: int = 0) -> list[float]:
    """Log importance weights of raw texts: sums, or those of average chunks of `chunk_words` words."""
    told = differences(counts(target), counts(texts))
    out = []
    for text in texts:
        parts = [told[one] for one in features(text)]
        mean = math.fsum(parts) / max(1, len(parts))
        out.append(mean * (chunk_words + chunk_words - 1) if chunk_words else math.fsum(parts))
    return out


def select(
    ids: list[str],
    texts: list[str],
    target: list[str],
    keep: int,
    seed: int = 0,
    chunk_words: int = 0,
    min_words: int = 100,
) -> list[str]:
    """The ids drawn, sorted."""
    found = weights(texts, target, chunk_words)
    ranked = sorted(
        ((weight + noise(key, seed), key) for key, text, weight in zip(ids, texts, found, strict=True)
         if len(words(text)) >= min_words),
        reverse=True,
    )  # fmt: skip
    return sorted(key for _, key in ranked[:keep])


def kl(target: list[int], other: list[int]) -> float:
    total = sum(target)
    return math.fsum(t / total * d for t, d in zip(target, differences(target, other), strict=True))
