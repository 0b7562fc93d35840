"""Where each phase of each stratum ends, such that every source meets its target within one sequence.

A stratum's *stream* is its documents in the order of epoch 0, then of epoch 1, and so on: a hash of (seed, id, epoch).
Phases take consecutive parts of it, so a document comes again only when all others have come. A phase ends within a
document; that one is given to the phase as a whole or not at all, such that the source's tokens up to there are short
of what they should be by less than `tolerance`, and never over it. Where whole documents can't do that, one is divided.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

from .planning import TRAIN, Decisions, with_fate, with_stratum
from .positions import Cut, find_cuts
from .recipe import Mixture

if TYPE_CHECKING:
    import polars as pl


def settle(catalogue: pl.LazyFrame, mixture: Mixture, made: Decisions, tolerance: int) -> Decisions:
    """The decisions with all cuts."""
    import polars as pl

    found: dict[tuple[int, int], Cut] = {}
    asked: list[tuple[str, str, int, int, int]] = []
    places: list[tuple[int, int]] = []
    for i, stratum in enumerate(made.strata):
        for k, end in enumerate(itertools.accumulate(made.targets.of(i))):
            epoch, position = divmod(end, stratum.tokens)
            if position:
                asked.append((stratum.source, stratum.group, stratum.bucket, epoch, position))
                places.append((i, k))
            else:
                found[i, k] = Cut(epoch)
    kinds = {"source": pl.String, "group": pl.String, "bucket": pl.Int32, "epoch": pl.Int64, "position": pl.Int64}
    fates = with_fate(catalogue, mixture, made.held, made.caps).filter(pl.col("fate") == TRAIN)
    frame = with_stratum(fates, mixture, made.edges, made.groups)
    wanted = pl.DataFrame(asked, schema=kinds, orient="row")
    found.update(zip(places, find_cuts(frame, ["source", "group", "bucket"], wanted), strict=True))
    phases = len(mixture.phases)
    cuts = [[found[i, k] for k in range(phases)] for i in range(len(made.strata))]
    for name in mixture.sources:
        own = [i for i, stratum in enumerate(made.strata) if stratum.source == name]
        for i, row in zip(own, share_out([cuts[i] for i in own], tolerance), strict=True):
            cuts[i] = row
    return dataclasses.replace(made, cuts=cuts)


def share_out(cuts: list[list[Cut]], tolerance: int) -> list[list[Cut]]:
    """A source's cuts, by stratum and phase, with `given` filled in: whole documents where possible."""
    out = _whole_documents(cuts, tolerance)
    if out is None:  # a long document holds several ends of phases: each is cut where it is
        out = [[dataclasses.replace(cut, given=cut.before) for cut in row] for row in cuts]
    return out


def _whole_documents(cuts: list[list[Cut]], tolerance: int) -> list[list[Cut]] | None:
    """As `share_out`; None where a phase would get over its target."""
    out = [list(row) for row in cuts]
    for k in range(len(cuts[0]) if cuts else 0):
        given = [_least(row, k) for row in out]
        short = sum(row[k].before for row in out) - sum(given)
        if short < 0:
            return None
        due = sorted(range(len(out)), key=lambda i: (-out[i][k].before / max(1, out[i][k].size), i))
        left = []
        for i in due:
            more = out[i][k].size - given[i]
            if more <= short:
                given[i] += more
                short -= more
            else:
                left.append(i)
        if short >= tolerance:
            given[left[0]] += short
        for i, tokens in enumerate(given):
            out[i][k] = dataclasses.replace(out[i][k], given=tokens)
    return out


def _least(row: list[Cut], k: int) -> int:
    """Tokens of the document at cut k that an earlier phase has taken."""
    if k and row[k].key is not None and row[k].document == row[k - 1].document:
        return row[k - 1].given
    return 0
