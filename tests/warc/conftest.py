"""The stand-in of Common Crawl, and a cache of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.warc.commoncrawl.polite import Clock
from tests.commoncrawl_server import CommonCrawl, serving


class FakeClock(Clock):
    """Sleeps pass at once; `slept` are those of a second or more, runs of them put together."""

    def __init__(self) -> None:
        self.time = 1_000_000.0
        self.waits: list[float] = []
        self.on_sleep = lambda: None

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.waits.append(seconds)
        self.on_sleep()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def crawl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommonCrawl]:
    """The stand-in with the sample crawl as its release, and an empty cache."""
    with serving() as server:
        monkeypatch.setenv("GRISTMILL_CC_URL", server.url)
        monkeypatch.setenv("GRISTMILL_CC_INDEX_URL", server.url)
        monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
        yield server
