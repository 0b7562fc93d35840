"""FLOPs by the formula against torch's own count of every matrix product, forward and backward."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from pipeline.packreader import open_packs  # noqa: E402
from pretrain.config import ModelConfig, train_config  # noqa: E402
from pretrain.flops import Work, flops_per_token, training_flops  # noqa: E402
from pretrain.inputs import IGNORED, Inputs  # noqa: E402
from pretrain.loop import Event, optimise  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.objectives import make_objective  # noqa: E402
from pretrain.report import intended  # noqa: E402
from pretrain.sources import PackSource  # noqa: E402
from pretrain.train import train  # noqa: E402
from tests.pipeline.token_tools import pack_set  # noqa: E402

SHAPE: dict[str, Any] = {"vocab_size": 640, "d_model": 32, "n_layers": 2, "n_heads": 4, "d_ff": 48}


def counted(run: Any) -> int:
    """Operations of the matrix products that `run` does, attention by plain products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def rows(length: int, share: float, form: str) -> Inputs:
    """Two full rows of one document each, `share` of whose positions have targets."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.randint(0, 600, (2, n), generator=generator) for n in (length, length // 2)]
    both = form == "encoder_decoder"
    targets = made[both].clone()
    targets[:, int(share * targets.shape[1]) :] = IGNORED
    valid = int((targets != IGNORED).sum())
    segments = [torch.zeros(ids.shape, dtype=torch.int32) for ids in made]
    if both:
        return Inputs(made[0], segments[0], targets, made[1], segments[1], n_valid=valid)
    return Inputs(made[0], segments[0], targets, n_valid=valid)


@pytest.mark.parametrize("form", ["decoder", "encoder", "encoder_decoder"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"n_kv_heads": 2, "activation": "relu2", "tied": False}, {"n_experts": 5, "top_k": 2}],
    ids=["plain", "shared keys, relu2, untied", "experts"],
)
@pytest.mark.parametrize("share", [1.0, 0.25])
def test_they_are_all_matrix_products(form: str, changes: dict[str, Any], share: float) -> None:
    config = ModelConfig(**SHAPE, form=form, **changes)
    model, inputs = Transformer(config), rows(40, share, form)
    found = counted(lambda: model(inputs).loss_sum.backward())
    assert training_flops(config, inputs.work()) == found


def test_a_decoders_are_palms_formula() -> None:
    config = ModelConfig(**SHAPE)
    n = 640 * 32 + 2 * (4 * 32**2 + 3 * 32 * 48)
    assert flops_per_token(config, 100) == 6 * n + 12 * 2 * 32 * 100


def test_padding_and_logits_that_are_not_made_count_for_nothing() -> None:
    config = ModelConfig(**SHAPE)
    full, half = Work(80, 40, 80), Work(40, 40, 20)
    assert training_flops(config, full) - 2 * training_flops(config, half) == 6 * 640 * 32 * 40
    padded = rows(40, 0.5, "decoder")
    assert padded.segment_ids is not None
    padded.segment_ids[:, 30:] = -1
    assert padded.work() == (60, 40, 40, 0, 0)


@pytest.mark.parametrize(
    ("objective", "form", "options"),
    [
        ("causal", "decoder", {}),
        ("masked", "encoder", {}),
        ("masked", "encoder", {"rate": 0.4}),
        ("spans", "encoder_decoder", {}),
        ("spans", "decoder", {"prefix": True}),
    ],
)
def test_every_objectives_steps(tmp_path: Path, objective: str, form: str, options: dict[str, Any]) -> None:
    """Of an event, as the model counts it, but for padding; and as expected before training."""
    documents = [(f"{i:032x}", [(i * 37 + k) % 64 for k in range(63)] + [256]) for i in range(64)]
    packs = pack_set(tmp_path, [documents], 64, 64)
    reader = open_packs(packs)
    made = make_objective(objective, options, reader)
    config = ModelConfig(**SHAPE, form=form)
    model = Transformer(config)
    plan = train_config({"steps": 1, "batch_size": 64, "micro_batch": 16, "objective": objective, "threads": 1})
    events: list[Event] = []
    found = counted(lambda: events.extend(optimise(model, made, PackSource(reader, 64), plan)))
    (event,) = events
    flops = training_flops(config, event.work)
    pads = 64 * event.work.length - event.work.tokens, 64 * event.work.decoder_length - event.work.decoder_tokens
    empty = Work(pads[0], event.work.length, 0, pads[1], event.work.decoder_length)
    assert flops + training_flops(config, empty) == found
    assert event.work.logits == event.targets
    expected = 64 * training_flops(config, made.options.work(64))
    assert flops == pytest.approx(expected, rel=0.06)
    decoder = training_flops(ModelConfig(**SHAPE), Work(64 * 64, 64, 64 * 64))
    assert (abs(flops / decoder - 1) < 0.03) == (objective == "causal")  # what a decoder's formula would have said


def test_each_phase_has_its_own_length(tmp_path: Path) -> None:
    sets = []
    for name, length in (("short", 32), ("long", 128)):
        documents = [(f"{i:032x}", [(i + k) % 64 for k in range(length - 1)] + [256]) for i in range(40)]
        (tmp_path / name).mkdir()
        sets.append(pack_set(tmp_path / name, [documents], length, 40))
    options = {
        "steps": 3, "long_steps": 1, "long_packs": str(sets[1]), "batch_size": 8, "threads": 1, "tensorboard": False,
        "model": {**SHAPE, "n_layers": 1},
    }  # fmt: skip
    del options["model"]["vocab_size"]  # type: ignore[attr-defined]
    events: list[Event] = []
    train(train_config(options), sets[0], tmp_path / "run", log=events.append)
    assert [(event.work.length, event.work.tokens) for event in events] == [(32, 256), (32, 256), (128, 256)]
    checkpoint = json.loads((tmp_path / "run/checkpoints/step-00000003/checkpoint.json").read_text())
    config = ModelConfig(**checkpoint["model"])
    per_token = [training_flops(config, event.work) / 256 for event in events]
    assert per_token[2] - per_token[0] == pytest.approx(12 * 32 * (128 - 32), rel=0.2)  # and fewer last tokens
    total = json.loads((tmp_path / "run/timing/run.json").read_text())["model_flops"]
    assert total == pytest.approx(256 * sum(per_token), rel=1e-12)
    (rows_,) = [s.rows for s in intended(train_config(options), sets[0]) if s.title == "What would be trained"]
    said = {row[0]: row[1] for row in rows_}
    assert said["tokens"] == 768 and said["FLOPs"] == pytest.approx(total, rel=0.03)
