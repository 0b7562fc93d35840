"""RefinedWeb's line-wise corrections (Penedo et al. 2023, appendix G.2).

Reads `text`; edits it and adds `cut_spans` and `words_taken` (share of the document's words, 0 to 1).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.schema import require
from pipeline.stage import CUT_SPANS, DROP_REASON, Editor, register

if TYPE_CHECKING:
    from .kernels.phrases import Phrases

TAKEN = "words_taken"


@functools.lru_cache(maxsize=1)
def phrases() -> Phrases:
    """The bundled phrases (filters/data/refinedweb_lines.txt); their kind is the place where they count."""
    from .kernels.phrases import phrase_table, read_phrases
    from .kernels.refinedweb import PLACES

    return phrase_table(read_phrases("refinedweb_lines.txt", PLACES))


@register
@dataclass(frozen=True, kw_only=True)
class RefinedWebLines(Editor):
    """Takes page furniture line by line; drops documents that lost over 5 % of their words so.

    As the paper has it a line goes if it is mainly upper case, has only numerical characters, is a counter ("3
    likes") or one word; of short lines (up to 10 words) patterns are cut at the beginning ("sign-in"), at the end
    ("Read more...") and anywhere ("items in cart"). The paper prints these three patterns only; the list is ours and
    has several languages. DCLM reads the paper so: over half of a line's characters upper case, which is done here
    too; only ASCII digits and no space in a line of numbers (here numerical characters of any script, and spaces
    do not matter); one word by white space (here two characters of Chinese, Japanese, Thai, Lao, Khmer and Burmese
    count as a word, as these scripts have no spaces); only the three printed patterns; and DCLM counts the words
    that were taken, as here, where the paper counts all words of the lines concerned.
    """

    name: ClassVar[str] = "refinedweb_lines"
    adds: ClassVar[tuple[str, ...]] = (CUT_SPANS, TAKEN)
    sources: ClassVar[tuple[str, ...]] = (
        "Penedo et al. 2023, appendix G.2; https://arxiv.org/abs/2306.01116",
        "DCLM, baselines/mappers/modifiers.py at 15af3ce53b; https://github.com/mlfoundations/dclm",
    )

    max_uppercase: float | None = field(
        default=0.5, metadata={"help": "take lines with a larger share of upper-case characters (DCLM's reading)"}
    )
    numbers: bool = field(default=True, metadata={"help": "take lines of numerical characters only"})
    counters: bool = field(default=True, metadata={"help": "take lines such as `3 likes`"})
    one_word: bool = field(default=True, metadata={"help": "take lines of one word"})
    patterns: bool = field(default=True, metadata={"help": "cut calls to action out of short lines"})
    max_pattern_words: int = field(default=10, metadata={"help": "words of a short line"})
    max_words_taken: float | None = field(
        default=0.05, metadata={"help": "drop documents that lost a larger share of their words"}
    )

    def check(self) -> None:
        """As `Stage.check`."""
        for option in ("max_uppercase", "max_words_taken"):
            value = getattr(self, option)
            if value is not None and (isinstance(value, bool) or not 0 <= value <= 1):
                raise ConfigError(f"refinedweb_lines: {option} must lie in [0, 1] or be null, not {value!r}")
        if isinstance(self.max_pattern_words, bool) or not 1 <= self.max_pattern_words <= 1000:
            raise ConfigError(
                f"refinedweb_lines: max_pattern_words must lie in [1, 1000], not {self.max_pattern_words!r}"
            )

    def edit(self, docs: pa.Table) -> tuple[pa.Array, pa.Array]:
        """As `Editor.edit`."""
        text, spans, _ = self._edited(docs)
        return text, spans

    def _edited(self, docs: pa.Table) -> tuple[pa.Array, pa.Array, np.ndarray]:
        """Text, spans, and int64[n, 2]: words before and after."""
        from .kernels import refinedweb, tables
        from .kernels.edits import edited

        table = phrases()
        on = (self.max_uppercase is not None, self.numbers, self.counters, self.one_word, self.patterns)
        rules = sum(1 << bit for bit, wanted in enumerate(on) if wanted)
        words = np.zeros((len(docs), 2), np.int64)
        room = np.zeros(6, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64), words
        settings = float(self.max_uppercase or 0), rules, self.max_pattern_words

        def run(data, offsets, document, *out):  # type: ignore[no-untyped-def]
            return int(
                refinedweb.edit_lines(
                    data, offsets, document, *settings, *table.tables, table.kinds, *tables.load(), *room, *out
                )
            )

        return *edited(docs["text"], self.name, refinedweb.KINDS, run, refinedweb.PATTERN), words

    def __call__(self, docs: pa.Table) -> pa.Table:
        """As `Editor.__call__`, with the share of words taken and the reason `max_words_taken`."""
        require(docs, self.reads, f"editor '{self.name}'")
        text, spans, words = self._edited(docs)
        out = self.edited(docs, text, spans)
        taken = np.where(pc.list_value_length(spans), 1 - words[:, 1] / np.maximum(words[:, 0], 1), 0.0)
        limit = np.inf if self.max_words_taken is None else self.max_words_taken
        reasons = ["max_words_taken" if share > limit else None for share in taken]
        if TAKEN in out.column_names:
            out = out.drop_columns([TAKEN])
        out = out.append_column(pa.field(TAKEN, pa.float64()), pa.array(taken))
        return out.append_column(DROP_REASON, pa.array(reasons, pa.string()))
