"""The whole check of a pack set against its manifest: checksums, counts, ids, boundaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .errors import SchemaError
from .store import file_digest

if TYPE_CHECKING:
    from .packreader import Block, PackReader


def verify(reader: PackReader) -> None:
    """Read all of a local pack set. Raises SchemaError at the first thing that is wrong."""
    manifest = reader.manifest
    for entry in [*manifest["files"], *manifest.get("document_files", []), *manifest.get("removals", [])]:
        path = reader.folder / entry["path"]
        if not path.is_file() or file_digest(path) != entry["blake2b"]:
            raise SchemaError(f"pack set file {path}: checksum differs from the manifest; run the pack step again")
    tokens = removed = first = 0
    for block in reader.blocks:
        tokens += int(block.lengths.sum(dtype=np.int64))
        removed += _removed_tokens(block)
        fault = _fault(block, reader)
        if fault is not None:
            raise SchemaError(f"pack set {reader.folder}, sequence {first + fault[0]}: {fault[1]}")
        first += block.rows
    if tokens != manifest["tokens"]:
        raise SchemaError(f"pack set {reader.folder} holds {tokens} tokens, not {manifest['tokens']}")
    if removed != manifest.get("removed_tokens", 0):
        raise SchemaError(f"pack set {reader.folder}: {removed} tokens are removed, not {manifest['removed_tokens']}")


def piece_lengths(block: Block) -> np.ndarray:
    """Tokens of each piece of a block."""
    ends = np.append(block.doc_starts[1:], 0)
    ends[block.doc_bounds[1:] - 1] = block.lengths
    return np.asarray(ends - block.doc_starts)


def _removed_tokens(block: Block) -> int:
    return 0 if block.removed is None else int(piece_lengths(block)[block.removed].sum(dtype=np.int64))


def _fault(block: Block, reader: PackReader) -> tuple[int, str] | None:
    """(row, what is wrong) of the first row that breaks the format, or None."""
    length, total = reader.sequence_length, reader.total_ids
    for row, valid in enumerate(block.lengths.tolist()):
        ids = block.ids(row)
        begin, end = block.doc_bounds[row], block.doc_bounds[row + 1]
        starts = block.doc_starts[begin:end]
        if not 0 < valid <= length:
            return row, f"length {valid} is not in 1..{length}"
        if int(ids.max()) >= total:
            return row, f"id {int(ids.max())} is beyond the {total} ids of the set"
        if not (ids[valid:] == reader.pad_id).all():
            return row, "what follows its valid tokens is not padding"
        if len(starts) == 0 or starts[0] != 0 or (np.diff(starts) <= 0).any() or starts[-1] >= valid:
            return row, f"its document starts {starts.tolist()} are not ascending from 0 within {valid} tokens"
        if (block.doc_offsets[begin:end] < 0).any():
            return row, "a piece has a negative offset in its document"
        if len(block.batch.column("doc_ids")[row]) != len(starts):
            return row, "it doesn't have one document id for each start"
        if block.removed is not None:
            mask = block.sequence(row).loss_mask()[:valid]
            if (ids[:valid][~mask] < reader.vocab_size).any():
                return row, "a removed piece still holds ids of the vocabulary"
    return None
