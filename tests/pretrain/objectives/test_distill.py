"""Distillation: the loss by its formula, all ids or the teacher's likeliest, and who may teach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

torch = pytest.importorskip("torch")

from pipeline.errors import ConfigError  # noqa: E402
from pipeline.packreader import PackReader, open_packs  # noqa: E402
from pretrain import losses  # noqa: E402
from pretrain.checkpoint import find_checkpoint  # noqa: E402
from pretrain.config import ModelConfig, TrainConfig  # noqa: E402
from pretrain.data import PackLoader  # noqa: E402
from pretrain.inputs import Inputs  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.objectives import make_objective  # noqa: E402
from pretrain.objectives.distill import Distill  # noqa: E402
from pretrain.objectives.options import DistillOptions  # noqa: E402
from pretrain.train import train  # noqa: E402


@pytest.fixture(scope="module")
def reader(counting_packs: Path) -> PackReader:
    return open_packs(counting_packs)


def model_of(vocab_size: int, seed: int, width: int = 16, form: str = "decoder") -> Transformer:
    torch.manual_seed(seed)
    made = Transformer(
        ModelConfig(vocab_size=vocab_size, d_model=width, n_layers=1, n_heads=2, d_ff=16, form=form, tied=False)
    )
    with torch.no_grad():
        assert made.head is not None
        made.head.weight.mul_(20)  # far from uniform
    return made


def distill(reader: PackReader, teacher: Transformer, **options: float) -> Distill:
    return Distill(reader, DistillOptions(teacher="given", **options), teacher)  # type: ignore[arg-type]


def first_inputs(reader: PackReader, objective: Distill) -> Inputs:
    return objective.prepare(next(iter(PackLoader(reader, 4, segments=True))), 0)


@pytest.mark.parametrize("top_k", [0, 5])
@pytest.mark.parametrize("max_logits", [1 << 25, 448 * 7])
def test_the_loss_is_the_formula(
    reader: PackReader, monkeypatch: pytest.MonkeyPatch, top_k: int, max_logits: int
) -> None:
    monkeypatch.setattr(losses, "MAX_LOGITS", max_logits)
    total, t, weight = reader.total_ids, 3.0, 0.3
    student, teacher = model_of(448, 0, 24), model_of(total + 7, 1)  # each with other rows that no id has
    objective = distill(reader, teacher, temperature=t, weight=weight, top_k=top_k)
    inputs = first_inputs(reader, objective)
    output = objective.loss(student, inputs)
    targets = inputs.targets.numpy()  # type: ignore[union-attr]
    at = targets != -100
    with torch.no_grad():
        p = log_softmax(teacher.logits(inputs).double().numpy()[at][:, :total] / t, axis=1)
        logits = student.logits(inputs).double().numpy()[at]
    cross = -np.take_along_axis(log_softmax(logits, axis=1), targets[at][:, None], 1).sum()
    if top_k:
        best = np.argsort(-p, axis=1)[:, :top_k]
        q, p = (np.exp(np.take_along_axis(one, best, 1)) for one in (log_softmax(logits / t, axis=1), p))
        p, q = (np.concatenate([one, 1 - one.sum(1, keepdims=True)], 1) for one in (p, q))
        divergence = (p * np.log(p / q)).sum()
    else:
        divergence = (np.exp(p) * (p - log_softmax(logits[:, :total] / t, axis=1))).sum()
    want = (1 - weight) * cross + weight * t**2 * divergence
    assert output.loss_sum.item() == pytest.approx(want, rel=1e-4)
    assert output.parts["cross_entropy"].item() == pytest.approx(cross / at.sum(), rel=1e-4)
    assert output.parts["divergence"].item() == pytest.approx(divergence / at.sum(), rel=1e-4)
    output.loss_sum.backward()
    assert all(p.grad is None for p in teacher.parameters()) and student.embedding.weight.grad is not None


def test_extremes_are_cross_entropy_and_no_divergence(reader: PackReader) -> None:
    student, teacher = model_of(reader.total_ids, 0), model_of(reader.total_ids, 1)
    plain = distill(reader, teacher, weight=0.0)
    inputs = first_inputs(reader, plain)
    torch.testing.assert_close(plain.loss(student, inputs).loss_sum, student(inputs).loss_sum)
    itself = distill(reader, student, weight=1.0)
    assert abs(itself.loss(student, inputs).loss_sum.item()) < 1e-3
    parts = [distill(reader, teacher, top_k=k).loss(student, inputs).parts["divergence"].item() for k in (1, 8, 64)]
    parts.append(plain.loss(student, inputs).parts["divergence"].item())
    assert parts == sorted(parts) and parts[0] < parts[-1]  # the more ids are told apart, the larger


def test_a_student_comes_near_its_teacher(reader: PackReader) -> None:
    teacher, student = model_of(reader.total_ids, 1), model_of(reader.total_ids, 0)
    objective = distill(reader, teacher, weight=1.0, temperature=1.0)
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-2)
    seen = []
    for batch in PackLoader(reader, 16, segments=True, epochs=20):
        inputs = objective.prepare(batch, 0)
        output = objective.loss(student, inputs)
        optimiser.zero_grad()
        (output.loss_sum / inputs.n_valid).backward()
        optimiser.step()
        seen.append(output.parts["divergence"].item())
    assert np.mean(seen[-4:]) < 0.5 * seen[0]


def test_who_may_teach(reader: PackReader) -> None:
    with pytest.raises(ConfigError, match="teacher is missing"):
        DistillOptions().check()
    with pytest.raises(ConfigError, match="must be a decoder"):
        distill(reader, model_of(reader.total_ids, 0, form="encoder"))
    with pytest.raises(ConfigError, match=f"at least {reader.total_ids} ids"):
        distill(reader, model_of(reader.total_ids - 1, 0))
    with pytest.raises(ConfigError, match="top_k"):
        distill(reader, model_of(reader.total_ids, 0), top_k=reader.total_ids + 1)
    for options, words in [
        ({"weight": 1.5}, "weight"),
        ({"temperature": 0.0}, "temperature"),
        ({"top_k": -1}, "top_k"),
    ]:
        with pytest.raises(ConfigError, match=words):
            replace(DistillOptions(teacher="x"), **options).check()  # type: ignore[arg-type]


def test_a_run_of_the_same_tokenizer_teaches(
    counting_packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(TrainConfig(steps=2, batch_size=4, threads=1, tensorboard=False), counting_packs, tmp_path / "run")
    reader = open_packs(counting_packs)
    options = {"teacher": str(tmp_path / "run"), "top_k": 4}
    objective = make_objective("distill", options, reader)
    assert isinstance(objective, Distill)
    weights = find_checkpoint(tmp_path / "run").weights()
    assert all(torch.equal(value, weights[name]) for name, value in objective.teacher.state_dict().items())
    assert not objective.teacher.training and objective.loss(objective.teacher, first_inputs(reader, objective)).parts
    monkeypatch.setitem(reader.manifest, "tokenizer", {**reader.manifest["tokenizer"], "fingerprint": "0" * 32})
    with pytest.raises(ConfigError, match="was trained with tokenizer"):
        make_objective("distill", options, reader)
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        make_objective("distill", {"teacher": str(tmp_path)}, reader)
