"""The step `mix` against plain Python: counts, streams, caps, held-out sets, clusters, dates, workers, kills."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixtures.catalogue import epoch_keys
from mixtures.recipe import load_mixture
from mixtures.step import Mix
from pipeline.errors import ConfigError
from pipeline.packing import draws
from pipeline.packing.draws import order_keys
from pipeline.runner import RayRunner
from tests.runs import digests

from .mix_tools import Doc, Mixed, make_run, mix, random_docs

TOLERANCE = 32


def counted(made: Mixed, docs: dict[str, list[Doc]]) -> dict[tuple[str, str], int]:
    """Tokens by (phase, source) of the draws, from the documents' own lengths but for divided ones."""
    owner = {d.id: (name, d) for name, own in docs.items() for d in own}
    tokens: Counter[tuple[str, str]] = Counter()
    for row in made.draws():
        name, doc = owner[row["id"]]
        whole = row["skip"] == 0 and row["n_tokens"] == doc.n
        assert whole or 0 < row["n_tokens"] < doc.n
        tokens[row["phase"], name] += row["n_tokens"]
    return dict(tokens)


def check_counts(made: Mixed, docs: dict[str, list[Doc]]) -> None:
    seen = counted(made, docs)
    for row in made.report["drawn"]:
        assert seen.get((row["phase"], row["source"]), 0) == row["tokens"]
        assert abs(row["tokens"] - row["target_tokens"]) < TOLERANCE
    assert sum(row["divided"] for row in made.report["drawn"]) <= 2 * len(made.report["drawn"])


def key(doc: Doc, epoch: int, seed: int = 0) -> int:
    return int(epoch_keys(order_keys(pa.array([doc.id]), seed), epoch)[0])


def check_streams(made: Mixed, strata: dict[object, list[Doc]], phases: list[str]) -> None:
    """Each stratum's draws, phase after phase, are the begin of its stream: epoch by epoch in the order of the keys."""
    got: dict[str, dict[tuple[str, int], int]] = defaultdict(dict)
    for row in made.draws():
        got[row["phase"]][row["id"], row["copy"]] = got[row["phase"]].get((row["id"], row["copy"]), 0) + row["n_tokens"]
    for docs in strata.values():
        size = {d.id: d.n for d in docs}
        wanted = []
        for phase in phases:
            wanted.append({one: n for one, n in got[phase].items() if one[0] in size})
        stream = [(d.id, e) for e in range(6) for d in sorted(docs, key=lambda d, e=e: key(d, e))]
        at = 0
        left = {}
        for phase in wanted:
            while phase:
                one = stream[at]
                assert one in phase, f"{one} is left out, though later ones are drawn"
                whole = left.pop(one, size[one[0]])
                taken = phase.pop(one)
                if taken < whole:  # divided at the end of a phase
                    left[one] = whole - taken
                    assert not phase
                else:
                    at += 1


def test_counts_and_streams_of_two_sources(tmp_path):
    docs = {"a": random_docs("a", 300, 1), "b": random_docs("b", 120, 2)}
    runs = {name: make_run(tmp_path / name, own, 3) for name, own in docs.items()}
    available = {name: sum(d.n for d in own) for name, own in docs.items()}
    recipe = {
        "sources": {"a": {"run": str(runs["a"]), "weight": 1}, "b": {"run": str(runs["b"]), "weight": 1}},
        "total_tokens": 2 * int(2.6 * available["b"]),
        "temperature": {"by": "lang", "exponent": 0.5},
        "phases": [{"name": "one", "share": 3}, {"name": "two", "share": 1, "weights": {"a": 1, "b": 2}}],
    }
    made = mix(tmp_path / "mix", recipe)
    check_counts(made, docs)
    strata = defaultdict(list)
    for name, own in docs.items():
        for d in own:
            strata[name, d.lang].append(d)
    check_streams(made, strata, ["one", "two"])
    total = recipe["total_tokens"]
    asked = {("one", "a"): 3 / 8, ("one", "b"): 3 / 8, ("two", "a"): 1 / 12, ("two", "b"): 1 / 6}
    for row in made.report["drawn"]:
        assert row["wanted_tokens"] == pytest.approx(asked[row["phase"], row["source"]] * total, abs=1)
        assert abs(row["tokens"] - row["wanted_tokens"]) < TOLERANCE
    places = [(r["phase"], r["key"]) for r in made.draws() if r["phase"] == "one"]
    assert places == sorted(places)  # the global order is that of the keys
    described = pq.read_table(sorted((tmp_path / "mix" / "documents" / "train").glob("*.parquet"))[0])
    assert set(described["source"].to_pylist()) == {"a"}
    times = Counter((r["path"], r["id"]) for r in made.draws())
    assert dict(zip(described["id"].to_pylist(), described["draws"].to_pylist(), strict=True)) == {
        i: n for (path, i), n in times.items() if path.endswith("a/07-tokenize/tokens/00000.arrow")
    }


