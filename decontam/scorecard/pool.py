"""The items that cases are made of, and what their makers ask about them: words, rarity, and which text is an item's.

Reads the ITEM columns `item, benchmark, split, question, choices, answer, passage`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pipeline.errors import SchemaError

from .draws import number_of
from .wording import Stream, Vocabulary, member, words

COLUMNS = ("item", "benchmark", "split", "question", "choices", "answer", "passage")
RUN = 13
"""Words of a run that a page shares with an item only by quoting it (Brown et al. 2020, appendix C: 13-grams)."""
SHORT_QUESTION = 5
"""Words from which on a whole question counts as quoted, though it is shorter than RUN."""
GRAM = 5
FEW_ITEMS = 3
"""A run of GRAM words is an item's own where at most this many different questions hold it."""
SOURCED = (
    "boolq", "coqa", "drop", "natural_questions", "pubmed_qa", "qasper_yesno", "rte", "sciq", "sciriff_yesno", "squad",
)  # fmt: skip
"""Benchmarks whose passages are published texts (encyclopedias, abstracts, papers, textbooks, news), not their own.
CB's are too, but its questions are clauses of them; the protocols of LAB-Bench have steps that its authors changed."""
SELF_CONTAINED = ("boolq", "natural_questions", "pubmed_qa", "sciq", "sciriff_yesno", "squad")
"""Those of them whose questions say what they ask without the passage."""
RARE_SHARE = 0.01
"""A word is rare where at most this share of all items' questions, and twice the share of its benchmark's, hold it."""


@dataclass(frozen=True)
class Item:
    """One benchmark item. Absent parts are empty. `Pool` settles two more: `stem` is the text that asks, which is the
    question, or passage and question where the question says too little without it; `distinct` says that the question
    is hardly any other item's: half of its runs of GRAM words are its own, and it has two rare words."""

    name: str
    benchmark: str
    split: str
    question: str
    choices: tuple[str, ...]
    answer: str
    passage: str
    stem: str = ""
    distinct: bool = False

    @property
    def stands_alone(self) -> bool:
        """Whether the question is the item without its passage."""
        return self.stem == self.question

    @property
    def is_one_text(self) -> bool:
        """Whether the stem is the question alone or the passage alone."""
        return self.stands_alone or not self.question

    @property
    def is_code(self) -> bool:
        """Whether the answer is a program (HumanEval, MBPP)."""
        return "return" in self.answer and ("def " in self.answer or "def " in self.question)

    def parts(self) -> list[str]:
        """The texts that are the item's own: stem (of published passages the question alone), choices, answer."""
        asked = self.question if self.benchmark in SOURCED else self.stem
        return [part for part in (asked, *self.choices, self.answer) if part]


def read_table(items: pa.Table) -> list[Item]:
    """Items of an ITEM table by ascending name. Raises SchemaError for a missing column or a name that comes twice."""
    missing = [name for name in COLUMNS if name not in items.column_names]
    if missing:
        raise SchemaError(f"scorecard: the items lack the columns {', '.join(missing)}; read them with read_items")
    made = [
        Item(
            row["item"],
            row["benchmark"],
            row["split"] or "",
            (row["question"] or "").strip(),
            tuple(choice for choice in row["choices"] or () if choice),
            (row["answer"] or "").strip("\n"),
            (row["passage"] or "").strip(),
        )
        for row in items.select(list(COLUMNS)).to_pylist()
    ]
    made.sort(key=lambda item: item.name)
    for before, after in zip(made, made[1:], strict=False):
        if before.name == after.name:
            raise SchemaError(f"scorecard: the item {after.name} comes twice; names must be unique")
    return made


