"""Pack format v2: fixed-length token sequences in memory-mapped Arrow IPC files, plus a manifest.

A pack set is a folder:

    manifest.json                what is there, with checksums; deterministic
    packs/00000.arrow ...        Arrow IPC files, not compressed, so that reading is mapping
    documents/00000.parquet ...  what is known of each document (`id, url, record, ...`); `trace` and `remove` read it,
                                 and `remove` empties the titles and other texts of what it takes out
    removals/00001.jsonl ...     one line for each document that `remove` took out
    tokenizer.json               the tokenizer's own file

Columns of a pack file, one row a sequence of T ids:

    input_ids    fixed_size_list<uint16 | uint32>[T]   filled up with padding from `length` on
    length       int32          tokens before the padding
    doc_starts   list<int32>    where each piece of a document begins (always 0 first)
    doc_ids      list<string>   the document of each piece
    doc_offsets  list<int64>    tokens of the document that come before its piece: 0 where it begins here
    body_starts  list<int32>    optional: where each piece's body begins after the document's title
    removed      list<bool>     optional: pieces that `remove` overwrote; they are masked from the loss

Version 1 had `first_doc_offset int64` (of the first piece; the others began in the row) for
`doc_offsets`, and no fingerprint, documents' checksums or batches in its manifest. `packreader` reads both.

The manifest's `fingerprint` is a hash of everything else in it, files' checksums included. A set made
from .storage import place
from another one by `remove` names that one's as `parent`, and all before it as `ancestors`, the oldest
first. `phases` are parts of the set, in order, which a loader shuffles each by itself.

Ids from `vocab_size` up are reserved for padding, masking, sentinels and control tokens and are
listed in the manifest. A reader ignores keys and columns that it doesn't know and refuses a higher
version. Writing is in `packing`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .errors import ConfigError, SchemaError
from .names import check_entries
from .storage import place
from .store import atomic_path, digest, write_json

if TYPE_CHECKING:
    from .bpe import LoadedTokenizer

FORMAT = "gristmill-pack"
VERSION = 2
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
SENTINELS = 100
CONTROLS = 26
RESERVED = 2 + SENTINELS + CONTROLS
"""Ids above the vocabulary that every pack set sets aside: pad, mask, sentinels, control tokens."""

METHODS = ("best_fit", "concatenate")


def id_dtype(vocab_size: int) -> str:
    """'uint16' if the vocabulary and the reserved ids fit it, else 'uint32'."""
    return "uint16" if vocab_size + RESERVED <= 1 << 16 else "uint32"


def reserved_ids(vocab_size: int) -> dict[str, Any]:
    """Ids above the vocabulary: `pad`, `mask`, and `sentinels` and `control` as [first id, count]."""
    return {
        "pad": vocab_size,
        "mask": vocab_size + 1,
        "sentinels": [vocab_size + 2, SENTINELS],
        "control": [vocab_size + 2 + SENTINELS, CONTROLS],
    }


def pack_name(index: int) -> str:
    """Path of pack file `index` relative to the folder of its set."""
    return f"packs/{index:05d}.arrow"


def pack_schema(
    sequence_length: int, dtype: str, *, body_starts: bool = False, removed: bool = False, version: int = VERSION
) -> pa.Schema:
    """Arrow schema of a pack file."""
    fields = [
        pa.field("input_ids", pa.list_(pa.from_numpy_dtype(np.dtype(dtype)), sequence_length)),
        pa.field("length", pa.int32()),
        pa.field("doc_starts", pa.list_(pa.int32())),
        pa.field("doc_ids", pa.list_(pa.string())),
    ]
    if version == 1:
        fields.append(pa.field("first_doc_offset", pa.int64()))
    else:
        fields.append(pa.field("doc_offsets", pa.list_(pa.int64())))
    if body_starts:
        fields.append(pa.field("body_starts", pa.list_(pa.int32())))
    if removed:
        fields.append(pa.field("removed", pa.list_(pa.bool_())))
    return pa.schema(fields, metadata={"format": FORMAT, "version": str(version)})


def write_manifest(
    folder: str | Path,
    *,
    tokenizer: LoadedTokenizer,
    sequence_length: int,
    files: list[dict[str, Any]],
    method: str = "concatenate",
    empty_documents: int = 0,
    documents: list[dict[str, Any]] | None = None,
    phases: list[dict[str, Any]] | None = None,
    recipe: dict[str, Any] | None = None,
    provenance: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write `manifest.json` (and the tokenizer's file) over the finished packs of `folder`; returns its content.

    `files` are the results of `packing.write_pack`, in the order of the sequences; `empty_documents`
    counts documents without a token, which no pack can hold; `documents` are the entries of the files in
    `documents/`; `phases` are {name, sequences} in order; `recipe` and `provenance` are free-form JSON
    that says how the set was made and of what.
    """
    folder = place(folder)
    sequences, tokens = sum(f["sequences"] for f in files), sum(f["tokens"] for f in files)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "method": method,
        "sequence_length": sequence_length,
        "dtype": tokenizer.dtype,
        "tokenizer": {"fingerprint": tokenizer.fingerprint, "file": TOKENIZER},
        "vocab_size": tokenizer.vocab_size,
        "eos": tokenizer.eos,
        "eos_id": tokenizer.eos_id,
        "reserved_ids": reserved_ids(tokenizer.vocab_size),
        "total_ids": tokenizer.vocab_size + RESERVED,
        "sequences": sequences,
        "tokens": tokens,
        "removed_tokens": 0,
        "utilisation": tokens / (sequences * sequence_length) if sequences else 1.0,
        "documents": sum(f["documents"] for f in files),
        "truncated_documents": sum(f.get("truncated", 0) for f in files),
        "empty_documents": empty_documents,
        "files": files,
        "document_files": documents or [],
        "phases": phases or [{"name": "all", "sequences": sequences}],
        "recipe": recipe or {},
        "provenance": provenance or {},
        "parent": None,
        "ancestors": [],
        "removals": [],
    }
    with atomic_path(folder / TOKENIZER) as temporary:
        temporary.write_bytes(tokenizer.path.read_bytes())
    return seal(folder, manifest)


