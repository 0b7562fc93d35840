"""The fast forms of norm, rotation and cross-entropy against torch's own and plain formulas, with gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from pretrain import losses  # noqa: E402
from pretrain.config import ModelConfig  # noqa: E402
from pretrain.losses import cross_entropy  # noqa: E402
from pretrain.norm import RMSNorm  # noqa: E402
from pretrain.rope import frequencies, rotary_table, rotate  # noqa: E402


def config(**changes: object) -> ModelConfig:
    base: dict[str, object] = {"vocab_size": 64, "d_model": 32, "n_layers": 1, "n_heads": 2, "d_ff": 48}
    return ModelConfig(**{**base, **changes})  # type: ignore[arg-type]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 5, 8), (2, 4, 3, 16), (7, 4)])
def test_rms_norm_and_its_gradients(shape: tuple[int, ...]) -> None:
    norm = RMSNorm(shape[-1], eps=1e-5)
    with torch.no_grad():
        norm.weight.copy_(random(shape[-1], seed=1))
    x, grad = random(*shape, seed=2).requires_grad_(), random(*shape, seed=3)
    want = F.rms_norm(x, (shape[-1],), norm.weight, 1e-5)
    expected = torch.autograd.grad(want, (x, norm.weight), grad)
    got = norm(x)
    torch.testing.assert_close(got, want)
    for a, b in zip(torch.autograd.grad(got, (x, norm.weight), grad), expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_rms_norm_of_strided_and_bfloat16_input() -> None:
    norm = RMSNorm(8, eps=1e-5)
    x = random(4, 6, 3, 8).transpose(1, 2)
    torch.testing.assert_close(norm(x), F.rms_norm(x, (8,), norm.weight, 1e-5))
    half = x.bfloat16().requires_grad_()
    y = norm(half)
    y.sum().backward()
    assert y.dtype == half.grad.dtype == torch.bfloat16 and norm.weight.grad.dtype == torch.float32
    torch.testing.assert_close(y.float(), norm(x), atol=2e-2, rtol=2e-2)


def test_rotation_turns_pairs_by_their_angles() -> None:
    made = config()
    table = rotary_table(made, 5, torch.device("cpu"))
    x = random(2, 5, 2, 16)
    y = rotate(x, table).numpy()
    for position in range(5):
        for i in range(8):
            angle = position * 10_000.0 ** (-2 * i / 16)
            a, b = x.numpy()[:, position, :, 2 * i], x.numpy()[:, position, :, 2 * i + 1]
            np.testing.assert_allclose(y[:, position, :, 2 * i], a * math.cos(angle) - b * math.sin(angle), atol=1e-5)
            np.testing.assert_allclose(
                y[:, position, :, 2 * i + 1], a * math.sin(angle) + b * math.cos(angle), atol=1e-5
            )


def test_both_forms_of_the_rotation_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    table = rotary_table(config(), 6, torch.device("cpu"))
    x, grad = random(3, 6, 2, 16).requires_grad_(), random(3, 6, 2, 16, seed=1)
    found = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda value=compiling: value)
        y = rotate(x, table)
        found.append((y, *torch.autograd.grad(y, x, grad)))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_products_depend_on_the_distance_alone() -> None:
    made = config(rope_scale="yarn", rope_factor=4.0, rope_original=64)
    table = rotary_table(made, 40, torch.device("cpu"))
    q, k = random(1, 1, 1, 16), random(1, 1, 1, 16, seed=1)
    turned = [rotate(v.expand(1, 40, 1, 16), table)[0, :, 0] for v in (q, k)]
    products = turned[0] @ turned[1].T
    for distance in (0, 3, 17):
        diagonal = products.diagonal(-distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=1e-4)


def test_rescaled_frequencies() -> None:
    plain = frequencies(config(d_model=64, n_heads=1))[0].numpy()
    linear, scale = frequencies(config(d_model=64, n_heads=1, rope_scale="linear", rope_factor=8.0))
    np.testing.assert_allclose(linear.numpy(), plain / 8)
    assert scale == 1
    ntk = frequencies(config(d_model=64, n_heads=1, rope_scale="ntk", rope_factor=8.0))[0].numpy()
    assert ntk[0] == plain[0]  # the quickest pair is kept, the slowest interpolated by the whole factor
    assert ntk[-1] == pytest.approx(plain[-1] / 8)
    yarn, scale = frequencies(config(d_model=64, n_heads=1, rope_scale="yarn", rope_factor=8.0, rope_original=512))
    assert scale == pytest.approx(0.1 * math.log(8) + 1)
    turns = 512 * plain / (2 * math.pi)
    assert (turns > 32).any() and (turns < 1).any()
    np.testing.assert_allclose(yarn.numpy()[turns >= 32], plain[turns >= 32])
    np.testing.assert_allclose(yarn.numpy()[turns <= 1], plain[turns <= 1] / 8)
    between = (turns > 1) & (turns < 32)
    ramp = (turns[between] - 1) / 31
    np.testing.assert_allclose(yarn.numpy()[between], plain[between] * (ramp + (1 - ramp) / 8))


@pytest.mark.parametrize("max_logits", [1 << 25, 64 * 3])
def test_cross_entropy_and_z_with_gradients(monkeypatch: pytest.MonkeyPatch, max_logits: int) -> None:
    monkeypatch.setattr(losses, "MAX_LOGITS", max_logits)
    hidden, weight = random(2, 9, 16).requires_grad_(), random(64, 16, seed=1).requires_grad_()
    targets = torch.randint(0, 64, (2, 9), generator=torch.Generator().manual_seed(2))
    targets[0, 3:6] = -100
    logits = (hidden @ weight.T).flatten(0, 1)
    z = (torch.logsumexp(logits, -1).square() * (targets.flatten() >= 0)).sum()
    want = F.cross_entropy(logits, targets.flatten(), reduction="sum"), z
    got = cross_entropy(hidden, weight, targets)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)
    for factor in (0.0, 0.1):
        found = [torch.autograd.grad(ce + factor * z, (hidden, weight), retain_graph=True) for ce, z in (got, want)]
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_kept_table_serves_other_lengths_and_training_after_inference() -> None:
    made, cpu = config(rope_theta=777.0), torch.device("cpu")
    with torch.inference_mode():
        first = rotary_table(made, 6, cpu)
    assert rotary_table(made, 6, cpu) is first and rotary_table(made, 9, cpu).shape[0] == 9
    assert not torch.equal(rotary_table(config(rope_theta=778.0), 6, cpu), first)
    x = random(1, 6, 2, 16).requires_grad_()
    rotate(x, first).sum().backward()
    assert x.grad is not None
