"""The task of an audit: one piece of the corpus, read and scanned.

Writes `hits/NUMBER.arrow`, a row for each item that a method found in a document (HITS), `matches/NUMBER.arrow`, the
best matches of each item and method in this piece (KEPT), and `unions/NUMBER.arrow`, what its documents together cover.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage import place
from pipeline.store import atomic_path, file_digest

from ..cache import IndexOf
from ..evidence import Evidence
from ..index import PARTS, Index
from ..methods import Method
from ..scan import Scanner, ScanOptions
from .copies import Copy, copies_of
from .documents import Documents, Piece
from .excerpts import excerpt
from .unions import Unions

HITS = pa.schema(
    [
        ("item", pa.int32()), ("method", pa.int32()), ("verdict", pa.int32()), ("score", pa.float64()),
        ("copies", pa.int64()), ("text_hash", pa.binary(16)), ("document", pa.string()), ("url", pa.string()),
        ("file", pa.string()), ("offset", pa.int64()), ("corpus", pa.string()),
    ]
)  # fmt: skip
"""`item`, `method`: numbers; `verdict`: 1 suspect, 2 dirty, the worst in this document; `copies`: those of it."""

KEPT = pa.schema(
    [
        *(HITS.field(name) for name in ("item", "method", "verdict", "score", "text_hash", "document", "url", "file")),
        ("offset", pa.int64()), ("corpus", pa.string()), ("part", pa.string()), ("source", pa.string()),
        ("start", pa.int64()), ("end", pa.int64()), ("before", pa.string()), ("text", pa.string()),
        ("after", pa.string()), ("shortened", pa.bool_()),
    ]
)  # fmt: skip
FLUSH_ROWS = 1 << 14


@dataclass(frozen=True)
class IndexPlace:
    """Where workers find the index: in a folder, or in the cache, where a node that lacks it builds it."""

    folder: str = ""
    cached: IndexOf | None = None
    key: str = ""

    def open(self) -> Index:
        """The index by memory map. Raises ConfigError."""
        return self.cached.open(self.key) if self.cached is not None else Index.open(self.folder)


@dataclass(frozen=True)
class AuditTask:
    """All that a worker needs to know."""

    name: str
    piece: Piece
    folder: str
    index: IndexPlace
    methods: tuple[Method, ...]
    guard: ScanOptions
    matches: int


@functools.lru_cache(maxsize=2)
def _scanner(index: IndexPlace, guard: ScanOptions) -> Scanner:
    return Scanner(index.open(), guard)


def scan_piece(task: AuditTask) -> dict[str, Any]:
    """Read and scan a piece, and write its files. The function that workers run."""
    scanner = _scanner(task.index, task.guard)
    folder = place(task.folder)
    totals: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    best = _Best(task.matches)
    unions = Unions(scanner.index, task.methods)
    name = f"{task.name}.arrow"
    (folder / "hits").mkdir(parents=True, exist_ok=True)
    with (
        atomic_path(folder / "hits" / name) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, HITS) as writer,
    ):
        rows: list[dict[str, Any]] = []
        for documents in task.piece.read():
            text = documents.table["text"]
            totals["documents"] += len(text)
            totals["bytes"] += pc.sum(pc.binary_length(text)).as_py() or 0
            totals["tokens"] += documents.tokens
            totals["fragments"] += documents.fragments
            skipped.update(documents.skipped)
            for evidence in scanner.evidence(text):
                unions.add(evidence)
                rows += _scanned(evidence, documents, task.methods, best)
                if len(rows) >= FLUSH_ROWS:
                    writer.write_table(pa.Table.from_pylist(rows, HITS))
                    rows = []
        writer.write_table(pa.Table.from_pylist(rows, HITS))
    with (
        atomic_path(folder / "matches" / name) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, KEPT) as writer,
    ):
        writer.write_table(pa.Table.from_pylist(list(best.rows()), KEPT))
    unions.write(folder / "unions" / name)
    files = [
        {"file": f"{kind}/{name}", "bytes": path.stat().st_size, "blake2b": file_digest(path)}
        for kind in ("hits", "matches", "unions")
        for path in (folder / kind / name,)
    ]
    return {"files": files, "n_in": totals["documents"], "skipped": dict(sorted(skipped.items())), **totals}


def _scanned(
    evidence: Evidence, documents: Documents, methods: tuple[Method, ...], best: _Best
) -> list[dict[str, Any]]:
    """Rows of HITS of one chunk; its best matches go to `best`."""
    rows = []
    known: dict[int, dict[str, Any]] = {}
    for number, method in enumerate(methods):
        for copies in copies_of(method.decide(evidence), evidence):
            row = evidence.row + copies[0].document
            if row not in known:
                known[row] = _described(evidence, copies[0].document, documents, row)
            worst = max(copy.verdict for copy in copies)
            same = [copy for copy in copies if copy.verdict == worst]
            rows.append(
                {
                    "item": copies[0].item,
                    "method": number,
                    "verdict": worst,
                    "score": max(copy.score for copy in same),
                    "copies": sum(copy.count for copy in same),
                    **known[row],
                }
            )
            for copy in copies:
                best.offer(number, copy, evidence, documents, row, known[row])
    return rows


def _described(evidence: Evidence, document: int, documents: Documents, row: int) -> dict[str, Any]:
    text = evidence.text
    raw = text.data[text.offsets[document] : text.offsets[document + 1]]
    about = documents.table.select(["id", "url", "file", "offset", "corpus"]).slice(row, 1).to_pylist()[0]
    return {
        "text_hash": hashlib.blake2b(raw.tobytes(), digest_size=16).digest(),
        "document": about.pop("id"),
        **about,
    }


@dataclass
class _Best:
    """The best `most` matches of each item and method: by verdict, score, place; of equal texts only the first."""

    most: int
    found: dict[tuple[int, int], list[tuple[tuple[float, ...], dict[str, Any]]]] = field(default_factory=dict)
    seen: int = 0

    def offer(
        self, method: int, copy: Copy, evidence: Evidence, documents: Documents, row: int, about: dict[str, Any]
    ) -> None:
        """Keep a match if it is one of the best so far."""
        kept = self.found.setdefault((copy.item, method), [])
        self.seen += 1
        key = (-copy.verdict, -copy.score, float(self.seen))
        if len(kept) >= self.most and key >= kept[-1][0]:
            return
        text = evidence.text
        begin, stop = int(text.offsets[copy.document]), int(text.offsets[copy.document + 1])
        start, end = int(evidence.starts[copy.start]) - begin, int(evidence.ends[copy.end - 1]) - begin
        if any(one["text_hash"] == about["text_hash"] and one["start"] == start for _, one in kept):
            return
        shown = excerpt(text.data[begin:stop], start, end)._asdict()
        match = {
            "item": copy.item, "method": method, "verdict": copy.verdict, "score": copy.score,
            "part": PARTS[copy.kind], "source": documents.place(row, start), "start": start, "end": end,
            **about, **shown,
        }  # fmt: skip
        bisect.insort(kept, (key, match), key=lambda one: one[0])
        del kept[self.most :]

    def rows(self) -> Iterator[dict[str, Any]]:
        """The matches, by item, method and rank."""
        for _, kept in sorted(self.found.items()):
            yield from (match for _, match in kept)
