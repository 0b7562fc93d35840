"""Views of an Arrow text column: its bytes and its offsets, without a copy, and spans in it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import SchemaError


@dataclass(frozen=True, eq=False)
class Text:
    """A column of texts: document i is `data[offsets[i]:offsets[i + 1]]`, UTF-8."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    array: pa.Array  # keeps the buffers alive
    found: dict[str, Any] = field(default_factory=dict, repr=False)
    """What was computed from this column, by name: see `remembered`."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def spans(self, documents: list[list[tuple[int, int]]]) -> Spans:
        """Spans from lists of (start, end) in bytes of each document, such as another tokenizer's words."""
        counts = [len(one) for one in documents]
        flat = np.array([pair for one in documents for pair in one], np.int64).reshape(-1, 2)
        flat += np.repeat(self.offsets[:-1], counts)[:, None]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        starts, ends = np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1])
        lows, highs = np.repeat(self.offsets[:-1], counts), np.repeat(self.offsets[1:], counts)
        if np.any(starts < lows) or np.any(ends > highs) or np.any(ends < starts):
            raise SchemaError("spans must lie inside of their documents, in bytes, start before end")
        return Spans(starts, ends, offsets, np.zeros(len(starts), np.uint8))

    def strings(self, spans: Spans) -> list[list[str]]:
        """The texts of spans, document by document: for tests and for looking at them."""
        raw = self.data.tobytes()
        return [
            [raw[spans.starts[k] : spans.ends[k]].decode("utf-8", "replace") for k in range(a, b)]
            for a, b in zip(spans.offsets[:-1], spans.offsets[1:], strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Spans:
    """Spans of all documents in one row: those of document i are numbers `offsets[i]` to `offsets[i + 1]`."""

    starts: NDArray[np.int64]
    """Position of the first byte in `Text.data`."""
    ends: NDArray[np.int64]
    """Position after the last byte."""
    offsets: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    """Of words: `segments.WORD`, `NUMBER`, `MARKS` or `CHARACTER`; zeros for other spans."""

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def counts(self) -> NDArray[np.int64]:
        """int64[n]: how many spans each document has."""
        return np.diff(self.offsets)


Column: TypeAlias = "pa.Array | pa.ChunkedArray | Text"
"""A column of texts; None in it is an empty text."""
_KEPT_COLUMNS = 2
_MAX_KEPT_BYTES = 64 << 20
_kept: OrderedDict[tuple[Any, ...], Text] = OrderedDict()
_lock = threading.Lock()


def text_of(column: Column) -> Text:
    """A column's bytes and offsets; nulls are empty texts.

    A large_string column of one chunk without nulls is not copied. The last columns of up to 64 MiB are remembered
    with what was computed from them, as several filters read the same one. Raises SchemaError for other types.
    """
    if isinstance(column, Text):
        return column
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    key = (
        str(column.type),
        *((tuple(b.address if b is not None else 0 for b in c.buffers()), c.offset, len(c)) for c in chunks),
    )
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    made = view(column)
    if made.offsets[-1] - made.offsets[0] <= _MAX_KEPT_BYTES and len(made):
        made.found["column"] = column  # as long as it lives no other column has these addresses
        with _lock:
            _kept[key] = made
            while len(_kept) > _KEPT_COLUMNS:
                _kept.popitem(last=False)
    return made


def view(column: pa.Array | pa.ChunkedArray) -> Text:
    """As `text_of`, without remembering."""
    kind = column.type
    if not (pa.types.is_large_string(kind) or pa.types.is_string(kind) or pa.types.is_null(kind)):
        raise SchemaError(f"text kernels read a column of strings, not of {kind}")
    if not pa.types.is_large_string(kind):
        column = column.cast(pa.large_string())
    if column.null_count:
        column = pc.fill_null(column, "")
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([*column.chunks] or [_EMPTY])
    _, offsets, data = column.buffers()
    if len(column) == 0 or offsets is None:
        return Text(_fixed(np.zeros(0, np.uint8)), _fixed(np.zeros(1, np.int64)), column)
    ends = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return Text(_fixed(np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)), _fixed(ends), column)


A = TypeVar("A", bound=NDArray[Any])


def _fixed(array: A) -> A:
    """Read only, as memory maps are: kernels are compiled for one type, whatever Arrow's buffers are."""
    array.setflags(write=False)
    return array


def kept_columns() -> list[Text]:
    """The columns that are remembered, the newest first."""
    with _lock:
        return list(reversed(_kept.values()))


_EMPTY = pa.array([], pa.large_string())
T = TypeVar("T")


def remembered(text: Text, name: str, make: Callable[[], T]) -> T:
    """What `make` gives, computed once for a column that `text_of` remembers."""
    if name not in text.found:
        text.found[name] = make()
    found: T = text.found[name]
    return found
