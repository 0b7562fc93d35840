"""What fuzzing once found stays mended, a little of it runs here, and the machinery finds what is planted."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from pipeline.errors import GristmillError

from . import engine
from .coverage import Coverage
from .engine import REGRESSIONS, attempt, fuzz
from .mutate import MAX_BYTES, mutate
from .targets import TARGETS, Target, regressions

TRIES = {"filters": 5, "recipe": 15, "models": 5, "warc": 40, "payload": 20, "extraction": 40}
"""Inputs a target gets here; 60 where it isn't named."""


@pytest.mark.parametrize("name", list(TARGETS))
@pytest.mark.timeout(120)
def test_a_little_of_each(name: str) -> None:
    """Seeds, and some mutations that hang on nothing but the target's name."""
    target, rng = TARGETS[name], random.Random(name)
    seeds = [*target.seeds()]
    for data in seeds:
        assert attempt(target, data) is None
    for _ in range(TRIES.get(name, 60)):
        data = mutate(rng.choice(seeds), rng, seeds, target.tokens)
        assert attempt(target, data) is None, data


FOUND = list(regressions(REGRESSIONS))


@pytest.mark.parametrize(("name", "path"), [pytest.param(*one, id=f"{one[0]}-{one[1].name}") for one in FOUND])
@pytest.mark.timeout(120)
def test_what_was_found_stays_mended(name: str, path: Path) -> None:
    assert attempt(TARGETS[name], path.read_bytes()) is None


def test_every_finding_is_tried_again() -> None:
    """Each folder belongs to a target, and all of its files are among those tried."""
    folders = {path.name for path in REGRESSIONS.iterdir()}
    assert "parquet" in folders and folders <= set(TARGETS)
    assert {name for name, _ in FOUND} == folders
    assert {path for _, path in FOUND} == {path for path in REGRESSIONS.rglob("*") if path.is_file()}


def test_mutations_are_bounded_and_differ() -> None:
    rng = random.Random(1)
    made = {mutate(b"some words <p>12</p>\n" * 9, rng, [b"other"], [b"<div>"]) for _ in range(300)}
    assert len(made) > 250 and max(map(len, made)) <= MAX_BYTES
    assert mutate(b"", random.Random(2), [], []) == mutate(b"", random.Random(2), [], [])


def _branches(data: bytes) -> int:
    if data[:1] == b"a":
        if data[1:2] == b"b":
            return 2
        return 1
    return 0


def test_coverage_tells_new_branches() -> None:
    coverage = Coverage(("tests/fuzz/test_fuzz",))
    news = []
    for data in (b"x", b"y", b"a", b"ac", b"ab", b"ab"):
        coverage.run(_branches, data)
        news.append(coverage.new > 0)
    assert news == [True, False, True, False, True, False]


def _planted(data: bytes) -> None:
    if b"raise" in data:
        raise KeyError("planted")
    if b"ours" in data:
        raise GristmillError("allowed")
    if b"abort" in data:
        os.abort()
    if b"hang" in data:
        time.sleep(60)


def plant(word: bytes) -> None:
    """A target that has the word among its tokens; a spawned child finds it by importing this module."""
    TARGETS[f"planted-{word.decode()}"] = Target(_planted, lambda: [b"seed"], (word,))


WORDS = (b"raise", b"abort", b"hang", b"ours")


@pytest.mark.parametrize("word", WORDS)
def test_what_is_planted_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: bytes) -> None:
    monkeypatch.setattr(engine, "_child", _planted_child)
    hang_s = 0.7 if word == b"hang" else 10.0  # a busy machine is no hang
    outcome = fuzz(f"planted-{word.decode()}", 1.5, tmp_path, hang_s=hang_s)
    kinds = {one.kind for one in outcome.findings}
    assert kinds == {b"raise": {"error"}, b"abort": {"died"}, b"hang": {"hang"}, b"ours": set()}[word]
    assert outcome.tried > 0 and all(word in one.data for one in outcome.findings)


_real_child = engine._child


def _planted_child(name: str, *args: object) -> None:
    for word in WORDS:
        plant(word)
    _real_child(name, *args)  # type: ignore[arg-type]
