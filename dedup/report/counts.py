"""Figures of a dedup step from its own files: what went, sizes of clusters, similarities, languages and hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.storage import local_file

from ..lsh import size_histogram
from ..signatures import s_curve
from .found import DedupStep

if TYPE_CHECKING:
    import polars as pl

BINS = 50
"""Of similarities, from 0 to 1."""
HOSTS = 200
"""In the JSON."""
HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?:www\.)?([^/?#:]+)"


def scan(step: DedupStep, side: str) -> pl.LazyFrame | None:
    """The kept or dropped documents; None without a file."""
    import polars as pl

    files = list(step.kept if side == "kept" else step.dropped)
    if not files:
        return None
    return pl.scan_parquet(
        [local_file(file) for file in files], glob=False, missing_columns="insert", extra_columns="ignore"
    )


def totals(step: DedupStep) -> dict[str, Any]:
    """Documents and bytes of text that came in, and that went by reason; what was cut of texts that stay."""
    import polars as pl

    sides: dict[str, Any] = {}
    for side in ("kept", "dropped"):
        frame = scan(step, side)
        size = pl.col("text").str.len_bytes().sum().alias("bytes")
        if frame is None:
            sides[side] = []
        elif side == "kept":
            sides[side] = frame.select(pl.len().alias("documents"), size).collect(engine="streaming").to_dicts()
        else:
            grouped = frame.group_by("drop_reason").agg(pl.len().alias("documents"), size)
            sides[side] = grouped.collect(engine="streaming").sort("drop_reason").to_dicts()
    gone = {str(row["drop_reason"]): (row["documents"], row["bytes"] or 0) for row in sides["dropped"]}
    kept = sides["kept"][0] if sides["kept"] else {"documents": 0, "bytes": 0}
    documents = kept["documents"] + sum(n for n, _ in gone.values())
    size_in = (kept["bytes"] or 0) + sum(b for _, b in gone.values())
    known = bool(step.kept)
    return {
        "documents_in": documents if known else None,
        "text_bytes_in": size_in if known else None,
        "removed": {
            reason: {
                "documents": n,
                "share": n / documents if known and documents else None,
                "text_bytes": b,
                "text_share": b / size_in if known and size_in else None,
            }
            for reason, (n, b) in gone.items()
        },
        "cut": _cut(step),
    }


def _cut(step: DedupStep) -> dict[str, Any] | None:
    """Lines or spans that went out of texts, as the step's manifest tells it."""
    lines, spans = step.manifest.get("line_dedup"), step.manifest.get("repeats")
    if lines:
        return {"what": "lines", "number": lines["lines_cut"], "of": lines["lines"], "bytes": lines["bytes_cut"],
                "share": lines["bytes_cut"] / max(1, lines["bytes_in"])}  # fmt: skip
    if spans:
        return {"what": "substrings", "number": spans["spans"], "of": None, "bytes": spans["bytes"],
                "share": spans["bytes"] / max(1, spans["of_bytes"])}  # fmt: skip
    return None


def clusters(step: DedupStep, top: int) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """(histogram of sizes by upper end, the largest clusters): a kept document and those that went for it."""
    import polars as pl

    frame = scan(step, "dropped")
    if frame is None or "duplicate_of" not in frame.collect_schema():
        return {}, []
    named = frame.filter(pl.col("duplicate_of").fill_null("") != "")
    grouped = named.group_by("duplicate_of").agg((pl.len() + 1).cast(pl.Int64).alias("documents"))
    sizes = grouped.group_by("documents").agg(pl.len().alias("clusters"))
    largest = grouped.sort(["documents", "duplicate_of"], descending=[True, False]).head(top)
    sizes_, largest_ = pl.collect_all([sizes, largest], engine="streaming")
    counts = np.repeat(sizes_["documents"].to_numpy(), sizes_["clusters"].to_numpy())
    return size_histogram(counts.astype(np.int64)), [
        {"kept": row["duplicate_of"], "documents": row["documents"]}
        for row in largest_.sort(["documents", "duplicate_of"], descending=[True, False]).to_dicts()
    ]


def similarities(step: DedupStep) -> dict[str, Any] | None:
    """Histogram of the similarities of removed documents, beside the share of such pairs that LSH finds.

    `expected_recall` weighs each removed document with the chance that its pair was found (Horvitz and Thompson
    1952): the share of near-duplicates at or above the threshold that the bands are expected to have found.
    """
    import polars as pl

    made = step.minhash
    frame = scan(step, "dropped")
    if made is None or frame is None:
        return None
    bands, rows = made.parameters.bands, made.parameters.rows
    at = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    found: dict[str, Any] = {
        "bands": bands,
        "rows": rows,
        "threshold": made.least_similarity,
        "measure": made.measure,
        "verified": made.verify,
        "s_curve": {f"{s:g}": float(v) for s, v in zip(at, s_curve(at, bands, rows), strict=True)},
        "edges": [i / BINS for i in range(BINS + 1)],
        "counts": [0] * BINS,
        "curve": [float(v) for v in s_curve((np.arange(BINS) + 0.5) / BINS, bands, rows)],
        "expected_recall": None,
    }
    if "similarity" not in frame.collect_schema():
        return found
    # half a bin's float32 rounding: .8 is .800000012
    place = ((pl.col("similarity").cast(pl.Float64) + 1e-6) * BINS).floor().clip(0, BINS - 1).cast(pl.Int64)
    seen = frame.filter(pl.col("similarity").is_not_null()).group_by(place.alias("bin"))
    chance = 1 - (1 - pl.col("similarity").cast(pl.Float64) ** rows) ** bands
    counted = seen.agg(pl.len().alias("n"), (1 / chance).sum().alias("weight")).collect(engine="streaming")
    for row in counted.to_dicts():
        found["counts"][row["bin"]] = row["n"]
    if made.measure == "jaccard" and counted.height:
        found["expected_recall"] = float(counted["n"].sum() / counted["weight"].sum())
    return found


def by_language(step: DedupStep) -> list[dict[str, Any]]:
    """Documents in and removed, by language; [] where documents have none."""
    return _by(step, "lang")


def by_host(step: DedupStep) -> list[dict[str, Any]]:
    """Documents in and removed, by the URL's host without `www.`: those that lost most."""
    return _by(step, "host")


def _by(step: DedupStep, what: str) -> list[dict[str, Any]]:
    import polars as pl

    parts = []
    for side in ("kept", "dropped"):
        frame = scan(step, side)
        if frame is None:
            continue
        names = frame.collect_schema()
        if what == "host" and "url" in names:
            value = pl.col("url").cast(pl.String).str.extract(HOST).str.to_lowercase()
        elif what == "lang" and ("lang" in names or "lang_hint" in names):
            value = pl.col("lang" if "lang" in names else "lang_hint").cast(pl.String)
        else:
            return []
        parts.append(frame.select(value.alias("value"), pl.lit(side == "dropped").alias("gone")))
    counted = (
        pl.concat(parts)
        .group_by("value")
        .agg(pl.len().cast(pl.Int64).alias("documents"), pl.col("gone").sum().cast(pl.Int64).alias("removed"))
        .sort(["removed", "documents", "value"], descending=[True, True, False])
        .head(HOSTS)
        .collect(engine="streaming")
    )
    known = bool(step.kept)
    return [
        {**row, "documents": row["documents"] if known else None,
         "share": row["removed"] / row["documents"] if known else None}
        for row in counted.sort(["removed", "documents", "value"], descending=[True, True, False]).to_dicts()
    ]  # fmt: skip
