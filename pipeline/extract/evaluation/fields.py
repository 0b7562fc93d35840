"""Right or wrong of title, author and date of publication, after normalisation."""

from __future__ import annotations

import re
import unicodedata

FIELDS = ("title", "author", "date")

_BETWEEN_NAMES = re.compile(r"\s*(?:[,;&|\n/]|\band\b)\s*", re.IGNORECASE)
_BY = re.compile(r"^by\s*:?\s+", re.IGNORECASE)
_DAY = re.compile(r"\d{4}-\d{2}(?:-\d{2})?")


def normal(text: str) -> str:
    """NFKC, case folded, each run of white space one space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def names(author: str) -> frozenset[str]:
    """The normalised names in a byline: parts between commas, semicolons, slashes, `&` and `and`."""
    parts = _BETWEEN_NAMES.split(_BY.sub("", author.strip()))
    return frozenset(name for part in parts if (name := normal(part)))


def day(date: str) -> str | None:
    """The ISO 8601 day that a date begins with (or its month, if it says no more)."""
    found = _DAY.match(date.strip())
    return found[0] if found else None


def same(field: str, found: str | None, gold: str) -> bool:
    """Whether a found title, author or date is the gold's. A gold month is met by any of its days."""
    if not found:
        return False
    if field == "author":
        return names(found) == names(gold)
    if field == "date":
        want, have = day(gold), day(found)
        return want is not None and have is not None and have[: len(want)] == want
    return normal(found) == normal(gold)
