"""Gopher's quality rules (Rae et al. 2021, section A.1.1), as datatrove applies them.

Reads `text`, and `lang` where stop words or thresholds go by it; adds `gopher_quality`, a struct of measures.
Word counts and lengths leave out tokens of punctuation alone; the other rules count all tokens, as datatrove does, or
(`marks_count: false`) words only, as the paper says: a full stop is then no word without a letter. Lines are all lines,
empty ones too. In scripts without spaces a token is a character and counts for a part of a word
(`kernels.segments.WORDS_PER_TOKEN`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.stage import Rule, register

from .rules import RuleFilter
from .stopwords import check_stop_words, stop_words_digest, table_of
from .wording import HELP, check_words, spans_of, tokens_name, tokens_of

if TYPE_CHECKING:
    from .kernels.columns import Spans, Text


def _share(default: float, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@register
@dataclass(frozen=True, kw_only=True)
class GopherQuality(RuleFilter):
    """Drops documents that do not look like prose (Rae et al. 2021, section A.1.1)."""

    name: ClassVar[str] = "gopher_quality"
    version: ClassVar[int] = 1
    score_column: ClassVar[str] = "gopher_quality"
    sources: ClassVar[tuple[str, ...]] = (
        "Rae et al. 2021, Scaling Language Models, section A.1.1; https://arxiv.org/abs/2112.11446",
        "datatrove 0.10.1, GopherQualityFilter; https://github.com/huggingface/datatrove",
    )
    measures: ClassVar[pa.StructType] = pa.struct(
        [
            ("words", pa.float64()),
            ("mean_word_chars", pa.float64()),
            ("hashes_per_word", pa.float64()),
            ("ellipses_per_word", pa.float64()),
            ("bullet_line_share", pa.float64()),
            ("ellipsis_line_share", pa.float64()),
            ("alpha_word_share", pa.float64()),
            ("stop_words", pa.int64()),
        ]
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("min_words", "words", ">="),
        Rule("max_words", "words", "<="),
        Rule("min_mean_word_chars", "mean_word_chars", ">="),
        Rule("max_mean_word_chars", "mean_word_chars", "<="),
        Rule("max_hashes_per_word", "hashes_per_word", "<="),
        Rule("max_ellipses_per_word", "ellipses_per_word", "<="),
        Rule("max_bullet_line_share", "bullet_line_share", "<="),
        Rule("max_ellipsis_line_share", "ellipsis_line_share", "<="),
        Rule("min_alpha_word_share", "alpha_word_share", ">="),
        Rule("min_stop_words", "stop_words", ">="),
    )

    words: str = field(default="unicode", metadata={"help": HELP})
    stop_words: str = field(
        default="english",
        metadata={
            "help": "`english` (the paper's eight), `fineweb2` (by `lang`), or a YAML file {language: [word]}; a "
            "language without a list has no stop words"
        },
    )
    marks_count: bool = field(
        default=True, metadata={"help": "punctuation marks are words in the shares of words, as in datatrove"}
    )
    min_words: float | None = _share(50, "drop below so many words, punctuation left out")
    max_words: float | None = _share(100_000, "drop above so many words")
    min_mean_word_chars: float | None = _share(3, "drop below this mean word length in characters")
    max_mean_word_chars: float | None = _share(10, "drop above this mean word length in characters")
    max_hashes_per_word: float | None = _share(0.1, "drop above so many # a word")
    max_ellipses_per_word: float | None = _share(0.1, "drop above so many ellipses a word")
    max_bullet_line_share: float | None = _share(0.9, "drop above this share of lines that begin with • or -")
    max_ellipsis_line_share: float | None = _share(0.3, "drop above this share of lines that end in an ellipsis")
    min_alpha_word_share: float | None = _share(0.8, "drop below this share of words with a letter")
    min_stop_words: int | None = field(default=2, metadata={"help": "drop below so many different stop words"})

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The text, and the language where thresholds or stop words go by it."""
        return ("text", "lang") if self.by_language or self.stop_words != "english" else ("text",)

    def check(self) -> None:
        """As `Stage.check`."""
        super().check()
        check_words(self.name, self.words)
        if not isinstance(self.marks_count, bool):
            raise ConfigError(f"gopher_quality: marks_count must be true or false, not {self.marks_count!r}")
        check_stop_words(self.stop_words)

    def config(self) -> dict[str, Any]:
        """The options; a file of stop words enters by its content."""
        return {**super().config(), "stop_words": stop_words_digest(self.stop_words)}

    def score(self, docs: pa.Table) -> pa.Array:
        """As `Filter.score`."""
        from .kernels.origins import read_before
        from .kernels.segments import text_of

        langs = docs["lang"].to_pylist() if self.stop_words != "english" else None
        text, rows = read_before(text_of(docs["text"]), tokens_name(self.words))
        if rows is None:
            return self.measure(text, langs)
        if langs is not None:
            own = dict(zip(rows.tolist(), langs, strict=True))
            langs = [own.get(row) for row in range(len(text))]
        return self.measure(text, langs).take(pa.array(rows))

    def measure(self, text: Text, langs: Sequence[str | None] | None = None, words: Spans | None = None) -> pa.Array:
        """The struct of measures; `words` are another splitter's, else those that the option names."""
        from .kernels import measures, segments

        tokens = tokens_of(text, self.words) if words is None else segments.describe(text, words)
        spans = spans_of(text, self.words) if words is None else words
        sums = measures.token_sums(tokens, spans)
        signs = measures.signs(text)
        lines = segments.split_lines(text)
        holds = measures.line_holds(text, lines)
        stop_words = table_of(self.stop_words).count(text, spans, tokens, langs or ["en"] * len(text))
        total = sums.words if self.marks_count else sums.proper
        columns = (
            sums.proper,
            measures.share(sums.proper_chars, sums.proper),
            measures.share(signs.hashes, total),
            measures.share(signs.ellipses, total),
            measures.share(measures.per_document(lines, (holds & measures.BULLET) > 0), lines.counts),
            measures.share(measures.per_document(lines, (holds & measures.ELLIPSIS_END) > 0), lines.counts),
            measures.share(sums.lettered, total),
            np.asarray(stop_words),
        )
        arrays = [pa.array(c, f.type) for c, f in zip(columns, self.measures, strict=True)]
        return pa.StructArray.from_arrays(arrays, fields=list(self.measures))
