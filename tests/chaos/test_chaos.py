"""The faults that one machine can put upon a small run in seconds; `make chaos` puts all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.verify import CorruptShards

from .faults import FAULTS
from .lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("chaos"))


SMALL = [pytest.param(name, marks=[pytest.mark.ray] if one.ray else []) for name, one in FAULTS.items() if one.small]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.timeout(600)
def test_fault(lab: Lab, name: str) -> None:
    seen = FAULTS[name].put(lab)
    assert seen.held, seen.told
    assert seen.bytes_lost == 0, seen.told


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
