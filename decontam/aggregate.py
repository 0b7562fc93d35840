"""How much of each item a whole corpus covers: the union over all documents of the tokens that each one covers.

Llama 2 and Llama 3 call a token of a sample contaminated if any document of the corpus has the n-gram around it; a hit
of a scan is one document's. `CorpusCoverage` keeps one bit for each token of an item that was touched at all, so its
memory is bounded by the index's tokens / 8 bytes, whatever the corpus. Unions are exact, in any order and any pieces:

    union = CorpusCoverage(index, method_named("llama3_8gram"))
    for evidence in scanner.evidence(column):
        union.add(evidence)
    union.add_table(other.table())  # of another piece of the corpus, from any process
    union.items()                   # item, tokens, covered, share, verdict: one row an item that was touched

What the scan's guard leaves out is not covered: `ScanOptions` without limits and shares (all None and 0) is the
papers' definition.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import ConfigError

from .evidence import VERDICTS, Covered, Evidence
from .index import Index
from .methods import Method
from .methods.parts import kinds_of

MARKS = pa.schema([("part", pa.int32()), ("marks", pa.binary())])
"""part: its number in the index; marks: a bit a token, the first one highest, as numpy.packbits has it."""
ITEMS = pa.schema(
    [
        ("item", pa.string()), ("method", pa.string()), ("tokens", pa.int64()), ("covered", pa.int64()),
        ("share", pa.float64()), ("verdict", pa.string()),
    ]
)  # fmt: skip
"""tokens: of all the item's parts that the method looks for; covered: by any document; share: covered / tokens."""


@runtime_checkable
class Covering(Method, Protocol):
    """A method whose score is a share of tokens."""

    parts: tuple[str, ...]

    def covered(self, evidence: Evidence) -> Covered:
        """The tokens that each document of a chunk covers."""

    def verdicts(self, share: NDArray[np.float64]) -> NDArray[np.uint8]:
        """What shares of tokens say."""


class CorpusCoverage:
    """Which tokens of each item any document has covered so far."""

    def __init__(self, index: Index, method: Method) -> None:
        """Raises ConfigError for a method that covers no tokens."""
        if not isinstance(method, Covering):
            raise ConfigError(f"{method.name} has no coverage over a corpus; llama2_skipgram and llama3_8gram have")
        self.index = index
        self.method = method
        self._marks: dict[int, NDArray[np.uint8]] = {}

    def add(self, evidence: Evidence) -> None:
        """Take in what a chunk of texts covers."""
        found = self.method.covered(evidence)
        edges = found.offsets.tolist()
        for part, low, high, tokens in zip(found.part.tolist(), edges, edges[1:], found.tokens.tolist(), strict=False):
            if tokens:
                self._take(part, np.packbits(found.marks[low:high]))

    def add_table(self, table: pa.Table) -> None:
        """Take in what another piece of the corpus covers: `table()` of a union with the same index and method."""
        for part, marks in zip(table["part"].to_pylist(), table["marks"].to_pylist(), strict=True):
            self._take(part, np.frombuffer(marks, np.uint8))

    def _take(self, part: int, marks: NDArray[np.uint8]) -> None:
        known = self._marks.get(part)
        self._marks[part] = marks.copy() if known is None else known | marks

    def table(self) -> pa.Table:
        """MARKS of the touched parts, in their order."""
        parts = sorted(self._marks)
        marks = pa.array([self._marks[part].tobytes() for part in parts], pa.binary())
        return pa.Table.from_arrays([pa.array(parts, pa.int32()), marks], schema=MARKS)

    def items(self) -> pa.Table:
        """ITEMS of which any token is covered, in the index's order."""
        index = self.index
        parts = np.array(sorted(self._marks), np.int64)
        covered = np.array([int(np.bitwise_count(self._marks[part]).sum()) for part in parts.tolist()], np.int64)
        items, of_item = np.unique(index.part_item[parts], return_inverse=True)
        union = np.bincount(of_item, weights=covered, minlength=len(items)).astype(np.int64)
        wanted = np.isin(index.part_kind, kinds_of(self.method.parts))
        lengths = np.bincount(index.part_item[wanted], weights=index.part_lengths[wanted], minlength=len(index))
        tokens = lengths[items].astype(np.int64)
        share = union / tokens
        columns = [
            index.item_names.take(pa.array(items)), pa.array([self.method.name] * len(items), pa.string()),
            pa.array(tokens), pa.array(union), pa.array(share),
            pa.array([VERDICTS[one] for one in self.method.verdicts(share).tolist()], pa.string()),
        ]  # fmt: skip
        return pa.Table.from_arrays(columns, schema=ITEMS)
