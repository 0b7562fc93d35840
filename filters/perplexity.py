"""Perplexity under an n-gram language model, and CCNet's buckets by it (Wenzek et al. 2020).

Reads `text` (and `lang` where the model or a threshold goes by it); adds `perplexity`, float64, null where there is no
model for the document's language or too little text, and `perplexity_bucket`: `head`, `middle`, `tail`, null where
there is no score or no cutoff. Null passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError, nearest
from pipeline.stage import DROP_REASON, Rule, register

from .rules import RuleFilter

BUCKET = "perplexity_bucket"
BUCKETS = ("head", "middle", "tail")
BATCH_BYTES = 4 << 20


@register
@dataclass(frozen=True, kw_only=True)
class Perplexity(RuleFilter):
    """Drops documents by their perplexity under a KenLM model, and sorts them into CCNet's head, middle and tail.

    Per document 10 ** (-s / n): s sums the log10 probabilities of all tokens and of the end of each unit, n counts
    both. Text is normalised as CCNet does it: small letters, no accents, digits to 0, plain punctuation. A unit is a
    line that is not blank; `unit: document` glues the lines together as CCNet's released pipeline does, whose cutoffs
    are made for that. CCNet's own: `model: lm/{lang}.arpa.bin`, `tokenizer: lm/{lang}.sp.model`, `by_language: ccnet`
    for its cutoffs. `gristmill cutoffs` takes cutoffs from a corpus of your own.

    The bundled model `characters` (14 languages, some 100 kB of text each) counts characters. Its perplexity tells
    writing from gibberish (random letters, keyboard mash, wrong bytes), not good text from bad; the thresholds of
    `by_language: characters` are set for that alone.
    """

    name: ClassVar[str] = "perplexity"
    version: ClassVar[int] = 1
    score_column: ClassVar[str] = "perplexity"
    adds: ClassVar[tuple[str, ...]] = (BUCKET,)
    sources: ClassVar[tuple[str, ...]] = (
        "Wenzek et al. 2020, CCNet, section 3.3; https://aclanthology.org/2020.lrec-1.494",
        "cc_net, perplexity.py and text_normalizer.py; https://github.com/facebookresearch/cc_net",
        "Heafield 2011, KenLM; https://aclanthology.org/W11-2123",
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("min_perplexity", "", ">="),
        Rule("max_perplexity", "", "<="),
    )
    cutoffs: ClassVar[tuple[str, ...]] = ("head", "tail")
    decides: ClassVar[tuple[str, ...]] = ("keep_buckets",)

    model: str = field(
        default="characters",
        metadata={
            "help": "a bundled model's name, an ARPA (.gz) or KenLM binary file, or its address (https://, hf://); "
            "`{lang}` in it stands for the document's language"
        },
    )
    tokenizer: str = field(
        default="characters",
        metadata={
            "help": "what the model counts: `characters`, `words` (UAX #29), or the file or address of a SentencePiece "
            ".model or a tokenizer.json, `{lang}` as above"
        },
    )
    languages: tuple[str, ...] = field(
        default=(), metadata={"help": "score these only; needed where an address holds `{lang}`"}
    )
    unit: str = field(
        default="line", metadata={"help": "what is scored as a sentence: `line` or `document` (CCNet's pipeline)"}
    )
    min_tokens: int = field(default=1, metadata={"help": "documents of fewer tokens have no score"})
    max_chars: int = field(default=0, metadata={"help": "how much of a text is scored; 0 = all"})
    min_perplexity: float | None = field(default=None, metadata={"help": "drop below this perplexity"})
    max_perplexity: float | None = field(default=None, metadata={"help": "drop above this perplexity"})
    head: float | None = field(default=None, metadata={"help": "bucket `head` below this perplexity"})
    tail: float | None = field(default=None, metadata={"help": "bucket `tail` from this perplexity on"})
    keep_buckets: tuple[str, ...] = field(
        default=(), metadata={"help": "drop documents of other buckets than these; empty = keep all"}
    )

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The text, and the language where the model, the tokenizer or thresholds go by it."""
        from .lm.files import PLACEHOLDER, bundled_models

        named = PLACEHOLDER in self.model + self.tokenizer or self.model in bundled_models()
        return ("text", "lang") if named or self.languages or self.by_language else ("text",)

    def check(self) -> None:
        """As `Stage.check`; loads the tokenizers and models, as a broken file is an error before a run."""
        super().check()
        from .lm import model, tokens

        if self.unit not in model.UNITS:
            raise ConfigError(
                f"perplexity: unit must be one of {', '.join(model.UNITS)}, not '{self.unit}'"
                f"{nearest(self.unit, model.UNITS)}"
            )
        if self.min_tokens < 1:
            raise ConfigError(f"perplexity: min_tokens must be at least 1, not {self.min_tokens}")
        if self.max_chars < 0:
            raise ConfigError(f"perplexity: max_chars must be at least 0, not {self.max_chars}")
        if (self.head is None) != (self.tail is None) or (self.head or 0) > (self.tail or 0):
            raise ConfigError(f"perplexity: head ({self.head}) and tail ({self.tail}) go together, head not above tail")
        for one in self.keep_buckets:
            if one not in BUCKETS:
                raise ConfigError(
                    f"perplexity: keep_buckets must be of {', '.join(BUCKETS)}, not '{one}'{nearest(one, BUCKETS)}"
                )
        if self.keep_buckets and self.head is None and not self.by_language:
            raise ConfigError("perplexity: keep_buckets needs cutoffs: head and tail, or by_language")
        model.kenlm()
        for path, tokenizer in self._served().values():
            model.load(path)
            tokens.load(tokenizer)

    def config(self) -> dict[str, Any]:
        """The options; files of models and tokenizers enter by their content."""
        from pipeline.store import file_digest

        files = {
            lang: [file_digest(path), file_digest(kind) if isinstance(kind, Path) else kind]
            for lang, (path, kind) in self._served().items()
        }
        return {**super().config(), "model": files, "tokenizer": ""}

    def _served(self) -> dict[str, tuple[Path, str | Path]]:
        """(model, tokenizer) by language; "" where one pair serves all."""
        from .lm.files import MODEL_ENDINGS, TOKENIZER_ENDINGS, files_by_language
        from .lm.tokens import KINDS

        models = files_by_language(self.model, self.languages, MODEL_ENDINGS, "perplexity: model")
        if self.tokenizer in KINDS:
            return {lang: (path, self.tokenizer) for lang, path in models.items()}
        cuts = files_by_language(
            self.tokenizer, tuple(lang for lang in models if lang), TOKENIZER_ENDINGS, "perplexity: tokenizer"
        )
        return {lang: (path, cuts.get(lang) or cuts[""]) for lang, path in models.items()}

    def score(self, docs: pa.Table) -> pa.Array:
        """As `Filter.score`."""
        from .lm import model, tokens

        served = self._served()
        rows: dict[str, list[int]] = {}
        langs = [""] * docs.num_rows if "" in served else docs["lang"].to_pylist()
        for row, lang in enumerate(langs):
            if lang in served:
                rows.setdefault(lang, []).append(row)
        found: list[float | None] = [None] * docs.num_rows
        column = docs["text"]
        for lang, own in rows.items():
            path, kind = served[lang]
            loaded, tokenizer = model.load(path), tokens.load(kind)
            for batch in _batches(column, own):
                texts = [(text or "")[: self.max_chars or None] for text in column.take(pa.array(batch)).to_pylist()]
                values = model.perplexities(loaded, tokenizer, texts, unit=self.unit, min_tokens=self.min_tokens)
                for row, value in zip(batch, values, strict=True):
                    found[row] = value
        return pa.array(found, pa.float64())

    def __call__(self, docs: pa.Table) -> pa.Table:
        docs = super().__call__(docs.drop_columns([BUCKET]) if BUCKET in docs.column_names else docs)
        at = docs.column_names.index(DROP_REASON)
        return docs.add_column(at, BUCKET, self.buckets(docs))

    def decide(self, docs: pa.Table) -> pa.Array:
        """As `Filter.decide`: the thresholds, then `keep_buckets`."""
        return pc.and_(super().decide(docs), self._in_kept_bucket(docs)) if self.keep_buckets else super().decide(docs)

    def reason(self, docs: pa.Table) -> pa.Array:
        """The option that a document fails."""
        found = super().reason(docs)
        return pc.if_else(pc.equal(found, ""), "keep_buckets", found) if self.keep_buckets else found

    def _in_kept_bucket(self, docs: pa.Table) -> pa.Array:
        found = self.buckets(docs)
        return pc.or_(pc.is_null(found), pc.is_in(found, pa.array(self.keep_buckets)))

    def buckets(self, docs: pa.Table) -> pa.Array:
        """The bucket of each document of a scored table."""
        column = docs[self.score_column].combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # no chunks
            return pa.array([], pa.string())
        score = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        head, tail = (self.thresholds(docs, option) for option in self.cutoffs)
        names = np.select([score < head, score < tail], BUCKETS[:2], BUCKETS[2]).astype(object)
        names[np.isnan(score) | np.isnan(head) | np.isnan(tail)] = None
        return pa.array(names, pa.string())


def _batches(column: pa.ChunkedArray, rows: list[int]) -> list[list[int]]:
    """Rows in lots of some megabytes of text."""
    sizes = pc.fill_null(pc.binary_length(column.take(pa.array(rows))), 0).to_numpy()
    lot = np.cumsum(sizes) // BATCH_BYTES
    ends = np.flatnonzero(np.diff(lot)) + 1
    return [part.tolist() for part in np.split(np.array(rows), ends)]
