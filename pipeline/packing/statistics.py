"""What packing costs: documents that are cut, and padding, by the method used and by concatenation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def cut_by_concatenation(counts: Ints, first: int, length: int) -> int:
    """Documents of `counts` tokens, the first of which begins at token `first`, that a cut every `length` splits."""
    starts = first + np.cumsum(counts) - counts
    return int(((starts + counts - 1) // length != starts // length).sum())


def shares(documents: int, truncated: int, tokens: int, positions: int) -> dict[str, Any]:
    """Utilisation (tokens by positions) and the share of truncated documents, with their counts."""
    return {
        "truncated_documents": truncated,
        "truncated_share": truncated / documents if documents else 0.0,
        "utilisation": tokens / positions if positions else 1.0,
    }
