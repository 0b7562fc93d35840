"""Random access to the sequences of a pack set, of format 1 or 2, on this machine or behind a URL."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .errors import ConfigError, SchemaError
from .packfiles import RangedFile, Store
from .packs import MANIFEST, pack_schema, parse_manifest

Ids = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Sequence:
    """One row of a pack set. `input_ids` (T,) is a view of the mapped file; from `length` on it is padding.

    Piece k belongs to document `doc_ids[k]`, begins at `doc_starts[k]` and is preceded by
    `doc_offsets[k]` tokens of its document elsewhere. `removed[k]`: the piece was overwritten.
    """

    input_ids: Ids
    length: int
    doc_starts: npt.NDArray[np.int32]
    doc_offsets: npt.NDArray[np.int64]
    doc_ids: list[str]
    removed: npt.NDArray[np.bool_]
    body_starts: npt.NDArray[np.int32] | None = None

    def loss_mask(self) -> npt.NDArray[np.bool_]:
        """(T,): whether a token may be learned from; false on padding and on what was removed."""
        mask = np.zeros(len(self.input_ids), bool)
        mask[: self.length] = np.repeat(~self.removed, np.diff(self.doc_starts, append=self.length))
        return mask


class Block:
    """One record batch of a pack file: N sequences of T ids.

    `ids(row)` is cheap at once; the other columns are read when first asked for, as arrays over the
    file's map (or the fetched ranges). The pieces of row i are `doc_bounds[i]` to `doc_bounds[i + 1]`.
    """

    def __init__(self, file: _PackFile, number: int, rows: int) -> None:
        self._file, self._number, self.rows = file, number, rows
        self._mapped: Ids | None = None

    @property
    def mapped(self) -> bool:
        """Whether `input_ids` is a view of the file, and costs nothing."""
        return self._file.mapped

    def ids(self, row: int) -> Ids:
        """(T,) ids of a row: a view where the file is mapped."""
        if self._mapped is not None:
            return self._mapped[row]
        return self.input_ids[row] if self.mapped else self._file.row(self._number, row)

    @property
    def input_ids(self) -> Ids:
        """(N, T) ids of all rows; those of a remote block are fetched."""
        if self._mapped is not None:
            return self._mapped
        if not self.mapped:
            return cast(Ids, np.stack([self._file.row(self._number, row) for row in range(self.rows)]))
        self._mapped = self._file.array(self._number)
        return self._mapped

    @cached_property
    def batch(self) -> pa.RecordBatch:
        """All columns but `input_ids`."""
        return self._file.columns(self._number)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int32]:
        return np.asarray(self.batch.column("length").to_numpy())

    @cached_property
    def doc_bounds(self) -> npt.NDArray[np.int32]:
        return np.asarray(self.batch.column("doc_starts").offsets.to_numpy())

    @cached_property
    def doc_starts(self) -> npt.NDArray[np.int32]:
        return np.asarray(self.batch.column("doc_starts").values.to_numpy())

    @cached_property
    def doc_offsets(self) -> npt.NDArray[np.int64]:
        if "doc_offsets" in self.batch.schema.names:
            return np.asarray(self.batch.column("doc_offsets").values.to_numpy())
        offsets = np.zeros(int(self.doc_bounds[-1]), np.int64)  # version 1: only the first piece may go on
        offsets[self.doc_bounds[:-1]] = self.batch.column("first_doc_offset").to_numpy()
        return offsets

    @cached_property
    def doc_ids(self) -> pa.Array:
        """The document of each piece, flat as `doc_starts`."""
        return self.batch.column("doc_ids").values

    @cached_property
    def removed(self) -> npt.NDArray[np.bool_] | None:
        """Whether each piece was overwritten; None where nothing was."""
        if "removed" not in self.batch.schema.names:
            return None
        return np.asarray(self.batch.column("removed").values.to_numpy(zero_copy_only=False))

    def sequence(self, row: int) -> Sequence:
        """Row `row` with its documents."""
        begin, end = int(self.doc_bounds[row]), int(self.doc_bounds[row + 1])
        bodies = None
        if "body_starts" in self.batch.schema.names:
            bodies = self.batch.column("body_starts").values.to_numpy()[begin:end]
        return Sequence(
            input_ids=self.ids(row),
            length=int(self.lengths[row]),
            doc_starts=self.doc_starts[begin:end],
            doc_offsets=self.doc_offsets[begin:end],
            doc_ids=self.doc_ids.slice(begin, end - begin).to_pylist(),
            removed=np.zeros(end - begin, bool) if self.removed is None else self.removed[begin:end],
            body_starts=bodies,
        )


class _PackFile:
    """One pack file, opened when first read."""

    def __init__(self, store: Store, entry: dict[str, Any], sequence_length: int, dtype: Any, version: int) -> None:
        self._store, self._entry, self._version = store, entry, version
        self._length, self._dtype = sequence_length, dtype
        self._file: Any = None
        self._ranged: RangedFile | None = None
        self._lock = threading.Lock()
        self.mapped = store.local or version == 1
        """Version 1 doesn't say where ids lie in a file, so that a remote one is read batch by batch."""

    def blocks(self) -> list[Block]:
        """Its blocks; a file of version 2 behind a URL is not touched for that."""
        if self.mapped:
            file = self._open()
            rows = [file.get_batch(i).num_rows for i in range(file.num_record_batches)]
        else:
            rows = [batch[0] for batch in self._entry["batches"]]
        if sum(rows) != self._entry["sequences"]:
            raise SchemaError(f"pack file {self._name} doesn't hold the {self._entry['sequences']} sequences it should")
        return [Block(self, number, count) for number, count in enumerate(rows) if count]

    def row(self, number: int, row: int) -> Ids:
        """The ids of one row of batch `number`, by a ranged read."""
        self._open()
        assert self._ranged is not None
        width = self._length * self._dtype.itemsize
        found = self._ranged.read_at(self._entry["batches"][number][1] + row * width, width)
        return cast(Ids, np.frombuffer(found, self._dtype))

    def array(self, number: int) -> Ids:
        """The ids of batch `number`, a view of the map."""
        column = self._open().get_batch(number).column("input_ids")
        return cast(Ids, column.flatten().to_numpy().reshape(-1, self._length))

    def columns(self, number: int) -> pa.RecordBatch:
        """The batch without `input_ids`, which a remote file is then not read for."""
        file = self._open()
        if self._ranged is None:
            return file.get_batch(number)
        names = [name for name in file.schema.names if name != "input_ids"]
        options = pa.ipc.IpcReadOptions(included_fields=[file.schema.get_field_index(name) for name in names])
        return pa.ipc.open_file(pa.PythonFile(self._ranged, mode="r"), options=options).get_batch(number)

    @property
    def _name(self) -> str:
        return self._store.name(self._entry["path"])

    def _open(self) -> Any:
        with self._lock:
            if self._file is None:
                self._file = self._opened()
            return self._file

    def _opened(self) -> Any:
        size = self._store.size(self._entry["path"])
        if size != self._entry["bytes"]:
            raise SchemaError(
                f"pack file {self._name} has {size} bytes, the manifest says {self._entry['bytes']}: truncated or"
                " replaced; run the pack step again"
            )
        try:
            source, self._ranged = self._store.open(self._entry["path"])
            file = pa.ipc.open_file(source)
            if self._ranged is None:
                for i in range(file.num_record_batches):
                    file.get_batch(i)
        except (pa.ArrowException, OSError) as error:
            raise SchemaError(f"pack file {self._name} is corrupt ({error}); run the pack step again") from error
        for want in pack_schema(self._length, self._dtype.name, version=self._version):
            index = file.schema.get_field_index(want.name)
            if index < 0 or file.schema.field(index).type != want.type:
                found = file.schema.field(index).type if index >= 0 else "nothing"
                raise SchemaError(f"pack file {self._name}: column '{want.name}' is {found}, not {want.type}")
        return file


