"""A report whose process is killed for good, in the middle of a piece: the next one goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from pipeline.cli import main

from .plants import plant

KILLED = """
import os, signal, sys
from decontam.audit.unions import Unions
from pipeline.cli import main

def write(self, path, write=Unions.write):
    if path.name == "00003.arrow":  # the other files of this piece are there
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, path)

Unions.write = write
main(sys.argv[1:])
"""


def test_a_report_goes_on_after_sigkill(tmp_path: Path, root: Path) -> None:
    planted = plant(tmp_path)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    lines = planted.corpus.read_text().splitlines(keepends=True)
    for n in range(6):
        (corpus / f"{n}.jsonl").write_text("".join(lines[n::6]))
    command = ["decontam", "report", str(corpus), "--bench", str(planted.bench), "--registry", str(planted.registry)]
    command += ["--inline", "--quiet", "--json", str(tmp_path / "r.json")]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run([sys.executable, "-c", KILLED, *command], env=environment, timeout=120)
    assert run.returncode == -signal.SIGKILL
    scan = tmp_path / "r.json.work" / "scan"
    assert sorted(path.stem for path in (scan / "done").glob("*.json")) == ["00000", "00001", "00002"]
    assert (scan / "hits" / "00003.arrow").is_file() and not (tmp_path / "r.json").exists()
    before = {path: path.stat().st_mtime_ns for n in range(3) for path in scan.glob(f"*/{n:05d}.arrow")}
    assert len(before) == 9
    assert main([*command, "--work", str(scan.parent)]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert len(list((scan / "done").glob("*.json"))) == 6
    again = json.loads((tmp_path / "r.json").read_text())
    assert main([*command[:-1], str(tmp_path / "whole.json")]) == 0
    assert json.loads((tmp_path / "whole.json").read_text()) == again
    assert len(again["items"]) == len(planted.expected)
