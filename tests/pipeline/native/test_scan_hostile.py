"""Hostile pages: nothing written past an array's end, linear work, bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.hostile import CONSTRUCTS, page_of
from pipeline.extract.native import scan as s
from pipeline.extract.native.page import scan_page
from tests.pipeline.native.soup import PIECES, check


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_write_out_of_bounds(root: Path, tmp_path: Path) -> None:
    """Soup, truncations and mutations with numba's bounds check, which needs a process and a cache of its own."""
    env = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "GRISTMILL_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "tests.pipeline.native.soup"]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 3000


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.sampled_from(PIECES).map(str.encode), st.binary(max_size=8)), max_size=60))
def test_any_bytes(pieces: list[bytes]) -> None:
    check(scan_page(b"".join(pieces)))


@pytest.mark.parametrize("name", sorted(CONSTRUCTS))
def test_work_is_linear(name: str) -> None:
    """Eight times the page takes at most 24 times as long (best of three): a quadratic reading takes 64 times."""
    seconds = []
    for size in (500_000, 4_000_000):
        page = page_of(name, size)
        best = 1e9
        for _ in range(3):
            start = time.process_time()
            scanned = scan_page(page)
            best = min(best, time.process_time() - start)
        seconds.append(max(best, 0.002))
        assert len(scanned.elements) <= s.MAX_ELEMENTS
        assert len(scanned.blocks) <= s.MAX_BLOCKS
        assert len(scanned.text) <= len(page) * 4 // 3 + 256
    assert seconds[1] < 24 * seconds[0]


def test_nothing_is_lost_in_more_blocks_than_there_is_room_for() -> None:
    count = s.MAX_BLOCKS + 1000
    page = scan_page(b"<p>abc</p>" * count)
    assert len(page.blocks) == s.MAX_BLOCKS
    assert page.text.tobytes().count(b"abc") == count
    assert int(page.blocks[:, s.CHARS].sum()) == 3 * count


def test_text_beyond_the_deepest_element_is_kept() -> None:
    depth = s.MAX_OPEN * 2
    page = scan_page(b"<div>" * depth + b"deep" + b"</div>" * depth + b"<p>after")
    assert [page.block_text(k) for k in range(len(page.blocks))] == ["deep", "after"]
    assert page.elements[page.blocks[1, s.ELEMENT], s.DEPTH] == 1
    assert np.all(page.elements[:, s.DEPTH] < s.MAX_OPEN)
