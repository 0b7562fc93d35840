"""What needs one process only: the option, torchrun's variables, how things are cut, padding."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import ConfigError  # noqa: E402
from pretrain.config import TrainConfig  # noqa: E402
from pretrain.parallel import KINDS, Spec, parse, plan  # noqa: E402
from pretrain.parallel.launch import ranks  # noqa: E402
from pretrain.parallel.padding import blank, filled, rows_of  # noqa: E402
from pretrain.parallel.pipeline import bounds, split  # noqa: E402
from pretrain.parallel.vocabulary import first_row  # noqa: E402
from pretrain.train import train  # noqa: E402

from . import tools  # noqa: E402

WHOLE = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


def test_the_option_says_kind_and_value() -> None:
    assert [parse(kind) for kind in KINDS] == [Spec(kind) for kind in KINDS]
    assert parse("tensor=2") == Spec("tensor", tensor=2)
    assert parse("pipeline=gpipe") == Spec("pipeline", schedule="gpipe")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dpp", "no kind 'dpp' (did you mean 'ddp'?)"),
        ("", "no kind ''"),
        ("ddp=2", "ddp takes no value"),
        ("tensor=", "must be a whole number from 1 on"),
        ("tensor=0", "must be a whole number from 1 on"),
        ("tensor=²", "must be a whole number from 1 on"),
        ("pipeline=1f1", "no schedule '1f1' (did you mean '1f1b'?)"),
    ],
)
def test_other_options_are_refused_with_the_run_s_configuration(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        TrainConfig(parallel=text).check()
    assert message in str(raised.value)


def test_torchruns_variables() -> None:
    assert ranks({}) is None and ranks({"MASTER_ADDR": "somewhere", "LOCAL_RANK": "0"}) is None
    assert ranks(WHOLE) == (1, 4, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RANK": None}, "RANK is not set, others are; start with torchrun"),
        ({"WORLD_SIZE": None, "MASTER_PORT": ""}, "WORLD_SIZE, MASTER_PORT is not set"),
        ({"MASTER_ADDR": None}, "MASTER_ADDR is not set"),
        ({"RANK": "-1"}, "RANK is '-1', not a whole number"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'"),
        ({"RANK": "4"}, "RANK 4 and LOCAL_RANK 1 must be below WORLD_SIZE 4"),
        ({"LOCAL_RANK": "7"}, "must be below WORLD_SIZE 4"),
    ],
)
def test_half_set_variables_are_an_error(changes: dict[str, str | None], message: str) -> None:
    variables = {k: v for k, v in {**WHOLE, **changes}.items() if v is not None}
    with pytest.raises(ConfigError) as raised:
        ranks(variables)
    assert message in str(raised.value)


def test_kinds_need_processes_and_processes_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="fsdp needs several processes; start them with torchrun"):
        plan(TrainConfig(parallel="fsdp"))
    for name, value in WHOLE.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="parallel is none, but 4 processes were started"):
        plan(TrainConfig())
    with pytest.raises(ConfigError, match="tensor can't be used with distill"):
        plan(TrainConfig(parallel="tensor", objective="distill"))


def test_more_ranks_than_sequences(counting_packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Two:
        def __call__(self, config: TrainConfig) -> object:
            parallel = plan_one(config)
            parallel.data_size, parallel.data_rank = 9, 8
            return parallel

    plan_one = plan
    monkeypatch.setattr("pretrain.parallel.plan", Two())
    with pytest.raises(ConfigError, match="batch_size 8 must be at least world_size 9"):
        train(TrainConfig(batch_size=8, steps=1, tensorboard=False), counting_packs, tmp_path)


@pytest.mark.parametrize(("layers", "stages"), [(3, 2), (4, 4), (7, 3), (12, 5), (5, 1)])
def test_stages_hold_every_layer_once(layers: int, stages: int) -> None:
    cut = [range(*bounds(layers, stage, stages)) for stage in range(stages)]
    assert [i for part in cut for i in part] == list(range(layers))
    sizes = [len(part) for part in cut]
    assert max(sizes) - min(sizes) <= 1 and sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(("rows", "ranks_"), [(67, 2), (64, 4), (10, 3), (9, 4)])
def test_vocabulary_is_cut_as_tensors_are(rows: int, ranks_: int) -> None:
    chunks = torch.arange(rows).chunk(ranks_)
    starts = [int(chunk[0]) for chunk in chunks] + [rows] * (ranks_ - len(chunks))
    assert [first_row(rows, rank, ranks_) for rank in range(ranks_)] == starts


@pytest.mark.parametrize("form", ["decoder", "encoder", "encoder_decoder"])
def test_padding_has_no_loss_and_no_gradient(form: str) -> None:
    config = tools.small(form=form, n_layers=1)
    model = tools.model_of(config)
    inputs = tools.batches(config)[0]
    nothing = model(blank(inputs))
    nothing.loss_sum.backward()
    assert nothing.loss_sum.item() == nothing.z_sum.item() == 0.0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())
    if form == "encoder_decoder":
        return
    for segments in (inputs.segment_ids, None):
        one = inputs._replace(segment_ids=segments)
        wider = filled(one, tools.BATCH + 2, tools.LENGTH + 3)
        assert wider.input_ids.shape == (tools.BATCH + 2, tools.LENGTH + 3)
        assert model(wider).loss_sum.item() == pytest.approx(model(one).loss_sum.item(), rel=1e-6)


def test_batches_are_split_for_stages_but_not_pairs() -> None:
    inputs = tools.batches(tools.small())[0]
    whole = rows_of(inputs, 0, tools.BATCH)
    parts = split([whole], 3)
    assert [len(part.input_ids) for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat([part.input_ids for part in parts]), inputs.input_ids)
    assert sum(part.n_valid for part in parts) == whole.n_valid > 0
    assert split([whole, whole], 2) == [whole, whole] and split([], 2) == []
    pairs = whole._replace(pairs=torch.full_like(whole.input_ids, -1))
    assert len(split([pairs], 3)) == 1


def test_a_loaded_state_lies_where_its_parameter_is() -> None:
    """Fused AdamW on a GPU keeps the count of steps there too."""
    from pretrain.parallel import state

    model = torch.nn.Linear(2, 2, bias=False, device="meta")
    optimiser = torch.optim.AdamW(model.parameters())
    moments = {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2, 2)}
    full = {"model": {"weight": torch.zeros(2, 2)}, "optimiser": {"weight": moments}}
    state.load_full(model, optimiser, full)
    assert {value.device.type for value in optimiser.state[model.weight].values()} == {"meta"}
