"""From a catalogue to decisions: what is held out and thrown away, which strata there are, and where draws end.

All queries are lazy and streaming; what is held in memory is a row for each stratum, a histogram of `1 << BITS` bins
for each cut, and the documents of the bins that a cut falls into.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import ConfigError
from pipeline.store import read_json

from .amounts import UNSCORED, Stratum, Targets, targets
from .dates import date_warnings
from .positions import BITS, CAPS, Cut, find_cuts, in_order
from .recipe import Mixture

if TYPE_CHECKING:
    import polars as pl

DIGITS = 5
"""Significant digits of a score in the search for quantiles."""
TRAIN = "train"


@dataclass(frozen=True)
class HeldBelow:
    """Clusters with a key up to `key` and at most `tokens` tokens are held out."""

    key: int
    tokens: int


@dataclass(frozen=True)
class Decisions:
    """What a mixture decided over its catalogue."""

    strata: tuple[Stratum, ...]
    targets: Targets
    edges: dict[str, tuple[float, ...]]
    """Of the quality buckets, by source."""
    groups: tuple[str, ...] | None
    """The groups that are strata of their own; None: all."""
    held: HeldBelow | None
    caps: dict[str, dict[str, Cut]]
    """By source and domain: where a domain over its cap ends."""
    counts: list[dict[str, Any]]
    """Documents and tokens by source and fate."""
    warnings: tuple[str, ...] = ()
    cuts: list[list[Cut]] = field(default_factory=list)
    """By stratum: the end of each phase's stream (`cuts.settle`)."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


def read_decisions(path: Path) -> Decisions:
    """The decisions that `to_json` gave to a file."""
    value = read_json(path)
    groups = value["groups"]
    return Decisions(
        strata=tuple(Stratum(**one) for one in value["strata"]),
        targets=Targets(**value["targets"]),
        edges={name: tuple(edges) for name, edges in value["edges"].items()},
        groups=None if groups is None else tuple(groups),
        held=HeldBelow(**value["held"]) if value["held"] else None,
        caps={source: {name: Cut(**cut) for name, cut in caps.items()} for source, caps in value["caps"].items()},
        counts=value["counts"],
        warnings=tuple(value["warnings"]),
        cuts=[[Cut(**cut) for cut in row] for row in value["cuts"]],
    )


def decide(catalogue: pl.LazyFrame, mixture: Mixture) -> Decisions:
    """All decisions but the cuts between phases. Raises ConfigError where the recipe asks for what isn't there."""
    _check_scores(catalogue, mixture)
    held = _held(catalogue, mixture)
    fates = with_fate(catalogue, mixture, held, {})
    caps = _domain_caps(fates, mixture)
    fates = with_fate(catalogue, mixture, held, caps)
    edges = _edges(fates, mixture)
    groups = _groups(fates, mixture)
    strata = _strata(fates, mixture, edges, groups)
    made = targets(mixture, strata)
    counts = _counts(fates)
    return Decisions(
        strata=strata, targets=made, edges=edges, groups=groups, held=held, caps=caps, counts=counts,
        warnings=(
            *_unheld(mixture, held), *date_warnings(catalogue, mixture, counts), *warnings(mixture, strata, made),
        ),
    )  # fmt: skip


def with_fate(
    catalogue: pl.LazyFrame, mixture: Mixture, held: HeldBelow | None, caps: dict[str, dict[str, Cut]]
) -> pl.LazyFrame:
    """The catalogue with `fate`: train, held_out, fresh, near_duplicate_of_fresh or domain_cap."""
    import polars as pl

    fate = pl.lit(TRAIN)
    if caps:
        rows = [
            {"source": source, "domain": domain, "cap_key": cut.key, "cap_shard": cut.shard, "cap_row": cut.row}
            for source, by_domain in caps.items()
            for domain, cut in by_domain.items()
        ]
        kinds = {"source": pl.String, "domain": pl.String, "cap_key": pl.UInt64, "cap_shard": pl.Int32,
                 "cap_row": pl.Int64}  # fmt: skip
        catalogue = catalogue.join(pl.LazyFrame(rows, schema=kinds), on=["source", "domain"], how="left")
        catalogue = catalogue.with_columns(order=in_order(pl.col("key"), pl.lit(CAPS)))
        place = (("order", "cap_key"), ("shard", "cap_shard"), ("row", "cap_row"))
        before, same = pl.lit(False), pl.lit(True)
        for own, cap in place:
            before = before | (same & (pl.col(own) < pl.col(cap)))
            same = same & (pl.col(own) == pl.col(cap))
        fate = pl.when(pl.col("cap_key").is_null() | before).then(fate).otherwise(pl.lit("domain_cap"))
    if held is not None:
        out = (pl.col("cluster") <= pl.lit(held.key, pl.UInt64)) & (pl.col("cluster_tokens") <= held.tokens)
        fate = pl.when(out).then(pl.lit("held_out")).otherwise(fate)
    if mixture.held_out is not None and mixture.held_out.after is not None:
        fresh = (pl.col("date") > mixture.held_out.after).fill_null(False)
        fate = (
            pl.when(fresh)
            .then(pl.lit("fresh"))
            .when(pl.col("stale"))
            .then(pl.lit("near_duplicate_of_fresh"))
            .otherwise(fate)
        )
    return catalogue.with_columns(fate=fate)


