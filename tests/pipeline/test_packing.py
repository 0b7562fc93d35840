"""Best-fit packing against a slow one in plain Python; layouts cover every token once."""

from __future__ import annotations

import gzip
import json
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.packing.bestfit import best_fit
from pipeline.packing.draws import DrawSet, Phase, order_keys, partition_of, read_draws
from pipeline.packing.layout import Layout, concatenate, fit
from pipeline.packing.statistics import cut_by_concatenation
from pipeline.packing.tasks import plan_tasks

from .token_tools import byte_tokenizer, drawn, write_shard


def _slow_best_fit(lengths: list[int], capacity: int, openers: int) -> tuple[list[int], int]:
    """Every bin looked at for every piece: least room that holds it, of several the one touched last."""
    rooms: list[int] = []
    touched: list[int] = []
    out = []
    for i, length in enumerate(lengths):
        fitting = [(room, -touched[b], b) for b, room in enumerate(rooms) if room >= length]
        if fitting:
            which = min(fitting)[2]
        elif i < openers:
            which = len(rooms)
            rooms.append(capacity)
            touched.append(i)
        else:
            out.append(-1)
            continue
        rooms[which] -= length
        touched[which] = i
        out.append(which)
    return out, len(rooms)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 70).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(1, c), max_size=60))), st.data())
def test_best_fit_is_the_slow_one(case: tuple[int, list[int]], data: st.DataObject) -> None:
    capacity, lengths = case
    lengths = sorted(lengths, reverse=True)
    openers = data.draw(st.integers(0, len(lengths)))
    bins, count = best_fit(np.array(lengths, np.int64), capacity, openers)
    assert (bins.tolist(), count) == _slow_best_fit(lengths, capacity, openers)


@pytest.mark.parametrize("capacity", [1, 63, 64, 65, 2048])
def test_best_fit_at_the_tree_s_edges(capacity: int) -> None:
    sizes = np.sort(np.random.default_rng(capacity).integers(1, capacity + 1, 400))[::-1].astype(np.int64)
    bins, count = best_fit(sizes, capacity)
    assert (bins.tolist(), count) == _slow_best_fit(sizes.tolist(), capacity, len(sizes))
    assert (np.bincount(bins, sizes) <= capacity).all()


def _check(layout: Layout) -> None:
    """Pieces lie one after the other from 0 in each sequence, all sequences are used, in order."""
    assert np.unique(layout.sequence).tolist() == list(range(layout.sequences))
    at: dict[int, int] = {}
    last = 0
    for sequence, start, tokens in zip(
        layout.sequence.tolist(), layout.start.tolist(), layout.tokens.tolist(), strict=True
    ):
        assert sequence >= last and tokens > 0
        last = sequence
        assert start == at.get(sequence, 0)
        at[sequence] = start + tokens
        assert at[sequence] <= layout.length


def _covered(layouts: list[Layout]) -> list[tuple[int, int]]:
    return sorted(
        (int(d), k)
        for layout in layouts
        for d, o, n in zip(layout.draw, layout.offset, layout.tokens, strict=True)
        for k in range(o, o + n)
    )


COUNTS = st.lists(st.integers(1, 90), max_size=30)


@settings(max_examples=80, deadline=None)
@given(COUNTS, st.sampled_from([(8,), (1,), (16, 40), (4, 8, 32)]))
def test_fit_holds_every_token_once_and_cuts_only_what_is_too_long(counts: list[int], lengths: tuple[int, ...]) -> None:
    layouts = fit(np.array(counts, np.int64), lengths)
    for layout, length in zip(layouts, lengths, strict=True):
        assert layout.length == length
        _check(layout)
    assert _covered(layouts) == [(d, k) for d, n in enumerate(counts) for k in range(n)]
    pieces = [(int(d), length) for layout, length in zip(layouts, lengths, strict=True) for d in layout.draw]
    for draw, count in enumerate(counts):
        mine = [length for d, length in pieces if d == draw]
        assert len(mine) == -(-count // lengths[-1])
        if count <= lengths[-1]:  # whole: in the shortest length that holds it, or as a filler in a longer one
            assert mine[0] >= next(length for length in lengths if count <= length)


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.integers(1, 20))
def test_fit_needs_the_bins_of_the_slow_packing(counts: list[int], length: int) -> None:
    (layout,) = fit(np.array(counts, np.int64), (length,))
    pieces = sorted((min(length, n - o) for n in counts for o in range(0, n, length)), reverse=True)
    bins, count = _slow_best_fit(pieces, length, len(pieces))
    assert layout.sequences == count
    want = sorted(sorted(n for n, b in zip(pieces, bins, strict=True) if b == which) for which in range(count))
    got = sorted(sorted(layout.tokens[layout.sequence == s].tolist()) for s in range(layout.sequences))
    assert got == want


def test_sequences_stand_in_the_order_of_their_first_draws() -> None:
    counts = np.random.default_rng(3).integers(1, 150, 500)
    (layout,) = fit(counts, (100,))
    first = [int(layout.draw[layout.sequence == s][0]) for s in range(layout.sequences)]
    assert first == sorted(first)
    within = [np.diff(layout.draw[layout.sequence == s]) for s in range(layout.sequences)]
    assert all((steps >= 0).all() for steps in within)


def test_long_sequences_are_filled_with_short_documents() -> None:
    counts = np.array([70] * 10 + [10] * 40 + [30] * 10)
    short, long = fit(counts, (32, 100))
    assert long.sequences == 10 and (np.bincount(long.sequence, long.tokens) == 100).all()
    assert set(long.draw.tolist()) > set(range(10))
    assert short.tokens.sum() + long.tokens.sum() == counts.sum()


