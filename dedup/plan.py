"""What MinHash dedup of a corpus will take: work, files, disk, memory and time, by the code's own constants.

Bytes are those of the files as they are written (LZ4 or zstd); how well each compresses was measured on made-up and on
real pages and stands below. Memory is that of the largest batch or partition of each kind of task. Times come from
`dedup.rates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import lsh, minhash, rates, removal, settle
from .exact import ROWS_PER_PARTITION
from .groups import FLUSH_BYTES
from .minhash import MinhashDedup
from .shuffle import AT_ONCE, BYTES_PER_BATCH, ROWS_PER_BATCH, partition_count
from .signatures import s_curve, scheme_of

RECALL_AT = (0.5, 0.6, 0.7, 0.8, 0.9)
BYTES_PER_SHARD = 512 << 20
"""Text of a shard where nothing else is said."""

NAMES = {"settle": "compare", "apply": "split"}
"""Of parts, where a person reads another one than their tasks have."""

# bytes on disk, measured with LZ4 (and zstd for documents)
KEY_BYTES, NODE_BYTES, REPEATED_NODE_BYTES = 8.0, 4.5, 0.25
"""Of a band key, which doesn't compress; of a node; of a node that the row before has too."""
LINK_BYTES, LABEL_BYTES, VERDICT_BYTES, EXACT_BYTES = 12, 11, 60, 90
SHINGLE_BYTES, GATHERED_BYTES = 7.0, 60
"""Of a hash in a sorted set; of a document's id, place and policy values."""
PART_BYTES = 340
"""Of a partition of a file, for its own description."""
OUTPUT_SHARE = 0.45
"""Of the text: documents as Parquet with zstd."""
DOCUMENT_BYTES = 60
"""Of a document's other columns in the output."""

# what a corpus is like, measured
IN_COMPONENT = 2.2
"""Documents with company for each that goes: itself, the one that stays, and some that are not like enough."""
LINKED = 1.1
"""Documents that share a band with a smaller one (the component's first), for each that goes."""
SHARED_BANDS = 0.5
"""Of the bands, those that a document that goes shares with the one that stays, in the mean."""

# memory, bytes
PROCESS_BYTES = 350 << 20
"""A worker with its libraries."""
SIGN_KEY_BYTES, LINK_KEY_BYTES, LINK_MEMORY_BYTES, NODE_MEMORY_BYTES = 72, 88, 150, 64
COPIES_OF_BATCH, COPIES_OF_SETS = 4, 4


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What is known or supposed of the documents."""

    documents: int
    bytes_per_document: float
    """Of text."""
    shingles: float
    """Different ones a document."""
    duplicates: float
    """Share of documents that will go."""
    shards: int


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Counts of documents, files and partitions that all other figures follow from."""

    band_keys: int
    band_files: int
    partitions: int
    links: int
    link_partitions: int
    removed: int
    in_components: int
    linked: int
    set_files: int
    groups: int


