"""A run that was stopped, killed or failed goes on to the very bytes of one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import ConfigError, Stopped  # noqa: E402
from pretrain.checkpoint import Checkpoints  # noqa: E402
from pretrain.config import TrainConfig, train_config  # noqa: E402
from pretrain.loop import Event  # noqa: E402
from pretrain.train import train  # noqa: E402

SMALL = {"d_model": 32, "n_layers": 2, "n_heads": 2, "d_ff": 48, "dropout": 0.1}


def settings(**changes: Any) -> TrainConfig:
    options = {
        "threads": 1, "steps": 17, "batch_size": 8, "micro_batch": 3, "save_every": 5, "stats_every": 4,
        "tensorboard": False, "model": {**SMALL, **changes.pop("model", {})},
    }  # fmt: skip
    return train_config({**options, **changes})


def files(run: Path) -> dict[str, bytes]:
    """All that must be the same, by name."""
    found = {str(p.relative_to(run)): p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file()}
    return {name: content for name, content in found.items() if not name.startswith("timing/")}


class Broken(Exception):
    pass


def stop_after(step: int) -> Any:
    def log(event: Event) -> None:
        if event.step == step:
            raise Broken

    return log


@pytest.mark.parametrize(
    ("objective", "form", "muon"),
    [
        ("causal", "decoder", False),
        ("causal", "decoder", True),
        ("masked", "encoder", True),
        ("spans", "encoder_decoder", False),
    ],
    ids=["causal", "causal with muon", "masked with muon", "spans"],
)
def test_stopped_and_resumed_is_as_not_stopped(
    counting_packs: Path, tmp_path: Path, objective: str, form: str, muon: bool
) -> None:
    config = settings(objective=objective, optim={"muon": muon}, model={"form": form})
    whole: list[Event] = []
    train(config, counting_packs, tmp_path / "whole", log=whole.append)
    assert {event.epoch for event in whole} == {0, 1, 2}  # 6 batches an epoch
    parts: list[Event] = []
    for step in (8, 14):  # after the checkpoints of steps 5 and 10
        with pytest.raises(Broken):
            train(config, counting_packs, tmp_path / "parts", log=stop_after(step))
    train(config, counting_packs, tmp_path / "parts", log=parts.append)
    assert [event.step for event in parts] == list(range(11, 18))
    for got, want in zip(parts, whole[10:], strict=True):
        assert got.to_json() == want.to_json() and got.batch.indices.tolist() == want.batch.indices.tolist()
        assert torch.equal(got.batch.input_ids, want.batch.input_ids)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_dropout_is_on_and_differs_by_step(counting_packs: Path, tmp_path: Path) -> None:
    losses = []
    for dropout in (0.0, 0.3):
        config = settings(steps=2, batch_size=53, micro_batch=None, optim={"lr": 1e-12}, model={"dropout": dropout})
        train(config, counting_packs, tmp_path / str(dropout), log=lambda event: losses.append(event.loss))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)  # one batch, no learning: only dropout can differ
    assert abs(losses[2] - losses[3]) > 1e-4


def test_a_finished_run_does_nothing(counting_packs: Path, tmp_path: Path) -> None:
    first = train(settings(), counting_packs, tmp_path)
    before = files(tmp_path)
    events: list[Event] = []
    assert train(settings(), counting_packs, tmp_path, log=events.append) == first
    assert not events and files(tmp_path) == before


def test_other_options_are_named(counting_packs: Path, tmp_path: Path) -> None:
    train(settings(steps=3), counting_packs, tmp_path)
    with pytest.raises(ConfigError, match=r"step 3 \(optim.lr: 0.002 -> 0.001; seed: 0 -> 4\).*--init-from"):
        train(settings(steps=3, seed=4, optim={"lr": 0.001}), counting_packs, tmp_path)
    train(settings(steps=3, keep=7, save_every=None, stats_every=None), counting_packs, tmp_path)


def test_other_packs_are_refused(counting_packs: Path, tmp_path: Path) -> None:
    from tests.pipeline.token_tools import pack_set

    train(settings(steps=3), counting_packs, tmp_path / "run")
    other = pack_set(tmp_path / "p", [[(f"{i:032x}", list(range(30))) for i in range(40)]], 32, 15)
    with pytest.raises(ConfigError, match="a run on other packs"):
        train(settings(steps=3), other, tmp_path / "run")


PROGRAM = """
import os, sys, time
import torch, torch._dynamo  # an optimiser imports it, which takes a second
import pretrain.loop, pretrain.model, pretrain.validation
from pipeline.errors import GristmillError
from pretrain.train import train
from tests.pretrain.test_resume import settings

def slow(value, file, save=torch.save):
    save(value, file)
    print("saving", flush=True)
    time.sleep(60)

def run(packs, out, pace):
    if pace == "slow":
        torch.save = slow
    try:
        train(settings(), packs, out, log=lambda event: print(event.step, flush=True))
    except GristmillError as error:
        print(error, flush=True)
        os._exit(error.status)
    os._exit(0)

