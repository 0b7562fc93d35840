"""Near-duplicate removal by MinHash over any number of shards: sign -> link -> components -> compare -> split.

Each part reads and writes partitioned files, so that memory depends on the size of a partition and not on that of the
corpus, and a lost worker or a killed run costs the tasks in flight alone.

Reads `text` (and the policy's columns); kept rows get `copies`, dropped ones `duplicate_of` and `similarity`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import ConfigError, SchemaError, nearest
from pipeline.runner import Task
from pipeline.steps import Artefact, Step, StepContext, register_step
from pipeline.storage import local_file, place

from . import lsh
from .clusters import components
from .groups import FLUSH_BYTES, GatherTask, Labels, gather, label_nodes
from .index import Index
from .keeper import HELP, KeeperPolicy
from .minhash_parameters import MinhashParameters, with_shingles
from .removal import split_all
from .settle import BLOCK_BYTES, EXTRA, LARGEST, SAMPLED, SettleTask, settle
from .shuffle import AT_ONCE, document_batches, partition_count, remove

NODES_PER_FILE = 1 << 18
"""Documents whose band keys a map task holds at most."""
KEYS_PER_FILE = 4_000_000
"""And so many band keys of them at most: about 300 MB."""
GROUP_BYTES = 256 << 20
"""Sets of a group, in the mean."""
LEAST_GB = 2.0
"""What a worker takes with partitions of KEYS_PER_PARTITION, LINKS_PER_PARTITION and GROUP_BYTES."""
WORK = ("bands", "links", "stars", "labels", "groups", "spill", "verdicts")
REASON = "near_duplicate"


@dataclass(frozen=True)
class SignTask:
    """One shard to sign; `against` is the index that it is a file of, "" for documents."""

    index: int
    path: str
    folder: str
    partitions: int
    parameters: MinhashParameters
    against: str = ""


def _keys(task: SignTask) -> Iterator[tuple[pa.Table, NDArray[np.int64], NDArray[np.uint64]]]:
    """(documents, rows that have keys, their keys uint64[n, bands]), batch by batch."""
    if task.against:
        for first, table in Index.open(place(task.against)).read(place(task.path), ["bands"]):
            some = np.flatnonzero(table["id"].is_valid().to_numpy())
            flat = table["bands"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            yield table, first + some, flat.reshape(table.num_rows, -1)[some]
    else:
        for first, table in document_batches(task.path, ["text"]):
            made = task.parameters.keys(table["text"])
            some = with_shingles(made)
            yield table, first + some, made[some]


def nodes_per_file(bands: int) -> int:
    """Documents of one file of band keys, but for the last of a shard."""
    return max(1, min(NODES_PER_FILE, KEYS_PER_FILE // bands))


def sign(task: SignTask) -> dict[str, Any]:
    """Write `bands/<shard>-<part>.arrow`: the band keys of the shard's documents that have a shingle."""
    folder = place(task.folder)
    entries: list[dict[str, Any]] = []
    keys: list[Any] = []
    nodes: list[Any] = []
    row = size = 0

    def flush() -> None:
        if nodes:
            path = folder / "bands" / f"{task.index:05d}-{len(entries):03d}.arrow"
            entries.append(lsh.write_bands(path, np.concatenate(keys), np.concatenate(nodes), task.partitions))
            keys.clear()
            nodes.clear()

    for table, rows, made in _keys(task):
        keys.append(made)
        nodes.append(lsh.nodes_of(task.index, rows))
        row += table.num_rows
        size += 0 if task.against else table["text"].nbytes
        if sum(map(len, nodes)) >= nodes_per_file(task.parameters.bands):
            flush()
    flush()
    return {"intermediate": entries, "n_in": row, "text_bytes": size}


