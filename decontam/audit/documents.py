"""Documents as an audit reads them, whatever the corpus is kept in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = pa.schema(
    [
        ("id", pa.string()), ("text", pa.large_string()), ("url", pa.string()), ("file", pa.string()),
        ("offset", pa.int64()), ("corpus", pa.string()),
    ]
)  # fmt: skip
"""`file`, `offset`: of the record that the document came from; `corpus`: the file of the corpus that holds it."""

BATCH_ROWS = 128
"""Documents that are read at once from files."""


@dataclass(frozen=True, eq=False)
class Documents:
    """Some documents of a corpus."""

    table: pa.Table
    """COLUMNS"""
    place: Callable[[int, int], str]
    """Where in the corpus a byte of a row's text stands."""
    tokens: int = 0
    fragments: int = 0
    """Documents of a pack set whose beginning is not in it."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Records that gave no document, by reason."""


class Piece(Protocol):
    """What one task reads."""

    def read(self) -> Iterator[Documents]:
        """The documents in batches."""


@dataclass(frozen=True)
class FilePiece:
    """A JSON file, or some row groups of a Parquet file."""

    split: object
    text_field: str

    def read(self) -> Iterator[Documents]:
        """The documents in batches."""
        from pipeline.documents import DocumentSplit, read_documents

        assert isinstance(self.split, DocumentSplit)
        name = self.split.name
        for batch in read_documents(self.split, text_field=self.text_field, batch_rows=BATCH_ROWS):
            table, rows = batch.table, batch.places
            record = table["record"].combine_chunks()
            columns = [
                table["id"].cast(pa.string()), table["text"].cast(pa.large_string()), table["url"].cast(pa.string()),
                pc.struct_field(record, "file"), pc.struct_field(record, "offset"),
                pa.array([name] * table.num_rows, pa.string()),
            ]  # fmt: skip

            def place(row: int, _: int, rows: list[int] = rows) -> str:
                return f"{name} row {rows[row]}"

            skipped = Counter(skip.kind for skip in batch.skips)
            yield Documents(pa.Table.from_arrays(columns, schema=COLUMNS), place=place, skipped=skipped)
