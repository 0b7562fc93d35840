"""The Makefile's lists against the files."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
from pathlib import Path


def _runs(path: Path) -> bool:
    """Whether a module has a part for when it is run."""
    tests = [node.test for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.If)]
    return any(isinstance(test, ast.Compare) and ast.unparse(test.left) == "__name__" for test in tests)


def _planned(root: Path, *arguments: str) -> str:
    """What make would run, of a make that knows nothing of the make that may be running these tests."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-n", "--no-print-directory", *arguments, "VENV=/none"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, env=env).stdout


def _recipe_line(root: Path, *variables: str) -> str:
    shown = _planned(root, "crawl-to-shards", *variables)
    return " ".join(shown[shown.index("/none/bin/gristmill run") :].replace("\\\n", " ").split())


def test_crawl_variables_become_options(root):
    assert "--input CC-MAIN-2025-08 --warcs 1 --" not in _recipe_line(root)
    one = _recipe_line(root, "CRAWL=CC-MAIN-2025-08")
    assert one.endswith("--input CC-MAIN-2025-08 --warcs 1")
    some = _recipe_line(root, "CRAWL=CC-MAIN-2025-08", "WARCS=7", "STREAM=yes")
    assert some.endswith("--input CC-MAIN-2025-08 --warcs 7 --stream")
    picked = _recipe_line(root, "CRAWL=CC-MAIN-2025-08", "DOMAINS=a.org b.com", "URLS=*.c.org/x/*", "INDEX=cdx")
    assert picked.endswith("--index cdx --domains a.org b.com --urls '*.c.org/x/*'")
    assert _recipe_line(root, "CRAWL=CC-MAIN-2025-08", "SHARE=0.1").endswith("--share 0.1")


def test_bench_runs_every_benchmark_and_no_helper(root):
    runs = re.findall(r"-m benchmarks\.(\w+)", _planned(root, "bench"))
    wanted = [path.stem for path in sorted((root / "benchmarks").glob("*.py")) if _runs(path)]
    assert len(wanted) > 30 and sorted(runs) == wanted


def test_every_results_command_exists(root):
    """The module that a result file names can be run, by make or by Python; and it is the one that writes the file."""
    found = 0
    for path in sorted((root / "benchmarks" / "results").glob("*.json")):
        command = json.loads(path.read_text(encoding="utf-8"))["command"]
        if command.startswith("make "):
            (name,) = re.findall(r"-m benchmarks\.(\w+)", _planned(root, *shlex.split(command)[1:]))
        else:
            (name,) = re.findall(r"^python (?:-m benchmarks\.|benchmarks/)(\w+)(?:\.py)?(?= |$)", command)
        module = root / "benchmarks" / f"{name}.py"
        assert module.is_file() and _runs(module), f"{path.name}: '{command}' does not exist"
        assert path.stem == name or path.stem.startswith(f"{name}_"), f"{path.name}: '{command}' makes another"
        found += 1
    assert found > 40
