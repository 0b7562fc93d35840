"""The model sees its own document only, the objective leaves out what can't be known, and the loss falls."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from pretrain import losses  # noqa: E402
from pretrain.config import ModelConfig  # noqa: E402
from pretrain.inputs import IGNORED, Inputs  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.objectives.causal import causal_targets  # noqa: E402
from pretrain.sizes import model_config  # noqa: E402
from pretrain.train import torch_available  # noqa: E402


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(0)
    made = Transformer(ModelConfig(vocab_size=64, d_model=32, n_layers=2, n_heads=2, d_ff=48))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)  # far from uniform, so that a leak between positions shows
    return made


def causal_loss(model: Transformer, ids: torch.Tensor, segments: torch.Tensor) -> tuple[torch.Tensor, int]:
    targets = causal_targets(ids, segments)
    count = int((targets != IGNORED).sum())
    return model(Inputs(ids, segments, targets)).loss_sum / max(1, count), count


SEGMENTS = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 2, 2, -1, -1], [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]])


def test_a_document_is_read_as_if_alone(model: Transformer) -> None:
    ids = torch.randint(0, 64, SEGMENTS.shape, generator=torch.Generator().manual_seed(1))
    logits = model.logits(Inputs(ids, SEGMENTS))
    assert torch.isfinite(logits).all()
    for row, begin, end in [(0, 0, 4), (0, 4, 7), (0, 7, 9), (1, 3, 11)]:
        alone = model.logits(Inputs(ids[row : row + 1, begin:end]))
        torch.testing.assert_close(logits[row : row + 1, begin:end], alone, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(model.logits(Inputs(ids))[0, 4:7], logits[0, 4:7], atol=1e-2)


def test_no_position_sees_a_later_one(model: Transformer) -> None:
    ids = torch.randint(0, 64, (1, 9), generator=torch.Generator().manual_seed(2))
    changed = ids.clone()
    changed[0, 5] = (ids[0, 5] + 1) % 64
    before, after = model.logits(Inputs(ids)), model.logits(Inputs(changed))
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=1e-2)


def test_targets_stop_at_document_ends_and_padding() -> None:
    ids = torch.arange(11).repeat(2, 1)
    none = -100
    assert causal_targets(ids, SEGMENTS).tolist() == [
        [1, 2, 3, none, 5, 6, none, 8, none, none, none],
        [1, 2, none, 4, 5, 6, 7, 8, 9, 10, none],
    ]


@pytest.mark.parametrize("max_logits", [1 << 25, 64 * 3])
def test_loss_and_gradient_are_those_of_plain_cross_entropy(
    model: Transformer, monkeypatch: pytest.MonkeyPatch, max_logits: int
) -> None:
    ids = torch.randint(0, 64, SEGMENTS.shape, generator=torch.Generator().manual_seed(3))
    want = F.cross_entropy(model.logits(Inputs(ids, SEGMENTS)).flatten(0, 1), causal_targets(ids, SEGMENTS).flatten())
    want_gradient = torch.autograd.grad(want, list(model.parameters()))
    monkeypatch.setattr(losses, "MAX_LOGITS", max_logits)
    loss, count = causal_loss(model, ids, SEGMENTS)
    assert count == 15
    torch.testing.assert_close(loss, want, atol=1e-4, rtol=1e-4)
    for got, expected in zip(torch.autograd.grad(loss, list(model.parameters())), want_gradient, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-3)


def test_a_batch_with_nothing_to_predict(model: Transformer) -> None:
    loss, count = causal_loss(model, torch.zeros((1, 3), dtype=torch.int64), torch.tensor([[0, 1, -1]]))
    loss.backward()
    assert (loss.item(), count) == (0.0, 0)


def test_untrained_model_guesses_uniformly() -> None:
    torch.manual_seed(0)
    made = Transformer(model_config("tiny", 1000))
    ids = torch.randint(0, 1000, (2, 64))
    loss, _ = causal_loss(made, ids, torch.zeros_like(ids))
    assert abs(loss.item() - math.log(1024)) < 0.1


def test_asking_for_torch_does_not_import_it() -> None:
    assert torch_available()
    code = "import sys, pretrain.train as t; t.torch_available(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
