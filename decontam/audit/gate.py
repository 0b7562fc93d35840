"""Limits on the share of dirty items, by which an evaluation can be stopped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.errors import ConfigError, nearest

_LIMIT = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<value>\d+(?:\.\d*)?|\.\d+)(?P<percent>\s*%)?")


@dataclass(frozen=True)
class Limit:
    """A greater share of items than `share` fails. `name`: of a benchmark or BENCHMARK/SPLIT; empty for all."""

    name: str
    share: float


def limits_of(texts: Sequence[str]) -> list[Limit]:
    """Limits from `X`, `X%`, `BENCHMARK=X%` or `BENCHMARK/SPLIT=X%`. Raises ConfigError."""
    made: list[Limit] = []
    for text in texts:
        match = _LIMIT.fullmatch(text.strip())
        share = float(match["value"]) / (100 if match["percent"] else 1) if match else -1.0
        if match is None or not 0 <= share <= 1:
            raise ConfigError(
                f"--fail-above {text}: write a share (0.01), a percentage (1%) or NAME=1%, between 0 and 1 or 100%"
            )
        limit = Limit((match["name"] or "").strip(), share)
        if any(limit.name == other.name for other in made):
            raise ConfigError(f"--fail-above names {limit.name or 'the limit for all'} twice")
        made.append(limit)
    return made


def check_names(limits: Sequence[Limit], items: pa.Table) -> None:
    """Raise ConfigError for a limit on a benchmark of which there is no item."""
    pairs = set(zip(items["benchmark"].to_pylist(), items["split"].to_pylist(), strict=True))
    known = {name for name, _ in pairs} | {f"{name}/{split}" for name, split in pairs}
    for limit in limits:
        if limit.name and limit.name not in known:
            raise ConfigError(
                f"--fail-above {limit.name}=...: no benchmark or BENCHMARK/SPLIT is called so"
                f"{nearest(limit.name, known)}; there are {', '.join(sorted(known)[:20])}"
            )


def judge(benchmarks: pa.Table, default: str, limits: Sequence[Limit], level: str) -> list[dict[str, Any]]:
    """A row a benchmark and split with a limit, the narrowest name counts: benchmark, split, share, limit, failed."""
    by_name = {limit.name: limit.share for limit in limits}
    judged = []
    for row in benchmarks.to_pylist():
        names = (f"{row['benchmark']}/{row['split']}", row["benchmark"], "")
        limit = next((by_name[name] for name in names if name in by_name), None)
        if row["method"] != default or limit is None:
            continue
        bad = row["dirty"] + (row["suspect"] if level == "suspect" else 0)
        share = bad / row["items"]
        judged.append(
            {
                "benchmark": row["benchmark"],
                "split": row["split"],
                "share": share,
                "limit": limit,
                "failed": share > limit,
            }
        )
    return judged
