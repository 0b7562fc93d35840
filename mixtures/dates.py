"""The set fresh by date: from `held_out.newest_share` to a day, and what a person should know of the dates.

Reads the columns `date` and `n_tokens` of a catalogue, lazily; what is held is a row for each day.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError

from .recipe import HeldOut, Mixture

if TYPE_CHECKING:
    import polars as pl

MOSTLY = 0.9
"""Share of the documents that should have a date; with less there is a warning."""


def dated(catalogue: pl.LazyFrame, mixture: Mixture) -> Mixture:
    """The mixture with `held_out.after` in place of `newest_share`: whole days, as many as the share allows.

    Raises ConfigError where there are documents and none has a date.
    """
    import polars as pl

    how = mixture.held_out
    if how is None or not how.newest_share:
        return mixture
    days = _days(catalogue)
    newest = days.filter(pl.col("date").is_not_null())
    if days.height and not newest.height:
        raise ConfigError(
            f"mixture '{mixture.name}': held_out.newest_share needs dates, and none of {days['documents'].sum():,}"
            f" documents has one ({how.date}); take it out, or hold out by share"
        )
    over = newest.filter(pl.col("tokens").cum_sum() > _most(how, days))
    after = None
    if over.height:
        after = over["date"][0]
    elif newest.height:  # all that have a date
        after = _before(newest["date"][-1])
    return dataclasses.replace(mixture, held_out=dataclasses.replace(how, after=after))


def date_warnings(catalogue: pl.LazyFrame, mixture: Mixture, counts: list[dict[str, Any]]) -> list[str]:
    """Of a mixture that `dated` gave: nothing is fresh, or few documents have a date. `counts` are those by fate."""
    import polars as pl

    how = mixture.held_out
    if how is None or how.after is None:
        return []
    out = []
    days = _days(catalogue)
    newest = days.filter(pl.col("date").is_not_null())
    documents, known = days["documents"].sum(), newest["documents"].sum()
    if known < MOSTLY * documents:
        out.append(
            f"only {known:,} of {documents:,} documents ({known / documents:.2%}) have a date ({how.date}) and can be"
            " fresh; the others are trained on whatever their age"
        )
    if any(row["fate"] == "fresh" for row in counts):
        return out
    if how.newest_share and newest.height:
        return [
            *out,
            f"nothing is fresh: the latest day, {newest['date'][0]}, has {newest['tokens'][0]:,} tokens, more than the"
            f" {_most(how, days):,} that held_out.newest_share allows",
        ]
    return [*out, f"nothing is fresh: no document has a date ({how.date}) after {how.after}"]


def _days(catalogue: pl.LazyFrame) -> pl.DataFrame:
    """`date, documents, tokens`, the latest day first; one row is of the documents without a date."""
    import polars as pl

    counted = catalogue.group_by("date").agg(
        documents=pl.len().cast(pl.Int64), tokens=pl.col("n_tokens").sum().cast(pl.Int64)
    )
    return counted.collect(engine="streaming").sort("date", descending=True, nulls_last=True)


def _most(how: HeldOut, days: pl.DataFrame) -> int:
    """Tokens that the latest days may have."""
    return min(int(how.newest_share * days["tokens"].sum()), how.max_tokens)


def _before(day: str) -> str:
    """The day before, or what stands before all days where it is none (2025-02-31)."""
    try:
        return (datetime.date.fromisoformat(day) - datetime.timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return "0000-00-00"