@given(COUNTS, st.integers(0, 40), st.integers(1, 20))
def test_what_concatenation_cuts(counts: list[int], first: int, length: int) -> None:
    at, want = first, 0
    for n in counts:
        want += len({k // length for k in range(at, at + n)}) > 1
        at += n
    assert cut_by_concatenation(np.array(counts, np.int64), first, length) == want


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 9), st.data())
def test_concatenate_cuts_a_range_of_the_stream(counts: list[int], length: int, data: st.DataObject) -> None:
    stream = [(d, k) for d, n in enumerate(counts) for k in range(n)]
    begin = data.draw(st.integers(0, len(stream) - 1))
    end = data.draw(st.integers(begin + 1, len(stream)))
    layout = concatenate(np.array(counts, np.int64), begin, end, length)
    _check(layout)
    got = [
        (int(d), k) for d, o, n in zip(layout.draw, layout.offset, layout.tokens, strict=True) for k in range(o, o + n)
    ]
    assert got == stream[begin:end]


def test_plans_keep_phases_apart_and_cover_their_tokens() -> None:
    draws = DrawSet(
        files=(), shards=(), tokens=(50, 0, 33, 70, 10), documents=(5, 0, 3, 7, 1),
        phases=(Phase("early", 0, 3), Phase("late", 3, 5)), tokenizer="t.json",
    )  # fmt: skip
    draws.check()
    tasks = plan_tasks(draws, "concatenate", (8,), 2)
    assert [t.index for t in tasks] == list(range(len(tasks)))
    for phase, (first, last, total) in enumerate([(0, 3, 83), (3, 5, 80)]):
        mine = [t for t in tasks if t.phase == phase]
        assert all(first <= t.first < t.last <= last for t in mine)
        assert sum(t.end - t.begin for t in mine) == total
        assert all(t.end - t.begin == 16 for t in mine[:-1])
    fitted = plan_tasks(draws, "best_fit", (8,), 2)
    assert [(t.phase, t.first, t.begin) for t in fitted] == [(0, 0, 0), (0, 2, 50), (1, 3, 0), (1, 4, 70)]


def test_the_order_is_a_hash_of_seed_and_id_alone(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import pyarrow as pa

    names = [f"{i:032x}" for i in range(2000)]
    keys = order_keys(pa.array(names), 5)
    assert np.array_equal(order_keys(pa.array(names[::-1]), 5)[::-1], keys)
    assert (order_keys(pa.array(names), 6) != keys).all() and (order_keys(pa.array(names), 5, copy=1) != keys).all()
    counts = np.bincount(partition_of(keys, 10), minlength=10)
    assert ((counts - 200) ** 2 / 200).sum() < 33.7  # chi-square, 9 degrees of freedom, p = 1e-4
    assert (np.diff(partition_of(np.sort(keys), 7)) >= 0).all()

    tokenizer = byte_tokenizer(tmp_path / "t.json")
    documents = [(name, [1, 2, 3]) for name in names]
    one = write_shard(tmp_path / "all.arrow", documents, 100)
    parts = [write_shard(tmp_path / f"{i}.arrow", documents[i::3], 7) for i in range(3)]
    orders = []
    for paths, partitions in (([one], 1), ([one], 8), (parts, 5)):
        draws = drawn(tmp_path / str(len(orders)), paths, tokenizer, seed=5, order="shuffle", partitions=partitions)
        assert sum(draws.documents) == 2000
        table = read_draws(draws.files, range(partitions))
        orders.append(table["id"].to_pylist())
    assert orders[0] == orders[1] == orders[2] == [names[i] for i in np.argsort(keys)]


def test_a_draw_set_is_read_as_written(tmp_path) -> None:  # type: ignore[no-untyped-def]
    tokenizer = byte_tokenizer(tmp_path / "t.json")
    path = write_shard(tmp_path / "s.arrow", [("a" * 32, [1]), ("b" * 32, []), ("c" * 32, [2, 3])], 2)
    draws = drawn(tmp_path, [path], tokenizer)
    assert draws.empty_documents == 1 and draws.tokens == (3,) and draws.documents == (2,)
    draws.write(tmp_path)
    again = DrawSet.read(tmp_path)
    assert read_draws(again.files, [0]).equals(read_draws(draws.files, [0]))
    assert (again.tokens, again.phases, again.empty_documents) == (draws.tokens, draws.phases, 1)


def test_real_documents_fill_their_sequences(shared_data) -> None:  # type: ignore[no-untyped-def]
    """Utilisation over 99.5 % at T = 2048 on real pages, and far fewer cuts than concatenation."""
    from pipeline.bpe import load_tokenizer

    tokenizer = load_tokenizer(shared_data / "tokenizers" / "allenai_gpt-neox-olmo-dolma-v1_5.json")
    with gzip.open(shared_data / "html" / "gold" / "wcxb.jsonl.gz", "rt", encoding="utf-8") as lines:
        pages = [json.loads(line)["text"] for line in islice(lines, 500)]
    encoded = tokenizer.tokenizer.encode_batch_fast(pages, add_special_tokens=False)
    counts = np.array([len(one.ids) + 1 for one in encoded], np.int64)
    (layout,) = fit(counts, (2048,))
    assert counts.sum() / (layout.sequences * 2048) > 0.995
    assert (counts > 2048).sum() < 0.8 * cut_by_concatenation(counts, 0, 2048)
