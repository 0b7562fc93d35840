"""Cuts, held-out clusters, quantiles and groups against brute force over small catalogues."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtures.catalogue import epoch_keys
from mixtures.cuts import share_out
from mixtures.near import SHINGLE, shingles
from mixtures.planning import decide
from mixtures.positions import Cut, find_cuts
from mixtures.recipe import parse_mixture


def catalogue(rows: list[dict]) -> pl.LazyFrame:
    """A catalogue from plain rows; each document is a cluster unless it says otherwise."""
    draw = np.random.default_rng(len(rows))
    full = []
    for i, row in enumerate(rows):
        key = int(draw.integers(0, 1 << 64, dtype=np.uint64))
        full.append(
            {"source": "a", "shard": i % 3, "row": i // 3, "n_tokens": 10, "key": key, "lang": "en", "domain": "d",
             "date": None, "score": None, "control": None, "cluster": key, "stale": False, **row}
        )  # fmt: skip
    sizes: dict[int, int] = {}
    for row in full:
        sizes[row["cluster"]] = sizes.get(row["cluster"], 0) + row["n_tokens"]
    kinds = {"source": pl.String, "shard": pl.Int32, "row": pl.Int64, "n_tokens": pl.Int64, "key": pl.UInt64,
             "lang": pl.String, "domain": pl.String, "date": pl.String, "score": pl.Float64, "control": pl.Float64,
             "cluster": pl.UInt64, "stale": pl.Boolean, "cluster_tokens": pl.Int64}  # fmt: skip
    return pl.LazyFrame([{**row, "cluster_tokens": sizes[row["cluster"]]} for row in full], schema=kinds)


def recipe(**keys):
    return parse_mixture({"sources": {"a": {"run": "x"}}, **keys}, "test")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 90), st.sampled_from("abc")), min_size=1, max_size=60), st.data())
def test_cuts_are_where_the_tokens_are(documents, data):
    frame = catalogue([{"n_tokens": n, "lang": lang} for n, lang in documents])
    rows = frame.collect().to_dicts()
    wanted = []
    for lang in sorted({lang for _, lang in documents}):
        total = sum(n for n, one in documents if one == lang)
        wanted.append((lang, data.draw(st.integers(-1, 3)), data.draw(st.integers(0, total - 1))))
    asked = pl.DataFrame(wanted, schema={"lang": pl.String, "epoch": pl.Int64, "position": pl.Int64}, orient="row")
    for (lang, epoch, position), cut in zip(wanted, find_cuts(frame, ["lang"], asked), strict=True):
        own = [row for row in rows if row["lang"] == lang]
        order = {row["key"]: int(epoch_keys(np.array([row["key"]], np.uint64), epoch)[0]) for row in own}
        at = 0
        for row in sorted(own, key=lambda row, order=order: order[row["key"]]):
            if position < at + row["n_tokens"]:
                break
            at += row["n_tokens"]
        assert cut == Cut(epoch, order[row["key"]], row["shard"], row["row"], position - at, row["n_tokens"])


def cut(name: int, before: int, size: int) -> Cut:
    return Cut(0, name, 0, name, before, size) if before or size else Cut(0)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=3, max_size=3), max_size=6),
    st.integers(1, 100),
)
def test_every_phase_is_within_the_tolerance(strata, tolerance):
    """Over all strata of a source: the error up to each phase's end is less than the tolerance, and never above 0."""
    cuts = [
        [
            cut(10 * i + k, min(pair), max(pair) + (min(pair) == max(pair))) if any(pair) else Cut(0)
            for k, pair in enumerate(row)
        ]
        for i, row in enumerate(strata)
    ]
    made = share_out(cuts, tolerance)
    for k in range(3):
        error = sum(row[k].given - row[k].before for row in made)
        assert -tolerance < error <= 0
        divided = [row[k] for row in made if row[k].given not in (0, row[k].size)]
        assert len(divided) <= 1
    for row, other in zip(made, cuts, strict=True):
        assert [dataclasses.replace(one, given=0) for one in row] == other
        assert all(0 <= one.given <= one.size for one in row)


