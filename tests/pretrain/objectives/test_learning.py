"""Each objective falls far below the loss of an untrained model and below that of a model of frequencies alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.packreader import open_packs  # noqa: E402
from pretrain.config import ModelConfig  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.objectives import make_objective  # noqa: E402
from pretrain.sources import PackSource  # noqa: E402


def trained(packs: Path, name: str, options: dict[str, Any], form: str, steps: int) -> dict[str, float]:
    """Losses of the first step, of frequencies (the entropy of the targets) and the mean of the last ten steps."""
    reader = open_packs(packs)
    objective = make_objective(name, options, reader)
    objective.check_form(form)
    torch.manual_seed(0)
    vocab_size = reader.total_ids + objective.extra_ids
    model = Transformer(ModelConfig(vocab_size=vocab_size, d_model=32, n_layers=2, n_heads=2, d_ff=64, form=form))
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    found, targets, chance = [], [], []
    for batch, _ in zip(PackSource(reader, 16, 0), range(steps), strict=False):
        inputs = objective.prepare(batch, 0)
        output = objective.loss(model, inputs)
        loss = output.loss_sum / inputs.n_valid
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
        chance.append(math.log(inputs.n_valid))
        if inputs.targets is not None:
            targets.append(inputs.targets[inputs.targets >= 0].numpy())
    if not targets:
        return {"untrained": found[0], "unigram": float(np.mean(chance)), "trained": float(np.mean(found[-10:]))}
    counts = np.bincount(np.concatenate(targets))
    shares = counts[counts > 0] / counts.sum()
    entropy = float(-(shares * np.log(shares)).sum())
    return {"untrained": found[0], "unigram": entropy, "trained": float(np.mean(found[-10:]))}


@pytest.mark.parametrize(
    ("name", "options", "form", "steps"),
    [
        ("causal", {}, "decoder", 60),
        ("masked", {"rate": 0.3}, "encoder", 170),
        ("spans", {}, "encoder_decoder", 150),
        ("spans", {"prefix": True}, "decoder", 150),
    ],
)
def test_tokens(counting_packs: Path, name: str, options: dict[str, Any], form: str, steps: int) -> None:
    losses = trained(counting_packs, name, options, form, steps)
    assert abs(losses["untrained"] - math.log(385)) < 0.5
    assert losses["trained"] < 0.6 * losses["unigram"] < 0.6 * losses["untrained"]


def test_pairs(titled_packs: Path) -> None:
    losses = trained(titled_packs, "contrastive", {}, "encoder", 80)
    # The unigram of pairs is chance: the logarithm of how many there are.
    assert losses["trained"] < 0.6 * losses["unigram"]
