"""Same bytes whatever the workers, and after SIGKILL of a worker or the driver at any point."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.recipe import build, override, read_recipe, without
from pipeline.runner import RayRunner
from tests.runs import digests, run_recipe

SETTINGS = [
    "extract.engine=resiliparse",
    "warc.split_bytes=16384",
    "train_tokenizer.vocab_size=1024",
    "mix.partition_tokens=51200",
]
"""Some fifty shards and several pack files out of the sample crawl, quickly."""


LEARNED = ["perplexity", "web_spam", "hate", "nsfw", "mask_toxic", "quality"]
"""What takes longest, and is left out where it isn't what a test is about."""


def small_recipe(*left_out: str, **more: str):
    settings = [*SETTINGS, *(f"{name.replace('__', '.')}={value}" for name, value in more.items())]
    return build(override(without(read_recipe("crawl-to-shards"), ["pretrain", *left_out]), settings))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return digests(run_recipe(small_recipe(), tmp_path_factory.mktemp("inline") / "run"))


def shards_done(output: Path) -> int:
    return len(list(output.glob("01-extract/done/*.json")))


def workers_seen(output: Path) -> set[str]:
    return {json.loads(p.read_text())["worker"] for p in output.glob("01-extract/timings/*.json")}


def test_at_least_forty_shards(undisturbed):
    assert sum(name.startswith("01-extract/kept/") for name in undisturbed) >= 40
    assert sum(name.startswith("09-pack/packset/packs/") for name in undisturbed) >= 2


@pytest.mark.ray
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_worker_count_changes_nothing(tmp_path, undisturbed, workers):
    output = run_recipe(small_recipe(), tmp_path / "run", RayRunner(workers=workers))
    assert digests(output) == undisturbed
    if workers > 1:
        assert len(workers_seen(output)) >= 2


def start(output: Path) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "run",
        "crawl-to-shards",
        "--output",
        str(output),
        "--workers",
        "2",
    ]
    command += ["--without", "pretrain", "--quiet", *(f"--set={s}" for s in SETTINGS)]
    return subprocess.Popen(command, start_new_session=True)


def wait_for(process: subprocess.Popen, ready, limit_s: float = 120.0) -> None:
    end = time.monotonic() + limit_s
    while not ready():
        assert process.poll() is None, f"the run ended early with {process.returncode}"
        assert time.monotonic() < end, "the run did not come so far in time"
        time.sleep(0.01)


def ray_workers_of(pid: int) -> list[int]:
    """Processes below `pid` that run Ray tasks, by Linux's /proc."""
    children: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                names[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            children.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            todo.append(child)
            if names.get(child, "").startswith("ray::"):
                found.append(child)
    return found


@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes through Linux's /proc")
def test_killed_workers_and_driver(tmp_path, undisturbed):
    """SIGKILL to a worker in mid-run, then to the driver at two points; started again, the bytes are the same."""
    output = tmp_path / "run"
    draw = random.Random(20251121)
    for kill_at in sorted(draw.sample(range(4, 34), 2)):
        process = start(output)
        wait_for(process, lambda at=kill_at: shards_done(output) >= max(2, at - 3))
        workers = ray_workers_of(process.pid)
        assert workers, "no worker process was found to kill"
        os.kill(draw.choice(workers), signal.SIGKILL)
        wait_for(process, lambda at=kill_at: shards_done(output) >= at)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        total = len([n for n in undisturbed if n.startswith("01-extract/kept/")])
        assert 0 < shards_done(output) < total, "the kill was to come in mid-run"
    assert not (output / "01-extract" / "manifest.json").exists()
    process = start(output)
    assert process.wait(timeout=300) == 0
    assert len(workers_seen(output)) >= 2, "two writers were to be at work"
    assert digests(output) == undisturbed


def test_a_finished_run_is_not_done_again_and_a_change_redoes_only_what_follows(tmp_path):
    output = run_recipe(small_recipe(*LEARNED), tmp_path / "run")
    stamps = {p: p.stat().st_mtime_ns for p in output.rglob("*.parquet")}
    run_recipe(small_recipe(*LEARNED), output)
    assert stamps and stamps == {p: p.stat().st_mtime_ns for p in output.rglob("*.parquet")}
    run_recipe(small_recipe(*LEARNED, language__languages="[en]"), output)
    after = {p: p.stat().st_mtime_ns for p in output.rglob("*.parquet")}
    same = {p for p in stamps if after.get(p) == stamps[p]}
    assert same == {p for p in stamps if "01-extract" in p.parts}


def test_a_lost_file_of_a_finished_step_is_made_again(tmp_path):
    output = run_recipe(small_recipe(*LEARNED), tmp_path / "run")
    whole = digests(output)
    next(output.glob("01-extract/kept/*.parquet")).unlink()
    next(output.glob("09-pack/packset/packs/*.arrow")).write_bytes(b"short")
    assert digests(output) != whole
    run_recipe(small_recipe(*LEARNED), output)
    assert digests(output) == whole
