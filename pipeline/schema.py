"""The one Arrow schema of a document, and the ids that name documents.

A *page* is a row before extraction (it holds the raw payload), a *document* a row after it.
Text is `large_string`, so that kernels see `(uint8 bytes, int64 offsets)` whatever the size.
"""

from __future__ import annotations

import hashlib

import pyarrow as pa

from .errors import SchemaError

RECORD = pa.struct(
    [
        ("file", pa.string()),  # WARC file: path relative to the input root, or the source's name
        ("offset", pa.int64()),  # byte offset of the record (its gzip member) in that file; line number for JSONL
        ("record_id", pa.string()),  # WARC-Record-ID without <>, null where there is none
        ("date", pa.string()),  # WARC-Date as written (ISO 8601)
        ("status", pa.int32()),  # HTTP status, null where the record has no HTTP header
        ("content_type", pa.string()),  # HTTP Content-Type as sent (WARC Content-Type if no HTTP header)
        ("digest", pa.string()),  # WARC-Payload-Digest as written
        ("truncated", pa.string()),  # WARC-Truncated reason, null if whole
        ("x_robots_tag", pa.string()),  # these four: header values, several joined by ", "
        ("tdm_reservation", pa.string()),
        ("tdm_policy", pa.string()),
        ("link", pa.string()),
    ]
)
"""Where a document came from. Never dropped: from any token one gets back to this."""

PAGE = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("record", RECORD),
        ("payload", pa.large_binary()),  # body, transfer- and content-decoding undone
        ("payload_kind", pa.string()),  # "html" | "text" (WET conversion records, text/plain)
    ]
)
"""A row before extraction."""

DOCUMENT = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("url", pa.string()),
        ("record", RECORD),
    ]
)
"""The columns that every document has; stages add more."""

EXTRACTED = (
    ("text", pa.large_string()),
    ("title", pa.string()),
    ("author", pa.string()),
    ("published", pa.string()),  # date of publication found on the page, ISO 8601 day
    ("lang_hint", pa.string()),  # language that the page states for itself, BCP 47 primary tag
    ("page_type", pa.string()),  # "article", "forum", "product" ... where the engine tells (gristmill)
    ("charset", pa.string()),  # what the payload was decoded with (WHATWG name)
    ("charset_from", pa.string()),  # "bom" | "header" | "meta" | "detected" | "default"
)
"""What extraction adds."""


def document_id(source: str, key: str) -> str:
    """128-bit id as 32 hex digits: BLAKE2b of a file's name relative to the input root, and of a place in it.

    For WARC records the key is `<WARC-Record-ID>@<offset>`: the place takes part because record ids do
    repeat. A local run and one over object storage agree, since no absolute path enters.
    """
    return hashlib.blake2b(f"{source}\0{key}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def require(table: pa.Table, columns: tuple[str, ...], who: str) -> None:
    """Raise SchemaError unless `table` has all `columns`."""
    missing = [c for c in columns if c not in table.column_names]
    if missing:
        raise SchemaError(f"{who} reads {missing}, but the table has only {table.column_names}")
