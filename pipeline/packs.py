"""Pack format v1: fixed-length token sequences in memory-mapped Arrow IPC files, plus a manifest.

A pack set is a folder:

    manifest.json             what is there, with checksums; deterministic
    packs/00000.arrow ...     Arrow IPC files, not compressed, so that reading is mapping
    tokenizer.json            the tokenizer's own file, where the writer was given it

Columns of a pack file, one row a sequence of T ids:

    input_ids         fixed_size_list<uint16 | uint32>[T]   the tail of the last sequence is padded
    length            int32           valid tokens, T for all but the last sequence
    first_doc_offset  int64           tokens of the first document that lie in earlier sequences, 0 if it starts here
    doc_starts        list<int32>     offsets at which a document starts, or goes on (always 0 first)
    doc_ids           list<string>    the document of each start
    body_starts       list<int32>     optional: where each document's body begins after its title

Ids from `vocab_size` up are reserved for padding, masking, sentinels and control tokens and are
listed in the manifest. A reader ignores keys and columns that it doesn't know and refuses a higher
version. Writing is in `packing`.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .errors import ConfigError, SchemaError
from .store import atomic_path, file_digest, write_json

if TYPE_CHECKING:
    from .bpe import LoadedTokenizer

FORMAT = "gristmill-pack"
VERSION = 1
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
SENTINELS = 100
CONTROLS = 26
RESERVED = 2 + SENTINELS + CONTROLS
"""Ids above the vocabulary that every pack set sets aside: pad, mask, sentinels, control tokens."""

Ids = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


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


def pack_schema(sequence_length: int, dtype: str, body_starts: bool = False) -> pa.Schema:
    """Arrow schema of a pack file."""
    fields = [
        pa.field("input_ids", pa.list_(pa.from_numpy_dtype(np.dtype(dtype)), sequence_length)),
        pa.field("length", pa.int32()),
        pa.field("first_doc_offset", pa.int64()),
        pa.field("doc_starts", pa.list_(pa.int32())),
        pa.field("doc_ids", pa.list_(pa.string())),
    ]
    if body_starts:
        fields.append(pa.field("body_starts", pa.list_(pa.int32())))
    return pa.schema(fields, metadata={"format": FORMAT, "version": str(VERSION)})


def write_manifest(
    folder: str | Path,
    *,
    tokenizer: LoadedTokenizer,
    sequence_length: int,
    files: list[dict[str, Any]],
    empty_documents: int = 0,
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write `manifest.json` (and the tokenizer's file) over the finished packs of `folder`; returns its content.

    `files` are the results of `packing.write_pack` in any order; `empty_documents` counts documents
    without a token, which no pack can hold; `extra` is free-form JSON that readers hand on.
    """
    folder = Path(folder)
    files = sorted(files, key=lambda f: str(f["path"]))
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "method": "concatenate",
        "tail": "pad",
        "sequence_length": sequence_length,
        "dtype": tokenizer.dtype,
        "tokenizer": {"fingerprint": tokenizer.fingerprint, "file": TOKENIZER},
        "vocab_size": tokenizer.vocab_size,
        "eos": tokenizer.eos,
        "eos_id": tokenizer.eos_id,
        "reserved_ids": reserved_ids(tokenizer.vocab_size),
        "total_ids": tokenizer.vocab_size + RESERVED,
        "sequences": sum(f["sequences"] for f in files),
        "tokens": sum(f["tokens"] for f in files),
        "documents": sum(f["documents"] for f in files),
        "empty_documents": empty_documents,
        "files": files,
        "extra": extra or {},
    }
    with atomic_path(folder / TOKENIZER) as temporary:
        temporary.write_bytes(tokenizer.path.read_bytes())
    write_json(folder / MANIFEST, manifest)
    return manifest


@dataclass(frozen=True)
class Sequence:
    """One row of a pack set. `input_ids` (T,) is a view of the mapped file; from `length` on it is padding."""

    input_ids: Ids
    length: int
    first_doc_offset: int
    doc_starts: npt.NDArray[np.int32]
    doc_ids: list[str]
    body_starts: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Block:
    """One record batch of a pack file as arrays over the map: N sequences of T ids.

    Row i's documents start at `doc_starts[doc_offsets[i] : doc_offsets[i + 1]]`.
    """

    input_ids: Ids
    lengths: npt.NDArray[np.int32]
    first_doc_offsets: npt.NDArray[np.int64]
    doc_offsets: npt.NDArray[np.int32]
    doc_starts: npt.NDArray[np.int32]
    batch: pa.RecordBatch


def open_packs(folder: str | Path) -> PackReader:
    """Open the pack set in `folder`.

    Raises ConfigError where there is none, SchemaError where its version is not ours to read or a
    file is missing, truncated or doesn't match the manifest.
    """
    return PackReader(Path(folder))


