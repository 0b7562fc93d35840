"""Pages that say nothing: dummy text, parked domains, default pages of servers, walls, errors, building sites.

Reads `text`; adds the struct `placeholder`: the share of the text's bytes that known phrases cover, in all and by kind.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from pipeline.stage import Rule, register

from .rules import RuleFilter

if TYPE_CHECKING:
    from .kernels.phrases import Phrases

KINDS = ("lorem_ipsum", "construction", "parked", "server", "wall", "error")


@functools.lru_cache(maxsize=1)
def phrases() -> Phrases:
    """The bundled phrases (filters/data/placeholders.txt)."""
    from .kernels.phrases import phrase_table, read_phrases

    return phrase_table(read_phrases("placeholders.txt", KINDS))


@register
@dataclass(frozen=True, kw_only=True)
class Placeholder(RuleFilter):
    """Drops documents of which a large share is placeholder phrases, in some 25 languages.

    A mention is no matter: a text about lorem ipsum, with a quotation, stays. C4 drops every page that mentions it.
    """

    name: ClassVar[str] = "placeholder"
    score_column: ClassVar[str] = "placeholder"
    sources: ClassVar[tuple[str, ...]] = (
        "our own phrases; the idea is C4's lorem ipsum rule (Raffel et al. 2020; https://arxiv.org/abs/1910.10683)",
    )
    measures: ClassVar[pa.StructType] = pa.struct([(name, pa.float64()) for name in ("covered", *KINDS)])
    rules: ClassVar[tuple[Rule, ...]] = (Rule("max_covered", "covered", "<="),)

    max_covered: float | None = field(
        default=0.25, metadata={"help": "drop above this share of the text's bytes in placeholder phrases"}
    )

    def score(self, docs: pa.Table) -> pa.StructArray:
        """Shares of bytes; 0 for an empty text."""
        from .kernels import tables
        from .kernels.columns import text_of
        from .kernels.phrases import covered

        text = text_of(docs["text"])
        table = phrases()
        room = np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(4096, np.int64)
        out = np.zeros((len(text), len(KINDS)), np.int64)
        covered(text.data, text.offsets, *table.tables, table.kinds, *tables.load(), *room, out)
        shares = out / np.maximum(np.diff(text.offsets), 1)[:, None]
        columns = [out.sum(axis=1) / np.maximum(np.diff(text.offsets), 1), *shares.T]
        return pa.StructArray.from_arrays([pa.array(c) for c in columns], fields=list(self.measures))
