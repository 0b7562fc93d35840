"""Hate and offence, and NSFW: scored by document and by sentence; filters that drop, and an editor that masks.

All read `text`, and `lang` where a model serves some languages only. `hate` and `nsfw` add a struct of their name:
`document` (float64, the score of the whole text), `max_sentence` (that of its worst sentence), `share` (of the text's
bytes, in sentences from the sentence threshold on) and `sentences` (int64, how many those are); null, and so kept, in a
language that the model does not serve. `mask_toxic` writes a new `text` and adds to `cut_spans`.
Sentences are UAX #29's; those with less than four words or twelve letters are not judged by themselves (a letter of a
script without spaces, or a Korean syllable, is half a word and two letters).
The bundled models and what they can't do: filters/models/{hate,nsfw}.json.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import CUT_SPANS, SPAN, Editor, Rule, register
from pipeline.store import file_digest

from .classifier.card import LABEL, Card, read_card
from .classifier.filter import model_path
from .rules import RuleFilter

DOLMA = "after Dolma's toxicity taggers (Soldaini et al. 2024, section 5.3; https://arxiv.org/abs/2402.00159)"


@dataclass(frozen=True)
class Judged:
    """The sentences of a column of texts and what a model says about them."""

    starts: np.ndarray  # int64, bytes in `data`
    ends: np.ndarray
    offsets: np.ndarray  # int64[n + 1]: the sentences of document i are numbers offsets[i] to offsets[i + 1]
    scores: np.ndarray  # float64, 0 for sentences with too few words to be judged
    documents: np.ndarray  # float64[n], 0 for a text with too few words
    sizes: np.ndarray  # int64[n]: bytes in sentences


def model_card(path: Path, where: str, threshold: float | None, mask: bool = False) -> tuple[Card, float]:
    """(card, sentence threshold) of a model: the one given, or the card's (for masks its stricter one, if it has one).

    Raises ConfigError where there is none.
    """
    card = read_card(path) or Card()
    own = card.mask_threshold if mask and card.mask_threshold is not None else card.threshold
    if threshold is None and own is None:
        raise ConfigError(f"{where}: neither the options nor the card of '{path}' have a threshold for sentences")
    return card, float(own if threshold is None else threshold)  # type: ignore[arg-type]


def unserved(docs: pa.Table, languages: tuple[str, ...]) -> np.ndarray:
    """bool[n]: which documents are in a language that is not among `languages`; none where that is empty."""
    if not languages:
        return np.zeros(docs.num_rows, bool)
    known = pc.fill_null(pc.is_in(docs["lang"], pa.array(languages, docs["lang"].type)), False)
    return ~np.asarray(known.to_numpy(), bool)


def check_threshold(value: Any, where: str) -> None:
    """Raise ConfigError for what is neither None nor a number from 0 to 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1):
        raise ConfigError(f"{where} must lie in [0, 1], not {value!r}")


def judge(column: Any, path: Path, positive: str) -> Judged:
    """Score the sentences of a column of texts, and each text as the sum of its sentences; once for a column."""
    from .classifier.model import load
    from .kernels.columns import remembered, text_of
    from .kernels.evidence import enough, evidence
    from .kernels.segments import sentences

    text = text_of(column)
    classifier = load(path)
    at = classifier.position(classifier.positive(positive))

    def made() -> Judged:
        spans = sentences(text)
        sums, counts = classifier.sums(text.data, spans.starts, spans.ends)
        scores = _positive(classifier.from_sums(sums, counts), at)
        size = spans.ends - spans.starts
        words = evidence(text.data, spans.starts, spans.ends)
        scores[~enough(words)] = 0
        owner = np.repeat(np.arange(len(text)), spans.counts)
        whole = np.stack([np.bincount(owner, part, len(text)) for part in sums.T], axis=1).astype(np.float64)
        rows = np.bincount(owner, counts, len(text)).astype(np.int64)
        documents = _positive(classifier.from_sums(whole, rows), at)
        in_all = np.stack([np.bincount(owner, part, len(text)) for part in words.T], axis=1)
        documents[~enough(in_all)] = 0
        sizes = np.bincount(owner, size, len(text)).astype(np.int64)
        return Judged(spans.starts, spans.ends, spans.offsets, scores, documents, sizes)

    return remembered(text, f"toxicity {file_digest(path)} {at} {classifier.card.normalisation}", made)


