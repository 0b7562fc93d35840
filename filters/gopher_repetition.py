"""Gopher's repetition rules (Rae et al. 2021, section A.1.1 and table A1).

Reads `text`; adds `gopher_repetition`, a struct of shares. Two systems read the paper differently:

- `fineweb` (datatrove): of a repeated line, paragraph or n-gram the second and later copies count. Shares are of all
  characters of the text. Lines are parted by runs of line breaks, paragraphs by two and more. Words count with
  punctuation; the top n-gram counts with spaces, and where no n-gram repeats it is the first one. Dropped, too: empty
  texts (`min_chars`).
- `dclm` (DCLM's massive_web_repetition_filters): every copy counts. Lines and paragraphs are stripped, empty ones do
  not count, shares are of their characters; a single one passes. Words begin with a letter or digit, shares are of
  their characters; of n-grams each word that is part of a repeated one counts once.

By the paper "characters in duplicate n-grams" are all copies, as in DCLM; thresholds are the same in both.
In scripts without spaces an n-gram is one of n characters, and thresholds for words do not suit: see `by_language`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from pipeline.errors import ConfigError, nearest
from pipeline.stage import Rule, register

from .rules import RuleFilter
from .wording import HELP, check_words, spans_of, tokens_name, tokens_of

if TYPE_CHECKING:
    from .kernels.columns import Spans, Text

FLAVOURS = ("fineweb", "dclm")
_SHARES = (
    "dup_para_share", "dup_para_char_share", "dup_line_share", "dup_line_char_share",
    *(f"top_{n}gram_char_share" for n in (2, 3, 4)), *(f"dup_{n}gram_char_share" for n in range(5, 11)),
)  # fmt: skip


def _most(default: float, what: str) -> Any:
    return field(default=default, metadata={"help": f"drop above this share of {what}"})


@register
@dataclass(frozen=True, kw_only=True)
class GopherRepetition(RuleFilter):
    """Drops documents that repeat lines, paragraphs or n-grams (Rae et al. 2021, table A1)."""

    name: ClassVar[str] = "gopher_repetition"
    version: ClassVar[int] = 1
    score_column: ClassVar[str] = "gopher_repetition"
    sources: ClassVar[tuple[str, ...]] = (
        "Rae et al. 2021, Scaling Language Models, section A.1.1 and table A1; https://arxiv.org/abs/2112.11446",
        "datatrove 0.10.1, GopherRepetitionFilter; https://github.com/huggingface/datatrove",
        "Li et al. 2024, DCLM, massive_web_repetition_filters; https://github.com/mlfoundations/dclm",
    )
    measures: ClassVar[pa.StructType] = pa.struct([("chars", pa.int64()), *((n, pa.float64()) for n in _SHARES)])
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("min_chars", "chars", ">="),
        *(Rule(f"max_{measure}", measure, "<=") for measure in _SHARES),
    )

    flavour: str = field(
        default="fineweb", metadata={"help": "how copies count: `fineweb` (the later ones) or `dclm` (every one)"}
    )
    words: str = field(default="unicode", metadata={"help": HELP})
    min_chars: int | None = field(default=1, metadata={"help": "drop texts of fewer characters"})
    max_dup_para_share: float | None = _most(0.3, "duplicate paragraphs")
    max_dup_para_char_share: float | None = _most(0.2, "characters in duplicate paragraphs")
    max_dup_line_share: float | None = _most(0.3, "duplicate lines")
    max_dup_line_char_share: float | None = _most(0.2, "characters in duplicate lines")
    max_top_2gram_char_share: float | None = _most(0.2, "characters in the most frequent 2-gram")
    max_top_3gram_char_share: float | None = _most(0.18, "characters in the most frequent 3-gram")
    max_top_4gram_char_share: float | None = _most(0.16, "characters in the most frequent 4-gram")
    max_dup_5gram_char_share: float | None = _most(0.15, "characters in duplicate 5-grams")
    max_dup_6gram_char_share: float | None = _most(0.14, "characters in duplicate 6-grams")
    max_dup_7gram_char_share: float | None = _most(0.13, "characters in duplicate 7-grams")
    max_dup_8gram_char_share: float | None = _most(0.12, "characters in duplicate 8-grams")
    max_dup_9gram_char_share: float | None = _most(0.11, "characters in duplicate 9-grams")
    max_dup_10gram_char_share: float | None = _most(0.1, "characters in duplicate 10-grams")

    def check(self) -> None:
        """As `Stage.check`."""
        super().check()
        check_words(self.name, self.words)
        if self.flavour not in FLAVOURS:
            raise ConfigError(
                f"{self.name}: flavour must be one of {', '.join(FLAVOURS)}, not '{self.flavour}'"
                f"{nearest(self.flavour, FLAVOURS)}"
            )

    def score(self, docs: pa.Table) -> pa.Array:
        """As `Filter.score`."""
        from .kernels.origins import read_before
        from .kernels.segments import text_of

        text, rows = read_before(text_of(docs["text"]), tokens_name(self.words))
        found = self.measure(text)
        return found if rows is None else found.take(pa.array(rows))

    def measure(self, text: Text, words: Spans | None = None) -> pa.StructArray:
        """The struct of measures; `words` are another splitter's, else those that the option names."""
        from .kernels import measures, segments

        tokens = tokens_of(text, self.words) if words is None else segments.describe(text, words)
        spans = spans_of(text, self.words) if words is None else words
        chars = measures.signs(text).characters
        every = self.flavour == "dclm"
        shares = {}
        for part, at_least, strip in (("para", 2, True), ("line", 1, False)):
            pieces = segments.breaks(text, at_least, strip)
            if every:
                pieces = segments.trimmed(text, pieces)
            found = measures.repeats(text, pieces)
            several = pieces.counts > 1
            number = found.every * several if every else found.later
            size = found.every_chars * several if every else found.later_chars
            whole = measures.per_document(pieces, found.chars) if every else chars
            shares[f"dup_{part}_share"] = measures.share(number, pieces.counts)
            shares[f"dup_{part}_char_share"] = measures.share(size, whole)
        if every:
            proper = (tokens.holds & segments.STARTS_ALNUM) > 0
            tokens, spans = segments.selected_tokens(tokens, proper), segments.selected(spans, proper)
            chars_of_words = measures.per_document(spans, tokens.chars)
        else:
            chars_of_words = chars
        for n, found_chars in measures.repeated_ngrams(tokens, spans, every).items():
            values = measures.share(found_chars, chars_of_words)
            values[found_chars < 0] = float("nan")
            shares[f"{'top' if n <= 4 else 'dup'}_{n}gram_char_share"] = values
        columns = [pa.array(chars), *(pa.array(shares[name], pa.float64()) for name in _SHARES)]
        return pa.StructArray.from_arrays(columns, fields=list(self.measures))
