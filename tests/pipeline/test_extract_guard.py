"""The last guard, with an engine that does what the page tells it to: hang, crash, eat memory."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import ConfigError
from pipeline.extract import guard as guard_module
from pipeline.extract.engines import EngineOptions, Extracted
from pipeline.extract.fates import Fates, fates_file
from pipeline.extract.guard import Guard, shut_down
from pipeline.extract.page import REPLY, REQUEST, Job
from pipeline.extract.stage import Extract

ROOT = Path(__file__).resolve().parents[2]
FAKE = "tests.pipeline.test_extract_guard:Fake"


class Fake:
    """An engine that obeys: the page's text is `command argument`."""

    name = "fake"

    def __init__(self, options: EngineOptions) -> None:
        self.seen = 0

    def version(self) -> str:
        return "fake 1"

    def extract(self, html: str, url: str | None, crawled: str | None = None) -> Extracted:
        self.seen += 1
        command, _, argument = html.partition(" ")
        action = getattr(self, f"do_{command}", None)
        return Extracted(html.upper() if action is None else action(argument))

    def do_sleep(self, seconds: str) -> str:
        time.sleep(float(seconds))
        return f"slept {seconds}"

    def do_spin(self, _: str) -> str:
        return str(sum(iter(int, 1)))  # type: ignore[call-overload]

    def do_regex(self, _: str) -> str:
        return str(re.match("(a+)+$", "a" * 60 + "b"))

    def do_exit(self, marker: str) -> str:
        if marker:
            with open(marker, "a", encoding="utf-8") as file:
                file.write("tried\n")
        os._exit(3)

    def do_segfault(self, _: str) -> str:
        return str(ctypes.string_at(0))

    def do_eat(self, _: str) -> str:
        hoard = []
        while True:
            hoard.append(bytearray(8 << 20))

    def do_swallow(self, _: str) -> str:
        try:
            return self.do_eat("")
        except MemoryError:
            return ""

    def do_raise(self, _: str) -> str:
        raise KeyError("a defect of the engine")

    def do_recurse(self, argument: str) -> str:
        return self.do_recurse(argument)

    def do_print(self, text: str) -> str:
        print(text * 100, flush=True)
        os.write(1, b"noise between the frames" * 1000)
        return text

    def do_grumpy(self, _: str) -> str:
        """Goes down unless it is the first page (after the warm-up) that its process sees."""
        if self.seen > 2:
            os._exit(9)
        return "fine alone"

    def do_pid(self, _: str) -> str:
        return str(os.getpid())


def requests(*pages: str) -> pa.Table:
    rows = [{"payload": p.encode(), "payload_kind": "html", "url": f"http://x/{i}"} for i, p in enumerate(pages)]
    return pa.Table.from_pylist(rows, REQUEST)


def guard(**options: object) -> Guard:
    values = {"timeout_s": 1.0, "memory_mb": 100} | options
    return Guard(job=Job(engine=FAKE), **values)  # type: ignore[arg-type]


def run(pages: list[str], fates: Fates | None = None, **options: object) -> list[tuple[str | None, str | None]]:
    table = guard(**options).run([f"id{i}" for i in range(len(pages))], requests(*pages), fates or Fates())
    assert table.schema.equals(REPLY)
    return list(zip(table["text"].to_pylist(), table["drop_reason"].to_pylist(), strict=True))


@pytest.fixture(autouse=True)
def no_child_left():  # type: ignore[no-untyped-def]
    yield
    shut_down()
    assert not _children(os.getpid())


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(errors="replace")
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        if int(fields[1]) == pid and b"pipeline.extract.child" in (stat.parent / "cmdline").read_bytes():
            found.append(int(stat.parent.name))
    return found


BAD = {
    "sleep 1000": "timeout",
    "spin": "timeout",
    "regex": "timeout",
    "exit": "crashed",
    "segfault": "crashed",
    "eat": "out_of_memory",
    "swallow": "out_of_memory",
    "raise": "extractor_error",
    "recurse": "extractor_error",
}


def test_each_bad_page_gets_its_fate_and_no_other_page_is_touched() -> None:
    good = [f"page {i}" for i in range(len(BAD) + 1)]
    pages = [good[0]]
    for bad, next_good in zip(BAD, good[1:], strict=True):
        pages += [bad, next_good]
    fates = Fates()
    found = run(pages, fates)
    expected = [(None, BAD[p]) if p in BAD else (p.upper(), None) for p in pages]
    assert found == expected
    assert fates.known == {f"id{i}": BAD[p] for i, p in enumerate(pages) if p in BAD and BAD[p] != "extractor_error"}


