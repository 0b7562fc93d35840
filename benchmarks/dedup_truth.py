"""MinHash dedup against the truth: the Jaccard of every pair of the pages of ../shared/data/html.

    python -m benchmarks.dedup_truth [--seeds N] [--no-peer] [--no-write]

The truth (`dedup_pages`) shares no code with dedup. Measured are:

- recall: of the pairs in each bin of Jaccard, how many share a band key over many seeds of the permutations, beside
  the mean of the S-curve at their Jaccards. The interval of the difference is a bootstrap over seeds and clusters
  (components of the pairs at least as similar as the bin's lower end, for few clusters hold most pairs).
- removals: whether each document that the default options remove has a kept partner at the threshold or above, the
  same without verification and for datatrove's four stages (with its own words; judged by ours).
- what is removed, by source and language, whether re-crawls are joined, and what is left of templated sets of pages.

Writes benchmarks/results/dedup_truth.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.minhash import MinhashDedup
from dedup.shingles import shingle_hashes
from dedup.signatures import band_keys, s_curve, signatures_of_hashes

from .common import write
from .dedup_pages import ROWS_PER_SHARD, Pairs, all_pairs, deduplicated, pages, shingle_set, write_shards
from .texts import PEER

EDGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.0 + 1e-9)
RESAMPLES = 2000
TEMPLATED = ("debian_libreoffice_help", "debian_cppreference", "udhr_html", "debian_handbook")
PEER_SCRIPT = Path(__file__).parent / "peers" / "datatrove_minhash.py"


class Keys:
    """Band keys of all documents for any seed; shingles are hashed once."""

    def __init__(self, texts: pa.ChunkedArray) -> None:
        self.parameters = MinhashDedup().parameters
        self.hashes, self.offsets = shingle_hashes(texts, self.parameters.shingling)

    def made(self, seed: int) -> NDArray[np.uint64]:
        p = self.parameters
        found = signatures_of_hashes(self.hashes, self.offsets, p.scheme, p.num_perm, seed)
        return band_keys(found, p.bands, p.rows)


def clusters(n: int, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """The component of each document."""
    from scipy import sparse

    graph = sparse.coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n, n))
    labels: NDArray[np.int64] = sparse.csgraph.connected_components(graph, directed=False)[1]
    return labels


def bootstrap(cluster: NDArray[np.int64], difference: NDArray[np.float64]) -> tuple[list[float], int, float]:
    """95 % interval of the mean of difference[seeds, pairs] when clusters and seeds are drawn anew.

    Also the number of clusters, and the share of the pairs that lie in the largest. Where every pair was found or none
    was, resampling shows no spread: there the interval is widened by 3 / (clusters * seeds), the rule of three.
    """
    names, place = np.unique(cluster, return_inverse=True)
    sums = np.stack([np.bincount(place, one) for one in difference])
    sizes = np.bincount(place)
    rng = np.random.default_rng(1)
    means = []
    for _ in range(RESAMPLES):
        clusters = rng.integers(len(names), size=len(names))
        seeds = rng.integers(len(sums), size=len(sums))
        means.append(sums[seeds][:, clusters].sum() / (sizes[clusters].sum() * len(seeds)))
    low, high = np.quantile(means, [0.025, 0.975])
    if (difference > 0).all() or (difference <= 0).all():
        room = 3 / sums.size
        low, high = low - room, high + room
    return [round(float(low), 5), round(float(high), 5)], len(names), round(float(sizes.max() / sizes.sum()), 3)


def recall(keys: Keys, pairs: Pairs, documents: int, seeds: int) -> dict[str, Any]:
    """By bin of Jaccard: pairs that share a band key, beside the S-curve."""
    p = keys.parameters
    expected = s_curve(pairs.jaccard, p.bands, p.rows)
    share = []
    for seed in range(1, seeds + 1):
        made = keys.made(seed)
        share.append((made[pairs.a] == made[pairs.b]).any(1))
    found = np.stack(share).astype(np.float64)
    rows = []
    for low, high in zip(EDGES[:-1], EDGES[1:], strict=True):
        inside = (pairs.jaccard >= low) & (pairs.jaccard < high)
        if not inside.any():
            continue
        above = pairs.jaccard >= low
        label = clusters(documents, pairs.a[above], pairs.b[above])[pairs.a[inside]]
        interval, count, largest = bootstrap(label, found[:, inside] - expected[inside])
        by_seed = found[:, inside].mean(1) - expected[inside].mean()
        rows.append(
            {
                "jaccard": [low, min(high, 1.0)],
                "pairs": int(inside.sum()),
                "clusters": count,
                "share_of_largest_cluster": largest,
                "s_curve": round(float(expected[inside].mean()), 5),
                "recall": round(float(found[:, inside].mean()), 5),
                "difference_interval": interval,
                "within_sampling_error": interval[0] <= 0 <= interval[1],
                "recall_with_default_seed": round(float(found[0, inside].mean()), 4),
                "standard_deviation_between_seeds": round(float(by_seed.std(ddof=1)), 4),
            }
        )
    within = sum(row["within_sampling_error"] for row in rows)
    return {
        "seeds": seeds, "bins": rows, "bins_within_sampling_error": f"{within} of {len(rows)}",
        "candidate_pairs_with_default_seed": candidates(keys.made(1), pairs),
    }  # fmt: skip


def candidates(made: NDArray[np.uint64], pairs: Pairs) -> dict[str, int]:
    """Pairs that share a key with the default seed, and how many of them are not among the `pairs`."""
    shared: set[tuple[int, int]] = set()
    for band in made.T:
        order = np.argsort(band, kind="stable")
        bounds = np.flatnonzero(np.diff(band[order], prepend=band[order[0]] + np.uint64(1)))
        for group in np.split(order, bounds[1:]):
            shared.update((int(i), int(j)) for k, i in enumerate(group) for j in group[k + 1 :])
    return {"all": len(shared), "below_the_lowest_bin": len(shared - pairs.lookup().keys())}


def judged(gone: set[int], pairs: Pairs, documents: int, threshold: float) -> dict[str, Any]:
    """Of removed documents: those without any kept partner at the threshold; pairs that stayed whole above it."""
    near = pairs.partners(documents, threshold)
    alone = sum(all(j in gone for j, _ in near[i]) for i in gone)
    left = sum(
        i not in gone and j not in gone and value >= threshold
        for i, j, value in zip(pairs.a.tolist(), pairs.b.tolist(), pairs.jaccard.tolist(), strict=True)
    )
    return {
        "removed": len(gone),
        "without_kept_partner_at_threshold": alone,
        "share_without": round(alone / max(1, len(gone)), 4),
        "similar_pairs_kept_whole": left,
        "similar_documents": sum(bool(one) for one in near),
    }


def violations(table: pa.Table, place: dict[str, int], pairs: Pairs, threshold: float) -> dict[str, Any]:
    """Removals whose named partner is removed itself or less similar than the threshold, and the similarity's error."""
    gone = {place[one] for one in table["id"].to_pylist()}
    known = pairs.lookup()
    low = removed_partner = 0
    error = 0.0
    for one, other, given in zip(*(table[n].to_pylist() for n in ("id", "duplicate_of", "similarity")), strict=True):
        i, j = sorted((place[one], place[other]))
        value = known.get((i, j), 0.0)
        low += value < threshold
        removed_partner += place[other] in gone
        error = max(error, abs(value - given))
    return {
        "partner_below_threshold": low,
        "partner_not_kept": removed_partner,
        "largest_error_of_similarity": round(error, 6),
    }


