"""Checkpoints: whole or not there, read without running code, kept by rule; weights that begin another run."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import ConfigError, SchemaError  # noqa: E402
from pipeline.packreader import open_packs  # noqa: E402
from pretrain.checkpoint import (  # noqa: E402
    Checkpoint,
    Checkpoints,
    changes,
    find_checkpoint,
    load_model,
    take_weights,
)
from pretrain.config import train_config  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.sizes import model_config  # noqa: E402
from pretrain.train import train  # noqa: E402

TENSORS = {"model": {"w": torch.arange(6.0).view(2, 3)}, "optimiser": {"w": {"step": torch.tensor(3.0)}}}
SMALL = {"d_model": 32, "n_layers": 2, "n_heads": 2, "d_ff": 48}


def saved(run: Path, *steps: int, bad: tuple[int, ...] = (), **how: Any) -> Checkpoints:
    made = Checkpoints(run, **how)
    for step in steps:
        made.save({"step": step, "good": step not in bad}, TENSORS)
    return made


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    one = saved(tmp_path, 7).newest()
    assert one is not None and one.step == 7 and one.meta["good"] is True
    full = one.full()
    assert torch.equal(full["model"]["w"], TENSORS["model"]["w"])
    assert torch.equal(full["optimiser"]["w"]["step"], TENSORS["optimiser"]["w"]["step"])
    two = saved(tmp_path / "again", 7).newest()
    assert two is not None
    for path in one.path.iterdir():
        assert path.read_bytes() == (two.path / path.name).read_bytes()


def test_no_code_runs_on_reading(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    one = saved(tmp_path, 1).newest()
    assert one is not None
    torch.save({"w": Evil()}, one.path / "weights.pt")
    with pytest.raises(pickle.UnpicklingError):
        one.weights()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "json", "no json", "version"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, harm: str) -> None:
    said: list[str] = []
    made = saved(tmp_path, 5, 10, say=said.append)
    folder = tmp_path / "checkpoints" / "step-00000010"
    weights, meta = folder / "weights.pt", folder / "checkpoint.json"
    content = bytearray(weights.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
    elif harm == "cut":
        weights.write_bytes(content[:-1])
    elif harm == "gone":
        weights.unlink()
    elif harm == "json":
        meta.write_text("{")
    elif harm == "no json":
        meta.unlink()
    else:
        meta.write_text(json.dumps({**json.loads(meta.read_text()), "version": 99}))
    newest = made.newest()
    assert newest is not None and newest.step == 5
    assert len(said) == 1 and "step-00000010" in said[0] and "passed over" in said[0]
    with pytest.raises(SchemaError, match="step-00000010"):
        Checkpoint(folder).verify()


def test_a_damaged_one_is_written_anew_and_keeps_no_place(tmp_path: Path) -> None:
    made = saved(tmp_path, 5, 10, keep=1)
    folder = made.folder / "step-00000010"
    (folder / "weights.pt").write_bytes(b"bad")
    saved(tmp_path / "other", 5)
    (tmp_path / "other" / "checkpoints" / "step-00000005").rename(made.folder / "step-00000005")
    newest = made.newest()
    assert newest is not None and newest.step == 5
    made.save({"step": 7, "good": True}, TENSORS)
    assert [one.step for one in made.all()] == [7, 10]  # the damaged one is not the one that is kept
    made.save({"step": 10, "good": True}, TENSORS)
    Checkpoint(folder).verify()
    assert [one.step for one in made.all()] == [10]


def test_a_half_removed_one_is_no_end(tmp_path: Path) -> None:
    """What a kill in the middle of a removal left, by any program: later checkpoints are written all the same."""
    made = saved(tmp_path, 5, 10)
    (made.folder / "step-00000005" / "checkpoint.json").unlink()
    made.save({"step": 15, "good": False}, TENSORS)
    assert [one.step for one in made.all()] == [10, 15]


def test_a_kill_while_one_is_removed_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = saved(tmp_path, 5, 10)
    names: list[str] = []
    monkeypatch.setattr("pretrain.checkpoint.shutil.rmtree", lambda path: names.append(path.name))
    made.save({"step": 15, "good": True}, TENSORS)
    assert [one.step for one in made.all()] == [10, 15] and names[-1].startswith(".step-00000005.")
    monkeypatch.undo()
    made.clean()
    assert sorted(p.name for p in made.folder.iterdir()) == ["step-00000010", "step-00000015"]


def test_which_are_kept(tmp_path: Path) -> None:
    steps = [one.step for one in saved(tmp_path / "a", *range(10, 110, 10), keep=2, keep_every=40).all()]
    assert steps == [40, 80, 90, 100]
    steps = [one.step for one in saved(tmp_path / "b", *range(10, 70, 10), bad=(40, 50, 60), keep=2).all()]
    assert steps == [30, 50, 60]
    made = Checkpoints(tmp_path / "b")
    good, newest = made.before(70), made.newest()
    assert good is not None and newest is not None and (good.step, newest.step) == (30, 60)
    made.drop_after(50)
    assert [one.step for one in made.all()] == [30, 50]


def test_a_rewind_goes_behind_the_bad_stretch(tmp_path: Path) -> None:
    made = saved(tmp_path, *range(10, 110, 10), bad=(90, 100), keep=2, lag=25)
    assert [one.step for one in made.all()] == [40, 70, 80, 90, 100]  # 10, 40 and 70 are a chain
    found = [made.before(step) for step in (105, 104, 95, 94, 65, 1)]
    assert [one and one.step for one in found] == [80, 70, 70, 40, 40, 40]
    (made.folder / "step-00000040" / "weights.pt").write_bytes(b"bad")
    again = Checkpoints(tmp_path, lag=25, say=lambda message: None).before(81)
    assert again is not None and again.step == 70  # better than none


@pytest.mark.parametrize("every", [None, 30])
def test_there_is_always_a_good_one_older_than_the_newest(tmp_path: Path, every: int | None) -> None:
    made = Checkpoints(tmp_path, keep=1, keep_every=every, lag=25)
    for step in range(7, 207, 7):
        made.save({"step": step, "good": True}, TENSORS)
        found = made.before(step)
        assert found is not None and (step < 35 or step - 2 * 28 <= found.step <= step - 25)
        assert every is not None or len(made.all()) <= 3


def test_half_written_ones_are_not_seen_and_go(tmp_path: Path) -> None:
    made = saved(tmp_path, 5)
    half = made.folder / ".step-00000010.123-abc.tmp"
    half.mkdir()
    (half / "weights.pt").write_bytes(b"half")
    (made.folder / "notes.txt").write_text("mine")
    newest = made.newest()
    assert newest is not None and newest.step == 5
    made.save({"step": 12, "good": True}, TENSORS)
    assert sorted(p.name for p in made.folder.iterdir()) == ["notes.txt", "step-00000005", "step-00000012"]


def test_a_checkpoint_is_not_written_twice(tmp_path: Path) -> None:
    made = saved(tmp_path, 5)
    made.save({"step": 5, "good": False}, TENSORS)
    newest = made.newest()
    assert newest is not None and newest.meta["good"] is True


def test_changes_are_named() -> None:
    before = {"lr": 1, "optim": {"a": [1, 2], "b": None}, "keep": 2, "gone": 1}
    now = {"lr": 1, "optim": {"a": [1, 3], "b": None}, "keep": 3, "new": "x"}
    assert changes(before, now, ("keep",)) == ["gone: 1 -> null", 'new: null -> "x"', "optim.a: [1, 2] -> [1, 3]"]


@pytest.fixture(scope="module")
def run(counting_packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    options = {"steps": 30, "threads": 1, "model": SMALL, "save_every": 10, "keep": 9, "optim": {"lr": 0.01}}
    train(train_config(options), counting_packs, folder)
    return folder


def test_a_model_is_loaded_by_run_and_by_checkpoint(run: Path) -> None:
    last = load_model(run)
    assert not last.training and find_checkpoint(run).step == find_checkpoint(run / "checkpoints").step == 30
    early = load_model(run / "checkpoints" / "step-00000010")
    assert not torch.equal(early.embedding.weight, last.embedding.weight)
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        find_checkpoint(run / "timing")


def test_training_goes_on_from_another_runs_weights(run: Path, counting_packs: Path, tmp_path: Path) -> None:
    options = {"steps": 1, "threads": 1, "model": SMALL, "init_from": str(run)}
    begun = train(train_config(options), counting_packs, tmp_path / "more")
    first = json.loads((run / "summary.json").read_text())
    assert begun["first_loss"] < first["last_loss"] + 0.5 < first["first_loss"]


def test_a_larger_vocabulary_keeps_what_was_learned(run: Path, counting_packs: Path) -> None:
    tokenizer = open_packs(counting_packs).manifest["tokenizer"]["fingerprint"]
    trained = load_model(run)
    torch.manual_seed(5)
    larger = Transformer(model_config("tiny", trained.config.vocab_size + 1, **SMALL))
    fresh = larger.embedding.weight.detach().clone()
    take_weights(larger, run, tokenizer)
    size = trained.config.vocab_size
    assert torch.equal(larger.embedding.weight[:size], trained.embedding.weight)
    assert torch.equal(larger.embedding.weight[size:], fresh[size:]) and len(fresh) > size


@pytest.mark.parametrize("change", [{"rope_theta": 500.0}, {"rope_scale": "linear", "rope_factor": 4.0}])
def test_weights_are_not_taken_with_other_angles(run: Path, counting_packs: Path, change: dict[str, Any]) -> None:
    """As of a model whose context was extended: its shapes are the same, but it would read noise."""
    tokenizer = open_packs(counting_packs).manifest["tokenizer"]["fingerprint"]
    other = Transformer(model_config("tiny", 385, **{**SMALL, **change}))
    with pytest.raises(ConfigError, match=f"computed otherwise .model.{sorted(change)[0]}: "):
        take_weights(other, run, tokenizer, SMALL)
    take_weights(other, run, tokenizer, {**SMALL, **change})  # said, so it is meant


@pytest.mark.parametrize(
    ("change", "message"),
    [({"d_ff": 64}, "feed_forward"), ({"n_layers": 3}, "decoder.layers.2.* has shape none there"), ({}, "tokenizer")],
)
def test_other_shapes_and_tokenizers_are_refused(
    run: Path, counting_packs: Path, change: dict[str, int], message: str
) -> None:
    tokenizer = open_packs(counting_packs).manifest["tokenizer"]["fingerprint"]
    other = Transformer(model_config("tiny", 385, **{**SMALL, **change}))
    with pytest.raises(ConfigError, match=message):
        take_weights(other, run, tokenizer if change else "f" * 32)
