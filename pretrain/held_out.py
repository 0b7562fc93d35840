"""Held-out sets: documents put together again from packs, cut into windows, with the bytes that they stand for.

What is measured must not depend on how a set was packed. So the pieces of each document are joined, and it is read in
windows of T tokens: the first window from the document's start, each further one moved on by `stride`, so that its
predictions have at least T - stride tokens of context. Every token of a document is predicted once, its end-of-document
token too, except the first, which nothing stands before. Windows of several documents share a row, and none sees
another. A document of which parts were removed is read as its parts.

The bytes are those of the predicted tokens (`token_bytes`); the end-of-document token has none. They are checked with
the documents table: where a tokenizer changes the text, they are scaled to the UTF-8 bytes of the documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.bpe import load_tokenizer
from pipeline.errors import ConfigError
from pipeline.packing.bestfit import best_fit
from pipeline.packing.draws import order_keys
from pipeline.packreader import PackReader
from pipeline.packs import TOKENIZER
from pipeline.storage import local_file

from .token_bytes import token_bytes

IGNORED = -100
Ints = npt.NDArray[np.int64]


class Window(NamedTuple):
    """Inputs `start` to `end` of all tokens; the targets before the `fresh`-th were scored by the window before."""

    start: int
    end: int
    fresh: int


class Rows(NamedTuple):
    """B rows of T positions."""

    input_ids: Ints  # (B, T)
    segment_ids: npt.NDArray[np.int32]  # (B, T), -1 on padding
    targets: Ints  # (B, T), -100 where nothing is to be predicted
    n_valid: int


@dataclass(frozen=True)
class HeldOut:
    """A held-out set, ready to be measured: `len` rows of `length` positions."""

    name: str
    ids: npt.NDArray[np.generic] = field(repr=False)  # all documents' tokens, one after another
    rows: list[list[Window]] = field(repr=False)
    length: int
    stride: int
    pad_id: int
    documents: int
    n_targets: int
    n_bytes: float  # that the targets stand for
    exact: bool  # False: the tokenizer changes text, and bytes are scaled
    names: list[str] = field(repr=False)  # the documents' ids
    bounds: Ints = field(repr=False)  # (documents + 1,) where each begins in `ids`, and where the last ends
    doc_bytes: npt.NDArray[np.float64] = field(repr=False)  # (documents,) that each one's targets stand for

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, numbers: Sequence[int]) -> Rows:
        """The rows of some numbers; none of them: one row of padding."""
        shape = (max(1, len(numbers)), self.length)
        ids, targets = np.full(shape, self.pad_id, np.int64), np.full(shape, IGNORED, np.int64)
        segments = np.full(shape, -1, np.int32)
        for i, number in enumerate(numbers):
            at = 0
            for segment, (start, end, fresh) in enumerate(self.rows[number]):
                to = at + end - start
                ids[i, at:to] = self.ids[start:end]
                targets[i, at + fresh : to] = self.ids[start + 1 + fresh : end + 1]
                segments[i, at:to] = segment
                at = to
        return Rows(ids, segments, targets, int((targets != IGNORED).sum()))

    def documents_of(self, numbers: Sequence[int]) -> Ints:
        """The document of each target that counts in `batch(numbers)`, row by row: its place in `names`."""
        spans = [np.arange(w.start + w.fresh, w.end) + 1 for number in numbers for w in self.rows[number]]
        places = np.concatenate(spans) if spans else np.zeros(0, np.int64)
        return np.searchsorted(self.bounds, places, side="right") - 1

    def batches(self, batch_size: int, rank: int = 0, world_size: int = 1) -> Iterator[Rows]:
        """All rows, `batch_size` at a time. Of several ranks each gets as many batches, if need be of padding."""
        count = -(-len(self) // batch_size)
        for first in range(0, count, world_size):
            begin = (first + rank) * batch_size
            yield self.batch(range(begin, min(begin + batch_size, len(self))))


def held_out(
    name: str,
    readers: Sequence[PackReader],
    *,
    length: int | None = None,
    stride: int | None = None,
    max_bytes: int | None = None,
    ends: bool = True,
    control: int | None = None,
) -> HeldOut:
    """Prepare a set that lies in one or several local pack sets (one for each sequence length).

    `length` is the window (default: the longest of the sets'), `stride` how far it moves on (default: `length`, no
    token is read twice). With `max_bytes` documents are taken in the order of a hash of their ids, which is the same
    for any tokenizer and packing, until they have that many bytes; the last is cut. Without `ends` the
    end-of-document tokens are not predicted. With `control`, a control id, that stands before every document whose
    beginning is there, in place of a control token of its own: then the first token of its text is predicted too.
    Raises ConfigError for an empty set, different tokenizers, a stride outside 1..length.
    """
    first = readers[0]
    for other in readers[1:]:
        if other.manifest["tokenizer"] != first.manifest["tokenizer"]:
            raise ConfigError(f"held-out set '{name}': {other.store.where} has another tokenizer than the others")
    length = max(reader.sequence_length for reader in readers) if length is None else length
    stride = length if stride is None else stride
    if not 1 <= stride <= length:
        raise ConfigError(f"held-out set '{name}': stride must lie in 1..{length}, the window's length, not {stride}")
    table = token_bytes(load_tokenizer(first.folder / TOKENIZER, first.manifest.get("eos")), first.total_ids)
    runs = _Runs(readers)
    eos = None if ends else int(first.manifest["eos_id"])
    ids, bounds, names, said, counted = _gathered(readers, runs, table, max_bytes, eos, control)
    windows = [w for a, b in zip(bounds[:-1], bounds[1:], strict=True) for w in _windows(a, b, length, stride)]
    if not windows:
        raise ConfigError(f"held-out set '{name}' has no document of two tokens: nothing can be predicted")
    predicted = np.ones(len(ids), bool)
    predicted[bounds[:-1]] = False
    sizes = np.where(predicted, table[ids.astype(np.int64)], 0) * (said / counted if counted else 1.0)
    return HeldOut(
        name=name,
        ids=ids,
        rows=_shared(windows, length),
        length=length,
        stride=stride,
        pad_id=first.pad_id,
        documents=len(bounds) - 1,
        n_targets=int(predicted.sum()),
        n_bytes=float(sizes.sum()),
        exact=not counted,
        names=names,
        bounds=np.array(bounds, np.int64),
        doc_bytes=np.add.reduceat(sizes, bounds[:-1]),
    )


def _windows(begin: int, end: int, length: int, stride: int) -> Iterator[Window]:
    """Windows over the tokens `begin` to `end` of a document, whose last token is only predicted."""
    last = end - 1
    done = min(begin + length, last)
    if done > begin:
        yield Window(begin, done, 0)
    while done < last:
        to = min(done + stride, last)
        yield Window(to - length, to, done - (to - length))
        done = to


def _shared(windows: list[Window], length: int) -> list[list[Window]]:
    """Windows in rows of `length` positions, best-fit."""
    sizes = np.array([w.end - w.start for w in windows], np.int64)
    order = np.argsort(-sizes, kind="stable")
    bins, count = best_fit(sizes[order], length)
    rows: list[list[Window]] = [[] for _ in range(count)]
    for number, window in zip(bins.tolist(), order.tolist(), strict=True):
        rows[number].append(windows[window])
    return rows


class _Runs:
    """The pieces of pack sets, joined: run k is a list of (reader, row, begin, end), all of one document."""

    def __init__(self, readers: Sequence[PackReader]) -> None:
        self.names: list[str] = []
        self.pieces: list[list[tuple[int, int, int, int]]] = []
        self.begins: list[bool] = []
        """Whether a run has its document's beginning."""
        columns: list[list[npt.NDArray[np.int64]]] = []
        ids: list[pa.Array] = []
        for number, reader in enumerate(readers):
            for block, first in zip(reader.blocks, reader.block_starts[:-1].tolist(), strict=True):
                columns.append(_pieces(number, first, block))
                ids.append(block.doc_ids.slice(block.doc_bounds[0], len(columns[-1][0])))
        if not ids:
            return
        coded = pa.chunked_array(ids).combine_chunks().dictionary_encode()
        names = coded.dictionary.to_pylist()
        code = coded.indices.to_numpy().astype(np.int64)
        reader_, row, begin, end, offset, kept = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        order = np.lexsort((row, reader_, offset, code))
        order = order[kept[order] > 0]
        open_: dict[tuple[int, int], list[int]] = {}
        for i in order.tolist():
            document, at, size = int(code[i]), int(offset[i]), int(end[i] - begin[i])
            waiting = open_.pop((document, at), None)
            if waiting:
                run = waiting.pop(0)
                if waiting:
                    open_[(document, at)] = waiting
            else:
                run = len(self.pieces)
                self.pieces.append([])
                self.names.append(names[document])
                self.begins.append(at == 0)
            self.pieces[run].append((int(reader_[i]), int(row[i]), int(begin[i]), int(end[i])))
            open_.setdefault((document, at + size), []).append(run)

    def by_hash(self) -> list[int]:
        """The runs in the order of a hash of their documents' ids."""
        keys = order_keys(pa.array(self.names, pa.string()), 0)
        return np.argsort(keys, kind="stable").tolist()


