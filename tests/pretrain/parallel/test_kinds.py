"""Two processes of each kind do what one process does: losses, norms, weights, moments; and hand over to each other."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pretrain.parallel import parse  # noqa: E402
from pretrain.parallel.launch import make  # noqa: E402

from . import cases, tools  # noqa: E402
from .conftest import Ranks  # noqa: E402

TOLERANCE = 3e-6
"""fp32 sums of some thousand numbers of size 1 in another order; losses are about 4."""


def close(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for got, want in zip(found["events"], wanted["events"], strict=True):
        assert got == pytest.approx(want, rel=TOLERANCE, abs=TOLERANCE)
    assert found["model"].keys() == wanted["model"].keys()
    for name, value in wanted["model"].items():
        torch.testing.assert_close(found["model"][name], value, rtol=0, atol=TOLERANCE, msg=name)
    for name, values in wanted["optimiser"].items():
        for key, value in values.items():
            torch.testing.assert_close(found["optimiser"][name][key], value, rtol=0, atol=TOLERANCE, msg=name + key)


@pytest.fixture(scope="module")
def plain() -> dict[str, dict[str, Any]]:
    """One process, by a loop that knows nothing of ranks."""
    made = {}
    for name, changes in cases.CONFIGS.items():
        config = tools.small(**changes)
        made[name] = tools.plain(config, tools.batches(config), micro=1 if name == "experts" else tools.BATCH)
    return made


@pytest.mark.parametrize(("kind", "name"), cases.MATCHES)
def test_two_processes_match_one(ranks: Ranks, plain: dict[str, dict[str, Any]], kind: str, name: str) -> None:
    main, other = ranks(f"match-{kind}-{name}")
    assert plain[name]["events"][0]["norm"] > 1.2  # so it is clipped
    close(main, plain[name])
    assert (plain[name]["events"][0]["aux"] > 0) == (name == "experts")
    assert main["events"] == other["events"]
    assert all(value is None for value in other["model"].values())  # the main rank alone holds a whole copy


def test_one_process_matches_too(plain: dict[str, dict[str, Any]]) -> None:
    config = tools.small()
    with make(parse("none"), "fp32") as parallel:
        model = parallel.wrap(tools.model_of(config))
        optimiser = tools.optimiser_of(model)
        events = tools.train(parallel, model, optimiser, tools.batches(config))
        close({"events": events, **parallel.full_state(model, optimiser)}, plain["decoder"])


@pytest.mark.parametrize("kind", cases.KINDS[:4])
def test_a_loss_of_hidden_states(ranks: Ranks, kind: str) -> None:
    config = tools.small(form="encoder", tied=False, n_layers=2)
    want = tools.plain(config, tools.batches(config), micro=tools.MICRO, forward=tools.contrast)
    close(ranks(f"pairs-{kind}")[0], want)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_rank_without_any_sequence(ranks: Ranks, kind: str) -> None:
    config = tools.small()
    data = [tools.rows_of(tools.batches(config)[0], 1, 2), *tools.batches(config)[1:2]]
    close(ranks(f"few_rows-{kind}")[0], tools.plain(config, data))


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_rank_without_any_target(ranks: Ranks, kind: str) -> None:
    config = tools.small()
    want = tools.plain(config, cases.without_targets(config))["events"]
    for found in ranks(f"no_targets-{kind}"):
        assert found["events"][0] == pytest.approx(want[0], rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize("kind", cases.KINDS[:4])
def test_evaluation_sums_over_ranks_and_leaves_training_alone(ranks: Ranks, kind: str) -> None:
    config = tools.small()
    first, held_out, last = tools.batches(config)
    model = tools.model_of(config)
    optimiser = tools.optimiser_of(model)
    parallel = make(parse("none"), "fp32")
    tools.train(parallel, model, optimiser, [first])
    with torch.no_grad():
        loss = model(held_out).loss_sum.item()
    after = tools.train(parallel, model, optimiser, [last])
    for found in ranks(f"evaluate-{kind}"):
        assert found["loss"] == pytest.approx(loss, rel=TOLERANCE)
        assert found["micros"] == 3 and not found["grad"]  # 2 + 3 sequences in twos; or 5
        assert found["after"][0] == pytest.approx(after[0], rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize("kind", cases.KINDS[:4])
def test_norms_are_of_whole_tensors(ranks: Ranks, kind: str) -> None:
    model = tools.model_of(tools.small())
    model(tools.batches(tools.small())[0]).loss_sum.backward()
    parameters = {name: p.detach().norm().item() for name, p in model.named_parameters()}
    gradients = {name: p.grad.norm().item() for name, p in model.named_parameters()}
    whole = math.sqrt(sum(x * x for x in gradients.values()))
    for found in ranks(f"norms-{kind}"):
        if kind == "pipeline":  # the last stage's copy of the tied output layer has a name of its own
            for values in (found["parameters"], found["gradients"]):
                assert values.pop("head.weight") == pytest.approx(values["embedding.weight"], rel=1e-6)
        assert found["parameters"] == pytest.approx(parameters, rel=1e-5)
        assert found["gradients"] == pytest.approx(gradients, rel=1e-5)
        assert found["all"] == pytest.approx(whole, rel=1e-5) == pytest.approx(found["after"], rel=1e-5)
        assert found["clipped"] == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(("before", "after"), cases.RESUMES)
def test_checkpoints_go_from_kind_to_kind(
    ranks: Ranks, plain: dict[str, dict[str, Any]], before: str, after: str
) -> None:
    main = ranks(f"resume-{before}-{after}")[0]
    for kind in ("model", "optimiser"):
        flat = [_flat(main[which][kind]) for which in ("written", "again")]
        assert flat[0].keys() == flat[1].keys()
        assert all(torch.equal(value, flat[1][name]) for name, value in flat[0].items())  # bit for bit
    assert list(main["written"]["model"]) == list(plain["decoder"]["model"])  # also in the same order
    close(main, {**plain["decoder"], "events": plain["decoder"]["events"][2:]})


def test_one_process_goes_on_from_two(ranks: Ranks, plain: dict[str, dict[str, Any]]) -> None:
    config = tools.small()
    parallel = make(parse("none"), "fp32")
    model = parallel.wrap(tools.model_of(config))
    optimiser = tools.optimiser_of(model)
    parallel.load_full(model, optimiser, ranks("resume-fsdp-pipeline")[0]["written"])
    events = tools.train(parallel, model, optimiser, tools.batches(config)[2:])
    close({"events": events, **parallel.full_state(model, optimiser)},
          {**plain["decoder"], "events": plain["decoder"]["events"][2:]})  # fmt: skip


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in found.items():
        flat |= {f"{name}.{key}": x for key, x in value.items()} if isinstance(value, dict) else {name: value}
    return flat


@pytest.mark.parametrize("kind", cases.KINDS[:4])
def test_bf16_keeps_fp32_masters(ranks: Ranks, plain: dict[str, dict[str, Any]], kind: str) -> None:
    main = ranks(f"bf16-{kind}")[0]
    want = plain["decoder"]["events"]
    for got, exact in zip(main["events"], want, strict=True):
        # bf16 has 8 bits: an error of 2^-9 at each of some twenty roundings along the network, in logits of size 1
        assert got["loss"] == pytest.approx(exact["loss"], abs=0.03) and got["norm"] == pytest.approx(
            exact["norm"], rel=0.05
        )
    assert main["events"][0]["loss"] != want[0]["loss"]  # it is another arithmetic
    for values in (main["model"], _flat(main["optimiser"])):
        assert {value.dtype for value in values.values()} == {torch.float32}
    rounded = [torch.equal(value, value.bfloat16().float()) for value in main["model"].values()]
    assert not any(rounded)


def test_ranks_agree(ranks: Ranks) -> None:
    found = ranks("agreement")
    assert [x["said"] for x in found] == [[True, False]] * 2 and [x["max"] for x in found] == [1.0, 1.0]
    assert [x["main"] for x in found] == [True, False] and [x["data"] for x in found] == [(0, 2), (1, 2)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("heads", "1 heads can't be split evenly over 2 tensor ranks"),
        ("kv", "1 key-value heads can't be split evenly"),
        ("d_ff", "49 d_ff can't be split evenly"),
        ("dropout", "tensor can't be used with dropout"),
        ("vocabulary", "a vocabulary of 1 can't be split over 2"),
        ("groups", "tensor=3 doesn't divide the 2 processes"),
        ("layers", "1 layers can't be cut into 2 stages; start at most 1"),
        ("both", "pipeline can't cut an encoder_decoder"),
        ("experts", "pipeline can't be used with experts"),
        ("none", "parallel is none, but 2 processes were started"),
        (
            "other",
            "the checkpoint is of another model: this one has a tensor decoder.layers.0.feed_forward.",
        ),
    ],
)
def test_what_cannot_be_is_refused(ranks: Ranks, name: str, message: str) -> None:
    for found in ranks("refusals"):
        assert message in found[name]


def test_tensor_groups_are_data_parallel(ranks: Ranks, plain: dict[str, dict[str, Any]]) -> None:
    close(ranks("match-tensor=2-of-four")[0], plain["decoder"])
