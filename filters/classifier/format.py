"""fastText's model files (.bin and .ftz, versions 11 and 12), read from a memory map.

Layout as in fastText's own source (fasttext.cc, args.cc, dictionary.cc, densematrix.cc, quantmatrix.cc and
productquantizer.cc of github.com/facebookresearch/fastText). Every length is held against the size of the file
before anything is allocated: a truncated or hostile file raises ConfigError.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError

MAGIC = 793712314
LOSSES = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
SUPERVISED = 3
CENTROIDS = 256
MAX_NGRAM = 32
"""Longest word or character n-gram that is accepted: cost grows with it, and published models have 1 to 6."""


@dataclass(frozen=True)
class Dense:
    """A matrix of float32, still in the file."""

    rows: int
    width: int
    at: int

    def read(self, data: NDArray[np.uint8], start: int, stop: int) -> NDArray[np.float32]:
        """Rows start to stop, float32[stop - start, width]."""
        size = 4 * self.width
        raw = data[self.at + start * size : self.at + stop * size]
        return np.frombuffer(raw.tobytes(), "<f4").reshape(stop - start, self.width)


@dataclass(frozen=True)
class Quantised:
    """A matrix by product quantisation (Joulin et al. 2016, FastText.zip): a code for each part of each row."""

    rows: int
    width: int
    codes: NDArray[np.uint8]  # [rows, parts]
    parts: tuple[NDArray[np.float32], ...]  # each [256, size of the part]
    norms: NDArray[np.float32] | None  # [rows], or None if they were not quantised apart

    def read(self, data: NDArray[np.uint8], start: int, stop: int) -> NDArray[np.float32]:
        """Rows start to stop decoded, float32[stop - start, width]."""
        found = np.concatenate(
            [part[self.codes[start:stop, i]] for i, part in enumerate(self.parts)], axis=1, dtype=np.float32
        )
        return found if self.norms is None else found * self.norms[start:stop, None]


@dataclass(frozen=True)
class ModelFile:
    """What a supervised model's file says; matrices stay in the file until they are read."""

    path: Path
    data: NDArray[np.uint8]  # the whole file, read-only
    dim: int
    word_ngrams: int
    loss: str
    bucket: int
    minn: int
    maxn: int
    words: int
    labels: tuple[str, ...]
    label_counts: NDArray[np.int64]
    entry_starts: NDArray[np.int64]  # where each word and label begins in `data`
    entry_ends: NDArray[np.int64]
    entry_hashes: NDArray[np.uint32]
    pruned: NDArray[np.int32] | None  # [kept, 2]: bucket, row behind the words; None if not pruned
    input: Dense | Quantised
    output: NDArray[np.float32]  # [labels, dim]


class _Reader:
    def __init__(self, path: Path, data: NDArray[np.uint8]) -> None:
        self.path, self.data, self.at = path, data, 0

    def fail(self, why: str) -> ConfigError:
        return ConfigError(f"model '{self.path}': {why} (at byte {self.at:,}); is it a fastText .bin or .ftz file?")

    def room(self, size: int) -> None:
        if size < 0 or size > len(self.data) - self.at:
            raise self.fail(f"the file ends too early: {size:,} more bytes are needed")

    def take(self, kinds: str) -> tuple[int, ...]:
        size = struct.calcsize("<" + kinds)
        self.room(size)
        found = struct.unpack("<" + kinds, self.data[self.at : self.at + size].tobytes())
        self.at += size
        return found

    def array(self, kind: str, count: int) -> np.ndarray:
        dtype = np.dtype(kind)
        self.room(count * dtype.itemsize)
        found = np.frombuffer(self.data[self.at : self.at + count * dtype.itemsize].tobytes(), dtype)
        self.at += count * dtype.itemsize
        return found


def _matrix_size(reader: _Reader, dim: int) -> tuple[int, int]:
    rows, width = reader.take("qq")
    if width != dim or rows < 0:
        raise reader.fail(f"a matrix of {rows:,} x {width:,} does not fit dimension {dim:,}")
    return rows, width


def _dense(reader: _Reader, dim: int) -> Dense:
    rows, width = _matrix_size(reader, dim)
    reader.room(rows * width * 4)
    found = Dense(rows, width, reader.at)
    reader.at += rows * width * 4
    return found


def _quantiser(reader: _Reader, dim: int) -> tuple[NDArray[np.float32], ...]:
    own, count, size, last = reader.take("iiii")
    if own != dim or size < 1 or not 1 <= last <= size or count < 1 or (count - 1) * size + last != dim:
        raise reader.fail(f"a quantiser of {count:,} parts of {size:,} and {last:,} does not fit dimension {dim:,}")
    centroids = reader.array("<f4", dim * CENTROIDS)
    step = CENTROIDS * size
    return tuple(
        centroids[i * step : i * step + CENTROIDS * (last if i == count - 1 else size)].reshape(CENTROIDS, -1)
        for i in range(count)
    )


