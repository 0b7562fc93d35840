"""Documents to look at: random removed ones, those near the threshold on both sides, and members of large clusters.

Samples are drawn by seed and id, so that the order of files and the number of workers play no part.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import GristmillError
from pipeline.inspect.examples import bounded, rows_at
from pipeline.storage import local_file, place

from ..index import Index
from ..minhash import MinhashDedup
from ..minhash_parameters import MinhashParameters
from ..shingles import shingle_hashes
from .found import DedupStep, keys_of
from .texts import READ_CHARS, common_text, word_diff

URL_CHARS = 300
MEMBERS = 8
"""Documents that are read of a cluster or component."""
SHOWN_CLUSTERS = 12
KEPT, DROPPED = 0, 1

Place = tuple[int, int]
"""(KEPT or DROPPED, row over these files)."""


@dataclass
class Chosen:
    """A removed document: its place, and what its row says but the text."""

    place: Place
    row: dict[str, Any]


@dataclass
class Choice:
    """What one pass over the dropped rows chose."""

    random: list[Chosen] = field(default_factory=list)
    above: list[Chosen] = field(default_factory=list)
    members: dict[str, list[Chosen]] = field(default_factory=dict)


def choose(step: DedupStep, n: int, clusters: Sequence[str], seed: int) -> Choice:
    """`n` random removals with a partner, the `n` least similar ones, and some members of each cluster."""
    random_: list[tuple[int, int, Chosen]] = []
    above: list[tuple[float, int, int, Chosen]] = []
    members: dict[str, list[tuple[int, int, Chosen]]] = {name: [] for name in clusters}
    wanted = pa.array(list(clusters), pa.string())
    for first, table in step.dropped_rows():
        keys = keys_of(table["id"], seed)
        partner = pc.fill_null(table["duplicate_of"].cast(pa.string()), "")
        named = pc.not_equal(partner, "").to_numpy(zero_copy_only=False)
        similar = table["similarity"].cast(pa.float64()).to_numpy(zero_copy_only=False)
        similar = np.where(named, np.nan_to_num(similar.astype(np.float64), nan=2.0), 2.0)
        inside = _members(pc.fill_null(pc.index_in(partner, value_set=wanted), -1).to_numpy(), keys)
        least = np.lexsort((keys, similar))[:n]
        candidates = {
            *_smallest(np.where(named, keys, np.uint64(2**64 - 1)), n),
            *least[similar[least] < 2.0].tolist(),
            *inside.tolist(),
        }
        for i in sorted(candidates):
            row = {name: table[name][i].as_py() for name in table.column_names}
            one, key = Chosen((DROPPED, first + i), row), int(keys[i])
            if named[i]:
                _keep(random_, (-key, -one.place[1], one), n)
            if similar[i] < 2.0:
                _keep(above, (-float(similar[i]), -key, -one.place[1], one), n)
            if row["duplicate_of"] in members:
                _keep(members[row["duplicate_of"]], (-key, -one.place[1], one), MEMBERS - 1)
    return Choice(
        [entry[-1] for entry in sorted(random_, reverse=True)],
        [entry[-1] for entry in sorted(above, reverse=True)],
        {name: [entry[-1] for entry in sorted(found, reverse=True)] for name, found in members.items()},
    )


def _members(cluster: NDArray[np.int32], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The rows with the smallest keys of each cluster, MEMBERS - 1 of each; -1 is none."""
    order = np.lexsort((keys, cluster))
    order = order[cluster[order] >= 0]
    new = np.ones(len(order), bool)
    new[1:] = cluster[order][1:] != cluster[order][:-1]
    starts = np.flatnonzero(new)
    rank = np.arange(len(order)) - starts[np.cumsum(new) - 1] if len(order) else order
    return order[rank < MEMBERS - 1]


def _smallest(keys: NDArray[np.uint64], n: int) -> list[int]:
    if n >= len(keys):
        return list(range(len(keys)))
    found: list[int] = np.argpartition(keys, n)[:n].tolist() if n else []
    return found