for line in sys.stdin:  # a process for each line: torch is loaded once
    child = os.fork()
    if not child:
        run(*line.split())
    print("child", child, flush=True)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("end", code, flush=True)
"""


class Runs:
    """Trains in processes of their own, one after the other."""

    def __init__(self) -> None:
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        self.parent = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=root, env=environment, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        self.child = 0

    def start(self, packs: Path, out: Path, pace: str = "plain") -> None:
        assert self.parent.stdin is not None
        self.parent.stdin.write(f"{packs} {out} {pace}\n")
        self.parent.stdin.flush()

    def until(self, line: str) -> list[str]:
        """What is said before that line, once its process is known."""
        said: list[str] = []
        while True:
            assert self.parent.stdout is not None
            words = self.parent.stdout.readline().split()
            assert words, said
            if words[0] == "child":
                self.child = int(words[1])
            else:
                said.append(" ".join(words))
            if self.child and any(one.startswith(line) for one in said):
                return said

    def end(self, number: int) -> list[str]:
        """Send a signal; what is said from then on."""
        os.kill(self.child, number)
        said = self.until("end")
        self.child = 0
        return said


@pytest.fixture(scope="module")
def undisturbed(counting_packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stopped."""
    folder = tmp_path_factory.mktemp("undisturbed")
    train(settings(), counting_packs, folder)
    return folder


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    made = Runs()
    yield made
    made.parent.kill()
    made.parent.wait()


def test_killed_while_writing_a_checkpoint(counting_packs: Path, tmp_path: Path, runs: Runs, undisturbed: Path) -> None:
    """A kill between the files of the checkpoint of step 10: the one of step 5 stands."""
    with pytest.raises(Broken):
        train(settings(), counting_packs, tmp_path / "run", log=stop_after(7))
    runs.start(counting_packs, tmp_path / "run", "slow")
    runs.until("saving")
    assert runs.end(signal.SIGKILL)[-1] == "end -9"
    left = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert left[-1] == "step-00000005" and len(left) == 2 and left[0].startswith(".step-00000010")
    events: list[Event] = []
    train(settings(), counting_packs, tmp_path / "run", log=events.append)
    assert events[0].step == 6
    assert files(tmp_path / "run") == files(undisturbed)


def test_killed_at_any_time(counting_packs: Path, tmp_path: Path, runs: Runs, undisturbed: Path) -> None:
    """At most the steps since the newest checkpoint are done again, wherever the kill falls."""
    rng = random.Random(8)
    kills = 0
    for _ in range(3):
        before = Checkpoints(tmp_path / "run").newest()
        runs.start(counting_packs, tmp_path / "run")
        said = runs.until(
            "end" if before is not None and before.step == 17 else str(1 + (before.step if before else 0))
        )
        if said[-1].startswith("end"):
            break
        time.sleep(rng.random() * 0.15)
        said += runs.end(signal.SIGKILL)
        kills += said[-1] == "end -9"
        last = max(int(line) for line in said if line.isdigit())
        newest = Checkpoints(tmp_path / "run").newest()
        assert last - (0 if newest is None else newest.step) <= 5 or said[-1] == "end 0"
    assert kills
    train(settings(), counting_packs, tmp_path / "run")
    assert files(tmp_path / "run") == files(undisturbed)


def test_sigterm_saves_and_says_so(counting_packs: Path, tmp_path: Path, runs: Runs, undisturbed: Path) -> None:
    runs.start(counting_packs, tmp_path / "run")
    runs.until("3")
    *_, message, end = runs.end(signal.SIGTERM)
    assert end == f"end {128 + signal.SIGTERM}"
    newest = Checkpoints(tmp_path / "run").newest()
    assert newest is not None and newest.step >= 3
    assert f"stopped by SIGTERM at step {newest.step} of 17; the same command goes on" in message
    events: list[Event] = []
    train(settings(), counting_packs, tmp_path / "run", log=events.append)
    assert [event.step for event in events] == list(range(newest.step + 1, 18))
    done, want = files(tmp_path / "run"), files(undisturbed)
    assert done["metrics.jsonl"] == want["metrics.jsonl"]
    assert done["checkpoints/step-00000017/weights.pt"] == want["checkpoints/step-00000017/weights.pt"]


def test_ctrl_c_in_this_process(counting_packs: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def log(event: Event) -> None:
        if event.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped, match="stopped by SIGINT at step 4 of 17") as caught:
        train(settings(), counting_packs, tmp_path, log=log)
    assert caught.value.status == 130 and signal.getsignal(signal.SIGINT) is before
    newest = Checkpoints(tmp_path).newest()
    assert newest is not None and newest.step == 4


def test_metrics_are_those_of_the_checkpoint(counting_packs: Path, tmp_path: Path) -> None:
    """Lines that were written behind the checkpoint are written anew, not twice."""
    with pytest.raises(Broken):
        train(settings(), counting_packs, tmp_path, log=stop_after(9))
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 9
    train(settings(), counting_packs, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 18))
