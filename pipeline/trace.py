"""From a position in a pack set back to the document and the WARC record that its token came from.

Reads the pack set and the Parquet files in its `documents/` folder (`id, url, record`, and `title`
where there is one), which hold one row for each document in the packs; for removed documents also the
log in `removals/`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ConfigError, SchemaError
from .packreader import PackReader, open_packs
from .packs import TOKENIZER
from .storage import local_file, place

CONTEXT_TOKENS = 24


@dataclass(frozen=True)
class Trace:
    """Where a token came from. `token_offset` counts from the document's first token, and is for a control id before a
    piece that of the token behind it; `context` is the text around the token, itself between `⟦⟧`, within its document
    and sequence. `removed` says why the document was taken out, and null of one that wasn't; then the token and the
    text around it are gone, and `token_offset` is still that of the token which was there."""

    document: str
    url: str | None
    record: dict[str, Any]
    title: str | None
    token_offset: int
    token_id: int
    context: str | None
    removed: str | None = None


def trace(pack_dir: str | Path, sequence: int, position: int, *, tokenizer: str | Path | None = None) -> Trace:
    """The document behind token `position` of sequence `sequence` (both from 0).

    The context is decoded with the pack set's own tokenizer, or `tokenizer`, and null if there is none.
    Raises ConfigError for a position that doesn't exist, is padding, or whose documents are not
    described beside the packs; SchemaError if the pack set is damaged.
    """
    reader = open_packs(pack_dir)
    if not 0 <= sequence < len(reader):
        raise ConfigError(f"{pack_dir} has sequences 0 to {len(reader) - 1}, not {sequence}")
    row = reader[sequence]
    if not 0 <= position < reader.sequence_length:
        raise ConfigError(f"a sequence has positions 0 to {reader.sequence_length - 1}, not {position}")
    if position >= row.length:
        raise ConfigError(f"position {position} of sequence {sequence} is padding: it has {row.length} tokens")
    which = int(np.searchsorted(row.doc_starts, position, side="right")) - 1
    start = int(row.doc_starts[which])
    end = int(row.doc_starts[which + 1]) if which + 1 < len(row.doc_starts) else row.length
    document = row.doc_ids[which]
    found = _look_up(reader, document)
    removed = bool(row.removed[which])
    first, count = reader.manifest["reserved_ids"]["control"]
    led = position > start and first <= int(row.input_ids[start]) < first + count
    return Trace(
        document=document,
        url=found.get("url"),
        record=found.get("record") or {},
        title=found.get("title"),
        token_offset=position - start - led + int(row.doc_offsets[which]),
        token_id=int(row.input_ids[position]),
        context=None if removed else _context(reader, tokenizer, row.input_ids[start:end].tolist(), position - start),
        removed=_reason(reader, document) if removed else None,
    )


def _look_up(reader: PackReader, document: str) -> dict[str, Any]:
    """The row of `document` in the Parquet files beside the packs; only the ids of all rows are read."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    folder, files = reader.folder, [path for path in reader.document_files() if path.is_file()]
    if not files:
        raise ConfigError(f"{folder} has no documents/*.parquet, so it can't be traced; run the pack step again")
    documents = ds.dataset([local_file(file) for file in files])
    columns = [c for c in ("id", "url", "record", "title") if c in documents.schema.names]
    rows = documents.to_table(columns=columns, filter=pc.field("id") == document).to_pylist()
    if not rows:
        raise SchemaError(f"document {document} is in the packs of {folder} but not in its documents/")
    return dict(rows[0])


def _reason(reader: PackReader, document: str) -> str:
    """Why a document was removed, from the logs of the removals."""
    for entry in reader.manifest.get("removals", []):
        for line in reader.store.read(entry["path"]).splitlines():
            said = json.loads(line)
            if said["id"] == document:
                return str(said["why"])
    raise SchemaError(f"document {document} is removed from {reader.store.where}, but none of its logs says why")


def _context(reader: PackReader, tokenizer: str | Path | None, ids: list[int], at: int) -> str | None:
    from .bpe import load_tokenizer

    path = place(tokenizer) if tokenizer is not None else reader.folder / TOKENIZER
    if tokenizer is None and not path.is_file():
        return None
    eos = int(reader.manifest["eos_id"])
    loaded = load_tokenizer(path, reader.manifest.get("eos"))
    if loaded.fingerprint != reader.manifest["tokenizer"]["fingerprint"] or loaded.eos_id != eos:
        raise ConfigError(f"{path} is not the tokenizer that made {reader.folder}")
    before, after = ids[max(at - CONTEXT_TOKENS, 0) : at], ids[at + 1 : at + 1 + CONTEXT_TOKENS]
    return f"{loaded.decode(before)}⟦{loaded.decode([ids[at]])}⟧{loaded.decode(after)}"
