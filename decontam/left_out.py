"""What a person is told of records and files of benchmarks that are not looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .readers import KINDS


def counts_of(problems: Mapping[str, int]) -> str:
    """Records not used by kind, as a person reads it: `2 with a missing field, ...`."""
    return ", ".join(f"{KINDS[kind]} ({number:,})" for kind, number in sorted(problems.items()))


def files_that_fit_none(unknown: Sequence[str]) -> str:
    """What to do about files of folders that are not read."""
    some = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
    return (
        f"{len(unknown):,} file{'s' if len(unknown) > 1 else ''} of the benchmarks' folders fit no entry and are not "
        f"looked for: {some}; an entry in a registry file of your own says how to read them"
    )
