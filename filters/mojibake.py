"""Encoding damage: a score, a filter, and repair by ftfy (Speer 2019; https://ftfy.readthedocs.io).

`mojibake` adds the struct `mojibake` of shares of characters; `mojibake_repair` edits `text` and adds to `cut_spans`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import SPAN, Editor, Rule, register

from .rules import RuleFilter

FTFY = "ftfy 6.3, https://ftfy.readthedocs.io"


def damage(docs: pa.Table) -> np.ndarray:
    """int64[n, 4]: characters, those of broken letters and C1 controls, U+FFFD, private use."""
    from .kernels import mojibake
    from .kernels.columns import remembered, text_of

    text = text_of(docs["text"])

    def count() -> np.ndarray:
        counts = np.zeros((len(text), 4), np.int64)
        mojibake.damage(text.data, text.offsets, mojibake.CLASSES, np.zeros(3, np.int64), counts)
        return counts

    return remembered(text, "damage", count)


@register
@dataclass(frozen=True, kw_only=True)
class Mojibake(RuleFilter):
    """Drops documents whose characters were lost to a wrong character set.

    `broken` counts what UTF-8 looks like when read as windows-1252, windows-1251 or KOI8-R, runs of Latin-1's upper
    half (Cyrillic, Greek or Chinese read as Western) and C1 controls. The signs and the thresholds are ours, set so
    that clean text of 75 languages has none; `mojibake_repair` before it saves what can be saved.
    """

    name: ClassVar[str] = "mojibake"
    score_column: ClassVar[str] = "mojibake"
    sources: ClassVar[tuple[str, ...]] = ("our own signs, after " + FTFY,)
    measures: ClassVar[pa.StructType] = pa.struct(
        [("broken", pa.float64()), ("replaced", pa.float64()), ("private_use", pa.float64())]
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("max_broken", "broken", "<="),
        Rule("max_replaced", "replaced", "<="),
        Rule("max_private_use", "private_use", "<="),
    )

    max_broken: float | None = field(default=0.01, metadata={"help": "drop above this share of broken characters"})
    max_replaced: float | None = field(default=0.01, metadata={"help": "drop above this share of U+FFFD"})
    max_private_use: float | None = field(
        default=0.2,
        metadata={"help": "drop above this share of private-use characters (old fonts)"},
    )

    def score(self, docs: pa.Table) -> pa.StructArray:
        """Shares of all characters; 0 for an empty text."""
        counts = damage(docs)
        shares = counts[:, 1:] / np.maximum(counts[:, :1], 1)
        return pa.StructArray.from_arrays([pa.array(c) for c in shares.T], fields=list(self.measures))


@register
@dataclass(frozen=True, kw_only=True)
class MojibakeRepair(Editor):
    """Repairs broken letters with ftfy, in documents that have any; each changed line is one span.

    FineWeb-2 runs ftfy over all documents with the same switches, but for HTML references, which stay here. What
    ftfy does not repair: one-byte character sets taken for Western ones, which extraction tells apart.
    """

    name: ClassVar[str] = "mojibake_repair"
    sources: ClassVar[tuple[str, ...]] = (FTFY, "FineWeb-2: datatrove 0.10.1, FTFYFormatter")

    min_broken: float = field(default=0.0, metadata={"help": "repair documents above this share of broken characters"})

    def check(self) -> None:
        """As `Stage.check`."""
        if isinstance(self.min_broken, bool) or not 0 <= self.min_broken <= 1:
            raise ConfigError(f"mojibake_repair: min_broken must lie in [0, 1], not {self.min_broken!r}")

    def edit(self, docs: pa.Table) -> tuple[pa.Array, pa.Array]:
        """As `Editor.edit`."""
        counts = damage(docs)
        rows = np.flatnonzero((counts[:, 1] > 0) & (counts[:, 1] > self.min_broken * counts[:, 0]))
        texts = docs["text"].fill_null("").cast(pa.large_string())
        spans: list[list[dict[str, object]]] = [[] for _ in range(len(texts))]
        texts = texts.combine_chunks()
        changed, mended = [], []
        for row, text in zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist(), strict=True):
            fixed, spans[row] = self._mended(text)
            if spans[row]:
                changed.append(row)
                mended.append(fixed)
        if changed:
            mask = np.zeros(len(texts), np.bool_)
            mask[changed] = True
            texts = pc.replace_with_mask(texts, pa.array(mask), pa.array(mended, pa.large_string()))
        return texts, pa.array(spans, pa.list_(SPAN))

    def _mended(self, text: str) -> tuple[str, list[dict[str, object]]]:
        from ftfy import TextFixerConfig, fix_text

        config = TextFixerConfig(
            unescape_html=False, fix_latin_ligatures=False, fix_character_width=False, uncurl_quotes=False,
            fix_line_breaks=False, normalization=None, explain=False,
        )  # fmt: skip
        out, spans, at = [], [], 0
        for line in text.split("\n"):
            fixed = line if line.isascii() else fix_text(line, config)
            size = len(line.encode())
            if fixed != line:
                spans.append({"editor": self.name, "start": at, "end": at + size, "kind": "mojibake"})
            out.append(fixed)
            at += size + 1
        return "\n".join(out), spans
