"""Rows of a URL index: the choice among them, and their form (file, offset, length)."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import ConfigError
from ...store import atomic_path
from .release import check_path

ROW = pa.schema([("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64())])
"""A record: the path of its WARC file below the base URL, and where it lies in it."""

MAX_RECORD = 1 << 30
"""Longest compressed record that is believed, bytes."""

NEEDED = ("url", "warc_filename", "warc_record_offset", "warc_record_length")
USEFUL = ("fetch_status", "content_mime_type", "content_mime_detected")
"""Columns of the columnar index that are read; the second ones where they are there."""

_TEXT = r"^(?:text/(?:html|plain)|application/xhtml\+xml)\b"
_UNSAID = ("", "unk", "no-type", "unknown", "-")


def save(rows: pa.Table, path: Path) -> None:
    """Keep rows in a file, whole or not at all."""
    with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, ROW) as writer:
        writer.write_table(rows)


def load(path: Path) -> pa.Table:
    """Rows that `save` kept."""
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def choose(found: pa.Table, regex: str) -> pa.Table:
    """The rows (schema ROW) of wanted URLs that can be pages: status 200, not both stated and found to be no text.

    `found` has NEEDED columns and perhaps USEFUL ones. The rule on media types is wide: it leaves out only what the
    reader would skip.
    """
    keep = pc.fill_null(pc.match_substring_regex(found["url"].cast(pa.string()), regex), False)
    if "fetch_status" in found.column_names:
        keep = pc.and_(keep, pc.fill_null(pc.equal(found["fetch_status"].cast(pa.int64()), 200), True))
    if {"content_mime_type", "content_mime_detected"} <= set(found.column_names):
        stated = pc.utf8_lower(pc.fill_null(found["content_mime_type"].cast(pa.string()), ""))
        detected = pc.utf8_lower(pc.fill_null(found["content_mime_detected"].cast(pa.string()), ""))
        text = pc.or_(pc.match_substring_regex(stated, _TEXT), pc.match_substring_regex(detected, _TEXT))
        keep = pc.and_(keep, pc.or_(text, pc.is_in(stated, value_set=pa.array(_UNSAID))))
    rows = found.filter(keep)
    columns = [rows[name].cast(kind) for name, kind in zip(NEEDED[1:], ROW.types, strict=True)]
    return pa.table(columns, schema=ROW)


def ordered(rows: pa.Table, where: str) -> pa.Table:
    """The rows by file and offset, each record once, checked. Raises ConfigError for one that leads elsewhere."""
    rows = rows.combine_chunks()
    try:
        rows.validate(full=True)
    except pa.ArrowInvalid as error:  # Parquet doesn't check its strings
        raise ConfigError(f"{where} holds a path that is no UTF-8: {ascii(str(error)[:200])}") from error
    for name in pc.unique(rows["file"]).to_pylist():
        if name is None or not name.startswith("crawl-data/"):
            raise ConfigError(f"{where} holds a path that leads elsewhere: {ascii(str(name)[:200])}")
        check_path(name, where)
    bad = pc.or_kleene(
        pc.or_kleene(pc.less(rows["offset"], 0), pc.greater_equal(rows["offset"], 1 << 50)),
        pc.or_kleene(pc.less_equal(rows["length"], 0), pc.greater(rows["length"], MAX_RECORD)),
    )
    if rows.num_rows and pc.any(pc.fill_null(bad, True)).as_py():
        raise ConfigError(f"{where} holds a record that can't be: a negative offset, or no length or a huge one")
    rows = rows.group_by(["file", "offset"]).aggregate([("length", "max")])
    rows = rows.rename_columns({"length_max": "length"}).select(ROW.names)
    return rows.sort_by([("file", "ascending"), ("offset", "ascending")]).combine_chunks()
