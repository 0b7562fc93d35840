"""MinHash dedup from end to end, against brute force over Python sets of words."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from dedup import lsh, minhash, settle
from dedup.minhash import MinhashDedup
from pipeline.errors import ConfigError, SchemaError, StepFailed
from pipeline.runner import RayRunner
from tests.dedup.test_clusters import searched
from tests.dedup.tools import corpus, run_step

WORDS = [a + b for a in ("ka", "lo", "mi", "ne", "pu", "ra", "so", "ti", "vu", "ze") for b in "abcdefghijklmnopqrst"]


def written(rng: random.Random, words: int) -> list[str]:
    return [rng.choice(WORDS) for _ in range(words)]


def changed(rng: random.Random, words: list[str], edits: int) -> list[str]:
    """The words with some of them replaced."""
    words = list(words)
    for place in rng.sample(range(len(words)), edits):
        words[place] = rng.choice(WORDS)
    return words


def families(seed: int, count: int = 40) -> list[dict]:
    """Documents in families of near and less near copies, in no order."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        first = written(rng, rng.randint(60, 200))
        texts.append(first)
        for _ in range(rng.randint(0, 4)):
            texts.append(changed(rng, first, rng.randint(0, 12)))
    rng.shuffle(texts)
    return [
        {"id": f"{(i * 7919) % 1009:04d}", "text": " ".join(words), "date": f"20{rng.randint(10, 25)}-01-01"}
        for i, words in enumerate(texts)
    ]


def shingles(text: str, n: int = 5) -> set:
    words = text.split()
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def order(row: dict) -> tuple:
    return -len(row["text"].encode()), row["date"], row["id"]


def candidates(rows: list[dict], step: MinhashDedup) -> list[set]:
    keys, _, _ = step.parameters.described(pa.chunked_array([pa.array([r["text"] for r in rows], pa.large_string())]))
    return [set(enumerate(one)) for one in keys.tolist()]


def greedy(rows: list[dict], step: MinhashDedup) -> dict[str, tuple[str, float]]:
    keys = dict(zip((r["id"] for r in rows), candidates(rows, step), strict=True))
    sets = {r["id"]: shingles(r["text"]) for r in rows}
    kept: list[str] = []
    gone = {}
    for row in sorted(rows, key=order):
        name = row["id"]
        for other in kept:
            value = len(sets[name] & sets[other]) / len(sets[name] | sets[other])
            if keys[name] & keys[other] and value >= step.least_similarity:
                gone[name] = (other, value)
                break
        else:
            kept.append(name)
    return gone


def test_against_brute_force(tmp_path):
    rows = families(3)
    step = MinhashDedup()
    kept, dropped, manifest = run_step(
        step, tmp_path / "out", corpus(tmp_path / "in", [rows[::3], rows[1::3], rows[2::3]])
    )
    want = greedy(rows, step)
    assert len(want) > 20
    assert {r["id"]: r["duplicate_of"] for r in dropped} == {k: v[0] for k, v in want.items()}
    for row in dropped:
        assert row["similarity"] == pytest.approx(want[row["id"]][1], abs=1e-6)
        assert (row["drop_filter"], row["drop_reason"]) == ("minhash_dedup", "near_duplicate")
    assert [r["id"] for r in kept] == [r["id"] for s in range(3) for r in rows[s::3] if r["id"] not in want]
    heirs = Counter(v[0] for v in want.values())
    assert {r["id"]: r["copies"] for r in kept} == {r["id"]: 1 + heirs[r["id"]] for r in kept}
    report = manifest["report"]
    assert report["removed"] == len(dropped) and report["documents"] == len(rows) == report["signed"]
    assert sum(report["cluster_sizes"].values()) == len(heirs)
    assert manifest["counts"][0]["dropped"] == {"near_duplicate": len(dropped)}
    left = {p.name for p in (tmp_path / "out").iterdir()}
    assert left <= {"kept", "dropped", "done", "timings", "plan.json"}


def test_without_verification_components_go(tmp_path):
    rows = families(4)
    step = MinhashDedup(verify=False)
    _, dropped, _ = run_step(step, tmp_path / "out", corpus(tmp_path / "in", [rows[::2], rows[1::2]]))
    ranked = sorted(rows, key=order)
    keys = candidates(ranked, step)
    links = [(i, j) for i in range(len(rows)) for j in range(i) if keys[i] & keys[j]]
    root = searched(links)
    want = {ranked[i]["id"]: ranked[r]["id"] for i, r in root.items() if i != r}
    assert {r["id"]: r["duplicate_of"] for r in dropped} == want
    assert all(r["similarity"] is None for r in dropped)


