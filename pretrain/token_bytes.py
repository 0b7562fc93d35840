"""How many bytes of text each token id stands for.

With a byte-level tokenizer (GPT-2's, Llama-3's, those that Gristmill trains) and with byte fallback the bytes of a
document's tokens add up to its text, also where a token holds part of a character. A tokenizer that changes text
(normalises it, drops spaces, has unknown tokens) gives another sum; `held_out` then scales to the documents' own bytes.
"""

from __future__ import annotations

import json
import re

import numpy as np
import numpy.typing as npt

from pipeline.bpe import LoadedTokenizer

_SPACE = "▁"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def token_bytes(tokenizer: LoadedTokenizer, total_ids: int) -> npt.NDArray[np.int64]:
    """int64[total_ids]: UTF-8 bytes of each id; 0 for control tokens, the end of a document and reserved ids."""
    spec = tokenizer.read_spec()
    steps = json.dumps([spec.get("pre_tokenizer"), spec.get("decoder")], ensure_ascii=False)
    model = spec["model"]
    byte_level, spaces = '"ByteLevel"' in steps, _SPACE in steps or _SPACE in json.dumps(spec, ensure_ascii=False)
    fallback, prefix = bool(model.get("byte_fallback")), model.get("continuing_subword_prefix") or ""
    suffix = model.get("end_of_word_suffix") or ""
    out = np.zeros(total_ids, np.int64)
    for token, number in tokenizer.tokenizer.get_vocab(with_added_tokens=True).items():
        if token in tokenizer.control:
            continue
        if token in tokenizer.added:
            out[number] = len(token.encode())
        elif fallback and _BYTE.fullmatch(token):
            out[number] = 1
        elif byte_level:
            out[number] = len(token.removeprefix(prefix).removesuffix(suffix))
        else:
            text = token.removeprefix(prefix).removesuffix(suffix)
            out[number] = len((text.replace(_SPACE, " ") if spaces else text).encode())
    return out
