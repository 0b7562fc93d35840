"""A step's gradient, and what becomes of steps that can't be taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from pipeline.errors import StepFailed  # noqa: E402
from pipeline.packreader import open_packs  # noqa: E402
from pretrain import attention  # noqa: E402
from pretrain.config import TrainConfig, train_config  # noqa: E402
from pretrain.data import Batch, PackLoader  # noqa: E402
from pretrain.gradstats import layer_of  # noqa: E402
from pretrain.inputs import Inputs, Output  # noqa: E402
from pretrain.loop import Loop, optimise  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.objectives import make_objective  # noqa: E402
from pretrain.sizes import model_config  # noqa: E402


def config(**changes: Any) -> TrainConfig:
    return train_config({"steps": 1, "threads": 1, **changes})


def made(**changes: Any) -> Transformer:
    torch.manual_seed(0)
    return Transformer(model_config("tiny", 400, **{"d_model": 32, "n_layers": 2, "n_heads": 2, "d_ff": 48, **changes}))


def batches(packs: Path, size: int = 7) -> Iterator[Batch]:
    return iter(PackLoader(packs, size, segments=True, epochs=None))


def loop(packs: Path, model: Any = None, source: Any = None, **changes: Any) -> Loop:
    objective = make_objective("causal", {}, open_packs(packs))
    return Loop(model or made(), objective, source or batches(packs), config(**changes))


def gradients(packs: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dict[str, torch.Tensor]:
    """Of one step, before clipping and update."""
    one = loop(packs, optim=changes.pop("optim", {"max_grad_norm": None}), **changes)
    found: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(
        one.optimiser, "step", lambda: found.update((n, p.grad.clone()) for n, p in one.model.named_parameters())
    )
    next(iter(one))
    return found


def test_micro_batches_give_the_gradient_of_one_batch(counting_packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And that of plain cross-entropy over all targets: parts with few targets don't weigh more."""
    whole = gradients(counting_packs, monkeypatch)
    for size in (1, 2, 5):
        for name, got in gradients(counting_packs, monkeypatch, micro_batch=size).items():
            torch.testing.assert_close(got, whole[name], atol=2e-6, rtol=1e-4)
    batch = next(batches(counting_packs))
    assert batch.segment_ids is not None
    model, ids, segments = made(), batch.input_ids, batch.segment_ids
    logits = model.logits(Inputs(ids, segments))[:, :-1]
    counts = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] >= 0)
    assert len({int(n) for n in counts.sum(1)}) > 1
    F.cross_entropy(logits[counts], ids[:, 1:][counts]).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(whole[name], parameter.grad, atol=2e-6, rtol=1e-4)


