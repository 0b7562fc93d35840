"""What a run leaves when it ends, ends early, or has nothing to learn."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pipeline.bpe import load_tokenizer  # noqa: E402
from pipeline.errors import ConfigError, Stopped  # noqa: E402
from pretrain.checkpoint import Checkpoints, find_checkpoint  # noqa: E402
from pretrain.loop import Event  # noqa: E402
from pretrain.spikes import SpikeGuard, Verdict  # noqa: E402
from pretrain.train import train  # noqa: E402
from tests.pipeline.token_tools import pack_set  # noqa: E402

from .test_resume import Broken, files, settings  # noqa: E402
from .text_packs import bpe, text_packs  # noqa: E402


@pytest.fixture(scope="module")
def text_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(pack set to train on, held-out set)."""
    folder = tmp_path_factory.mktemp("texts")
    texts = [f"the quick brown fox number {i} jumps over {i * 7 % 13} lazy dogs" for i in range(60)]
    tokenizer = bpe(folder / "tokenizer.json", texts)
    return tuple(text_packs(folder / k, part, tokenizer, 32) for k, part in (("a", texts[:50]), ("b", texts[50:])))  # type: ignore[return-value]


def test_the_last_evaluation_is_in_the_last_checkpoint(text_sets: tuple[Path, Path], tmp_path: Path) -> None:
    """Also where a checkpoint is due at the last step anyway: the same command again takes nothing away."""
    config = settings(steps=10, held_out={"kept": str(text_sets[1])})
    first = train(config, text_sets[0], tmp_path)
    assert first["held_out"]["kept"]["bits_per_byte"] > 0
    before = files(tmp_path)
    assert [json.loads(line)["step"] for line in before["held_out.jsonl"].splitlines()] == [10]
    assert train(config, text_sets[0], tmp_path) == first
    assert files(tmp_path) == before


