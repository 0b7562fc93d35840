"""Documents of pack sets, put together again from their pieces, and decoded.

A document that is cut goes on anywhere: in another row, or in the set of another sequence length (`links`). A piece
that no other leads to (its beginning is not in the sets) is a document of its own. Removed pieces are no text.
"""

from __future__ import annotations

import bisect
import functools
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.bpe import LoadedTokenizer, load_tokenizer
from pipeline.errors import ConfigError, SchemaError
from pipeline.packreader import Block, PackReader, open_packs
from pipeline.packs import TOKENIZER
from pipeline.storage import place

from .decoding import Decoder
from .documents import COLUMNS, Documents
from .links import Links, Pieces, control_of, link

PIECE_TOKENS = 4 << 20
"""Tokens that one task reads."""
BATCH_TOKENS = 1 << 18
"""Tokens that are decoded at once; a longer document is a batch of its own."""


@dataclass(frozen=True)
class PackPiece:
    """Documents that begin in the sequences `first` to `last` of one of the sets."""

    folders: tuple[str, ...]
    """The sets that belong together, by sequence length."""
    label: str
    """Stands before places in the report; empty where the corpus is nothing else."""
    tokenizer: str
    number: int
    """The set's place in `folders`."""
    first: int
    last: int
    links: str
    """Path of what `link` saved, without its endings."""

    def read(self) -> Iterator[Documents]:
        """The documents in batches."""
        yield from _Reading(self).batches()


def tokenizer_of(readers: Sequence[PackReader], named: str | None) -> LoadedTokenizer:
    """The sets' own tokenizer, or the one that the user names. Raises ConfigError where it is another one."""
    folder = readers[0].folder
    path = place(named) if named else folder / TOKENIZER
    if not named and not path.is_file():
        raise ConfigError(f"{folder} has no {TOKENIZER} to decode it with: name the tokenizer with --tokenizer")
    loaded = load_tokenizer(path, readers[0].manifest.get("eos"))
    for reader in readers:
        known = (reader.manifest.get("tokenizer") or {}).get("fingerprint")
        if known not in (None, loaded.fingerprint) or loaded.vocab_size != reader.vocab_size:
            raise ConfigError(
                f"{path} is not the tokenizer that made {reader.folder}; name the right one with --tokenizer"
            )
    return loaded


