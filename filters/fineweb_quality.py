"""FineWeb's own rules (Penedo et al. 2024, section 3.5), as datatrove applies them.

Reads `text`; adds `fineweb_quality`, a struct of measures. Lines are parted by one line break; blank ones do not
count. "\\r\\n" is one break here, while datatrove leaves "\\r" at the line's end, where it hides the full stop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.stage import Rule, register

from .rules import RuleFilter
from .wording import HELP, check_words, spans_of

if TYPE_CHECKING:
    from .kernels.columns import Spans, Text


@register
@dataclass(frozen=True, kw_only=True)
class FineWebQuality(RuleFilter):
    """Drops lists, menus and repeated lines (Penedo et al. 2024, FineWeb, section 3.5)."""

    name: ClassVar[str] = "fineweb_quality"
    version: ClassVar[int] = 1
    score_column: ClassVar[str] = "fineweb_quality"
    sources: ClassVar[tuple[str, ...]] = (
        "Penedo et al. 2024, The FineWeb Datasets, section 3.5; https://arxiv.org/abs/2406.17557",
        "datatrove 0.10.1, FineWebQualityFilter; https://github.com/huggingface/datatrove",
    )
    measures: ClassVar[pa.StructType] = pa.struct(
        [
            ("lines", pa.int64()),
            ("terminal_line_share", pa.float64()),
            ("short_line_share", pa.float64()),
            ("dup_line_char_share", pa.float64()),
            ("newlines_per_word", pa.float64()),
        ]
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("min_lines", "lines", ">="),
        Rule("min_terminal_line_share", "terminal_line_share", ">="),
        Rule("max_short_line_share", "short_line_share", "<="),
        Rule("max_dup_line_char_share", "dup_line_char_share", "<="),
        Rule("max_newlines_per_word", "newlines_per_word", "<="),
    )

    words: str = field(default="unicode", metadata={"help": HELP})
    short_line_chars: int = field(default=30, metadata={"help": "a line of at most so many characters is short"})
    exclude_zero_terminal: bool = field(
        default=False, metadata={"help": "keep texts of which no line at all ends in terminal punctuation"}
    )
    min_lines: int | None = field(default=1, metadata={"help": "drop below so many lines that are not blank"})
    min_terminal_line_share: float | None = field(
        default=0.12, metadata={"help": "drop below this share of lines that end in terminal punctuation"}
    )
    max_short_line_share: float | None = field(default=0.67, metadata={"help": "drop above this share of short lines"})
    max_dup_line_char_share: float | None = field(
        default=0.01, metadata={"help": "drop above this share of characters in duplicate lines"}
    )
    max_newlines_per_word: float | None = field(default=0.3, metadata={"help": "drop above so many line breaks a word"})

    def check(self) -> None:
        """As `Stage.check`."""
        super().check()
        check_words(self.name, self.words)
        if self.short_line_chars < 0:
            raise ConfigError(f"{self.name}: short_line_chars must not be negative, not {self.short_line_chars}")

    def score(self, docs: pa.Table) -> pa.Array:
        """As `Filter.score`."""
        from .kernels.segments import text_of

        return self.measure(text_of(docs["text"]))

    def measure(self, text: Text, words: Spans | None = None) -> pa.Array:
        """The struct of measures; `words` are another splitter's, else those that the option names."""
        from .kernels import measures, origins, segments

        if words is None and self.words == "unicode":
            total = origins.word_counts(text)
        else:
            total = measures.word_counts(spans_of(text, self.words) if words is None else words)
        signs = measures.signs(text)
        lines = segments.lines(text)
        holds = measures.line_holds(text, lines)
        filled = (holds & measures.BLANK) == 0
        lines, holds = segments.selected(lines, filled), holds[filled]
        repeats = measures.repeats(text, lines)
        terminal = measures.per_document(lines, (holds & measures.TERMINAL_END) > 0)
        terminal_share = measures.share(terminal, lines.counts)
        if self.exclude_zero_terminal:
            terminal_share[terminal == 0] = np.nan
        short = measures.per_document(lines, repeats.chars <= self.short_line_chars)
        columns = (
            lines.counts,
            terminal_share,
            measures.share(short, lines.counts),
            measures.share(repeats.later_chars, signs.characters - signs.line_feeds),
            measures.share(signs.line_feeds, total),
        )
        arrays = [pa.array(c, f.type) for c, f in zip(columns, self.measures, strict=True)]
        return pa.StructArray.from_arrays(arrays, fields=list(self.measures))
