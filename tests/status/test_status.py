"""`gristmill status`: runs that go on, ended, failed, were killed; what it reads where there is no progress.json."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import ConfigError, StepFailed
from pipeline.status.journal import FILE
from pipeline.status.process import this_process
from pipeline.status.reading import read_status

from .tools import run, wait_for


def shards(output: Path) -> dict[str, int]:
    """Of the first step's last round."""
    return read_status(output).value["steps"][0]["phases"][-1]["shards"]


def begun(output: Path, done: int) -> bool:
    """Whether a run says that so many shards are done."""
    try:
        return shards(output)["done"] == done
    except (ConfigError, IndexError, KeyError):
        return False


def change(output: Path, **values) -> None:
    path = output / FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_run_that_goes_on_and_then_ends(tmp_path, capsys):
    output, go = tmp_path / "run", tmp_path / "go"
    thread = threading.Thread(target=run, args=(output, "", f"wait {go}", ""), kwargs={"price_per_cpu_hour": 3600.0})
    thread.start()
    try:
        wait_for(lambda: begun(output, 1), "the first shard")
        assert shards(output) == {"total": 3, "done": 1, "resumed": 0, "running": 1, "failed": 0, "retried": 0}
        assert main(["status", str(output), "--json"]) == 3
        seen = json.loads(capsys.readouterr().out)
        assert (seen["state"], seen["driver_lives"], seen["source"]) == ("running", True, FILE)
        assert seen["steps"][0]["phases"][0]["items"] == 3 and seen["steps"][0]["phases"][0]["bytes_written"] == 10
    finally:
        go.touch()
        thread.join()
    assert main(["status", str(output)]) == 0
    assert "finished" in capsys.readouterr().out
    status = read_status(output)
    assert shards(output)["done"] == 3 and shards(output)["running"] == 0
    assert status.value["steps"][0]["phases"][0]["items"] == 3 + 4 + 5
    assert main(["status", str(output), "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)["cost"]
    busy = status.value["cpu_s"]["busy"]
    assert cost["price of CPU hours busy"] == pytest.approx(busy)  # 3600 an hour: 1 a second
    timings = [json.loads(p.read_text()) for p in (output / "01-acting" / "timings").iterdir()]
    tasks = sum(timing["wall_s"] for timing in timings)
    assert tasks <= busy <= status.value["wall_s"] + 0.1
    assert json.loads((output / "run.json").read_text())["steps"]["01-acting"]["phases"][0]["tasks"] == 3
    run(output, "", f"wait {go}", "")  # there is nothing left to do, and what was spent stays spent
    again = read_status(output).value
    assert again["steps"][0]["state"] == "resumed" and again["cpu_s"]["busy_before"] == pytest.approx(busy)


def test_watch_ends_with_the_run(tmp_path, capsys):
    output, go = tmp_path / "run", tmp_path / "go"
    thread = threading.Thread(target=run, args=(output, "", f"wait {go}"))
    thread.start()
    try:
        wait_for(lambda: begun(output, 1), "the first shard")
        threading.Timer(0.3, go.touch).start()
        assert main(["status", str(output), "--watch", "--json", "--every", "0.1"]) == 0
    finally:
        go.touch()
        thread.join()
    states = [json.loads(line)["state"] for line in capsys.readouterr().out.splitlines()]
    assert states[0] == "running" and states[-1] == "finished"


def test_a_failed_run_names_its_error_harmlessly(tmp_path, capsys):
    output = tmp_path / "run"
    with pytest.raises(StepFailed):
        run(output, "", "fail s3://me:geheim@host/x \x1b[2Jgone\u202e", "")
    assert main(["status", str(output)]) == 4
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\u202e" not in shown and "geheim" not in shown
    assert "\\x1b[2Jgone" in shown.replace("\n", "") and "***@host" in shown
    step = read_status(output).value["steps"][0]
    assert step["state"] == "failed" and step["phases"][0]["shards"]["failed"] == 1
    assert step["phases"][0]["shards"]["done"] == 1
    text = "".join(path.read_text() for path in (output / "logs").iterdir())
    assert "geheim" not in text and "\x1b" not in text


def test_a_killed_driver_is_no_running_one(tmp_path):
    output, go = tmp_path / "run", tmp_path / "go"
    code = f"from tests.status.tools import run; from pathlib import Path; run(Path({str(output)!r}), '', 'wait {go}')"
    driver = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    try:
        wait_for(lambda: begun(output, 1), "the first shard")
        assert read_status(output).state == "running"
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    status = read_status(output)
    assert (status.state, status.driver_lives, status.exit_status) == ("stopped", False, 5)
    assert shards(output)["done"] == 1
    (output / FILE).unlink()  # and so by the lock, which its end gave free
    marks = read_status(output)
    assert (marks.state, marks.source, marks.exit_status) == ("stopped", "marks", 5)
    go.touch()
    run(output, "", f"wait {go}")
    assert read_status(output).state == "finished" and shards(output)["resumed"] == 1


def test_a_driver_on_another_machine_lives_by_its_signs(tmp_path):
    output = tmp_path / "run"
    run(output, "")
    now = time.time()
    elsewhere = {**this_process(), "host": "elsewhere.invalid"}
    change(output, state="running", driver=elsewhere, updated_s=now, beat_s=10.0)
    assert read_status(output, now + 50).state == "running"
    assert read_status(output, now + 1000).state == "stopped"
    early = read_status(output, now - 500)
    assert early.state == "running" and any("500 s ahead" in note for note in early.notes)
    change(output, driver={**this_process(), "process_started": 1})  # the number is another process's by now
    assert read_status(output, now).state == "stopped"


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 99}', '{"state": "running"}', "\x00" * 20, None])
def test_without_a_whole_progress_file_the_marks_are_counted(tmp_path, content):
    output = tmp_path / "run"
    run(output, "", "", "")
    if content is None:
        (output / FILE).unlink()
    else:
        (output / FILE).write_text(content)
    status = read_status(output)
    assert (status.source, status.state, status.exit_status) == ("marks", "finished", 0)
    assert shards(output)["done"] == len(list((output / "01-acting" / "done").iterdir())) == 3
    assert len(status.notes) == 1 and main(["status", str(output)]) == 0


def test_a_running_driver_is_seen_by_its_lock(tmp_path):
    output, go = tmp_path / "run", tmp_path / "go"
    thread = threading.Thread(target=run, args=(output, "", f"wait {go}"))
    thread.start()
    try:
        wait_for(lambda: begun(output, 1), "the first shard")
        (output / FILE).write_text("broken")
        status = read_status(output)
        assert (status.source, status.state, status.driver_lives) == ("marks", "running", True)
    finally:
        go.touch()
        thread.join()


def test_a_hundred_thousand_marks_are_counted_in_time(tmp_path):
    output = tmp_path / "run"
    run(output, "")
    (output / FILE).unlink()
    for index in range(1, 100_000):
        os.close(os.open(output / "01-acting" / "done" / f"{index:05d}.json", os.O_CREAT | os.O_WRONLY))
    start = time.monotonic()
    assert shards(output)["done"] == 100_000
    assert time.monotonic() - start < 2


def test_a_run_in_an_object_store(capsys):
    """The same command on a URL; the journal writes whole objects there."""
    import secrets

    from pipeline.runner import InlineRunner
    from pipeline.storage import place

    url = f"memory://status-{secrets.token_hex(4)}/run"
    output = place(url)
    run(output, "", "", runner=InlineRunner())
    assert main(["status", url, "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["state"], seen["source"], seen["beat_s"]) == ("finished", FILE, 30.0)
    assert seen["steps"][0]["phases"][0]["shards"]["done"] == 2
    parts = sorted((output / "logs").glob("driver-*.jsonl"), key=str)  # an object can't be appended to
    lines = [json.loads(line)["message"] for part in parts for line in part.read_text().splitlines()]
    assert lines[0].endswith("begins") and lines[-1] == "run finished" and lines.count("shard done") == 2
    (output / FILE).unlink()
    assert read_status(output).source == "marks" and shards(output)["done"] == 2


def test_what_is_no_run(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 2
    assert "is no run" in capsys.readouterr().err
    assert main(["status", str(tmp_path), "--price-per-cpu-hour", "-1"]) == 2


def test_a_journal_that_cannot_be_written_ends_no_run(tmp_path, capsys):
    output = tmp_path / "run"
    run(output, "")
    (output / FILE).unlink()
    (output / FILE).mkdir()
    assert run(output, "", "").steps[0].manifest is not None
    assert "progress can't be written" in capsys.readouterr().err
