"""Most frequent tokens of a pack set, and a few of its sequences decoded with the boundaries of their documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..bpe import LoadedTokenizer, load_tokenizer
from ..packs import TOKENIZER
from ..permutation import permute

if TYPE_CHECKING:
    from ..packreader import PackReader

SCANNED_TOKENS = 200_000_000
"""Positions whose ids are counted at most, in whole blocks spread over the set."""
BEGIN, END = 240, 80
"""Characters shown of the begin and the end of a piece."""


def tokenizer_of(reader: PackReader) -> LoadedTokenizer | None:
    """The tokenizer that lies beside the packs, if it does."""
    path = reader.folder / TOKENIZER
    return load_tokenizer(path, reader.manifest.get("eos")) if path.is_file() else None


def frequent(reader: PackReader, tokenizer: LoadedTokenizer | None, top: int) -> dict[str, Any]:
    """The `top` most frequent ids with their shares, and what share of the vocabulary occurs."""
    blocks = reader.blocks
    per_block = max(1, reader.block_starts[-1] // max(1, len(blocks))) * reader.sequence_length
    step = max(1, -(-len(blocks) * per_block // SCANNED_TOKENS))
    counts = np.zeros(reader.total_ids, np.int64)
    for block in blocks[::step]:
        ids = block.input_ids
        if block.removed is not None and block.removed.any():
            stays = np.concatenate([block.sequence(row).loss_mask() for row in range(block.rows)])
            ids = ids.ravel()[stays]
        counts += np.bincount(ids.ravel(), minlength=reader.total_ids)
    counts[reader.pad_id] = 0
    counted = int(counts.sum())
    order = np.lexsort((np.arange(len(counts)), -counts))[:top]
    return {
        "counted_tokens": counted,
        "every_block": step == 1,
        "ids_seen": int((counts[: reader.vocab_size] > 0).sum()),
        "vocab_size": reader.vocab_size,
        "control_tokens": int(counts[reader.vocab_size :].sum()),
        "most_frequent": [
            {"id": int(i), "token": _text(tokenizer, [int(i)], reader), "count": int(counts[i]),
             "share": int(counts[i]) / counted if counted else 0.0}
            for i in order if counts[i]
        ],
    }  # fmt: skip


def sequences(reader: PackReader, tokenizer: LoadedTokenizer | None, number: int, seed: int) -> list[dict[str, Any]]:
    """`number` random sequences: their pieces, with document, tokens and the text of begin and end."""
    out = []
    for index in sorted(_some(len(reader), number, seed)):
        row = reader[index]
        ends = [*row.doc_starts[1:].tolist(), row.length]
        pieces = []
        for k, (begin, end) in enumerate(zip(row.doc_starts.tolist(), ends, strict=True)):
            text = _text(tokenizer, row.input_ids[begin:end].tolist(), reader)
            if text is not None and len(text) > BEGIN + END:
                text = f"{text[:BEGIN]} […] {text[-END:]}"
            pieces.append(
                {
                    "document": row.doc_ids[k],
                    "position": begin,
                    "tokens": end - begin,
                    "offset": int(row.doc_offsets[k]),
                    "removed": bool(row.removed[k]),
                    "text": text,
                }
            )
        out.append({"sequence": index, "length": row.length, "pieces": pieces})
    return out


def _some(size: int, number: int, seed: int) -> list[int]:
    number = min(number, size)
    return permute(np.arange(number), size, seed, 0).tolist() if number else []


def _text(tokenizer: LoadedTokenizer | None, ids: list[int], reader: PackReader) -> str | None:
    if tokenizer is None:
        return None
    known = [i for i in ids if i < reader.vocab_size]
    own = {reader.pad_id: "<pad>", reader.manifest["reserved_ids"]["mask"]: "<mask>"}
    first = reader.manifest["reserved_ids"]["control"][0]
    high = [i for i in ids if i >= reader.vocab_size]
    marks = [own.get(i, f"<control {i - first}>" if i >= first else f"<sentinel {i}>") for i in high[:4]]
    return "".join(marks) + tokenizer.decode(known)
