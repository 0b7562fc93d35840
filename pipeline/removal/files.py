"""Pack files with documents taken out: their positions overwritten, their pieces marked `removed`.

A mixture's control id before a piece stays (masked as the rest of it): it is a reserved id and no part of the document,
and without it nobody could say which token of the document a position held.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..packcheck import piece_lengths
from ..packing.write import id_places
from ..packreader import Block, PackReader
from ..packs import pack_schema
from ..store import PARQUET_OPTIONS, atomic_path, file_digest

TELLING = ("id", "url", "source", "domain", "lang", "lang_hint", "published")
"""Text in `documents/` that stays of a removed document: which one it was. Titles and keys of JSON lines go."""


@dataclass
class Removed:
    """What was taken out of some files: tokens and pieces by document."""

    tokens: Counter[str] = field(default_factory=Counter)
    pieces: Counter[str] = field(default_factory=Counter)
    files: dict[str, list[str]] = field(default_factory=dict)


def hits(block: Block, documents: pa.Array) -> npt.NDArray[np.bool_]:
    """Which pieces of a block belong to `documents` and are not removed yet."""
    found = np.asarray(pc.is_in(block.doc_ids, value_set=documents).to_numpy(zero_copy_only=False))
    return found if block.removed is None else found & ~block.removed


def without_text(path: Path, target: Path, documents: pa.Array) -> bool:
    """Write a documents table without what it says of `documents` in words; False, and no file, if that is nothing.

    Addresses, WARC records and numbers stay, so that a position can still be traced.
    """
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    words = _words(schema)
    if not words or not any(_speaks(batch, documents).any() for batch in file.iter_batches(columns=["id", *words])):
        return False
    with atomic_path(target) as temporary, pq.ParquetWriter(temporary, schema, **PARQUET_OPTIONS) as writer:
        for batch in file.iter_batches():
            silent = pa.array(~_speaks(batch, documents))
            columns = [
                pc.if_else(silent, batch.column(one.name), pa.scalar(None, one.type))
                if one.name in words
                else batch.column(one.name)
                for one in schema
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    return True


def _words(schema: pa.Schema) -> list[str]:
    """The columns of text beside `TELLING`."""
    texts = [one.name for one in schema if pa.types.is_string(one.type) or pa.types.is_large_string(one.type)]
    return [name for name in texts if name not in TELLING]


def _speaks(batch: pa.RecordBatch, documents: pa.Array) -> npt.NDArray[np.bool_]:
    """Which rows of a documents table are of `documents` and hold words beside `TELLING`."""
    wanted = pc.is_in(batch.column("id"), value_set=documents.cast(batch.column("id").type))
    said = [batch.column(name).is_valid() for name in _words(batch.schema)]
    held = np.logical_or.reduce([one.to_numpy(zero_copy_only=False) for one in said])
    return np.asarray(wanted.to_numpy(zero_copy_only=False)) & held


def rewrite(
    reader: PackReader, blocks: list[Block], documents: pa.Array, target: Path, name: str, fill: int, log: Removed
) -> dict[str, Any]:
    """Write the blocks of one pack file as `target`, a file of version 2; returns what changes in its entry.

    Memory: two copies of one record batch.
    """
    names = set(blocks[0].batch.schema.names) if blocks else set()
    schema = pack_schema(
        reader.sequence_length, reader.dtype.name, body_starts="body_starts" in names, removed=True
    )  # fmt: skip
    taken = 0
    with atomic_path(target) as temporary:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for block in blocks:
                batch, count = _without(reader, block, documents, fill, name, log, schema)
                writer.write_batch(batch)
                taken += count
        return {
            "bytes": temporary.stat().st_size,
            "blake2b": file_digest(temporary),
            "batches": id_places(temporary),
            "taken": taken,
        }


def _without(
    reader: PackReader, block: Block, documents: pa.Array, fill: int, name: str, log: Removed, schema: pa.Schema
) -> tuple[pa.RecordBatch, int]:
    """(the block's record batch without the documents, tokens taken)."""
    goes = hits(block, documents)
    tokens = piece_lengths(block)
    row = np.repeat(np.arange(block.rows), np.diff(block.doc_bounds))
    ids = block.input_ids.copy()
    which = np.flatnonzero(goes)
    first, controls = reader.manifest["reserved_ids"]["control"]
    for piece, document in zip(which.tolist(), block.doc_ids.take(pa.array(which)).to_pylist(), strict=True):
        start, count = int(block.doc_starts[piece]), int(tokens[piece])
        led = first <= int(ids[row[piece], start]) < first + controls
        ids[row[piece], start + led : start + count] = fill
        log.tokens[document] += count
        log.pieces[document] += 1
        files = log.files.setdefault(document, [])
        if not files or files[-1] != name:
            files.append(name)
    removed = goes if block.removed is None else goes | block.removed
    bounds = pa.array(block.doc_bounds)
    made: dict[str, pa.Array] = {
        "input_ids": pa.FixedSizeListArray.from_arrays(pa.array(ids.reshape(-1)), reader.sequence_length),
        "doc_offsets": pa.ListArray.from_arrays(bounds, pa.array(block.doc_offsets)),
        "removed": pa.ListArray.from_arrays(bounds, pa.array(removed)),
    }
    columns = [made[field.name] if field.name in made else block.batch.column(field.name) for field in schema]
    return pa.record_batch(columns, schema=schema), int(tokens[goes].sum(dtype=np.int64))