def _pieces(number: int, first: int, block) -> list[npt.NDArray[np.int64]]:  # type: ignore[no-untyped-def]
    """reader, sequence, begin, end, offset in the document, and whether it is there, of a block's pieces."""
    bounds = block.doc_bounds.astype(np.int64)
    counts = np.diff(bounds)
    rows = np.repeat(np.arange(len(counts)), counts)
    begin = block.doc_starts[bounds[0] : bounds[-1]].astype(np.int64)
    end = np.append(begin[1:], 0)
    end[bounds[1:] - bounds[0] - 1] = block.lengths
    kept = end > begin
    if block.removed is not None:
        kept &= ~block.removed[bounds[0] : bounds[-1]]
    offsets = block.doc_offsets[bounds[0] : bounds[-1]].astype(np.int64)
    return [np.full(len(rows), number), first + rows, begin, end, offsets, kept.astype(np.int64)]


def _gathered(
    readers: Sequence[PackReader], runs: _Runs, table: Ints, max_bytes: int | None, eos: int | None, control: int | None
) -> tuple[npt.NDArray[np.generic], list[int], list[str], int, int]:
    """(tokens of the runs, their bounds, their documents' ids, bytes of their text, bytes of their tokens).

    The bytes are those of documents that are there whole, or 0 where they agree in each.
    """
    known = _known(readers)
    controls = readers[0].manifest["reserved_ids"]["control"]
    parts, bounds, names, total = [], [0], [], 0
    said = counted = 0
    loses = False
    limit = float("inf") if max_bytes is None else max_bytes
    for run in runs.by_hash():
        ids = np.concatenate([_ids(readers[r], row)[begin:end] for r, row, begin, end in runs.pieces[run]])
        sizes = table[ids.astype(np.int64)]
        tokens, text_bytes = known.get(runs.names[run], (-1, 0))
        if tokens == len(ids):
            said, counted = said + text_bytes, counted + int(sizes.sum())
            loses = loses or int(sizes.sum()) - text_bytes not in (0, 1)  # 1: a space put before the first word
        if eos is not None and ids[-1] == eos:
            ids, sizes = ids[:-1], sizes[:-1]
        if not len(ids):  # an empty document: without its end it has nothing to predict
            continue
        if control is not None and runs.begins[run]:
            led = 1 if controls[0] <= ids[0] < sum(controls) else 0
            ids = np.concatenate([np.array([control], ids.dtype), ids[led:]])
            sizes = table[ids.astype(np.int64)]
        full = total + int(sizes.sum()) >= limit
        if full:
            ids = ids[: np.searchsorted(np.cumsum(sizes), limit - total, side="right")]
        total += int(sizes.sum())
        if len(ids):
            parts.append(ids)
            bounds.append(bounds[-1] + len(ids))
            names.append(runs.names[run])
        if full:
            break
    joined = np.concatenate(parts) if parts else np.zeros(0, np.uint16)
    return joined, bounds, names, *((said, counted) if loses else (0, 0))


