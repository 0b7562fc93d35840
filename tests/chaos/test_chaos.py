"""The faults that one machine can put upon a small run in seconds; `make chaos` puts all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.chaos import PAGE, merged, page
from benchmarks.common import RESULTS
from pipeline.verify import CorruptShards

from . import faults
from .faults import FAULTS
from .lab import Lab, ended


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("chaos"))


SMALL = [pytest.param(name, marks=[pytest.mark.ray] if one.ray else []) for name, one in FAULTS.items() if one.small]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.timeout(600)
def test_fault(lab: Lab, name: str) -> None:
    if lacking := FAULTS[name].lacks():
        pytest.skip(lacking)
    seen = FAULTS[name].put(lab)
    assert seen.struck, f"the fault did not hit the run: {seen.told}"
    assert seen.held, seen.told
    assert seen.bytes_lost == 0, seen.told


def test_a_fault_that_does_not_strike_is_not_held(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults of which nothing is done: the run finishes as if undisturbed, and that is no proof."""

    @contextmanager
    def nothing(folder: Path, *_: object) -> Iterator[Callable[[], None]]:
        folder.mkdir(exist_ok=True)
        yield lambda: None

    monkeypatch.setattr(faults, "read_only_at_will", nothing)
    monkeypatch.setattr(os, "truncate", lambda *_: None)
    for name in ("output read-only in mid-run", "intermediate shard: cut off"):
        seen = FAULTS[name].put(lab)
        assert not seen.bytes_lost and "finished" in seen.told
        assert not seen.struck and not seen.held, name


def test_a_command_that_says_a_traceback_is_told_in_full(lab: Lab) -> None:
    code = "import sys; print('Traceback ...', file=sys.stderr); sys.exit('gristmill: all is clear')"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert ended(process).startswith("Traceback")


def test_rows_put_alone_join_the_others() -> None:
    names = list(FAULTS)[:3]
    before = {"commit": "c1", "date": "d1", "faults": [{"fault": name, "seen": "old"} for name in names]}
    rows = merged([{"fault": names[1], "seen": "new"}], before)
    assert rows == [
        {"fault": names[0], "seen": "old", "commit": "c1", "date": "d1"},
        {"fault": names[1], "seen": "new"},
        {"fault": names[2], "seen": "old", "commit": "c1", "date": "d1"},
    ]
    again = merged([{"fault": names[2], "seen": "newer"}], {"commit": "c2", "date": "d2", "faults": rows})
    assert [row.get("commit") for row in again] == ["c1", "c2", None]


def test_the_page_has_the_committed_figures() -> None:
    result = json.loads((RESULTS / "chaos.json").read_text(encoding="utf-8"))
    rows = result["faults"]
    assert [row["fault"] for row in rows] == list(FAULTS)
    assert PAGE.read_text(encoding="utf-8") == page(rows)
    assert sum(not row["held"] or row["bytes_lost"] > 0 for row in rows) == result["not_held"]


def test_the_lab_sees_what_is_lost(lab: Lab) -> None:
    output = lab.begun(99)
    assert lab.lost(output) == 0
    file = sorted(output.glob("01-extract/kept/*"))[2]
    size = file.stat().st_size
    file.write_bytes(b"x" * size)
    assert lab.lost(output) == size
    file.unlink()
    assert lab.lost(output) == size
    (output / "01-extract" / "kept" / "more.parquet").write_bytes(b"12345")
    assert lab.lost(output) == size + 5


def test_what_stays_damaged_is_an_error(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that damages each copy: made anew once, then the run ends and says which file."""
    from pipeline import run

    monkeypatch.setattr(run, "_take_out", lambda damaged, step: None)
    output = lab.begun(1)
    file = sorted(output.glob("01-extract/kept/*"))[1]
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(CorruptShards, match=file.name):
        run_job(lab, output)


def run_job(lab: Lab, output: Path) -> None:
    from tests.runs import run_recipe

    run_recipe(lab.recipe(), output)
