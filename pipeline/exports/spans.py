"""The tokens of a pack set as runs: what every flat format is written from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, nearest
from ..packcheck import piece_lengths
from ..packreader import Block, PackReader

UNITS = ("sequence", "document")


def runs(
    reader: PackReader, unit: str = "sequence", *, empty: bool = False
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64]]]:
    """(tokens, lengths of the runs that they make) of about a thousand sequences at a time, in order.

    A run is a sequence or, for `unit` document, a piece of a document; padding and removed pieces are left
    out, and, unless `empty`, sequences that have nothing left. Raises ConfigError for another unit.
    """
    if unit not in UNITS:
        raise ConfigError(f"export: unit is one of {list(UNITS)}, not '{unit}'{nearest(unit, UNITS)}")
    for block in reader.blocks:
        tokens, row = piece_lengths(block), np.repeat(np.arange(block.rows), np.diff(block.doc_bounds))
        stays = np.ones(len(tokens), bool) if block.removed is None else ~block.removed
        for first in range(0, block.rows, 1024):
            last = min(first + 1024, block.rows)
            yield _run(block, first, last, tokens, row, stays, unit == "sequence", empty)


def _run(
    block: Block, first: int, last: int, tokens: Any, row: Any, stays: Any, by_sequence: bool, empty: bool
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    begin, end = int(block.doc_bounds[first]), int(block.doc_bounds[last])
    kept = begin + np.flatnonzero(stays[begin:end])
    counts = tokens[kept].astype(np.int64)
    ids = np.stack([block.ids(i) for i in range(first, last)])
    length = ids.shape[1]
    flat = np.zeros(ids.size + 1, np.int8)  # +1 where a kept piece begins, -1 behind its end
    starts = (row[kept] - first) * length + block.doc_starts[kept]
    np.add.at(flat, starts, 1)
    np.add.at(flat, starts + counts, -1)
    mask = np.cumsum(flat[:-1], dtype=np.int8).reshape(ids.shape)
    if by_sequence:
        counts = mask.sum(1, dtype=np.int64)
        counts = counts if empty else counts[counts > 0]
    return ids[mask.astype(bool)], counts