def with_stratum(frame: pl.LazyFrame, mixture: Mixture, edges: dict[str, Any], groups: Any) -> pl.LazyFrame:
    """The frame with `group` and `bucket`."""
    import polars as pl

    group = pl.lit("")
    if mixture.temperature is not None:
        group = pl.col(mixture.temperature.by)
        if groups is not None:
            group = pl.when(group.is_in(list(groups))).then(group).otherwise(pl.lit("(others)"))
    bucket = pl.lit(UNSCORED, pl.Int32)
    for source, bounds in edges.items():
        inner = pl.lit(0, pl.Int32)
        for bound in bounds:
            inner = inner + (pl.col("score") >= bound).cast(pl.Int32)
        bucket = pl.when((pl.col("source") == source) & pl.col("score").is_not_null()).then(inner).otherwise(bucket)
    return frame.with_columns(group=group, bucket=bucket)


def _check_scores(catalogue: pl.LazyFrame, mixture: Mixture) -> None:
    import polars as pl

    for what, part in (("score", mixture.quality), ("control", mixture.control)):
        if part is not None:
            seen = catalogue.select(pl.col(what).count()).collect(engine="streaming").item()
            if not seen:
                raise ConfigError(f"mixture '{mixture.name}': no document has the score '{part.column}'")