@pytest.mark.parametrize(
    "small",
    [
        {},
        {"KEYS_PER_PARTITION": 300, "LINKS_PER_PARTITION": 40},
        {"GROUP_BYTES": 20_000, "NODES_PER_FILE": 1, "BLOCK_BYTES": 9_000},
    ],
)
def test_survivors_don_t_depend_on_files_or_partitions(tmp_path, monkeypatch, small):
    rows = families(5)
    rng = random.Random(1)
    for name, value in small.items():
        for module in (lsh, minhash, settle):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    want = set(greedy(rows, MinhashDedup()))
    for shards in (1, 4, 7):
        rng.shuffle(rows)
        folder = tmp_path / str(shards)
        _, dropped, manifest = run_step(
            MinhashDedup(), folder / "out", corpus(folder / "in", [rows[i::shards] for i in range(shards)])
        )
        assert {r["id"] for r in dropped} == want
        if "LINKS_PER_PARTITION" in small:
            assert manifest["report"]["rounds"] > 1


def test_memory_of_a_worker_changes_partitions_alone(tmp_path, monkeypatch):
    for name, value in {"KEYS_PER_PARTITION": 300, "LINKS_PER_PARTITION": 40}.items():
        monkeypatch.setattr(lsh, name, value)
    monkeypatch.setattr(minhash, "GROUP_BYTES", 20_000)
    monkeypatch.setattr(minhash, "AT_ONCE", 1)
    documents = corpus(tmp_path / "in", [families(5)])
    found, tasks = [], []
    for gb in (2.0, 8.0):
        step = MinhashDedup(worker_gb=gb)
        found.append(run_step(step, tmp_path / f"{gb}", documents)[:2])
        done = [path.name.split("-")[0] for path in (tmp_path / f"{gb}" / "done").iterdir()]
        tasks.append(Counter(done))
        assert (step.config() == MinhashDedup().config()) == (gb == 2)  # a run that was killed isn't gone on with
    assert found[0] == found[1]
    for name in ("link", "label", "settle"):
        assert tasks[1][name] == pytest.approx(tasks[0][name] / 4, abs=1)


def test_workers_change_no_byte(tmp_path):
    rows = families(6, 12)
    documents = corpus(tmp_path / "in", [rows[::2], rows[1::2]])
    _, _, alone = run_step(MinhashDedup(), tmp_path / "a", documents)
    with RayRunner(workers=2) as runner:
        _, _, together = run_step(MinhashDedup(), tmp_path / "b", documents, runner)
    assert alone == together


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    rows = families(7)
    documents = corpus(tmp_path / "in", [rows[::3], rows[1::3], rows[2::3]])
    _, _, whole = run_step(MinhashDedup(), tmp_path / "a", documents)
    for place, call in enumerate(("sign", "gather", "settle")):
        real, calls = getattr(minhash, call), []

        def dies(task, real=real, calls=calls, call=call):
            calls.append(task)
            if len(calls) == (1 if call == "settle" else 2):
                raise StepFailed("killed")
            return real(task)

        monkeypatch.setattr(minhash, call, dies)
        with pytest.raises(StepFailed, match="killed"):
            run_step(MinhashDedup(), tmp_path / f"b{place}", documents)
        monkeypatch.setattr(minhash, call, real)
        _, _, again = run_step(MinhashDedup(), tmp_path / f"b{place}", documents)
        assert again == whole


def test_no_templated_site_is_erased(tmp_path):
    """300 pages of one template, each with a fifth of its own: transitive closure leaves one page, verification all."""
    rng = random.Random(8)
    template = written(rng, 400)
    rows = []
    for i in range(300):
        own = written(rng, 100)
        at = rng.randrange(0, 300)
        rows.append({"id": f"{i:03d}", "text": " ".join(template[:at] + own + template[at:]), "date": "2020"})
    documents = corpus(tmp_path / "in", [rows])
    step = MinhashDedup()
    _, dropped, manifest = run_step(step, tmp_path / "a", documents)
    assert not dropped
    assert manifest["report"]["largest_components"][0]["documents"] > 200
    _, dropped, _ = run_step(MinhashDedup(verify=False), tmp_path / "b", documents)
    assert len(dropped) > 200