@register_step
@dataclass(frozen=True, kw_only=True)
class MinhashDedup(Step):
    """Keeps one of each set of near-duplicate documents, and nothing is dropped that has no similar kept partner.

    Documents that share one of `bands` keys of `rows` MinHash values each are compared by the true similarity of their
    shingle sets. Of similar ones the first in the order of `keep` stays. Without `verify` whole components go but for
    their first document, as in other tools: faster, and documents go that resemble nothing that stays.
    """

    name: ClassVar[str] = "minhash_dedup"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("documents",)

    preset: str = field(
        default="fineweb", metadata={"help": "shingles, bands and rows: fineweb, refinedweb, dclm, nemo or datasketch"}
    )
    bands: int | None = field(default=None, metadata={"help": "other number of bands than the preset's"})
    rows: int | None = field(default=None, metadata={"help": "other number of rows a band"})
    num_perm: int | None = field(
        default=None,
        metadata={"help": "permutations of which datasketch chooses bands and rows that suit `threshold` best"},
    )
    unit: str | None = field(default=None, metadata={"help": "shingles of `words` or of `characters`"})
    ngram: int | None = field(default=None, metadata={"help": "units a shingle"})
    seed: int | None = field(default=None, metadata={"help": "of the permutations"})
    keep: tuple[str, ...] = field(default=("longest", "oldest"), metadata={"help": HELP})
    verify: bool = field(default=True, metadata={"help": "remove only what is similar enough to a kept document"})
    threshold: float | None = field(
        default=None, metadata={"help": "similarity asked for; default: where the preset's S-curve rises, (1/b)^(1/r)"}
    )
    measure: str = field(
        default="jaccard", metadata={"help": "of shingle sets: `jaccard`, or `containment` in the smaller one"}
    )
    against: tuple[str, ...] = field(
        default=(), metadata={"help": "indexes (`gristmill dedup index build`) whose documents go before all others"}
    )
    max_compared: int = field(
        default=1000, metadata={"help": "kept documents that one is compared with at most, likeliest first"}
    )
    worker_gb: float = field(
        default=LEAST_GB,
        metadata={
            "help": "memory that a worker may take: larger partitions, and the same result within `max_compared`"
        },
    )

    def check(self) -> None:
        from .presets import PRESETS

        where = f"step '{self.name}'"
        if self.preset not in PRESETS:
            raise ConfigError(
                f"{where}: no preset '{self.preset}'{nearest(self.preset, PRESETS)}; there are {', '.join(PRESETS)}"
            )
        for name in ("bands", "rows", "num_perm", "ngram", "max_compared"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{where}: {name} must be at least 1, not {value}")
        if not self.worker_gb >= LEAST_GB:
            raise ConfigError(f"{where}: worker_gb must be at least {LEAST_GB:g}, not {self.worker_gb}")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ConfigError(f"{where}: threshold must lie in (0, 1], not {self.threshold}")
        if self.num_perm is not None and (self.threshold is None or self.bands or self.rows):
            raise ConfigError(
                f"{where}: num_perm wants a threshold to choose bands and rows for, and neither of them given"
            )
        if self.measure not in ("jaccard", "containment"):
            raise ConfigError(f"{where}: measure must be jaccard or containment, not '{self.measure}'")
        if self.unit not in (None, "words", "characters"):
            raise ConfigError(f"{where}: unit must be words or characters, not '{self.unit}'")
        KeeperPolicy.parse(self.keep, where)
        for path in self.against:
            other = Index.open(place(path)).parameters
            if other != self.parameters:
                raise ConfigError(
                    f"{where}: index '{path}' was built with {other}, but this step has {self.parameters}"
                )

    @property
    def parameters(self) -> MinhashParameters:
        """The preset's, with what was given over them."""
        from .presets import PRESETS
        from .signatures import choose_bands

        preset = PRESETS[self.preset]
        shingling = preset.shingling
        shingling = dataclasses.replace(shingling, unit=self.unit or shingling.unit, n=self.ngram or shingling.n)
        bands, rows = self.bands or preset.bands, self.rows or preset.rows
        spare = 0 if self.bands or self.rows else preset.spare
        if self.num_perm is not None and self.threshold is not None:
            bands, rows = choose_bands(self.threshold, self.num_perm)
            spare = self.num_perm - bands * rows
        return MinhashParameters(
            shingling=shingling,
            scheme=preset.scheme,
            seed=preset.seed if self.seed is None else self.seed,
            bands=bands,
            rows=rows,
            spare=spare,
        )

    @property
    def least_similarity(self) -> float:
        """The threshold in force."""
        parameters = self.parameters
        return self.threshold if self.threshold is not None else (1 / parameters.bands) ** (1 / parameters.rows)

    def partition(self, least: int) -> int:
        """A size that is `least` with the least memory, and grows with the memory of a worker."""
        return int(least * self.worker_gb / LEAST_GB)

    def config(self) -> dict[str, Any]:
        indexes = [Index.open(place(path)).revision for path in self.against]
        return {
            **super().config(),  # worker_gb too: half a run's files have its number of partitions
            "indexes": indexes,
            "parameters": self.parameters.config(),
            "least_similarity": self.least_similarity,
        }

    def columns(self, have: set[str]) -> set[str]:
        if "text" not in have:
            raise SchemaError(f"step '{self.name}' reads ['text'], which no earlier step adds; there: {sorted(have)}")
        where = f"step '{self.name}'"
        KeeperPolicy.parse(self.keep, where).check_columns(have, where)
        return have | {"copies"}

    def run(self, context: StepContext) -> dict[str, Any]:
        documents = context.inputs["documents"]
        if len(documents.files) > lsh.MAX_SHARDS:
            raise ConfigError(f"step '{self.name}': more than {lsh.MAX_SHARDS:,} shards; write larger ones")
        report = self._find(context, documents)
        manifest = split_all(context, documents, step=self.name, reason=REASON, extra=EXTRA)
        rounds = [path.name for path in context.folder.path.glob("*-[0-9][0-9]")]
        remove(context.folder.path, *WORK, *rounds)
        return {**manifest, "report": report}

    def _find(self, context: StepContext, documents: Artefact) -> dict[str, Any]:
        """Leave verdicts in the step's folder; returns what the report says of them."""
        parameters, folder = self.parameters, str(context.folder.path)
        inputs = [(str(documents.path / file), "") for file in documents.files]
        given = len(inputs)
        inputs += [(str(file), path) for path in self.against for file in Index.open(place(path)).files()]
        shards = len(inputs)
        rows = documents.rows + sum(pq.read_metadata(local_file(path)).num_rows for path, index in inputs if index)
        partitions = partition_count(rows * parameters.bands, self.partition(lsh.KEYS_PER_PARTITION), AT_ONCE)
        signed = context.map(
            sign,
            [
                Task(f"sign-{i:05d}", SignTask(i, path, folder, partitions, parameters, index))
                for i, (path, index) in enumerate(inputs)
            ],
            label=f"{context.step}: sign",
        )
        files = sum(len(one["intermediate"]) for one in signed)
        if not documents.rows or not files:
            return {"documents": documents.rows, "signed": documents.rows, "removed": 0}
        # a document's bands fall into different partitions: at most so many links
        spread = partition_count(rows * parameters.bands // 4, self.partition(lsh.LINKS_PER_PARTITION))
        own = given if given < shards else lsh.MAX_SHARDS
        linked = context.map(
            lsh.link_buckets,
            [Task(f"link-{p:05d}", lsh.Buckets(p, folder, files, spread, own)) for p in range(partitions)],
            unit="keys",
            label=f"{context.step}: link",
        )
        stars, rounds = components(context, "links", partitions, spread)
        labels = context.map(
            label_nodes,
            [Task(f"label-{p:05d}", Labels(p, folder, stars, spread, shards)) for p in range(spread)],
            unit="nodes",
            label=f"{context.step}: label",
        )
        nodes = sum(one["nodes"] for one in labels)
        size = 2 * sum(one["text_bytes"] for one in signed) // documents.rows + 8 * parameters.bands
        # a set has 8 bytes a word; a node comes with its root
        groups = partition_count(2 * nodes * size, self.partition(GROUP_BYTES), AT_ONCE)
        policy = KeeperPolicy.parse(self.keep, f"step '{self.name}'")
        shared = (folder, spread, groups, policy, parameters, self.verify)
        gathered = context.map(
            gather,
            [
                Task(f"gather-{i:05d}", GatherTask(i, shards, path, *shared, index, self.partition(FLUSH_BYTES)))
                for i, (path, index) in enumerate(inputs)
            ],
            label=f"{context.step}: gather",
        )
        parts = sum(len(one["intermediate"]) for one in gathered)
        how = (self.verify, self.least_similarity, self.measure == "containment", self.max_compared)
        compared = (*how, self.partition(BLOCK_BYTES), max(2, SAMPLED // groups))
        settled = context.map(
            settle,
            [Task(f"settle-{g:05d}", SettleTask(g, folder, parts, given, policy, *compared)) for g in range(groups)],
            label=f"{context.step}: compare",
        )
        return {
            "documents": documents.rows,
            "signed": sum(one["n_in"] for one in signed),
            "band_keys": sum(one["keys"] for one in linked),
            "links": sum(one["links"] for one in linked),
            "bucket_sizes": lsh.add_histograms([one["bucket_sizes"] for one in linked]),
            "largest_bucket": max((one["largest_bucket"] for one in linked), default=0),
            "rounds": rounds,
            **{
                key: sum(one.get(key, 0) for one in settled)
                for key in ("removed", "compared", "more_than_max_compared")
            },
            "in_components": sum(one["n_in"] for one in settled),
            **{
                key: lsh.add_histograms([one.get(key, {}) for one in settled])
                for key in ("component_sizes", "cluster_sizes")
            },
            "largest_components": sorted(
                (row for one in settled for row in one.get("largest_components", [])),
                key=lambda row: (-row["documents"], row["first"] or ""),
            )[:LARGEST],
            "sampled_components": [row for one in settled for row in one.get("sampled_components", [])],
        }
