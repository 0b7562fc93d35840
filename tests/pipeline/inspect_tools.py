"""A run with synthetic filters on random documents, and slow counts of what it wrote."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filters.rules import RuleFilter
from pipeline.recipe import build
from pipeline.stage import SPAN, Editor, Filter, Rule
from tests.runs import run_recipe

SOME = "the women of a men muslim walk Moslems moments Frauen deaf, blind-ish house river 女性 여성은 café"
WORDS = re.split(" ", SOME)
LANGS = ["en", "en", "en", "de", "ko", "zh", None]
TYPES = ["article", "forum", "product", None]


@dataclass(frozen=True, kw_only=True)
class Sizes(RuleFilter):
    """Words, and the share of the letter e (not a number without letters, null in Korean)."""

    name = "t_sizes"
    score_column = "t_sizes"
    measures: ClassVar[pa.StructType] = pa.struct(
        [("words", pa.int64()), ("e_share", pa.float64()), ("odd", pa.int32())]
    )
    rules = (
        Rule("min_words", "words", ">="),
        Rule("max_words", "words", "<="),
        Rule("max_e", "e_share", "<"),
        Rule("off", "odd", ">"),
    )
    min_words: int | None = field(default=5, metadata={"help": "at least"})
    max_words: int | None = field(default=60)
    max_e: float | None = field(default=0.15)
    off: int | None = field(default=None)

    def score(self, docs):
        rows = []
        for text, lang in zip(docs["text"].to_pylist(), docs["lang"].to_pylist(), strict=True):
            share = text.count("e") / len(text) if text else math.nan
            rows.append({"words": len(text.split()), "e_share": None if lang == "ko" else share, "odd": len(text) % 2})
        return pa.array(rows, self.measures)


@dataclass(frozen=True, kw_only=True)
class Score(Filter):
    """A plain score: a hash of the text."""

    name = "t_score"
    reads = ("text",)
    score_column = "t_score"
    rules = (Rule("min_score", "", ">="),)
    min_score: float = field(default=0.25)

    def score(self, docs):
        return pa.array([(sum(map(ord, t)) % 997) / 997 for t in docs["text"].to_pylist()], pa.float32())

    def keep(self, score):
        return pc.greater_equal(score, pa.scalar(self.min_score, pa.float32()))


@dataclass(frozen=True, kw_only=True)
class NoRiver(Editor):
    """Takes the word river."""

    name = "t_editor"

    def edit(self, docs):
        texts, spans = [], []
        for text in docs["text"].to_pylist():
            raw, found, at = text.encode(), [], 0
            while (at := raw.find(b"river", at)) >= 0:
                kind = "first" if not found else "later"
                found.append({"editor": self.name, "start": at, "end": at + 5, "kind": kind})
                at += 5
            texts.append(raw.replace(b"river", b"").decode())
            spans.append(found)
        return pa.array(texts, pa.large_string()), pa.array(spans, pa.list_(SPAN))


@dataclass(frozen=True, kw_only=True)
class NoLetter(Editor):
    """Takes the letter w."""

    name = "t_letters"

    def edit(self, docs):
        texts = docs["text"].to_pylist()
        places = [[i for i, byte in enumerate(t.encode()) if byte == ord("w")] for t in texts]
        spans = [[{"editor": self.name, "start": i, "end": i + 1, "kind": "w"} for i in found] for found in places]
        return pa.array([t.replace("w", "") for t in texts], pa.large_string()), pa.array(spans, pa.list_(SPAN))


SYNTHETIC = (Sizes, Score, NoRiver, NoLetter)


def documents(n: int, seed: int = 1) -> pa.Table:
    """Random documents with a language and a page type; the first ones are odd."""
    rng = np.random.default_rng(seed)
    odd = ["", "\x00", "x" * 200_000, "<script>alert(1)</script> \x1b[31m women \u202e" * 3, "women\nmen"]
    texts = [*odd, *(" ".join(rng.choice(WORDS, int(rng.integers(1, 90)))) for _ in range(n - len(odd)))][:n]
    return pa.table(
        {
            "id": pa.array([f"doc-{seed}-{i}" for i in range(n)]),
            "text": pa.array(texts, pa.large_string()),
            "url": pa.array([f"https://h{i % 7}.example/<b>{i}" for i in range(n)]),
            "lang": pa.array([LANGS[int(i)] for i in rng.integers(0, len(LANGS), n)], pa.string()),
            "page_type": pa.array([TYPES[int(i)] for i in rng.integers(0, len(TYPES), n)], pa.string()),
        }
    )


def run(folder: Path, docs: pa.Table, *, files: int = 3, steps: list | None = None) -> Path:
    """A run of the synthetic stages over the documents, cut into some files."""
    (folder / "in").mkdir(parents=True)
    size = -(-max(docs.num_rows, 1) // files)
    for i in range(files):
        pq.write_table(docs.slice(i * size, size), folder / "in" / f"{i}.parquet")
    steps = (
        steps if steps is not None else ["t_editor", {"t_sizes": {"max_words": 70}}, {"t_score": {"min_score": 0.3}}]
    )
    recipe = {"name": "t", "source": {"documents": {"inputs": [str(folder / "in")]}}, "steps": steps}
    return run_recipe(build(recipe), folder / "run")


def rows(run_folder: Path, step: str) -> list[dict]:
    """All documents that a step wrote; `drop_filter` None = kept."""
    found = []
    for which in ("kept", "dropped"):
        for file in sorted((run_folder / step / which).glob("*.parquet")):
            found += [{"drop_filter": None, "drop_reason": None, **r} for r in pq.read_table(file).to_pylist()]
    return found


class Page(HTMLParser):
    """Tables by title, the titles of SVG bars, all tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.bars: list[list[str]] = []
        self._title, self._cell, self._inside = "", "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._inside = tag
        self._cell = ""
        if tag == "tr":
            self.tables.setdefault(self._title, []).append([])
        elif tag == "svg":
            self.bars.append([])

    def handle_data(self, data):
        self._cell += data

    def handle_endtag(self, tag):
        if tag in ("h2", "h3"):
            self._title = self._cell
        elif tag == "td":
            self.tables[self._title][-1].append(self._cell)
        elif tag == "title" and self.bars:
            self.bars[-1].append(self._cell)
