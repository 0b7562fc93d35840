"""The model sees its own document only, the objective leaves out what can't be known, and the loss falls."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from pipeline.errors import ConfigError  # noqa: E402
from pretrain import losses  # noqa: E402
from pretrain.config import ModelConfig  # noqa: E402
from pretrain.inputs import Inputs  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.objective import causal_loss, causal_targets  # noqa: E402
from pretrain.sizes import model_config  # noqa: E402
from pretrain.train import learning_rate, torch_available, train  # noqa: E402
from tests.pipeline.token_tools import pack_set  # noqa: E402


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(0)
    made = Transformer(ModelConfig(vocab_size=64, d_model=32, n_layers=2, n_heads=2, d_ff=48))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)  # far from uniform, so that a leak between positions shows
    return made


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


def test_loss_falls_and_runs_repeat(counting_packs: Path, tmp_path: Path) -> None:
    events: list[dict[str, object]] = []
    first = train(counting_packs, tmp_path / "a", steps=60, batch_size=8, threads=1, log=events.append)
    second = train(counting_packs, tmp_path / "b", steps=60, batch_size=8, threads=1)
    assert abs(first["first_loss"] - first["untrained_loss"]) < 0.3
    # A model that knows only how often each id comes ends near ln 64 = 4.16; counting on takes it to nearly 0.
    assert first["last_loss"] < 1.5
    for name in ("metrics.jsonl", "summary.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()]
    assert lines == events and [line["step"] for line in lines] == list(range(1, 61))
    assert lines[-1]["epoch"] == 9 and first["epochs"] == 10  # 53 sequences: 6 full batches an epoch
    assert sum(line["tokens"] for line in lines) == first["tokens"] == second["tokens"]
    assert first["tokens_per_s"] > 0 and "tokens_per_s" not in json.loads((tmp_path / "a" / "summary.json").read_text())


def test_another_seed_is_another_run(counting_packs: Path, tmp_path: Path) -> None:
    runs = [train(counting_packs, tmp_path / str(s), steps=2, batch_size=4, seed=s, threads=1) for s in (0, 1)]
    assert runs[0]["last_loss"] != runs[1]["last_loss"]


def test_fewer_sequences_than_a_batch(tmp_path: Path) -> None:
    packs = pack_set(tmp_path / "p", [[("a" * 32, list(range(40)))]], 16, 4)
    summary = train(packs, tmp_path / "m", steps=3, batch_size=64, threads=1)
    assert summary["tokens"] == 3 * 40 and summary["epochs"] == 3


def test_what_cannot_be_trained(counting_packs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'tiny'"):
        train(counting_packs, tmp_path, size="tinny")
    with pytest.raises(ConfigError, match="steps"):
        train(counting_packs, tmp_path, steps=0)
    with pytest.raises(ConfigError, match="empty"):
        train(pack_set(tmp_path / "none", [[]], 8, 2), tmp_path)


def test_learning_rate_warms_up_and_decays() -> None:
    rates = [learning_rate(step, 100, 1.0) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert max(rates) == 1.0 and rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.001)
    assert learning_rate(0, 1, 1.0) == 1.0


def test_asking_for_torch_does_not_import_it() -> None:
    assert torch_available()
    code = "import sys, pretrain.train as t; t.torch_available(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
