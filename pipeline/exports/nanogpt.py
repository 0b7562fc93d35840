"""nanoGPT's flat files: `train.bin` and, where asked for, `val.bin`, of little-endian uint16 or uint32 tokens.

uint16 is what nanoGPT reads (data/openwebtext/prepare.py; https://github.com/karpathy/nanoGPT); a vocabulary that
doesn't fit it is written as uint32, and the memmap's type in nanoGPT's train.py must then say so.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError
from ..packreader import PackReader
from ..store import atomic_path, write_json
from .spans import runs


def export_nanogpt(reader: PackReader, target: Path, *, val_sequences: int = 0) -> dict[str, int]:
    """Write `train.bin`, `val.bin` (the last `val_sequences` sequences) and `meta.json` into the folder `target`.

    Padding and removed documents are left out. Returns the numbers of tokens of each file. Raises ConfigError
    where nothing would be left to train on.
    """
    if not 0 <= val_sequences < max(1, len(reader)):
        raise ConfigError(f"export: val_sequences must lie in 0..{len(reader) - 1}, not {val_sequences}")
    dtype = reader.dtype.newbyteorder("<")
    train = len(reader) - val_sequences
    written = {"train": 0, "val": 0}
    at = 0
    with (
        atomic_path(target / "train.bin") as first,
        atomic_path(target / "val.bin") as second,
        open(first, "wb") as to_train,
        open(second, "wb") as to_val,
    ):
        for tokens, counts in runs(reader, empty=True):
            split = int(counts[: max(0, train - at)].sum())
            to_train.write(tokens[:split].astype(dtype).tobytes())
            to_val.write(tokens[split:].astype(dtype).tobytes())
            written["train"] += split
            written["val"] += len(tokens) - split
            at += len(counts)
    if not val_sequences:
        (target / "val.bin").unlink()
    meta = {"vocab_size": reader.total_ids, "dtype": reader.dtype.name, "eos_id": reader.manifest["eos_id"]}
    write_json(target / "meta.json", {**meta, "tokens": written})
    return written
