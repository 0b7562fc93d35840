"""Experts against a loop over tokens, against the dense block, and the router's losses by their formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from pretrain.config import ModelConfig  # noqa: E402
from pretrain.inputs import Inputs  # noqa: E402
from pretrain.model import FeedForward, Transformer  # noqa: E402
from pretrain.moe import MixtureOfExperts, router_losses  # noqa: E402
from tests.pretrain.test_steps import loop, made  # noqa: E402


def config(**changes: Any) -> ModelConfig:
    base: dict[str, Any] = {"vocab_size": 64, "d_model": 16, "n_layers": 2, "n_heads": 2, "d_ff": 24, "n_experts": 5}
    return ModelConfig(**{**base, **changes})


def block(**changes: Any) -> MixtureOfExperts:
    torch.manual_seed(0)
    made = MixtureOfExperts(config(**changes))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.5)
    return made


def random(*shape: int, seed: int = 1) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("top_k", "activation"), [(1, "swiglu"), (2, "swiglu"), (2, "relu2"), (5, "swiglu")])
def test_experts_are_a_loop_over_tokens(top_k: int, activation: str) -> None:
    moe = block(top_k=top_k, activation=activation)
    x = random(3, 7, 16).requires_grad_()
    rows = []
    for token in x.flatten(0, 1):
        probabilities = torch.softmax(moe.router.weight @ token, 0)
        best = sorted(range(5), key=lambda i: -probabilities[i].item())[:top_k]
        total = sum(probabilities[i] for i in best) if top_k > 1 else 1.0
        out = torch.zeros(16)
        for i in best:
            up = moe.up[i] @ token
            inner = F.relu(up) ** 2 if moe.gate is None else F.silu(moe.gate[i] @ token) * up
            out = out + probabilities[i] / total * (moe.down[i] @ inner)
        rows.append(out)
    want = torch.stack(rows).view(3, 7, 16)
    got, _ = moe(x)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)
    own = [x, *moe.parameters()]
    grad = random(3, 7, 16, seed=2)
    found = [torch.autograd.grad((y * grad).sum(), own, allow_unused=True) for y in (got, want)]
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("activation", ["swiglu", "relu2"])
def test_identical_experts_are_the_dense_block(activation: str) -> None:
    moe, dense = block(activation=activation), FeedForward(config(activation=activation, n_experts=0))
    with torch.no_grad():
        for name, parameter in dense.named_parameters():
            getattr(moe, name.removesuffix(".weight")).copy_(parameter.expand(5, -1, -1))
    x = random(2, 9, 16).requires_grad_()
    got, want = moe(x)[0], dense(x)
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)
    grad = random(2, 9, 16, seed=2)
    for a, b in zip(torch.autograd.grad(got, x, grad), torch.autograd.grad(want, x, grad), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_a_whole_model_of_identical_experts_is_the_dense_one() -> None:
    torch.manual_seed(0)
    dense, sparse = Transformer(config(n_experts=0)), Transformer(config())
    with torch.no_grad():
        own = dict(sparse.named_parameters())
        for name, parameter in dense.named_parameters():
            target = own.get(name)
            if target is None:
                target = own[name.removesuffix(".weight")]
            target.copy_(parameter.expand(target.shape))
    ids = torch.randint(0, 64, (2, 12), generator=torch.Generator().manual_seed(1))
    inputs = Inputs(ids, torch.zeros_like(ids, dtype=torch.int32), ids.roll(-1, 1), n_valid=24)
    found, want = sparse(inputs), dense(inputs)
    torch.testing.assert_close(found.loss_sum, want.loss_sum)
    assert want.aux.item() == 0 and want.parts == {} and found.aux.item() > 0


def test_load_balance_by_its_formula() -> None:
    logits = random(40, 5)
    chosen = logits.topk(2, dim=-1).indices
    valid = torch.arange(40) % 3 != 0
    probabilities = logits.softmax(-1)
    balance = 0.0
    for i in range(5):
        picked = [t for t in range(40) if valid[t]]
        share = sum(int(i in chosen[t].tolist()) for t in picked) / (2 * len(picked))
        balance += 5 * share * sum(probabilities[t, i].item() for t in picked) / len(picked)
    z = sum(torch.logsumexp(logits[t], 0).item() ** 2 for t in range(40) if valid[t]) / int(valid.sum())
    got = router_losses(logits, chosen, valid)
    assert got.tolist() == pytest.approx([balance, z], rel=1e-5)
    even = torch.eye(5).repeat(4, 1) * 1e-6  # even probabilities, every expert first as often
    assert router_losses(even, even.topk(1, dim=-1).indices, None)[0].item() == pytest.approx(1, rel=1e-4)
    everything = torch.zeros(8, 5)
    everything[:, 2] = 50.0  # all to one expert
    assert router_losses(everything, everything.topk(1, dim=-1).indices, None)[0].item() == pytest.approx(5)
    assert router_losses(logits, chosen, torch.zeros(40, dtype=torch.bool)).tolist() == [0, 0]


def test_the_router_learns_from_both_losses_and_padding_counts_for_nothing() -> None:
    torch.manual_seed(0)
    model = Transformer(config(balance_weight=0.5, router_z_weight=0.25))
    ids = torch.randint(0, 64, (2, 12), generator=torch.Generator().manual_seed(1))
    segments = torch.zeros((2, 12), dtype=torch.int32)
    segments[:, 8:] = -1
    targets = torch.where(segments >= 0, ids, -100)
    output = model(Inputs(ids, segments, targets, n_valid=16))
    parts = output.parts
    assert output.aux.item() == pytest.approx(16 * 2 * (0.5 * parts["balance"] + 0.25 * parts["router_z"]).item())
    gradients = torch.autograd.grad(output.aux, [layer.feed_forward.router.weight for layer in model.layers()])
    assert all(g.abs().sum() > 0 for g in gradients)
    changed = ids.clone()
    changed[:, 8:] = 3
    again = model(Inputs(changed, segments, targets, n_valid=16))
    torch.testing.assert_close(again.aux, output.aux)
    torch.testing.assert_close(again.loss_sum, output.loss_sum)


def test_the_grouped_product_is_the_loop() -> None:
    """What a GPU runs, on the CPU: bfloat16, and experts without a token."""
    moe = block()
    x = random(11, 16)
    expert = torch.tensor([0, 0, 1, 1, 1, 1, 3, 3, 4, 4, 4])
    counts = torch.bincount(expert, minlength=5)
    loop = torch.cat([moe._one(part, i) for i, part in enumerate(x.split(counts.tolist())) if len(part)])
    grouped = moe._block(x, counts.cumsum(0).int())
    torch.testing.assert_close(grouped, loop, atol=0.3, rtol=0.05)
    assert F.cosine_similarity(grouped.flatten(), loop.flatten(), dim=0) > 0.999


def test_only_the_routers_losses_depend_on_micro_batches(counting_packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them the gradient is the same; the balance of single sequences is less even than that of all."""

    def of(weight: float, size: int | None) -> tuple[dict[str, Any], float]:
        shape = {"n_experts": 5, "balance_weight": weight, "router_z_weight": 0.0}
        one = loop(counting_packs, model=made(**shape), micro_batch=size, optim={"max_grad_norm": None})
        found: dict[str, Any] = {}
        monkeypatch.setattr(
            one.optimiser, "step", lambda: found.update((n, p.grad.clone()) for n, p in one.model.named_parameters())
        )
        event = next(iter(one))
        return found, event.parts["balance"]

    for name, got in of(0.0, 1)[0].items():
        torch.testing.assert_close(got, of(0.0, None)[0][name], atol=2e-6, rtol=1e-4)
    (whole, even), (parts, apart) = of(1.0, None), of(1.0, 1)
    assert apart > even + 1e-4
    routers = [name for name in whole if "router" in name]
    assert routers and not all(torch.allclose(parts[n], whole[n], rtol=1e-2) for n in routers)
