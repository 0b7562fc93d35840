"""Masked language modelling: the shares, what may be replaced by what, and the counters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

torch = pytest.importorskip("torch")

from pipeline.errors import ConfigError, SchemaError  # noqa: E402
from pipeline.packreader import PackReader, open_packs  # noqa: E402
from pretrain.data import PackLoader  # noqa: E402
from pretrain.objectives import make_objective  # noqa: E402
from tests.pretrain.objectives.tools import batch_of, key_of, masked_row, random_rows  # noqa: E402


@pytest.fixture(scope="module")
def reader(counting_packs: Path) -> PackReader:
    return open_packs(counting_packs)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(-(2**63), 2**64), st.integers(0, 9), st.sampled_from([0.15, 0.3, 1.0]))
def test_it_is_the_plain_reference(reader: PackReader, data: int, seed: int, epoch: int, rate: float) -> None:
    objective = make_objective("masked", {"rate": rate}, reader)
    ids, segments = random_rows(data, 3, 50, top=reader.total_ids)
    indices = np.random.default_rng(data).integers(0, 10**12, 3)
    inputs = objective.prepare(batch_of(ids, segments, indices, epoch), seed)
    vocabulary = objective.vocabulary
    for b in range(3):
        key = key_of(seed, epoch, int(indices[b]))
        want = masked_row(ids[b], segments[b], key, rate, vocabulary.kinds, vocabulary.ordinary, vocabulary.mask_id)
        assert inputs.targets is not None
        assert (inputs.input_ids[b].tolist(), inputs.targets[b].tolist()) == want
    assert inputs.n_valid == int((inputs.targets != -100).sum())


@pytest.mark.parametrize("rate", [0.15, 0.3])
def test_shares_are_those_asked_for(reader: PackReader, rate: float) -> None:
    objective = make_objective("masked", {"rate": rate}, reader)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 256, (64, 2000))
    inputs = objective.prepare(batch_of(ids, np.zeros_like(ids)), 7)
    got, targets = inputs.input_ids.numpy(), inputs.targets.numpy()  # type: ignore[union-attr]
    chosen = targets != -100
    assert np.array_equal(targets[chosen], ids[chosen]) and np.array_equal(got[~chosen], ids[~chosen])
    low, high = stats.binom.interval(0.9999, ids.size, rate)
    assert low <= chosen.sum() <= high == high and inputs.n_valid == chosen.sum()
    # Every position has the same chance: 2 000 positions, chi-square.
    per_position = chosen.sum(0)
    assert stats.chisquare(per_position).pvalue > 1e-4 or (
        ((per_position - 64 * rate) ** 2 / (64 * rate * (1 - rate))).sum() < stats.chi2.isf(1e-4, 2000)
    )
    masked = got[chosen] == objective.vocabulary.mask_id
    same = got[chosen] == ids[chosen]
    other = ~masked & ~same
    n = chosen.sum()  # a random token is the old one once in 256 times
    want = np.array([0.8, 0.1 + 0.1 / 256, 0.1 * 255 / 256]) * n
    assert stats.chisquare([masked.sum(), same.sum(), other.sum()], want).pvalue > 1e-4
    # Random tokens are uniform over the tokens of text: of 256 ids, all; never another.
    counts = np.bincount(got[chosen][other], minlength=reader.total_ids)
    assert counts[256:].sum() == 0 and stats.chisquare(counts[:256]).pvalue > 1e-4


def test_shares_of_the_three_kinds_are_options(reader: PackReader) -> None:
    ids = np.random.default_rng(1).integers(0, 256, (8, 1000))
    for options, mask, same in [({"mask_share": 1.0, "random_share": 0.0}, 1.0, 0.0), (
        {"mask_share": 0.0, "random_share": 0.0}, 0.0, 1.0)]:  # fmt: skip
        objective = make_objective("masked", options, reader)
        inputs = objective.prepare(batch_of(ids, np.zeros_like(ids)), 0)
        chosen = (inputs.targets != -100).numpy()  # type: ignore[union-attr]
        got = inputs.input_ids.numpy()[chosen]
        assert (got == objective.vocabulary.mask_id).mean() == mask and (got == ids[chosen]).mean() == same


def test_only_text_is_a_target_or_a_replacement(reader: PackReader) -> None:
    # Ids of every kind, reserved ones too, at rate 1: what is no text stays as it is and is not predicted.
    ids, segments = random_rows(3, 40, 400, top=reader.total_ids)
    objective = make_objective("masked", {"rate": 1.0}, reader)
    inputs = objective.prepare(batch_of(ids, segments), 0)
    got, targets = inputs.input_ids.numpy(), inputs.targets.numpy()  # type: ignore[union-attr]
    rows, kept = np.array(ids), np.array(segments) >= 0
    text = (rows < 256) & kept
    assert np.array_equal(targets != -100, text) and np.array_equal(got[~text], rows[~text])
    assert objective.vocabulary.mask_id in got[text] and set(got[text].tolist()) <= {
        *range(256),
        objective.vocabulary.mask_id,
    }
    control = objective.vocabulary.control
    predicted = make_objective("masked", {"rate": 1.0, "predict_controls": True}, reader).prepare(
        batch_of(ids, segments), 0
    )
    also = (rows >= control.start) & (rows < control.stop) & kept
    assert also.any() and np.array_equal((predicted.targets != -100).numpy(), text | also)  # type: ignore[union-attr]


def test_what_a_sequence_becomes_depends_on_it_alone(reader: PackReader) -> None:
    objective = make_objective("masked", {"rate": 0.3}, reader)

    def rows(world_size: int, start: int = 0, epoch: int = 0, seed: int = 5, size: int = 8) -> dict[int, list[int]]:
        made = {}
        for rank in range(world_size):
            loader = PackLoader(
                reader, size, 1, epoch, segments=True, rank=rank, world_size=world_size, start=start
            )  # fmt: skip
            for batch in loader:
                inputs = objective.prepare(batch, seed)
                made |= dict(zip(batch.indices.tolist(), inputs.input_ids.tolist(), strict=True))
        return made

    one = rows(1)
    assert len(one) == len(reader) and rows(2) == rows(4) == rows(1, size=3) == one
    resumed = rows(1, start=3)
    assert 0 < len(resumed) < len(one) and all(one[i] == row for i, row in resumed.items())
    for other in (rows(1, epoch=1), rows(1, seed=6)):
        assert sum(other[i] != one[i] for i in one) > 0.9 * len(one)


def test_what_is_refused(reader: PackReader) -> None:
    for options, words in [
        ({"rat": 0.2}, "did you mean 'rate'"), ({"rate": 0.0}, "rate"), ({"rate": "much"}, "a number"),
        ({"mask_share": 0.8, "random_share": 0.3}, "above 1"), ({"random_share": -0.1}, "random_share"),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            make_objective("masked", options, reader)
    with pytest.raises(ConfigError, match="did you mean 'masked'"):
        make_objective("maskd", {}, reader)
    objective = make_objective("masked", {}, reader)
    with pytest.raises(SchemaError, match="ids outside"):
        objective.prepare(batch_of([[1, reader.total_ids]], [[0, 0]]), 0)
    with pytest.raises(ConfigError, match="segment ids"):
        objective.prepare(batch_of([[1, 2]], [[0, 0]])._replace(segment_ids=None), 0)
    with pytest.raises(ConfigError, match="form encoder"):
        objective.check_form("decoder")
