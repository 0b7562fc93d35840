"""Ray clusters of several nodes on this machine, nodes that are killed, and a runner that tells what it saw."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.runner import RayRunner
from tests.runs import NOT_COMPARED
from tests.storage.faulty import ENVIRONMENT, S3Server

LOOPBACK = "127.0.0.1"


class Nodes:
    """A head without cores (the driver's) and some nodes, each with a scratch folder of its own."""

    def __init__(self, scratch: Path, count: int = 3, cpus: int = 1) -> None:
        from ray.cluster_utils import Cluster

        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.scratch, self.cpus, self.made = scratch, cpus, 0
        head = {"num_cpus": 0, "node_ip_address": LOOPBACK, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
        self.workers: list[Any] = []
        for _ in range(count):
            self.add()

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self) -> str:
        """Start one more node; returns its id."""
        self.made += 1
        folder = self.scratch / f"node-{self.made}"
        folder.mkdir(parents=True)
        node = self.cluster.add_node(
            num_cpus=self.cpus,
            node_ip_address=LOOPBACK,
            include_dashboard=False,
            object_store_memory=80 << 20,
            env_vars={"GRISTMILL_SCRATCH": str(folder)},
        )
        self.workers.append(node)
        return str(node.node_id)

    def kill(self, number: int) -> str:
        """SIGKILL to all processes of a node, as when a spot machine is taken away; returns the node's id."""
        node = self.workers.pop(number)
        self.cluster.remove_node(node, allow_graceful=False)
        return str(node.node_id)

    def ids(self) -> list[str]:
        """The living nodes, without the head."""
        return [str(node.node_id) for node in self.workers]


@contextmanager
def started(scratch: Path, count: int = 3, cpus: int = 1) -> Iterator[Nodes]:
    """A cluster for the block."""
    nodes = Nodes(scratch, count, cpus)
    try:
        yield nodes
    finally:
        nodes.cluster.shutdown()


def objects(server: S3Server, bucket: str) -> dict[str, bytes]:
    """All objects of a bucket by name, asked of the server itself (no faults, none of our own code)."""
    import s3fs

    system = s3fs.S3FileSystem(
        endpoint_url=server.url,
        key=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        secret=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    found = system.find(bucket)
    return {name.split("/", 1)[1]: content for name, content in system.cat(found).items()} if found else {}


def compared(found: dict[str, bytes]) -> dict[str, str]:
    """Hashes of a run's objects that must be the same in every run, as `tests.runs.digests` has them of a folder."""
    return {
        name.split("/", 1)[1]: hashlib.blake2b(content).hexdigest()
        for name, content in found.items()
        if not set(name.split("/")) & set(NOT_COMPARED)
    }


class Telling(RayRunner):
    """Counts results by node and step, and calls `after` with the number of results of the step so far."""

    def __init__(self, after: Callable[[str, int, int], None] = lambda step, done, of: None, **options: Any) -> None:
        super().__init__(**options)
        self.after = after
        self.nodes: Counter[str] = Counter()
        self.of_step: dict[str, Counter[str]] = {}

    def map(self, function: Any, tasks: Any, *, step: str, on_result: Any, **more: Any) -> None:
        done = 0

        def told(task: Any, result: dict[str, Any]) -> None:
            nonlocal done
            done += 1
            self.nodes[result["node"]] += 1
            self.of_step.setdefault(step, Counter())[result["node"]] += 1
            on_result(task, result)
            self.after(step, done, len(tasks))

        super().map(function, tasks, step=step, on_result=told, **more)
