"""The parameters of one MinHash dedup, and what they make of a column of texts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .shingles import Shingling


@dataclass(frozen=True, kw_only=True)
class MinhashParameters:
    """Shingles, hash functions, bands and rows."""

    shingling: Shingling
    scheme: str
    seed: int
    bands: int
    rows: int

    def described(self, texts: pa.ChunkedArray) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
        """Of n texts: band keys uint64[n, bands], and the sorted sets of shingle hashes with offsets int64[n + 1].

        A text without shingles has an empty set; its keys mean nothing.
        """
        from .shingles import shingle_hashes
        from .signatures import band_keys, signatures

        column = pa.chunked_array(texts) if isinstance(texts, list) else texts
        hashes, offsets = shingle_hashes(column, self.shingling)
        made = signatures(column, self.shingling, self.scheme, self.bands * self.rows, self.seed)
        return band_keys(made, self.bands, self.rows), hashes, offsets

    def config(self) -> dict[str, Any]:
        """Plain values: what takes part in a fingerprint, and what an index must share."""
        return asdict(self)
