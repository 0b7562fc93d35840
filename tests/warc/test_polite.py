"""Never more at once than the cap, over several processes; nothing before Retry-After has passed; backing off."""

from __future__ import annotations

import email.utils
import subprocess
import sys
import time
from email.message import Message
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, StepFailed
from pipeline.warc.commoncrawl import polite, web
from tests.commoncrawl_server import SEGMENT, CommonCrawl, Fault

from .conftest import FakeClock

WARC = f"{SEGMENT}/warc/sample-00000.warc.gz"

READER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pipeline.warc.commoncrawl.web import WebFile
url, size = sys.argv[1], int(sys.argv[2])
with ThreadPoolExecutor(6) as pool:
    list(pool.map(lambda k: WebFile(url, size).read(k * 1000, 1000), range(12)))
"""


def readers(crawl: CommonCrawl, n: int) -> None:
    """`n` processes with six threads each that want ranges of one file."""
    args = [sys.executable, "-c", READER, f"{crawl.url}/{WARC}", str(len(crawl.files[WARC]))]
    running = [subprocess.Popen(args) for _ in range(n)]
    assert [process.wait(60) for process in running] == [0] * n


@pytest.mark.parametrize("cap", [2, 5])
def test_cap_holds_over_processes(crawl: CommonCrawl, monkeypatch: pytest.MonkeyPatch, cap: int) -> None:
    monkeypatch.setenv("GRISTMILL_CC_PARALLEL", str(cap))
    crawl.delay = 0.03
    readers(crawl, 3)
    assert len(crawl.requests) == 36
    assert crawl.most_active == cap, "all slots are used, and no more"


def test_one_refusal_holds_back_every_process(crawl: CommonCrawl) -> None:
    """After the answer with Retry-After none of three processes asks for anything for so long."""
    crawl.delay = 0.02
    crawl.faults = [Fault(delay=0.05), Fault(delay=0.05), Fault(503, {"Retry-After": "2"})]
    readers(crawl, 3)
    assert len(crawl.requests) == 37
    (refused,) = [r for r in crawl.requests if r.status == 503]
    later = [r.begun - refused.ended for r in crawl.requests if r.begun > refused.ended + 0.5]
    assert len(later) > 20 and min(later) >= 1.9


def slept(clock: FakeClock, begun: float) -> float:
    return clock.now() - begun


def test_busy_server_is_given_the_time_it_asks_for(crawl: CommonCrawl, clock: FakeClock) -> None:
    date = {"Date": "Mon, 06 May 2024 07:00:00 GMT", "Retry-After": "Mon, 06 May 2024 07:00:42 GMT"}
    asked = [(Fault(503, {"Retry-After": "7"}), 7.0), (Fault(429, date), 42.0)]
    asked += [(Fault(503, {"Retry-After": "99999"}), polite.MAX_RETRY_AFTER_S), (Fault(500), 1.0), (Fault(403), 1.0)]
    for fault, least in asked:
        crawl.faults = [fault]
        begun = clock.now()
        data = web.WebFile(f"{crawl.url}/{WARC}", len(crawl.files[WARC]), clock=clock).read(5, 10)
        assert data == crawl.files[WARC][5:15]
        assert least <= clock.now() - begun <= least * 1.5 + 0.1
    crawl.faults = [Fault(503)] * 5
    begun = clock.now()
    web.WebFile(f"{crawl.url}/{WARC}", len(crawl.files[WARC]), clock=clock).read(5, 10)
    assert 1 + 2 + 4 + 8 + 16 <= clock.now() - begun <= 1.5 * 31 + 1


def test_retry_after_as_date_without_date_field_counts_from_now() -> None:
    headers = Message()
    headers["Retry-After"] = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert 28 < (polite.retry_after(headers) or 0) <= 30
    for wrong in ("soon", "-5", "1e9", "", "Mon, 99 May 2024 07:00:00 GMT"):
        headers.replace_header("Retry-After", wrong)
        assert polite.retry_after(headers) is None


def test_backoff_doubles_is_capped_and_jittered() -> None:
    for failures in range(1, 40):
        draws = {polite.backoff(failures) for _ in range(20)}
        least = min(2 ** (failures - 1), polite.MAX_WAIT_S)
        assert all(least <= draw <= 1.5 * least for draw in draws)
        assert len(draws) > 10


def test_gives_up_with_a_clear_message(crawl: CommonCrawl, clock: FakeClock) -> None:
    file = web.WebFile(f"{crawl.url}/{WARC}?token=secret", len(crawl.files[WARC]), clock=clock)
    crawl.faults = [Fault(503)] * 50
    with pytest.raises(StepFailed, match="HTTP 503.*8 tries in a row; run again") as error:
        file.read(0, 10)
    assert "secret" not in str(error.value) and WARC in str(error.value)
    assert len(crawl.requests) == web.TRIES
    crawl.forget()
    crawl.faults = [Fault(403)] * 50
    with pytest.raises(StepFailed, match="HTTP 403"):
        file.read(0, 10)
    assert len(crawl.requests) == web.TRIES_FORBIDDEN


def test_silent_server_is_asked_again(crawl: CommonCrawl, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TIMEOUT_S", 0.5)
    crawl.faults = [Fault(delay=2.0)]
    data = web.WebFile(f"{crawl.url}/{WARC}", len(crawl.files[WARC]), clock=clock).read(5, 10)
    assert data == crawl.files[WARC][5:15] and len(crawl.requests) == 2


def test_forbidden_elsewhere_is_no_throttling(
    crawl: CommonCrawl, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRISTMILL_CC_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GRISTMILL_CC_INDEX_URL", "http://127.0.0.1:9")
    crawl.faults = [Fault(403)] * 50
    with pytest.raises(ConfigError, match="403"):
        web.probe(f"{crawl.url}/{WARC}", clock=clock)
    assert len(crawl.requests) == 1


def test_a_rest_is_never_shortened_nor_longer_than_the_cap(tmp_path: Path, clock: FakeClock) -> None:
    host = polite.Host("http://a.example/x", tmp_path, clock)
    host.rest(30)
    host.rest(5)
    assert host.resting() == 30
    assert polite.Host("http://b.example/x", tmp_path, clock).resting() == 0
    clock.time -= 10_000  # the clock was set back: the mark lies far in the future
    assert host.resting() == 0


@pytest.mark.parametrize("wrong", ["0", "many", "-1", "1000"])
def test_wrong_cap(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("GRISTMILL_CC_PARALLEL", wrong)
    with pytest.raises(ConfigError, match="GRISTMILL_CC_PARALLEL"):
        polite.parallel()


def test_cache_that_cannot_be_written(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with polite.Host("http://a.example", tmp_path / "file", clock).turn():
        assert list(tmp_path.glob("gristmill-*/polite/a.example/slot-0"))