def _keep(heap: list[Any], entry: Any, n: int) -> None:
    """Keep the `n` largest entries."""
    if len(heap) < n:
        heapq.heappush(heap, entry)
    elif n and entry > heap[0]:
        heapq.heapreplace(heap, entry)


class Documents:
    """The texts, URLs and shingle sets of chosen documents, read once."""

    def __init__(self, step: DedupStep, parameters: MinhashParameters | None) -> None:
        self._step, self._parameters = step, parameters
        self._rows: dict[Place, dict[str, Any]] = {}
        self.sets: dict[Place, NDArray[np.uint64]] = {}

    def find(self, ids: Iterable[str], dropped: bool = False) -> dict[str, Place]:
        """Where these documents lie, each at its first place; kept ones go before dropped ones."""
        wanted = pa.array(sorted(set(ids)), pa.string())
        found: dict[str, Place] = {}
        for which, files in ((KEPT, self._step.kept), (DROPPED, self._step.dropped if dropped else ())):
            for row, name in _places(files, wanted):
                found.setdefault(name, (which, row))
        return found

    def read(self, places: Iterable[Place], shingles: bool = False) -> None:
        """Read these documents; with `shingles` their sets, too."""
        missing = {p for p in places if p not in self._rows or (shingles and p not in self.sets)}
        for at, row in rows_at(self._step.kept, self._step.dropped, missing, ("id", "url", "text")):
            value = row.to_pylist()[0]
            text = value.get("text") or ""
            self._rows[at] = {"id": value.get("id"), "url": value.get("url"), "text": text[:READ_CHARS]}
            if shingles and self._parameters is not None:
                self.sets[at] = shingle_hashes(row["text"], self._parameters.shingling)[0]

    def text(self, place: Place) -> str:
        """The beginning of a text."""
        return str(self._rows[place]["text"])

    def about(self, place: Place) -> dict[str, Any]:
        """Id and URL, bounded."""
        row = self._rows[place]
        return {"id": bounded(row["id"]), "url": bounded(row["url"], URL_CHARS)}


def _places(files: Sequence[Path], wanted: pa.Array) -> Iterable[tuple[int, str]]:
    first = 0
    for path in files:
        for batch in pq.ParquetFile(local_file(path)).iter_batches(1 << 16, columns=["id"]):
            ids = batch.column(0).cast(pa.string())
            hits = pc.is_in(ids, value_set=wanted).to_numpy(zero_copy_only=False)
            for i in np.flatnonzero(hits).tolist():
                yield first + i, ids[i].as_py()
            first += batch.num_rows


