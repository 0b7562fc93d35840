"""From a position in a pack set back to the document and the WARC record that its token came from.

Reads the pack set and the Parquet files in its `documents/` folder (`id, url, record`, and `title`
where there is one), which hold one row for each document in the packs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ConfigError, SchemaError
from .packs import TOKENIZER, PackReader, open_packs

CONTEXT_TOKENS = 24


@dataclass(frozen=True)
class Trace:
    """Where a token came from. `token_offset` counts from the document's first token; `context` is the
    text around the token, itself between `⟦⟧`, within its document and sequence."""

    document: str
    url: str | None
    record: dict[str, Any]
    title: str | None
    token_offset: int
    token_id: int
    context: str | None


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
    found = _look_up(reader.folder, document)
    return Trace(
        document=document,
        url=found.get("url"),
        record=found.get("record") or {},
        title=found.get("title"),
        token_offset=position - start + (row.first_doc_offset if which == 0 else 0),
        token_id=int(row.input_ids[position]),
        context=_context(reader, tokenizer, row.input_ids[start:end].tolist(), position - start),
    )


def _look_up(folder: Path, document: str) -> dict[str, Any]:
    """The row of `document` in the Parquet files beside the packs; only the ids of all rows are read."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    files = sorted((folder / "documents").glob("*.parquet"))
    if not files:
        raise ConfigError(f"{folder} has no documents/*.parquet, so it can't be traced; run the pack step again")
    documents = ds.dataset([str(file) for file in files])
    columns = [c for c in ("id", "url", "record", "title") if c in documents.schema.names]
    rows = documents.to_table(columns=columns, filter=pc.field("id") == document).to_pylist()
    if not rows:
        raise SchemaError(f"document {document} is in the packs of {folder} but not in its documents/")
    return dict(rows[0])


def _context(reader: PackReader, tokenizer: str | Path | None, ids: list[int], at: int) -> str | None:
    from .bpe import load_tokenizer

    path = Path(tokenizer) if tokenizer is not None else reader.folder / TOKENIZER
    if tokenizer is None and not path.is_file():
        return None
    eos = int(reader.manifest["eos_id"])
    loaded = load_tokenizer(path, reader.manifest.get("eos"))
    if loaded.fingerprint != reader.manifest["tokenizer"]["fingerprint"] or loaded.eos_id != eos:
        raise ConfigError(f"{path} is not the tokenizer that made {reader.folder}")
    before, after = ids[max(at - CONTEXT_TOKENS, 0) : at], ids[at + 1 : at + 1 + CONTEXT_TOKENS]
    return f"{loaded.decode(before)}⟦{loaded.decode([ids[at]])}⟧{loaded.decode(after)}"
