"""Documents to look at: those nearest to a threshold on both sides, and random ones by seed and id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.stage import DROP_FILTER, DROP_REASON

from ..storage import local_file
from .facts import Facts
from .measures import rules_of

EXCERPT_CHARS = 400
FIELD_CHARS = 200
_COLUMNS = ("id", "url", "record", "text", "lang", "lang_hint", "page_type", DROP_FILTER, DROP_REASON)

Place = tuple[int, int]
"""(0 kept or 1 dropped, row over these files)."""


@dataclass(frozen=True)
class Pick:
    """A chosen document: `about` is "random" or a rule's option, `side` "kept" or "dropped", `value` the score."""

    place: Place
    about: str
    side: str
    value: float | None


def pick(facts: Facts, number: int, n: int) -> list[Pick]:
    """Up to `n` on each side of each threshold, nearest first (ties by the random key), and `n` random ones a side."""
    import polars as pl

    if n < 1:
        return []
    stage = pl.col("_stage")
    sides = {"kept": stage > number, "dropped": stage == number}
    names: list[tuple[str, str]] = []
    queries = []
    salt = pl.lit(np.uint64(0x9E3779B97F4A7C15 * (number + 1) & (2**64 - 1)), pl.UInt64)
    for side, chosen in sides.items():
        names.append(("random", side))
        order = (pl.col("key") ^ salt).alias("order")
        value = pl.lit(None, pl.Float64).alias("value")
        queries.append(facts.scan().filter(chosen).select("_from", "_row", value, order).bottom_k(n, by="order"))
    for rule in rules_of(facts, number):
        if rule.measure is None or (rule.threshold is None and not rule.by_language):
            continue
        value = rule.value().cast(pl.Float64)
        distance = (value - rule.limit()).abs().alias("order")
        for side, chosen in sides.items():
            names.append((rule.rule.option, side))
            right = rule.fails() if side == "dropped" else ~rule.fails()
            near = facts.scan().filter(chosen & right).select("_from", "_row", value.alias("value"), distance, "key")
            near = near.filter(pl.col("order").is_finite())
            queries.append(near.bottom_k(n, by=["order", "key"]))
    picks = []
    for (about, side), frame in zip(names, pl.collect_all(queries, engine="streaming"), strict=True):
        by = [c for c in ("order", "key") if c in frame.columns]
        for row in frame.sort(by).iter_rows(named=True):
            picks.append(Pick((row["_from"], row["_row"]), about, side, row["value"]))
    return picks


def fetch(kept: Sequence[Path], dropped: Sequence[Path], places: Iterable[Place]) -> dict[Place, dict[str, Any]]:
    """The documents at these places, with a bounded excerpt."""
    return {place: shown(row.to_pylist()[0]) for place, row in rows_at(kept, dropped, places, _COLUMNS)}


def rows_at(
    kept: Sequence[Path], dropped: Sequence[Path], places: Iterable[Place], columns: Sequence[str] | None = None
) -> Iterator[tuple[Place, pa.Table]]:
    """Each place with its row, in order; only the row groups that hold one are read. None = all columns."""
    wanted: dict[int, list[int]] = defaultdict(list)
    for which, row in set(places):
        wanted[which].append(row)
    for which, files in enumerate((kept, dropped)):
        rows = sorted(wanted[which])
        first = 0
        for path in files:
            if not rows:
                break
            file = pq.ParquetFile(local_file(path))
            some = None if columns is None else [c for c in columns if c in file.schema_arrow.names]
            for group in range(file.metadata.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                inside = [r for r in rows if r < first + size]
                if inside:
                    table = file.read_row_group(group, columns=some)
                    for row in inside:
                        yield (which, row), table.slice(row - first, 1)
                    rows = rows[len(inside) :]
                first += size


def shown(doc: dict[str, Any]) -> dict[str, Any]:
    """A document as reports show it: every text is bounded."""
    record = doc.get("record") or {}
    text = doc.get("text")
    place = f"{record.get('file')}@{record.get('offset')}" if isinstance(record, dict) and record.get("file") else None
    return {
        "id": bounded(doc.get("id")),
        "url": bounded(doc.get("url")),
        "record": bounded(place),
        "lang": bounded(doc.get("lang") or doc.get("lang_hint")),
        "page_type": bounded(doc.get("page_type")),
        "reason": bounded(doc.get(DROP_REASON)),
        "chars": len(text) if isinstance(text, str) else None,
        "excerpt": bounded(text, EXCERPT_CHARS),
    }


def bounded(value: Any, limit: int = FIELD_CHARS) -> str | None:
    """At most `limit` characters of a text, an ellipsis where it was cut; None stays None."""
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= limit else text[:limit] + "…"
