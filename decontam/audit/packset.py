"""Documents of a pack set, put together again from their sequences.

A document that a sequence's end cuts goes on in the next sequence, or, where sequences were shuffled, in any other:
then its next piece is the one with the same id that begins at the token where this piece ends. A piece that no other
leads to (its beginning is not in the set) is a document of its own.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.bpe import LoadedTokenizer, load_tokenizer
from pipeline.errors import ConfigError, SchemaError
from pipeline.packs import TOKENIZER, Block, PackReader, open_packs

from .decoding import Decoder
from .documents import COLUMNS, Documents

PIECE_TOKENS = 4 << 20
"""Tokens that one task reads."""
BATCH_TOKENS = 1 << 18
"""Tokens that are decoded at once; a longer document is a batch of its own."""


@dataclass(frozen=True)
class PackPiece:
    """Documents that begin in the sequences `first` to `last` of a pack set."""

    folder: str
    label: str
    """Stands before places in the report; empty where the corpus is one pack set."""
    tokenizer: str
    first: int
    last: int
    links: str
    """Path of the pieces that lie apart, as `link` saves them, without its ending."""

    def read(self) -> Iterator[Documents]:
        """The documents in batches."""
        yield from _Reading(self).batches()


def tokenizer_of(reader: PackReader, named: str | None) -> LoadedTokenizer:
    """The pack set's own tokenizer, or the one that the user names. Raises ConfigError where it is another one."""
    path = Path(named) if named else reader.folder / TOKENIZER
    if not named and not path.is_file():
        raise ConfigError(f"{reader.folder} has no {TOKENIZER} to decode it with: name the tokenizer with --tokenizer")
    loaded = load_tokenizer(path, reader.manifest.get("eos"))
    known = (reader.manifest.get("tokenizer") or {}).get("fingerprint")
    if known not in (None, loaded.fingerprint) or loaded.vocab_size != reader.vocab_size:
        raise ConfigError(f"{path} is not the tokenizer that made {reader.folder}; name the right one with --tokenizer")
    return loaded


