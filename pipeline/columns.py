"""Columns of users' Parquet files, brought to the types that stages read: UTF-8 texts, ids, provenance.

Parquet does not check the bytes of its strings, while kernels and decoders rely on them; so every column of texts is
checked here, where it comes in.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from .errors import ConfigError
from .schema import DOCUMENT, RECORD, document_id
from .stage import CUT_SPANS, DROP_FILTER, DROP_REASON, SPAN


def text_column(table: pa.Table, text_field: str, where: str) -> tuple[pa.Table, list[int]]:
    """The table with the texts of `text_field` as `text`, and the rows that are no UTF-8, whose text is null.

    Raises ConfigError for a column that is not there, is there twice or holds no texts.
    """
    names = table.column_names
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ConfigError(f"{where} has two columns called '{double}': rename one")
    if text_field not in names:
        raise ConfigError(
            f"{where} has no column '{text_field}'; it has {names}. Name the text column with --text-field"
        )
    if text_field != "text":
        table = table.drop_columns(["text"]) if "text" in names else table
        table = table.rename_columns(["text" if c == text_field else c for c in table.column_names])
    raw = _bytes(table["text"], text_field, where)
    bad: list[int] = []
    try:
        text = raw.cast(pa.large_string())
    except pa.ArrowInvalid:
        values = [None if one is None else one.decode("utf-8", "replace") for one in raw.to_pylist()]
        wrong = [new is not None and new.encode() != old for new, old in zip(values, raw.to_pylist(), strict=True)]
        bad = [row for row, is_wrong in enumerate(wrong) if is_wrong]
        text = pa.array([None if w else v for v, w in zip(values, wrong, strict=True)], pa.large_string())
    return table.set_column(table.column_names.index("text"), "text", text), bad


def complete(table: pa.Table, name: str, first: int) -> pa.Table:
    """Add `id`, `url`, `record` where they are missing; `first` is the number of the first row. Raises ConfigError.

    Bytes that are no UTF-8 in other columns of texts become U+FFFD.
    """
    rows = range(first, first + table.num_rows)
    if "record" not in table.column_names or table.schema.field("record").type != RECORD:
        record = pa.array([{"file": name, "offset": row} for row in rows], RECORD)
        table = table.drop_columns(["record"]) if "record" in table.column_names else table
        table = table.append_column("record", record)
    table = table.drop_columns([c for c in (DROP_FILTER, DROP_REASON) if c in table.column_names])
    for index, field in enumerate(table.schema):
        wanted = field.name in ("id", "url", "lang")
        if field.name != "text" and (wanted or pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
            kind = pa.string() if wanted else field.type
            table = table.set_column(index, field.with_type(kind), _readable(table[index], kind, field.name, name))
    if CUT_SPANS in table.column_names and table.schema.field(CUT_SPANS).type != pa.list_(SPAN):
        raise ConfigError(
            f"{name}: column '{CUT_SPANS}' holds {table.schema.field(CUT_SPANS).type}, but editors keep what they cut "
            "there: rename it"
        )
    made = pa.array([document_id(name, str(row)) for row in rows], pa.string())
    if "id" not in table.column_names:
        table = table.append_column("id", made)
    elif table["id"].null_count:
        ids = pc.coalesce(table["id"], made)
        table = table.set_column(table.column_names.index("id"), "id", ids)
    if "url" not in table.column_names:
        table = table.append_column("url", pa.nulls(table.num_rows, pa.string()))
    first_columns = list(DOCUMENT.names)
    return table.select(first_columns + [c for c in table.column_names if c not in first_columns])


def _bytes(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    """The bytes of texts, numbers or bytes, as large_binary. Raises ConfigError for other types."""
    try:
        if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
            column = column.cast(pa.large_string())
        return column.cast(pa.large_binary())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise ConfigError(f"{where}: column '{name}' holds {column.type}, not texts") from error


def _readable(column: pa.ChunkedArray, kind: pa.DataType, name: str, where: str) -> pa.Array | pa.ChunkedArray:
    """Texts as `kind` (string or large_string), with U+FFFD for what is no UTF-8."""
    raw = _bytes(column, name, where)
    try:
        return raw.cast(pa.large_string()).cast(kind)
    except pa.ArrowInvalid:
        return pa.array([None if one is None else one.decode("utf-8", "replace") for one in raw.to_pylist()], kind)