@pytest.mark.parametrize("longest", [60, 900])
@pytest.mark.parametrize("seed", range(3))
def test_counts_over_many_phases_and_buckets(tmp_path, seed, longest):
    """Documents much longer than the tolerance, and phases shorter than a document."""
    docs = {"a": random_docs("a", 80, seed, longest)}
    run = make_run(tmp_path / "a", docs["a"])
    recipe = {
        "seed": seed, "sources": {"a": {"run": str(run), "epochs": 1.37}},
        "temperature": {"exponent": 0.6}, "quality": {"edges": [0.25, 0.75], "repeat": [0, 1, 2]},
        "phases": [{"name": f"p{i}", "share": share} for i, share in enumerate((5, 0.2, 0.1, 2, 0.05))],
    }  # fmt: skip
    made = mix(tmp_path / "mix", recipe)
    seen = counted(made, docs)
    for row in made.report["drawn"]:
        assert (
            seen.get((row["phase"], "a"), 0) == row["tokens"] and abs(row["tokens"] - row["target_tokens"]) < TOLERANCE
        )
    drawn = {row["id"] for row in made.draws()}
    assert not drawn & {d.id for d in docs["a"] if d.quality is not None and np.float32(d.quality) < 0.25}


def test_a_domain_gives_no_more_than_its_cap(tmp_path):
    docs = random_docs("a", 200, 5)
    run = make_run(tmp_path / "a", docs)
    made = mix(tmp_path / "mix", {"sources": {"a": {"run": str(run)}}, "domain_cap": {"tokens": 700}, "seed": 3})
    by_domain = defaultdict(list)
    for d in docs:
        by_domain[d.url.split("/")[2].removeprefix("www.")].append(d)
    kept = set()
    for own in by_domain.values():
        total = 0
        for d in sorted(own, key=lambda d: key(d, -1, 3)):
            total += d.n
            if total > 700:
                break
            kept.add(d.id)
    assert {row["id"] for row in made.draws()} == kept
    assert len(kept) < len(docs)
    fates = {row["fate"]: row["documents"] for row in made.report["fates"]}
    assert fates == {"train": len(kept), "domain_cap": len(docs) - len(kept)}


def with_copies(docs: list[Doc], number: int, seed: int) -> tuple[list[Doc], dict[str, int]]:
    """The documents and near-copies of some of them, with the number of the family of each."""
    draw = np.random.default_rng(seed)
    family = {d.id: i for i, d in enumerate(docs)}
    out = list(docs)
    for i in range(number):
        parent = docs[int(draw.integers(len(docs)))]
        ids = list(parent.ids)
        ids[int(draw.integers(len(ids)))] = 7
        out.append(Doc(f"copy{i:028x}", ids, date=f"2025-0{draw.integers(1, 10)}-20T00:00:00Z"))
        family[out[-1].id] = family[parent.id]
    return out, family