def seal(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write the manifest with its fingerprint; with this the set becomes what it says. Returns it."""
    manifest = {**manifest, "fingerprint": fingerprint(manifest)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def fingerprint(manifest: dict[str, Any]) -> str:
    """Hash of a manifest's content but for the fingerprint itself, 32 hex digits."""
    return digest({key: value for key, value in manifest.items() if key != "fingerprint"})


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _check_values(manifest: dict[str, Any], where: str) -> None:
    """Raise SchemaError where a value that readers go by has another type than it must have."""
    reserved = manifest["reserved_ids"]
    wrong = [key for key in ("sequence_length", "vocab_size", "total_ids", "tokens") if not _whole(manifest[key])]
    wrong += [] if manifest["dtype"] in ("uint16", "uint32") else ["dtype"]
    wrong += [] if isinstance(reserved, dict) and _whole(reserved.get("pad")) else ["reserved_ids"]
    wrong += (
        [] if _whole(manifest["sequence_length"]) and 0 < manifest["sequence_length"] < 1 << 31 else ["sequence_length"]
    )
    for entry in manifest["files"]:
        wrong += [f"files: {key}" for key in ("bytes", "sequences") if not _whole(entry.get(key))]
        rows = entry.get("batches") if manifest["version"] > 1 else []
        if not isinstance(rows, list) or not all(isinstance(one, list) and all(map(_whole, one)) for one in rows):
            wrong.append("files: batches")
    phases = manifest.get("phases", [])
    if not isinstance(phases, list) or not all(
        isinstance(one, dict) and _whole(one.get("sequences")) for one in phases
    ):
        wrong.append("phases")
    wrong += [] if isinstance(manifest.get("ancestors", []), list) else ["ancestors"]
    if wrong:
        raise SchemaError(f"{where} is damaged: {', '.join(dict.fromkeys(wrong))} can't be so; run the pack step again")


def parse_manifest(content: bytes, where: str) -> dict[str, Any]:
    """The manifest in a file's content, of version 1 or 2, with `fingerprint`, `ancestors` and `phases` in both.

    Version 1 named no fingerprint: its is the hash of the file. Raises ConfigError where it is no pack
    set's, SchemaError where it is damaged or of a version that is not ours to read; `where` names it.
    """
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{where} can't be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ConfigError(f"{where} is not the manifest of a pack set (no format '{FORMAT}')")
    version = manifest.get("version")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise SchemaError(f"{where} has pack format version {version}; this Gristmill reads up to {VERSION}: update it")
    needed = ("sequence_length", "dtype", "vocab_size", "total_ids", "reserved_ids", "tokens", "files")
    missing = [key for key in needed if key not in manifest]
    if missing:
        raise SchemaError(f"{where} lacks {missing}; run the pack step again")
    for kind in ("files", "document_files", "removals"):
        check_entries(manifest.get(kind, []), "path", where)
    _check_values(manifest, where)
    if version == 1:
        manifest["fingerprint"] = hashlib.blake2b(content, digest_size=16).hexdigest()
    elif manifest.get("fingerprint") != fingerprint(manifest):
        raise SchemaError(f"{where}: its content doesn't match its fingerprint: changed since; run the pack step again")
    manifest.setdefault("ancestors", [])
    manifest.setdefault("phases", [{"name": "all", "sequences": sum(f["sequences"] for f in manifest["files"])}])
    return manifest