def _ids(reader: PackReader, index: int) -> npt.NDArray[np.generic]:
    block, row = reader.locate(index)
    return block.ids(row)


def _known(readers: Sequence[PackReader]) -> dict[str, tuple[int, int]]:
    """(tokens, bytes of text) of each document, by id, from the documents tables; titles are not in these bytes."""
    import pyarrow.parquet as pq

    found: dict[str, tuple[int, int]] = {}
    wanted = ("id", "n_tokens", "text_bytes")
    for path in {path for reader in readers for path in reader.document_files()}:
        if not path.is_file() or not set(wanted) <= set(pq.read_schema(local_file(path)).names):
            continue
        columns = pq.read_table(local_file(path), columns=list(wanted))
        for name, tokens, size in zip(*(columns[c].to_pylist() for c in wanted), strict=True):
            if tokens is not None and size is not None:
                found[name] = (tokens, size)
    return found


def held_out_sets(packs: Path) -> dict[str, Path]:
    """What a mixture held out beside the packs that a path means: {`held_out`, `fresh`, ...: folder of packs}.

    `packs` is a run's folder, a pack step's, or the pack set in it.
    """
    from pipeline.packstep import PACKSET, SETS, sets_in

    folders = [packs, *sorted(packs.glob("[0-9][0-9]-pack"))]
    folders += [parent for parent in (packs.parent, packs.parent.parent) if PACKSET in (packs.name, packs.parent.name)]
    found: dict[str, Path] = {}
    for folder in folders:
        for one in sorted((folder / SETS).glob("*")):
            if sets_in(one):
                found.setdefault(one.name, one)
    return found
