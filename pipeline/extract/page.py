"""One page: limits, character set, engine, clean text. The same work in the guard's child and in process."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ..errors import ConfigError
from ..schema import EXTRACTED
from .charset import Decoded, decode
from .engines import EngineOptions, make_engine
from .limits import Limits
from .metadata import MAX_AUTHOR_CHARS, MAX_TITLE_CHARS, Metadata, scan, tidy

REQUEST = pa.schema(
    [
        ("payload", pa.large_binary()),
        ("payload_kind", pa.string()),
        ("url", pa.string()),
        ("content_type", pa.string()),
        ("crawled", pa.string()),
    ]
)
"""What the extraction of a page depends on, and nothing else."""

REPLY = pa.schema([*EXTRACTED, ("drop_reason", pa.string())])
"""What comes back, one row a page."""

Row = tuple[str | None, ...]
"""One value a column of REPLY."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything that decides the result for a page. Goes to the child as JSON."""

    engine: str = "gristmill"
    options: EngineOptions = dataclasses.field(default_factory=EngineOptions)
    limits: Limits = dataclasses.field(default_factory=Limits)

    def to_json(self) -> str:
        """One line, keys sorted: also names the child that may be shared."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Inverse of `to_json`."""
        values: dict[str, Any] = json.loads(text)
        return cls(
            engine=values["engine"],
            options=EngineOptions(**values["options"]),
            limits=Limits(**values["limits"]),
        )


def dropped(reason: str) -> Row:
    """The reply for a page of which nothing is known but why it goes."""
    return (*(None for _ in EXTRACTED), reason)


class Extractor:
    """Turns requests into replies by one job's engine, page by page."""

    def __init__(self, job: Job) -> None:
        self._limits = job.limits
        self._engine = make_engine(job.engine, job.options)
        self._scan = job.options.metadata == "page"

    def row(
        self, payload: bytes | None, kind: str, url: str | None, content_type: str | None, crawled: str | None
    ) -> Row:
        """One page's reply. Raises MemoryError only; an engine's own failure is `extractor_error`."""
        if not payload:
            return dropped("no_text")
        if kind == "text":
            if len(payload) > self._limits.max_bytes:
                return dropped("too_many_bytes")
            decoded = decode(payload, content_type)
            return _row(decoded, decoded.text, Metadata(), None)
        reason = self._limits.too_much(payload)
        if reason:
            return dropped(reason)
        decoded = decode(payload, content_type)
        try:
            found = self._engine.extract(decoded.text, url, crawled)
        except (MemoryError, ConfigError):
            raise
        except Exception:  # whatever a page makes an engine raise is this page's drop, and counted
            return (*_row(decoded, "", Metadata(), None)[:-1], "extractor_error")
        said = Metadata()
        if self._scan:
            said = scan(payload if decoded.charset == "utf-8" else decoded.text.encode("utf-8"), url, crawled)
        own = Metadata(tidy(found.title, MAX_TITLE_CHARS), tidy(found.author, MAX_AUTHOR_CHARS), found.published)
        merged = Metadata(
            own.title or said.title, own.author or said.author, own.published or said.published, said.language
        )
        return _row(decoded, found.text, merged, found.page_type)

    def batch(
        self,
        pages: pa.Table | pa.RecordBatch,
        started: Callable[[int], None] | None = None,
        finished: Callable[[int, str | None], None] | None = None,
    ) -> pa.RecordBatch:
        """Replies for a table of requests, in order. Raises as `row`.

        `started(i)` is called before page i is begun, `finished(i, drop reason)` after it.
        """
        columns = [pages.column(name) for name in REQUEST.names]
        rows: list[Row] = []
        for i in range(pages.num_rows):
            if started is not None:
                started(i)
            row = self.row(*(column[i].as_py() for column in columns))
            rows.append(row)
            if finished is not None:
                finished(i, row[-1])
        return replies(rows)


def _row(decoded: Decoded, text: str, said: Metadata, page_type: str | None) -> Row:
    """The values in the order of REPLY."""
    text = clean_text(text)
    told = (said.title, said.author, said.published, said.language, page_type)
    return (text or None, *told, decoded.charset, decoded.charset_from, None if text else "no_text")


def replies(rows: list[Row]) -> pa.RecordBatch:
    """Rows as a batch of schema REPLY."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in REPLY)
    return pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, REPLY, strict=True)], schema=REPLY)


# C0, DEL and C1 but newline and tab; surrogates; the two non-characters that XML forbids
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LINE_ENDS = re.compile("\r\n?|\x85|\u2028|\u2029|[\x0b\x0c]")


def clean_text(text: str) -> str:
    r"""Text with `\n` as its only line end and without control characters but tab; stripped at both ends."""
    if _UNWANTED.search(text) or "\u2028" in text or "\u2029" in text:
        text = _UNWANTED.sub("", _LINE_ENDS.sub("\n", text))
    return text.strip()