def _positive(probabilities: np.ndarray, at: int) -> np.ndarray:
    from .classifier.losses import ADDED

    return np.clip(np.nan_to_num(probabilities[:, at].astype(np.float64)) - ADDED, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class ToxicityFilter(RuleFilter):
    """Base of `hate` and `nsfw`: rules on a document's own score and on its sentences'."""

    measures: ClassVar[pa.StructType] = pa.struct(
        [("document", pa.float64()), ("max_sentence", pa.float64()), ("share", pa.float64()), ("sentences", pa.int64())]
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("max_document", "document", "<"),
        Rule("max_share", "share", "<="),
        Rule("max_sentences", "sentences", "<="),
        Rule("max_sentence", "max_sentence", "<"),
    )

    model: str = field(default="", metadata={"help": "a bundled model's name, a .ftz or .bin file, or an address"})
    model_sha256: str = field(default="", metadata={"help": "SHA-256 that the model's file must have"})
    positive: str = field(default="", metadata={"help": "the label that is scored (default: the card's)"})
    languages: tuple[str, ...] | None = field(
        default=None, metadata={"help": "only these are scored, the others pass (default: the card's); none = all"}
    )
    sentence_threshold: float | None = field(
        default=None, metadata={"help": "score from which on a sentence counts (default: the card's threshold)"}
    )
    max_document: float | None = field(
        default=0.5, metadata={"help": "drop from this score of the whole document on; null = off"}
    )
    max_share: float | None = field(
        default=0.2, metadata={"help": "drop above this share of the text in sentences that count; null = off"}
    )
    max_sentences: int | None = field(default=None, metadata={"help": "drop above so many sentences that count"})
    max_sentence: float | None = field(default=None, metadata={"help": "drop from this score of any sentence on"})

    def path(self) -> Path:
        """The model's file; fetches an address."""
        return model_path(self.model, self.name, sha256=self.model_sha256)

    def served(self) -> tuple[str, ...]:
        """The languages that are scored; none = all."""
        if self.languages is not None:
            return self.languages
        return (read_card(self.path()) or Card()).languages if self.model else ()

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The text, and the language where the model serves some only."""
        return ("text", "lang") if self.by_language or self.served() else ("text",)

    def check(self) -> None:
        """As `Stage.check`."""
        from .classifier.model import load

        super().check()
        for option in ("sentence_threshold", "max_document", "max_share", "max_sentence"):
            check_threshold(getattr(self, option), f"{self.name}: {option}")
        classifier = load(self.path())
        classifier.position(classifier.positive(self.positive))
        model_card(self.path(), self.name, self.sentence_threshold)

    def config(self) -> dict[str, Any]:
        """The options; the model enters by its content, its card by what it comes to."""
        path = self.path()
        card, threshold = model_card(path, self.name, self.sentence_threshold)
        own = {
            "model": file_digest(path),
            "positive": (self.positive or card.positive).removeprefix(LABEL),
            "normalisation": card.normalisation.card(),
            "sentence_threshold": threshold,
            "languages": list(self.served()),
        }
        return {k: v for k, v in super().config().items() if k != "model_sha256"} | own

    def score(self, docs: pa.Table) -> pa.StructArray:
        """The four measures; all 0 for an empty text, null in a language that is not served."""
        path = self.path()
        _, threshold = model_card(path, self.name, self.sentence_threshold)
        found = judge(docs["text"], path, self.positive)
        n = len(found.documents)
        owner = np.repeat(np.arange(n), np.diff(found.offsets))
        worst = np.zeros(n)
        np.maximum.at(worst, owner, found.scores)
        counted = found.scores >= threshold
        size = np.bincount(owner[counted], (found.ends - found.starts)[counted], n)
        columns = [
            found.documents,
            worst,
            size / np.maximum(found.sizes, 1),
            np.bincount(owner[counted], minlength=n).astype(np.int64),
        ]
        mask = unserved(docs, self.served())
        return pa.StructArray.from_arrays([pa.array(c, mask=mask) for c in columns], fields=list(self.measures))


@register
@dataclass(frozen=True, kw_only=True)
class Hate(ToxicityFilter):
    """Drops documents of hate and offence: insults, slurs, contempt for a group. Naming a group is neither.

    The bundled model knows English, Chinese and Korean best, Arabic and French less, of eight others insults by word
    lists and sentences made for it; texts in further languages pass unscored. It reads words, not intentions:
    quotations and reports of hate can score as hate. No clean page that `max_document` was set by scores above 0.48.
    """

    name: ClassVar[str] = "hate"
    version: ClassVar[int] = 2
    score_column: ClassVar[str] = "hate"
    sources: ClassVar[tuple[str, ...]] = (DOLMA, "our own model and thresholds; its data: filters/models/hate.json")

    model: str = field(default="hate", metadata={"help": "a bundled model's name, a .ftz or .bin file, or an address"})


@register
@dataclass(frozen=True, kw_only=True)
class Nsfw(ToxicityFilter):
    """Drops pages of adult sites: explicit listings, escort and webcam advertisements.

    The bundled model was made from word lists, addresses and written sentences, as there is no labelled set: trust it
    with listings, not with literature. Medicine, sex education and art are counter-trained.
    """

    name: ClassVar[str] = "nsfw"
    version: ClassVar[int] = 2
    score_column: ClassVar[str] = "nsfw"
    sources: ClassVar[tuple[str, ...]] = (DOLMA, "our own model and thresholds; its data: filters/models/nsfw.json")

    model: str = field(default="nsfw", metadata={"help": "a bundled model's name, a .ftz or .bin file, or an address"})
    max_document: float | None = field(
        default=0.75, metadata={"help": "drop from this score of the whole document on; null = off"}
    )


@register
@dataclass(frozen=True, kw_only=True)
class MaskToxic(Editor):
    """Takes sentences out that either model minds, or puts a replacement in their place; drops what is mostly such.

    Thresholds are the cards' stricter ones, for what is taken out is lost.
    Each span is one sentence (with the spaces behind it, if nothing stands in its place), its kind `hate` or `nsfw`;
    where both mind it, the higher score names it.
    """

    name: ClassVar[str] = "mask_toxic"
    version: ClassVar[int] = 2
    sources: ClassVar[tuple[str, ...]] = (DOLMA,)

    hate_model: str = field(default="hate", metadata={"help": "model for hate: name, file or address; empty = none"})
    nsfw_model: str = field(default="nsfw", metadata={"help": "model for NSFW: name, file or address; empty = none"})
    hate_threshold: float | None = field(
        default=None, metadata={"help": "sentences from this score on (the card's for masks)"}
    )
    nsfw_threshold: float | None = field(
        default=None, metadata={"help": "sentences from this score on (the card's for masks)"}
    )
    languages: tuple[str, ...] | None = field(
        default=None, metadata={"help": "only texts in these are changed (default: the cards'); none = all"}
    )
    replacement: str = field(default="", metadata={"help": "what stands in a sentence's place, such as [removed]"})
    max_share: float | None = field(
        default=0.5, metadata={"help": "drop documents of which more than this share was taken; null = none"}
    )

    def models(self) -> list[tuple[str, Path, float, tuple[str, ...]]]:
        """(kind, file, threshold, languages served; none = all) of the models in use."""
        found = []
        for kind, model, given in (
            ("hate", self.hate_model, self.hate_threshold),
            ("nsfw", self.nsfw_model, self.nsfw_threshold),
        ):
            if model:
                path = model_path(model, self.name)
                card, threshold = model_card(path, self.name, given, mask=True)
                found.append((kind, path, threshold, card.languages if self.languages is None else self.languages))
        return found

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The text, and the language where a model serves some only."""
        return ("text", "lang") if any(served for *_, served in self.models()) else ("text",)

    def check(self) -> None:
        """As `Stage.check`."""
        from .classifier.model import load

        for option in ("hate_threshold", "nsfw_threshold", "max_share"):
            check_threshold(getattr(self, option), f"mask_toxic: {option}")
        models = self.models()
        if not models:
            raise ConfigError("mask_toxic: name a model, hate_model or nsfw_model")
        for _, path, _, _ in models:
            load(path).positive()

    def config(self) -> dict[str, Any]:
        """The options; models enter by their content."""
        own: dict[str, Any] = {}
        for kind, path, threshold, served in self.models():
            card = read_card(path) or Card()
            own[f"{kind}_model"] = [file_digest(path), card.positive, card.normalisation.card()]
            own[f"{kind}_threshold"] = threshold
            own[f"{kind}_languages"] = list(served)
        return super().config() | own

    def edit(self, docs: pa.Table) -> tuple[pa.Array | pa.ChunkedArray, pa.Array]:
        """As `Editor.edit`."""
        from .kernels.columns import text_of

        text = text_of(docs["text"])
        spans: list[list[dict[str, Any]]] = [[] for _ in range(len(text))]
        texts = pc.fill_null(docs["text"], "").cast(pa.large_string())
        kinds, excess, found = [], [], None
        for kind, path, threshold, served in self.models():
            found = judge(docs["text"], path, "")
            kinds.append(kind)
            spared = np.repeat(unserved(docs, served), np.diff(found.offsets))
            excess.append(np.where((found.scores >= threshold) & ~spared, found.scores, -1.0))
        if found is None or not len(found.starts) or not (np.max(excess, axis=0) >= 0).any():
            return texts, pa.array(spans, pa.list_(SPAN))
        worst = np.argmax(excess, axis=0)
        taken = np.flatnonzero(np.max(excess, axis=0) >= 0)
        owner = np.searchsorted(found.offsets, taken, "right") - 1
        for document, number in zip(owner.tolist(), taken.tolist(), strict=True):
            first, last = int(text.offsets[document]), int(text.offsets[document + 1])
            start, end = int(found.starts[number]), int(found.ends[number])
            while not self.replacement and end < last and text.data[end] == 32:
                end += 1
            span = {"editor": self.name, "start": start - first, "end": end - first, "kind": kinds[worst[number]]}
            spans[document].append(span)
        changed = np.zeros(len(text), bool)
        changed[owner] = True
        new = [
            self._without(text.data[text.offsets[i] : text.offsets[i + 1]].tobytes(), spans[i])
            for i in np.flatnonzero(changed)
        ]
        whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        edited = pc.replace_with_mask(whole, pa.array(changed), pa.array(new, pa.large_string()))
        return edited, pa.array(spans, pa.list_(SPAN))

    def _without(self, raw: bytes, spans: list[dict[str, Any]]) -> str:
        out, at = [], 0
        for span in spans:
            out += [raw[at : span["start"]], self.replacement.encode()]
            at = span["end"]
        return b"".join([*out, raw[at:]]).decode()

    def dropped(self, docs: pa.Table) -> pa.Array | None:
        """`max_share` for documents of which too much went."""
        if self.max_share is None:
            return None
        left = pc.fill_null(pc.binary_length(docs["text"]), 0).to_numpy()
        cuts = docs[CUT_SPANS].combine_chunks()
        taken, marks = np.zeros(len(left), np.int64), np.zeros(len(left), np.int64)
        if len(cuts):
            items = cuts.flatten()
            own = pc.equal(items.field("editor"), self.name).to_numpy(zero_copy_only=False)
            owner = np.repeat(np.arange(len(left)), pc.list_value_length(cuts).to_numpy())[own]
            size = (items.field("end").to_numpy() - items.field("start").to_numpy())[own]
            np.add.at(taken, owner, size)
            np.add.at(marks, owner, len(self.replacement.encode()))
        share = taken / np.maximum(left + taken - marks, 1)
        return pa.array(["max_share" if s > self.max_share else None for s in share.tolist()], pa.string())
