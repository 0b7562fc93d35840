"""A mixture's plan before any work: from token counts where sources are tokenised, else from bytes of text.

The decisions are those of the step `mix` (`planning.decide`), but that near-duplicates are not looked for, so that
held-out documents are counted as if each were a cluster of its own.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError
from pipeline.storage import local_file

from .amounts import UNSCORED, chinchilla, effective_tokens, repeats, totals
from .catalogue import described
from .dates import dated
from .planning import Decisions, decide
from .recipe import THIS, Mixture, SourceSpec
from .sources import documents_of, id_prefix, tokens_of

if TYPE_CHECKING:
    import polars as pl

BYTES_PER_TOKEN = 4.2
"""Bytes of text in a token where no source is tokenised: English under vocabularies of 50 000 to 150 000."""


def plan(
    mixture: Mixture,
    *,
    this: Path | None = None,
    model_params: float | None = None,
    bytes_per_token: float | None = None,
) -> dict[str, Any]:
    """The plan as plain JSON. `this` is the run that `run: this` stands for.

    Raises ConfigError where a source isn't there or has nothing to draw, as the run would.
    """
    if bytes_per_token is not None and not bytes_per_token > 0:
        raise ConfigError(f"bytes per token must be above 0, not {bytes_per_token}")
    if model_params is not None and not model_params > 0:
        raise ConfigError(f"model parameters must be above 0, not {model_params}")
    frames, basis = _frames(mixture, this, bytes_per_token)
    mixture = dated(frames, mixture)
    made = decide(frames, mixture)
    sources = totals(made.strata, made.targets, mixture)
    total = sum(row["target_tokens"] for row in sources)
    strata = [
        {
            "phase": phase.name,
            "source": stratum.source,
            "group": stratum.group,
            "bucket": None if stratum.bucket == UNSCORED else stratum.bucket,
            "available_tokens": stratum.tokens,
            "documents": stratum.documents,
            "target_tokens": tokens,
            "epochs": tokens / stratum.tokens,
            "effective_tokens": round(effective_tokens(stratum.tokens, tokens)),
        }
        for phase, row in zip(mixture.phases, made.targets.tokens, strict=True)
        for stratum, tokens in zip(made.strata, row, strict=True)
    ]
    phases = [
        {
            "phase": phase.name,
            "target_tokens": sum(row),
            "share": sum(row) / total if total else 0.0,
            "sources": {
                name: sum(n for s, n in zip(made.strata, row, strict=True) if s.source == name)
                for name in mixture.sources
            },
        }
        for phase, row in zip(mixture.phases, made.targets.tokens, strict=True)
    ]
    return {
        "name": mixture.name,
        "basis": basis,
        "fresh_after": mixture.held_out.after if mixture.held_out else None,
        "total_tokens": total,
        "sources": sources,
        "phases": phases,
        "strata": strata,
        "thrown_away": _thrown_away(mixture, made),
        "chinchilla": chinchilla(model_params, total) if model_params else None,
        "effective_tokens": sum(row["effective_tokens"] for row in sources),
        "warnings": list(made.warnings),
    }


def _thrown_away(mixture: Mixture, made: Decisions) -> list[dict[str, Any]]:
    """Tokens that are not trained on, by source and reason."""
    rows = [
        {"source": row["source"], "reason": row["fate"], "tokens": row["tokens"]}
        for row in made.counts
        if row["fate"] != "train"
    ]
    for name in mixture.sources:
        never = more = 0
        for i, stratum in enumerate(made.strata):
            if stratum.source != name:
                continue
            if not any(repeats(mixture, phase, stratum.bucket) for phase in mixture.phases):
                never += stratum.tokens
            else:
                more += max(0, stratum.tokens - sum(made.targets.of(i)))
        for reason, tokens in (("quality bucket of repeat 0", never), ("over the target", more)):
            if tokens:
                rows.append({"source": name, "reason": reason, "tokens": tokens})
    return sorted(rows, key=lambda row: (list(mixture.sources).index(row["source"]), row["reason"]))


def _frames(
    mixture: Mixture, this: Path | None, bytes_per_token: float | None
) -> tuple[pl.LazyFrame, list[dict[str, Any]]]:
    """The catalogue of all sources, and what each one's token counts rest on."""
    import polars as pl

    found: dict[str, tuple[pl.LazyFrame, bool]] = {}
    for name, spec in mixture.sources.items():
        if spec.run == THIS and this is None:
            raise ConfigError(
                f"mixture '{mixture.name}': source '{name}' is `run: this`; say which run that is (--run FOLDER)"
            )
        found[name] = _rows(name, spec, this)
    ratio, measured = bytes_per_token or BYTES_PER_TOKEN, "as given" if bytes_per_token else "assumed"
    if bytes_per_token is None:
        known = [frame for frame, exact in found.values() if exact]
        if known:
            sums = pl.concat([frame.select(pl.col("n_tokens", "text_bytes").sum()) for frame in known])
            tokens, size = sums.sum().collect().row(0)
            if tokens and size:
                ratio, measured = size / tokens, "measured on the tokenised sources"
    frames, basis = [], []
    columns = ("source", "shard", "row", "n_tokens", "key", "lang", "domain", "date", "score", "control")
    for number, (name, (frame, exact)) in enumerate(found.items()):
        if not exact:
            tokens = (pl.col("text_bytes") / ratio).ceil().cast(pl.Int64)
            frame = frame.with_columns(n_tokens=pl.when(pl.col("text_bytes") > 0).then(tokens).otherwise(0))
        names = frame.collect_schema().names()
        if mixture.sources[name].prefix_ids and "id" in names:
            frame = frame.with_columns(id=pl.lit(f"{name}/") + pl.col("id").cast(pl.String))
        frame = frame.with_columns(row=pl.int_range(pl.len(), dtype=pl.Int64), shard=pl.lit(number, pl.Int32))
        keyed = (
            pl.col("id" if "id" in names else "row")
            .cast(pl.String)
            .map_batches(partial(_keys, mixture.seed), return_dtype=pl.UInt64, is_elementwise=True)
        )
        frame = described(frame.with_columns(key=keyed), name, mixture.sources[name], mixture)
        frames.append(frame.select(*columns).filter(pl.col("n_tokens") > 0))
        how = "counted" if exact else f"estimated: {ratio:.2f} bytes of text a token ({measured})"
        basis.append({"source": name, "tokens": how, "exact": exact})
    joined = pl.concat(frames)
    return joined.with_columns(cluster=pl.col("key"), cluster_tokens=pl.col("n_tokens"), stale=pl.lit(False)), basis


