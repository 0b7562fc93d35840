"""The dataset maps, the loader permutes: each sequence once an epoch, the same on any number of ranks."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline import loader  # noqa: E402
from pipeline.errors import ConfigError  # noqa: E402
from pipeline.packreader import open_packs  # noqa: E402
from pipeline.permutation import permute  # noqa: E402
from pretrain.data import PackDataset, PackLoader  # noqa: E402
from tests.pipeline.token_tools import pack_set  # noqa: E402


def _segments(reader, index: int) -> list[int]:  # type: ignore[no-untyped-def]
    row = reader[index]
    starts = set(row.doc_starts.tolist()) - {0}
    out, number = [], 0
    for i in range(reader.sequence_length):
        number += i in starts
        out.append(number if i < row.length else -1)
    return out


@pytest.mark.parametrize("n", [1, 2, 3, 5, 64, 65, 1000])
def test_permutation_is_one(n: int) -> None:
    for seed, epoch in [(0, 0), (1, 0), (0, 1), (-5, 3), (2**63, 9)]:
        out = permute(np.arange(n), n, seed, epoch)
        assert sorted(out.tolist()) == list(range(n))


def test_permutation_depends_on_seed_and_epoch_and_on_the_position_alone() -> None:
    n = 10_007
    base = permute(np.arange(n), n, 1, 0)
    assert np.array_equal(base, permute(np.arange(n), n, 1, 0))
    some = np.array([9_999, 3, 4_000])
    assert np.array_equal(permute(some, n, 1, 0), base[some])
    for seed, epoch in [(2, 0), (1, 1), (0, 1)]:  # two random permutations agree in about one place
        assert (permute(np.arange(n), n, seed, epoch) == base).sum() < 12


def test_permutation_is_spread_evenly() -> None:
    # Where position p goes over 4 000 seeds: 10 cells, chi-square with 9 degrees of freedom; 33.7 has p = 1e-4.
    for position in (0, 1, 57, 99):
        cells = [int(permute(np.array([position]), 100, seed, 0)[0]) // 10 for seed in range(4_000)]
        counts = np.array([Counter(cells)[c] for c in range(10)])
        assert ((counts - 400) ** 2 / 400).sum() < 33.7
    # Neighbours are no nearer than chance: mean distance of random pairs is n / 3, deviation n / sqrt(18 n).
    out = permute(np.arange(10_000), 10_000, 3, 0)
    assert abs(np.abs(np.diff(out)).mean() / 10_000 - 1 / 3) < 5 / (18 * 10_000) ** 0.5


def test_an_epoch_holds_every_sequence_once_and_repeats(counting_packs: Path) -> None:
    reader = open_packs(counting_packs)
    order = []
    for batch in PackLoader(reader, 8, seed=4, epoch=2):
        assert batch.input_ids.dtype == torch.int64 and batch.segment_ids is None
        for ids, index in zip(batch.input_ids.numpy(), batch.indices, strict=True):
            assert np.array_equal(ids, reader[int(index)].input_ids)
        order += batch.indices.tolist()
    assert sorted(order) == list(range(len(reader))) != order
    assert order == [i for batch in PackLoader(counting_packs, 8, seed=4, epoch=2) for i in batch.indices.tolist()]
    assert order != [i for batch in PackLoader(reader, 8, seed=4, epoch=3) for i in batch.indices.tolist()]
    assert [b.indices.tolist() for b in PackLoader(reader, 8, shuffle=False)][0] == list(range(8))


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_the_order_of_one(counting_packs: Path, world_size: int) -> None:
    one = [batch.input_ids for batch in PackLoader(counting_packs, 8, seed=1)]
    parts = [list(PackLoader(counting_packs, 8, seed=1, rank=r, world_size=world_size)) for r in range(world_size)]
    for whole, batches in zip(one, zip(*parts, strict=True), strict=True):
        assert torch.equal(whole, torch.cat([b.input_ids for b in batches]))


def test_the_order_does_not_depend_on_how_far_ahead_it_is_made(
    counting_packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = [b.indices.tolist() for b in PackLoader(counting_packs, 8, seed=1, start=1)]
    monkeypatch.setattr(loader, "_AHEAD", 17)
    assert [b.indices.tolist() for b in PackLoader(counting_packs, 8, seed=1, start=1)] == want


def test_positions_outside_the_set_are_refused() -> None:
    for position in (-1, 10, 1 << 20):
        with pytest.raises(IndexError):
            permute(np.array([position]), 10, 0, 0)


def test_start_enters_at_a_batch_and_drop_last_leaves_out_the_rest(counting_packs: Path) -> None:
    every = [b.indices.tolist() for b in PackLoader(counting_packs, 8)]
    assert [b.indices.tolist() for b in PackLoader(counting_packs, 8, start=3)] == every[3:]
    full = PackLoader(counting_packs, 8, drop_last=True)
    assert [b.indices.tolist() for b in full] == every[:-1] and len(full) == len(every) - 1


def test_batches_are_the_callers_unless_reused(counting_packs: Path) -> None:
    kept = list(PackLoader(counting_packs, 4))
    want = [batch.input_ids.clone() for batch in PackLoader(counting_packs, 4, reuse=True)]
    assert all(torch.equal(batch.input_ids, ids) for batch, ids in zip(kept, want, strict=True))
    assert len({batch.input_ids.data_ptr() for batch in kept}) == len(kept)
    assert len({batch.input_ids.data_ptr() for batch in PackLoader(counting_packs, 4, reuse=True)}) == 2


def test_segments_follow_the_documents(counting_packs: Path) -> None:
    reader = open_packs(counting_packs)
    dataset = PackDataset(reader)
    seen = 0
    for batch in PackLoader(reader, 5, segments=True):
        assert batch.segment_ids is not None
        for segments, index in zip(batch.segment_ids.tolist(), batch.indices.tolist(), strict=True):
            assert segments == _segments(reader, index) == dataset[index]["segment_ids"].tolist()
            seen += max(segments) > 0
    assert seen > 10 and _segments(reader, len(reader) - 1)[-1] == -1


def test_batches_say_their_epoch(counting_packs: Path) -> None:
    begun = PackLoader(counting_packs, 20, seed=1, epochs=2)
    state = begun.state()
    assert [batch.epoch for batch in begun] == [0, 0, 0, 1, 1, 1]
    assert [batch.epoch for batch in PackLoader(counting_packs, 20, epoch=5)] == [5, 5, 5]
    resumed = PackLoader(counting_packs, 20, seed=1, epochs=4)
    resumed.restore({**state, "epoch": 3, "step": 2})
    assert [batch.epoch for batch in resumed] == [3]


def test_dataset_items_are_views_of_the_map(counting_packs: Path) -> None:
    dataset = PackDataset(counting_packs)
    for index in (0, 20, len(dataset) - 1, -1):
        item, row = dataset[index], dataset.reader[index]
        assert item["input_ids"].data_ptr() == row.input_ids.__array_interface__["data"][0]
        assert item["input_ids"].dtype == torch.uint16 and item["length"] == row.length
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_dataset_under_torch_workers(counting_packs: Path) -> None:
    dataset = PackDataset(counting_packs)
    assert len(pickle.loads(pickle.dumps(dataset))) == len(dataset)
    loader = torch.utils.data.DataLoader(dataset, batch_size=10, num_workers=1)
    rows = torch.cat([batch["input_ids"].long() for batch in loader])
    assert torch.equal(rows, torch.cat([b.input_ids for b in PackLoader(counting_packs, 10, shuffle=False)]))


def test_what_cannot_be_loaded(counting_packs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="empty"):
        PackLoader(pack_set(tmp_path, [[]], 8, 2), 4)
    for batch_size, world_size, rank in [(0, 1, 0), (1, 2, 0), (2, 1, 1)]:
        with pytest.raises(ConfigError, match="batch_size"):
            PackLoader(counting_packs, batch_size, world_size=world_size, rank=rank)
