"""Freed memory is kept: a process that set it touches no new pages for the same blocks again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import torch
from pretrain.allocator import keep_freed
if sys.argv[1] == "kept" and not keep_freed():
    print(-1)
    raise SystemExit
def work():
    made = [torch.ones(3_000_000) for _ in range(8)]
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the setting is glibc's")
def test_blocks_of_a_step_are_there_in_the_next() -> None:
    faults = {}
    for name in ("plain", "kept"):
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 17)}  # fixed, else it moves with what is freed
        done = subprocess.run(
            [sys.executable, "-c", COUNT, name], capture_output=True, text=True, check=True, env=environment
        )
        faults[name] = int(done.stdout)
    if faults["kept"] < 0:
        pytest.skip("this C library has no mallopt")
    assert faults["plain"] > 1000  # else there is nothing to mend, and the setting can go
    assert faults["kept"] < 100
