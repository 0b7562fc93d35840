"""Which of several copies is kept: an ordered list of keys, the last of which is always `id`.

A key is a column (`quality`, `record.date`), whose smallest value is kept, or largest with `-` before it; or a column
with values in the wanted order (`source=wiki|books`), others after them; or one of the names in `ALIASES`.
`text.bytes` is the length of the text. Missing values and NaN come last. The order of files plays no part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError, SchemaError
from pipeline.schema import RECORD

if TYPE_CHECKING:
    import polars as pl

ALIASES = {"newest": "-record.date", "oldest": "record.date", "longest": "-text.bytes", "shortest": "text.bytes"}
LENGTH = "text.bytes"
_KEY = re.compile(r"-?[A-Za-z_][\w.]*")
HELP = (
    "which copy is kept: columns whose smallest value wins, in this order (`-name`: largest; `name=a|b`: these values "
    f"first, in this order; or {', '.join(ALIASES)}); then id"
)


@dataclass(frozen=True)
class Key:
    """One key: a column, perhaps inside of a struct; its direction; values that come first."""

    column: str
    descending: bool
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeeperPolicy:
    """An order over documents, total wherever ids differ."""

    keys: tuple[Key, ...]

    @classmethod
    def parse(cls, keep: tuple[str, ...], where: str) -> KeeperPolicy:
        """Raises ConfigError, naming `where`, for what is no key."""
        keys = []
        for given in keep:
            column, equals, values = ALIASES.get(given, given).partition("=")
            wanted = tuple(values.split("|")) if equals else ()
            if not _KEY.fullmatch(column) or (equals and (column.startswith("-") or not all(wanted))):
                raise ConfigError(
                    f"{where}: keep '{given}' is no key: write a column name, -name, name=first|second, "
                    f"or one of {', '.join(ALIASES)}"
                )
            keys.append(Key(column.removeprefix("-"), column.startswith("-"), wanted))
        return cls(tuple(keys))

    @property
    def names(self) -> list[str]:
        """The columns that `values` gives."""
        return [f"key{i}" for i in range(len(self.keys))]

    @property
    def reads(self) -> list[str]:
        """The documents' columns that are needed, `id` among them."""
        return list(dict.fromkeys([*(key.column.split(".")[0] for key in self.keys), "id"]))

    def check_columns(self, have: set[str], where: str) -> None:
        """Raise SchemaError for a key that names no column that is there."""
        known = {f"record.{f.name}" for f in RECORD}
        missing = [key.column for key in self.keys if key.column.split(".")[0] not in have]
        missing += [k.column for k in self.keys if k.column.startswith("record.") and k.column not in known]
        if missing:
            raise SchemaError(f"{where} keeps by {missing}, which no earlier step adds; there: {sorted(have)}")

    def values(self, table: pa.Table) -> dict[str, pa.ChunkedArray]:
        """The keys' values of each document."""
        return {name: _values(table, key) for name, key in zip(self.names, self.keys, strict=True)}

    def sorted(self, frame: pl.DataFrame, first: tuple[str, ...] = (), last: tuple[str, ...] = ()) -> pl.DataFrame:
        """Rows with `key0` ... and `id`, in the policy's order within equal `first` columns; `last` parts equal ids."""
        by = [*first, *self.names, "id", *last]
        descending = [False] * len(first) + [key.descending for key in self.keys] + [False] * (1 + len(last))
        return frame.sort(by, descending=descending, nulls_last=True, maintain_order=True)


def _values(table: pa.Table, key: Key) -> pa.ChunkedArray:
    if key.column == LENGTH:
        return pc.binary_length(pc.fill_null(table["text"].cast(pa.large_string()), "")).cast(pa.int64())
    name, *inner = key.column.split(".")
    found = table[name]
    for one in inner:
        if not pa.types.is_struct(found.type) or found.type.get_field_index(one) < 0:
            raise SchemaError(f"keep '{key.column}': column '{name}' has no field '{one}'")
        found = pc.struct_field(found, one)
    if key.values:
        place = pc.index_in(found.cast(pa.string()), value_set=pa.array(key.values, pa.string()))
        return pc.fill_null(place, len(key.values)).cast(pa.int32())
    if pa.types.is_floating(found.type):
        return pc.if_else(pc.is_nan(found), pa.scalar(None, found.type), found)
    if pa.types.is_nested(found.type):
        raise SchemaError(f"keep '{key.column}' is a {found.type}; name one of its fields")
    return found


def key_schema(schema: pa.Schema, policy: KeeperPolicy) -> list[tuple[str, Any]]:
    """Names and types of the keys' columns for documents of this schema."""
    empty = policy.values(schema.empty_table())
    return [(name, column.type) for name, column in empty.items()]