def datatrove(shards: Path, folder: Path) -> set[int]:
    """The documents that datatrove removes."""
    command = [str(PEER), str(PEER_SCRIPT), str(shards), str(folder)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    return {shard * ROWS_PER_SHARD + row for shard, row in found["removed"]}


def recrawls(docs: pa.Table, gone: set[int], pairs: Pairs, threshold: float) -> dict[str, Any]:
    """Of each cluster of re-crawls with two or more pages: what was kept, and the similar pairs that both stayed."""
    groups: dict[str, list[int]] = {}
    for i, one in enumerate(docs["cluster"].to_pylist()):
        if one:
            groups.setdefault(one, []).append(i)
    groups = {name: rows for name, rows in groups.items() if len(rows) > 1}
    known = pairs.lookup()
    similar = joined = never = 0
    for rows in groups.values():
        values = [(i, j, known.get((i, j), 0.0)) for k, i in enumerate(rows) for j in rows[k + 1 :]]
        near = [(i, j) for i, j, value in values if value >= threshold]
        similar += len(near)
        joined += sum(i in gone or j in gone for i, j in near)
        never += not near
    pages_in = sum(map(len, groups.values()))
    return {
        "clusters": len(groups),
        "pages": pages_in,
        "kept": pages_in - sum(i in gone for rows in groups.values() for i in rows),
        "clusters_without_a_similar_pair": never,
        "similar_pairs": similar,
        "similar_pairs_of_which_one_went": joined,
    }


def by(docs: pa.Table, column: str, removed: dict[str, set[int]]) -> dict[str, dict[str, int]]:
    """Pages and removals of each value, most removals first."""
    values = docs[column].to_pylist()
    counts = {name: Counter(values[i] for i in gone) for name, gone in removed.items()}
    first = next(iter(counts.values()))
    names = sorted(set(values), key=lambda one: (-first[one], str(one)))
    return {
        str(one): {"pages": values.count(one), **{name: count[one] for name, count in counts.items()}}
        for one in names
        if any(count[one] for count in counts.values())
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="of the permutations")
    parser.add_argument("--no-peer", action="store_true", help="without datatrove")
    parser.add_argument("--no-write", action="store_true", help="print, and leave the result file alone")
    args = parser.parse_args()
    docs = pages()
    n, place = docs.num_rows, {one: i for i, one in enumerate(docs["id"].to_pylist())}
    sets = [shingle_set(text) for text in docs["text"].to_pylist()]
    pairs = all_pairs(sets)
    keys = Keys(docs["text"])
    other = [i for i in range(n) if len(sets[i]) != keys.offsets[i + 1] - keys.offsets[i]]
    threshold = MinhashDedup().least_similarity
    removed: dict[str, set[int]] = {}
    with tempfile.TemporaryDirectory() as name:
        documents = write_shards(docs, Path(name) / "in")
        table, report = deduplicated(documents, Path(name) / "verified")
        removed["verified"] = {place[one] for one in table["id"].to_pylist()}
        loose, _ = deduplicated(documents, Path(name) / "unverified", verify=False)
        removed["unverified"] = {place[one] for one in loose["id"].to_pylist()}
        if not args.no_peer:
            removed["datatrove"] = datatrove(Path(name) / "in", Path(name) / "peer")
    result = {
        "pages": n,
        "text_mb": round(docs["text"].nbytes / 1e6, 1),
        "shingles": sum(map(len, sets)),
        "pairs_from_the_lowest_bin_on": len(pairs.a),
        "threshold": round(threshold, 4),
        "pages_with_other_number_of_shingles_than_dedup": len(other),
        "recall": recall(keys, pairs, n, args.seeds),
        "removals": {name: judged(gone, pairs, n, threshold) for name, gone in removed.items()},
        "violations": violations(table, place, pairs, threshold),
        "report": {k: report[k] for k in ("compared", "component_sizes", "cluster_sizes", "largest_bucket")},
        "recrawls": recrawls(docs, removed["verified"], pairs, threshold),
        "templated": {one: row for one, row in by(docs, "source", removed).items() if one in TEMPLATED},
        "by_source": by(docs, "source", removed),
        "by_language": by(docs, "lang", removed),
    }
    print(json.dumps({k: result[k] for k in ("removals", "violations", "recrawls", "templated")}, indent=1))
    for row in result["recall"]["bins"]:  # type: ignore[index]
        print(row)
    if not args.no_write:
        write("dedup_truth", result, ("numpy", "scipy", "regex", "xxhash", "pyarrow", "datasketch"))


if __name__ == "__main__":
    main()
