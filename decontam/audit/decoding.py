"""Token ids back to text, many documents at a time.

For byte-level vocabularies (GPT-2's alphabet of bytes, which most tokenizers of language models and our own have) the
bytes of each token are known once and for all, so that decoding is copying; other tokenizers decode by the library.
Both give what `Tokenizer.decode(ids, skip_special_tokens=False)` gives, bytes that are no UTF-8 as U+FFFD.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.bpe import LoadedTokenizer


def _alphabet() -> dict[str, int]:
    """The byte that each letter of a byte-level vocabulary stands for (GPT-2, `bytes_to_unicode`)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(256 + number): byte for number, byte in enumerate(others)}


class Decoder:
    """Decodes with one tokenizer. Ids from its vocabulary's size up (padding, reserved) give nothing."""

    def __init__(self, tokenizer: LoadedTokenizer) -> None:
        self.tokenizer = tokenizer
        spec = json.loads(tokenizer.tokenizer.to_str())
        self._table = self._byte_table() if (spec.get("decoder") or {}).get("type") == "ByteLevel" else None

    def _byte_table(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """(bytes of all tokens in a row, offsets by id); the last id stands for all beyond the vocabulary."""
        size = self.tokenizer.vocab_size
        letters = _alphabet()
        tokens = [b""] * (size + 1)
        for text, number in self.tokenizer.tokenizer.get_vocab(with_added_tokens=True).items():
            known = [letters.get(letter) for letter in text]
            raw = bytes(byte for byte in known if byte is not None)
            tokens[number] = raw if len(raw) == len(text) else text.encode()
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in tokens])]).astype(np.int64)
        return np.frombuffer(b"".join(tokens) or b"\0", np.uint8), offsets

    def texts(self, ids: NDArray[np.uint32], offsets: NDArray[np.int64]) -> pa.Array:
        """The texts (large_string) of documents: document i has the ids offsets[i] to offsets[i + 1]."""
        if self._table is None:
            return self._by_library(ids, offsets)
        from ..kernels.decode import write_tokens

        data, places = self._table
        known = np.minimum(ids, np.uint32(self.tokenizer.vocab_size))
        ends = np.concatenate([[0], np.cumsum(np.diff(places)[known])]).astype(np.int64)
        out = np.empty(int(ends[-1]), np.uint8)
        write_tokens(known, data, places, out)
        buffers = [None, pa.py_buffer(ends[offsets]), pa.py_buffer(out)]
        raw = pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
        try:
            return raw.cast(pa.large_string())
        except pa.ArrowInvalid:
            return pa.array([one.decode("utf-8", "replace") for one in raw.to_pylist()], pa.large_string())

    def _by_library(self, ids: NDArray[np.uint32], offsets: NDArray[np.int64]) -> pa.Array:
        size = self.tokenizer.vocab_size
        lists = [ids[a:b][ids[a:b] < size].tolist() for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        return pa.array(self.tokenizer.tokenizer.decode_batch(lists, skip_special_tokens=False), pa.large_string())
