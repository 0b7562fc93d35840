"""Truth about duplicates among real pages: sets of word-5 shingles in plain Python, and the Jaccard of all pairs.

Nothing here is dedup's own: the texts are normalised with `str`, `unicodedata` and `regex`, words are cut by the module
`regex`, shingles are hashed by xxh3, and the pairs counted by a product of sparse matrices.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .common import SHARED
from .texts import FOLDER, real_pages

if TYPE_CHECKING:
    from pipeline.runner import Runner

SHINGLE = 5
ROWS_PER_SHARD = 2000
SEPARATORS = ".,\u060c\u066b\u2396\u2397\u2398"
"""May part the digits of one number (datatrove 0.10.1, utils/text.py)."""


def pages(folder: Path = FOLDER) -> pa.Table:
    """All real pages: id, url, text, lang, record, `source` (the WARC's name) and `cluster` (of re-crawls, or null)."""
    docs = real_pages(folder, ["id", "url", "text", "lang", "record"]).combine_chunks()
    clusters = {}
    for path in sorted((SHARED / "html").glob("*.index.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if row.get("cluster"):
                    clusters[row["sha1"]] = row["cluster"]
    records = docs["record"].to_pylist()
    digests = [base64.b32decode(r["digest"].removeprefix("sha1:")).hex() if r["digest"] else "" for r in records]
    docs = docs.append_column("source", pa.array([r["file"].removesuffix(".warc.gz") for r in records]))
    return docs.append_column("cluster", pa.array([clusters.get(d) for d in digests], pa.string()))


def simplified(text: str) -> str:
    """datatrove's normalisation in its order: small letters, numbers, punctuation, white space, accents.

    Equal to its `simplify_text` on each of the 7 167 real pages.
    """
    import regex

    from filters.kernels.tables import CCNET_PUNCTUATION

    if not _TABLE:
        _TABLE.update(dict.fromkeys(map(ord, CCNET_PUNCTUATION), " "))
        _TABLE.update(dict.fromkeys([*range(9), 11, 12, *range(13, 32), *range(127, 160)], " "))
    text = regex.sub(rf"\p{{Nd}}+(?:[{SEPARATORS}]\p{{Nd}}+)?", "0", text.lower()).translate(_TABLE)
    text = unicodedata.normalize("NFD", " ".join(text.split()))
    return "".join(c for c in text if unicodedata.category(c) != "Mn").strip()


_TABLE: dict[int, str] = {}


def words(text: str) -> list[str]:
    """UAX #29 words of a normalised text, as the module `regex` cuts them."""
    import regex

    return [w for w in regex.split(r"(?V1w)\b", text) if w and not w.isspace()]


def shingle_set(text: str) -> NDArray[np.uint64]:
    """xxh3 hashes of the word-5 shingles, sorted, each once; of all there is for a shorter text."""
    import xxhash

    cut = words(simplified(text))
    made = {"\x1f".join(cut[i : i + SHINGLE]) for i in range(max(1, len(cut) - SHINGLE + 1))} if cut else set()
    return np.sort(np.array([xxhash.xxh3_64_intdigest(one.encode()) for one in made], np.uint64))


@dataclass(frozen=True)
class Pairs:
    """Pairs a < b of documents that share a shingle, with their Jaccard, not below some floor."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    jaccard: NDArray[np.float64]

    def lookup(self) -> dict[tuple[int, int], float]:
        """Jaccard by pair."""
        return dict(zip(zip(self.a.tolist(), self.b.tolist(), strict=True), self.jaccard.tolist(), strict=True))

    def partners(self, n: int, least: float) -> list[list[tuple[int, float]]]:
        """Of each of n documents, those at least so similar."""
        found: list[list[tuple[int, float]]] = [[] for _ in range(n)]
        for i, j, value in zip(self.a.tolist(), self.b.tolist(), self.jaccard.tolist(), strict=True):
            if value >= least:
                found[i].append((j, value))
                found[j].append((i, value))
        return found


def all_pairs(sets: list[NDArray[np.uint64]], floor: float = 0.1, block: int = 500) -> Pairs:
    """Brute force: the Jaccard of every pair, those of at least `floor`; empty sets are like none."""
    from scipy import sparse

    sizes = np.array([len(one) for one in sets], np.int64)
    _, column, count = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    row = np.repeat(np.arange(len(sets)), sizes)
    shared = count[column] > 1
    matrix = sparse.csr_array(
        (np.ones(int(shared.sum()), np.int32), (row[shared], column[shared])), shape=(len(sets), len(count))
    )
    turned = matrix.T.tocsr()
    parts = []
    for start in range(0, len(sets), block):
        product = (matrix[start : start + block] @ turned).tocoo()
        a, b = product.row.astype(np.int64) + start, product.col.astype(np.int64)
        value = product.data / (sizes[a] + sizes[b] - product.data)
        wanted = (a < b) & (value >= floor)
        parts.append((a[wanted], b[wanted], value[wanted]))
    a, b, value = (np.concatenate(one) for one in zip(*parts, strict=True))
    order = np.lexsort((b, a))
    return Pairs(a[order], b[order], value[order])


def write_shards(docs: pa.Table, folder: Path) -> Any:
    """The pages as shards, in their order, and the artefact that a step reads."""
    from pipeline.steps import Artefact

    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for index, first in enumerate(range(0, docs.num_rows, ROWS_PER_SHARD)):
        names.append(f"{index:05d}.parquet")
        shard = docs.slice(first, ROWS_PER_SHARD).drop_columns(["source", "cluster"])
        pq.write_table(shard, folder / names[-1], compression="zstd")
    return Artefact("documents", folder, "pages", tuple(names), docs.num_rows)


def deduplicated(
    documents: Any, target: Path, runner: Runner | None = None, **options: Any
) -> tuple[pa.Table, dict[str, Any]]:
    """(id, duplicate_of, similarity of each removed document; the report) of a run in this process."""
    from dedup.minhash import MinhashDedup
    from pipeline.progress import Progress
    from pipeline.runner import InlineRunner
    from pipeline.steps import StepContext
    from pipeline.store import StepFolder

    step = MinhashDedup(**options)
    step.check()
    folder = StepFolder(target)
    folder.begin("truth", {})
    progress = Progress(quiet=True, stream=io.StringIO())
    manifest = step.run(StepContext("minhash", folder, {"documents": documents}, runner or InlineRunner(), progress))
    files = [target / one["file"] for one in manifest["files"] if one["file"].startswith("dropped/")]
    return pa.concat_tables([pq.read_table(f, columns=["id", "duplicate_of", "similarity"]) for f in files]), manifest[
        "report"
    ]
