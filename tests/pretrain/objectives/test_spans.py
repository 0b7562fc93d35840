"""Span corruption: whole documents come back, spans are as many and as long as asked for, in both forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

torch = pytest.importorskip("torch")

from pipeline.errors import ConfigError  # noqa: E402
from pipeline.packreader import PackReader, open_packs  # noqa: E402
from pretrain.data import PackLoader  # noqa: E402
from pretrain.objectives import make_objective  # noqa: E402
from pretrain.objectives.spans import Spans  # noqa: E402
from tests.pipeline.token_tools import pack_set  # noqa: E402
from tests.pretrain.objectives.tools import (  # noqa: E402
    GOLDEN,
    WORD,
    batch_of,
    key_of,
    mixed,
    pieces,
    random_rows,
    span_lengths,
)

EOS = 256


@pytest.fixture(scope="module")
def reader(counting_packs: Path) -> PackReader:
    return open_packs(counting_packs)


def spans(reader: PackReader, **options: object) -> Spans:
    made = make_objective("spans", dict(options), reader)
    assert isinstance(made, Spans)
    return made


def with_ends(ids: list[list[int]], segments: list[list[int]], control: int, seed: int) -> None:
    """Put the end of document and a control token at some documents' ends and beginnings."""
    rng = np.random.default_rng(seed)
    for row, marks in zip(ids, segments, strict=True):
        for _, start, stop in pieces(marks):
            if rng.random() < 0.5:
                row[stop - 1] = EOS
            if rng.random() < 0.3:
                row[start] = control


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 10, 60]), st.sampled_from([(0.15, 3.0), (0.5, 1.0), (0.9, 8.0)]))
def test_it_is_the_plain_reference_and_comes_back(
    reader: PackReader, data: int, mean_length: int, how: tuple[float, float]
) -> None:
    objective = spans(reader, density=how[0], mean_length=how[1], room=8.0)
    ids, segments = random_rows(data, 3, 80, mean=mean_length)
    control = objective.vocabulary.control.start
    with_ends(ids, segments, control, data)
    inputs = objective.prepare(batch_of(ids, segments, epoch=2), data)
    sentinels = objective.vocabulary.sentinels.tolist()
    count = 0
    for b in range(3):
        given_ids, given_marks, wanted, marks = [], [], [], []
        for segment, start, stop in pieces(segments[b]):
            key = mixed(key_of(data, 2, b) + GOLDEN * (start + 1) & WORD)
            low = start + (ids[b][start] == control)
            high = stop - (stop > low and ids[b][stop - 1] == EOS)
            gaps, lengths = span_lengths(high - low, key, *how)
            made, target, at = ids[b][start:low], [], low
            for k, length in enumerate(lengths):
                made += [*ids[b][at : at + gaps[k]], sentinels[k]]
                at += gaps[k]
                target += [sentinels[k], *ids[b][at : at + length]]
                at += length
            made += ids[b][at:stop]
            target += [EOS] if lengths else []
            given_ids += made
            given_marks += [segment] * len(made)
            wanted += target
            marks += [segment] * len(target)
        count += len(wanted)
        pad = reader.pad_id
        assert inputs.input_ids[b].tolist() == given_ids + [pad] * (80 - len(given_ids))
        assert inputs.segment_ids is not None and inputs.segment_ids[b].tolist() == given_marks + [-1] * (
            80 - len(given_marks)
        )
        assert inputs.targets is not None and inputs.decoder_ids is not None and inputs.decoder_segments is not None
        room = inputs.targets.shape[1] - len(wanted)
        assert inputs.targets[b].tolist() == wanted + [-100] * room
        assert inputs.decoder_segments[b].tolist() == marks + [-1] * room
        first = [k == 0 or marks[k] != marks[k - 1] for k in range(len(marks))]
        assert inputs.decoder_ids[b, : len(wanted)].tolist() == [
            pad if first[k] else wanted[k - 1] for k in range(len(wanted))
        ]
    assert inputs.n_valid == count


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([3, 30, 200]), st.sampled_from([0.15, 0.6]), st.booleans(), st.booleans())
def test_documents_are_rebuilt(
    reader: PackReader, data: int, mean_length: int, density: float, prefix: bool, controls: bool
) -> None:
    objective = spans(reader, density=density, prefix=prefix, predict_controls=controls)
    ids, segments = random_rows(data, 4, 120, mean=mean_length)
    with_ends(ids, segments, objective.vocabulary.control.start + 3, data)
    inputs = objective.prepare(batch_of(ids, segments), data)
    whole = [[row[start:stop] for _, start, stop in pieces(marks)] for row, marks in zip(ids, segments, strict=True)]
    assert objective.rebuild(inputs) == whole


