"""Whole runs with files on two processes: as of one, the same bytes after a stop, any kind goes on from any."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pretrain.checkpoint import find_checkpoint  # noqa: E402
from pretrain.train import train  # noqa: E402

from . import cases  # noqa: E402
from .conftest import ROOT, Ranks, environment  # noqa: E402


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("kind", cases.KINDS[:4])
def test_a_stopped_run_goes_on_bit_for_bit(ranks: Ranks, folder: Path, kind: str) -> None:
    for found in ranks(f"training-{kind}"):
        assert found["stopped"] == "in step 4"
        told = [{k: v for k, v in found[one].items() if "second" not in k and k != "tokens_per_s"}
                for one in ("whole", "again")]  # fmt: skip
        assert told[0] == told[1] and told[0]["epochs"] == 2
    for name in ("metrics.jsonl", "held_out.jsonl", "summary.json"):
        whole, again = ((folder / run / name).read_bytes() for run in (kind, f"{kind}-again"))
        assert whole == again and whole
    assert [line["step"] for line in lines(folder / kind / "metrics.jsonl")] == [1, 2, 3, 4, 5]  # one process writes
    one, other = (find_checkpoint(folder / run).full() for run in (kind, f"{kind}-again"))
    assert all(torch.equal(value, other["model"][name]) for name, value in one["model"].items())
    for name, values in one["optimiser"].items():
        assert values and all(torch.equal(value, other["optimiser"][name][key]) for key, value in values.items())


def test_runs_of_all_kinds_and_of_one_process_are_the_same(ranks: Ranks, folder: Path, tmp_path: Path) -> None:
    for kind in ("ddp", "tensor", "pipeline"):
        ranks(f"training-{kind}")
    config = cases.settings("none", held_out={"same": str(folder / "packs")})
    train(config, folder / "packs", tmp_path)
    want, sets = lines(tmp_path / "metrics.jsonl"), lines(tmp_path / "held_out.jsonl")
    for kind in ("ddp", "tensor", "pipeline"):  # fsdp's run has dropout
        for got, one in zip(lines(folder / kind / "metrics.jsonl"), want, strict=True):
            assert got["loss"] == pytest.approx(one["loss"], rel=1e-4)
            assert got["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-3)
            assert [got[k] for k in ("lr", "tokens", "targets", "epoch")] == [
                one[k] for k in ("lr", "tokens", "targets", "epoch")
            ]
        for name, values in want[-1]["statistics"].items():
            got = lines(folder / kind / "metrics.jsonl")[-1]["statistics"][name]
            if (kind, name) == ("ddp", "attention_logit"):  # the largest of a sequence of each rank
                assert all(got[layer] >= 0.999 * value for layer, value in values.items())
            else:
                assert got == pytest.approx(values, rel=1e-2), name
        held_out = lines(folder / kind / "held_out.jsonl")
        assert held_out[-1]["bits_per_byte"] == pytest.approx(sets[-1]["bits_per_byte"], rel=1e-4)
        assert held_out[-1]["tokens"] == sets[-1]["tokens"]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_torchrun_and_sigterm(gloo: None, folder: Path, tmp_path: Path) -> None:
    """SIGTERM to torchrun: all ranks stop after the same step, one checkpoint of it; one process goes on from it."""
    options = ["--steps", "4000", "--batch-size", "4", "--seed", "3", "--tensorboard", "false", "--save-every", "3"]
    options += ["--keep", "1", "--model", "n_layers=1", "d_model=32", "n_heads=2", "d_ff=32"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    command += ["--master-port", str(_free_port()), "-m", "pipeline.cli", "pretrain", str(folder / "packs")]
    process = subprocess.Popen(
        [*command, "-o", str(tmp_path / "run"), *options, "--parallel", "ddp"],
        cwd=ROOT, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    checkpoints, give_up = tmp_path / "run" / "checkpoints", time.monotonic() + 300
    while not list(checkpoints.glob("step-*")):
        assert process.poll() is None and time.monotonic() < give_up, process.communicate()[0]
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    stopped = find_checkpoint(tmp_path / "run")
    assert process.returncode != 0 and f"at step {stopped.step} of 4000" in output, output
    assert len(list(checkpoints.iterdir())) <= 2  # the newest, and the first as a way back from a bad stretch
    steps = [line["step"] for line in lines(tmp_path / "run" / "metrics.jsonl")]
    assert steps == list(range(1, stopped.step + 1))


def test_a_rank_that_fails_ends_the_others_with_its_message(ranks: Ranks) -> None:
    first, second = ranks("failing")
    assert first["status"] == second["status"] == 1 and first["seconds"] < 60
    message = "another process failed, so this one (rank 0) ends. rank 1: ValueError: the disk is full"
    assert message in first["said"] and "ValueError: the disk is full" in second["said"]
