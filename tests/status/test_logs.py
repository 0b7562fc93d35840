"""The structured log: every line JSON with its keys, workers' warnings in it, no secrets."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from pipeline.runner import RayRunner
from pipeline.status.logs import LogFile
from pipeline.status.recorded import MAX_WARNINGS, recorded

from .tools import run


def lines(output: Path) -> list[dict]:
    found = []
    for path in sorted((output / "logs").glob("driver-*.jsonl")):
        found += [json.loads(line) for line in path.read_text().splitlines()]
    return found


def check(output: Path) -> None:
    """Every shard has its line, and the second one's warning stands there too."""
    seen = lines(output)
    assert all({"time", "level", "run", "host", "pid", "message"} <= set(line) for line in seen)
    assert len({line["run"] for line in seen}) == 1
    done = [line for line in seen if line["message"] == "shard done"]
    assert sorted((line["shard"], line["items"], line["bytes"]) for line in done) == [
        ("00000", 3, 10), ("00001", 4, 11), ("00002", 5, 12)
    ]  # fmt: skip
    assert {line["step"] for line in done} == {"01-acting"}
    (warning,) = [line for line in seen if line["level"] == "WARNING" and "odd" in line["message"]]
    assert warning["message"] == "record no. 7 is odd" and warning["shard"] == "00001"
    assert warning["worker"] in {line["worker"] for line in done}
    assert seen[0]["message"].endswith("begins") and seen[-1]["message"] == "run finished"


def test_log_of_an_inline_run(tmp_path, capsys):
    handlers = logging.getLogger("gristmill").handlers[:]
    run(tmp_path / "run", "", "warn no. 7", "")
    check(tmp_path / "run")
    assert capsys.readouterr().err.count("record no. 7 is odd") == 1
    assert logging.getLogger("gristmill").handlers == handlers


def many(count: int) -> dict:
    for index in range(count):
        logging.getLogger("gristmill").warning("number %d", index)
    return {"n_in": 1}


def test_warnings_of_a_task_are_bounded():
    kept = recorded("step", many, MAX_WARNINGS + 30)["warnings"]
    assert [one["message"] for one in kept[:-1]] == [f"number {i}" for i in range(MAX_WARNINGS)]
    assert kept[-1]["message"].startswith("30 more")
    assert recorded("step", many, 2)["cost"]["peak_bytes"] > 1 << 20


def test_the_first_task_of_a_kind_is_known():
    assert [recorded(step, many, 0)["cost"]["first"] for step in ("a", "a", "b", "a")] == [True, False, True, False]


def test_parts(tmp_path, monkeypatch):
    """A file that has grown large is followed by another; nothing is lost between them."""
    monkeypatch.setattr("pipeline.status.logs.PART_BYTES", 400)
    log = LogFile(tmp_path / "logs", "r")
    for index in range(10):
        log.write("INFO", f"line {index}")
        log.flush()
    assert len(list((tmp_path / "logs").iterdir())) > 2
    assert [line["message"] for line in lines(tmp_path)] == [f"line {i}" for i in range(10)]


def test_no_secrets_in_the_log(tmp_path):
    """Each line goes through `pipeline.storage.redacted`."""
    log = LogFile(tmp_path / "logs", "r")
    log.write("ERROR", "s3://key:geheim@bucket/x and https://h/x?a=1&X-Amz-Signature=geheim")
    log.flush()
    (path,) = (tmp_path / "logs").iterdir()
    assert "geheim" not in path.read_text() and "bucket/x" in path.read_text()


@pytest.mark.ray
def test_log_of_a_run_on_ray(tmp_path):
    run(tmp_path / "run", "", "warn no. 7", "", runner=RayRunner(workers=2))
    check(tmp_path / "run")
