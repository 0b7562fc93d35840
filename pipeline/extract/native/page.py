"""A page as the scanner sees it: elements, blocks and their text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import scan as s


@dataclass(frozen=True, slots=True)
class Page:
    """The scanner's tables. `source` and `text` are uint8; columns are named in `scan`."""

    source: NDArray[np.uint8]
    elements: NDArray[np.int32]
    blocks: NDArray[np.int32]
    text: NDArray[np.uint8]
    title: tuple[int, int]

    @property
    def raw(self) -> bytes:
        """The source as bytes, without a copy where it was scanned from bytes."""
        return self.source.base if isinstance(self.source.base, bytes) else self.source.tobytes()

    def block_text(self, number: int) -> str:
        """Text of one block."""
        row = self.blocks[number]
        return self.text[row[s.TEXT0] : row[s.TEXT1]].tobytes().decode("utf-8", "replace")


def scan_page(source: bytes) -> Page:
    """Scan a page in UTF-8. Memory beyond the page: about 1.3 times its size, and at most 40 MB of tables."""
    src = np.frombuffer(source, np.uint8)
    tags = int(sum(np.count_nonzero(src[at : at + 65536] == 60) for at in range(0, len(src), 65536)))
    elements = np.empty((min(tags + 2, s.MAX_ELEMENTS), s.ELEMENT_COLUMNS), np.int32)
    blocks = np.empty((min(tags + 2, s.MAX_BLOCKS), s.BLOCK_COLUMNS), np.int32)
    out = np.empty(len(src) + len(src) // 3 + 256, np.uint8)
    count = np.zeros(s.BLOCK_COLUMNS, np.int32)
    title = np.zeros(2, np.int64)
    stack = np.empty(s.MAX_OPEN * s.FRAME, np.int32)
    state = np.zeros(s.STATE, np.int64)
    ne, nb, size = s.scan(src, elements.reshape(-1), blocks.reshape(-1), count, out, stack, state, title)
    return Page(src, elements[:ne], blocks[:nb], out[:size], (int(title[0]), int(title[1])))
