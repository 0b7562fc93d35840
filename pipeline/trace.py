"""From a position in a pack back to the document, its URL and its WARC record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from .errors import ConfigError, SchemaError
from .packs import TOKENIZER, PackReader, open_packs

CONTEXT = 16
"""Tokens shown on either side."""


@dataclass(frozen=True)
class Trace:
    """Where a token came from."""

    document: str  # id
    url: str | None
    title: str | None
    record: dict[str, Any]  # schema.RECORD
    token: int  # its id in the vocabulary
    offset: int  # tokens of the document before it
    n_tokens: int  # tokens of the whole document, end-of-document included
    before: str  # text of the tokens before it, in the same document
    text: str  # its own text
    after: str


def trace(packs: Path, sequence: int, position: int) -> Trace:
    """What token `position` of sequence `sequence` (both from 0) belongs to.

    Raises ConfigError for a place outside the pack or in its padding, SchemaError where the folder
    `documents/` doesn't know the document.
    """
    reader = open_packs(packs)
    if not 0 <= sequence < len(reader):
        raise ConfigError(f"sequence {sequence} does not exist: {packs} has the sequences 0 to {len(reader) - 1}")
    found = reader[sequence]
    if not 0 <= position < found.length:
        raise ConfigError(f"position {position} does not exist: sequence {sequence} has the tokens 0 to {found.length - 1}")
    number = int(np.searchsorted(found.doc_starts, position, side="right")) - 1
    start = int(found.doc_starts[number])
    end = int(found.doc_starts[number + 1]) if number + 1 < len(found.doc_starts) else found.length
    key = found.doc_ids[number]
    row = _document(packs, key)
    ids = found.input_ids
    decode = _decoder(reader)
    return Trace(
        document=key,
        url=row["url"],
        title=row["title"],
        record=row["record"],
        token=int(ids[position]),
        offset=position - start + (found.first_doc_offset if number == 0 else 0),
        n_tokens=row["n_tokens"],
        before=decode(ids[max(start, position - CONTEXT) : position]),
        text=decode(ids[position : position + 1]),
        after=decode(ids[position + 1 : min(end, position + 1 + CONTEXT)]),
    )


def _document(packs: Path, key: str) -> dict[str, Any]:
    folder = packs / "documents"
    if not folder.is_dir():
        raise SchemaError(f"{packs} has no folder `documents`, so its tokens can't be traced; run the pack step again")
    rows = ds.dataset(folder, format="parquet").to_table(filter=pc.field("id") == key).to_pylist()
    if not rows:
        raise SchemaError(f"document {key} is not in {folder}; run the pack step again")
    return dict(rows[0])


def _decoder(reader: PackReader) -> Any:
    from .bpe import load_tokenizer

    path = reader.folder / TOKENIZER
    if not path.exists():
        return lambda ids: ""
    tokenizer = load_tokenizer(path)
    return lambda ids: tokenizer.decode(ids.tolist())