class PackReader:
    """Random access to the sequences of a pack set, O(1) and without copies. Picklable (reopens its files)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = _read_manifest(folder)
        self.sequence_length: int = self.manifest["sequence_length"]
        self.dtype = np.dtype(self.manifest["dtype"])
        self.vocab_size: int = self.manifest["vocab_size"]
        self.total_ids: int = self.manifest["total_ids"]
        self.pad_id: int = self.manifest["reserved_ids"]["pad"]
        self.blocks: list[Block] = []
        for entry in self.manifest["files"]:
            self.blocks.extend(self._open(entry))
        counts = [len(block.lengths) for block in self.blocks]
        self.block_starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        """Sequence number of each block's first row, and the total at the end."""
        self._starts: list[int] = self.block_starts.tolist()

    def _open(self, entry: dict[str, Any]) -> list[Block]:
        path = self.folder / entry["path"]
        try:
            size = path.stat().st_size
        except OSError as error:
            raise SchemaError(f"pack file {path} can't be read ({error.strerror}); run the pack step again") from error
        if size != entry["bytes"]:
            raise SchemaError(
                f"pack file {path} has {size} bytes, the manifest says {entry['bytes']}: truncated or replaced;"
                " run the pack step again"
            )
        try:
            file = pa.ipc.open_file(pa.memory_map(str(path)))
            batches = [file.get_batch(i) for i in range(file.num_record_batches)]
        except (pa.ArrowInvalid, OSError) as error:
            raise SchemaError(f"pack file {path} is corrupt ({error}); run the pack step again") from error
        expected = pack_schema(self.sequence_length, self.dtype.name)
        for want in expected:
            index = file.schema.get_field_index(want.name)
            if index < 0 or file.schema.field(index).type != want.type:
                found = file.schema.field(index).type if index >= 0 else "nothing"
                raise SchemaError(f"pack file {path}: column '{want.name}' is {found}, not {want.type}")
        if sum(batch.num_rows for batch in batches) != entry["sequences"]:
            raise SchemaError(f"pack file {path} doesn't hold the {entry['sequences']} sequences of the manifest")
        return [self._block(batch) for batch in batches if batch.num_rows]

    def _block(self, batch: pa.RecordBatch) -> Block:
        starts = batch.column("doc_starts")
        return Block(
            input_ids=batch.column("input_ids").flatten().to_numpy().reshape(-1, self.sequence_length),
            lengths=batch.column("length").to_numpy(),
            first_doc_offsets=batch.column("first_doc_offset").to_numpy(),
            doc_offsets=starts.offsets.to_numpy(),
            doc_starts=starts.values.to_numpy(),
            batch=batch,
        )

    def __len__(self) -> int:
        return self._starts[-1]

    def __reduce__(self) -> tuple[Any, ...]:
        return open_packs, (self.folder,)

    def locate(self, index: int) -> tuple[Block, int]:
        """(block, row in it) of sequence `index`; negative counts from the end. Raises IndexError."""
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"sequence {index} of {n} in {self.folder}")
        index %= n
        number = bisect_right(self._starts, index) - 1
        return self.blocks[number], index - self._starts[number]

    def __getitem__(self, index: int) -> Sequence:
        block, row = self.locate(index)
        begin, end = block.doc_offsets[row], block.doc_offsets[row + 1]
        bodies = None
        if "body_starts" in block.batch.schema.names:
            bodies = block.batch.column("body_starts")[row].values.to_numpy()
        return Sequence(
            input_ids=block.input_ids[row],
            length=int(block.lengths[row]),
            first_doc_offset=int(block.first_doc_offsets[row]),
            doc_starts=block.doc_starts[begin:end],
            doc_ids=block.batch.column("doc_ids")[row].as_py(),
            body_starts=bodies,
        )

    def verify(self) -> None:
        """Read everything and compare with the manifest: checksums, counts, ids, boundaries. Raises SchemaError."""
        for entry in self.manifest["files"]:
            path = self.folder / entry["path"]
            if file_digest(path) != entry["blake2b"]:
                raise SchemaError(f"pack file {path}: checksum differs from the manifest; run the pack step again")
        tokens = 0
        for first, block in zip(self._starts, self.blocks, strict=False):
            tokens += int(block.lengths.sum(dtype=np.int64))
            fault = _fault(block, self.sequence_length, self.pad_id, self.total_ids)
            if fault is not None:
                raise SchemaError(f"pack set {self.folder}, sequence {first + fault[0]}: {fault[1]}")
        if tokens != self.manifest["tokens"]:
            raise SchemaError(f"pack set {self.folder} holds {tokens} tokens, not {self.manifest['tokens']}")


def _fault(block: Block, length: int, pad_id: int, total_ids: int) -> tuple[int, str] | None:
    """(row, what is wrong) of the first row that breaks the format, or None."""
    for row, valid in enumerate(block.lengths):
        ids = block.input_ids[row]
        starts = block.doc_starts[block.doc_offsets[row] : block.doc_offsets[row + 1]]
        if not 0 < valid <= length:
            return row, f"length {valid} is not in 1..{length}"
        if int(ids.max()) >= total_ids:
            return row, f"id {int(ids.max())} is beyond the {total_ids} ids of the set"
        if not (ids[valid:] == pad_id).all():
            return row, "what follows its valid tokens is not padding"
        if len(starts) == 0 or starts[0] != 0 or (np.diff(starts) <= 0).any() or starts[-1] >= valid:
            return row, f"its document starts {starts.tolist()} are not ascending from 0 within {valid} tokens"
        if len(block.batch.column("doc_ids")[row]) != len(starts):
            return row, "it doesn't have one document id for each start"
    return None


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} is no pack set: it has no {MANIFEST}; make one with the pack step") from error
    except (OSError, ValueError) as error:
        raise SchemaError(f"{path} can't be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ConfigError(f"{path} is not the manifest of a pack set (no format '{FORMAT}')")
    version = manifest.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise SchemaError(f"{path} has pack format version {version}; this Gristmill reads up to {VERSION}: update it")
    needed = ("sequence_length", "dtype", "vocab_size", "total_ids", "reserved_ids", "tokens", "files")
    missing = [key for key in needed if key not in manifest]
    if missing:
        raise SchemaError(f"{path} lacks {missing}; run the pack step again")
    return manifest
