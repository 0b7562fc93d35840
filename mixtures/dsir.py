"""The step `select_dsir`: data selection by importance resampling (Xie et al. 2023, arXiv 2302.03169).

Of a raw corpus it draws documents, without replacement, so that their n-grams are distributed as a target corpus's.
Features are counts of hashed unigrams and bigrams (`dsir_features`). A document's log importance weight is the sum over
its n-grams of log p_target - log p_raw of the n-gram's bucket. Drawn are the documents with the largest weight plus
Gumbel noise, which is sampling without replacement in proportion to the weights (Efraimidis and Spirakis 2006; Vieira
2014). The published code (`data-selection` 1.0.3) gives the same weights; here the noise comes from a hash of (seed,
document id), so that the same documents are drawn whatever the workers.

As there: 1e-8 is added to each bucket's share before the logarithm, and documents under 100 words are not drawn (but
count for p_raw). Unlike there, p_raw is counted on all documents unless `fit_share` is lower (there: the first billion
n-grams).

A sum grows with the document: where most n-grams are rarer in the target than in the corpus, the shortest documents
have the largest sums, whatever they say. In the paper that plays no part, for its examples are chunks of 128 words. So
a document's weight here is that of an average chunk of `chunk_words` words of it: the mean over its n-grams times the
n-grams of such a chunk. `chunk_words: 0` gives the sums of the published code.

Reads `id` and `text`; adds `dsir_weight`, float64: the log importance weight in nats. Drops: `too_short`,
`not_selected`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.shuffle import entry
from pipeline.errors import ConfigError, StepFailed
from pipeline.runner import Task
from pipeline.steps import StepContext, register_step
from pipeline.storage import local_file, place
from pipeline.store import atomic_path, content_digest

from .dsir_features import BUCKETS, MAX_NGRAMS, NGRAMS, Features, Featurizer, divergence, log_ratio
from .selection import Selection, ShardWork, Watch, gumbel, hashed, sizes
from .selection_cut import ordered

if TYPE_CHECKING:
    from pipeline.documents import DocumentSplit

WEIGHT = "dsir_weight"
TOO_SHORT = "too_short"
MAX_BUCKETS = 1 << 20
_TARGET_SPLIT = 32 << 20


@dataclass(frozen=True)
class _Count:
    """A part of the target, or a shard of the corpus, whose n-grams are to be counted."""

    target: str
    folder: str
    part: DocumentSplit | ShardWork
    step: SelectDsir


def _counts_path(folder: Path, name: str) -> Path:
    return folder / "features" / f"{name}.npy"


def _save(path: Path, counts: NDArray[Any], rows: int) -> dict[str, Any]:
    with atomic_path(path) as temporary, open(temporary, "wb") as out:
        np.save(out, counts)
    return entry(path, rows)


def count_part(task: _Count) -> dict[str, Any]:
    """Write the counts of a part's n-grams. The function that workers run."""
    step = task.step
    featurizer = step.featurizer()
    total = np.zeros(step.buckets, np.int64)
    rows = 0
    for docs in _tables(task):
        rows += docs.num_rows
        if step.fit_share < 1 and isinstance(task.part, ShardWork):
            limit = np.uint64(int(step.fit_share * (1 << 64)))
            docs = docs.filter(pa.array(hashed(docs["id"], step.seed, "fit") < limit))
        total += featurizer(docs["text"]).counts
    return {"files": [_save(_counts_path(place(task.folder), task.target), total, rows)], "n_in": rows}


def _tables(task: _Count) -> Iterator[pa.Table]:
    if isinstance(task.part, ShardWork):
        for _, docs in task.part.batches(["id", "text"]):
            yield docs
        return
    from pipeline.documents import read_documents

    for batch in read_documents(task.part, text_field=task.step.target_field):
        yield batch.table


class _KeptFeatures(Watch):
    """Counts the n-grams of what is kept, to say how near the target it came."""

    def __init__(self, featurizer: Featurizer) -> None:
        self._featurizer = featurizer
        self._counts = np.zeros(featurizer.buckets, np.int64)

    def __call__(self, docs: pa.Table) -> None:
        self._counts += self._featurizer(docs["text"]).counts

    def result(self) -> dict[str, Any]:
        """Sparse counts: [bucket, count] of those that came."""
        there = np.flatnonzero(self._counts)
        return {"ngrams": [there.tolist(), self._counts[there].tolist()]}


