"""The whole main job on three Ray nodes over an S3-compatible store that fails 5 % of requests, one node killed.

    make cluster-proof

The sample crawl in some fifty splits, every step of the default recipe (training on one thread: sums of several come in
any order).
When some shards are extracted and others are not, all processes of a node get SIGKILL and a new node joins. The store
is moto's server on this machine's loopback interface, behind a front that answers 500 or 503, cuts connections before
and after the request, cuts answers short, or is slow. Every object is then compared with a run in this process into a
folder: the same names, the same bytes. It ends with an error where anything differs.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import write
from pipeline.recipe import build, override, read_recipe
from pipeline.runner import InlineRunner
from pipeline.storage import place
from tests.cluster.nodes import Telling, compared, objects, started
from tests.runs import digests, run_recipe
from tests.storage.faulty import ENVIRONMENT, FaultyFront, S3Server, environment

SETTINGS = [
    "warc.split_bytes=16384",
    "train_tokenizer.vocab_size=1024",
    "mix.partition_tokens=51200",
    "pretrain.train={threads: 1, save_every: 20}",
]
BUCKET = "cluster-proof"
SMALL_BYTES = 64 << 10


def proof(folder: Path, share: float, kill_at: int) -> dict[str, Any]:
    """Run both ways; the figures. Raises SystemExit where a byte differs or a claim isn't met."""
    recipe = build(override(read_recipe("crawl-to-shards"), SETTINGS))
    start = time.perf_counter()
    local = digests(run_recipe(recipe, folder / "local", InlineRunner()))
    local_s = time.perf_counter() - start
    killed: list[dict[str, Any]] = []
    with (
        S3Server() as server,
        FaultyFront(server.url, share=share, seed=9) as front,
        environment(**ENVIRONMENT, AWS_ENDPOINT_URL=front.url, GRISTMILL_SCRATCH=str(folder / "driver")),
        started(folder / "nodes") as nodes,
    ):
        server.make_bucket(BUCKET)

        def kill(step: str, done: int, of: int) -> None:
            if step == "01-extract" and done == kill_at:
                killed.append({"node": nodes.kill(0), "shards_done": done, "shards": of, "joined": nodes.add()})

        runner = Telling(kill, address=nodes.address)
        start = time.perf_counter()
        run_recipe(recipe, place(f"s3://{BUCKET}/run"), runner)
        cluster_s = time.perf_counter() - start
        failed, requests = dict(front.failed), front.requests
        found = compared(objects(server, BUCKET))
        alive = nodes.ids()
    differing = sorted(name for name in {*found, *local} if found.get(name) != local.get(name))
    value = {
        "files": len(local),
        "differing": differing,
        "killed": killed,
        "tasks_by_node": dict(runner.nodes),
        "tasks_by_step": {step: sum(counts.values()) for step, counts in runner.of_step.items()},
        "store": {"server": "moto", "requests": requests, "failed": failed, "share": sum(failed.values()) / requests},
        "largest_payload_bytes": runner.sent_max_bytes,
        "largest_result_bytes": runner.received_max_bytes,
        "largest_shared_bytes": runner.shared_max_bytes,
        "seconds": {"local": local_s, "cluster": cluster_s},
    }
    claims = {
        "every file is the same": not differing and len(local) > 100,
        "a node was killed with some shards done and others not": len(killed) == 1
        and 0 < killed[0]["shards_done"] < killed[0]["shards"] >= 40,
        "tasks ran on every node": set(alive) | {killed[0]["node"]} == set(runner.nodes),
        "requests failed": sum(failed.values()) > 0.8 * share * requests,
        "no documents passed through the driver": max(runner.sent_max_bytes, runner.received_max_bytes) < SMALL_BYTES,
    }
    print("\n".join(f"{'yes' if held else 'NO '}  {claim}" for claim, held in claims.items()))
    if not all(claims.values()):
        raise SystemExit(f"not shown: {value}")
    return {**value, "claims": list(claims)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, default=0.05, help="of requests that the store fails")
    parser.add_argument("--kill-at", type=int, default=12, help="shards extracted when the node is killed")
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server names every request
    with tempfile.TemporaryDirectory(prefix="gristmill-cluster-") as name:
        value = proof(Path(name), args.share, args.kill_at)
    if args.write:
        write("cluster", value, ("ray", "moto", "s3fs"))


if __name__ == "__main__":
    main()
