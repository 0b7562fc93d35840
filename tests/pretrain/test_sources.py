"""Sources: the share of a replayed set to the sequence, phases in order, and the same batches after a restoring."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from pipeline.errors import ConfigError  # noqa: E402
from pipeline.packreader import PackReader, open_packs  # noqa: E402
from pretrain.config import ModelConfig  # noqa: E402
from pretrain.data import Batch  # noqa: E402
from pretrain.inputs import Inputs  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.objectives import make_objective  # noqa: E402
from pretrain.sources import PackSource, Phase, PhaseSource, ReplaySource, extension, rescale  # noqa: E402
from tests.pipeline.token_tools import pack_set  # noqa: E402


@pytest.fixture(scope="module")
def new(counting_packs: Path) -> PackReader:
    return open_packs(counting_packs)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> PackReader:
    """Eleven sequences of 32 tokens, documents `b...`."""
    documents = [(f"b{i:031x}", [100 + i] * 31 + [256]) for i in range(11)]
    return open_packs(pack_set(tmp_path_factory.mktemp("old"), [documents], 32, 5))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> PackReader:
    documents = [(f"c{i:031x}", [i] * 127 + [256]) for i in range(6)]
    return open_packs(pack_set(tmp_path_factory.mktemp("long"), [documents], 128, 5))


def drawn(source: Any, count: int) -> list[tuple[list[list[int]], list[int], int]]:
    return [(b.input_ids.tolist(), b.indices.tolist(), b.epoch) for b in islice(source, count)]


def checked(source: Any, batch: Batch, readers: list[PackReader]) -> list[str]:
    """The first document of each sequence, after a comparison of its ids with its pack set's."""
    names = []
    for ids, (index, documents) in zip(batch.input_ids, source.documents(batch), strict=True):
        own = [r for r in readers if index < len(r) and r[index].doc_ids == documents]
        assert any(np.array_equal(r[index].input_ids, ids) for r in own)
        names.append(documents[0])
    return names


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.33, 0.5, 0.99]), st.integers(1, 7), st.integers(1, 60))
def test_the_share_is_exact(new: PackReader, old: PackReader, share: float, batch_size: int, batches: int) -> None:
    source = ReplaySource(new, old, batch_size, 3, share=share)
    replayed = 0
    for n, batch in enumerate(islice(source, batches), 1):
        is_old = [name.startswith("b") for name in checked(source, batch, [new, old])]
        replayed += sum(is_old)
        assert replayed == n * batch_size * Fraction(str(share)) // 1