def plan(readers: Sequence[PackReader], label: str, tokenizer: LoadedTokenizer, links: Path) -> list[PackPiece]:
    """The tasks' parts of sets that belong together, whatever the workers; writes `links`."""
    link(readers, links)
    folders = tuple(str(reader.folder.absolute()) for reader in readers)
    made = []
    for number, reader in enumerate(readers):
        step = max(1, PIECE_TOKENS // reader.sequence_length)
        for first in range(0, len(reader), step):
            last = min(first + step, len(reader))
            path = str(tokenizer.path.absolute())
            made.append(PackPiece(folders, label, path, number, first, last, str(links)))
    return made


@dataclass(frozen=True)
class _Part:
    """Tokens [start, end) of row `row` of block `block`."""

    block: int
    row: int
    start: int
    end: int


@dataclass(frozen=True)
class _Document:
    id: str
    offset: int
    """Tokens of it that are not in the sets, at its beginning."""
    parts: list[_Part]

    @property
    def tokens(self) -> int:
        return sum(part.end - part.start for part in self.parts)


class _Sets:
    """Open files of this process."""

    def __init__(self, folders: tuple[str, ...], tokenizer: str) -> None:
        self.readers = [open_packs(folder) for folder in folders]
        self.decoder = Decoder(load_tokenizer(tokenizer, self.readers[0].manifest.get("eos")))
        self.blocks: list[Block] = []
        self.places: list[tuple[PackReader, int]] = []
        """Of each block: its set, and the number of its first sequence there."""
        for reader in self.readers:
            self.blocks += reader.blocks
            self.places += [(reader, int(start)) for start in reader.block_starts[:-1]]


@functools.lru_cache(maxsize=4)
def _opened(folders: tuple[str, ...], tokenizer: str) -> _Sets:
    return _Sets(folders, tokenizer)


class _Reading:
    """One pass over a task's part."""

    def __init__(self, piece: PackPiece) -> None:
        self.piece = piece
        self.sets = _opened(piece.folders, piece.tokenizer)
        self.reader = self.sets.readers[piece.number]
        self.eos = self.reader.manifest.get("eos_id", self.sets.decoder.tokenizer.eos_id)
        self.links = Links.open(piece.links)
        self.removed = 0

    def batches(self) -> Iterator[Documents]:
        documents: list[_Document] = []
        tokens = 0
        for document in self._beginning():
            if documents and tokens + document.tokens > BATCH_TOKENS:
                yield self._batch(documents)
                documents, tokens = [], 0
            documents.append(document)
            tokens += document.tokens
        if documents or self.removed:
            yield self._batch(documents)

    def _beginning(self) -> Iterator[_Document]:
        """The documents whose first pieces lie in the part."""
        for number, (reader, start) in enumerate(self.sets.places):
            block = self.sets.blocks[number]
            low, high = max(self.piece.first - start, 0), min(self.piece.last - start, block.rows)
            if reader is not self.reader or low >= high:
                continue
            span = np.arange(block.doc_bounds[low], block.doc_bounds[high])
            base = int(self.links.first[number])
            if block.removed is not None:
                self.removed += int(block.removed[span].sum())
            a, b = np.searchsorted(self.links.inner, [span[0] + base, span[-1] + base + 1])
            begins = Pieces(block, control_of(reader)).text[span]
            begins[self.links.inner[a:b] - base - span[0]] = False
            places = span[begins]
            names = block.doc_ids.take(pa.array(places)).to_pylist()
            for at, name in zip(places.tolist(), names, strict=True):
                yield _Document(name, int(block.doc_offsets[at]), self._parts(base + at))

    def _parts(self, piece: int) -> list[_Part]:
        """A piece and all that follow it."""
        parts = []
        at: int | None = piece
        while at is not None:
            number = int(np.searchsorted(self.links.first, at, side="right")) - 1
            block, place = self.sets.blocks[number], at - int(self.links.first[number])
            row = int(np.searchsorted(block.doc_bounds, place, side="right")) - 1
            last = place + 1 == block.doc_bounds[row + 1]
            end = block.lengths[row] if last else block.doc_starts[place + 1]
            parts.append(_Part(number, row, int(block.doc_starts[place]), int(end)))
            at = self.links.after(at)
        return parts

    def _batch(self, documents: list[_Document]) -> Documents:
        arrays: list[NDArray[Any]] = [np.zeros(0, np.uint32)]
        lengths = []
        for document in documents:
            ids = [self.sets.blocks[part.block].ids(part.row)[part.start : part.end] for part in document.parts]
            if ids[-1][-1] == self.eos:
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
            pa.array([one.id for one in documents], pa.string()), self.sets.decoder.texts(joined, offsets),
            pa.nulls(n, pa.string()), pa.nulls(n, pa.string()), pa.nulls(n, pa.int64()),
            pa.array([self.piece.label] * n, pa.string()),
        ]  # fmt: skip

        def place(row: int, byte: int) -> str:
            ids = joined[offsets[row] : offsets[row + 1]]
            return self._place(documents[row], self._token(ids, byte))

        removed, self.removed = self.removed, 0
        return Documents(
            pa.Table.from_arrays(columns, schema=COLUMNS),
            tokens=sum(one.tokens for one in documents),
            fragments=sum(one.offset > 0 for one in documents),
            place=place,
            skipped=Counter({"removed_pieces": removed} if removed else {}),
        )

    def _token(self, ids: NDArray[np.uint32], byte: int) -> int:
        """The token that holds a byte of the text, as exactly as decoding a part tells."""
        low = bisect.bisect_right(range(len(ids)), byte, key=lambda k: self._bytes(ids[: k + 1]))
        return min(low, max(len(ids) - 1, 0))

    def _bytes(self, ids: NDArray[np.uint32]) -> int:
        return len(self.sets.decoder.texts(ids, np.array([0, len(ids)], np.int64))[0].as_py().encode())

    def _place(self, document: _Document, token: int) -> str:
        sizes = [part.end - part.start for part in document.parts]
        number = bisect.bisect_right(list(itertools.accumulate(sizes)), token)
        part = document.parts[number]
        reader, first = self.sets.places[part.block]
        sequence = first + part.row
        entries = reader.manifest["files"]
        starts = list(itertools.accumulate(entry["sequences"] for entry in entries))
        path = entries[bisect.bisect_right(starts, sequence)]["path"]
        head = f"{self.piece.label}: " if self.piece.label else ""
        length = f"{reader.folder.name}/" if len(self.sets.readers) > 1 else ""
        return f"{head}{length}{path} sequence {sequence} token {part.start + token - sum(sizes[:number])}"