def plan(reader: PackReader, label: str, tokenizer: LoadedTokenizer, links: Path) -> list[PackPiece]:
    """The pieces of a pack set, whatever the workers; writes `links`."""
    link(reader, links)
    step = max(1, PIECE_TOKENS // reader.sequence_length)
    return [
        PackPiece(
            str(reader.folder.absolute()), label, str(tokenizer.path.absolute()), first, min(first + step, len(reader)),
            str(links),
        )
        for first in range(0, len(reader), step)
    ]  # fmt: skip


def link(reader: PackReader, path: Path) -> None:
    """Write `path`.far.npy and `path`.alone.npy for the pieces that don't follow in the next sequence.

    far: int64 [n, 2], sequence whose last document goes on, and the sequence where it does, ascending; alone: int64
    [m], sequences whose first document began nowhere. Documents are told apart by 64 bits of a hash of id and token.
    """
    begins: list[tuple[bytes, int, int]] = []  # id, token, sequence: continuations that don't follow on their own
    ends: list[tuple[bytes, int, int]] = []
    before: tuple[Any, int] | None = None
    number = 0
    for first_ids, offsets, last_ids, stops in map(_edges, reader.blocks):
        n = len(offsets)
        follows = np.zeros(n, bool)
        follows[1:] = (offsets[1:] == stops[:-1]) & _equal(first_ids[1:], last_ids[:-1])
        if before is not None and n:
            follows[0] = before[1] == offsets[0] and before[0] == first_ids[0].as_py()
        follows &= offsets > 0
        for row in np.flatnonzero((offsets > 0) & ~follows).tolist():
            begins.append((first_ids[row].as_py().encode(), int(offsets[row]), number + row))
        if n:
            before = last_ids[n - 1].as_py(), int(stops[n - 1])
        number += n
    if begins:
        stray = np.unique([token for _, token, _ in begins])
        apart = {sequence for _, _, sequence in begins}
        number = 0
        for _, _, last_ids, stops in map(_edges, reader.blocks):
            for row in np.flatnonzero(np.isin(stops, stray)).tolist():
                if not _follows(reader, number + row, last_ids[row].as_py(), int(stops[row]), apart):
                    ends.append((last_ids[row].as_py().encode(), int(stops[row]), number + row))
            number += len(stops)
    far, alone = _paired(ends, begins)
    np.save(f"{path}.far.npy", far)
    np.save(f"{path}.alone.npy", alone)


def _edges(block: Block) -> tuple[pa.Array, NDArray[np.int64], pa.Array, NDArray[np.int64]]:
    """By sequence: the first document and how many of its tokens lie before; the last and where it stops."""
    ids = block.batch.column("doc_ids")
    names, low, high = ids.values, ids.offsets.to_numpy()[:-1], ids.offsets.to_numpy()[1:]
    starts, ends = block.doc_offsets[:-1], block.doc_offsets[1:]
    stops = block.lengths.astype(np.int64) - block.doc_starts[ends - 1]
    stops += np.where(ends - starts == 1, block.first_doc_offsets, 0)
    return names.take(pa.array(low)), block.first_doc_offsets, names.take(pa.array(high - 1)), stops


def _equal(left: pa.Array, right: pa.Array) -> NDArray[np.bool_]:
    import pyarrow.compute as pc

    made: NDArray[np.bool_] = pc.equal(left, right).to_numpy(zero_copy_only=False).astype(bool)
    return made


def _follows(reader: PackReader, sequence: int, document: str, stop: int, apart: set[int]) -> bool:
    """Whether the last document of a sequence goes on in the next one."""
    if sequence + 1 >= len(reader) or sequence + 1 in apart:
        return False
    after = reader[sequence + 1]
    return after.first_doc_offset == stop and after.doc_ids[0] == document


def _paired(
    ends: list[tuple[bytes, int, int]], begins: list[tuple[bytes, int, int]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ends and continuations of the same document and token, each with one other, in the order of sequences."""
    open_ends: dict[bytes, list[int]] = {}
    for document, token, sequence in reversed(ends):
        open_ends.setdefault(_key(document, token), []).append(sequence)
    far, alone = [], []
    for document, token, sequence in begins:
        found = open_ends.get(_key(document, token))
        if found:
            far.append((found.pop(), sequence))
        else:
            alone.append(sequence)
    return np.array(sorted(far), np.int64).reshape(-1, 2), np.array(alone, np.int64)


def _key(document: bytes, token: int) -> bytes:
    return hashlib.blake2b(document + b"\0" + str(token).encode(), digest_size=8).digest()


@functools.lru_cache(maxsize=4)
def _opened(folder: str, tokenizer: str) -> tuple[PackReader, Decoder]:
    """Open files of this process."""
    reader = open_packs(folder)
    return reader, Decoder(load_tokenizer(tokenizer, reader.manifest.get("eos")))


@dataclass(frozen=True)
class _Document:
    id: str
    offset: int
    """Tokens of it that are not in the set, at its beginning."""
    parts: list[tuple[int, int, int]]
    """(sequence, first token, end)."""

    @property
    def tokens(self) -> int:
        return sum(end - start for _, start, end in self.parts)


class _Reading:
    """One pass over a piece."""

    def __init__(self, piece: PackPiece) -> None:
        self.piece = piece
        self.reader, self.decoder = _opened(piece.folder, piece.tokenizer)
        self.eos = self.reader.manifest.get("eos_id", self.decoder.tokenizer.eos_id)
        self.far = np.load(f"{piece.links}.far.npy", mmap_mode="r")
        alone = np.load(f"{piece.links}.alone.npy", mmap_mode="r")
        low, high = np.searchsorted(alone, [piece.first, piece.last])
        self.alone = set(alone[low:high].tolist())
        paths = [entry["path"] for entry in self.reader.manifest["files"]]
        counts = [entry["sequences"] for entry in self.reader.manifest["files"]]
        self.files = [(int(n), path) for n, path in zip(np.cumsum([0, *counts]), paths, strict=False)]

    def batches(self) -> Iterator[Documents]:
        documents: list[_Document] = []
        tokens = 0
        for number in range(self.piece.first, self.piece.last):
            for document in self._beginning_in(number):
                if documents and tokens + document.tokens > BATCH_TOKENS:
                    yield self._batch(documents)
                    documents, tokens = [], 0
                documents.append(document)
                tokens += document.tokens
        if documents:
            yield self._batch(documents)

    def _beginning_in(self, number: int) -> Iterator[_Document]:
        block, at = self.reader.locate(number)
        if block.first_doc_offsets[at] and _documents(block, at) == 1 and number not in self.alone:
            return
        row = self.reader[number]
        ends = [*row.doc_starts[1:].tolist(), row.length]
        for place, (name, start, end) in enumerate(zip(row.doc_ids, row.doc_starts.tolist(), ends, strict=True)):
            offset = row.first_doc_offset if place == 0 else 0
            if offset and number not in self.alone:
                continue
            document = _Document(name, offset, [(number, start, end)])
            if end == row.length:
                self._follow(document)
            yield document

    def _follow(self, document: _Document) -> None:
        """Add the pieces in later sequences."""
        stop = document.offset + document.tokens
        while True:
            number = self._next(document, document.parts[-1][0], stop)
            if number is None:
                return
            block, row = self.reader.locate(number)
            only = _documents(block, row) == 1
            end = int(block.lengths[row]) if only else int(block.doc_starts[block.doc_offsets[row] + 1])
            document.parts.append((number, 0, end))
            stop += end
            if not only:
                return

    def _next(self, document: _Document, sequence: int, stop: int) -> int | None:
        if sequence + 1 < len(self.reader):
            block, row = self.reader.locate(sequence + 1)
            if int(block.first_doc_offsets[row]) == stop:
                name = block.batch.column("doc_ids")[row].values[0].as_py()
                if name == document.id:
                    return sequence + 1
        at = int(np.searchsorted(self.far[:, 0], sequence))
        return int(self.far[at, 1]) if at < len(self.far) and self.far[at, 0] == sequence else None

    def _batch(self, documents: list[_Document]) -> Documents:
        arrays, lengths = [], []
        for document in documents:
            ids = [self._ids(*part) for part in document.parts]
            if len(ids[-1]) and ids[-1][-1] == self.eos:
                ids[-1] = ids[-1][:-1]
            arrays += ids
            lengths.append(sum(len(one) for one in ids))
        joined = np.concatenate(arrays).astype(np.uint32)
        if len(joined) and int(joined.max()) >= self.reader.total_ids:
            raise SchemaError(
                f"pack set {self.reader.folder} holds the id {int(joined.max())}, beyond its {self.reader.total_ids}: "
                "a pack file is damaged; copy it or run the pack step again"
            )
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        n = len(documents)
        columns = [
            pa.array([one.id for one in documents], pa.string()), self.decoder.texts(joined, offsets),
            pa.nulls(n, pa.string()), pa.nulls(n, pa.string()), pa.nulls(n, pa.int64()),
            pa.array([self.piece.label] * n, pa.string()),
        ]  # fmt: skip

        def place(row: int, byte: int) -> str:
            ids = joined[offsets[row] : offsets[row + 1]]
            return self._place(documents[row], self._token(ids, byte))

        return Documents(
            pa.Table.from_arrays(columns, schema=COLUMNS),
            tokens=sum(one.tokens for one in documents),
            fragments=sum(one.offset > 0 for one in documents),
            place=place,
        )

    def _ids(self, sequence: int, start: int, end: int) -> NDArray[Any]:
        block, row = self.reader.locate(sequence)
        return block.input_ids[row, start:end]

    def _token(self, ids: NDArray[np.uint32], byte: int) -> int:
        """The token that holds a byte of the text, as exactly as decoding a part tells."""
        low = bisect.bisect_right(range(len(ids)), byte, key=lambda k: self._bytes(ids[: k + 1]))
        return min(low, max(len(ids) - 1, 0))

    def _bytes(self, ids: NDArray[np.uint32]) -> int:
        return len(self.decoder.texts(ids, np.array([0, len(ids)], np.int64))[0].as_py().encode())

    def _place(self, document: _Document, token: int) -> str:
        sizes = [end - start for _, start, end in document.parts]
        part = bisect.bisect_right(list(itertools.accumulate(sizes)), token)
        sequence, start, _ = document.parts[part]
        token -= sum(sizes[:part])
        at = bisect.bisect_right(self.files, sequence, key=lambda one: one[0]) - 1
        head = f"{self.piece.label}: " if self.piece.label else ""
        return f"{head}{self.files[at][1]} sequence {sequence} token {start + token}"


def _documents(block: Block, row: int) -> int:
    """How many documents have tokens in a sequence."""
    return int(block.doc_offsets[row + 1] - block.doc_offsets[row])
