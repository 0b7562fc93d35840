"""Muon against the singular value decomposition and torch's own, AdamW against its formulas."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from pretrain.config import OptimConfig  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.optim import MuonAdamW, make_optimiser, orthogonalised  # noqa: E402
from pretrain.sizes import model_config  # noqa: E402


@pytest.mark.parametrize("shape", [(24, 24), (16, 64), (64, 16), (3, 8, 20)])
def test_orthogonalisation_keeps_directions_and_levels_sizes(shape: tuple[int, ...]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    # A spread of a hundred between the singular values, as gradients have; five iterations bear that.
    s = torch.logspace(0, -2, s.shape[-1], dtype=s.dtype).expand_as(s)
    matrix = (u * s[..., None, :]) @ vh
    found = orthogonalised(matrix.float()).double()
    sizes = torch.einsum("...ik,...ij,...kj->...k", u, found, vh)
    assert sizes.min() > 0.3 and sizes.max() < 1.25
    # In the singular basis it is diagonal: only sizes changed.
    inside = torch.einsum("...ik,...ij,...lj->...kl", u, found, vh)
    assert (inside - torch.diag_embed(sizes)).abs().max() < 1e-3
    large = s[0] > 0.1 if s.dim() > 1 else s > 0.1
    assert (sizes[..., large] - 1).abs().max() < 0.35
    torch.testing.assert_close(orthogonalised(1000 * matrix.float()), found.float(), atol=1e-4, rtol=1e-3)


def test_muon_is_torchs_muon() -> None:
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(s, generator=generator) for s in ((12, 30), (30, 12))]
    ours, theirs = ([nn.Parameter(w.clone()) for w in weights] for _ in range(2))
    one = MuonAdamW([{"params": ours, "muon": True, "weight_decay": 0.1}], momentum=0.9, lr=0.01)
    other = torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        gradients = [torch.randn(w.shape, generator=generator) for w in weights]
        for parameters, optimiser in ((ours, one), (theirs, other)):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
            optimiser.step()
    for a, b, w in zip(ours, theirs, weights, strict=True):
        moved = (b - w).norm()
        assert (a - b).norm() < 0.03 * moved  # torch iterates in bfloat16, which leaves about a hundredth


def test_a_stack_of_matrices_is_updated_matrix_by_matrix() -> None:
    stack = torch.randn(3, 8, 20, generator=torch.Generator().manual_seed(2))
    together, apart = nn.Parameter(stack.clone()), [nn.Parameter(one.clone()) for one in stack]
    for parameters in ([together], apart):
        optimiser = MuonAdamW([{"params": parameters, "muon": True}], lr=0.1)
        for parameter in parameters:
            parameter.grad = parameter.detach().sin()
        optimiser.step()
    for got, want in zip(together, apart, strict=True):
        torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)


def test_updates_of_both_have_one_size() -> None:
    shape = (64, 256)
    weight = nn.Parameter(torch.zeros(shape))
    optimiser = MuonAdamW([{"params": [weight], "muon": True, "weight_decay": 0.0}], lr=0.01)
    weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    optimiser.step()
    assert weight.detach().square().mean().sqrt().item() == pytest.approx(0.2 * 0.01, rel=0.2)


def test_adamw_is_its_formulas() -> None:
    config = OptimConfig(lr=0.05, betas=(0.8, 0.9), weight_decay=0.3, eps=1e-6)
    module = nn.Linear(3, 4, bias=True)
    plain = {name: (p.detach().double().clone(), 0.0, 0.0) for name, p in module.named_parameters()}
    optimiser = make_optimiser(module, config)
    generator = torch.Generator().manual_seed(4)
    for t in range(1, 5):
        for name, parameter in module.named_parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
            value, m, v = plain[name]
            g, decay = parameter.grad.double(), 0.3 if name == "weight" else 0.0
            m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
            value = value - 0.05 * decay * value - 0.05 * (m / (1 - 0.8**t)) / ((v / (1 - 0.9**t)).sqrt() + 1e-6)
            plain[name] = value, m, v
        optimiser.step()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.detach().double(), plain[name][0], atol=1e-5, rtol=1e-5)


def test_what_each_optimiser_takes() -> None:
    torch.manual_seed(0)
    model = Transformer(model_config("tiny", 100, n_layers=1, tied=False, n_experts=2))
    names = {id(p): name for name, p in model.named_parameters()}
    optimiser = make_optimiser(model, OptimConfig(muon=True))
    groups = [({names[id(p)] for p in group["params"]}, group) for group in optimiser.param_groups]
    (muon, first), (adam, second), (vectors, third) = groups
    assert first["muon"] and not second["muon"] and not third["muon"]
    assert adam == {n for n in names.values() if n.startswith(("embedding.", "head.")) or ".router." in n}
    assert any("attention.query" in n for n in muon) and any("feed_forward" in n for n in muon)
    assert vectors == {n for n in names.values() if "norm" in n} and third["weight_decay"] == 0
    assert muon | adam | vectors == set(names.values())
    assert len(make_optimiser(model, OptimConfig()).param_groups) == 2