def _keys(seed: int, ids: pl.Series) -> pl.Series:
    import polars as pl
    import pyarrow as pa

    from pipeline.packing.draws import order_keys

    return pl.Series(order_keys(pa.array(ids.to_arrow()), seed), dtype=pl.UInt64)


def _rows(name: str, spec: SourceSpec, this: Path | None) -> tuple[pl.LazyFrame, bool]:
    """(documents of a source with `n_tokens` or at least `text_bytes`, whether tokens are counted)."""
    import polars as pl

    if spec.inputs:
        return _files(name, spec), False
    folder = this if spec.run == THIS and this is not None else Path(spec.run)
    tokens = tokens_of(folder)
    if tokens is not None:
        files = [str(tokens.path / "documents" / f"{Path(file).stem}.parquet") for file in tokens.files]
        frame = _scan(files)
        if "text_bytes" in frame.collect_schema():
            return frame, True
    documents = documents_of(folder)
    frame = _scan([str(documents.path / file) for file in documents.files])
    return frame.with_columns(text_bytes=pl.col("text").str.len_bytes().cast(pl.Int64).fill_null(0)).drop("text"), False


def _scan(files: list[str]) -> pl.LazyFrame:
    import polars as pl

    return pl.scan_parquet(
        [local_file(file) for file in files], glob=False, missing_columns="insert", extra_columns="ignore"
    )


def _files(name: str, spec: SourceSpec) -> pl.LazyFrame:
    """Documents of Parquet or JSONL files, read once; what is kept of each is a row without its text."""
    import polars as pl
    import pyarrow as pa

    from pipeline.documents import plan_documents, read_documents
    from pipeline.sources import prefixed
    from pipeline.tokensteps import described as of_tokens
    from pipeline.tokensteps import described_schema

    parts = []
    for split in plan_documents(spec.inputs, 128 << 20):
        for batch in read_documents(split, text_field=spec.text_field):
            documents = prefixed(batch.table, id_prefix(name))
            none = pa.array([0] * documents.num_rows, pa.int64())
            table = of_tokens(documents, none, described_schema(documents.schema))
            parts.append(pl.from_arrow(table.drop_columns(["n_tokens", "title"])))
    if not parts:
        raise ConfigError(f"inputs {list(spec.inputs)} hold no document")
    return pl.concat(parts, how="diagonal_relaxed").lazy()
