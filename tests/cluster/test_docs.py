"""docs/cluster.md and docs/kuberay.yaml against what the code does, and a real `ray job submit`."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from pipeline.cli import _parser
from pipeline.recipe import build, read_recipe
from pipeline.resources import asked_by, read_resources
from pipeline.runner import RayRunner
from pipeline.runner.cluster import CALM
from pipeline.steps import Step
from tests.cluster.nodes import LOOPBACK
from tests.runs import digests, run_recipe
from tests.storage.faulty import environment

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "cluster.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
SMALL = {
    "name": "small",
    "source": {"warc": {"inputs": ["sample"], "split_bytes": 65536}},
    "steps": ["url", {"extract": {"engine": "resiliparse"}}, "exact_dedup"],
}
DYING_ONCE = """
import os
from pathlib import Path

died = Path(__file__).with_name("died")
if b"--mode=specific-server" in Path("/proc/self/cmdline").read_bytes() and not died.exists():
    died.touch()
    os._exit(1)
"""
"""Every Python runs it when it starts: the first process that Ray's client server forks for a client dies, as some do
of themselves (ray-project/ray#63202)."""


def test_the_kuberay_example_holds_what_the_page_says():
    job = yaml.safe_load((DOCS / "kuberay.yaml").read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["rayVersion"] == metadata.version("ray")
    head, (group,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert (group["minReplicas"], group["maxReplicas"]) == (0, 64)
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    pod = group["template"]["spec"]
    assert "spot" in str(pod["nodeSelector"]) and "spot" in str(pod["tolerations"])
    assert "nodeSelector" not in head["template"]["spec"], "the head is no spot node"
    (worker,) = pod["containers"]
    (driver,) = head["template"]["spec"]["containers"]
    for container in (worker, driver):
        assert container["envFrom"] == [{"secretRef": {"name": "gristmill-storage"}}]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert not any("KEY" in one["name"] or "SECRET" in one["name"] for one in container.get("env", []))
    scratch = {one["name"]: one["value"] for one in worker["env"]}["GRISTMILL_SCRATCH"]
    (mount,) = worker["volumeMounts"]
    assert mount["mountPath"] == scratch
    assert [one["name"] for one in pod["volumes"] if "emptyDir" in one] == [mount["name"]]
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[0] == "gristmill"
    args = _parser().parse_args(words[1:])
    assert (args.address, args.recipe) == ("auto", "crawl-to-shards")
    assert str(args.output).startswith("s3:/")


def test_the_page_says_the_defaults():
    assert "one core and 512 MiB" in PAGE
    assert (Step.memory_bytes, Step.cpus) == (512 << 20, 1.0)
    runner = RayRunner()
    assert f"run again {runner.limits.retries} times" in PAGE
    assert f"after more than {runner.limits.losses} such losses" in PAGE
    (example,) = [yaml.safe_load(block) for language, block in BLOCKS if language == "yaml"]
    recipe = build({**read_recipe("crawl-to-shards"), **example})
    asked = {step.folder_name(): asked_by(step, recipe.resources) for step in recipe.steps}
    assert asked["extract"].memory_bytes == 2 * 10**9
    assert (asked["minhash_dedup"].memory_bytes, asked["minhash_dedup"].cpus) == (6 * 10**9, 2.0)
    assert read_resources(example["resources"], asked, "page") == recipe.resources
    plain = build(read_recipe("crawl-to-shards"))
    assert [s.fingerprint([]) for s in recipe.steps[:1]] == [s.fingerprint([]) for s in plain.steps[:1]]


def test_the_pages_commands_are_commands():
    lines = [line for language, block in BLOCKS if language == "sh" for line in block.replace("\\\n", "").splitlines()]
    commands = [shlex.split(line.split("gristmill ", 1)[1], comments=True) for line in lines if "gristmill run" in line]
    assert len(commands) >= 3
    for words in commands:
        _parser().parse_args(words)


def test_the_runtime_environment_sets_what_a_runs_own_ray_sets():
    variables = yaml.safe_load((DOCS / "runtime_env.yaml").read_text())["env_vars"]
    assert CALM.items() <= variables.items()
    (image,) = [block for kind, block in BLOCKS if kind == "dockerfile"]
    assert all(f"{name}={value}" in image for name, value in CALM.items())


def free_port() -> int:
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A head started as the page says but on this machine's loopback only.

    (Its job server, its address for Ray's client, a file that is there when the client's first process has died.)
    """
    from ray.cluster_utils import Cluster

    folder = tmp_path_factory.mktemp("head")
    dashboard, agent, client = free_port(), free_port(), free_port()
    node = {
        "num_cpus": 2,
        "node_ip_address": LOOPBACK,
        "include_dashboard": True,
        "dashboard_host": LOOPBACK,
        "dashboard_port": dashboard,
        "dashboard_agent_listen_port": agent,
        "ray_client_server_port": client,
    }
    assert "`GRPC_ENABLE_FORK_SUPPORT=false` before `ray start --head`" in PAGE
    # an earlier `ray.init` in this process has set RAY_AUTH_MODE to "token"
    with environment(GRPC_ENABLE_FORK_SUPPORT="false", RAY_AUTH_MODE="disabled"):
        (folder / "sitecustomize.py").write_text(DYING_ONCE)
        path = os.pathsep.join([str(folder), *sys.path])
        # its processes know the machine by 127.0.0.1
        with environment(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", PYTHONPATH=path):
            cluster = Cluster(initialize_head=True, head_node_args=node, shutdown_at_exit=False)
        server = f"http://{LOOPBACK}:{dashboard}"
        end = time.monotonic() + 180
        for url in (f"{server}/api/version", f"http://{LOOPBACK}:{agent}/api/local_raylet_healthz"):
            while True:
                try:
                    urllib.request.urlopen(url, timeout=5).close()
                    break
                except OSError:
                    assert time.monotonic() < end, f"{url} does not answer"
                    time.sleep(0.2)
        yield server, f"ray://{LOOPBACK}:{client}", folder / "died"
        cluster.shutdown()


@pytest.mark.ray
@pytest.mark.slow
def test_ray_job_submit(tmp_path, head):
    """With the checkout as working directory, a recipe in it, and the page's runtime environment."""
    server, _, _ = head
    recipe = {**SMALL, "resources": {"extract": {"memory": "256MB"}}}
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "small.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    output = tmp_path / "run"
    environment = yaml.safe_load((DOCS / "runtime_env.yaml").read_text())
    environment["env_vars"]["PYTHONPATH"] = str(DOCS.parent)  # as if the node held Gristmill
    ray = Path(sys.executable).with_name("ray")
    command = [ray, "job", "submit", "--address", server, "--working-dir", folder]
    command += ["--runtime-env-json", json.dumps(environment), "--"]
    command += [sys.executable, "-m", "pipeline.cli", "run", "small.yaml", "--address", "auto"]
    command += ["--quiet", "--output", output]
    environ = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}  # would go before --address
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=280, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout
    assert digests(output) == digests(run_recipe(build(recipe), tmp_path / "inline"))
    assert json.loads((output / "run.json").read_text())["runner"] == "RayRunner"


@pytest.mark.ray
@pytest.mark.slow
def test_from_outside_by_rays_client(tmp_path, head):
    """`--address ray://HEAD:PORT`, in a process of its own: a client takes the whole process. The first try fails."""
    _, address, died = head
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
    assert not died.exists()
    output = tmp_path / "run"
    command = [sys.executable, "-m", "pipeline.cli", "run", str(tmp_path / "small.yaml"), "--address", address]
    done = subprocess.run([*command, "--quiet", "--output", str(output)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert died.exists(), "no try failed"
    assert "trying again" in done.stderr
    assert digests(output) == digests(run_recipe(build(SMALL), tmp_path / "inline"))
    assert json.loads((output / "run.json").read_text())["runner"] == "RayRunner"