def test_near_duplicates_never_straddle(tmp_path):
    """Clusters lie whole in one set, over two sources; what resembles a fresh document is not trained on."""
    base = [Doc(d.id, [*d.ids, *d.ids[::-1], *range(60, 120), i % 256, i // 256] * 3, date="2025-01-01T00:00:00Z")
            for i, d in enumerate(random_docs("d", 120, 11, 80))]  # fmt: skip
    for i, d in enumerate(base):
        d.ids = np.random.default_rng(i).integers(0, 256, 300).tolist()
    docs, family = with_copies(base, 150, 3)
    runs = [make_run(tmp_path / "a", docs[::2]), make_run(tmp_path / "b", docs[1::2])]
    sources = {"a": {"run": str(runs[0])}, "b": {"run": str(runs[1])}}
    made = mix(tmp_path / "mix", {"sources": sources, "held_out": {"share": 0.2, "after": "2025-07-31"}})
    sets = {
        "train": {r["id"] for r in made.draws()},
        "held_out": {r["id"] for r in made.draws("held_out")},
        "fresh": {r["id"] for r in made.draws("fresh")},
    }
    assert sets["fresh"] == {d.id for d in docs if d.date[:10] > "2025-07-31"} and len(sets["fresh"]) > 10
    families = {name: {family[i] for i in ids} for name, ids in sets.items()}
    assert not families["train"] & families["held_out"] and not families["train"] & families["fresh"]
    assert not families["held_out"] & families["fresh"]
    sizes = {d.id: d.n for d in docs}
    left = sum(sizes[d.id] for d in docs if family[d.id] not in families["fresh"])
    assert 0.1 * left < sum(sizes[i] for i in sets["held_out"]) <= 0.2 * left
    stale = {
        row["source"]: row["documents"] for row in made.report["fates"] if row["fate"] == "near_duplicate_of_fresh"
    }
    assert sum(stale.values()) == len(docs) - sum(map(len, sets.values())) > 0
    apart = mix(tmp_path / "apart", {"sources": sources, "held_out": {"share": 0.2, "near_duplicates": False}})
    ids = {r["id"] for r in apart.draws("held_out")}
    assert {family[i] for i in ids} & {
        family[r["id"]] for r in apart.draws()
    }  # the search for clusters is what does it


def test_the_newest_days_are_held_out(tmp_path):
    docs = [Doc(f"{i:032x}", [1] * 9, date=f"2025-03-{1 + i // 10:02d}T00:00:00Z") for i in range(200)]
    run = make_run(tmp_path / "a", docs)
    made = mix(tmp_path / "mix", {"sources": {"a": {"run": str(run)}},
                                  "held_out": {"newest_share": 0.12, "near_duplicates": False}})  # fmt: skip
    assert {r["id"] for r in made.draws("fresh")} == {d.id for d in docs[180:]}
    assert {r["id"] for r in made.draws()} == {d.id for d in docs[:180]}


def test_control_tokens_by_score(tmp_path):
    docs = random_docs("a", 400, 8)
    run = make_run(tmp_path / "a", docs)
    control = {"column": "quality", "edges": [0.5], "names": ["bad", "good"], "drop_share": 0.1}
    made = mix(tmp_path / "mix", {"sources": {"a": {"run": str(run)}}, "control": control})
    first = 257 + 2 + 100
    by_id = {d.id: d for d in docs}
    without = 0
    for row in made.draws():
        doc = by_id[row["id"]]
        if row["control"] < 0:
            assert row["n_tokens"] == doc.n
            without += doc.quality is not None
        else:
            assert row["n_tokens"] == doc.n + 1
            assert row["control"] == first + (np.float32(doc.quality) >= 0.5)
    scored = sum(d.quality is not None for d in docs)
    assert abs(without - 0.1 * scored) < 4 * (0.09 * scored) ** 0.5
    assert made.report["control_tokens"] == scored - without
    plain = made.folder / "draws.json"
    assert '"good": 360' in plain.read_text()


FULL = {
    "total_tokens": 6000, "temperature": {"by": "domain", "exponent": 0.5, "top": 2}, "domain_cap": {"share": 0.5},
    "quality": {"edges": [0.3, 0.8], "quantiles": True, "repeat": [0.5, 1, 2]},
    "held_out": {"share": 0.05, "after": "2025-08-31"}, "control": {"edges": [0.5], "names": ["x", "y"]},
    "phases": [{"name": "main", "share": 4}, {"name": "late", "share": 1, "repeat": [0, 0, 1]}],
}  # fmt: skip


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Two sources, everything asked for: (recipe, digests of the files made inline)."""
    folder = tmp_path_factory.mktemp("full")
    runs = [make_run(folder / name, random_docs(name, 150, k), 3) for k, name in enumerate("ab")]
    recipe = {"sources": {name: {"run": str(run)} for name, run in zip("ab", runs, strict=True)}, **FULL}
    return recipe, folder, mix(folder / "mix", recipe, partition_tokens=1500)


def same(made: Mixed, other: Mixed) -> bool:
    """Whether both folders hold the same bytes; draws.json names shards relative to itself."""
    return digests(made.folder) == digests(other.folder) and made.report == other.report


@pytest.mark.ray
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_worker_count_changes_nothing(full, workers):
    recipe, folder, made = full
    assert same(made, mix(folder / f"w{workers}", recipe, RayRunner(workers=workers), partition_tokens=1500))


@pytest.mark.parametrize("task", [1, 4])
def test_a_killed_step_goes_on_to_the_same_bytes(full, monkeypatch, task):
    recipe, folder, made = full
    real, calls = draws.draw_table, []

    def dies(*args):
        calls.append(1)
        if len(calls) == task:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr("pipeline.packing.draws.draw_table", dies)
    with pytest.raises(KeyboardInterrupt):
        mix(folder / f"k{task}", recipe, partition_tokens=1500)
    assert same(made, mix(folder / f"k{task}", recipe, partition_tokens=1500))


def test_a_short_source_and_hostile_ones(tmp_path):
    docs = random_docs("a", 20, 4)
    run = make_run(tmp_path / "a", docs)
    tokens = sum(d.n for d in docs)
    made = mix(tmp_path / "mix", {"sources": {"a": {"run": str(run), "tokens": 9 * tokens}}, "max_epochs": 2.5})
    assert abs(made.report["drawn"][0]["tokens"] - 2.5 * tokens) < TOLERANCE
    assert "falls short by" in made.report["warnings"][0]
    assert max(Counter(r["id"] for r in made.draws()).values()) == 3
    empty = make_run(tmp_path / "empty", [Doc(f"{i:032x}", []) for i in range(5)])
    with pytest.raises(ConfigError, match="source 'e' has no token"):
        mix(tmp_path / "none", {"sources": {"a": {"run": str(run)}, "e": {"run": str(empty)}}})
    with pytest.raises(ConfigError, match="no document has the score 'qualty'"):
        mix(tmp_path / "none", {"sources": {"a": {"run": str(run)}},
                                "quality": {"column": "qualty", "edges": [0.5], "repeat": [1, 2]}})  # fmt: skip
    with pytest.raises(ConfigError, match="is not a folder"):
        mix(tmp_path / "none", {"sources": {"a": {"run": str(tmp_path / "no run")}}})
    same_id = make_run(tmp_path / "same", [Doc("0" * 32, [i] * 20) for i in range(50)])
    made = mix(tmp_path / "twins", {"sources": {"a": {"run": str(same_id), "epochs": 0.5}}})
    assert abs(made.report["drawn"][0]["tokens"] - 525) < TOLERANCE
    assert len({(r["shard"], r["row"]) for r in made.draws()}) == 25


def test_the_fingerprint_knows_content_and_not_places(tmp_path):
    docs = random_docs("a", 20, 4)
    recipes = []
    for name in ("one", "two"):
        run = make_run(tmp_path / name / "a", docs)
        path = tmp_path / name / "m.yaml"
        path.write_text(f"sources: {{a: {{run: {run}}}}}\n")
        recipes.append(Mix(mixture=str(path)))
    assert recipes[0].fingerprint([]) == recipes[1].fingerprint([])
    assert load_mixture(recipes[0].mixture).sources["a"].run != load_mixture(recipes[1].mixture).sources["a"].run
    (tmp_path / "two" / "m.yaml").write_text(f"seed: 1\nsources: {{a: {{run: {tmp_path / 'two' / 'a'}}}}}\n")
    assert recipes[0].fingerprint([]) != recipes[1].fingerprint([])
