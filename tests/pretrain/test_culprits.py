"""A spike: found, left out, its documents named, and where it goes on, gone back from."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import StepFailed  # noqa: E402
from pretrain.checkpoint import Checkpoints  # noqa: E402
from pretrain.config import TrainConfig, train_config  # noqa: E402
from pretrain.loop import Event  # noqa: E402
from pretrain.spikes import SpikeGuard, Verdict  # noqa: E402
from pretrain.train import train  # noqa: E402
from tests.pipeline.token_tools import pack_set  # noqa: E402

SMALL = {"d_model": 32, "n_layers": 2, "n_heads": 2, "d_ff": 48}
SPIKE = {"window": 24, "min_history": 12, "max_skips": 3, "min_rise": 1.0}


def sequences(folder: Path, noisy: set[int], count: int = 400, length: int = 24) -> Path:
    """Each sequence holds two documents that count up; the first one of a noisy sequence is random instead."""
    rng = random.Random(3)
    documents, rows = [], []
    for i in range(2 * count):
        ids = [(i * 37 + k) % 64 for k in range(length // 2 - 1)]
        if i % 2 == 0 and i // 2 in noisy:
            ids = [rng.randrange(64, 256) for _ in ids]
        documents.append((f"{i:032x}", [*ids, 256]))
        rows.append({"id": f"{i:032x}", "url": f"https://site.example/{i}"})
    (folder / "documents").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "documents" / "00000.parquet")
    return pack_set(folder, [documents], length, 80, documents=["documents/00000.parquet"])


def settings(**changes: Any) -> TrainConfig:
    options = {
        "steps": 80, "batch_size": 4, "threads": 1, "model": SMALL, "tensorboard": False, "save_every": 10,
        "optim": {"lr": 0.01, "schedule": "constant", "warmup": 5}, "spike": SPIKE,
    }  # fmt: skip
    return train_config({**options, **changes})


def in_batches(packs: Path, first: int, last: int) -> set[int]:
    """The sequences of the batches of steps `first` to `last`, which depend on nothing in them."""
    from pretrain.data import PackLoader

    found: set[int] = set()
    for step, batch in enumerate(PackLoader(packs, 4, epochs=3, segments=True), 1):
        if first <= step <= last:
            found |= set(batch.indices.tolist())
    return found


def test_a_corrupted_batch_is_left_out_and_its_documents_named(tmp_path: Path) -> None:
    clean = sequences(tmp_path / "clean", set())
    noisy = {min(in_batches(clean, 71, 71))}
    packs = sequences(tmp_path / "noisy", noisy)
    events: list[Event] = []
    summary = train(settings(steps=75), packs, tmp_path / "run", log=events.append)
    assert [event.step for event in events if event.skipped] == [71]
    (record,) = [json.loads(line) for line in (tmp_path / "run" / "spikes.jsonl").read_text().splitlines()]
    (bad,) = noisy
    assert record["step"] == 71 and record["reason"] in ("loss", "grad_norm")
    assert record["loss"] == events[70].loss and record["loss_limit"] is not None
    assert {one["sequence"] for one in record["sequences"]} == in_batches(clean, 71, 71)
    worst = record["sequences"][0]
    assert worst["sequence"] == bad and worst["loss"] > 3 * record["sequences"][1]["loss"]
    (first, second) = worst["documents"]
    assert (first["id"], first["url"]) == (f"{2 * bad:032x}", f"https://site.example/{2 * bad}")
    assert (second["id"], second["url"]) == (f"{2 * bad + 1:032x}", f"https://site.example/{2 * bad + 1}")
    assert first["loss"] > 3 * second["loss"]
    assert summary["skipped"] == {record["reason"]: 1} and summary["rewinds"] == 0


def test_sequence_losses_are_those_of_the_weights_that_the_step_saw(tmp_path: Path) -> None:
    clean = sequences(tmp_path / "clean", set())
    packs = sequences(tmp_path / "noisy", {min(in_batches(clean, 71, 71))})
    train(settings(steps=70, model={**SMALL, "dropout": 0.0}, save_every=None), packs, tmp_path / "before")
    train(settings(steps=71, save_every=None), packs, tmp_path / "run")
    (record,) = [json.loads(line) for line in (tmp_path / "run" / "spikes.jsonl").read_text().splitlines()]
    from pretrain.checkpoint import load_model
    from pretrain.inputs import Inputs

    model = load_model(tmp_path / "before")
    from pipeline.packreader import open_packs

    reader = open_packs(packs)
    for one in record["sequences"]:
        row = reader[one["sequence"]]
        nats = []
        for start in row.doc_starts.tolist():
            ids = torch.from_numpy(row.input_ids[start : start + 12].astype("int64"))[None]
            logits = model.logits(Inputs(ids))[0, :-1].log_softmax(-1)
            nats.append(-logits.gather(1, ids[0, 1:, None]).squeeze(1))
        assert one["loss"] == pytest.approx(torch.cat(nats).mean().item(), rel=1e-4)
        told = {document["id"]: document["loss"] for document in one["documents"]}
        for name, found in zip(row.doc_ids, nats, strict=True):
            if told[name] is not None:
                assert told[name] == pytest.approx(found.mean().item(), rel=1e-4)
    assert sum(d["loss"] is not None for one in record["sequences"] for d in one["documents"]) == 6


def test_spike_after_spike_goes_back_to_a_good_checkpoint(tmp_path: Path) -> None:
    clean = sequences(tmp_path / "clean", set())
    packs = sequences(tmp_path / "noisy", in_batches(clean, 61, 64))
    events: list[Event] = []
    summary = train(settings(steps=70), packs, tmp_path / "run", log=events.append)
    skipped = [event.step for event in events if event.skipped]
    assert skipped[:4] == [61, 62, 63, 64] and [e.rewound for e in events if e.rewound is not None] == [50]
    again = events[64:]  # step 60 is within a quarter of the window before the spikes
    assert [event.step for event in again] == list(range(51, 71)) and not any(event.skipped for event in again)
    drawn = [i for event in events for i in event.batch.indices.tolist()]
    assert len(drawn) == len(set(drawn)) == 4 * 84  # no batch comes twice
    assert summary["rewinds"] == 1 and summary["steps"] == 70 and summary["last_loss"] < 1.0
    lines = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines == [*range(1, 65), *range(51, 71)]


def test_what_was_learned_while_the_loss_rose_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From step 41 on the loss rises, too slowly for a spike; the checkpoints since then are finite but no way back."""
    plain, seen = SpikeGuard.judge, []

    def judge(guard: SpikeGuard, loss: float, norm: float) -> Verdict:
        step = len(seen) + 1
        seen.append(step)
        return plain(guard, 9.0 if 61 <= step <= 64 else 1.0 + 0.01 * (step % 3) + 0.01 * max(0, step - 40), 1.0)

    monkeypatch.setattr(SpikeGuard, "judge", judge)
    events: list[Event] = []
    config = settings(steps=66, save_every=5, model={**SMALL, "n_layers": 1})
    train(config, sequences(tmp_path / "packs", set()), tmp_path / "run", log=events.append)
    assert [event.step for event in events if event.skipped] == [61, 62, 63, 64]
    (back,) = [event.rewound for event in events if event.rewound is not None]
    assert 30 <= back <= 40


