"""What methods say of texts, all in one pass: verdicts by item."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ..index import Index
from ..methods import Method
from ..scan import Scanner, ScanOptions, table_of
from .forms import VERDICTS
from .score import Verdict

BATCH = 512
"""Texts between two reports of progress."""


def judge_all(
    texts: pa.ChunkedArray | pa.Array,
    index: Index,
    methods: Sequence[Method],
    options: ScanOptions | None = None,
    advance: Callable[[int], None] = lambda texts: None,
) -> dict[str, list[Verdict]]:
    """By method, for each text the items that the method does not call clean, each with its gravest verdict.

    advance: called with the number of texts that were read."""
    scanner = Scanner(index, options)
    verdicts: dict[str, list[dict[str, str]]] = {method.name: [{} for _ in range(len(texts))] for method in methods}
    for start in range(0, len(texts), BATCH):
        batch = texts.slice(start, BATCH)
        for evidence in scanner.evidence(batch):
            hits = table_of(evidence, methods)
            columns = (hits[name].to_pylist() for name in ("row", "item", "method", "verdict"))
            for row, item, method, word in zip(*columns, strict=True):
                known = verdicts[method][start + row]
                if VERDICTS.index(word) > VERDICTS.index(known.get(item, VERDICTS[0])):
                    known[item] = word
        advance(len(batch))
    return {name: [dict(sorted(one.items())) for one in given] for name, given in verdicts.items()}


def able_items(index: Index, methods: Sequence[Method]) -> dict[str, set[str]]:
    """By method, the items that its own rule does not leave out."""
    return {
        method.name: set(pc.filter(index.item_names, pa.array(method.able(index))).to_pylist()) for method in methods
    }