def likeness(a: NDArray[np.uint64], b: NDArray[np.uint64], measure: str) -> float:
    """Jaccard similarity of two sets of hashes, or containment in the smaller one; 1 for empty ones."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    whole = min(len(a), len(b)) if measure == "containment" else len(a) + len(b) - shared
    return shared / whole if whole else 1.0


def looked_at(step: DedupStep, n: int, seed: int, largest: list[dict[str, Any]]) -> dict[str, Any]:
    """Pairs with their differences and clusters with what they share, all bounded."""
    made = step.minhash
    documents = Documents(step, made.parameters if made else None)
    chosen = choose(step, n, [one["kept"] for one in largest[:SHOWN_CLUSTERS]], seed)
    told = {c.row["duplicate_of"]: c.row["duplicate_in"] for c in chosen.random + chosen.above if c.row["duplicate_in"]}
    partners = [c.row["duplicate_of"] for c in chosen.random + chosen.above] + list(chosen.members)
    where = documents.find(one for one in partners if one not in told)
    elsewhere = _in_indexes(told)
    pairs = {
        name: [_removed(documents, one, where, elsewhere, made) for one in some]
        for name, some in (("random", chosen.random), ("above", chosen.above))
    }
    below, missed, compared = _below(documents, step, made, n)
    return {
        "random_pairs": pairs["random"],
        "above_threshold": pairs["above"] if made is not None and made.verify else [],
        "below_threshold": below,
        "kept_pairs_compared": compared,
        "kept_pairs_above_threshold": missed,
        "largest_clusters": [
            {**one, **_shared(documents, [p for p in [where.get(one["kept"])] if p] + _of(chosen.members, one["kept"]))}
            for one in largest[:SHOWN_CLUSTERS]
        ],
        "largest_components": _components(documents, step),
    }


def _of(members: dict[str, list[Chosen]], name: str) -> list[Place]:
    return [one.place for one in members.get(name, [])]


def _in_indexes(told: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Kept partners that lie in an index, as far as the index is still there."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(set(told.values())):
        try:
            index = Index.open(place(path))
        except GristmillError:
            continue  # gone or changed since: the report names the index and the id, without a URL
        found |= {row["id"]: row for row in index.find([name for name, place in told.items() if place == path])}
    return found


def _removed(
    documents: Documents,
    one: Chosen,
    where: dict[str, Place],
    elsewhere: dict[str, dict[str, Any]],
    made: MinhashDedup | None,
) -> dict[str, Any]:
    """A removed document beside the one that stays."""
    name, index = one.row["duplicate_of"], one.row["duplicate_in"]
    documents.read([one.place], shingles=made is not None)
    told = {"similarity": one.row["similarity"], "reason": one.row["drop_reason"], "gone": documents.about(one.place)}
    kept = where.get(name)
    if index or kept is None:
        url = bounded((elsewhere.get(name) or {}).get("url"), URL_CHARS)
        return {**told, "kept": {"id": bounded(name), "url": url}, "index": bounded(index), "diff": []}
    documents.read([kept], shingles=made is not None)
    if told["similarity"] is None and made is not None:
        told["similarity"] = likeness(documents.sets[kept], documents.sets[one.place], made.measure)
    diff = word_diff(documents.text(kept), documents.text(one.place))
    return {**told, "kept": documents.about(kept), "index": None, "diff": diff}


def _below(
    documents: Documents, step: DedupStep, made: MinhashDedup | None, n: int
) -> tuple[list[dict[str, Any]], int, int]:
    """(pairs of kept documents of one component, most similar first; pairs over the threshold; pairs compared).

    Over the threshold are pairs that share no band, and so were not compared: what LSH did not find.
    """
    report = step.manifest.get("report") or {}
    components = [*report.get("sampled_components", []), *report.get("largest_components", [])]
    groups = [one["members"] for one in components if len(one.get("members", [])) > 1]
    if made is None or not groups or not made.verify:
        return [], 0, 0
    where = documents.find(name for members in groups for name in members if name)
    kept = {tuple(sorted({where[name] for name in members if name in where})) for members in groups}
    documents.read((place for group in kept for place in group), shingles=True)
    found = []
    for a, b in sorted({pair for group in kept for pair in combinations(group, 2)}):
        found.append((likeness(documents.sets[a], documents.sets[b], made.measure), a, b))
    missed = sum(value >= made.least_similarity for value, _, _ in found)
    below = [entry for entry in found if entry[0] < made.least_similarity]
    below.sort(key=lambda entry: (-entry[0], documents.about(entry[1])["id"] or "", entry[1:]))
    pairs = [
        {"similarity": value, "kept": documents.about(a), "gone": documents.about(b), "index": None, "reason": None,
         "diff": word_diff(documents.text(a), documents.text(b))}
        for value, a, b in below[:n]
    ]  # fmt: skip
    return pairs, missed, len(found)


def _components(documents: Documents, step: DedupStep) -> list[dict[str, Any]]:
    largest = (step.manifest.get("report") or {}).get("largest_components", [])[:SHOWN_CLUSTERS]
    where = documents.find((name for one in largest for name in one.get("members", []) if name), dropped=True)
    return [
        {
            "first": bounded(one["first"]),
            "documents": one["documents"],
            "kept": one["kept"],
            **_shared(documents, [where[name] for name in one.get("members", []) if name in where]),
        }
        for one in largest
    ]


def _shared(documents: Documents, places: Sequence[Place]) -> dict[str, Any]:
    """What some documents of a cluster share, and their URLs."""
    documents.read(places)
    return {
        "read": len(places),
        "common_text": common_text([documents.text(place) for place in places]),
        "members": [documents.about(place) for place in places],
    }
