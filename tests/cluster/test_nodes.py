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
from tests.cluster.nodes import Telling, started
from tests.runs import digests, run_recipe

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SMALL = ["extract.engine=resiliparse", "warc.split_bytes=16384"]
LEFT_OUT = [
    "perplexity", "web_spam", "hate", "nsfw", "mask_toxic", "quality", "decontaminate", "minhash_dedup",
    "train_tokenizer", "tokenize", "mix", "pack", "pretrain",
]  # fmt: skip
"""Extraction, cheap filters, exact dedup and PII: the kinds of step there are (`make cluster-proof` runs them all)."""
SMALL_BYTES = 64 << 10
"""What one task's payload or result may hold; the sample's shards hold 100 to 200 kB of text."""


def recipe():
    return build(override(without(read_recipe("crawl-to-shards"), LEFT_OUT), SMALL))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return digests(run_recipe(recipe(), tmp_path_factory.mktemp("inline") / "run"))


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with started(tmp_path_factory.mktemp("scratch")) as made:
        yield made


def timings(output: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in output.rglob("timings/*.json")]


def test_a_node_is_killed_in_mid_run(tmp_path, nodes, undisturbed):
    at_first, killed, seen = set(nodes.ids()), [], []

    def kill(step, done, of):
        if step == "01-extract" and done == 12:
            seen.append((done, of))
            killed.append(nodes.kill(0))
            nodes.add()

    runner = Telling(kill, address=nodes.address)
    output = run_recipe(recipe(), tmp_path / "run", runner)
    ((done, of),) = seen
    assert of >= 40 and 0 < done < of
    assert digests(output) == undisturbed
    assert set(runner.nodes) == at_first | set(nodes.ids()), "every node was to do tasks, the new one too"
    assert {one["node"] for one in timings(output)} == set(runner.nodes)
    assert len({one["worker"] for one in timings(output)}) >= 3
    assert runner.nodes[killed[0]] < max(runner.nodes.values())


def test_no_documents_pass_through_the_driver(tmp_path, nodes, undisturbed):
    runner = Telling(address=nodes.address)
    output = run_recipe(recipe(), tmp_path / "run", runner)
    assert digests(output) == undisturbed
    assert 0 < runner.sent_max_bytes < SMALL_BYTES and 0 < runner.received_max_bytes < SMALL_BYTES
    assert 0 < runner.shared_max_bytes < SMALL_BYTES
    texts = sum(entry.stat().st_size for entry in output.glob("01-extract/kept/*.parquet"))
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
