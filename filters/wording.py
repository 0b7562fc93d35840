"""What the heuristic filters share: the option `words`, and their words from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import ConfigError, nearest

if TYPE_CHECKING:
    from filters.kernels.columns import Spans, Text
    from filters.kernels.segments import Tokens

WORDS = ("unicode", "whitespace")
HELP = "what a word is: `unicode` (UAX #29; punctuation is a token too) or `whitespace` (what white space parts)"


def check_words(stage: str, words: str) -> None:
    """Raise ConfigError for a value of `words` that is neither."""
    if words not in WORDS:
        raise ConfigError(f"{stage}: words must be one of {', '.join(WORDS)}, not '{words}'{nearest(words, WORDS)}")


def spans_of(text: Text, words: str) -> Spans:
    """The words of a column, cut once for all filters that ask."""
    from filters.kernels import segments

    return segments.words(text) if words == "unicode" else segments.whitespace_words(text)


def tokens_of(text: Text, words: str) -> Tokens:
    """What these words hold, computed once."""
    from filters.kernels import segments
    from filters.kernels.columns import remembered

    if words == "unicode":
        return segments.word_tokens(text)
    return remembered(text, tokens_name(words), lambda: segments.describe(text, segments.whitespace_words(text)))


def tokens_name(words: str) -> str:
    """The name under which `tokens_of` is remembered."""
    return "word_tokens" if words == "unicode" else "whitespace_tokens"
