"""The stage that turns pages into documents.

Reads `payload`, `payload_kind`, `url`, `record`; adds the columns of `schema.EXTRACTED` and `drop_reason`;
removes `payload` and `payload_kind`. Drop reasons: `too_many_bytes`, `too_many_nodes`, `too_deep` (limits,
decided in advance), `no_text` (nothing found), `extractor_error` (the engine raised), and those of the last
guard: `timeout`, `crashed`, `out_of_memory`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ConfigError
from ..schema import EXTRACTED, require
from ..stage import DROP_REASON, Stage, register
from .engines import EngineOptions, make_engine
from .guard import Guard, fates_file
from .limits import Limits
from .page import REQUEST, Job

REASONS = (
    "too_many_bytes",
    "too_many_nodes",
    "too_deep",
    "no_text",
    "extractor_error",
    "timeout",
    "crashed",
    "out_of_memory",
)
"""Every reason for which this stage drops a page."""


@register
@dataclass(frozen=True, kw_only=True)
class Extract(Stage):
    """Text, title, author and date of each page, by a chosen engine in a guarded process."""

    name = "extract"
    version = 2
    reads = ("payload", "payload_kind", "url", "record")
    adds = tuple(name for name, _ in EXTRACTED)
    removes = ("payload", "payload_kind")

    engine: str = field(default="gristmill", metadata={"help": "gristmill, trafilatura, resiliparse or module:Class"})
    favor: Literal["balanced", "precision", "recall"] = field(
        default="balanced", metadata={"help": "balanced, precision or recall"}
    )
    comments: bool = field(default=False, metadata={"help": "keep the comments of readers"})
    tables: bool = field(default=True, metadata={"help": "keep tables"})
    markdown: bool = field(default=False, metadata={"help": "write Markdown instead of plain text"})
    metadata: Literal["page", "engine"] = field(
        default="page",
        metadata={"help": "title, author and date from our scan of the page, or from the engine (slower)"},
    )
    max_bytes: int = field(default=Limits.max_bytes, metadata={"help": "drop larger pages"})
    max_nodes: int = field(default=Limits.max_nodes, metadata={"help": "drop pages with more elements"})
    max_depth: int = field(default=Limits.max_depth, metadata={"help": "drop pages that nest deeper"})
    max_attributes: int = field(default=Limits.max_attributes, metadata={"help": "drop pages with more in one tag"})
    timeout_s: float = field(default=60.0, metadata={"help": "CPU seconds after which a page is given up"})
    memory_mb: int = field(default=600, metadata={"help": "memory that a page may take"})
    recycle_mb: int = field(default=400, metadata={"help": "replace the extraction process when it has grown so large"})
    isolate: bool = field(default=True, metadata={"help": "extract in a guarded process of its own"})

    def job(self) -> Job:
        """What decides the result for a page."""
        return Job(
            engine=self.engine,
            options=EngineOptions(
                favor=self.favor,
                comments=self.comments,
                tables=self.tables,
                markdown=self.markdown,
                metadata=self.metadata,
            ),
            limits=Limits(
                max_bytes=self.max_bytes,
                max_nodes=self.max_nodes,
                max_depth=self.max_depth,
                max_attributes=self.max_attributes,
            ),
        )

    def check(self) -> None:
        """As `Stage.check`."""
        for key in ("max_bytes", "max_nodes", "max_depth", "max_attributes", "timeout_s", "memory_mb", "recycle_mb"):
            if not getattr(self, key) > 0:
                raise ConfigError(f"extract: {key} must be above 0, not {getattr(self, key)!r}")
        engine = make_engine(self.engine, self.job().options)
        try:  # a missing part of an engine would otherwise drop every page as an `extractor_error`
            engine.extract("<html><body><p>One page.</p></body></html>", None)
        except ImportError as error:
            raise ConfigError(f"extract: engine '{self.engine}' can't be loaded: {error}") from error

    def config(self) -> dict[str, Any]:
        """The fields that decide a document, and the version of the engine.

        Time, memory and isolation are left out: they decide which pages the last guard gives up, which is
        recorded page by page (`fates`), and no text.
        """
        own = super().config()
        for key in ("timeout_s", "memory_mb", "recycle_mb", "isolate"):
            del own[key]
        return own | {"engine_version": make_engine(self.engine, self.job().options).version()}

    def shard_session(self, folder: Path, shard: str) -> AbstractContextManager[object]:
        """The shard's fates file, `fates/<shard>.jsonl`."""
        (folder / "fates").mkdir(parents=True, exist_ok=True)
        return fates_file(folder / "fates" / f"{shard}.jsonl")

    def __call__(self, docs: pa.Table) -> pa.Table:
        require(docs, self.reads, "stage 'extract'")
        guard = Guard(
            job=self.job(),
            isolate=self.isolate,
            timeout_s=self.timeout_s,
            memory_mb=self.memory_mb,
            recycle_mb=self.recycle_mb,
        )
        record = docs["record"]
        ids = docs["id"].to_pylist() if "id" in docs.column_names else [str(i) for i in range(docs.num_rows)]
        columns = {
            "payload": docs["payload"],
            "payload_kind": docs["payload_kind"],
            "url": docs["url"],
            "content_type": pc.struct_field(record, "content_type"),
            "crawled": pc.struct_field(record, "date"),
        }
        requests = pa.table({name: columns[name].cast(REQUEST.field(name).type) for name in REQUEST.names})
        found = guard.run(ids, requests)
        docs = docs.drop_columns([c for c in (*self.removes, *self.adds, DROP_REASON) if c in docs.column_names])
        for name in (*self.adds, DROP_REASON):
            docs = docs.append_column(found.schema.field(name), found[name])
        return docs