@register_step
@dataclass(frozen=True, kw_only=True)
class SelectDsir(Selection):
    """Draws documents so that their n-grams are distributed as a target corpus's (DSIR, Xie et al. 2023)."""

    name: ClassVar[str] = "select_dsir"
    adds: ClassVar[tuple[str, ...]] = (WEIGHT,)
    sources: ClassVar[tuple[str, ...]] = (
        "Xie et al. 2023, Data Selection for Language Models via Importance Resampling; "
        "https://arxiv.org/abs/2302.03169",
        "data-selection 1.0.3, hashed_ngram_dsir.py; https://github.com/p-lambda/dsir",
    )

    target: tuple[str, ...] = field(
        default=(), metadata={"help": "files or folders of the target corpus: Parquet or JSONL(.gz, .zst)"}
    )
    target_field: str = field(default="text", metadata={"help": "the target's column or key that holds the text"})
    buckets: int = field(default=BUCKETS, metadata={"help": "buckets that n-grams are hashed into"})
    ngrams: int = field(default=NGRAMS, metadata={"help": "longest n-grams; 2: unigrams and bigrams"})
    smoothing: float = field(default=1e-8, metadata={"help": "added to each bucket's share"})
    min_words: int = field(default=100, metadata={"help": "documents of fewer words are not drawn"})
    chunk_words: int = field(
        default=128,
        metadata={"help": "a weight is that of an average chunk of so many words; 0: of the whole document, a sum"},
    )
    fit_share: float = field(
        default=1.0, metadata={"help": "share of the documents that the corpus's distribution is counted on"}
    )
    noise: bool = field(
        default=True, metadata={"help": "false: keep the largest weights instead of drawing in proportion to them"}
    )

    def check(self) -> None:
        super().check()
        where = f"step '{self.name}'"
        if not self.target:
            raise ConfigError(f"{where}: target must name the files of the target corpus")
        if not 2 <= self.buckets <= MAX_BUCKETS:
            raise ConfigError(f"{where}: buckets must lie in 2..{MAX_BUCKETS}, not {self.buckets}")
        if not 1 <= self.ngrams <= MAX_NGRAMS:
            raise ConfigError(f"{where}: ngrams must lie in 1..{MAX_NGRAMS}, not {self.ngrams}")
        if not self.smoothing > 0:
            raise ConfigError(f"{where}: smoothing must be above 0, not {self.smoothing}")
        if not 0 < self.fit_share <= 1:
            raise ConfigError(f"{where}: fit_share must lie above 0 and up to 1, not {self.fit_share}")
        for name in ("min_words", "chunk_words"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{where}: {name} can't be negative: {getattr(self, name)}")
        self._parts()

    def config(self) -> dict[str, Any]:
        """The options; the target enters by its content, or by what its store calls this version of it."""
        from pipeline.documents import input_files

        files = [
            [file.name, file.size, file.mark or content_digest(place(file.path))] for file in input_files(self.target)
        ]
        return {**super().config(), "target": files}

    def featurizer(self, differences: NDArray[np.float64] | None = None) -> Featurizer:
        """What counts n-grams as the options say."""
        return Featurizer(self.buckets, self.ngrams, differences)

    def _parts(self) -> list[DocumentSplit]:
        from pipeline.documents import plan_documents, split_schema

        parts = plan_documents(self.target, _TARGET_SPLIT)
        for part in parts:
            split_schema(part, self.target_field)
        return parts

    def prepare(self, context: StepContext, shards: list[ShardWork]) -> None:
        """Count the n-grams of the target and of the corpus."""
        folder = context.folder.path
        tasks = [
            Task(f"target-{i:05d}", _Count(f"target-{i:05d}", str(folder), part, self))
            for i, part in enumerate(self._parts())
        ]
        raw = [
            Task(f"raw-{work.index:05d}", _Count(f"raw-{work.index:05d}", str(folder), work, self)) for work in shards
        ]
        context.map(count_part, tasks + raw, label=f"{context.step}: count n-grams")
        target = self._summed(folder, [task.name for task in tasks])
        if not target.any():
            raise StepFailed(
                f"step '{context.step}': the target corpus has no words; is {self.target_field!r} its text field?"
            )
        _save(_counts_path(folder, "target"), target, 0)
        _save(_counts_path(folder, "raw"), self._summed(folder, [task.name for task in raw]), 0)

    def _summed(self, folder: Path, names: list[str]) -> NDArray[np.int64]:
        total = np.zeros(self.buckets, np.int64)
        for name in names:
            total += np.load(local_file(_counts_path(folder, name)))
        return total

    def scored(self, work: ShardWork) -> Iterator[pa.Table]:
        """See `Selection.scored`."""
        target, raw = (np.load(local_file(_counts_path(place(work.folder), name))) for name in ("target", "raw"))
        featurizer = self.featurizer(log_ratio(target, raw, self.smoothing))
        for _, docs in work.batches(["id", "text", "n_tokens"]):
            found = featurizer(docs["text"])
            weights = self.weights(found)
            keys = weights + gumbel(docs["id"], self.seed) if self.noise else weights
            short = pa.array(found.words < self.min_words)
            reasons = pc.if_else(short, TOO_SHORT, pa.scalar(None, pa.string()))
            yield self.table(docs, ordered(keys), sizes(work, docs), reasons=reasons, values=weights)

    def weights(self, found: Features) -> NDArray[np.float64]:
        """float64[n]: log importance weights, of whole documents or of average chunks of them."""
        if not self.chunk_words:
            return found.weights
        lengths = range(self.ngrams)
        there = sum(np.maximum(found.words - less, 0) for less in lengths)
        return np.asarray(
            found.weights / np.maximum(there, 1) * sum(max(self.chunk_words - less, 0) for less in lengths)
        )

    def watcher(self, folder: Path) -> Watch:
        """See `Selection.watcher`."""
        return _KeptFeatures(self.featurizer())

    def told(self, results: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
        """KL(target || corpus) and KL(target || kept), in nats an n-gram."""
        kept = np.zeros(self.buckets, np.int64)
        for result in results:
            buckets, counts = result["ngrams"]
            kept[buckets] += np.array(counts, np.int64)
        target, raw = (np.load(local_file(_counts_path(folder, name))) for name in ("target", "raw"))
        return {
            "KL from target, corpus": round(divergence(target, raw, self.smoothing), 6),
            "KL from target, kept": round(divergence(target, kept, self.smoothing), 6),
        }
