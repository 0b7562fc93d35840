"""C4's cleaning (Raffel et al. 2020, section 2.2): rules for lines, for documents, and the list of bad words.

`c4_lines` reads `text` and writes the edited `text`, and adds `cut_spans`; `c4_documents` adds the struct `c4`,
`c4_bad_words` the struct `c4_bad_words`. The decisions and the text are those of datatrove 0.10.1's C4QualityFilter
when `c4_documents` follows `c4_lines`. C4's third step, the removal of repeated spans of three sentences, works on
the whole corpus and is not a filter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Editor, Rule, register
from pipeline.store import file_digest

from .rules import RuleFilter

if TYPE_CHECKING:
    import numpy as np

    from .kernels.columns import Column

PAPER = "Raffel et al. 2020, section 2.2; https://arxiv.org/abs/1910.10683"
ALLOWED = ("sm", "グロ", "女の子", "性")
"""mC4 lets these through in Japanese and Chinese: each is part of words in over a tenth of the documents."""
SPACELESS = ("ja", "th", "zh")
CODE = "tensorflow_datasets/text/c4_utils.py; https://github.com/tensorflow/datasets"


@register
@dataclass(frozen=True, kw_only=True)
class C4Lines(Editor):
    """Takes lines that are no prose: no terminal punctuation, few words, javascript, policy notices; and citations.

    Lines are those of Python's str.splitlines; kept ones are stripped and joined by a line feed, so blank lines go.
    The spans name whole lines and citation marks, not white space. The published code (tensorflow_datasets) counts
    as the paper says only in part (5 words a line, 3 sentences); the defaults are the paper's, as in datatrove.
    Lines for which `c4_documents` drops the whole document stay, so that it sees them. An emptied document goes.
    """

    name: ClassVar[str] = "c4_lines"
    sources: ClassVar[tuple[str, ...]] = (PAPER, CODE, "datatrove 0.10.1, C4QualityFilter")

    terminal_punctuation: bool = field(
        default=True, metadata={"help": "take lines that end in none of . ? ! \" ' or in an ellipsis; FineWeb: false"}
    )
    min_words: int | None = field(default=3, metadata={"help": "take lines of fewer words"})
    max_word_length: int | None = field(default=1000, metadata={"help": "take lines with a longer word (characters)"})
    javascript: bool = field(default=True, metadata={"help": "take lines that mention javascript"})
    policy: bool = field(default=True, metadata={"help": "take lines with phrases of cookie and privacy notices"})
    citations: bool = field(default=True, metadata={"help": "take marks such as [12], [edit] and [citation needed]"})
    leave_lorem_ipsum: bool = field(
        default=True, metadata={"help": "leave lines with lorem ipsum, for which c4_documents drops the document"}
    )
    leave_curly_brackets: bool = field(
        default=True, metadata={"help": "leave lines with a {, for which c4_documents drops the document"}
    )

    indentation: bool = field(
        default=False, metadata={"help": "keep white space before lines; with `min_words: 0` blank lines stay too"}
    )

    def check(self) -> None:
        """As `Stage.check`."""
        for option in ("min_words", "max_word_length"):
            value = getattr(self, option)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise ConfigError(f"c4_lines: {option} must be a whole number from 0 on, or null, not {value!r}")

    def edit(self, docs: pa.Table) -> tuple[pa.Array, pa.Array]:
        """As `Editor.edit`."""
        import numpy as np

        from .kernels import c4, tables
        from .kernels.edits import edited

        first, blocks = tables.load()
        longest = -1 if self.max_word_length is None else self.max_word_length
        leave = c4.LOREM * self.leave_lorem_ipsum | c4.BRACE * self.leave_curly_brackets
        options = np.array(
            [longest, self.citations, self.terminal_punctuation, self.min_words or 0, self.javascript, self.policy,
             leave, self.indentation], np.int64,
        )  # fmt: skip
        facts = np.zeros(3, np.int64)

        def run(data, offsets, document, *out):  # type: ignore[no-untyped-def]
            return int(c4.edit_lines(data, offsets, document, options, first, blocks, facts, *out))

        return edited(docs["text"], self.name, c4.KINDS, run, c4.CITATION)

    def dropped(self, docs: pa.Table) -> pa.ChunkedArray:
        """`empty` for documents of which nothing is left."""
        left = pc.greater(pc.binary_length(docs["text"]), 0)
        return pc.if_else(left, pa.scalar(None, pa.string()), pa.scalar("empty"))


@register
@dataclass(frozen=True, kw_only=True)
class C4Documents(RuleFilter):
    """Drops documents with placeholder text or code, and with few sentences; to be run after `c4_lines`.

    Sentences are UAX #29's, counted line by line; datatrove counts those of its own splitter.
    """

    name: ClassVar[str] = "c4_documents"
    score_column: ClassVar[str] = "c4"
    sources: ClassVar[tuple[str, ...]] = (
        PAPER,
        CODE,
        "mC4's paragraphs: Xue et al. 2021; https://arxiv.org/abs/2010.11934",
    )
    measures: ClassVar[pa.StructType] = pa.struct(
        [("lorem_ipsum", pa.int64()), ("curly_brackets", pa.int64()), ("sentences", pa.int64()),
         ("long_lines", pa.int64())]
    )  # fmt: skip
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("max_lorem_ipsum", "lorem_ipsum", "<="),
        Rule("max_curly_brackets", "curly_brackets", "<="),
        Rule("min_sentences", "sentences", ">="),
        Rule("min_long_lines", "long_lines", ">="),
    )

    max_lorem_ipsum: int | None = field(default=0, metadata={"help": "drop above so many mentions of lorem ipsum"})
    max_curly_brackets: int | None = field(default=0, metadata={"help": "drop above so many {"})
    min_sentences: int | None = field(default=5, metadata={"help": "drop below so many sentences"})
    min_long_lines: int | None = field(
        default=None, metadata={"help": "drop below so many lines of long_line_chars and more; mC4: 3"}
    )
    long_line_chars: int = field(default=200, metadata={"help": "characters of a long line"})

    def score(self, docs: pa.Table) -> pa.StructArray:
        """Mentions of lorem ipsum, of {, sentences and long lines."""
        import numpy as np

        from .kernels import c4
        from .kernels.columns import text_of

        text = text_of(docs["text"])
        facts = np.zeros((len(text), 3), np.int64)
        c4.document_facts(text.data, text.offsets, self.long_line_chars, facts)
        sentences = self.sentences(text)
        columns = [facts[:, 0], facts[:, 1], sentences, facts[:, 2]]
        return pa.StructArray.from_arrays([pa.array(c) for c in columns], fields=list(self.measures))

    def sentences(self, text: Column) -> np.ndarray:
        """int64[n]: sentences of each document; overridden by tests that bring another splitter's."""
        from .kernels import segments

        return segments.sentences(text).counts


@register
@dataclass(frozen=True, kw_only=True)
class C4BadWords(RuleFilter):
    """Drops documents that hold a word of their language's list of bad words.

    The lists are files named by language in a folder, one word or phrase a line, as the repository
    LDNOOBW/List-of-Dirty-Naughty-Obscene-and-Otherwise-Bad-Words has them (CC-BY-4.0; none is bundled). Case is
    ignored. A word counts between characters that are neither letter, number nor underscore; in Japanese, Thai and
    Chinese it counts anywhere. A language without a list passes. C4's own list drops much of what minorities write
    about themselves (Dodge et al. 2021; https://arxiv.org/abs/2104.08758), so no bundled recipe uses this filter.
    """

    name: ClassVar[str] = "c4_bad_words"
    score_column: ClassVar[str] = "c4_bad_words"
    sources: ClassVar[tuple[str, ...]] = (PAPER, CODE, "datatrove 0.10.1, C4BadWordsFilter")
    measures: ClassVar[pa.StructType] = pa.struct([("found", pa.int64())])
    rules: ClassVar[tuple[Rule, ...]] = (Rule("max_found", "found", "<="),)

    lists: str = field(default="", metadata={"help": "a folder of word lists, files named by language (`en`, `fr`)"})
    language: str = field(default="", metadata={"help": "use this language's list for all; default: column `lang`"})
    allowed: tuple[str, ...] = field(
        default=ALLOWED, metadata={"help": "words of the lists that are let through (mC4's, frequent parts of words)"}
    )
    max_found: int | None = field(default=0, metadata={"help": "0: drop what holds a word; null: score only"})

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The text, and the language where the list goes by it."""
        return ("text",) if self.language else ("text", "lang")

    def check(self) -> None:
        """As `Stage.check`."""
        super().check()
        if not self.lists or not Path(self.lists).is_dir():
            raise ConfigError(
                f"c4_bad_words: lists must name a folder of word lists, not '{self.lists}'; LDNOOBW on GitHub is one"
            )
        if self.language and not (Path(self.lists) / self.language).is_file():
            raise ConfigError(f"c4_bad_words: there is no list '{Path(self.lists) / self.language}'")

    def config(self) -> dict[str, Any]:
        """The options; the lists enter by their content."""
        folder = Path(self.lists)
        files = sorted(p for p in folder.iterdir() if p.is_file()) if self.lists else []
        return {**super().config(), "lists": {p.name: file_digest(p) for p in files}}

    def score(self, docs: pa.Table) -> pa.StructArray:
        """1 where a word was found, 0 where none was, null where the language has no list."""
        import numpy as np

        texts = docs["text"]
        langs = np.array([self.language] * len(texts) if self.language else docs["lang"].to_pylist(), object)
        found = np.full(len(texts), -1)
        for lang in sorted({x for x in langs if x}):
            path = Path(self.lists) / lang
            if path.name == lang and path.is_file():
                rows = np.flatnonzero(langs == lang)
                pattern = self._pattern(path, lang)
                hits = pc.match_substring_regex(texts.take(pa.array(rows)), pattern, ignore_case=True)
                found[rows] = np.asarray(pc.fill_null(hits, False)) if pattern else 0
        return pa.StructArray.from_arrays([pa.array(found, pa.int64(), mask=found < 0)], fields=list(self.measures))

    def _pattern(self, path: Path, lang: str) -> str:
        """A regular expression in RE2's syntax, "" for an empty list."""
        words = {line.strip() for line in path.read_text("utf-8").splitlines()} - {"", *self.allowed}
        joined = "|".join(re.sub(r"([^\w\s])", r"\\\1", word) for word in sorted(words))
        if not words or lang in SPACELESS:
            return joined
        return rf"(?:^|[^\pL\pN_])(?:{joined})(?:$|[^\pL\pN_])"
