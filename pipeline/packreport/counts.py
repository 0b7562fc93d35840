"""Tokens of a pack set by source, language, domain and quality; lengths of documents; bytes of text in a token.

Reads the documents tables beside the packs. What a document has in the packs is `drawn_tokens` where a mixture drew it,
else `n_tokens`; where that is not all (of several lengths each set tells of all documents, some were removed since, or
have control ids before them), the packs' own columns say it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixtures.catalogue import HOST

from ..storage import local_file

if TYPE_CHECKING:
    import polars as pl

    from ..packreader import PackReader

TOP = 200
"""Rows of a table in the JSON."""


def documents(reader: PackReader) -> pl.LazyFrame | None:
    """The documents of a set with `tokens`, what they have in it; None where it describes none."""
    import polars as pl

    files = [path for path in reader.document_files() if path.is_file()]
    if not files:
        return None
    frame = pl.scan_parquet(
        [local_file(file) for file in files], glob=False, missing_columns="insert", extra_columns="ignore"
    )
    names = frame.collect_schema().names()
    if "n_tokens" not in names:
        return None
    drawn = pl.col("drawn_tokens" if "drawn_tokens" in names else "n_tokens").cast(pl.Int64)
    frame = frame.with_columns(tokens=drawn).filter(pl.col("tokens") > 0)
    told = frame.select(pl.col("tokens").sum()).collect(engine="streaming").item()
    if not reader.manifest.get("removals") and told == reader.manifest["tokens"]:
        return frame
    left = pieces(reader).filter(~pl.col("removed")).group_by("id").agg(left=pl.col("tokens").sum())
    share = pl.col("tokens") / pl.col("tokens").sum().over("id")  # 1, but where two sources have the document
    joined = frame.join(left, on="id", how="inner")
    return joined.with_columns(tokens=(pl.col("left") * share).round().cast(pl.Int64)).filter(pl.col("tokens") > 0)


def pieces(reader: PackReader) -> pl.LazyFrame:
    """One row for each piece of a document: `id, tokens, removed`."""
    import polars as pl

    kinds = {"id": pl.String, "removed": pl.Boolean, "tokens": pl.Int64}
    parts = [_pieces(reader.folder / entry["path"]) for entry in reader.manifest["files"]]
    return pl.concat([pl.LazyFrame(schema=kinds), *parts])


def _pieces(path: Path) -> pl.LazyFrame:
    """Those of one file; only files that `remove` wrote say what is removed."""
    import polars as pl

    frame = pl.scan_ipc(local_file(path), glob=False)
    ends = pl.concat_list(pl.col("doc_starts").list.slice(1), pl.col("length"))
    none = pl.col("doc_starts").list.eval(pl.element() < 0)
    removed = pl.col("removed") if "removed" in frame.collect_schema() else none
    exploded = frame.select(id="doc_ids", start="doc_starts", end=ends, removed=removed)
    exploded = exploded.explode("id", "start", "end", "removed")
    return exploded.select("id", "removed", tokens=(pl.col("end") - pl.col("start")).cast(pl.Int64))


def by(frame: pl.LazyFrame, what: str) -> list[dict[str, Any]]:
    """Documents, tokens and bytes in a token by `source`, `lang`, `domain`, `bucket` or `quality`, the largest first.

    [] where the documents don't say. `quality` comes in tenths of the score.
    """
    import polars as pl

    schema = frame.collect_schema()
    if what == "domain":
        value = pl.col("url").cast(pl.String).str.extract(HOST).str.to_lowercase()
    elif what == "lang" and "lang" not in schema and "lang_hint" in schema:
        value = pl.col("lang_hint")
    elif what not in schema:
        return []
    elif what == "quality":
        if not schema[what].is_numeric():
            return []
        low = (pl.col(what).cast(pl.Float64) * 10).floor().clip(0, 9) / 10
        value = pl.when(pl.col(what).is_nan()).then(None).otherwise(low)
    else:
        value = pl.col(what)
    size = pl.col("text_bytes") if "text_bytes" in schema else pl.lit(None, pl.Int64)
    grouped = frame.group_by(value.alias("value")).agg(
        documents=pl.len().cast(pl.Int64),
        tokens=pl.col("tokens").sum(),
        unique=pl.col("n_tokens").sum().cast(pl.Int64),
        bytes=size.sum(),
    )
    rows = grouped.collect(engine="streaming")
    total = int(rows["tokens"].sum())
    ordered = rows.sort(["tokens", "value"], descending=[True, False], nulls_last=True).head(TOP)
    return [
        {
            "value": row["value"],
            "documents": row["documents"],
            "tokens": row["tokens"],
            "share": row["tokens"] / total if total else 0.0,
            "epochs": row["tokens"] / row["unique"] if row["unique"] else 0.0,
            "tokens_per_byte": row["unique"] / row["bytes"] if row["bytes"] else None,
        }
        for row in ordered.to_dicts()
    ]


def lengths(frame: pl.LazyFrame) -> list[dict[str, Any]]:
    """Documents and their tokens by length: from 2^k up to 2^(k+1) - 1 tokens."""
    import polars as pl

    power = pl.col("n_tokens").cast(pl.Float64).log(2).floor().cast(pl.Int64)
    grouped = frame.group_by(power.alias("power")).agg(
        documents=pl.len().cast(pl.Int64), tokens=pl.col("n_tokens").sum().cast(pl.Int64)
    )
    return [
        {
            "from": 1 << row["power"],
            "to": (2 << row["power"]) - 1,
            "documents": row["documents"],
            "tokens": row["tokens"],
        }
        for row in grouped.collect(engine="streaming").sort("power").to_dicts()
    ]


def totals(frame: pl.LazyFrame) -> dict[str, Any]:
    """Documents, their tokens and bytes of text, tokens a byte."""
    import polars as pl

    size = pl.col("text_bytes").sum() if "text_bytes" in frame.collect_schema() else pl.lit(None, pl.Int64)
    row = frame.select(
        documents=pl.len().cast(pl.Int64), tokens=pl.col("n_tokens").sum().cast(pl.Int64), text_bytes=size
    ).collect(engine="streaming").to_dicts()[0]  # fmt: skip
    return {**row, "tokens_per_byte": row["tokens"] / row["text_bytes"] if row["text_bytes"] else None}


def fill(reader: PackReader) -> dict[str, Any]:
    """How full the sequences are, and in how many pieces documents came."""
    import polars as pl

    files = [local_file(reader.folder / entry["path"]) for entry in reader.manifest["files"]]
    if not files:
        return {"full_sequences": 0, "pieces": 0, "pieces_in_a_sequence": 0.0}
    row = (
        pl.scan_ipc(files, glob=False)
        .select(
            full=(pl.col("length") == reader.sequence_length).sum(),
            pieces=pl.col("doc_starts").list.len().cast(pl.Int64).sum(),
            sequences=pl.len(),
        )
        .collect(engine="streaming")
        .to_dicts()[0]
    )
    return {
        "full_sequences": int(row["full"]),
        "pieces": int(row["pieces"]),
        "pieces_in_a_sequence": row["pieces"] / max(1, row["sequences"]),
    }