def open_packs(where: str | Path) -> PackReader:
    """Open the pack set in a folder or behind a URL (`s3://...`, `https://...`, `memory://...`).

    Raises ConfigError where there is none, SchemaError where its version is not ours to read or a
    file is missing, truncated or doesn't match the manifest.
    """
    return PackReader(where)


class PackReader:
    """`len(packs)` sequences; `packs[i]` in O(1), from a map without copies, else by ranged reads. Picklable."""

    def __init__(self, where: str | Path) -> None:
        self.store = Store(where)
        try:
            content = self.store.read(MANIFEST)
        except FileNotFoundError as error:
            raise ConfigError(f"{where} is no pack set: it has no {MANIFEST}; make one with the pack step") from error
        self.manifest = parse_manifest(content, self.store.name(MANIFEST))
        self.version: int = self.manifest["version"]
        self.sequence_length: int = self.manifest["sequence_length"]
        self.dtype = np.dtype(self.manifest["dtype"])
        self.vocab_size: int = self.manifest["vocab_size"]
        self.total_ids: int = self.manifest["total_ids"]
        self.pad_id: int = self.manifest["reserved_ids"]["pad"]
        self.fingerprint: str = self.manifest["fingerprint"]
        self.phases: list[int] = [int(phase["sequences"]) for phase in self.manifest["phases"]]
        """Sequences of each phase, in order."""
        self.blocks: list[Block] = []
        for entry in self.manifest["files"]:
            file = _PackFile(self.store, entry, self.sequence_length, self.dtype, self.version)
            self.blocks.extend(file.blocks())
        counts = [block.rows for block in self.blocks]
        self.block_starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        """Sequence number of each block's first row, and the total at the end."""
        self._starts: list[int] = self.block_starts.tolist()
        if sum(self.phases) != len(self):
            raise SchemaError(f"pack set {where}: its phases hold {sum(self.phases)} sequences, not {len(self)}")

    @property
    def folder(self) -> Path:
        """The set's folder; see `Store.path`."""
        return self.store.path

    def __len__(self) -> int:
        return self._starts[-1]

    def __reduce__(self) -> tuple[Any, ...]:
        return open_packs, (self.store.where,)

    def locate(self, index: int) -> tuple[Block, int]:
        """(block, row in it) of sequence `index`; negative counts from the end. Raises IndexError."""
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"sequence {index} of {n} in {self.store.where}")
        index %= n
        number = bisect_right(self._starts, index) - 1
        return self.blocks[number], index - self._starts[number]

    def __getitem__(self, index: int) -> Sequence:
        block, row = self.locate(index)
        return block.sequence(row)

    def __iter__(self) -> Iterator[Sequence]:
        """All sequences in order, without permuting."""
        for block in self.blocks:
            for row in range(block.rows):
                yield block.sequence(row)

    def document_files(self) -> list[Path]:
        """The files that describe the documents, of a local set; version 1 did not list them."""
        if self.version == 1:
            return sorted(path for path in (self.folder / "documents").glob("*.parquet") if "-r" not in path.stem)
        return [self.folder / entry["path"] for entry in self.manifest.get("document_files", [])]

    def descends_from(self, fingerprint: str) -> bool:
        """Whether the set is the one of that fingerprint, or was made from it by removing documents."""
        return fingerprint == self.fingerprint or fingerprint in self.manifest["ancestors"]

    def verify(self) -> None:
        """Read everything and compare with the manifest: checksums, counts, ids, boundaries. Raises SchemaError."""
        from .packcheck import verify

        verify(self)
