"""The cache of indexes: made once, shared by memory map, added to, and never half there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import decontam.cache as cache
import decontam.index_build as index_build
from decontam.cache import IndexOf
from decontam.scan import scan
from pipeline.errors import ConfigError
from tests.conftest import ROOT
from tests.decontam.stage_tools import QUIZ, documents, page, write_benchmark

RIDDLES = {
    "riddles/all/1": ("What has nine legs, two clocks and a brass handle, but never once opens the garden gate?", "a"),
    "riddles/all/2": (
        "Name the only harbour town whose bell rings thirteen times before the herring boats set out.",
        "b",
    ),
}


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    return write_benchmark(tmp_path / "quiz.jsonl")


@pytest.fixture
def cut_texts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts of items were cut into tokens, call by call."""
    calls: list[int] = []
    real = index_build.cut_text

    def counting(text, normalisation):
        calls.append(len(text))
        return real(text, normalisation)

    monkeypatch.setattr(index_build, "cut_text", counting)
    return calls


def test_the_second_time_it_is_taken_from_the_cache(index_cache, quiz, cut_texts):
    said: list[str] = []
    first = IndexOf(benchmarks=(str(quiz),)).open(say=said.append)
    assert len(said) == 1 and "index of 3 items of 1 benchmark, built" in said[0]
    second = IndexOf(benchmarks=(str(quiz),)).open(say=said.append)
    assert len(said) == 1 and len(cut_texts) == 1
    assert second.fingerprint == first.fingerprint
    assert [p.name for p in index_cache.iterdir() if not p.name.startswith(".")] == [
        IndexOf(benchmarks=(str(quiz),)).key()
    ]


def test_the_key_is_the_content_not_the_place(index_cache, quiz, tmp_path):
    moved = tmp_path / "elsewhere" / tmp_path.name / "quiz.jsonl"
    moved.parent.mkdir(parents=True)
    shutil.copy(quiz, moved)
    one = IndexOf(benchmarks=(str(quiz),))
    assert IndexOf(benchmarks=(str(moved),)).key() == one.key()
    before = one.key()
    write_benchmark(quiz, {**QUIZ, "quiz/all/4": RIDDLES["riddles/all/1"]})
    assert one.key() != before
    assert IndexOf(benchmarks=(str(quiz),), on_error="skip").key() != one.key()


def test_a_registry_entry_that_changes_makes_another_index(index_cache, tmp_path, quiz):
    own = tmp_path / "mine.yaml"
    own.write_text("pub: {files: quiz, fields: {question: question, answer: answer}}\n")
    one = IndexOf(benchmarks=(str(quiz),), registry=(str(own),))
    before = one.key()
    own.write_text("pub: {files: quiz, fields: {question: answer, answer: question}}\n")
    assert one.key() != before


def test_code_that_changes_makes_another_index(index_cache, quiz, monkeypatch):
    before = IndexOf(benchmarks=(str(quiz),)).key()
    monkeypatch.setattr(cache, "_code", lambda: "another")
    assert IndexOf(benchmarks=(str(quiz),)).key() != before


def test_items_of_an_earlier_index_are_not_cut_again(index_cache, quiz, tmp_path, cut_texts):
    IndexOf(benchmarks=(str(quiz),)).open()
    riddles = write_benchmark(tmp_path / "riddles.jsonl", RIDDLES)
    said: list[str] = []
    both = IndexOf(benchmarks=(str(quiz), str(riddles))).open(say=said.append)
    assert cut_texts == [6, 4]  # question and answer of three items, then of two: the first three not again
    assert "2 of them added to an earlier index" in said[0]
    cache_of_both = {tuple(row.values()) for row in both.items.to_pylist()}
    assert {row[0] for row in cache_of_both} == {*QUIZ, *RIDDLES}


