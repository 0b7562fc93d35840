"""Positions in streams of documents: which document holds a given token, found without sorting a stream.

A histogram of `1 << BITS` bins over the order says into which bin a position falls; only its documents are sorted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .catalogue import epoch_keys

if TYPE_CHECKING:
    import polars as pl

BITS = 12
CAPS = -1
"""The `epoch` of the order in which a domain over its cap keeps documents."""


@dataclass(frozen=True)
class Cut:
    """Where a stream of documents is cut: at the document (key, shard, row), of whose `size` tokens `before` lie before
    the wanted position and `given` go to what comes before it. `key` is None where the cut lies at the start of the
    epoch, between documents."""

    epoch: int
    key: int | None = None
    shard: int = 0
    row: int = 0
    before: int = 0
    size: int = 0
    given: int = 0

    @property
    def document(self) -> tuple[int, int | None, int, int]:
        """What names the document."""
        return self.epoch, self.key, self.shard, self.row


def in_order(key: pl.Expr, epoch: pl.Expr) -> pl.Expr:
    """uint64: the place in the order of an epoch."""
    import polars as pl

    def of(both: pl.Series) -> pl.Series:
        frame = both.struct.unnest()
        keys = frame["key"].to_numpy()
        return pl.Series(epoch_keys(keys, frame["epoch"].to_numpy()), dtype=pl.UInt64)

    both = pl.struct(key.alias("key"), epoch.cast(pl.Int64).alias("epoch"))
    return both.map_batches(of, return_dtype=pl.UInt64, is_elementwise=True)


def find_cuts(frame: pl.LazyFrame, by: list[str], wanted: pl.DataFrame) -> list[Cut]:
    """For each row of `wanted` (`*by, epoch, position`): the document that holds token `position` of the stream of
    the documents of its group, in the order of the epoch. `position` lies below the group's tokens."""
    import polars as pl

    if not wanted.height:
        return []
    asked = wanted.with_row_index("cut").with_columns(pl.col("cut").cast(pl.Int64))
    rows = frame.select(*by, "shard", "row", "n_tokens", "key").join(asked.lazy(), on=by)
    rows = rows.with_columns(order=in_order(pl.col("key"), pl.col("epoch")))
    rows = rows.with_columns(bin=pl.col("order") // (1 << (64 - BITS)))
    bins = rows.group_by("cut", "bin").agg(pl.col("n_tokens").sum()).collect(engine="streaming").sort("cut", "bin")
    ends = pl.col("n_tokens").cum_sum().over("cut")
    reached = (
        bins.with_columns(end=ends)
        .join(asked.select("cut", "position"), on="cut")
        .filter(pl.col("end") > pl.col("position"))
        .sort("cut", "bin")
        .group_by("cut", maintain_order=True)
        .first()
        .select("cut", "bin", before=pl.col("end") - pl.col("n_tokens"))
    )
    inside = (
        rows.join(reached.lazy(), on=["cut", "bin"])
        .select("cut", "order", "shard", "row", "n_tokens", "before", "position", "epoch")
        .collect(engine="streaming")
        .sort("cut", "order", "shard", "row")
        .with_columns(end=pl.col("before") + ends)
        .filter(pl.col("end") > pl.col("position"))
        .group_by("cut", maintain_order=True)
        .first()
        .sort("cut")
    )
    return [
        Cut(row["epoch"], row["order"], row["shard"], row["row"],
            row["position"] - (row["end"] - row["n_tokens"]), row["n_tokens"])
        for row in inside.iter_rows(named=True)
    ]  # fmt: skip
