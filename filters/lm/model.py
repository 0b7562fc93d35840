"""Scores of KenLM models (Heafield 2011, https://kheafield.com/code/kenlm), and perplexity as CCNet counts it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError

from .normalisation import normalised_document, normalised_lines
from .tokens import Tokenizer

UNITS = ("line", "document")
MAX_EXPONENT = 300.0
"""Keeps 10 ** x finite; no model that KenLM reads comes near it."""


def kenlm() -> Any:
    """The module. Raises ConfigError with the way to install it."""
    try:
        import kenlm as found
    except ImportError as error:
        raise ConfigError(
            "language models need KenLM, which is not installed: pip install camel-kenlm (wheels for Linux and macOS)"
        ) from error
    return found


def load(path: Path) -> Any:
    """A model from ARPA (.gz too) or one of KenLM's binary formats (mapped, not read). Raises ConfigError."""
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigError(f"language model '{path}' can't be read: {error}") from error
    return _load(path, (status.st_mtime_ns, status.st_size))


@functools.lru_cache(maxsize=64)
def _load(path: Path, _stamp: tuple[int, int]) -> Any:
    module = kenlm()
    config = module.Config()
    config.show_progress = False
    config.arpa_complain = module.ARPALoadComplain.NONE
    try:
        return module.Model(str(path), config)
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"language model '{path}' is neither ARPA nor KenLM's binary: {error}") from error


def units_of(text: str, unit: str) -> list[str]:
    """What is scored as a sentence of its own: the non-blank lines, or the whole document as CCNet's pipeline does."""
    if unit == "line":
        return normalised_lines(text)
    whole = normalised_document(text)
    return [whole] if whole else []


def perplexities(
    model: Any, tokenizer: Tokenizer, texts: Sequence[str], *, unit: str = "line", min_tokens: int = 1
) -> list[float | None]:
    """10 ** (-s / n) of each text: s sums log10 P of its tokens and of each unit's end, n counts both.

    None where a text has fewer tokens than `min_tokens` (ends of units do not count) or none at all.
    """
    pieces: list[str] = []
    counts = []
    for text in texts:
        units = units_of(text, unit)
        pieces += units
        counts.append(len(units))
    tokenized = tokenizer(pieces) if pieces else []
    score = model.score
    found: list[float | None] = []
    start = 0
    for count in counts:
        own = [line.encode("utf-8", "replace") for line in tokenized[start : start + count]]
        start += count
        tokens = sum([line.count(b" ") + 1 for line in own if line])
        if tokens < max(min_tokens, 1):
            found.append(None)
            continue
        total = sum([score(line) for line in own])
        found.append(10.0 ** min(-total / (tokens + count), MAX_EXPONENT))
    return found
