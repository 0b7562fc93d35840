"""Gloo processes, forked from one that has imported everything, that run every case while the first test waits."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
Ranks = Callable[[str], list[dict[str, Any]]]


def environment(**more: str) -> dict[str, str]:
    """A child's: one thread, this checkout, none of torchrun's variables."""
    kept = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **more}


@pytest.fixture(scope="session")
def gloo() -> None:
    """Skips where torch has no gloo."""
    torch = pytest.importorskip("torch")
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo: processes on a CPU can't talk to each other")
    if not hasattr(os, "fork"):
        pytest.skip("this system can't fork")


@pytest.fixture(scope="session")
def folder(counting_packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes work; with the pack set `packs`."""
    made = tmp_path_factory.mktemp("ranks")
    shutil.copytree(counting_packs, made / "packs")
    return made


@pytest.fixture(scope="session")
def ranks(gloo: None, folder: Path) -> Ranks:
    """Results of every case by its name, one for each of its ranks: of two, if not of four."""
    import torch

    command = [sys.executable, "-m", "tests.pretrain.parallel.cases", str(folder)]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            process.wait(timeout=400)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def results(name: str) -> list[dict[str, Any]]:
        found = []
        for rank in range(4 if name.endswith("of-four") else 2):
            path = folder / f"{name}-{rank}.pt"
            logs = "".join(one.read_text()[-4000:] for one in sorted(folder.glob("log*")))
            assert path.exists(), f"rank {rank} did not come to {name}:\n{logs}"
            found.append(torch.load(path, weights_only=False))
            assert "error" not in found[-1], found[-1]["error"]
        return found

    return results
