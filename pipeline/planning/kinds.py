"""How the rounds of tasks of each step grow with the corpus: what is linear, what is not, and why.

- `map`: tasks that each take their own shard. Linear, on all cores.
- `shuffle`: every shard's output goes to every partition. Linear in documents, for partitions are bounded, but less
  parallel; where a measured exponent is known it stands in `EXPONENTS`.
- `serial`: one task, however large the corpus: linear, on one core, and its memory grows too.
- `constant`: as much for a large corpus as for a small one.
"""

from __future__ import annotations

MAP, SHUFFLE, SERIAL, CONSTANT = "map", "shuffle", "serial", "constant"

_CONSTANT = ("train_tokenizer", "pretrain")
_SHUFFLED = ("minhash_dedup", "exact_dedup", "line_dedup", "substring_dedup", "mix")
_OF_SHARDS = (
    "hash",
    "sign",
    "split",
    "apply",
    "cut",
    "first",
    "indexes",
    "fill",
    "catalogue",
    "gather",
    "draw",
    "order",
)
"""Rounds of these steps that have one task a shard."""
_TO_PARTITIONS = ("gather", "draw", "order")
"""Of these, the ones that are shuffles: they read all partitions, or write many."""
_SERIAL = {
    ("mix", "plan"), ("mix", "clusters"), ("line_dedup", "merge"), ("substring_dedup", "bounds"),
    ("select_dsir", "choose"), ("select_top", "choose"), ("select_random", "choose"), ("select_buckets", "choose"),
}  # fmt: skip

EXPONENTS = {("minhash_dedup", "link"): 1.2}
"""Seconds grow with documents to this power: 2.4, 15.5 and 38.0 s at 1, 3 and 10 million documents, and
log10(38.0 / 2.4) is 1.2 (benchmarks/results/dedup_scale.json)."""

SERIAL_BYTES = {("mix", "plan"): 27, ("mix", "clusters"): 537}
"""Memory a document of one task that takes the whole corpus: 420.1 and 444.0 MB at 100 000 and a million documents,
with near-duplicates 517.8 and 1000.6 MB (benchmarks/results/mixing.json)."""

SERIAL_S = {("mix", "plan"): 7.0e-6, ("mix", "clusters"): 4.2e-6}
"""The most seconds a document of such a task, for small runs, in which its start hides them: the whole step took 1.09
and 7.39 s at 100 000 and a million documents, with near-duplicates 2.26 and 12.39 s (the same measurement)."""

WORKING_BYTES = {"minhash_dedup": 1350}
"""Bytes of working files a document that come and go within a step, at their most: 1328 to 1355 (dedup_scale.json)."""

DOCUMENTS_PER_TASK = {
    ("exact_dedup", "choose"): 1_000_000,
    ("minhash_dedup", "link"): 571_428,
    ("minhash_dedup", "components"): 2_285_714,
    ("minhash_dedup", "label"): 2_285_714,
    ("minhash_dedup", "compare"): 70_000,
}
"""What a partition holds at most: `ROWS_PER_PARTITION`; `KEYS_PER_PARTITION` and four times `LINKS_PER_PARTITION` over
FineWeb's 14 bands; for `compare` `GROUP_BYTES` of texts of 3 kB where a third of the documents resembles another."""
OTHERWISE = 1_000_000


def kind_of(step: str, label: str) -> str:
    """The kind of a round of tasks, by its step's name and its label."""
    if step in _CONSTANT:
        return CONSTANT
    if (step, label) in _SERIAL:
        return SERIAL
    if label in _TO_PARTITIONS:
        return SHUFFLE
    return SHUFFLE if step in _SHUFFLED and label and label not in _OF_SHARDS else MAP


def tasks_of(step: str, label: str, shards: int, documents: float) -> int:
    """Tasks of a round that is neither serial nor constant."""
    if kind_of(step, label) == MAP or label in _OF_SHARDS:
        return shards
    return max(1, -(-int(documents) // DOCUMENTS_PER_TASK.get((step, label), OTHERWISE)))


def exponent_of(step: str, label: str) -> float:
    """The power of the number of documents with which the round's seconds grow."""
    return EXPONENTS.get((step, label), 1.0)