def test_z_loss_is_in_the_gradient_and_in_the_log(counting_packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_z = gradients(counting_packs, monkeypatch, optim={"max_grad_norm": None, "z_loss": 0.1}, micro_batch=3)
    batch = next(batches(counting_packs))
    model = made()
    inputs = make_objective("causal", {}, open_packs(counting_packs)).prepare(batch, 0)
    assert inputs.targets is not None
    counts = inputs.targets >= 0
    logits = model.logits(inputs)[counts]
    z = logits.logsumexp(-1).square().mean()
    (F.cross_entropy(logits, inputs.targets[counts]) + 0.1 * z).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(with_z[name], parameter.grad, atol=5e-6, rtol=1e-3)
    (event,) = loop(counting_packs, optim={"z_loss": 0.1})
    assert event.parts["z_loss"] == pytest.approx(0.1 * z.item(), rel=1e-4)


@pytest.mark.parametrize("size", [None, 1, 3])
def test_what_is_logged_beside_the_loss_is_the_steps_mean(counting_packs: Path, size: int | None) -> None:
    """Of micro-batches with different numbers of targets, too."""
    one = loop(counting_packs, micro_batch=size)
    plain = one.objective.loss

    def loss(model: Any, inputs: Inputs) -> Output:
        output = plain(model, inputs)
        return output._replace(parts={"mean": output.loss_sum.detach() / inputs.n_valid})

    one.objective.loss = loss
    (event,) = one
    assert event.parts["mean"] == pytest.approx(event.loss, rel=1e-6)


def test_clipping(counting_packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = gradients(counting_packs, monkeypatch)
    norm = math.sqrt(sum(g.double().square().sum().item() for g in free.values()))
    clipped = gradients(counting_packs, monkeypatch, optim={"max_grad_norm": norm / 4})
    for name, got in clipped.items():
        torch.testing.assert_close(got, free[name] / 4, atol=1e-6, rtol=1e-3)
    (event,) = loop(counting_packs, optim={"max_grad_norm": norm / 4})
    assert event.grad_norm == pytest.approx(norm, rel=1e-4)


def test_the_same_batch_is_dropped_from_otherwise_each_step(counting_packs: Path) -> None:
    class Again(Poisoned):
        def __iter__(self) -> Iterator[Batch]:
            return repeat(next(batches(self.packs)))

    one = loop(counting_packs, made(dropout=0.3), Again(counting_packs), steps=3, optim={"lr": 1e-12})
    losses = [event.loss for event in one]
    assert min(abs(a - b) for a, b in pairwise(losses)) > 1e-4


def test_bf16_keeps_fp32_weights_and_loss(counting_packs: Path) -> None:
    one, other = (loop(counting_packs, precision=precision) for precision in ("bf16", "fp32"))
    (low,), (full,) = list(one), list(other)
    assert low.loss != full.loss and low.loss == pytest.approx(full.loss, rel=0.01)
    states = [value for state in one.optimiser.state.values() for value in state.values()]
    assert {t.dtype for t in (*one.model.parameters(), *states)} == {torch.float32}


class Poisoned:
    """Batches, some of which make the loss infinite or have no targets."""

    def __init__(self, packs: Path, infinite: tuple[int, ...] = (), empty: tuple[int, ...] = ()) -> None:
        self.packs, self.infinite, self.empty, self.drawn = packs, infinite, empty, 0

    def __iter__(self) -> Iterator[Batch]:
        for batch in batches(self.packs):
            self.drawn += 1
            if self.drawn in self.empty:
                batch = batch._replace(segment_ids=torch.full_like(batch.input_ids, -1, dtype=torch.int32))
            yield batch

    def state(self) -> dict[str, Any]:
        return {"drawn": self.drawn}


def poison(one: Loop, source: Poisoned) -> None:
    plain = one.objective.loss

    def loss(model: Any, inputs: Inputs) -> Output:
        output = plain(model, inputs)
        return output._replace(loss_sum=output.loss_sum * math.inf) if source.drawn in source.infinite else output

    one.objective.loss = loss


def test_a_step_that_is_not_finite_changes_nothing(counting_packs: Path) -> None:
    source = Poisoned(counting_packs, infinite=(2, 3), empty=(5,))
    one = loop(counting_packs, source=source, steps=6)
    poison(one, source)
    before: list[torch.Tensor] = []
    for event in one:
        weights = torch.cat([p.detach().flatten() for p in one.model.parameters()])
        same = bool(before) and torch.equal(weights, before[-1])
        before.append(weights)
        assert same == (event.step in (2, 3, 5))
        assert event.skipped == {2: "nonfinite", 3: "nonfinite", 5: "no_targets"}.get(event.step)
        assert ("loss" in event.to_json()) and (event.to_json()["loss"] is None) == (event.step in (2, 3, 5))
    assert torch.isfinite(before[-1]).all()
    assert (one.counts["skipped_nonfinite"], one.counts["skipped_no_targets"]) == (2, 1)


def test_never_finite_again_is_an_end(counting_packs: Path) -> None:
    source = Poisoned(counting_packs, infinite=tuple(range(3, 99)))
    one = loop(counting_packs, source=source, steps=50, spike={"max_nonfinite": 4})
    poison(one, source)
    with pytest.raises(StepFailed, match="in 4 steps in a row .the last is 6.; take a lower optim.lr"):
        list(one)


def test_without_checkpoints_a_new_level_is_accepted(counting_packs: Path) -> None:
    """Harder batches from some step on: left out at first, then taken for what training is now."""

    class Harder(Poisoned):
        def __iter__(self) -> Iterator[Batch]:
            for batch in super().__iter__():
                noise = torch.from_numpy(np.random.default_rng(self.drawn).integers(0, 64, batch.input_ids.shape))
                yield batch._replace(input_ids=noise) if self.drawn > 30 else batch

    spike = {"window": 20, "min_history": 10, "max_skips": 3}
    events = list(
        optimise(made(), make_objective("causal", {}, open_packs(counting_packs)), Harder(counting_packs),
                 config(steps=45, spike=spike, optim={"lr": 0.01}))
    )  # fmt: skip
    skipped = [event.step for event in events if event.skipped]
    assert skipped == [31, 32, 33, 34]  # one more than max_skips, then the window begins anew


def test_statistics_are_what_they_say(counting_packs: Path) -> None:
    one = loop(counting_packs, steps=4, stats_every=2, optim={"lr": 0.01, "max_grad_norm": 0.5})
    steps = iter(one)
    next(steps)
    before = {name: p.detach().clone() for name, p in one.model.named_parameters()}
    gone: dict[str, torch.Tensor] = {}
    step = one.optimiser.step

    def watched(closure: Any = None) -> None:
        if not gone:
            gone.update((n, p.grad.clone()) for n, p in one.model.named_parameters())
        step()

    one.optimiser.step = watched  # type: ignore[method-assign]
    event = next(steps)
    assert event.statistics is not None and next(steps).statistics is None
    layers = {layer_of(name) for name in before}
    assert set(event.statistics["grad_norm"]) == layers >= {"embedding", "decoder.layers.0", "decoder.norm"}

    def norm(values: dict[str, torch.Tensor], layer: str) -> float:
        return math.sqrt(sum(v.double().square().sum().item() for n, v in values.items() if layer_of(n) == layer))

    assert event.grad_norm > 1
    for layer in layers:  # before clipping
        want = norm(gone, layer) * event.grad_norm / 0.5
        assert event.statistics["grad_norm"][layer] == pytest.approx(want, rel=1e-4)
    again = loop(counting_packs, steps=4, optim={"lr": 0.01, "max_grad_norm": 0.5})
    two = iter(again)
    next(two)
    next(two)
    moved = {name: p.detach() - before[name] for name, p in again.model.named_parameters()}
    for layer in layers:  # and statistics change nothing: the other loop had none
        want = norm(moved, layer) / norm(before, layer)
        assert event.statistics["update_to_weight"][layer] == pytest.approx(want, rel=1e-3)


@pytest.mark.parametrize("cost", [0, 10**9])
def test_activations_and_logits_are_what_they_say(
    counting_packs: Path, cost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "PIECE_COST", cost)
    model = made(dropout=0.5)
    one = loop(counting_packs, model=model, stats_every=1, optim={"lr": 1e-9})
    (event,) = one
    assert event.statistics is not None
    batch = next(batches(counting_packs)).rows(0, 1)
    model.eval()
    with torch.no_grad():
        x = model.embedding(batch.input_ids)
        context = model.context(batch.input_ids, batch.segment_ids, causal=True)
        ids = batch.segment_ids
        assert ids is not None
        for number, layer in enumerate(model.layers()):
            q, k = layer.attention.queries_keys(layer.attention_norm(x), context)
            largest = 0.0
            for i in range(ids.shape[1]):
                for j in range(i + 1):
                    if ids[0, i] == ids[0, j]:
                        logits = (q[0, :, i] * k[0, :, j]).sum(-1) / math.sqrt(16)
                        largest = max(largest, logits.abs().max().item())
            assert event.statistics["attention_logit"][f"decoder.layers.{number}"] == pytest.approx(largest, rel=1e-4)
            x = layer(x, context)
            x = x[0] if isinstance(x, tuple) else x
            rms = x.square().mean().sqrt().item()
            assert event.statistics["activation_rms"][f"decoder.layers.{number}"] == pytest.approx(rms, rel=1e-4)
