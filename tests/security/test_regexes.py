"""No regular expression that reads strangers' text takes quadratic time: a text four times as long, about four times.

Backtracking is what time shows and nothing else does; so a text counts as bad only where it takes long, and more than
eight times as long as its quarter, three times in a row.
"""

from __future__ import annotations

import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from .consumers import CONSUMERS
from .regex_attacks import attacks, patterns

SMALL, LARGE = 20_000, 80_000
LONG_S, FACTOR = 2.0, 8.0
EACH = 12
"""Attacks on each consumer; `benchmarks/fuzz.py` makes all."""


class _Late(Exception):
    pass


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise _Late after so long; Python's `re` looks for signals as it goes."""

    def late(_: int, __: FrameType | None) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def taken(function: Callable[[str], object], text: str, most: float = 30.0) -> float:
    """CPU seconds of a call, `most` where it takes longer."""
    start = time.process_time()
    try:
        with alarm(most):
            function(text)
    except _Late:
        return most
    return time.process_time() - start


def grows(function: Callable[[str], object], small: str, large: str) -> bool:
    """Whether the large text takes too long for its size."""
    for _ in range(3):
        seconds = taken(function, large)
        if seconds < LONG_S or seconds < FACTOR * taken(function, small):
            return False
    return True


def test_patterns_are_found() -> None:
    found = patterns()
    assert len(found) > 200
    assert any("pii" in where for where in found) and any("metadata" in where for where in found)


@pytest.mark.parametrize("pattern", [r"\s+$", r"(?:a+)+b", r"<a[^>]*href=[^>]*>", r"(\w+\.)*x@"])
def test_what_blows_up_is_noticed(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from . import regex_attacks

    compiled = re.compile(pattern)
    monkeypatch.setattr(regex_attacks, "patterns", lambda: {"filters.made": compiled})
    pairs = zip(attacks(SMALL, ("filters.made",)), attacks(LARGE, ("filters.made",)), strict=True)
    assert any(
        taken(compiled.search, large, 1.0) >= 1.0 and taken(compiled.search, small, 1.0) > 0.05
        for small, large in pairs
    )


@pytest.mark.parametrize("name", CONSUMERS)
@pytest.mark.timeout(300)
def test_time_grows_with_the_text(name: str) -> None:
    function, modules = CONSUMERS[name]
    function("warm up")
    pairs = list(zip(attacks(SMALL, modules), attacks(LARGE, modules), strict=True))
    chosen = random.Random(0).sample(pairs, min(EACH, len(pairs)))
    assert [small[:80] for small, large in chosen if grows(function, small, large)] == []
