"""Columns of text as the arrays that kernels read, without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Texts: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[str]


def buffers(texts: Texts) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """(bytes, starts, ends) of a column of strings, or of a list of them; nulls read as empty. Read-only arrays."""
    if isinstance(texts, pa.ChunkedArray):
        chunks = [chunk.cast(pa.large_string()) for chunk in texts.chunks]
        column = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks or [pa.array([], pa.large_string())])
    elif isinstance(texts, pa.Array):
        column = texts
    else:
        column = pa.array(texts, pa.large_string())
    if column.type != pa.large_string():
        column = column.cast(pa.large_string())
    if column.null_count:
        column = column.fill_null("")
    _, offsets, data = column.buffers()
    if offsets is None or not len(column):
        return np.frombuffer(b"", np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64)
    bounds = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    found = np.frombuffer(data if data is not None and data.size else b"", np.uint8)
    return found, bounds[:-1], bounds[1:]
