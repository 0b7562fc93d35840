"""What the ids of a pack set are to an objective: ordinary tokens, control tokens, mask, sentinels."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.packreader import PackReader
from pipeline.packs import TOKENIZER

ORDINARY, CONTROL = 1, 2
"""Kinds of ids: tokens of text, and a mixture's control tokens. Others (end of document, padding, ...) are 0."""


@dataclass(frozen=True)
class Vocabulary:
    """Ids of a pack set.

    `mask_id` and the first sentinels are the pack format's reserved ids; sentinels beyond those that it reserves begin
    at `total_ids`, and `extra_ids` says how many. None of them is ever stored in a pack as something to learn from.
    """

    total_ids: int
    extra_ids: int
    pad_id: int
    mask_id: int
    eos_id: int  # ends every document
    control: range
    sentinels: npt.NDArray[np.int64]
    ordinary: npt.NDArray[np.int64]  # ids that text gives
    kinds: npt.NDArray[np.uint8]  # (total_ids,) `ORDINARY`, `CONTROL` or 0
    tokenizer: str  # the tokenizer's fingerprint

    def __post_init__(self) -> None:
        for array in (self.sentinels, self.ordinary, self.kinds):
            array.flags.writeable = False


def vocabulary(reader: PackReader, sentinels: int = 0) -> Vocabulary:
    """The ids of a pack set, with at least `sentinels` sentinels. Raises SchemaError for a broken tokenizer file."""
    manifest = reader.manifest
    reserved = manifest["reserved_ids"]
    first, count = reserved["sentinels"]
    extra = max(0, sentinels - count)
    control = range(reserved["control"][0], sum(reserved["control"]))
    ordinary = _ordinary(reader)
    kinds = np.zeros(reader.total_ids, np.uint8)
    kinds[ordinary] = ORDINARY
    kinds[control.start : control.stop] = CONTROL
    return Vocabulary(
        total_ids=reader.total_ids,
        extra_ids=extra,
        pad_id=reader.pad_id,
        mask_id=int(reserved["mask"]),
        eos_id=int(manifest["eos_id"]),
        control=control,
        sentinels=np.concatenate([first + np.arange(count), reader.total_ids + np.arange(extra)]).astype(np.int64),
        ordinary=ordinary,
        kinds=kinds,
        tokenizer=str(manifest["tokenizer"]["fingerprint"]),
    )


def _ordinary(reader: PackReader) -> npt.NDArray[np.int64]:
    """Ids that the pack set's tokenizer has for text: without control tokens, and without holes in its numbering."""
    from pipeline.bpe import load_tokenizer

    try:
        content = reader.store.read(TOKENIZER)
    except FileNotFoundError:  # a set from elsewhere: all ids but the one that ends documents
        every = np.arange(reader.vocab_size, dtype=np.int64)
        return every[every != reader.manifest["eos_id"]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / TOKENIZER
        path.write_bytes(content)
        loaded = load_tokenizer(path, reader.manifest.get("eos"))
    ids = set(loaded.tokenizer.get_vocab(with_added_tokens=True).values()) - set(loaded.control.values())
    return np.array(sorted(ids), np.int64)
