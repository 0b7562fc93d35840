"""A model's input matrix multiplied with its output matrix once, so that a row costs as many numbers as labels.

The model is linear up to the last step: hidden = mean of rows, logits = hidden x output. So the logits are the mean
of row x output, and for two labels only the difference of the two matters. Where there are more labels than
dimensions (lid.176: 176 and 16) the rows stay as they are and the mean is multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError

from .format import ModelFile

CHUNK_BYTES = 32 << 20
"""How much of an input matrix is decoded at a time."""


@dataclass(frozen=True)
class Tables:
    """The arrays that `kernels.fasttext.sums` reads, and what is left to do with its means.

    `after` is None where the means are the logits themselves, else float32[width, outputs] to multiply them with.
    """

    data: NDArray[np.uint8]  # the dictionary's part of the file
    entry_starts: NDArray[np.int64]
    entry_ends: NDArray[np.int64]
    slot_hash: NDArray[np.uint32]
    slot_id: NDArray[np.int32]
    word_values: NDArray[np.float32]
    word_counts: NDArray[np.int32]
    keys: NDArray[np.uint32]
    rows: NDArray[np.int32]
    values: NDArray[np.float32]
    params: NDArray[np.int64]
    width: int
    after: NDArray[np.float32] | None


def _projection(model: ModelFile) -> NDArray[np.float32] | None:
    """float32[dim, width] that rows are multiplied with at load; None = they stay as they are."""
    output = model.output
    if model.loss == "softmax" and len(output) == 2:
        return np.ascontiguousarray((output[1:] - output[:1]).T)
    if model.loss == "hs":
        output = output[: max(len(output) - 1, 1)]  # one row an inner node of the tree
    return np.ascontiguousarray(output.T) if len(output) <= model.dim else None


def _slots(count: int) -> int:
    size = 16
    while size < 2 * count:
        size *= 2
    return size


def _values(model: ModelFile, projection: NDArray[np.float32] | None, start: int, stop: int) -> NDArray[np.float32]:
    width = model.dim if projection is None else projection.shape[1]
    found = np.empty((stop - start, width), np.float32)
    step = max(1, CHUNK_BYTES // (4 * model.dim))
    for a in range(start, stop, step):
        b = min(a + step, stop)
        rows = model.input.read(model.data, a, b)
        with np.errstate(all="ignore"):  # what is not finite is found below
            found[a - start : b - start] = rows if projection is None else rows @ projection
    if not np.isfinite(found).all():
        raise ConfigError(f"model '{model.path}': its input matrix holds numbers that are not finite")
    return found.ravel()


def build(model: ModelFile) -> Tables:
    """The tables of a model. Memory: the words' and buckets' rows, each `width` floats; never the whole matrix."""
    from filters.kernels import fasttext as k

    projection = _projection(model)
    width = model.dim if projection is None else projection.shape[1]
    entries = len(model.entry_starts)
    first = int(model.entry_starts[0])
    data = model.data[first : int(model.entry_ends[-1])]
    entry_starts, entry_ends = model.entry_starts - first, model.entry_ends - first
    slot_hash, slot_id = _hash_table(model.entry_hashes, np.arange(entries, dtype=np.int32))

    kept = np.zeros((0, 2), np.int32) if model.pruned is None else model.pruned
    keys, rows = _hash_table(np.ascontiguousarray(kept[:, 0]).view(np.uint32), np.ascontiguousarray(kept[:, 1]))
    with_ngrams = model.word_ngrams > 1 or model.maxn > 0
    buckets = 0 if not with_ngrams else (model.bucket if model.pruned is None else model.input.rows - model.words)

    params = np.zeros(k.PARAMS, np.int64)
    params[k.P_WIDTH], params[k.P_WORDS], params[k.P_BUCKET] = width, model.words, model.bucket
    params[k.P_WORD_NGRAMS], params[k.P_MINN], params[k.P_MAXN] = model.word_ngrams, model.minn, model.maxn
    params[k.P_PRUNED] = 0 if model.pruned is None else (1 if len(kept) else 2)
    params.view(np.uint64)[k.P_MAGIC] = ((1 << 64) - 1) // model.bucket + 1 & (1 << 64) - 1
    params[k.P_END] = _end(model)

    values = _values(model, projection, model.words, model.words + buckets)
    word_values = _values(model, projection, 0, model.words)
    word_counts = np.ones(model.words, np.int32)
    if model.maxn > 0:  # each word as if it were not known: the sum of its character n-grams
        plain = params.copy()
        plain[k.P_PLAIN], plain[k.P_END], plain[k.P_WORD_NGRAMS] = 1, -1, 1
        sums, counts = np.zeros(model.words * width), np.zeros(model.words, np.int64)
        none = _hash_table(np.zeros(0, np.uint32), np.zeros(0, np.int32))
        bounds = [_fixed(bound[: model.words]) for bound in (entry_starts, entry_ends)]
        scratch = np.zeros(1, np.uint64), np.zeros(width)
        k.sums(data, *bounds, data, entry_starts, entry_ends, *none, word_values, word_counts,
               keys, rows, values, plain, *scratch, sums, counts)  # fmt: skip
        own = slice(None) if params[k.P_END] < 0 else np.arange(model.words) != params[k.P_END]
        word_values.reshape(-1, width)[own] += sums.reshape(-1, width)[own].astype(np.float32)
        word_counts[own] += counts[own].astype(np.int32)
    after = np.ascontiguousarray(model.output.T) if projection is None else None
    return Tables(
        data, entry_starts, entry_ends, slot_hash, slot_id, word_values, word_counts, keys, rows, values, params,
        width, after,
    )  # fmt: skip


def _hash_table(keys: NDArray[np.uint32], values: NDArray[np.int32]) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Open addressing in two arrays of twice the size or more."""
    from filters.kernels.fasttext import place

    size = _slots(len(keys))
    slot_keys, slot_values = np.zeros(size, np.uint32), np.full(size, -1, np.int32)
    place(keys, values, slot_keys, slot_values)
    return slot_keys, slot_values


def _fixed(bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """A read-only view: the type that Arrow's buffers have, so that kernels are compiled once."""
    found = np.ascontiguousarray(bounds).view()
    found.flags.writeable = False
    return found


def _end(model: ModelFile) -> int:
    sizes = model.entry_ends[: model.words] - model.entry_starts[: model.words]
    for e in np.flatnonzero(sizes == 4):
        if model.data[model.entry_starts[e] : model.entry_ends[e]].tobytes() == b"</s>":
            return int(e)
    return -1
