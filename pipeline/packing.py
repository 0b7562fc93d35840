"""Concatenate-and-chunk: token shards, in order, become one stream that is cut every T tokens.

Reads token shards (Arrow IPC or Parquet files of `tokenise.tokenise_table`: `id, input_ids,
title_tokens`), writes pack files (`packs`). Planning needs only the number of tokens of each shard;
each pack file is then written by itself from the shards that it covers, in any process and any
order, so the bytes don't depend on the workers. Memory: one pack file plus one record batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .errors import ConfigError, SchemaError, StepFailed
from .packs import pack_name, pack_schema
from .store import atomic_path, file_digest


@dataclass(frozen=True)
class Span:
    """Tokens [start, end) of token shard number `shard`."""

    shard: int
    start: int
    end: int


@dataclass(frozen=True)
class PackTask:
    """What one pack file holds: `sequences` rows cut from the spans' tokens, in order."""

    index: int
    sequences: int
    spans: tuple[Span, ...]

    @property
    def tokens(self) -> int:
        """Number of tokens (without padding)."""
        return sum(span.end - span.start for span in self.spans)

    @property
    def path(self) -> str:
        """The file's path relative to the pack set's folder."""
        return pack_name(self.index)

    def to_json(self) -> dict[str, Any]:
        """The task as plain JSON values, for fingerprints."""
        return asdict(self)


