"""The loss falls, a run repeats to the byte, and what can't be trained is said before."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import ConfigError  # noqa: E402
from pretrain.config import TrainConfig, train_config  # noqa: E402
from pretrain.train import train  # noqa: E402
from tests.pipeline.token_tools import pack_set  # noqa: E402


def settings(**changes: Any) -> TrainConfig:
    return train_config({"threads": 1, **changes})


def test_loss_falls_and_runs_repeat(counting_packs: Path, tmp_path: Path) -> None:
    events: list[Any] = []
    model = {"d_model": 64, "n_layers": 2, "n_heads": 2, "d_ff": 128}
    config = settings(steps=60, model=model, optim={"lr": 8e-3})
    first = train(config, counting_packs, tmp_path / "a", log=events.append)
    second = train(config, counting_packs, tmp_path / "b")
    assert abs(first["first_loss"] - first["untrained_loss"]) < 0.3
    # A model that knows only how often each id comes ends near ln 64 = 4.16; counting on takes it to nearly 0.
    assert first["last_loss"] < 1.5
    for name in ("metrics.jsonl", "summary.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()]
    assert lines == [event.to_json() for event in events] and [line["step"] for line in lines] == list(range(1, 61))
    assert lines[-1]["epoch"] == 9 and first["epochs"] == 10  # 53 sequences: 6 full batches an epoch
    assert sum(line["tokens"] for line in lines) == first["tokens"] == second["tokens"]
    assert first["tokens_per_s"] > 0 and "tokens_per_s" not in json.loads((tmp_path / "a" / "summary.json").read_text())


def test_another_seed_is_another_run(counting_packs: Path, tmp_path: Path) -> None:
    runs = [train(settings(steps=2, batch_size=4, seed=s), counting_packs, tmp_path / str(s)) for s in (0, 1)]
    assert runs[0]["last_loss"] != runs[1]["last_loss"]


def test_fewer_sequences_than_a_batch(tmp_path: Path) -> None:
    packs = pack_set(tmp_path / "p", [[("a" * 32, list(range(40)))]], 16, 4)
    summary = train(settings(steps=3, batch_size=64), packs, tmp_path / "m")
    assert summary["tokens"] == 3 * 40 and summary["epochs"] == 3


def test_what_cannot_be_trained(counting_packs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'tiny'"):
        settings(size="tinny")
    with pytest.raises(ConfigError, match="steps"):
        settings(steps=0)
    with pytest.raises(ConfigError, match="did you mean 'warmup'"):
        settings(optim={"warmpu": 3})
    for wrong, words in [
        ({"model": {"dropout": "a"}}, "model: dropout must be a number"),
        ({"model": {"rope_theta": math.inf}}, "model: rope_theta must be a number"),
        ({"model": {"qk_norm": "no"}}, "model: qk_norm must be true or false"),
        ({"optim": {"betas": ["a", 0.9]}}, "optim.betas: two numbers"),
        ({"optim": {"betas": 0.9}}, "optim.betas: two numbers"),
        ({"held_out": {"wiki": 3}}, "held_out: wiki must be the path"),
        ({"spike": {"window": 8, "min_history": 4}}, "max_skips must be below spike.window"),
    ]:
        with pytest.raises(ConfigError, match=words):
            settings(**wrong)
    with pytest.raises(ConfigError, match="empty"):
        train(settings(), pack_set(tmp_path / "none", [[]], 8, 2), tmp_path)