def _quantised(reader: _Reader, dim: int) -> Quantised:
    (with_norms,) = reader.take("?")
    rows, width = _matrix_size(reader, dim)
    (size,) = reader.take("i")
    reader.room(size)
    if rows and (size % rows or size < rows):
        raise reader.fail(f"{size:,} codes do not fit {rows:,} rows")
    codes = reader.array("u1", size).reshape(rows, size // rows if rows else 0)
    parts = _quantiser(reader, dim)
    if rows and codes.shape[1] != len(parts):
        raise reader.fail(f"{codes.shape[1]:,} codes a row do not fit {len(parts):,} parts")
    norms = None
    if with_norms:
        norm_codes = reader.array("u1", rows)
        norms = _quantiser(reader, 1)[0][:, 0][norm_codes]
    return Quantised(rows, width, codes, parts, norms)


def _entries(reader: _Reader, size: int, words: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(starts, ends, hashes, counts) of the dictionary's entries: words first, then labels."""
    from filters.kernels.fasttext import read_entries

    reader.room(10 * size)  # an entry is its bytes, a zero, its count and its type
    starts, ends, counts = (np.zeros(size, np.int64) for _ in range(3))
    hashes, types = np.zeros(size, np.uint32), np.zeros(size, np.uint8)
    at = read_entries(reader.data, reader.at, starts, ends, hashes, counts, types)
    if at < 0:
        raise reader.fail("the file ends within the dictionary")
    reader.at = int(at)
    if types[:words].any() or (types[words:] != 1).any():
        raise reader.fail("words and labels are not in order")
    return starts, ends, hashes, counts


def read_model(path: Path) -> ModelFile:
    """A supervised model's file. Raises ConfigError where it is missing, truncated or nothing that we can score."""
    try:
        with open(path, "rb") as handle:
            mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: the file is empty
        raise ConfigError(f"model '{path}' can't be read: {error}") from error
    reader = _Reader(path, np.frombuffer(mapped, np.uint8))
    magic, version = reader.take("ii")
    if magic != MAGIC:
        raise reader.fail("it does not begin as fastText's models do")
    if version not in (11, 12):
        raise reader.fail(f"its version is {version}; 11 and 12 can be read")
    dim, _, _, _, _, word_ngrams, loss, model, bucket, minn, maxn, _, _ = reader.take("iiiiiiiiiiiid")
    if version == 11 and model == SUPERVISED:
        maxn = 0  # as fastText does: such models have no character n-grams, whatever they say
    if model != SUPERVISED:
        raise reader.fail("it holds word vectors and is no classifier (trained by `supervised`)")
    if loss not in LOSSES or dim < 1 or word_ngrams > MAX_NGRAM or maxn > MAX_NGRAM:
        raise reader.fail(f"loss {loss}, dimension {dim}, n-grams of {word_ngrams} words and {maxn} letters")
    with_ngrams = word_ngrams > 1 or maxn > 0
    if with_ngrams and bucket < 1:
        raise reader.fail(f"it uses n-grams but has {bucket} buckets")
    size, words, labels = reader.take("iii")
    _, kept = reader.take("qq")
    if words < 0 or labels < 1 or words + labels != size or kept < -1:
        raise reader.fail(f"a dictionary of {size:,} entries, {words:,} words, {labels:,} labels")
    starts, ends, hashes, counts = _entries(reader, size, words)
    reader.room(8 * max(kept, 0))
    pruned = reader.array("<i4", 2 * kept).reshape(kept, 2) if kept >= 0 else None
    (quantised,) = reader.take("?")
    matrix: Dense | Quantised = _quantised(reader, dim) if quantised else _dense(reader, dim)
    if pruned is not None and not quantised:
        raise reader.fail("its n-grams are pruned but its matrix is not quantised, which fastText refuses too")
    rows_of_ngrams = 0 if not with_ngrams else (bucket if pruned is None else len(pruned))
    if matrix.rows < words + rows_of_ngrams:
        raise reader.fail(f"{matrix.rows:,} rows for {words:,} words and {rows_of_ngrams:,} buckets of n-grams")
    if pruned is not None and len(pruned):
        if pruned[:, 1].min() < 0 or pruned[:, 1].max() >= matrix.rows - words:
            raise reader.fail("a pruned n-gram has no row")
        if pruned[:, 0].min() < 0:
            raise reader.fail("a pruned n-gram has no bucket")
    (quantised_output,) = reader.take("?")
    out = _quantised(reader, dim) if quantised and quantised_output else _dense(reader, dim)
    if out.rows != labels:
        raise reader.fail(f"{out.rows:,} rows of output for {labels:,} labels")
    output = out.read(reader.data, 0, labels)
    if not np.isfinite(output).all():
        raise reader.fail("its output matrix holds numbers that are not finite")
    names = tuple(
        reader.data[a:b].tobytes().decode("utf-8", "replace") for a, b in zip(starts[words:], ends[words:], strict=True)
    )
    return ModelFile(
        path=path, data=reader.data, dim=dim, word_ngrams=max(word_ngrams, 1), loss=LOSSES[loss], bucket=max(bucket, 1),
        minn=minn, maxn=max(maxn, 0), words=words, labels=names, label_counts=counts[words:],
        entry_starts=starts, entry_ends=ends, entry_hashes=hashes, pruned=pruned, input=matrix, output=output,
    )  # fmt: skip
