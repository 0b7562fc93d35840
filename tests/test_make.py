"""The Makefile's lists against the files."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path


def _runs(path: Path) -> bool:
    """Whether a module has a part for when it is run."""
    tests = [node.test for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.If)]
    return any(isinstance(test, ast.Compare) and ast.unparse(test.left) == "__name__" for test in tests)


def test_bench_runs_every_benchmark_and_no_helper(root):
    shown = subprocess.run(
        ["make", "-n", "bench", "VENV=/none"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    runs = re.findall(r"-m benchmarks\.(\w+)", shown)
    wanted = [path.stem for path in sorted((root / "benchmarks").glob("*.py")) if _runs(path)]
    assert len(wanted) > 30 and sorted(runs) == wanted