def test_a_fate_is_written_at_once_and_replayed_without_another_try(tmp_path: Path) -> None:
    tried, file = tmp_path / "tried", tmp_path / "fates.jsonl"
    pages = ["one", f"exit {tried}", "two"]
    with fates_file(file):
        first = guard().run(["a", "b", "c"], requests(*pages))
    attempts = tried.read_text().count("tried")
    assert attempts == 2, "a crash counts when it happens again in a fresh child"
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"id": "b", "reason": "crashed", "url": "http://x/1"}
    ]
    with fates_file(file):
        again = guard().run(["a", "b", "c"], requests(*pages))
    assert again.equals(first) and tried.read_text().count("tried") == attempts
    guard().run(["a", "b", "c"], requests(*pages))  # outside the context nothing is known
    assert tried.read_text().count("tried") == 2 * attempts


def test_a_replayed_fate_holds_even_if_the_page_would_get_through_now(tmp_path: Path) -> None:
    file = tmp_path / "fates.jsonl"
    file.write_text('{"id": "id1", "url": null, "reason": "timeout"}\n{"id": "id0", "rea')  # torn by a kill
    fates = Fates(file)
    assert fates.known == {"id1": "timeout"}
    assert run(["a", "b", "c"], fates) == [("A", None), (None, "timeout"), ("C", None)]
    fates.add("id2", None, "crashed")
    assert Fates(file).known == {"id1": "timeout", "id2": "crashed"}


def test_what_a_page_left_behind_is_not_the_next_pages_fault() -> None:
    fates = Fates()
    assert run(["one", "two", "grumpy", "three"], fates) == [
        ("ONE", None),
        ("TWO", None),
        ("fine alone", None),
        ("THREE", None),
    ]
    assert not fates.known


def test_a_child_killed_from_outside_costs_no_page() -> None:
    pages = ["a", "sleep 0.6", "b", "sleep 0.6", "c"]

    def kill_soon() -> None:
        time.sleep(0.3)
        for pid in _children(os.getpid()):
            os.kill(pid, signal.SIGKILL)

    run(["warm"], timeout_s=30)
    killer = threading.Thread(target=kill_soon)
    killer.start()
    found = run(pages, timeout_s=30)
    killer.join()
    assert found == [("A", None), ("slept 0.6", None), ("B", None), ("slept 0.6", None), ("C", None)]


def test_one_child_serves_all_batches_until_it_is_recycled() -> None:
    pids = {run(["pid"])[0][0] for _ in range(3)}
    assert len(pids) == 1
    assert len({run(["pid"], recycle_mb=1)[0][0] for _ in range(3)}) == 3


def test_many_chunks_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "CHUNK_BYTES", 200)
    monkeypatch.setattr(guard_module, "CHUNK_PAGES", 3)
    pages = [f"page {i} end" + "x" * (i * 13 % 250) for i in range(40)]
    pages[7] = pages[8] = pages[39] = "exit"
    expected = [(None, "crashed") if p == "exit" else (p.upper(), None) for p in pages]
    assert run(pages) == expected
    in_batches = pa.concat_tables([requests(*pages[:5]), requests(*pages[5:6]), requests(*pages[6:])])
    again = guard().run([str(i) for i in range(40)], in_batches, Fates())
    assert again["text"].to_pylist() == [text for text, _ in expected]


def test_a_growing_page_does_not_end_in_the_old_mapping() -> None:
    pages = ["small", "y" * 3_000_000, "small", "z" * 9_000_000]
    assert [run([p])[0][0] for p in pages] == [p.upper() for p in pages]


def test_prints_do_not_break_the_protocol() -> None:
    assert run(["print hello", "next"]) == [("hello", None), ("NEXT", None)]


def test_nothing_is_lost_on_empty_input() -> None:
    assert run([]) == []
    assert run([""]) == [(None, "no_text")]
    assert run(["a", "b"], Fates(), isolate=False) == [("A", None), ("B", None)]


def test_an_engine_that_is_not_there_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="did you mean 'trafilatura'"):
        Extract(engine="trafilatur").check()
    with pytest.raises(ConfigError, match="nowhere"):
        Extract(engine="nowhere:Engine").check()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("page", ["sleep 1000", "spin"])
def test_no_orphan_when_the_worker_is_killed(page: str) -> None:
    script = f"""
        import sys
        from tests.pipeline.test_extract_guard import guard, requests
        from pipeline.extract.fates import Fates
        guard(timeout_s=600).run(["a"], requests("warm"), Fates())
        print("ready", flush=True)
        guard(timeout_s=600).run(["a"], requests({page!r}), Fates())
    """
    worker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    time.sleep(0.3)
    (child,) = _children(worker.pid)
    worker.kill()
    worker.wait()
    worker.stdout.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and Path(f"/proc/{child}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def test_a_child_that_can_not_start_is_an_error_that_may_pass(monkeypatch):
    """As where the machine has no memory left: the task is tried again, and with room it goes on."""
    child = guard()
    with monkeypatch.context() as patch:
        patch.setattr(guard_module, "_environment", lambda: {**os.environ, "PYTHONHOME": "/nowhere"})
        with pytest.raises(OSError, match=r"the child process did not start: .*\w"):
            child.run(["a"], requests("print x"), Fates())
    assert child.run(["a"], requests("print x"), Fates())["text"].to_pylist() == ["x"]