def test_a_run_that_went_back_resumes_exactly(tmp_path: Path) -> None:
    clean = sequences(tmp_path / "clean", set())
    packs = sequences(tmp_path / "noisy", in_batches(clean, 61, 64))
    train(settings(steps=70), packs, tmp_path / "whole")

    class Broken(Exception):
        pass

    for stop in (2, 67, 3):  # events of each attempt before it breaks: the second after the rewind, before a checkpoint
        seen: list[Event] = []

        def log(event: Event, seen: list[Event] = seen, stop: int = stop) -> None:
            seen.append(event)
            if len(seen) == stop:
                raise Broken

        with pytest.raises(Broken):
            train(settings(steps=70), packs, tmp_path / "parts", log=log)
    train(settings(steps=70), packs, tmp_path / "parts")
    for name in ("metrics.jsonl", "spikes.jsonl", "summary.json", "checkpoints/step-00000070/weights.pt"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert Checkpoints(tmp_path / "parts").newest() is not None


def test_rewinds_have_an_end(tmp_path: Path) -> None:
    clean = sequences(tmp_path / "clean", set())
    packs = sequences(tmp_path / "noisy", in_batches(clean, 61, 100))
    with pytest.raises(StepFailed, match="spike again after 1 rewinds; take a lower optim.lr or look at the documents"):
        train(settings(spike={**SPIKE, "max_rewinds": 1}), packs, tmp_path / "run")


def test_switched_off_takes_every_update(tmp_path: Path) -> None:
    clean = sequences(tmp_path / "clean", set())
    packs = sequences(tmp_path / "noisy", in_batches(clean, 61, 64))
    summary = train(settings(steps=66, spike={**SPIKE, "enabled": False}), packs, tmp_path / "run")
    assert summary["skipped"] == {} and (tmp_path / "run" / "spikes.jsonl").read_text() == ""


def test_where_the_gradient_was_the_reason_the_largest_gradient_comes_first(tmp_path: Path) -> None:
    from pipeline.packreader import open_packs
    from pretrain.culprits import culprits
    from pretrain.loop import Loop
    from pretrain.model import Transformer
    from pretrain.objectives import make_objective
    from pretrain.sizes import model_config
    from pretrain.sources import PackSource

    reader = open_packs(sequences(tmp_path / "packs", {1, 5, 6}, count=8))
    torch.manual_seed(0)
    model = Transformer(model_config("0.2M", reader.total_ids))
    loop = Loop(model, make_objective("causal", {}, reader), PackSource(reader, 8, 0), settings(batch_size=8, steps=1))
    (event,) = loop
    record = culprits(loop, replace(event, skipped="grad_norm"))
    assert all(parameter.grad is None for parameter in model.parameters())

    batch, found = event.batch, {}
    for i, number in enumerate(batch.indices.tolist()):
        row = loop.objective.prepare(batch.rows(i, i + 1), 0)
        logits, targets = model.logits(row).flatten(0, 1), row.targets.flatten()
        each = torch.nn.functional.cross_entropy(logits, targets, ignore_index=-100, reduction="none")
        for name, kept in (("all", slice(None)), ("first", slice(0, 12)), ("second", slice(12, 24))):
            own = torch.autograd.grad(each[kept].sum() / event.targets, list(model.parameters()), retain_graph=True)
            found[number, name] = sum(float(g.square().sum()) for g in own) ** 0.5
    listed = [(one["sequence"], one["grad_norm"]) for one in record["sequences"]]
    wanted = sorted(((n, norm) for (n, name), norm in found.items() if name == "all"), key=lambda one: -one[1])
    assert [number for number, _ in listed] == [number for number, _ in wanted]
    assert [norm for _, norm in listed] == pytest.approx([norm for _, norm in wanted], rel=1e-4)
    for one in record["sequences"][:3]:
        own = {int(d["id"], 16) % 2: d["grad_norm"] for d in one["documents"]}
        assert own[0] == pytest.approx(found[one["sequence"], "first"], rel=1e-4)
        assert own[1] == pytest.approx(found[one["sequence"], "second"], rel=1e-4)
        assert one["documents"][0]["grad_norm"] == max(own.values())
    assert "grad_norm" not in culprits(loop, replace(event, skipped="loss"))["sequences"][0]
