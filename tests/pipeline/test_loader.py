"""The loader: 0..N equal k + (N - k), on any number of ranks, changed in mid-run, over descendants too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.loader import Arrays, Loader, phased
from pipeline.packreader import open_packs
from pipeline.packs import seal
from pipeline.removal.apply import remove
from pipeline.removal.lists import Lists

from .token_tools import described_packs, pack_set


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """61 sequences of 24 tokens in several files, best-fit."""
    documents = [(f"{i:032x}", [(i + k) % 250 for k in range(3 + i * 11 % 50)]) for i in range(53)]
    return pack_set(
        tmp_path_factory.mktemp("loader") / "set", [documents[:20], documents[20:]], 24, 16, method="best_fit",
        order="shuffle", partitions=3,
    )  # fmt: skip


def _take(loader: Loader, steps: int) -> list[Arrays]:
    batches = loader.arrays()
    return [next(batches) for _ in range(steps)]


def _together(parts: list[list[Arrays]]) -> list[tuple[list[int], list[list[int]]]]:
    """Batches of the ranks put together: (sequence numbers, ids)."""
    return [
        (
            np.concatenate([a.indices for a in ranks]).tolist(),
            np.concatenate([a.input_ids for a in ranks]).tolist(),
        )
        for ranks in zip(*parts, strict=True)
    ]


def _ranks(packs: Path, world: int, state: dict[str, object] | None, steps: int, **how: object):  # type: ignore[no-untyped-def]
    """(batches of all ranks together, the states, which must agree)."""
    parts, states = [], []
    for rank in range(world):
        loader = Loader(packs, 8, seed=11, epochs=None, rank=rank, world_size=world, **how)  # type: ignore[arg-type]
        if state is not None:
            loader.restore(json.loads(json.dumps(state)))
        parts.append(_take(loader, steps))
        states.append(loader.state())
    assert all(one == states[0] for one in states)
    return _together(parts), states[0]


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize(("first", "second"), [(1, 1), (2, 2), (4, 4), (4, 2), (1, 3), (3, 5)])
def test_going_on_from_a_state_gives_the_same_batches(packs: Path, first: int, second: int, drop_last: bool) -> None:
    steps = 20  # over two ends of epochs
    whole, _ = _ranks(packs, 1, None, steps, drop_last=drop_last)
    for k in (0, 1, 6, 7, 8, 13):
        begun, state = _ranks(packs, first, None, k, drop_last=drop_last)
        rest, _ = _ranks(packs, second, state, steps - k, drop_last=drop_last)
        assert begun + rest == whole


def test_going_on_does_not_begin_the_epochs_anew(packs: Path) -> None:
    def sequences(loader: Loader) -> list[list[int]]:
        return [batch.indices.tolist() for batch in loader.arrays()]

    whole = sequences(Loader(packs, 8, seed=3, epoch=1, epochs=3))
    begun = Loader(packs, 8, seed=3, epoch=1, epochs=3)
    for k, batch in enumerate(begun.arrays(), 1):
        assert batch.indices.tolist() == whole[k - 1]
        if k < len(whole):
            loader = Loader(packs, 8, seed=3, epoch=1, epochs=3)
            loader.restore(begun.state())
            assert sequences(loader) == whole[k:]
    assert begun.state()["epoch"] == 4 and len(sequences(begun)) == len(whole)


def test_a_state_is_small_and_says_where(packs: Path) -> None:
    loader = Loader(packs, 8, seed=11, epochs=None, drop_last=True)
    assert len(loader) == len(open_packs(packs)) // 8 > 5
    _take(loader, len(loader) + 2)
    fingerprint = open_packs(packs).fingerprint
    where = {"epoch": 1, "step": 2, "seed": 11, "shuffle": True, "batch_size": 8, "fingerprint": fingerprint}
    assert loader.state() == where


def test_a_state_from_before_it_said_shuffle_is_read(packs: Path) -> None:
    """Such a state went with the loader it was given to, in either order."""
    for shuffle in (True, False):
        loader = Loader(packs, 8, seed=11, shuffle=shuffle)
        want = [batch.indices.tolist() for batch in loader.arrays()][2:]
        loader = Loader(packs, 8, seed=11, shuffle=shuffle)
        _take(loader, 2)
        state = loader.state()
        assert state.pop("shuffle") is shuffle
        again = Loader(packs, 8, seed=11, shuffle=shuffle)
        again.restore(state)
        assert [batch.indices.tolist() for batch in again.arrays()] == want


def test_no_rank_gets_an_empty_part(packs: Path) -> None:
    """The last batch of 8 has 5 sequences: enough for five ranks, not for six, which have to drop it."""
    rest = len(open_packs(packs)) % 8
    assert rest == 5
    for world in range(1, 9):
        how = [{"drop_last": True}] if world > rest else [{}, {"drop_last": True}]
        for one in how:
            parts = [list(Loader(packs, 8, rank=r, world_size=world, **one).arrays()) for r in range(world)]
            assert all(len(batch.indices) for part in parts for batch in part)
        if world > rest:
            with pytest.raises(ConfigError, match=f"has {rest} of 8 sequences, too few for {world} ranks.*drop_last"):
                Loader(packs, 8, world_size=world)


def test_every_epoch_holds_every_sequence_once_in_another_order(packs: Path) -> None:
    n = len(open_packs(packs))
    loader = Loader(packs, 8, seed=2)
    epochs = [[i for a in loader.arrays() for i in a.indices.tolist()] for _ in range(3)]
    assert all(sorted(one) == list(range(n)) for one in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert loader.state()["epoch"] == 3


def test_states_that_do_not_fit_are_refused(packs: Path, tmp_path: Path) -> None:
    loader = Loader(packs, 8, seed=11)
    state = loader.state()
    for change, message in [
        ({"fingerprint": "0" * 32}, "no descendant"),
        ({"seed": 12}, "seed 12"),
        ({"batch_size": 16}, "batch_size 16"),
        ({"shuffle": False}, "shuffle False"),
        ({"epoch": -1}, "epoch -1"),
        ({"step": "3"}, "step '3'"),
        ({"step": 10_000}, "step 10000 of an epoch"),
    ]:
        with pytest.raises(ConfigError, match=message):
            loader.restore({**state, **change})
    with pytest.raises(ConfigError, match="lacks"):
        loader.restore({"epoch": 0})
    with pytest.raises(ConfigError, match="smaller"):
        Loader(packs, 10_000, epochs=None, drop_last=True)


def test_removed_and_padded_positions_are_masked_and_descendants_accepted(tmp_path: Path) -> None:
    old = described_packs(tmp_path / "old", 16)
    loader = Loader(old, 2, seed=1, segments=True)
    before = _take(loader, 1)
    state = loader.state()
    made = remove(old, Lists({}, {}, {f"{3:032x}": "id"}), output=tmp_path / "new")
    assert made.tokens == 42
    new = Loader(tmp_path / "new", 2, seed=1, segments=True)
    new.restore(state)
    rest = list(new.arrays())
    want = list(Loader(old, 2, seed=1, segments=True).arrays())[1:]
    assert [a.indices.tolist() for a in rest] == [a.indices.tolist() for a in want]
    reader = open_packs(tmp_path / "new")
    masked = 0
    for batch in rest:
        assert batch.segment_ids is not None and batch.loss_mask is not None
        for index, ids, mask in zip(batch.indices.tolist(), batch.input_ids, batch.loss_mask, strict=True):
            row = reader[index]
            assert np.array_equal(mask, row.loss_mask())
            assert np.array_equal(mask, ids < reader.vocab_size)
            masked += int((~mask[: row.length]).sum())
    assert masked > 0 and before
    with pytest.raises(ConfigError, match="no descendant"):  # the old set is not made from the new one
        Loader(old, 2, seed=1).restore(new.state())


def test_phases_are_shuffled_each_by_itself(packs: Path, tmp_path: Path) -> None:
    reader = open_packs(packs)
    n = len(reader)
    sizes = [20, 1, n - 21]
    order = phased(np.arange(n), sizes, 5, 2)
    assert sorted(order[:20].tolist()) == list(range(20)) != order[:20].tolist()
    assert order[20] == 20 and sorted(order[21:].tolist()) == list(range(21, n))
    parts = np.concatenate([phased(np.arange(a, min(a + 7, n)), sizes, 5, 2) for a in range(0, n, 7)])
    assert np.array_equal(parts, order)
    import shutil

    shutil.copytree(packs, tmp_path / "set")
    manifest = {k: v for k, v in reader.manifest.items() if k != "fingerprint"}
    seal(tmp_path / "set", {**manifest, "phases": [{"name": str(s), "sequences": s} for s in sizes]})
    got = [i for a in Loader(tmp_path / "set", 8, 5, 2).arrays() for i in a.indices.tolist()]
    assert got == order.tolist()
