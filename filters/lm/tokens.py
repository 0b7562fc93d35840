"""How normalised lines are cut into the tokens that a language model counts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.errors import ConfigError

KINDS = ("characters", "words")
SPACE = "▁"
"""Stands for white space among the tokens of `characters`, as in SentencePiece."""

Tokenizer: TypeAlias = Callable[[Sequence[str]], list[str]]
"""Takes lines, gives each line's tokens joined by single spaces."""


def characters(lines: Sequence[str]) -> list[str]:
    """Every character a token; a run of white space is one."""
    return [" ".join(SPACE.join(line.split())) for line in lines]


def words(lines: Sequence[str]) -> list[str]:
    """Words by Unicode's rules (UAX #29), punctuation marks among them."""
    import pyarrow as pa

    from filters.kernels import segments
    from filters.kernels.columns import view

    text = view(pa.array(lines, pa.large_string()))
    return [" ".join(found) for found in text.strings(segments.words(text))]


@functools.lru_cache(maxsize=64)
def _sentencepiece(path: Path, _stamp: tuple[int, int]) -> Tokenizer:
    try:
        import sentencepiece
    except ImportError as error:
        raise ConfigError(
            f"tokenizer '{path}' needs SentencePiece, which is not installed: pip install sentencepiece"
        ) from error
    try:
        model: Any = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise ConfigError(f"tokenizer '{path}' is no SentencePiece model: {error}") from error
    return lambda lines: [_joined(pieces) for pieces in model.encode(list(lines), out_type=str)]


@functools.lru_cache(maxsize=64)
def _json(path: Path, _stamp: tuple[int, int]) -> Tokenizer:
    import tokenizers

    try:
        loaded = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the binding raises Exception itself
        raise ConfigError(f"tokenizer '{path}' is no tokenizer.json of the library tokenizers: {error}") from error
    return lambda lines: [_joined(e.tokens) for e in loaded.encode_batch(list(lines), add_special_tokens=False)]


def _joined(tokens: list[str]) -> str:
    """White space inside of a token parts it, as it does for KenLM."""
    return " ".join(" ".join(tokens).split())


def load(named: str | Path) -> Tokenizer:
    """The tokenizer of a kind (`KINDS`) or a file (.model: SentencePiece, .json: tokenizers). Raises ConfigError."""
    if named == "characters":
        return characters
    if named == "words":
        return words
    path = Path(named)
    status = path.stat()
    stamp = (status.st_mtime_ns, status.st_size)
    return _sentencepiece(path, stamp) if path.suffix == ".model" else _json(path, stamp)
