"""What the whole corpus covers of each item, for the methods that are defined so: Llama 2 and Llama 3.

Each piece of the corpus writes its unions (UNION); gathering merges them. A union holds a bit for each token of the
items that the corpus touches, so neither depends on the size of the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.store import atomic_path

from ..aggregate import MARKS, CorpusCoverage, Covering
from ..evidence import VERDICTS, Evidence
from ..index import Index
from ..methods import Method

UNION = pa.schema([("method", pa.int32()), *MARKS])
"""The method's number, and a row of its `CorpusCoverage.table`."""


class Unions:
    """The unions of those methods that have one, by the methods' numbers."""

    def __init__(self, index: Index, methods: Sequence[Method]) -> None:
        self.index = index
        self.of = {n: CorpusCoverage(index, one) for n, one in enumerate(methods) if isinstance(one, Covering)}

    def add(self, evidence: Evidence) -> None:
        """Take in a chunk of texts."""
        for union in self.of.values():
            union.add(evidence)

    def write(self, path: Path) -> None:
        """Write what was taken in."""
        with (
            atomic_path(path) as temporary,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, UNION) as writer,
        ):
            for number, union in self.of.items():
                table = union.table()
                numbers = pa.array([number] * table.num_rows, pa.int32())
                writer.write_table(pa.Table.from_arrays([numbers, *table.columns], schema=UNION))

    def merge(self, path: Path) -> None:
        """Take in what another one, of the same index and methods, has written."""
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        numbers = table["method"].to_numpy()
        for number, union in self.of.items():
            union.add_table(table.filter(pa.array(numbers == number)))

    def tables(self) -> dict[int, pa.Table]:
        """`aggregate.ITEMS` that any document touches, by the method's number."""
        return {number: union.items() for number, union in self.of.items()}


def verdicts_of(table: pa.Table, index: Index) -> NDArray[np.int64]:
    """[I] the verdicts of `aggregate.ITEMS` by the item's number in the index; 0 for items that are not in it."""
    made = np.zeros(len(index), np.int64)
    places = pc.index_in(table["item"], pa.array(index.item_names)).to_numpy()
    made[places] = [VERDICTS.index(one) for one in table["verdict"].to_pylist()]
    return made


def note_on(settings: Mapping[str, Any]) -> str:
    """What the numbers over the corpus are, and where the guard makes them less than the papers' definition."""
    told = (
        "A token of an item counts as contaminated if any document of the corpus has the n-gram around it, as Llama 2 "
        "and Llama 3 define it: pieces that different documents hold add up."
    )
    guard = [name for name in ("max_items", "max_benchmarks", "max_places") if settings["guard"].get(name) is not None]
    if settings["index"].get("background") and settings["guard"].get("max_documents") is not None:
        guard.append("max_documents")
    if guard:
        told += (
            f" Unlike in the papers, shared words that are nothing but common n-grams ({', '.join(guard)}) cover no "
            "token, so these numbers may be lower than the papers' rule gives."
        )
    return told
