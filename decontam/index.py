"""The index of benchmark items: hashed n-grams with the places where items have them, and how common they are.

All parts of all items are cut into tokens and stand in one row; place 0 is none. For each distinct n-gram (n = 5) the
index knows its places, in how many items and benchmarks it occurs, and in how many documents of a background sample.
Longer n-grams need no table of their own: a run of r n-grams on end in text and item is r + n - 1 equal tokens.

On disk an index is a folder of flat arrays, read by memory map. Adding items (`Index.added`) makes an index of these
and merges the two: array for array the same as an index of all, in a fraction of its time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import ConfigError, nearest

from .normalise import Normalisation

N = 5
"""Tokens of the shortest n-gram that is looked for, as decon has it for questions."""
QUESTION, CHOICES, ANSWER, PASSAGE = 0, 1, 2, 3
PARTS = ("question", "choices", "answer", "passage")
"""Kinds of parts. Each choice is a part of its own, of the same kind."""
SHORTEST = 3
"""Questions of fewer tokens than this are not looked for: two words in a row tell nothing."""
FORMAT = 3


@dataclass(frozen=True, eq=False)
class Index:
    """Flat arrays; G distinct n-grams, Q places, P parts, I items."""

    items: pa.Table
    """item, benchmark, split: one row an item."""
    normalisation: Normalisation
    part_item: NDArray[np.int32]
    """[P] the item of a part."""
    part_kind: NDArray[np.uint8]
    """[P] QUESTION, CHOICES, ANSWER or PASSAGE."""
    part_offsets: NDArray[np.int64]
    """[P + 1] part p has the places part_offsets[p] to part_offsets[p + 1]; the first is 1."""
    breaks: NDArray[np.bool_]
    """[Q] whether a line of the part begins here."""
    scripts: NDArray[np.uint8]
    """[Q] how many words a token is worth: an entry of index_build.WORTH."""
    tokens: NDArray[np.uint64]
    """[Q] hashes of tokens."""
    weights: NDArray[np.float32]
    """[Q] how much a token tells, in natural units: log((1 + items) / items that have it); see LEAST_ITEMS."""
    words: NDArray[np.uint64]
    """[W] the distinct tokens, sorted."""
    word_items: NDArray[np.int32]
    """[W] items that have the token."""
    part_of: NDArray[np.int32]
    """[Q] the part of a place."""
    part_gram: NDArray[np.int32]
    """[Q] the n-gram that begins at a place, -2 for none."""
    gram_hashes: NDArray[np.uint64]
    """[G] sorted."""
    posted: NDArray[np.int64]
    """[G + 1] n-gram g has the places postings[posted[g] : posted[g + 1]]."""
    postings: NDArray[np.int32]
    gram_items: NDArray[np.int32]
    """[G] items that have the n-gram."""
    gram_benchmarks: NDArray[np.int32]
    """[G] benchmarks that have it."""
    gram_documents: NDArray[np.int32]
    """[G] documents of the background sample that have it."""
    place_documents: NDArray[np.int32]
    """[Q] documents of the background sample that have the 13-gram that begins at a place."""
    documents: int
    """Documents of the background sample."""
    slots: NDArray[np.uint64]
    bloom: NDArray[np.uint64]
    short_slots: NDArray[np.uint64]
    short_bloom: NDArray[np.uint64]
    short_posted: NDArray[np.int64]
    short_parts: NDArray[np.int32]
    """Questions of SHORTEST to N - 1 tokens by the hash of them all; the filter knows their first SHORTEST."""
    found: dict[str, Any] = field(default_factory=dict, repr=False)
    """What was computed from the index."""

    def __post_init__(self) -> None:
        for name in _ARRAYS:  # as memory maps are: kernels are compiled for one type of array
            getattr(self, name).setflags(write=False)

    def __len__(self) -> int:
        return self.items.num_rows

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, name).nbytes for name in _ARRAYS)

    @property
    def fingerprint(self) -> str:
        """A hash of what decides about hits: items, tokens, normalisation, background counts."""
        if "fingerprint" not in self.found:
            digest = hashlib.blake2b(digest_size=16)
            digest.update(json.dumps([FORMAT, N, dataclasses.asdict(self.normalisation), self.documents]).encode())
            for name in ("item", "benchmark", "split"):
                digest.update(json.dumps(self.items[name].to_pylist()).encode())
            for name in ("tokens", "breaks", "part_item", "part_kind", "part_offsets"):
                digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
            for name in ("gram_documents", "place_documents") if self.documents else ():
                digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
            self.found["fingerprint"] = digest.hexdigest()
        made: str = self.found["fingerprint"]
        return made

    @property
    def part_lengths(self) -> NDArray[np.int64]:
        """[P] tokens of each part."""
        if "part_lengths" not in self.found:
            self.found["part_lengths"] = np.diff(self.part_offsets)
        made: NDArray[np.int64] = self.found["part_lengths"]
        return made

    @property
    def part_weights(self) -> NDArray[np.float64]:
        """[P] the information of each part: the sum of its tokens' weights."""
        if "part_weights" not in self.found:
            sums = np.concatenate([[0.0], np.cumsum(self.weights, dtype=np.float64)])
            self.found["part_weights"] = sums[self.part_offsets[1:]] - sums[self.part_offsets[:-1]]
        made: NDArray[np.float64] = self.found["part_weights"]
        return made

    @property
    def unmatchable(self) -> list[str]:
        """Items of which no part is long enough to be looked for."""
        able = np.zeros(len(self), bool)
        able[self.part_item[self.part_lengths >= SHORTEST]] = True
        return [self.items["item"][int(i)].as_py() for i in np.flatnonzero(~able)]

    def parts_of(self, item: int, kind: int) -> list[int]:
        """The parts of a kind that an item has, in order."""
        offsets = self._item_offsets()
        low, high = int(offsets[item]), int(offsets[item + 1])
        return [low + k for k in np.flatnonzero(self.part_kind[low:high] == kind).tolist()]

    def part_counts(self, kinds: tuple[int, ...]) -> NDArray[np.int64]:
        """[I] how many parts of these kinds each item has."""
        key = f"part_counts {kinds}"
        if key not in self.found:
            of_kind = np.isin(self.part_kind, kinds)
            self.found[key] = np.bincount(self.part_item[of_kind], minlength=len(self))
        made: NDArray[np.int64] = self.found[key]
        return made

    def _item_offsets(self) -> NDArray[np.int64]:
        """[I + 1] item i has the parts from [i] to [i + 1]."""
        if "item_offsets" not in self.found:
            self.found["item_offsets"] = np.searchsorted(self.part_item, np.arange(len(self) + 1, dtype=np.int32))
        made: NDArray[np.int64] = self.found["item_offsets"]
        return made

    @property
    def item_names(self) -> pa.StringArray:
        """[I] BENCHMARK/SPLIT/NUMBER."""
        if "item_names" not in self.found:
            names = self.items["item"].cast(pa.string()).combine_chunks()
            self.found["item_names"] = names.chunk(0) if isinstance(names, pa.ChunkedArray) else names
        return self.found["item_names"]

    @property
    def gram_idf(self) -> NDArray[np.float64]:
        """[G] log(items / items that have the n-gram)."""
        if "gram_idf" not in self.found:
            self.found["gram_idf"] = np.log(max(len(self), 1) / np.maximum(self.gram_items, 1))
        made: NDArray[np.float64] = self.found["gram_idf"]
        return made

    def common(
        self,
        max_items: int | None = None,
        max_benchmarks: int | None = None,
        max_places: int | None = None,
        max_documents: float | None = None,
    ) -> NDArray[np.bool_]:
        """[G] n-grams that more items, benchmarks, places or a greater share of background documents have."""
        key = f"common {max_items} {max_benchmarks} {max_places} {max_documents}"
        if key not in self.found:
            mask = np.zeros(len(self.gram_hashes), bool)
            if max_items is not None:
                mask |= self.gram_items > max_items
            if max_benchmarks is not None:
                mask |= self.gram_benchmarks > max_benchmarks
            if max_places is not None:
                mask |= np.diff(self.posted) > max_places
            if max_documents is not None and self.documents:
                mask |= self.gram_documents > max_documents * self.documents
            self.found[key] = mask
        made: NDArray[np.bool_] = self.found[key]
        return made

    def save(self, folder: Path | str) -> None:
        """Write the arrays, each to a file; the manifest last. An index that is there is replaced."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        (path / "manifest.json").unlink(missing_ok=True)
        part = path / "part"
        for name in _ARRAYS:
            with part.open("wb") as file:
                np.save(file, getattr(self, name))
            part.replace(path / f"{name}.npy")  # who has the old one mapped keeps it
        with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, self.items.schema) as writer:
            writer.write_table(self.items)
        part.replace(path / "items.arrow")
        manifest = {
            "format": FORMAT,
            "n": N,
            "normalisation": dataclasses.asdict(self.normalisation),
            "documents": self.documents,
            "items": len(self),
            "parts": len(self.part_kind),
            "grams": len(self.gram_hashes),
            "fingerprint": self.fingerprint,
        }
        part.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        part.replace(path / "manifest.json")

    @staticmethod
    def open(folder: Path | str) -> Index:
        """The index of a folder, by memory map: workers of one node share it. Raises ConfigError."""
        path = Path(folder)
        try:
            manifest = json.loads((path / "manifest.json").read_text())
            if manifest.get("format") != FORMAT or manifest.get("n") != N:
                raise ConfigError(f"{path}: an index of format {manifest.get('format')}; this version reads {FORMAT}")
            arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in _ARRAYS}
            with pa.memory_map(str(path / "items.arrow")) as source:
                items = pa.ipc.open_file(source).read_all()
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} holds no decontamination index ({error}); build one first") from error
        return Index(
            items=items,
            normalisation=Normalisation(**manifest["normalisation"]),
            documents=manifest["documents"],
            found={"fingerprint": manifest["fingerprint"]},
            **arrays,
        )

    def added(self, items: pa.Table) -> Index:
        """This index and further items, the same as built of all. The background counts are to be made anew.

        Raises ConfigError for an item that is there already.
        """
        from .index_build import add_items

        return add_items(self, items)

    def without(self, *benchmarks: str) -> Index:
        """This index without the items of some benchmarks. The background counts are to be made anew.

        Raises ConfigError for a benchmark that it has not.
        """
        from .index_build import take_items

        known = sorted(set(self.items["benchmark"].to_pylist()))
        for name in benchmarks:
            if name not in known:
                raise ConfigError(f"the index has no benchmark {name!r}{nearest(name, known)}; it has {known}")
        names = pa.array(benchmarks, self.items["benchmark"].type)
        mask = pc.invert(pc.is_in(self.items["benchmark"], names))
        return take_items(self, mask.to_numpy())

    def with_background(self, columns: Iterable[pa.ChunkedArray | pa.Array]) -> Index:
        """This index with the n-grams' counts of documents in a sample of text that is taken to be clean."""
        from .background import count_documents

        grams, places, documents = count_documents(self, columns)
        return dataclasses.replace(self, gram_documents=grams, place_documents=places, documents=documents, found={})


_ARRAYS = (
    "part_item", "part_kind", "part_offsets", "breaks", "scripts", "tokens", "weights", "words", "word_items",
    "part_of", "part_gram", "gram_hashes", "posted", "postings", "gram_items", "gram_benchmarks", "gram_documents",
    "place_documents", "slots", "bloom", "short_slots", "short_bloom", "short_posted", "short_parts",
)  # fmt: skip


def build_index(items: pa.Table, normalisation: Normalisation | None = None) -> Index:
    """The index of items (columns item, benchmark, split, question, choices, answer, passage; see `items`)."""
    from .index_build import build

    return build(items, normalisation or Normalisation())
