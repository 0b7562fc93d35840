"""The items found in documents, as they stand in the column `decontam`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def found_in(column: pa.Array | pa.ChunkedArray) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """(row, its items) of the rows that have any."""
    rows = np.flatnonzero(np.asarray(pc.fill_null(pc.list_value_length(column), 0)))
    yield from zip(rows.tolist(), column.take(pa.array(rows)).to_pylist(), strict=True)


def benchmark_of(item: dict[str, Any]) -> str:
    """The benchmark of an item found: items are called BENCHMARK/SPLIT/NUMBER."""
    name: str = item["item"]
    return name.rsplit("/", 2)[0]


def surest(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The one of the highest score; of equals the first by name."""
    return min(items, key=lambda one: (-one["score"], one["item"]))