def test_a_document_that_holds_several_ends_is_cut_at_each():
    """Its first part must not be taken twice: three phases end within one document of 1000 tokens."""
    row = [Cut(0, 5, 0, 5, before, 1000) for before in (200, 500, 900)]
    assert [one.given for one in share_out([row], 10)[0]] == [200, 500, 900]
    other = [Cut(0, 6, 0, 6, before, 300) for before in (299, 299, 299)]
    for made in zip(*share_out([row, other], 10), strict=True):
        assert -10 < sum(one.given - one.before for one in made) <= 0
    assert [one.given for one in share_out([row, other], 10)[0]] == sorted(
        one.given for one in share_out([row, other], 10)[0]
    )


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("most", [10_000_000, 150])
def test_held_out_clusters_are_the_first_that_fit(share, most):
    draw = np.random.default_rng(4)
    clusters = draw.integers(0, 1 << 63, 40).tolist()
    rows = [{"n_tokens": int(draw.integers(1, 30)), "cluster": int(draw.choice(clusters))} for _ in range(200)]
    made = decide(catalogue(rows), recipe(held_out={"share": share, "max_tokens": most}))
    limit = min(int(share * sum(row["n_tokens"] for row in rows)), most)
    sizes = {c: sum(row["n_tokens"] for row in rows if row["cluster"] == c) for c in clusters}
    taken = total = 0
    for c in sorted(c for c, n in sizes.items() if 0 < n <= limit):
        if total + sizes[c] > limit:
            break
        taken, total = taken + 1, total + sizes[c]
    held = sum(row["tokens"] for row in made.counts if row["fate"] == "held_out")
    assert held == total
    if not taken:
        assert "nothing is held out" in made.warnings[0]


def test_quality_quantiles_share_the_tokens():
    draw = np.random.default_rng(0)
    rows = [{"n_tokens": int(draw.integers(1, 50)), "score": round(float(draw.random()), 3)} for _ in range(500)]
    made = decide(catalogue(rows), recipe(quality={"edges": [0.25, 0.9], "quantiles": True, "repeat": [1, 1, 1]}))
    total = sum(row["n_tokens"] for row in rows)
    got = [sum(s.tokens for s in made.strata if s.bucket == b) / total for b in range(3)]
    assert got == pytest.approx([0.25, 0.65, 0.1], abs=0.01)
    low, high = made.edges["a"]
    for stratum, (a, b) in zip(made.strata, ((0, low), (low, high), (high, 2)), strict=True):
        assert stratum.tokens == sum(row["n_tokens"] for row in rows if a <= row["score"] < b)


def test_small_domains_are_one_group():
    rows = [{"n_tokens": n, "domain": d} for n, d in ((50, "a"), (40, "b"), (30, "c"), (5, "d"), (60, "a"))]
    made = decide(catalogue(rows), recipe(temperature={"by": "domain", "exponent": 0.5, "top": 2}))
    assert {s.group: s.tokens for s in made.strata} == {"a": 110, "b": 40, "(others)": 35}


def test_shingles_are_those_of_the_documents():
    draw = np.random.default_rng(2)
    documents = [draw.integers(0, 5, n).tolist() for n in (0, 1, 3, 4, 5, 6, 40, 2, 0, 9)]
    offsets = np.cumsum([0, *map(len, documents)])
    hashes, bounds = shingles(np.array(sum(documents, []), np.uint16), offsets.astype(np.int64))
    known: dict[int, tuple] = {}
    for ids, begin, end in zip(documents, bounds[:-1], bounds[1:], strict=True):
        wanted = [tuple(ids[i : i + SHINGLE]) for i in range(max(1, len(ids) - SHINGLE + 1))] if ids else []
        assert end - begin == len(wanted)
        for value, shingle in zip(hashes[begin:end].tolist(), wanted, strict=True):
            assert known.setdefault(value, shingle) == shingle
    assert len(set(known.values())) == len(known)
