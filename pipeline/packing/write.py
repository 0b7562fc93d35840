"""Pack files from layouts: tokens are read from their shards straight to their places.

Memory: one record batch of `BATCH_BYTES` and the draws of the file. Token shards are read by position, not
mapped, so that their pages don't count as the worker's.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import SchemaError, StepFailed
from ..packs import pack_schema
from ..storage import local_file, place
from ..store import atomic_path, file_digest
from .layout import Layout

BATCH_BYTES = 16 << 20
"""Ids in a record batch of a pack file, about."""

OPEN_FILES = 128
OPTIONAL = ("shard", "at", "title_tokens", "skip", "control")


class TokenReader:
    """Reads ids of token shards by position; keeps the last files open. A context manager."""

    def __init__(self, shards: Sequence[str]) -> None:
        self._shards = shards
        self._open: OrderedDict[int, int] = OrderedDict()

    def __enter__(self) -> TokenReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def read_into(self, out: memoryview, shard: int, at: int) -> None:
        """Fill `out` (bytes) with what a shard has from byte `at`. Raises StepFailed where it ends before."""
        file = self._file(shard)
        got = os.preadv(file, [out], at)
        while got < len(out):
            more = os.preadv(file, [out[got:]], at + got)
            if more <= 0:
                raise StepFailed(
                    f"token shard {self._shards[shard]} ends at byte {at + got}, the draws expect more: the shard"
                    " changed after planning; tokenise and plan again"
                )
            got += more

    def _file(self, shard: int) -> int:
        found = self._open.get(shard)
        if found is None:
            try:
                found = os.open(local_file(self._shards[shard]), os.O_RDONLY)
            except OSError as error:
                raise SchemaError(f"token shard {self._shards[shard]} can't be read: {error.strerror}") from error
            self._open[shard] = found
            if len(self._open) > OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
        else:
            self._open.move_to_end(shard)
        return found


def write_pack(
    path: str | Path,
    name: str,
    layout: Layout,
    draws: pa.Table,
    shards: Sequence[str],
    *,
    dtype: str,
    pad_id: int,
    body_starts: bool = False,
) -> dict[str, Any]:
    """Write a pack file (atomically) and return its entry for the manifest.

    `name` is its path relative to the set. The entry: `path`, `sequences`, `tokens`, `documents` (those that
    begin here), `pieces`, `bytes`, `blake2b`, `batches` ([rows, byte at which its ids begin] of each record
    batch, for ranged reads). `body_starts` needs `title_tokens` in the draws. Raises StepFailed where a shard
    is shorter than planned.
    """
    path = place(path)
    schema = pack_schema(layout.length, dtype, body_starts=body_starts)
    rows = max(1, BATCH_BYTES // (layout.length * np.dtype(dtype).itemsize))
    columns = {key: draws[key].to_numpy() for key in OPTIONAL if key in draws.column_names}
    names = draws["id"].combine_chunks()
    with TokenReader(shards) as reader, atomic_path(path) as temporary:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for begin in range(0, layout.sequences, rows):
                end = min(begin + rows, layout.sequences)
                writer.write_batch(_batch(layout, begin, end, columns, names, reader, dtype, pad_id, schema))
        entry = {
            "path": name,
            "sequences": layout.sequences,
            "tokens": int(layout.tokens.sum()),
            "documents": int((layout.offset == 0).sum()),
            "pieces": len(layout.tokens),
            "bytes": temporary.stat().st_size,
            "blake2b": file_digest(temporary),
            "batches": id_places(temporary),
        }
    return entry


def id_places(path: Path) -> list[list[int]]:
    """[rows, byte at which `input_ids` begins] of each record batch of a pack file."""
    with pa.memory_map(local_file(path)) as source:
        base = source.read_buffer().address
        file = pa.ipc.open_file(source)
        found = []
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            found.append([batch.num_rows, batch.column("input_ids").values.buffers()[1].address - base])
    return found


def _batch(
    layout: Layout,
    begin: int,
    end: int,
    columns: dict[str, npt.NDArray[Any]],
    names: pa.Array,
    reader: TokenReader,
    dtype: str,
    pad_id: int,
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Sequences [begin, end) of the layout."""
    low, high = np.searchsorted(layout.sequence, [begin, end])
    draw, offset = layout.draw[low:high], layout.offset[low:high]
    tokens, start = layout.tokens[low:high], layout.start[low:high]
    row = layout.sequence[low:high] - begin
    ids: npt.NDArray[Any] = np.empty((end - begin) * layout.length, dtype)
    lengths = np.bincount(row, weights=tokens, minlength=end - begin).astype(np.int64)
    for short in np.flatnonzero(lengths < layout.length).tolist():
        ids[short * layout.length + lengths[short] : (short + 1) * layout.length] = pad_id
    width = ids.itemsize
    position = row * layout.length + start
    prefix = np.zeros(len(draw), np.int64)  # 1 where the draw begins with a control id, which no shard holds
    lead = np.zeros(len(draw), bool)
    if "control" in columns:
        control = columns["control"][draw]
        prefix = (control >= 0).astype(np.int64)
        lead = (control >= 0) & (offset == 0)
        ids[position[lead]] = control[lead]
    behind = np.maximum(offset - prefix, 0)
    _gather(
        reader,
        ids.view(np.uint8).data,
        columns["shard"][draw],
        columns["at"][draw] + behind * width,
        (position + lead) * width,
        (tokens - lead) * width,
    )
    if "skip" in columns:
        behind = behind + columns["skip"][draw]
    bounds = np.searchsorted(row, np.arange(end - begin + 1)).astype(np.int32)
    lists = [
        pa.ListArray.from_arrays(bounds, pa.array(start.astype(np.int32))),
        pa.ListArray.from_arrays(bounds, names.take(pa.array(draw))),
        pa.ListArray.from_arrays(bounds, pa.array(behind)),
    ]
    if "body_starts" in schema.names:
        body = start + lead + np.clip(columns["title_tokens"][draw] - behind, 0, tokens - lead)
        lists.append(pa.ListArray.from_arrays(bounds, pa.array(body.astype(np.int32))))
    sequences = pa.FixedSizeListArray.from_arrays(pa.array(ids), layout.length)
    return pa.record_batch([sequences, pa.array(lengths.astype(np.int32)), *lists], schema=schema)


def _gather(
    reader: TokenReader,
    out: memoryview,
    shard: npt.NDArray[np.int32],
    source: npt.NDArray[np.int64],
    target: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
) -> None:
    """Read pieces to their places: neighbours that stay neighbours in one read, shard by shard in file order."""
    ends, target_ends = source + size, target + size
    joined = (shard[1:] == shard[:-1]) & (source[1:] == ends[:-1]) & (target[1:] == target_ends[:-1])
    first = np.flatnonzero(np.concatenate([[True], ~joined]))
    last = np.append(first[1:] - 1, len(size) - 1)
    order = np.lexsort((source[first], shard[first]))
    runs = zip(
        shard[first][order].tolist(),
        source[first][order].tolist(),
        target[first][order].tolist(),
        target_ends[last][order].tolist(),
        strict=True,
    )
    for number, at, begin, end in runs:
        reader.read_into(out[begin:end], number, at)