def plan_packs(shard_tokens: list[int], sequence_length: int, sequences_per_file: int) -> list[PackTask]:
    """Which tokens of which shards go to which pack file; all tokens are covered once and in order.

    Every file but the last has `sequences_per_file` full sequences. Raises ConfigError for sizes under 1.
    """
    if sequence_length < 1 or sequences_per_file < 1:
        raise ConfigError(
            f"sequence_length ({sequence_length}) and sequences_per_file ({sequences_per_file}) must be at least 1"
        )
    ends = np.concatenate([[0], np.cumsum(np.asarray(shard_tokens, np.int64))])
    total, capacity = int(ends[-1]), sequence_length * sequences_per_file
    tasks = []
    for index, start in enumerate(range(0, total, capacity)):
        end = min(start + capacity, total)
        spans = []
        shard = int(np.searchsorted(ends, start, side="right")) - 1
        while shard < len(shard_tokens) and ends[shard] < end:
            begin, stop = max(start, int(ends[shard])), min(end, int(ends[shard + 1]))
            if begin < stop:
                spans.append(Span(shard, begin - int(ends[shard]), stop - int(ends[shard])))
            shard += 1
        tasks.append(PackTask(index, -(-(end - start) // sequence_length), tuple(spans)))
    return tasks


def write_pack(
    task: PackTask,
    shard_paths: list[str],
    out_path: str | Path,
    *,
    sequence_length: int,
    dtype: str,
    pad_id: int,
    body_starts: bool = False,
) -> dict[str, Any]:
    """Write the pack file of `task` (atomically) and return its entry for the manifest.

    The entry: `path` (relative to the set), `sequences`, `tokens`, `documents` (those that start
    here), `bytes`, `blake2b`. Raises StepFailed where a shard holds fewer tokens than planned,
    SchemaError where it isn't a token shard.
    """
    out_path = Path(out_path)
    ids = np.full(task.sequences * sequence_length, pad_id, dtype)
    documents = _Documents()
    at = 0
    for span in task.spans:
        for piece in _read_span(shard_paths[span.shard], span):
            ids[at : at + len(piece.ids)] = piece.ids
            documents.add(piece, at)
            at += len(piece.ids)
        if at != sum(s.end - s.start for s in task.spans if s.shard <= span.shard):
            raise StepFailed(
                f"token shard {shard_paths[span.shard]} ends before token {span.end}, which the plan of pack"
                f" {task.index} expects: the shard changed after planning; tokenise and plan again"
            )
    batch, n_documents = documents.batch(ids, task.tokens, sequence_length, body_starts)
    with atomic_path(out_path) as temporary:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        checksum, size = file_digest(temporary), temporary.stat().st_size
    return {
        "path": task.path,
        "sequences": task.sequences,
        "tokens": task.tokens,
        "documents": n_documents,
        "bytes": size,
        "blake2b": checksum,
    }


def count_tokens(path: str | Path) -> int:
    """Number of tokens in a token shard."""
    return sum(int(offsets[-1] - offsets[0]) for _, offsets in _layout(str(path)))


@dataclass(frozen=True)
class _Piece:
    """Consecutive tokens of one record batch. `begins`: where each document begins, relative to the
    piece's first token; negative for the one that is cut by the piece's start."""

    ids: npt.NDArray[Any]
    begins: npt.NDArray[np.int64]
    doc_ids: pa.Array
    titles: npt.NDArray[np.int64]


class _Documents:
    """Collects document boundaries and turns a pack's tokens into its record batch."""

    def __init__(self) -> None:
        self._begins: list[npt.NDArray[np.int64]] = []
        self._titles: list[npt.NDArray[np.int64]] = []
        self._ids: list[pa.Array] = []

    def add(self, piece: _Piece, at: int) -> None:
        self._begins.append(piece.begins + at)
        self._titles.append(piece.titles)
        self._ids.append(piece.doc_ids)

    def batch(
        self, ids: npt.NDArray[Any], tokens: int, sequence_length: int, body_starts: bool
    ) -> tuple[pa.RecordBatch, int]:
        """(record batch, number of documents that start in it)."""
        begins = np.concatenate(self._begins)
        names = pa.concat_arrays(self._ids)
        edges = np.arange(0, len(ids) + 1, sequence_length)
        starts = np.union1d(begins[begins >= 0], edges[:-1])
        document = np.searchsorted(begins, starts, side="right") - 1
        offsets = np.searchsorted(starts, edges).astype(np.int32)
        columns = [
            pa.FixedSizeListArray.from_arrays(pa.array(ids), sequence_length),
            pa.array(np.minimum(tokens - edges[:-1], sequence_length).astype(np.int32)),
            pa.array(edges[:-1] - begins[document[offsets[:-1]]]),
            pa.ListArray.from_arrays(offsets, pa.array((starts % sequence_length).astype(np.int32))),
            pa.ListArray.from_arrays(offsets, names.take(pa.array(document))),
        ]
        if body_starts:
            ends = np.append(starts[1:], tokens)
            body = np.clip(begins[document] + np.concatenate(self._titles)[document], starts, ends)
            body -= np.repeat(edges[:-1], np.diff(offsets))
            columns.append(pa.ListArray.from_arrays(offsets, pa.array(body.astype(np.int32))))
        schema = pack_schema(sequence_length, ids.dtype.name, body_starts)
        return pa.record_batch(columns, schema=schema), int((begins >= 0).sum())


def _read_span(path: str, span: Span) -> Iterator[_Piece]:
    """The pieces of a shard that lie in `span`; record batches outside it are not read."""
    at = 0
    for load, offsets in _layout(path):
        count = int(offsets[-1] - offsets[0])
        lo, hi = max(span.start - at, 0), min(span.end - at, count)
        at += count
        if lo >= hi:
            if at >= span.end:
                return
            continue
        batch = load()
        edges = offsets.astype(np.int64) - int(offsets[0])
        # Documents with at least one token in [lo, hi); those without tokens never match.
        mask = (edges[:-1] < hi) & (edges[1:] > lo) & (edges[1:] > edges[:-1])
        titles = (
            batch.column("title_tokens").to_numpy()[mask].astype(np.int64)
            if "title_tokens" in batch.schema.names
            else np.zeros(int(mask.sum()), np.int64)
        )
        yield _Piece(
            ids=batch.column("input_ids").flatten().to_numpy()[lo:hi],
            begins=edges[:-1][mask] - lo,
            doc_ids=batch.column("id").cast(pa.string()).filter(pa.array(mask)),
            titles=titles,
        )


def _layout(path: str) -> Iterator[tuple[Any, npt.NDArray[Any]]]:
    """(function that reads the record batch, its list offsets) for each batch of a token shard."""
    try:
        if path.endswith(".parquet"):
            yield from _parquet_layout(path)
        else:
            yield from _ipc_layout(path)
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise SchemaError(f"{path} can't be read as a token shard (id, input_ids): {error}") from error


def _ipc_layout(path: str) -> Iterator[tuple[Any, npt.NDArray[Any]]]:
    file = pa.ipc.open_file(pa.memory_map(path))
    for number in range(file.num_record_batches):
        batch = file.get_batch(number)
        yield (lambda batch=batch: batch), batch.column("input_ids").offsets.to_numpy()


def _parquet_layout(path: str) -> Iterator[tuple[Any, npt.NDArray[Any]]]:
    with pq.ParquetFile(path, memory_map=True) as file:
        for number in range(file.num_row_groups):
            lengths = pc.list_value_length(file.read_row_group(number, columns=["input_ids"]).column(0))
            offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy(), dtype=np.int64)])
            yield (lambda number=number: _one_batch(file, number)), offsets


def _one_batch(file: pq.ParquetFile, number: int) -> pa.RecordBatch:
    columns = [c for c in ("id", "input_ids", "title_tokens") if c in file.schema_arrow.names]
    table = file.read_row_group(number, columns=columns).combine_chunks()
    return pa.RecordBatch.from_arrays([column.chunk(0) for column in table.columns], schema=table.schema)
