"""A Ray cluster as the driver sees it: joined or started here, its size now, and whether its head still answers."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..malloc import ARENAS

log = logging.getLogger("gristmill")

LOOPBACK = "127.0.0.1"
CALM = {
    "MALLOC_ARENA_MAX": str(ARENAS),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Environment that worker processes read when they start. Arrow's own allocator kept 50 MB a worker that nothing used,
and more in steps of 20 MB for hours; what the system's holds `worker.run_batch` gives back (`make bench-soak`). The
thresholds keep freed memory until then: without them a worker spent 5 % of its time on pages given back and taken."""
LOOK_EVERY_S = 3.0
"""How often the cluster's size is read anew: nodes come (autoscaling) and go (spot)."""
CLIENT_TRIES = 5
"""How often a `ray://` address is tried where Ray's server fails to start its part for this client: its process forks
while gRPC runs in it, which kills some 7 to 14 % of the children (ray-project/ray#63202; docs/cluster.md)."""
HEAD_GONE_S = 20.0
"""How long the head may leave connections unanswered. Ray itself waits a minute and then kills the driver's process."""


class Node(NamedTuple):
    """What tasks may ask of one node: bytes, and cores. (Compared by memory first.)"""

    memory: int
    cpus: float


@dataclass(frozen=True)
class Size:
    """The nodes that live and can run tasks (a head with no cores can't): how many there are of each kind."""

    kinds: tuple[tuple[Node, int], ...]

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> Size:
        """Of single nodes."""
        return cls(tuple(sorted(Counter(node for node in nodes if node.cpus > 0).items())))

    @property
    def nodes(self) -> int:
        """How many there are."""
        return sum(count for _, count in self.kinds)

    @property
    def cpus(self) -> float:
        """Cores of all together."""
        return sum(node.cpus * count for node, count in self.kinds)

    @property
    def largest(self) -> Node | None:
        """The one with the most memory, and of these with the most cores; None where no node can run a task."""
        return self.kinds[-1][0] if self.kinds else None

    def holds(self, memory: int, cpus: float) -> bool:
        """Whether there is a node that a task which asks for both fits on."""
        return any(memory <= node.memory and cpus <= node.cpus for node, _ in self.kinds)

    def slots(self, memory: int, cpus: float) -> int:
        """How many tasks that ask for so much run at once."""
        return sum(
            count * int(min(node.cpus // cpus, node.memory // memory if memory else node.cpus // cpus))
            for node, count in self.kinds
        )


def join(address: str) -> None:
    """Connect to the cluster at `host:port`, `ray://host:port` or `auto`. Raises ConfigError."""
    _probe(address)
    try:
        with _loopback(_of_loopback(address)):
            _connect(address)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"no Ray cluster answers at '{address}': {error}") from error


def _connect(address: str) -> None:
    import ray

    for left in reversed(range(CLIENT_TRIES if address.startswith("ray://") else 1)):
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            return
        except ConnectionAbortedError:
            if left == 0:
                raise
            log.warning("Ray's client server at '%s' failed to start its part; trying again", address)


def start(workers: int) -> None:
    """Start a cluster of this machine alone. Its ports are open to this machine's processes only."""
    import ray

    for name, value in CALM.items():
        os.environ.setdefault(name, value)
    with _loopback(True):
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=160 << 20,  # results are small JSON values; Ray's minimum is 75 MB
            log_to_driver=False,
            logging_level=logging.ERROR,
        )


@contextmanager
def _loopback(wanted: bool) -> Iterator[None]:
    """Within the block Ray takes 127.0.0.1 for this machine's address, as it does on a Mac.

    `ray.init` puts the outward address in place of a loopback one, whether it is given as `_node_ip_address` or as
    `address`; this constant (RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER at import) is what it goes by.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    if wanted:
        ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _of_loopback(address: str) -> bool:
    """Whether the cluster at this address is one whose nodes know each other by 127.0.0.1."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    if address == "auto":
        from ray._private.services import find_gcs_addresses

        found = os.environ.get("RAY_ADDRESS") or next(iter(find_gcs_addresses()), "")
        return (_host_port(found) or ("",))[0] == LOOPBACK
    where = _host_port(address)
    if where is None or address.startswith("ray://") or where[0] not in (LOOPBACK, "localhost"):
        return False
    nodes = GcsClient(address=f"{LOOPBACK}:{where[1]}").get_all_node_info(timeout=10)
    return any(node.node_manager_address == LOOPBACK for node in nodes.values())


def _probe(address: str) -> None:
    """Raise ConfigError at once where nothing listens at `host:port`; Ray itself would wait for minutes."""
    where = _host_port(address)
    if where is None:
        return
    try:
        socket.create_connection(where, timeout=10).close()
    except OSError as error:
        raise ConfigError(f"no Ray cluster answers at '{address}': {error}") from error


def _host_port(address: str) -> tuple[str, int] | None:
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    return (host.strip("[]"), int(port)) if colon and port.isdigit() else None


class Watch:
    """The cluster's size, read anew every few seconds, and whether its head still answers: in threads of their own.

    A head that is gone lets a question for the nodes hang until Ray ends the process; the driver must not wait for it.
    """

    def __init__(self, address: str | None) -> None:
        import ray

        self.head = address if address and address.startswith("ray://") else ray.get_runtime_context().gcs_address
        self._where = _host_port(self.head)
        self._stop = threading.Event()
        self._answered = time.monotonic()
        self._size = Size.of([Node(0, 1)])
        self._read()
        for task in (self._ask, self._read_on):
            threading.Thread(target=task, name="gristmill-cluster", daemon=True).start()

    def close(self) -> None:
        """Stop asking."""
        self._stop.set()

    @property
    def head_gone(self) -> bool:
        """Whether the head has left connections unanswered for too long."""
        return self._where is not None and time.monotonic() - self._answered > HEAD_GONE_S

    def _ask(self) -> None:
        while self._where is not None and not self._stop.wait(LOOK_EVERY_S):
            try:
                socket.create_connection(self._where, timeout=5).close()
                self._answered = time.monotonic()
            except OSError:
                continue

    def _read_on(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            self._read()

    def _read(self) -> None:
        import ray

        try:
            nodes: list[dict[str, Any]] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        except (ray.exceptions.RayError, ConnectionError, RuntimeError):
            return  # it was closed meanwhile, or doesn't answer
        if nodes:
            self._size = Size.of(Node(int(node.get("memory", 0)), node.get("CPU", 0)) for node in nodes)

    def size(self) -> Size:
        """The cluster's size, some seconds old at most; the last one known where the head doesn't answer."""
        return self._size
