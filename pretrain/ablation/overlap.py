"""Whether an arm holds what it is measured on: the share of each held-out text's 13-grams that occur anywhere in it.

Tokens are those of decontamination (`decontam.normalise`: letters and digits, case and accents folded); 13 is GPT-3's
n (Brown et al. 2020, appendix C). A text of fewer tokens is looked for whole, as a document of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.storage import place
from pipeline.store import atomic_path, read_json

N = 13
_BASE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Probe:
    """Texts to look for, cut into n-grams: text i has `grams[offsets[i] : offsets[i + 1]]`, uint64 hashes."""

    grams: NDArray[np.uint64]
    offsets: NDArray[np.int64]
    short: dict[bytes, list[int]]
    """Texts of fewer tokens than an n-gram, by their tokens."""


class Overlap:
    """Takes in an arm's texts and knows which n-grams of the probe were among them."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._known = np.unique(probe.grams)
        self._seen = np.zeros(len(self._known), bool)
        self._short = np.zeros(len(probe.offsets) - 1, bool)
        self.documents = 0
        self.text_bytes = 0

    def add(self, texts: pa.Array | pa.ChunkedArray) -> None:
        """Take in a column of texts."""
        self.documents += len(texts)
        self.text_bytes += pc.sum(pc.binary_length(texts)).as_py() or 0
        if not len(texts):
            return
        hashes, offsets = _tokens(texts)
        grams = np.unique(_grams(hashes, offsets)[0])
        if len(self._known):
            at = np.minimum(np.searchsorted(self._known, grams), len(self._known) - 1)
            self._seen[at[self._known[at] == grams]] = True
        for low, high in _short(offsets):
            self._short[self._probe.short.get(hashes[low:high].tobytes(), [])] = True

    def shares(self) -> NDArray[np.float64]:
        """Share of each probe text's n-grams that were seen; 1 or 0 for a short one."""
        probe = self._probe
        found = np.concatenate([[0], np.cumsum(self._seen[np.searchsorted(self._known, probe.grams)])])
        count = np.diff(probe.offsets)
        shares: NDArray[np.float64] = np.diff(found[probe.offsets]) / np.maximum(count, 1)
        return np.where(count > 0, shares, self._short.astype(np.float64))


def probe_of(texts: Sequence[str]) -> Probe:
    """The probe of some texts."""
    if not texts:
        return Probe(np.zeros(0, np.uint64), np.zeros(1, np.int64), {})
    hashes, offsets = _tokens(pa.array(texts, pa.large_string()))
    grams, gram_offsets = _grams(hashes, offsets)
    short: dict[bytes, list[int]] = {}
    for i, (low, high) in enumerate(zip(offsets.tolist(), offsets[1:].tolist(), strict=False)):
        if 0 < high - low < N:
            short.setdefault(hashes[low:high].tobytes(), []).append(i)
    return Probe(grams, gram_offsets, short)


def _tokens(texts: pa.Array | pa.ChunkedArray) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    from decontam.normalise import tokens_of

    found = tokens_of(texts)
    return found.hashes, found.offsets


def _grams(hashes: NDArray[np.uint64], offsets: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """(hashes of all n-grams, offsets by document)."""
    whole = max(0, len(hashes) - N + 1)
    made = np.zeros(whole, np.uint64)
    for k in range(N):
        made *= _BASE
        made += hashes[k : k + whole]
    counts = np.maximum(np.diff(offsets) - (N - 1), 0)
    ends = np.zeros(len(hashes) + 1, np.int64)
    begins, count = offsets[:-1][counts > 0], counts[counts > 0]
    ends[begins] += 1
    ends[begins + count] -= 1
    return made[np.cumsum(ends)[:whole] > 0], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _short(offsets: NDArray[np.int64]) -> list[tuple[int, int]]:
    counts = np.diff(offsets)
    rows = np.flatnonzero((counts > 0) & (counts < N))
    return [(int(offsets[row]), int(offsets[row + 1])) for row in rows]


@dataclass(frozen=True)
class OverlapTask:
    """What a worker needs: an arm's inputs, the probe texts' file, and where the shares go."""

    name: str
    inputs: tuple[str, ...]
    text_field: str
    probe: str
    folder: str


def look_for(task: OverlapTask) -> dict[str, Any]:
    """Read an arm and write the shares of all probe texts, `NAME.npy`. The function that workers run."""
    from decontam.audit.corpus import open_corpus

    folder = place(task.folder)
    overlap = Overlap(probe_of(read_json(Path(task.probe), list)))
    corpus = open_corpus(task.inputs, folder / "links" / task.name, text_field=task.text_field)
    for piece in corpus.pieces:
        for documents in piece.read():
            overlap.add(documents.table["text"])
    target = folder / f"{task.name}.npy"
    with atomic_path(target) as temporary, open(temporary, "wb") as handle:
        np.save(handle, overlap.shares())
    return {
        "files": [{"file": target.name, "bytes": target.stat().st_size}],
        "n_in": overlap.documents,
        "documents": overlap.documents,
        "text_bytes": overlap.text_bytes,
    }