def test_a_signal_in_an_evaluation_takes_no_further_step(
    text_sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pretrain import validation

    plain = validation.evaluate

    def interrupted(*args: object, **how: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return plain(*args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(validation, "evaluate", interrupted)
    config = settings(steps=10, eval_every=4, held_out={"kept": str(text_sets[1])})
    with pytest.raises(Stopped, match="SIGTERM at step 4 of 10"):
        train(config, text_sets[0], tmp_path / "run")
    monkeypatch.undo()
    newest = Checkpoints(tmp_path / "run").newest()
    assert newest is not None and newest.step == 4 and newest.meta["lines"]["held_out.jsonl"] == 1
    train(config, text_sets[0], tmp_path / "run")
    train(config, text_sets[0], tmp_path / "whole")
    for name in ("held_out.jsonl", "metrics.jsonl", "summary.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_damaged_last_checkpoint_is_made_again(counting_packs: Path, tmp_path: Path) -> None:
    train(settings(), counting_packs, tmp_path)
    before = files(tmp_path)
    weights = tmp_path / "checkpoints" / "step-00000017" / "weights.pt"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    train(settings(), counting_packs, tmp_path)
    assert files(tmp_path) == before
    find_checkpoint(weights.parent)


def test_a_full_disk_costs_the_interval_only(
    counting_packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = torch.save

    def full(value: object, file: object) -> None:
        if Checkpoints(tmp_path / "run").newest() is not None:
            raise OSError(28, "No space left on device")
        plain(value, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        train(settings(), counting_packs, tmp_path / "run")
    monkeypatch.undo()
    assert sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()) == ["step-00000005"]
    train(settings(), counting_packs, tmp_path / "run")
    train(settings(), counting_packs, tmp_path / "whole")
    assert files(tmp_path / "run") == files(tmp_path / "whole")


@pytest.mark.parametrize(("objective", "form"), [("causal", "decoder"), ("spans", "encoder_decoder")])
def test_nothing_to_predict_is_said(tmp_path: Path, objective: str, form: str) -> None:
    packs = pack_set(tmp_path / "p", [[(f"{i:032x}", [i]) for i in range(40)]], 1, 4)
    events: list[Event] = []
    with pytest.raises(ConfigError, match=f"'{objective}' finds nothing to predict"):
        train(settings(objective=objective, model={"form": form}), packs, tmp_path / "run", log=events.append)
    assert len(events) == 6  # an epoch has 5
    assert all(event.skipped == "no_targets" and math.isnan(event.loss) for event in events)


@pytest.mark.parametrize(("objective", "form"), [("causal", "decoder"), ("masked", "encoder")])
def test_an_empty_held_out_set_is_said_before_training(
    counting_packs: Path, tmp_path: Path, objective: str, form: str
) -> None:
    empty = pack_set(tmp_path / "empty", [[]], 8, 2)
    config = settings(objective=objective, model={"form": form}, held_out={"none": str(empty)})
    with pytest.raises(ConfigError, match="held-out set 'none'.* is empty"):
        train(config, counting_packs, tmp_path / "run", log=lambda event: (_ for _ in ()).throw(Broken))


@pytest.mark.parametrize(("objective", "form"), [("causal", "decoder"), ("masked", "encoder")])
def test_of_several_lengths_one_may_be_empty(
    text_sets: tuple[Path, Path], tmp_path: Path, objective: str, form: str
) -> None:
    made = tmp_path / "sets"
    made.mkdir()
    shutil.copytree(text_sets[1], made / "32")
    tokenizer = load_tokenizer(text_sets[1] / "tokenizer.json")
    text_packs(made / "64", [], tokenizer, 64)
    config = settings(steps=1, objective=objective, model={"form": form}, held_out={"both": str(made)})
    assert train(config, text_sets[0], tmp_path / "run")["held_out"]["both"]["loss"] > 0


def test_destroyed_weights_are_no_good_checkpoint(counting_packs: Path, tmp_path: Path) -> None:
    """An update of a finite gradient that makes weights infinite: a rewind must not come back to it."""
    config = settings(steps=2, save_every=1, optim={"lr": 1e39, "warmup": 0}, keep=2)
    train(config, counting_packs, tmp_path)
    first = Checkpoints(tmp_path).all()[0]
    assert first.step == 1 and not all(x.isfinite().all() for x in first.weights().values())
    assert Checkpoints(tmp_path).before(9) is None


def test_the_last_loss_is_of_the_last_update(counting_packs: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Of a run whose last two updates are left out, one with a finite loss."""
    plain = SpikeGuard.judge

    def judge(guard: SpikeGuard, loss: float, norm: float) -> Verdict:
        calls.append(loss)
        found = plain(guard, loss, norm)
        return found._replace(skip="loss") if len(calls) > 3 else found

    calls: list[float] = []
    monkeypatch.setattr(SpikeGuard, "judge", judge)
    events: list[Event] = []
    summary = train(settings(steps=5), counting_packs, tmp_path / "some", log=events.append)
    assert [event.skipped for event in events] == [None, None, None, "loss", "loss"]
    assert summary["last_loss"] == events[2].loss != events[4].loss
    calls += [0.0] * 9
    assert train(settings(steps=2), counting_packs, tmp_path / "none")["last_loss"] is None


def test_every_json_file_is_valid(text_sets: tuple[Path, Path], tmp_path: Path) -> None:
    """Also of a run whose weights are destroyed by its first update."""
    config = settings(steps=3, save_every=1, held_out={"kept": str(text_sets[1])}, optim={"lr": 1e39, "warmup": 0})
    summary = train(config, text_sets[0], tmp_path)
    found = [path for path in sorted(tmp_path.rglob("*.json*")) if path.is_file()]
    assert {"summary.json", "checkpoint.json", "metrics.jsonl", "spikes.jsonl"} <= {path.name for path in found}
    for path in found:
        text = path.read_text()
        for part in text.splitlines() if path.suffix == ".jsonl" else [text]:
            json.loads(part, parse_constant=pytest.fail)
    assert summary["held_out"]["kept"]["loss"] is None and summary["skipped"] == {"nonfinite": 2}
    assert train(config, text_sets[0], tmp_path) == summary
