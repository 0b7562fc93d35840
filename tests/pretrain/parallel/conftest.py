"""Two gloo processes, started once, that run every case while the first test waits."""

from __future__ import annotations

import os
import shutil
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


def run_cases(folder: Path, size: int, *names: str) -> Ranks:
    """Run cases on `size` processes; gives each one's results by rank."""
    import torch

    command = [sys.executable, "-m", "tests.pretrain.parallel.cases", str(folder)]
    processes = []
    for rank in range(size):
        with open(folder / f"log-{rank}", "w") as log:
            arguments = [*command, str(rank), str(size), *names]
            processes.append(
                subprocess.Popen(arguments, cwd=ROOT, env=environment(), stdout=log, stderr=subprocess.STDOUT)
            )
    try:
        for process in processes:
            process.wait(timeout=400)
    finally:
        for process in processes:
            process.kill()

    def ranks(name: str) -> list[dict[str, Any]]:
        found = []
        for rank in range(size):
            path = folder / f"{name}-{rank}.pt"
            log = (folder / f"log-{rank}").read_text()[-4000:]
            assert path.exists(), f"rank {rank} did not come to {name}:\n{log}"
            found.append(torch.load(path, weights_only=False))
            assert "error" not in found[-1], found[-1]["error"]
        return found

    return ranks


@pytest.fixture(scope="session")
def gloo() -> None:
    """Skips where torch has no gloo."""
    torch = pytest.importorskip("torch")
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo: processes on a CPU can't talk to each other")


@pytest.fixture(scope="session")
def folder(counting_packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pair works; with the pack set `packs`."""
    made = tmp_path_factory.mktemp("pair")
    shutil.copytree(counting_packs, made / "packs")
    return made


@pytest.fixture(scope="session")
def pair(gloo: None, folder: Path) -> Ranks:
    """Results of every case by its name, one for each of the two ranks."""
    return run_cases(folder, 2)