def test_each_set_is_gone_through_in_whole_epochs(new: PackReader, old: PackReader) -> None:
    source = ReplaySource(new, old, 8, 5, share=0.25)
    total = len(new) + len(old)
    seen: dict[str, list[int]] = {"new": [], "old": []}
    numbers = set()
    for batch in islice(source, 40):
        assert batch.epoch == len(seen["new"]) // len(new)
        for index in batch.indices.tolist():
            numbers.add(index)
            epoch, place = divmod(index, total)
            which = "new" if place < len(new) else "old"
            reader = new if which == "new" else old
            assert epoch == len(seen[which]) // len(reader)
            seen[which].append(place - (len(new) if which == "old" else 0))
    assert len(numbers) == 320  # each time that a sequence comes it has another number: other corruption
    assert len(seen["old"]) == 80
    for which, reader in (("new", new), ("old", old)):
        n = len(reader)
        epochs = [seen[which][k : k + n] for k in range(0, len(seen[which]) // n * n, n)]
        assert len(epochs) > 1 and all(sorted(epoch) == list(range(n)) for epoch in epochs) and epochs[0] != epochs[1]
    plain = PackSource(new, 1, 5)
    assert [b.indices[0] for b in islice(plain, 50)] == seen["new"][:50]  # as without replay


@pytest.mark.parametrize("kind", ["packs", "replay", "phases"])
def test_ranks_share_batches_and_states_go_on(new: PackReader, old: PackReader, long: PackReader, kind: str) -> None:
    def made(rank: int = 0, world_size: int = 1) -> Any:
        if kind == "packs":
            return PackSource(new, 8, 2, rank=rank, world_size=world_size)
        if kind == "replay":
            return ReplaySource(new, old, 8, 2, share=0.3, rank=rank, world_size=world_size)
        phases = extension(new, long, steps=9, long_steps=11, batch_size=8)
        return PhaseSource(phases, 2, rank=rank, world_size=world_size)

    whole = drawn(made(), 20)
    parts = [drawn(made(rank, 2), 20) for rank in range(2)]
    assert whole == [(a[0] + b[0], a[1] + b[1], a[2]) for a, b in zip(*parts, strict=True)]
    for k in (0, 6, 9, 13):
        begun = made()
        list(islice(begun, k))
        state = json.loads(json.dumps(begun.state()))
        resumed = made(1, 2)
        resumed.restore(state)
        assert drawn(resumed, 20 - k) == parts[1][k:]
        assert resumed.fingerprint == begun.fingerprint
    with pytest.raises(ConfigError, match="lacks|step"):
        made().restore({**state, "step": -1} if kind == "phases" else {})


def test_replay_corrupts_anew(new: PackReader, old: PackReader) -> None:
    objective = make_objective("masked", {"rate": 0.5}, new)
    source = ReplaySource(new, old, 11, 0, share=0.5)
    seen: dict[int, set[tuple[int, ...]]] = {}
    for batch in islice(source, 12):
        inputs = objective.prepare(batch, 0)
        places = source.documents(batch)
        for row, (index, names) in zip(inputs.input_ids.tolist(), places, strict=True):
            if names[0].startswith("b"):
                seen.setdefault(index, set()).add(tuple(row))
    assert len(seen) == 11 and all(len(rows) >= 5 for rows in seen.values())


def test_phases_follow_each_other_and_rescale_the_model(new: PackReader, long: PackReader) -> None:
    model = Transformer(ModelConfig(vocab_size=448, d_model=16, n_layers=1, n_heads=2, d_ff=16))
    phases = extension(new, long, steps=3, long_steps=2, batch_size=8, rope_scale="linear")
    entered: list[Phase] = []

    def on_phase(phase: Phase) -> None:
        entered.append(phase)
        rescale(model, phase)

    source = PhaseSource(phases, on_phase=on_phase)
    shapes = []
    at_first = model.hidden(Inputs(torch.arange(8)[None])).detach()
    for batch in islice(source, 5):
        shapes.append(tuple(batch.input_ids.shape))
        assert model.config.rope_factor == (1.0 if len(shapes) <= 3 else 4.0)
        checked(source, batch, [new if len(shapes) <= 3 else long])
    assert shapes == [(8, 32)] * 3 + [(2, 128)] * 2 and [p.steps for p in entered] == [3, 2]
    assert (model.config.rope_scale, model.config.rope_original) == ("linear", 32)
    spread = torch.arange(8)[None]
    assert not torch.allclose(model.hidden(Inputs(spread)), at_first, atol=1e-4)
    again = PhaseSource(phases, on_phase=on_phase)
    again.restore(source.state())
    (more,) = islice(again, 1)  # a run that went back takes more steps than it has
    assert tuple(more.input_ids.shape) == (2, 128) and again.phase == 1
    middle = PhaseSource(phases)
    list(islice(middle, 4))
    model.config = ModelConfig(vocab_size=448, d_model=16, n_layers=1, n_heads=2, d_ff=16)
    resumed = PhaseSource(phases, on_phase=on_phase)
    resumed.restore(middle.state())
    assert next(iter(resumed)).input_ids.shape[1] == 128 and model.config.rope_factor == 4.0


def test_what_cannot_be_drawn_together(
    new: PackReader, old: PackReader, long: PackReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for share in (-0.1, 1.0):
        with pytest.raises(ConfigError, match="share"):
            ReplaySource(new, old, 4, share=share)
    with pytest.raises(ConfigError, match="pack them alike"):
        ReplaySource(new, long, 4)
    with pytest.raises(ConfigError, match="world_size"):
        ReplaySource(new, old, 4, world_size=5)
    with pytest.raises(ConfigError, match="must be longer"):
        extension(long, new, steps=1, long_steps=1, batch_size=4)
    with pytest.raises(ConfigError, match="at least one step"):
        PhaseSource([])
    state = ReplaySource(new, old, 4, share=0.1).state()
    for other, words in [
        (ReplaySource(new, old, 4, share=0.2), "share"), (ReplaySource(new, old, 8, share=0.1), "batch_size"),
        (ReplaySource(old, new, 4, share=0.1), "pack set"),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            other.restore(state)
    foreign = open_packs(pack_set(tmp_path, [[("d" * 32, [1] * 64)]], 32, 5))
    tokenizer = {**foreign.manifest["tokenizer"], "fingerprint": "f" * 32}
    monkeypatch.setitem(foreign.manifest, "tokenizer", tokenizer)
    for make in (
        lambda: ReplaySource(new, foreign, 4),
        lambda: PhaseSource([Phase(reader=r, steps=1, batch_size=2, model={}) for r in (new, foreign)]),
    ):
        with pytest.raises(ConfigError, match="different tokenizers"):
            make()


def test_documents_name_what_a_batch_holds(new: PackReader) -> None:
    source = PackSource(new, 8, 1)
    counted: Counter[int] = Counter()
    for batch in islice(source, 6):
        checked(source, batch, [new])
        counted.update(batch.indices.tolist())
    assert max(counted.values()) == 1
