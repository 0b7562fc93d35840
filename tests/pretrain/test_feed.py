"""Continued pretraining and context extension as whole runs: what is drawn, and that they resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import ConfigError  # noqa: E402
from pretrain.checkpoint import find_checkpoint, load_model  # noqa: E402
from pretrain.config import train_config  # noqa: E402
from pretrain.loop import Event  # noqa: E402
from pretrain.spikes import SpikeGuard, Verdict  # noqa: E402
from pretrain.train import train  # noqa: E402
from tests.pipeline.token_tools import pack_set  # noqa: E402

SMALL = {"d_model": 32, "n_layers": 2, "n_heads": 2, "d_ff": 48}


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Short sequences that count up, others that count by two, and long ones."""
    folder = tmp_path_factory.mktemp("packs")

    def documents(by: int, size: int) -> list[tuple[str, list[int]]]:
        return [(f"{by:016x}{i:016x}", [(i * 37 + by * k) % 64 for k in range(size - 1)] + [256]) for i in range(60)]

    return {
        "new": pack_set(folder / "new", [documents(1, 16)], 16, 30),
        "old": pack_set(folder / "old", [documents(2, 16)], 16, 30),
        "long": pack_set(folder / "long", [documents(1, 48)], 48, 30),
    }


def run(packs: dict[str, Path], out: Path, stop: int | None = None, **options: Any) -> list[Event]:
    events: list[Event] = []

    class Broken(Exception):
        pass

    def log(event: Event) -> None:
        events.append(event)
        if event.step == stop:
            raise Broken

    config = train_config(
        {"steps": 12, "batch_size": 8, "threads": 1, "model": SMALL, "save_every": 3, "tensorboard": False, **options}
    )
    if stop is None:
        train(config, packs["new"], out, log=log)
    else:
        with pytest.raises(Broken):
            train(config, packs["new"], out, log=log)
    return events


def same(one: Path, other: Path) -> bool:
    names = ("metrics.jsonl", "summary.json", "checkpoints/step-00000012/weights.pt")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_replay_draws_its_share_and_resumes(packs: dict[str, Path], tmp_path: Path) -> None:
    options = {"replay": str(packs["old"]), "replay_share": 0.25}
    events = run(packs, tmp_path / "whole", **options)
    for event in events:
        steps_of_two = (event.batch.input_ids[:, 1] - event.batch.input_ids[:, 0]) % 64 == 2
        assert int(steps_of_two.sum()) == 2
    run(packs, tmp_path / "parts", stop=5, **options)
    run(packs, tmp_path / "parts", **options)
    assert same(tmp_path / "parts", tmp_path / "whole")


def test_context_extension_changes_length_and_angles_and_resumes(packs: dict[str, Path], tmp_path: Path) -> None:
    options = {"long_packs": str(packs["long"]), "long_steps": 5}
    events = run(packs, tmp_path / "whole", **options)
    assert [event.batch.input_ids.shape[1] for event in events] == [16] * 7 + [48] * 5
    run(packs, tmp_path / "parts", stop=10, **options)  # in the second phase, behind the checkpoint of step 9
    run(packs, tmp_path / "parts", **options)
    assert same(tmp_path / "parts", tmp_path / "whole")
    assert load_model(tmp_path / "whole").config.rope_scale == "yarn"


def test_a_run_that_went_back_in_its_second_phase_takes_all_its_steps(
    packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, judged = SpikeGuard.judge, 0

    def once_too_many(guard: SpikeGuard, loss: float, grad_norm: float) -> Verdict:
        nonlocal judged
        judged += 1
        return Verdict("loss", True, 0.0, 0.0) if judged == 11 else judge(guard, loss, grad_norm)

    monkeypatch.setattr(SpikeGuard, "judge", once_too_many)
    spike = {"window": 8, "min_history": 8, "max_skips": 3, "min_rise": 10.0}  # step 9 is old enough to go back to
    events = run(packs, tmp_path, long_packs=str(packs["long"]), long_steps=5, spike=spike)
    assert [event.step for event in events] == [*range(1, 12), 10, 11, 12] and events[10].rewound == 9
    assert find_checkpoint(tmp_path).step == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"long_packs": "x", "long_steps": 12}, "long_steps must be from 1 to below steps"),
        ({"replay": "x", "long_packs": "y", "long_steps": 3}, "can't be used together"),
    ],
)
def test_what_does_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train_config({"steps": 12, **options})