class Pool:
    """Items with settled stems (`items`, by name), their rare words, and words to draw substitutes from."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._vocabulary = Vocabulary()
        tokens = [words(item.question) for item in items]
        stream = Stream(self._vocabulary.learn(each) for each in tokens)
        pairs = np.unique(np.stack((stream.owners, stream.numbers.astype(np.int64))), axis=1)
        pairs = pairs[:, pairs[1] > 0]
        self._spread = np.bincount(pairs[1], minlength=1) if pairs.size else np.zeros(1, dtype=np.int64)
        self._total = len(items)
        distinct = self._own_runs(items, stream) & (self._rare_words(items, pairs) >= 2)
        self.items = [
            replace(item, stem=_stem(item, own), distinct=own)
            for item, own in zip(items, distinct.tolist(), strict=True)
        ]
        self.by_benchmark: dict[str, list[Item]] = {}
        for item in self.items:
            self.by_benchmark.setdefault(item.benchmark, []).append(item)

    def _own_runs(self, items: Sequence[Item], stream: Stream) -> np.ndarray:
        """Whether at least half of a question's runs of GRAM words are its own (bool, one per item)."""
        texts = [number_of(*words(item.question), "", item.passage) for item in items]
        text = np.unique(np.array(texts, dtype=np.uint64), return_inverse=True)[1]
        hashes, owners = stream.grams(GRAM)
        if not len(hashes):
            return np.zeros(len(items), dtype=bool)
        gram = np.unique(hashes, return_inverse=True)[1].astype(np.int64)
        holders = np.bincount(np.unique(gram * (len(items) + 1) + text[owners]) // (len(items) + 1))
        own = np.bincount(owners, weights=holders[gram] <= FEW_ITEMS, minlength=len(items))
        return own * 2 >= np.maximum(np.bincount(owners, minlength=len(items)), 1)

    def _rare_words(self, items: Sequence[Item], pairs: np.ndarray) -> np.ndarray:
        """How many different rare words a question has (int64, one per item); pairs: (item, word number), distinct."""
        names = np.array([item.benchmark for item in items])
        benchmark, sizes = np.unique(names, return_inverse=True, return_counts=True)[1:]
        if not pairs.size:
            return np.zeros(len(items), dtype=np.int64)
        width = len(self._spread)
        keys, inverse, counts = np.unique(
            benchmark[pairs[0]] * width + pairs[1], return_inverse=True, return_counts=True
        )
        here = counts[inverse] <= np.maximum(FEW_ITEMS, 2 * RARE_SHARE * sizes[benchmark[pairs[0]]])
        everywhere = self._spread[pairs[1]] <= max(FEW_ITEMS, RARE_SHARE * self._total)
        return np.bincount(pairs[0], weights=here & everywhere, minlength=len(items)).astype(np.int64)

    def spread(self, tokens: Sequence[str]) -> np.ndarray:
        """In how many items' questions each word occurs (int64)."""
        return self._spread[np.array(self._vocabulary.look_up(tokens), dtype=np.int64)]


def _stem(item: Item, distinct: bool) -> str:
    if item.question and (not item.passage or (distinct and item.benchmark in SELF_CONTAINED)):
        return item.question
    return "\n".join(part for part in (item.passage, item.question) if part)


class Screen:
    """Finds texts that quote an item: RUN words of its stem, choices or answer on end, or a whole short question."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._vocabulary = Vocabulary()
        held = list(items)
        parts = Stream(self._vocabulary.learn(words(part)) for item in held for part in item.parts())
        self._runs = {RUN: np.unique(parts.grams(RUN)[0])}
        short: dict[int, list[list[int]]] = {length: [] for length in range(SHORT_QUESTION, RUN)}
        for item in held:
            tokens = words(item.question)
            if len(tokens) in short:
                short[len(tokens)].append(self._vocabulary.learn(tokens))
        for length, questions in short.items():
            self._runs[length] = np.unique(Stream(questions).grams(length)[0])

    def quoting(self, texts: Sequence[str]) -> np.ndarray:
        """Which texts quote an item (bool, one per text)."""
        stream = Stream(self._vocabulary.look_up(words(text)) for text in texts)
        found = np.zeros(len(texts), dtype=bool)
        for length, ordered in self._runs.items():
            hashes, owners = stream.grams(length)
            found[owners[member(hashes, ordered)]] = True
        return found
