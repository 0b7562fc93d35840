"""Both runners: results, retries, lost workers, stragglers, errors that say what failed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, StepFailed
from pipeline.runner import InlineRunner, RayRunner, Task


def double(payload):
    return {"value": payload * 2}


def fail_once(path):
    """Fails the first time that it is called with a path."""
    if not Path(path).exists():
        Path(path).touch()
        raise OSError("not yet")
    return {"value": 1}


def die_once(path):
    """Kills its own process the first time."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"value": 1}


def always_fail(payload):
    raise OSError(f"disk {payload} is on fire")


def raise_ours(payload):
    raise ConfigError("wrong option")


def slow_first_copy(path):
    """Hangs for long the first time, is quick the second."""
    if path and not Path(path).exists():
        Path(path).touch()
        time.sleep(60)
    return {"value": 1}


def collect(runner, function, payloads):
    results = {}
    with runner:
        runner.map(
            function,
            [Task(f"t{i}", p) for i, p in enumerate(payloads)],
            step="test",
            on_result=lambda task, result: results.__setitem__(task.name, result),
        )
    return results


def test_inline(tmp_path):
    results = collect(InlineRunner(), double, [1, 2, 3])
    assert [results[f"t{i}"]["value"] for i in range(3)] == [2, 4, 6]
    assert all(r["worker"].endswith(f":{os.getpid()}") for r in results.values())
    assert collect(InlineRunner(retries=1), fail_once, [str(tmp_path / "x")])["t0"]["value"] == 1
    with pytest.raises(StepFailed, match=r"step 'test', task 't0' failed 1 time.*disk 7 is on fire.*run the same"):
        collect(InlineRunner(), always_fail, [7])
    with pytest.raises(ConfigError, match="wrong option"):
        collect(InlineRunner(), raise_ours, [1])


@pytest.mark.ray
def test_ray_outlives_what_goes_wrong(tmp_path):
    results = {}
    with RayRunner(workers=2, straggler_factor=2, straggler_s=2) as runner:

        def run(function, payloads):
            results.clear()
            tasks = [Task(f"t{i}", p) for i, p in enumerate(payloads)]
            runner.map(function, tasks, step="test", on_result=lambda t, r: results.__setitem__(t.name, r))

        run(double, range(50))
        assert [results[f"t{i}"]["value"] for i in range(50)] == [2 * i for i in range(50)]
        run(fail_once, [str(tmp_path / "a"), str(tmp_path / "b")])
        assert len(results) == 2
        run(die_once, [str(tmp_path / "c")])
        assert len(results) == 1
        with pytest.raises(StepFailed, match="disk 7 is on fire"):
            run(always_fail, [7])
        with pytest.raises(ConfigError, match="wrong option"):
            run(raise_ours, [1])
        start = time.monotonic()
        run(slow_first_copy, [str(tmp_path / "d"), "", "", ""])
        assert len(results) == 4
        assert time.monotonic() - start < 40


def test_no_cluster_at_the_address():
    with pytest.raises(ConfigError, match="no Ray cluster"), RayRunner(address="127.0.0.1:1"):
        pass
