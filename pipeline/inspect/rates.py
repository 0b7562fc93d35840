"""Drop rates: by reason, by language, by page type and by identity term, with 95 % intervals (Wilson 1927)."""

from __future__ import annotations

import math
from typing import Any

from .facts import Facts
from .terms import Terms

ENOUGH = 30
"""Fewer documents than this and an interval that holds the overall rate: too few to tell."""

LEAST = 5
"""Fewer than this say nothing, whatever the interval."""


def wilson(hits: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """95 % interval of a share of `hits` in `n` (Wilson's score interval)."""
    if n == 0:
        return 0.0, 1.0
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def rate(dropped: int, reached: int, overall: float | None) -> dict[str, Any]:
    """Dropped share with its interval, its lift over `overall`, and what can be said.

    `verdict`: "more" or "less" where the interval does not hold `overall`; else "few" under 30 documents, or "same".
    """
    low, high = wilson(dropped, reached)
    share = dropped / reached if reached else None
    known = share is not None and overall
    verdict = "few"
    if reached >= LEAST and overall is not None:
        verdict = "more" if low > overall else "less" if high < overall else "same" if reached >= ENOUGH else "few"
    return {
        "reached": reached,
        "dropped": dropped,
        "share": share,
        "low": low,
        "high": high,
        "overall": overall,
        "lift": share / overall if known and share is not None and overall else None,
        "verdict": verdict,
    }


class Cube:
    """Documents and characters by stage, reason, language and page type: everything that is counted, in one query."""

    def __init__(self, facts: Facts) -> None:
        import polars as pl

        self.facts = facts
        by = ["_stage", "reason", "lang", "page_type"]
        self.frame = (
            facts.scan()
            .group_by(by)
            .agg(n=pl.len(), chars=pl.col("chars").sum(), texts=pl.col("chars").count())
            .sort(by, nulls_last=True)
            .collect(engine="streaming")
        )

    def totals(self, number: int) -> dict[str, int]:
        """Documents and characters that reached a stage, and those that it dropped; `texts_dropped` had a text."""
        import polars as pl

        reached = self.frame.filter(pl.col("_stage") >= number)
        dropped = self.frame.filter(pl.col("_stage") == number)
        return {
            "n_in": int(reached["n"].sum()),
            "n_dropped": int(dropped["n"].sum()),
            "chars_in": int(reached["chars"].sum()),
            "chars_dropped": int(dropped["chars"].sum()),
            "texts_dropped": int(dropped["texts"].sum()),
        }

    def reasons(self, number: int) -> list[dict[str, Any]]:
        """Documents and characters by reason, most first."""
        import polars as pl

        found = (
            self.frame.filter(pl.col("_stage") == number)
            .group_by("reason")
            .agg(pl.col("n").sum(), pl.col("chars").sum())
            .sort(["n", "reason"], descending=[True, False])
        )
        return [{"reason": r, "documents": n, "chars": c} for r, n, c in found.iter_rows()]

    def by(self, column: str, number: int) -> list[dict[str, Any]]:
        """Drop rates by the value of a column, most documents first; `value` None = unknown.

        Empty where no dropped document has a value: what was dropped before extraction has no page type.
        """
        import polars as pl

        reached = self.frame.filter(pl.col("_stage") >= number)
        values = reached.filter(pl.col("_stage") == number)[column]
        if len(values) and values.null_count() == len(values):
            return []
        gone = pl.col("n").filter(pl.col("_stage") == number).sum()
        found = (
            reached.group_by(column)
            .agg(reached=pl.col("n").sum(), dropped=gone)
            .sort(["reached", column], descending=[True, False], nulls_last=True)
        )
        total = int(found["reached"].sum())
        overall = int(found["dropped"].sum()) / total if total else None
        return [{"value": v, **rate(int(d), int(r), overall)} for v, r, d in found.iter_rows()]


class TermCounts:
    """Documents by stage and language that name each term and each group: two queries for all stages of a step."""

    def __init__(self, facts: Facts, terms: Terms, cube: Cube) -> None:
        import polars as pl

        self.terms = terms
        self.cube = cube
        scan = facts.scan()
        by_term = (
            scan.select("_stage", "terms")
            .filter(pl.col("terms").list.len() > 0)
            .explode("terms")
            .group_by("_stage", "terms")
        )
        self._terms = by_term.len().collect(engine="streaming")
        bits = [((pl.col("groups") // (1 << i)) % 2).sum().alias(str(i)) for i in range(len(terms.groups))]
        self._groups = scan.group_by("_stage", "lang").agg(bits).collect(engine="streaming")

    def rates(self, number: int) -> list[dict[str, Any]]:
        """Drop rates of documents that name a group (`term` None) or a term, against their language's overall rate.

        Only what some document names; by language, then groups before their terms, most documents first.
        """
        import polars as pl

        overall = {row["value"]: row for row in self.cube.by("lang", number)}
        out = []
        for lang in sorted({t.lang for t in self.terms.terms} & {k for k in overall if k}):
            base = overall[lang]["share"]
            own = self._groups.filter((pl.col("lang") == lang) & (pl.col("_stage") >= number))
            for i, group in enumerate(self.terms.groups):
                reached, dropped = int(own[str(i)].sum()), int(own.filter(pl.col("_stage") == number)[str(i)].sum())
                if not reached:
                    continue
                out.append({"lang": lang, "group": group, "term": None, **rate(dropped, reached, base)})
                out += self._of_group(lang, group, number, base)
        return out

    def _of_group(self, lang: str, group: str, number: int, base: float | None) -> list[dict[str, Any]]:
        import polars as pl

        rows = []
        for i, term in enumerate(self.terms.terms):
            if (term.lang, term.group) != (lang, group):
                continue
            own = self._terms.filter((pl.col("terms") == i) & (pl.col("_stage") >= number))
            reached = int(own["len"].sum())
            if reached:
                dropped = int(own.filter(pl.col("_stage") == number)["len"].sum())
                rows.append({"lang": lang, "group": group, "term": term.term, **rate(dropped, reached, base)})
        return sorted(rows, key=lambda r: (-r["reached"], r["term"]))