def test_an_index_that_grew_finds_what_one_built_at_once_finds(index_cache, quiz, tmp_path):
    riddles = write_benchmark(tmp_path / "riddles.jsonl", RIDDLES)
    wanted = IndexOf(benchmarks=(str(quiz), str(riddles)))
    texts = [page(1, 1, 1), " ".join(q for q, _ in (*RIDDLES.values(), *QUIZ.values())), page(0, 2, 2, noise=True)]
    column = documents(texts)["text"]
    at_once = scan(column, wanted.open()).sort_by([("row", "ascending"), ("item", "ascending")])
    shutil.rmtree(index_cache)
    index_cache.mkdir()
    IndexOf(benchmarks=(str(riddles),)).open()
    grown = scan(column, wanted.open()).sort_by([("row", "ascending"), ("item", "ascending")])
    assert at_once.num_rows == 7 and at_once.equals(grown)


def test_a_benchmark_of_which_a_file_changed_is_read_anew(index_cache, quiz, cut_texts):
    IndexOf(benchmarks=(str(quiz),)).open()
    write_benchmark(quiz, {**QUIZ, "quiz/all/4": RIDDLES["riddles/all/1"]})
    assert len(IndexOf(benchmarks=(str(quiz),)).open()) == 4
    assert cut_texts == [6, 8]


def test_a_damaged_index_is_built_again(index_cache, quiz):
    one = IndexOf(benchmarks=(str(quiz),))
    whole = one.open().tokens.tobytes()
    (index_cache / one.key() / "tokens.npy").write_bytes(b"not an array")
    said: list[str] = []
    assert one.open(say=said.append).tokens.tobytes() == whole
    assert len(said) == 1


def test_what_a_killed_build_left_is_removed(index_cache, quiz):
    one = IndexOf(benchmarks=(str(quiz),))
    left = index_cache / f".{one.key()}.{socket.gethostname()}-1-abc.tmp"
    left.mkdir()
    (left / "tokens.npy").write_bytes(b"half")
    one.open()
    assert not left.exists()
    assert not list(index_cache.glob(".*.tmp"))


def test_a_worker_whose_files_are_others_says_so(index_cache, quiz):
    with pytest.raises(ConfigError, match="not on this machine as they were when the run began"):
        IndexOf(benchmarks=(str(quiz),)).open("0" * 32)


def test_a_worker_that_lacks_the_index_builds_it(index_cache, quiz):
    one = IndexOf(benchmarks=(str(quiz),))
    key = one.key()
    one.open(key)
    shutil.rmtree(index_cache / key)  # as on another node
    assert len(one.open(key)) == 3


def test_errors_of_benchmarks_come_with_file_and_line_when_checked(index_cache, quiz):
    quiz.write_text(quiz.read_text() + '{"question": "", "answer": "x"}\n')
    with pytest.raises(ConfigError, match=r"quiz.jsonl.*line 4"):
        IndexOf(benchmarks=(str(quiz),)).check()
    IndexOf(benchmarks=(str(quiz),), on_error="skip").check()
    said: list[str] = []
    assert len(IndexOf(benchmarks=(str(quiz),), on_error="skip").open(say=said.append)) == 3
    assert "1 records of benchmarks are not used: an empty question (1)" in said[0]


def test_a_file_that_is_read_for_the_check_is_not_read_again(index_cache, quiz, monkeypatch):
    import decontam.items as items

    calls = []
    real = items.read_files
    monkeypatch.setattr(items, "read_files", lambda *a, **k: calls.append(1) or real(*a, **k))
    one = IndexOf(benchmarks=(str(quiz),))
    one.check()
    one.open()
    one.check()
    assert calls == [1]


def test_counts_of_a_background_are_part_of_the_index(index_cache, quiz, tmp_path):
    import json

    sample = tmp_path / "background.jsonl"
    sample.write_text("".join(json.dumps({"text": page(1, 1, 0)}) + "\n" for _ in range(20)))
    plain = IndexOf(benchmarks=(str(quiz),))
    counted = IndexOf(benchmarks=(str(quiz),), background=(str(sample),))
    assert plain.key() != counted.key()
    index = counted.open()
    assert index.documents == 20 and plain.open().documents == 0
    column = documents([page(1, 1, 1), page(1, 2, 1)])["text"]
    assert set(scan(column, plain.open())["item"].to_pylist()) == {"quiz/all/1", "quiz/all/2"}
    assert set(scan(column, index)["item"].to_pylist()) == {"quiz/all/2"}
    sample.write_text(json.dumps({"text": "else"}) + "\n")
    assert counted.open().documents == 1