def shape(corpus: Corpus, step: MinhashDedup) -> Shape:
    """By the same formulas as `MinhashDedup`."""
    bands, n = step.parameters.bands, corpus.documents
    partitions = partition_count(n * bands, step.partition(lsh.KEYS_PER_PARTITION), AT_ONCE)
    spread = partition_count(n * bands // 4, step.partition(lsh.LINKS_PER_PARTITION))
    removed = round(n * corpus.duplicates)
    company = min(n, round(IN_COMPONENT * removed))
    # a pair makes a link in each partition in which it shares a band
    each = partitions * (1 - (1 - 1 / partitions) ** (SHARED_BANDS * bands))
    leaves = min(n, round(LINKED * removed))
    size = 2 * int(corpus.bytes_per_document) + 8 * bands
    per_shard = -(-n // corpus.shards)
    return Shape(
        band_keys=n * bands,
        band_files=corpus.shards * max(1, -(-per_shard // minhash.nodes_per_file(bands))),
        partitions=partitions,
        links=round(max(1.0, each) * leaves),
        link_partitions=spread,
        removed=removed,
        in_components=company,
        linked=leaves,
        set_files=max(corpus.shards, round(company * _set_bytes(corpus, step) / step.partition(FLUSH_BYTES))),
        groups=partition_count(2 * leaves * size, step.partition(minhash.GROUP_BYTES), AT_ONCE),
    )


def disk(corpus: Corpus, step: MinhashDedup, of: Shape) -> dict[str, int]:
    """Bytes of each of the step's folders at their largest; all stand at the end but one generation of links."""
    bands, p = step.parameters.bands, of.partitions
    fresh = p / bands * (1 - (1 - 1 / p) ** bands)  # a partition's keys whose node the one before has not
    node = fresh * NODE_BYTES + (1 - fresh) * REPEATED_NODE_BYTES
    ends = 1 if of.link_partitions == 1 else 2
    stars = LINK_BYTES * of.linked
    blocks = removal.blocks(corpus.shards)
    text = corpus.documents * corpus.bytes_per_document
    return {
        "bands": round(of.band_keys * (KEY_BYTES + node) + of.band_files * p * PART_BYTES),
        "links": round(of.links * LINK_BYTES * ends + p * of.link_partitions * PART_BYTES),
        "stars": round((stars if ends == 1 else 3 * stars) + of.link_partitions**2 * PART_BYTES * (2 * ends - 1)),
        "labels": round(LABEL_BYTES * of.in_components + of.link_partitions * blocks * PART_BYTES),
        "groups": round(
            of.in_components * (SHINGLE_BYTES * corpus.shingles + 8 * bands + GATHERED_BYTES)
            + of.set_files * of.groups * PART_BYTES
        ),
        "verdicts": round(of.removed * VERDICT_BYTES + of.groups * blocks * PART_BYTES),
        "kept and dropped": round(text * OUTPUT_SHARE + corpus.documents * DOCUMENT_BYTES),
    }


def _set_bytes(corpus: Corpus, step: MinhashDedup) -> float:
    return 8 * (corpus.shingles + step.parameters.bands)


def memory(corpus: Corpus, step: MinhashDedup, of: Shape) -> dict[str, int]:
    """Bytes of one worker in each kind of task, its libraries included."""
    parameters, n = step.parameters, corpus.documents
    batch = min(ROWS_PER_BATCH, max(16, BYTES_PER_BATCH // max(1, int(corpus.bytes_per_document))), n)
    text = COPIES_OF_BATCH * batch * corpus.bytes_per_document
    signatures = batch * parameters.num_perm * scheme_of(parameters.scheme).dtype().itemsize
    keys = min(minhash.nodes_per_file(parameters.bands), -(-n // corpus.shards)) * parameters.bands
    blocks, sets = removal.blocks(corpus.shards), _set_bytes(corpus, step)
    group = of.in_components / of.groups
    held = min(group * sets, 2 * step.partition(settle.BLOCK_BYTES))
    need = {
        "sign": text + signatures + keys * SIGN_KEY_BYTES,
        "link": of.band_keys / of.partitions * LINK_KEY_BYTES,
        "components": of.links * (1 if of.link_partitions == 1 else 2) / of.link_partitions * LINK_MEMORY_BYTES,
        "gather": text
        + 3 * min(step.partition(FLUSH_BYTES), of.in_components * sets)
        + of.in_components / blocks * NODE_MEMORY_BYTES,
        "compare": COPIES_OF_SETS * held + group * 250,
        "split": text + of.in_components / blocks * 3 * VERDICT_BYTES,
    }
    return {name: round(PROCESS_BYTES + value) for name, value in need.items()}


def seconds(corpus: Corpus, step: MinhashDedup, of: Shape, workers: int) -> dict[str, float]:
    """Wall time of each part."""
    text = corpus.documents * corpus.bytes_per_document
    rounds = 1 if of.link_partitions == 1 else components_rounds(of.in_components)
    work = {
        "text_bytes": text,
        "band_keys": float(of.band_keys),
        "links": float(of.links * rounds),
        "set_bytes": of.in_components * _set_bytes(corpus, step),
    }
    blocks = removal.blocks(corpus.shards)
    parts = {
        "link": (of.band_files * of.partitions, of.partitions),
        "components": ((of.partitions + 2 * rounds * of.link_partitions) * of.link_partitions, of.link_partitions),
        "gather": (corpus.shards * of.link_partitions, blocks),
        "settle": (2 * of.set_files * of.groups, of.groups),
        "apply": (corpus.shards * of.groups, blocks),
    }
    found = {"start": rates.STARTUP_S}
    for part, units in rates.UNITS.items():
        count, width = parts.get(part, (0, 0))
        reading = count * (rates.PART_S + width * rates.PART_OF_FILE_S)
        found[NAMES.get(part, part)] = (sum(work[unit] for unit in units) / rates.PER_CORE[part] + reading) / workers
    return found


def components_rounds(nodes: int) -> int:
    """Rounds that components take: two where all are small; they grow with the logarithm of the largest."""
    return 2 if nodes < 1_000_000 else 4


def recall(step: MinhashDedup) -> dict[str, float]:
    """Share of pairs that are found, by their similarity; those under the threshold are found and then kept."""
    parameters = step.parameters
    found = s_curve(list(RECALL_AT), parameters.bands, parameters.rows)
    return {f"{at:g}": float(value) for at, value in zip(RECALL_AT, found, strict=True)}


def warnings(corpus: Corpus, of: Shape, memory_bytes: int) -> list[str]:
    """What won't work, or not well."""
    said = []
    if corpus.shards > lsh.MAX_SHARDS:
        said.append(f"more than {lsh.MAX_SHARDS:,} shards can't be: write larger ones")
    parts = of.band_files * of.partitions
    keys = of.band_keys / parts
    if parts > 1_000_000 and keys < 1000:
        said.append(
            f"band keys lie in {of.band_files:,} files of {of.partitions:,} partitions, {keys:,.0f} keys each: small "
            f"reads. Larger shards make fewer files, a larger worker_gb fewer partitions"
        )
    reads = 2 * of.set_files * of.groups
    if reads > 100_000_000:
        said.append(
            f"sets to compare are read in {reads:,} small parts: larger shards and a larger worker_gb make them fewer"
        )
    if memory_bytes > 4 << 30:
        said.append(f"a worker takes {memory_bytes / 2**30:.1f} GiB: perhaps start fewer workers than there are cores")
    return said


def plan(corpus: Corpus, step: MinhashDedup, workers: int) -> dict[str, Any]:
    """All figures as plain JSON."""
    of = shape(corpus, step)
    folders, need = disk(corpus, step, of), memory(corpus, step, of)
    times = seconds(corpus, step, of, workers)
    largest = max(need.values())
    parameters = step.parameters
    exact = partition_count(corpus.documents, ROWS_PER_PARTITION, AT_ONCE)
    return {
        "corpus": {
            "documents": corpus.documents,
            "text_bytes": round(corpus.documents * corpus.bytes_per_document),
            "bytes_per_document": round(corpus.bytes_per_document, 1),
            "shingles_per_document": round(corpus.shingles, 1),
            "duplicates": corpus.duplicates,
            "shards": corpus.shards,
        },
        "parameters": {
            "preset": step.preset,
            "shingles": parameters.shingling.text,
            "bands": parameters.bands,
            "rows": parameters.rows,
            "threshold": round(step.least_similarity, 4),
        },
        "workers": workers,
        "worker_gb": step.worker_gb,
        "files": {**vars(of), "parts_of_band_keys": of.band_files * of.partitions},
        "disk_bytes": {**folders, "peak": sum(folders.values())},
        "memory_bytes": {**need, "worker": largest, "all workers": largest * workers},
        "seconds": {**{k: round(v, 1) for k, v in times.items()}, "all": round(sum(times.values()), 1)},
        "rates": {"per_core_and_second": rates.PER_CORE, "measured": rates.MEASURED},
        "exact_dedup": {"partitions": exact, "disk_bytes": corpus.documents * EXACT_BYTES},
        "recall": recall(step),
        "warnings": warnings(corpus, of, largest),
    }
