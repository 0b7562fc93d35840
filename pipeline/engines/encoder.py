"""Texts to ids by the engine that a tokenizer allows: the fast one where its ids are proven, else the reference.

The fast engine is proven twice: on `probes` when a process loads it, and all along on a sample of the documents,
drawn by a hash of their ids. Where the sample shows a difference the reference's ids are taken.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import ConfigError
from . import reference
from .fast import FastEngine, Ids
from .recognise import NotSupported

if TYPE_CHECKING:
    from ..bpe import LoadedTokenizer

Engine = Literal["auto", "reference", "fast"]
ENGINES: tuple[Engine, ...] = ("auto", "reference", "fast")
VERIFY_SHARE = 0.002
"""Of the documents; at 15 times the reference's speed it costs 3 % of the time."""
MAX_MISMATCHES = 1
"""More differences than this in a run and the fast engine is not trusted: the run is made anew without it."""


@dataclass
class Tally:
    """What was encoded, and how: documents and bytes of UTF-8."""

    bytes: int = 0
    verified_documents: int = 0
    verified_bytes: int = 0
    fallback_documents: int = 0
    fallback_bytes: int = 0
    mismatches: int = 0

    def to_json(self) -> dict[str, int]:
        """All numbers by name."""
        return asdict(self)


class Encoder:
    """Ids of columns of texts.

    `fast` is None where the reference does all the work, and `note` says why, where another engine was possible or
    asked for. Raises ConfigError if `engine` is "fast" and can't be had.
    """

    def __init__(self, tok: LoadedTokenizer, engine: Engine = "auto", verify_share: float = VERIFY_SHARE) -> None:
        self.tok = tok
        self.note = ""
        self.fast: FastEngine | None = None
        self._limit = int(verify_share * (1 << 64))
        if engine == "reference":
            return
        try:
            self.fast = _proven(FastEngine(tok), tok)
        except NotSupported as error:
            self.note = f"tokenised by the library `tokenizers`: the fast engine does not know {error}"
            if engine == "fast":
                raise ConfigError(
                    f"tokenizer {tok.path}: engine 'fast' does not know {error}; use engine: auto"
                ) from error

    @property
    def name(self) -> str:
        """The engine's name and version, as manifests have it."""
        import tokenizers

        return self.fast.name if self.fast is not None else f"tokenizers {tokenizers.__version__}"

    def encode(self, column: pa.ChunkedArray, *, eos: bool, keys: pa.ChunkedArray | None = None, tally: Tally) -> Ids:
        """Offsets and ids of a column of texts (null is empty), with the end id after each text that has ids if `eos`.

        `keys`, the documents' ids, draw the sample; without them nothing is verified. `tally` is added to.
        """
        sizes = _sizes(column)
        tally.bytes += int(sizes.sum())
        if self.fast is None:
            if self.note:
                tally.fallback_documents += len(column)
                tally.fallback_bytes += int(sizes.sum())
            return _joined(self._reference(column, np.arange(len(column)), eos))
        (offsets, ids), undone = self.fast.encode(column, eos=eos)
        drawn = self._drawn(keys, sizes) if keys is not None else np.zeros(0, np.int64)
        drawn = np.setdiff1d(drawn, undone, assume_unique=True)
        other: dict[int, NDArray[np.uint32]] = {}
        if len(undone):
            tally.fallback_documents += len(undone)
            tally.fallback_bytes += int(sizes[undone].sum())
            other.update(zip(undone.tolist(), self._reference(column, undone, eos), strict=True))
        if len(drawn):
            tally.verified_documents += len(drawn)
            tally.verified_bytes += int(sizes[drawn].sum())
            for row, want in zip(drawn.tolist(), self._reference(column, drawn, eos), strict=True):
                if not np.array_equal(want, ids[offsets[row] : offsets[row + 1]]):
                    tally.mismatches += 1
                    other[row] = want
        if not other:
            return offsets, ids
        return _joined([other.get(row, ids[offsets[row] : offsets[row + 1]]) for row in range(len(column))])

    def _drawn(self, keys: pa.ChunkedArray, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows to verify: by a hash of the document's id, whatever its shard; texts without a byte need none."""
        if self._limit <= 0:
            return np.zeros(0, np.int64)
        hashes = (hashlib.blake2b(key.encode(), digest_size=8, person=b"verify").digest() for key in keys.to_pylist())
        rows = [row for row, one in enumerate(hashes) if int.from_bytes(one) < self._limit]
        drawn = np.array(rows, np.int64)
        return drawn[sizes[drawn] > 0]

    def _reference(self, column: pa.ChunkedArray, rows: NDArray[np.int64], eos: bool) -> list[NDArray[np.uint32]]:
        texts = [text or "" for text in column.take(pa.array(rows)).to_pylist()]
        end = np.array([self.tok.eos_id] if eos else [], np.uint32)
        return [np.concatenate([ids, end]) if len(ids) else ids for ids in reference.encode(texts, self.tok)]


def _proven(engine: FastEngine, tok: LoadedTokenizer) -> FastEngine:
    """The engine, if it gives the reference's ids for all probes. Raises NotSupported."""
    from .probes import probes

    texts = probes([name for name in tok.added if name.strip()][:50])
    (offsets, ids), undone = engine.encode(pa.array(texts, pa.large_string()), eos=False)
    for row, want in enumerate(reference.encode(texts, tok)):
        if row not in undone and not np.array_equal(want, ids[offsets[row] : offsets[row + 1]]):
            raise NotSupported(f"how to split the probe {texts[row][:60]!r} (its ids differ)")
    return engine


def _sizes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Bytes of each text; null has none."""
    import pyarrow.compute as pc

    sizes = pc.fill_null(pc.binary_length(column), 0).to_numpy()
    return np.asarray(sizes, np.int64)


def _joined(rows: list[NDArray[np.uint32]]) -> Ids:
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(one) for one in rows], out=offsets[1:])
    return offsets, np.concatenate([np.zeros(0, np.uint32), *rows])
