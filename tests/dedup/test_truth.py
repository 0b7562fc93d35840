"""MinHash dedup of real pages against the Jaccard of every pair: a small `make bench-dedup-truth` for every change."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from benchmarks.dedup_pages import Pairs, all_pairs, shingle_set, simplified
from benchmarks.dedup_truth import Keys, judged
from dedup.minhash import MinhashDedup
from dedup.signatures import s_curve
from tests.dedup.tools import corpus, run_step

MARKUP = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>|&\w+;", re.S | re.I)
FILES = {"debian_handbook": 300, "ota_recrawl": 80, "debian_cppreference": 200}
LONGEST = 15_000


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> list[list[dict]]:
    """The first pages of files that are rich in duplicates and templates, markup cut away, a shard a file."""
    pytest.importorskip("scipy")
    shards = []
    for name, count in FILES.items():
        with open(shared_data / "html" / f"{name}.warc.gz", "rb") as stream:
            records = ArchiveIterator(stream, record_types=WarcRecordType.response)
            pages = [MARKUP.sub(" ", one.reader.read().decode("utf-8", "replace")) for one in islice(records, count)]
        shards.append([{"id": f"{name}-{i:04d}", "text": text[:LONGEST]} for i, text in enumerate(pages)])
    return shards


@pytest.fixture(scope="module")
def texts(rows: list[list[dict]]) -> list[str]:
    return [row["text"] for shard in rows for row in shard]


@pytest.fixture(scope="module")
def pairs(texts: list[str]) -> Pairs:
    return all_pairs([shingle_set(text) for text in texts])


def test_every_removal_has_a_similar_kept_partner(rows, pairs, tmp_path):
    ids = [row["id"] for shard in rows for row in shard]
    place = {one: i for i, one in enumerate(ids)}
    known = pairs.lookup()
    step = MinhashDedup()
    kept, dropped, _ = run_step(step, tmp_path / "a", corpus(tmp_path / "in", rows))
    assert len(dropped) > 30 and len(kept) + len(dropped) == len(ids)
    names = {row["id"] for row in kept}
    for row in dropped:
        value = known[tuple(sorted((place[row["id"]], place[row["duplicate_of"]])))]
        assert row["duplicate_of"] in names and value >= step.least_similarity
        assert row["similarity"] == pytest.approx(value, abs=1e-5)
    gone = {place[row["id"]] for row in dropped}
    assert judged(gone, pairs, len(ids), step.least_similarity)["without_kept_partner_at_threshold"] == 0

    _, dropped, _ = run_step(MinhashDedup(verify=False), tmp_path / "b", corpus(tmp_path / "in", rows))
    loose = judged({place[row["id"]] for row in dropped}, pairs, len(ids), step.least_similarity)
    assert loose["without_kept_partner_at_threshold"] > 5


def test_recall_follows_the_s_curve(texts, pairs):
    """The mean over 400 seeds lies within four standard errors of it, taken from how the seeds differ."""
    keys = Keys(pa.chunked_array([pa.array(texts, pa.large_string())]))
    expected = s_curve(pairs.jaccard, keys.parameters.bands, keys.parameters.rows)
    made = [keys.made(seed) for seed in range(1, 401)]
    found = np.stack([(one[pairs.a] == one[pairs.b]).any(1) for one in made])
    for low, high in ((0.3, 0.5), (0.5, 0.6), (0.6, 0.75), (0.75, 0.9), (0.9, 1.01)):
        inside = (pairs.jaccard >= low) & (pairs.jaccard < high)
        assert inside.sum() > 20
        difference = found[:, inside].mean(1) - expected[inside].mean()
        error = difference.std(ddof=1) / np.sqrt(len(made))
        assert abs(difference.mean()) <= 4 * error + 3 / (len(made) * inside.sum())


def test_the_truth_knows_what_it_does():
    assert simplified("  Été 1,234.5 «Ünï»\tX\x00y ") == "ete 0 0 uni x y"
    sets = [shingle_set(text) for text in ("a b c d e f", "a b c d e g", "a b", "a b", "")]
    assert [len(one) for one in sets] == [2, 2, 1, 1, 0]
    found = all_pairs(sets, 0.0)
    assert found.lookup() == {(0, 1): pytest.approx(1 / 3), (2, 3): 1.0}
