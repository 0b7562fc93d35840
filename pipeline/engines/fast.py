"""The fast engine: byte-level BPE by kernels on Arrow's buffers.

It knows the split patterns of `recognise`, NFC, added tokens and `ignore_merges`; any other tokenizer is the
reference's. Measured beside `tokenizers` in benchmarks/tokenise.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from . import recognise
from .reference import never_from_text

if TYPE_CHECKING:
    from ..bpe import LoadedTokenizer

Ids = tuple[NDArray[np.int64], NDArray[np.uint32]]
"""Of n texts: int64[n + 1] offsets and the uint32 ids."""

WORD_SLOTS = 1 << 18
WORD_BYTES = 1 << 22
WORD_IDS = 1 << 20
"""The table of words that a process remembers: 8 + 4 + 4 MiB."""
SCRATCH = 1 << 16


class FastEngine:
    """Ids of texts, the same as the reference's. Raises NotSupported where the tokenizer does something else."""

    name = "byte-bpe-1"

    def __init__(self, tok: LoadedTokenizer) -> None:
        from . import encoding as e
        from . import splits
        from .merging import fill_pairs

        plan = recognise.plan(tok.read_spec(), tok.added)
        tokenizer = tok.tokenizer
        never = set(never_from_text(tok))
        for name, number in tok.control.items():
            if number in never and plan.spells(number, len(tokenizer.pre_tokenizer.pre_tokenize_str(name))):
                raise recognise.NotSupported(f"merges that spell the control token {name!r}")
        self._eos_id = tok.eos_id
        self._normalise = tokenizer.normalizer.normalize_str if plan.nfc else None
        self._byte_ids = plan.byte_ids
        self._pairs = np.zeros(2 * _slots(len(plan.made)), np.int64)
        if fill_pairs(len(plan.made), plan.left, plan.right, plan.made, self._pairs):
            raise recognise.NotSupported("merges that occur twice")
        family = int(getattr(splits, plan.split.family.upper()))
        self._kinds = recognise.kinds_of(plan.split)
        added = plan.added or plan.raw_added
        self._raw_added = [name.decode() for name in plan.raw_added]
        self._tree = _tree(added)
        self._token = np.zeros(1, np.int64)
        self._settings = np.array([family, plan.split.digits, -1, plan.words is not None, bool(added)], np.int64)
        self._state = np.zeros(e.STATE, np.int64)
        self._words = np.zeros(4 * WORD_SLOTS, np.int64)
        self._store = np.zeros(WORD_BYTES, np.uint8)
        self._id_store = np.zeros(WORD_IDS, np.uint32)
        self._vocabulary = np.zeros(4, np.int64)
        self._vocabulary_bytes = np.frombuffer(b"", np.uint8)  # read only, as those of a file are: one type to compile
        if plan.words is not None:
            self._vocabulary_bytes, offsets, ids = plan.words
            self._vocabulary = np.zeros(4 * _slots(len(ids)), np.int64)
            e.fill_words(self._vocabulary_bytes, offsets, ids, self._vocabulary, self._state)
        self._scratch(SCRATCH)

    def _scratch(self, size: int) -> None:
        """Room to merge words of up to `size` bytes; the machine gives it only as it is written to."""
        self._size = size
        self._ids, self._before, self._behind = (np.empty(size, np.int32) for _ in range(3))
        self._heap = np.empty(3 * size, np.int64)

    def forget(self) -> None:
        """Empty the table of words: what was encoded before makes nothing faster."""
        self._words[:] = 0
        self._state[:] = 0

    def encode(self, column: pa.Array | pa.ChunkedArray, *, eos: bool) -> tuple[Ids, NDArray[np.int64]]:
        """Ids of a column of texts (null is empty), with the end id after each that has any if `eos`.

        Also the rows that this engine can't do: they have no ids.
        """
        from filters.kernels.columns import view

        from . import encoding as e

        text = view(column)
        undone = np.zeros(0, np.int64)
        if self._normalise is not None:
            column, undone = self._normalised(text.array, text.data, text.offsets)
            text = view(column)
        longest = int(np.diff(text.offsets).max(initial=0))
        large = longest > self._size
        if large:
            self._scratch(longest)
        total = int(text.offsets[-1] - text.offsets[0]) + len(text)
        out = np.empty(total, np.uint32)
        ends = np.zeros(len(text) + 1, np.int64)
        self._settings[e.EOS] = self._eos_id if eos else -1
        e.encode_texts(
            text.data, text.offsets, self._settings, self._kinds, self._tree, self._token, self._byte_ids, self._pairs,
            self._vocabulary, self._vocabulary_bytes, self._words, self._store, self._id_store, self._state,
            self._ids, self._before, self._behind, self._heap, out, ends,
        )  # fmt: skip
        if large:
            self._scratch(SCRATCH)
        return (ends, out[: ends[-1]]), undone

    def _normalised(
        self, column: pa.Array, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> tuple[pa.Array, NDArray[np.int64]]:
        """The column in NFC, by the library's normaliser where a text may need it; the rows left for the reference.

        These hold an added token that is found before normalising: they are empty here.
        """
        from .classes import nfc_classes
        from .encoding import mark_not_nfc

        assert self._normalise is not None
        flags = np.zeros(len(column), np.uint8)
        mark_not_nfc(data, offsets, nfc_classes(), flags)
        rows = np.flatnonzero(flags)
        if not len(rows):
            return column, rows
        texts = column.take(pa.array(rows)).to_pylist()
        left = np.array([any(name in text for name in self._raw_added) for text in texts], bool)
        done = ["" if skip else self._normalise(text) for skip, text in zip(left, texts, strict=True)]
        mask = pa.array(flags.astype(bool))
        return pc.replace_with_mask(column, mask, pa.array(done, column.type)), rows[left]


def _slots(entries: int) -> int:
    """Slots of a table for so many entries: a power of two, at most half of it used."""
    return 1 << max(4, (2 * entries - 1).bit_length())


def _tree(added: dict[bytes, int]) -> NDArray[np.int32]:
    """The added tokens by byte: int32, 257 for each node (the next node by byte, then the id that ends here or -1)."""
    nodes: list[dict[int, int]] = [{}]
    ends: dict[int, int] = {}
    for name, number in added.items():
        node = 0
        for byte in name:
            if byte not in nodes[node]:
                nodes[node][byte] = len(nodes)
                nodes.append({})
            node = nodes[node][byte]
        ends[node] = number
    tree = np.zeros(257 * len(nodes), np.int32)
    tree[256::257] = -1
    for node, children in enumerate(nodes):
        for byte, child in children.items():
            tree[257 * node + byte] = child
    for node, number in ends.items():
        tree[257 * node + 256] = number
    return tree
