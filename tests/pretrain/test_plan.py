"""Plans against numbers worked out by hand and against published runs; memory against what torch keeps."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pretrain.accelerators import ACCELERATORS, Accelerator
from pretrain.config import ModelConfig
from pretrain.memory import activation_bytes, memory
from pretrain.plan import PlanOptions, plan
from pretrain.plan_text import plan_text, short
from pretrain.scaling import DEEPSEEK, STEP, chinchilla_loss, choose_rule, warmup_steps
from pretrain.sizes import layer_parameters, model_config, padded, parameters


def made(**options: Any) -> dict[str, Any]:
    return plan(PlanOptions(**options))


def test_chinchilla_of_its_own_compute() -> None:
    budget = made(flops=5.76e23, devices=1024)["budget"]  # Hoffmann et al. 2022: 70B parameters, 1.4T tokens
    assert budget["parameters"] == pytest.approx(70e9, rel=0.03) and budget["tokens"] == pytest.approx(1.4e12, rel=0.03)
    assert budget["flops_6nd"] == pytest.approx(5.76e23, rel=1e-9)


@pytest.mark.parametrize("hours", [1e-4, 0.01, 0.5])
def test_a_small_budget_gets_the_nearest_model_and_is_told_so(hours: float, monkeypatch: pytest.MonkeyPatch) -> None:
    import pretrain.plan

    monkeypatch.setattr(pretrain.plan, "measured_cpu", lambda: Accelerator("cpu", 1.5e11, 24.0))
    found = made(hours=hours, accelerator="cpu")  # 32 000 ids: the least embedding alone has a million parameters
    n, d = found["budget"]["parameters"], found["budget"]["tokens"]
    total = hours * 3600 * 1.5e11 * 0.4
    assert found["budget"]["flops_with_attention"] == pytest.approx(total, rel=1e-6) and 1e6 < n < 2.5e6
    assert d < 20 * n and "is nearer to 20 tokens a parameter" in found["notes"][-1]
    needed = float(re.search(r"takes --hours (\S+);", found["notes"][-1])[1])  # type: ignore[index]
    enough = made(hours=needed, accelerator="cpu", tokens_per_param=20.0)
    assert enough["budget"]["tokens_per_param"] == pytest.approx(20, rel=0.35)
    assert "note: no model with 32,000 ids" in plan_text(found)


def test_budgets_of_every_kind_have_a_plan_or_say_what_is_asked() -> None:
    assert "takes --tokens" in made(tokens="1M")["notes"][-1] and "takes --flops" in made(flops=1e12)["notes"][-1]
    assert made(hours=0.002, mfu=0.1)["budget"]["parameters"] > 1e6
    assert not [note for note in made(hours=24)["notes"] if "is nearer" in note]
    with pytest.raises(ConfigError, match="train a smaller tokenizer"):
        made(parameters="0.5M")  # asked for by the user: met, or refused


def test_compute_of_gpt3() -> None:
    budget = made(parameters="175B", tokens="300B", devices=1024)["budget"]
    assert budget["flops_6nd"] == pytest.approx(3.14e23, rel=0.02)  # Brown et al. 2020, table D.1
    assert budget["tokens_per_param"] == pytest.approx(300 / 175, rel=0.01)


def test_hours_of_llama_65b() -> None:
    # Touvron et al. 2023: 65.2B parameters, 1.4T tokens, 1 022 362 hours of A100-80GB; about 380 tokens/s a GPU.
    found = made(parameters="65.2B", tokens="1.4T", accelerator="a100-80gb", devices=2048, mfu=0.477)
    assert found["hours"]["a100-80gb"] * 2048 == pytest.approx(1_022_362, rel=0.06)
    assert found["training"]["lr"] == pytest.approx(1.5e-4, rel=1.5)  # theirs; rules differ by that much


def test_deepseeks_own_models() -> None:
    # DeepSeek LLM 7B: 2T tokens, lr 4.2e-4, batch 2304 sequences of 4096; 67B: 3.2e-4, 4608.
    for n, lr, batch in ((6.48e9, 4.2e-4, 2304 * 4096), (66.2e9, 3.2e-4, 4608 * 4096)):
        assert DEEPSEEK.lr(n, 2e12) == pytest.approx(lr, rel=0.03)
        assert DEEPSEEK.batch_tokens(n, 2e12) == pytest.approx(batch, rel=0.1)


def test_step_law_by_hand() -> None:
    # 1B parameters, 100B tokens: 1.79 * 10^(-0.713 * 9) * 10^(0.307 * 11); 0.58 * 10^(0.571 * 11).
    assert STEP.lr(1e9, 1e11) == pytest.approx(1.79 * 10 ** (-6.417 + 3.377))
    assert STEP.batch_tokens(1e9, 1e11) == pytest.approx(0.58 * 10**6.281)
    assert choose_rule("auto", 5e8, 1e10) is STEP and choose_rule("auto", 5e9, 1e12) is DEEPSEEK
    assert choose_rule("auto", 1e6, 2e7) is DEEPSEEK and choose_rule("step", 1e6, 2e7) is STEP
    assert made(parameters="1M", vocab_size=4096, rule="step")["notes"]


def test_budgets_give_what_they_leave() -> None:
    by_tokens = made(tokens="2B", tokens_per_param=100)["budget"]
    assert by_tokens["tokens"] == 2_000_000_000 and by_tokens["tokens_per_param"] == pytest.approx(100, rel=0.011)
    by_size = made(parameters="100M")["budget"]
    assert by_size["tokens"] == 20 * by_size["parameters"]
    both = made(parameters="100M", flops=1e19)["budget"]
    assert both["flops_6nd"] == pytest.approx(1e19) and both["parameters"] == pytest.approx(1e8, rel=0.011)
    rest = made(tokens="5B", flops=1e19)["budget"]
    assert rest["parameters"] == pytest.approx(1e19 / 6 / 5e9, rel=0.011) and rest["tokens"] == 5_000_000_000


def test_hours_are_used_up() -> None:
    found = made(hours=24, devices=8, accelerator="h100")
    assert found["hours"]["h100"] == pytest.approx(24, rel=1e-6)
    assert found["budget"]["tokens_per_param"] == pytest.approx(20, rel=0.02)
    ratio = ACCELERATORS["h100"].bf16_flops / ACCELERATORS["a100-80gb"].bf16_flops
    assert found["hours"]["a100-80gb"] == pytest.approx(24 * ratio)
    assert found["budget"]["flops_with_attention"] == pytest.approx(24 * 3600 * 8 * 989e12 * 0.4)


def test_steps_and_batch_make_the_tokens() -> None:
    found = made(tokens="1B", devices=4, sequence_length=1024)
    training = found["training"]
    assert training["batch_sequences"] % 4 == 0 and training["batch_tokens"] == 1024 * training["batch_sequences"]
    assert 0 <= training["steps"] * training["batch_tokens"] - 1e9 < training["batch_tokens"]
    memory_ = found["memory"]
    assert memory_["micro_batch"] * memory_["accumulation"] >= training["batch_sequences"] // 4
    assert memory_["total"] <= 0.9 * memory_["device_bytes"]
    assert [warmup_steps(n) for n in (5, 100, 10**6)] == [1, 10, 2000]


def test_the_smaller_model_on_more_tokens_costs_the_same() -> None:
    rows = made(flops=1e21)["ratios"]
    for row in rows:
        assert 6 * row["parameters"] * row["tokens"] == pytest.approx(1e21)
        assert row["tokens"] / row["parameters"] == pytest.approx(row["tokens_per_param"])
    assert rows[0]["loss"] == chinchilla_loss(rows[0]["parameters"], rows[0]["tokens"])
    assert chinchilla_loss(70e9, 1.4e12) == pytest.approx(1.69 + 406.4 / 70e9**0.34 + 410.7 / 1.4e12**0.28)


def test_epochs_and_what_they_are_worth() -> None:
    found = made(tokens="10B", unique_tokens="1B")
    # Muennighoff et al. 2023, eq. 5 with 9 repeats and R* = 15.39: 1 + 15.39 * (1 - exp(-9 / 15.39)).
    assert found["data"]["effective_tokens"] == pytest.approx(1e9 * (1 + 15.387756 * (1 - math.exp(-9 / 15.387756))))
    assert found["data"]["epochs"] == 10 and any("10.0 epochs" in note for note in found["notes"])
    assert made(tokens="2B", unique_tokens="1B")["notes"] == [] and made(tokens="2B")["data"] is None


def test_a_pack_set_says_what_there_is(tmp_path: Path) -> None:
    from pipeline.packreader import open_packs
    from tests.pipeline.token_tools import pack_set

    packs = pack_set(tmp_path / "p", [[("a" * 32, list(range(40)))]], 16, 4)
    found = made(parameters="0.5M", packs=str(packs))
    assert found["data"]["unique_tokens"] == 40 and found["assumptions"]["sequence_length"] == 16
    assert found["model"]["vocab_size"] == padded(open_packs(packs).total_ids)


def test_memory_of_the_states_by_hand() -> None:
    config = model_config("base", 32_000)
    n = parameters(config)
    one = memory(config, 1024, 1)
    assert (one.weights, one.gradients, one.optimiser) == (6 * n, 4 * n, 8 * n)  # bf16 and fp32 weights
    assert memory(config, 1024, 1, precision="fp32").weights == 4 * n
    layer = layer_parameters(config)
    shared = memory(config, 1024, 1, parallel="fsdp", devices=8)
    assert shared.optimiser == n and shared.weights == round(6 * n / 8) + 2 * layer
    assert memory(config, 1024, 1, parallel="ddp", devices=8).optimiser == 8 * n
    assert memory(config, 1024, 1, parallel="tensor", devices=2).optimiser == 4 * n
    embedding = 32_000 * 768
    assert memory(config, 1024, 1, parallel="pipeline", devices=4).optimiser == 8 * embedding + 2 * (n - embedding)
    assert memory(config, 1024, 1, optimiser="muon").optimiser == 4 * (n - embedding) + 8 * embedding
    assert memory(config, 1024, 4).activations == 4 * one.activations


@pytest.mark.parametrize("changes", [{}, {"activation": "relu2"}, {"qk_norm": False}, {"n_kv_heads": 2}])
def test_activations_are_what_the_backward_pass_keeps(changes: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    from pretrain.model import Transformer

    config = ModelConfig(vocab_size=64, d_model=128, n_layers=2, n_heads=4, d_ff=352, **changes)
    model = Transformer(config)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = torch.randn(4, 128, 128, requires_grad=True)
    context = model.context(torch.zeros(4, 128, dtype=torch.int64), None, True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = model.layers()[1](model.layers()[0](x, context), context)
    want = 2 * 4 * 128 * activation_bytes(config, "fp32")
    assert sum(kept.values()) == pytest.approx(want, rel=0.03)
    y.sum().backward()


def test_what_does_not_fit_is_said() -> None:
    found = made(parameters="70B", devices=2, accelerator="h100")
    assert found["memory"]["parallel"] == "fsdp" and "does not fit" in found["notes"][-1]
    assert made(parameters="1B", devices=8)["memory"]["parallel"] == "ddp"
    assert made(parameters="8B", devices=8)["memory"]["parallel"] == "fsdp"


def test_this_machine() -> None:
    found = made(hours=0.5, accelerator="cpu", vocab_size=1024, precision="fp32")
    assert 1e9 < found["assumptions"]["peak_flops"] < 1e14 and found["hours"]["cpu"] == pytest.approx(0.5)


def test_text_and_json() -> None:
    found = made(tokens="10B", unique_tokens="1B", devices=8)
    text = plan_text(found)
    for words in (
        "parameters N",
        "C = 6 N D",
        "learning rate",
        "arXiv:",
        "activations",
        "h200",
        "fresh tokens",
        "note:",
    ):
        assert words in text
    assert json.loads(json.dumps(found)) == found
    assert [short(n) for n in (950, 20_000, 124e6, 1.41e9, 1.4e12)] == ["950", "20k", "124M", "1.41B", "1.4T"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of parameters, tokens, flops and hours"),
        ({"hours": 3.0, "tokens": "1B"}, "give one of"),
        ({"tokens": "many"}, "tokens must be a number such as"),
        ({"flops": -1.0}, "flops must be a number above 0"),
        ({"hours": "long"}, "hours must be a number"),
        ({"tokens": "1B", "devices": 0}, "devices must be a whole number"),
        ({"tokens": "1B", "mfu": 40}, "mfu must lie between 0 and 1"),
        ({"tokens": "1B", "tokens_per_param": 0.0}, "tokens_per_param"),
        ({"tokens": "1B", "rule": "stepp"}, "did you mean 'step'"),
        ({"tokens": "1B", "accelerator": "h1000"}, "did you mean 'h100'"),
        ({"tokens": "1B", "devices": 2, "parallel": "single"}, "choose ddp"),
        ({"parameters": "1M", "vocab_size": 128_000}, "smaller tokenizer"),
    ],
)
def test_plans_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(**options)
