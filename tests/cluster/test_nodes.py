"""The main job on three Ray nodes: one killed in mid-run, a driver killed, and what passes through the driver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.recipe import build, override, read_recipe, without
from pipeline.storage import place
from tests.cluster.nodes import Telling, compared, objects, started
from tests.runs import digests, run_recipe
from tests.storage.faulty import ENVIRONMENT, KINDS, FaultyFront, environment

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SMALL = ["extract.engine=resiliparse", "warc.split_bytes=16384"]
LEFT_OUT = [
    "perplexity", "web_spam", "hate", "nsfw", "mask_toxic", "quality", "decontaminate", "minhash_dedup",
    "train_tokenizer", "tokenize", "mix", "pack", "pretrain",
]  # fmt: skip
"""Extraction, cheap filters, exact dedup and PII: the kinds of step there are (`make cluster-proof` runs them all)."""
BUCKET = "cluster"
SMALL_BYTES = 64 << 10
"""What one task's payload or result may hold; the sample's shards hold 100 to 200 kB of text."""


def recipe():
    return build(override(without(read_recipe("crawl-to-shards"), LEFT_OUT), SMALL))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return digests(run_recipe(recipe(), tmp_path_factory.mktemp("inline") / "run"))


@pytest.fixture(scope="module")
def front(s3_server, tmp_path_factory):
    """A front before the S3 server, known to this process and the nodes; fails nothing until it is told to."""
    s3_server.make_bucket(BUCKET)
    scratch = str(tmp_path_factory.mktemp("driver"))
    with (
        FaultyFront(s3_server.url, seed=9, slow_s=0.1) as front,
        environment(**ENVIRONMENT, AWS_ENDPOINT_URL=front.url, GRISTMILL_SCRATCH=scratch),
    ):
        yield front


@pytest.fixture(scope="module")
def nodes(tmp_path_factory, front):
    with started(tmp_path_factory.mktemp("scratch")) as made:
        yield made


def test_a_node_is_killed_in_mid_run_and_the_store_fails(s3_server, front, nodes, undisturbed):
    """Three nodes, a store that fails 5 % of requests, a node killed when some shards are done: the same bytes."""
    at_first, killed, seen = set(nodes.ids()), [], []
    front.reset()
    front.share = 0.05

    def kill(step, done, of):
        if step == "01-extract" and done == 12:
            seen.append((done, of))
            killed.append(nodes.kill(0))
            nodes.add()

    runner = Telling(kill, address=nodes.address)
    run_recipe(recipe(), place(f"s3://{BUCKET}/run"), runner)
    front.share = 0.0
    ((done, of),) = seen
    assert of >= 40 and 0 < done < of
    assert sum(front.failed.values()) > 20 and len(front.failed) == len(KINDS), front.failed
    found = objects(s3_server, BUCKET)
    assert compared(found) == undisturbed
    assert set(runner.nodes) == at_first | set(nodes.ids()), "every node was to do tasks, the new one too"
    timings = [json.loads(content) for name, content in found.items() if "/timings/" in name]
    assert {one["node"] for one in timings} == set(runner.nodes)
    assert len({one["worker"] for one in timings}) >= 3
    assert runner.nodes[killed[0]] < max(runner.nodes.values())
    folders = [folder for folder in nodes.scratch.iterdir() if any((folder / "objects").rglob("*.parquet"))]
    assert len(folders) >= 3, "each node was to fetch into its own scratch folder"
    assert 0 < runner.sent_max_bytes < SMALL_BYTES and 0 < runner.received_max_bytes < SMALL_BYTES
    assert 0 < runner.shared_max_bytes < SMALL_BYTES
    texts = sum(len(content) for name, content in found.items() if "/01-extract/kept/" in name)
    assert texts > 4 * SMALL_BYTES, "the documents were to be more than what may pass"


def start(output: Path, address: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "pipeline.cli", "run", "crawl-to-shards", "--address", address]
    command += ["--output", str(output), "--quiet"]
    command += [word for name in LEFT_OUT for word in ("--without", name)]
    return subprocess.Popen([*command, *(f"--set={one}" for one in SMALL)], start_new_session=True)


def test_the_driver_is_killed_and_the_same_command_goes_on(tmp_path, nodes, undisturbed):
    output = tmp_path / "run"
    process = start(output, nodes.address)
    end = time.monotonic() + 120
    while len(list(output.glob("01-extract/done/*.json"))) < 8:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    marks = {path: path.stat().st_mtime_ns for path in output.glob("01-extract/done/*.json")}
    assert 8 <= len(marks) < 40
    assert start(output, nodes.address).wait(timeout=300) == 0
    assert digests(output) == undisturbed
    assert {path: path.stat().st_mtime_ns for path in marks} == marks, "what was finished was not to be done again"