_WORKER = """
import sys, time
from pathlib import Path
import decontam.cache as cache
folder, quiz, here = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
cache.cache_folder = lambda name: folder
(here / f"ready-{sys.argv[4]}").touch()
while not (here / "go").exists():
    time.sleep(0.005)
index = cache.IndexOf(benchmarks=(quiz,)).open(say=lambda text: print("said", text, flush=True))
assert index.tokens[1] and len(index) == 3
for line in open("/proc/self/maps"):
    if line.rstrip().endswith("tokens.npy"):
        _, mode, _, device, inode, path = line.split()
        print("mapped", mode, device, inode, flush=True)
(here / f"done-{sys.argv[4]}").touch()
while not (here / "stop").exists():
    time.sleep(0.005)
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_two_processes_build_one_index_and_map_one_file(index_cache, quiz, tmp_path):
    """Both start together; one builds, the other waits; then both have the same file mapped, shared."""

    def wait(name: str) -> None:
        end = time.monotonic() + 60
        while not all((tmp_path / f"{name}-{i}").exists() for i in range(2)) and time.monotonic() < end:
            time.sleep(0.01)

    command = [sys.executable, "-c", _WORKER, str(index_cache), str(quiz), str(tmp_path)]
    workers = [subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, text=True, cwd=ROOT) for i in range(2)]
    wait("ready")
    (tmp_path / "go").touch()
    wait("done")
    (tmp_path / "stop").touch()
    outputs = [worker.communicate(timeout=60)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sum(", built, " in output for output in outputs) == 1
    mapped = [line for output in outputs for line in output.splitlines() if line.startswith("mapped")]
    assert len(mapped) == 2 and len(set(mapped)) == 1  # the same inode of the same device: one copy in memory
    inode = (index_cache / IndexOf(benchmarks=(str(quiz),)).key() / "tokens.npy").stat().st_ino
    assert mapped[0].split()[-1] == str(inode)


def test_a_benchmark_without_an_item_of_use_adds_nothing(index_cache, quiz, tmp_path):
    IndexOf(benchmarks=(str(quiz),), on_error="skip").open()
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": "", "answer": "x"}\n')
    assert len(IndexOf(benchmarks=(str(quiz), str(bad)), on_error="skip").open()) == 3
    with pytest.raises(ConfigError, match="no item that can be used"):
        IndexOf(benchmarks=(str(bad),), on_error="skip").check()


def test_a_full_disk_is_an_error_that_names_the_cache(index_cache, quiz, monkeypatch):
    def no_room(*_: object) -> None:
        raise OSError("142607 requested and 76784 written")  # as numpy has it, without an errno

    monkeypatch.setattr(cache.Index, "save", no_room)
    with pytest.raises(ConfigError, match="is the disk full.*GRISTMILL_CACHE"):
        IndexOf(benchmarks=(str(quiz),)).open()
    assert not [path for path in index_cache.iterdir() if path.is_dir()]


def test_an_index_that_nobody_opens_goes_when_another_is_built(index_cache, quiz, tmp_path):
    old, used = IndexOf(benchmarks=(str(quiz),)), IndexOf(benchmarks=(str(quiz),), on_error="skip")
    old.open()
    used.open()
    long_ago = time.time() - (cache.KEPT_DAYS + 1) * 86_400
    for one in (old, used):
        os.utime(index_cache / one.key() / "made_of.json", (long_ago, long_ago))
    mapped = used.open()  # opened again: it stays
    other = IndexOf(benchmarks=(str(write_benchmark(tmp_path / "riddles.jsonl", RIDDLES)),))
    other.open()
    assert {p.name for p in index_cache.iterdir() if p.is_dir()} == {used.key(), other.key()}
    assert len(mapped) == 3 and len(old.open()) == 3