@pytest.mark.parametrize("prefix", [False, True])
def test_real_sequences_are_rebuilt(reader: PackReader, prefix: bool) -> None:
    objective = spans(reader, prefix=prefix)
    seen = 0
    for batch in PackLoader(reader, 10, segments=True):
        inputs = objective.prepare(batch, 3)
        for index, documents in zip(batch.indices.tolist(), objective.rebuild(inputs), strict=True):
            row = reader[index]
            bounds = [*row.doc_starts.tolist(), row.length]
            assert documents == [row.input_ids[a:b].tolist() for a, b in zip(bounds, bounds[1:], strict=False)]
        seen += inputs.n_valid
    assert seen > 300


def test_density_and_mean_length(reader: PackReader) -> None:
    for density, mean, n in [(0.15, 3.0, 500), (0.5, 5.0, 200), (0.15, 3.0, 11)]:
        objective = spans(reader, density=density, mean_length=mean, room=3.0)
        ids = np.random.default_rng(0).integers(0, 256, (400, 1000 // n * n))
        marks = np.broadcast_to(np.arange(ids.shape[1]) // n, ids.shape)
        inputs = objective.prepare(batch_of(ids, marks), 1)
        targets = inputs.targets.numpy()  # type: ignore[union-attr]
        sentinel = np.isin(targets, objective.vocabulary.sentinels)
        spans_made = sentinel.sum()
        noise = ((targets >= 0) & ~sentinel & (targets != EOS)).sum()
        documents = ids.size // n
        # Rounded by chance, the tokens of a document vary by less than 1/2 (a fraction's deviation is at most 1/2).
        assert abs(noise - density * ids.size) < 4 * 0.5 * documents**0.5
        if n > 100:
            assert abs(noise / spans_made - mean) < 0.05
            made = n * (1 - density + density / mean)  # a document's length with sentinels
            at = np.argwhere(np.isin(inputs.input_ids.numpy(), objective.vocabulary.sentinels))[:, 1] % made
            in_first_half = (at < made / 2).mean()
            assert abs(in_first_half - 0.5) < 0.05  # spans lie anywhere


def test_every_choice_of_spans_is_equally_likely(reader: PackReader) -> None:
    # 8 tokens, 4 of them in 2 spans: gaps (a, 1 + b, c) with a + b + c = 3 and spans (1, 3), (2, 2), (3, 1):
    # 10 * 3 outcomes. 30 000 documents, chi-square with 29 degrees of freedom.
    objective = spans(reader, density=0.5, mean_length=2.0, room=4.0)
    ids = np.tile(np.arange(8), (3000, 10))
    inputs = objective.prepare(batch_of(ids, np.tile(np.arange(80) // 8, (3000, 1))), 0)
    targets, marks = inputs.targets.numpy(), inputs.decoder_segments.numpy()  # type: ignore[union-attr]
    counts: dict[tuple[int, ...], int] = {}
    for b in range(3000):
        for d in range(10):
            found = tuple(targets[b][marks[b] == d].tolist())
            counts[found] = counts.get(found, 0) + 1
    assert len(counts) == 30 and stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_spans_stay_apart_and_inside_their_document(reader: PackReader) -> None:
    objective = spans(reader, density=0.6, mean_length=2.0, room=4.0)
    ids, segments = random_rows(9, 50, 200, mean=15)
    inputs = objective.prepare(batch_of(ids, segments), 0)
    given_ids, marks = inputs.input_ids.numpy(), inputs.segment_ids.numpy()  # type: ignore[union-attr]
    sentinel = np.isin(given_ids, objective.vocabulary.sentinels)
    touching = sentinel[:, 1:] & sentinel[:, :-1] & (marks[:, 1:] == marks[:, :-1])
    assert sentinel.sum() > 500 and not touching.any()
    for b in range(50):  # every document counts its sentinels from the first on
        for segment in set(marks[b]) - {-1}:
            mine = given_ids[b][(marks[b] == segment) & sentinel[b]]
            assert mine.tolist() == objective.vocabulary.sentinels[: len(mine)].tolist()


def test_a_row_without_room_leaves_documents_whole(reader: PackReader) -> None:
    for prefix in (False, True):
        objective = spans(reader, room=1.0, prefix=prefix)
        ids, segments = random_rows(1, 20, 100, mean=4)
        inputs = objective.prepare(batch_of(ids, segments), 0)
        whole = [[r[a:b] for _, a, b in pieces(m)] for r, m in zip(ids, segments, strict=True)]
        assert objective.rebuild(inputs) == whole
        width = inputs.targets.shape[1]  # type: ignore[union-attr]
        assert width == (
            100 + objective.options.decoder_length(100) if prefix else objective.options.decoder_length(100)
        )


def test_sentinels_begin_above_the_vocabulary(tmp_path: Path) -> None:
    reader = open_packs(pack_set(tmp_path, [[("a" * 32, list(range(100)) * 50)]], 4096, 4))
    objective = spans(reader)
    sentinels = objective.vocabulary.sentinels.tolist()
    assert len(set(sentinels)) == len(sentinels) >= 4096 * 0.15 / 3
    assert objective.extra_ids == len(sentinels) - 100 > 0 and min(sentinels) > reader.vocab_size
    assert max(sentinels) == reader.total_ids + objective.extra_ids - 1
    assert not set(sentinels) & {reader.pad_id, objective.vocabulary.mask_id, *objective.vocabulary.control}
    batch = next(iter(PackLoader(reader, 1, segments=True)))
    inputs = objective.prepare(batch, 0)
    assert objective.rebuild(inputs) == [[batch.input_ids[0].tolist()]]
    assert int(inputs.input_ids.max()) >= reader.total_ids


def test_what_is_refused(reader: PackReader) -> None:
    for options, words in [
        ({"density": 1.0}, "density"), ({"mean_length": 0.5}, "mean_length"), ({"room": 0.5}, "room"),
        ({"mean": 3}, "no option 'mean'"),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            spans(reader, **options)
    assert spans(reader).forms == ("encoder_decoder",) and spans(reader, prefix=True).forms == ("decoder",)


@pytest.mark.parametrize(("mean", "low", "high"), [(8, 0.141, 0.145), (20, 0.148, 0.1505), (100, 0.149, 0.151)])
def test_what_the_room_costs_short_documents(reader: PackReader, mean: int, low: float, high: float) -> None:
    """The share of text in spans, in sequences of 512, is what docs/objectives.md says; more room gives more."""
    rng = np.random.default_rng(0)
    segments = np.zeros((400, 512), np.int32)
    for row in segments:
        ends = np.cumsum(np.maximum(2, rng.exponential(mean, 512).astype(int)))
        row[:] = np.searchsorted(ends, np.arange(512), side="right")
    ids = np.full(segments.shape, 5)
    last = np.ones(segments.shape, bool)
    last[:, :-1] = segments[:, 1:] != segments[:, :-1]
    ids[last] = EOS
    shares = []
    for room in (1.5, 4.0):
        targets = spans(reader, room=room).prepare(batch_of(ids.tolist(), segments.tolist()), 0).targets
        assert targets is not None
        shares.append(int((targets == 5).sum()) / int((ids == 5).sum()))
    assert low < shares[0] < high and shares[0] <= shares[1] < 0.151
