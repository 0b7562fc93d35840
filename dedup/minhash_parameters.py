"""The parameters of one MinHash dedup, and what they make of a column of texts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.kernels.columns import Column

from .shingles import Shingling, shingle_hashes
from .signatures import EMPTY_KEY, band_keys, scheme_of, signatures, signatures_of_hashes


@dataclass(frozen=True, kw_only=True)
class MinhashParameters:
    """Shingles, hash functions, bands and rows."""

    shingling: Shingling
    scheme: str
    seed: int
    bands: int
    rows: int
    spare: int = 0
    """Permutations that no band uses."""

    @property
    def num_perm(self) -> int:
        """Permutations of a signature."""
        return self.bands * self.rows + self.spare

    def keys(self, texts: Column) -> NDArray[np.uint64]:
        """Band keys of n texts, uint64[n, bands]; `EMPTY_KEY` everywhere for a text without shingles."""
        made = signatures(texts, self.shingling, self.scheme, self.num_perm, self.seed)
        return band_keys(made, self.bands, self.rows)

    def described(self, texts: Column) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
        """(keys, hashes, offsets) of n texts: band keys, and sorted sets of shingle hashes, offsets int64[n + 1]."""
        hashes, offsets = shingle_hashes(texts, self.shingling)
        if scheme_of(self.scheme).hash != "native":
            return self.keys(texts), hashes, offsets
        made = signatures_of_hashes(hashes, offsets, self.scheme, self.num_perm, self.seed)
        return band_keys(made, self.bands, self.rows), hashes, offsets

    def config(self) -> dict[str, Any]:
        """Plain values: what takes part in a fingerprint, and what an index must share."""
        return asdict(self)


def with_shingles(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The rows of `keys`, uint64[n, bands], that belong to texts with shingles."""
    return np.flatnonzero(keys[:, 0] != EMPTY_KEY)