def _held(catalogue: pl.LazyFrame, mixture: Mixture) -> HeldBelow | None:
    """Which clusters are held out: in the order of their keys as many as the share allows.

    A cluster of more tokens than that is never held out.
    """
    import polars as pl

    how = mixture.held_out
    if how is None or not how.share:
        return None
    left = with_fate(catalogue, mixture, None, {}).filter(pl.col("fate") == TRAIN)
    total = left.select(pl.col("n_tokens").sum()).collect(engine="streaming").item() or 0
    most = min(int(how.share * total), how.max_tokens)
    small = left.filter(pl.col("cluster_tokens") <= most)
    number = (pl.col("cluster") // (1 << (64 - BITS))).alias("bin")
    bins = small.group_by(number).agg(pl.col("n_tokens").sum()).collect(engine="streaming").sort("bin")
    ends = bins["n_tokens"].cum_sum().to_numpy()
    at = int(np.searchsorted(ends, most, side="right"))
    if at == bins.height:
        return HeldBelow((1 << 64) - 1, most) if bins.height else None
    inside = small.filter(number == bins["bin"][at]).group_by("cluster").agg(pl.col("n_tokens").sum())
    clusters = inside.collect(engine="streaming").sort("cluster")
    reached = int(ends[at]) - int(bins["n_tokens"][at]) + clusters["n_tokens"].cum_sum().to_numpy()
    fit = int(np.searchsorted(reached, most, side="right"))
    key = int(clusters["cluster"][fit]) - 1
    return HeldBelow(key, most) if key >= 0 else None


def _domain_caps(fates: pl.LazyFrame, mixture: Mixture) -> dict[str, dict[str, Cut]]:
    """The domains of each source that are over the cap, and where each ends."""
    import polars as pl

    how = mixture.domain_cap
    if how is None:
        return {}
    train = fates.filter(pl.col("fate") == TRAIN)
    whole = dict(train.group_by("source").agg(pl.col("n_tokens").sum()).collect(engine="streaming").iter_rows())
    cap = {name: how.tokens or max(1, int((how.share or 1) * tokens)) for name, tokens in whole.items()}
    limits = pl.LazyFrame(
        {"source": list(cap), "cap": list(cap.values())}, schema={"source": pl.String, "cap": pl.Int64}
    )
    over = (
        train.filter(pl.col("domain") != "")
        .group_by("source", "domain")
        .agg(pl.col("n_tokens").sum())
        .join(limits, on="source")
        .filter(pl.col("n_tokens") > pl.col("cap"))
        .collect(engine="streaming")
        .sort("source", "domain")
    )
    wanted = over.select("source", "domain", epoch=pl.lit(CAPS, pl.Int64), position=pl.col("cap"))
    found = find_cuts(train, ["source", "domain"], wanted)
    caps: dict[str, dict[str, Cut]] = {}
    for (source, domain), cut in zip(over.select("source", "domain").iter_rows(), found, strict=True):
        caps.setdefault(source, {})[domain] = cut
    return caps


def _edges(fates: pl.LazyFrame, mixture: Mixture) -> dict[str, tuple[float, ...]]:
    """Bounds of the quality buckets of each source."""
    import polars as pl

    how = mixture.quality
    if how is None:
        return {}
    if not how.quantiles:
        return {name: how.edges for name in mixture.sources}
    scored = fates.filter((pl.col("fate") == TRAIN) & pl.col("score").is_not_null())
    counted = (
        scored.group_by("source", pl.col("score").round_sig_figs(DIGITS))
        .agg(pl.col("n_tokens").sum())
        .collect(engine="streaming")
        .sort("source", "score")
    )
    edges = {}
    for name in mixture.sources:
        own = counted.filter(pl.col("source") == name)
        if own.height:
            ends = own["n_tokens"].cum_sum().to_numpy()
            places = np.searchsorted(ends, np.asarray(how.edges) * ends[-1], side="left")
            edges[name] = tuple(float(own["score"][int(min(p, own.height - 1))]) for p in places)
    return edges


def _groups(fates: pl.LazyFrame, mixture: Mixture) -> tuple[str, ...] | None:
    """The largest domains, where a temperature is over domains."""
    import polars as pl

    how = mixture.temperature
    if how is None or how.by != "domain":
        return None
    counted = fates.filter(pl.col("fate") == TRAIN).group_by("domain").agg(pl.col("n_tokens").sum())
    largest = counted.sort(["n_tokens", "domain"], descending=[True, False]).head(how.top).collect(engine="streaming")
    return tuple(sorted(largest["domain"]))


def _strata(
    fates: pl.LazyFrame, mixture: Mixture, edges: dict[str, Any], groups: tuple[str, ...] | None
) -> tuple[Stratum, ...]:
    import polars as pl

    train = with_stratum(fates.filter(pl.col("fate") == TRAIN), mixture, edges, groups)
    counted = (
        train.group_by("source", "group", "bucket")
        .agg(pl.col("n_tokens").sum().cast(pl.Int64), pl.len().cast(pl.Int64).alias("documents"))
        .collect(engine="streaming")
        .sort("source", "group", "bucket")
    )
    return tuple(Stratum(*row) for row in counted.iter_rows())


def _counts(fates: pl.LazyFrame) -> list[dict[str, Any]]:
    import polars as pl

    counted = fates.group_by("source", "fate").agg(
        pl.len().cast(pl.Int64).alias("documents"), pl.col("n_tokens").sum().cast(pl.Int64).alias("tokens")
    )
    return counted.collect(engine="streaming").sort("source", "fate").to_dicts()


def _unheld(mixture: Mixture, held: HeldBelow | None) -> list[str]:
    if mixture.held_out is None or not mixture.held_out.share or held is not None:
        return []
    return [f"nothing is held out: each cluster of documents has more tokens than {mixture.held_out.share:.2%} of all"]


def warnings(mixture: Mixture, strata: tuple[Stratum, ...], made: Targets) -> list[str]:
    """What a person should know before training on it."""
    from .amounts import GOOD_EPOCHS, effective_tokens

    out = []
    for i, stratum in enumerate(strata):
        drawn = sum(made.of(i))
        if drawn > GOOD_EPOCHS * stratum.tokens * (1 + 1e-9):
            worth = effective_tokens(stratum.tokens, drawn)
            out.append(
                f"{name_of(stratum)} is drawn {drawn / stratum.tokens:.1f} times: past {GOOD_EPOCHS} epochs repeats"
                f" lose worth; {drawn:,} tokens count as about {worth:,.0f} (Muennighoff et al. 2023)"
            )
    for phase, wanted, tokens in zip(mixture.phases, made.wanted, made.tokens, strict=True):
        for name, want in wanted.items():
            got = sum(n for s, n in zip(strata, tokens, strict=True) if s.source == name)
            if got < want:
                where = f"source '{name}'" + (f" in phase '{phase.name}'" if len(mixture.phases) > 1 else "")
                cap = mixture.sources[name].max_epochs or mixture.max_epochs
                out.append(
                    f"{where} falls short by {want - got:,} of {want:,} tokens: no document is drawn more than"
                    f" {cap:g} times (max_epochs)"
                )
    return out


def name_of(stratum: Stratum) -> str:
    """A stratum as messages call it."""
    parts = [f"source '{stratum.source}'"]
    if stratum.group:
        parts.append(stratum.group)
    if stratum.bucket != UNSCORED:
        parts.append(f"bucket {stratum.bucket}")
    return ", ".join(parts)