def test_near_copies_in_a_templated_site_go(tmp_path):
    rng = random.Random(9)
    template = written(rng, 200)
    own = [written(rng, 200) for _ in range(30)]
    texts = [template + words for words in own] + [template + changed(rng, words, 4) for words in own]
    rows = [{"id": f"{i:03d}", "text": " ".join(t), "date": "2020"} for i, t in enumerate(texts)]
    kept, dropped, _ = run_step(MinhashDedup(keep=()), tmp_path / "a", corpus(tmp_path / "in", [rows]))
    assert {r["id"]: r["duplicate_of"] for r in dropped} == {f"{i + 30:03d}": f"{i:03d}" for i in range(30)}
    assert len(kept) == 30


def test_documents_without_words_stay(tmp_path):
    rows = [{"id": str(i), "text": text} for i, text in enumerate(["", "", " \n", "\0", "a", "a", "…", "a b", "b a"])]
    kept, dropped, _ = run_step(MinhashDedup(), tmp_path / "out", corpus(tmp_path / "in", [rows]))
    assert {r["id"] for r in kept} >= {"0", "1", "2"}
    assert {"4", "5"} - {r["id"] for r in kept} != set()
    assert len(kept) + len(dropped) == len(rows)


@pytest.mark.parametrize("shards", [[], [[]], [[], [{"id": "a", "text": "one two"}], []]])
def test_next_to_nothing(tmp_path, shards):
    kept, dropped, manifest = run_step(MinhashDedup(), tmp_path / "out", corpus(tmp_path / "in", shards))
    assert len(kept) == sum(map(len, shards)) and not dropped
    assert len(manifest["artefact"]) == len(shards)


def test_policy_and_missing_ids(tmp_path):
    text = " ".join(written(random.Random(2), 80))
    rows = [{"id": None, "text": text, "quality": q} for q in (0.5, float("nan"), 0.9, None)]
    kept, dropped, _ = run_step(MinhashDedup(keep=("-quality",)), tmp_path / "out", corpus(tmp_path / "in", [rows]))
    assert [r["quality"] for r in kept] == [0.9]
    assert len(dropped) == 3


def test_containment(tmp_path):
    long = written(random.Random(12), 300)
    rows = [{"id": "b", "text": " ".join(long[:275])}, {"id": "a", "text": " ".join(long)}]
    documents = corpus(tmp_path / "in", [rows])
    _, dropped, _ = run_step(MinhashDedup(measure="containment", threshold=0.99), tmp_path / "a", documents)
    assert [(r["id"], r["duplicate_of"], r["similarity"]) for r in dropped] == [("b", "a", 1.0)]
    assert not run_step(MinhashDedup(threshold=0.99), tmp_path / "b", documents)[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "finewep"}, "fineweb"),
        ({"bands": 0}, "bands"),
        ({"threshold": 0.0}, "threshold"),
        ({"worker_gb": 1.0}, "worker_gb must be at least 2"),
        ({"measure": "cosine"}, "containment"),
        ({"unit": "tokens"}, "characters"),
        ({"keep": ("no column!",)}, "keep"),
        ({"num_perm": 128}, "threshold"),
        ({"num_perm": 128, "threshold": 0.8, "bands": 3}, "neither"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        MinhashDedup(**options).check()


def test_columns():
    assert MinhashDedup().columns({"id", "text", "record"}) == {"id", "text", "record", "copies"}
    with pytest.raises(SchemaError, match="quality"):
        MinhashDedup(keep=("-quality",)).columns({"id", "text", "record"})
    with pytest.raises(SchemaError, match="text"):
        MinhashDedup().columns({"id"})


def test_the_fingerprint_holds_what_the_preset_says():
    assert MinhashDedup().config() != MinhashDedup(preset="dclm").config()
    same = MinhashDedup(bands=MinhashDedup().parameters.bands).parameters
    assert same == MinhashDedup().parameters


def test_datasketch_chooses_bands_for_a_threshold():
    from datasketch import MinHashLSH

    for threshold in (0.5, 0.8):
        parameters = MinhashDedup(num_perm=128, threshold=threshold).parameters
        theirs = MinHashLSH(threshold=threshold, num_perm=128)
        assert (parameters.bands, parameters.rows, parameters.num_perm) == (theirs.b, theirs.r, 128)


def test_nodes():
    rows = np.array([0, 5, (1 << 40) - 1])
    nodes = lsh.nodes_of(1234, rows)
    assert lsh.shard_of(nodes).tolist() == [1234] * 3 and lsh.row_of(nodes).tolist() == rows.tolist()
