"""Both runners: results, retries, lost workers, stragglers, errors that say what failed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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


def below(pid):
    """A process and its descendants."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def listening(pids):
    """Local addresses, as /proc/net has them, at which these processes listen."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                found[f"socket:[{words[9]}]"] = words[1].split(":")[0]
    return [
        found[link]
        for pid in pids
        for link in (os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink())
        if link in found
    ]


def heap_calm(_):
    import pyarrow as pa

    return {"arenas": os.environ.get("MALLOC_ARENA_MAX"), "arrow": pa.default_memory_pool().backend_name}


@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="finds sockets through Linux's /proc")
def test_a_local_ray_listens_on_loopback_only():
    with RayRunner(workers=2) as runner:
        results = []
        runner.map(heap_calm, [Task("t", 0)], step="test", on_result=lambda t, r: results.append(r))
        assert results[0]["arenas"] == "2" and results[0]["arrow"] == "system" and results[0]["node"]
        ours = below(os.getpid())
        addresses = listening(ours)
        assert len(addresses) >= 4, "driver, head, raylet and worker listen"
        loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
        assert set(addresses) <= loopback


@pytest.mark.ray
@pytest.mark.slow
def test_a_head_that_vanishes_ends_the_run_and_says_so(tmp_path):
    """In a process of its own: Ray ends the driver's process sooner or later when its head is gone."""
    code = f"""
import threading, time
from pathlib import Path
from ray.cluster_utils import Cluster
from pipeline.errors import StepFailed
from pipeline.runner import RayRunner, Task, cluster
from tests.pipeline.test_runner import slow_first_copy
cluster.HEAD_GONE_S = 4.0
node = {{"num_cpus": 2, "node_ip_address": "127.0.0.1", "include_dashboard": False}}
made = Cluster(initialize_head=True, head_node_args=node, shutdown_at_exit=False)
worker = made.add_node(num_cpus=2, node_ip_address="127.0.0.1")
runner = RayRunner(address=made.address)
mark = Path({str(tmp_path)!r}) / "begun"
def vanish():
    while not mark.exists():
        time.sleep(0.05)
    made.head_node.kill_gcs_server(check_alive=False)
threading.Thread(target=vanish).start()
try:
    with runner:
        runner.map(slow_first_copy, [Task("a", str(mark))], step="test", on_result=print)
except StepFailed as error:
    print("SAID", error, flush=True)
for one in (worker, made.head_node):
    one.kill_all_processes(check_alive=False, allow_graceful=False)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert "SAID step 'test': the Ray cluster's head at 127.0.0.1:" in done.stdout, done.stdout + done.stderr
    assert "run the same command" in done.stdout
