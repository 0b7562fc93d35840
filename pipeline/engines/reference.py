"""The reference engine: the library `tokenizers`, on one thread, in bounded memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import StepFailed

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ..bpe import LoadedTokenizer

BATCH_CHARS = 1 << 20
"""Text encoded at a time. The library holds 150 to 200 bytes for each token of what it encodes."""

MAX_PIECE_CHARS = 1 << 20
"""A longer document is encoded in pieces where it can be cut without changing one id."""

_WINDOW = 48
_MAX_TRIES = 64
_CUT = re.compile(r"\n(?=[A-Za-z])|(?<=[A-Za-z])(?= [A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
"""Places between pre-tokens under every split rule in use: a word after a line end, a space between
words, a digit after a letter. Each is checked against the tokenizer at hand before it is cut."""


def encode(texts: list[str], tok: LoadedTokenizer) -> Iterator[NDArray[np.uint32]]:
    """Ids of each text, in order, encoding about `BATCH_CHARS` at a time.

    Raises StepFailed where the library panics.
    """
    control = np.zeros(tok.vocab_size, bool)
    control[never_from_text(tok)] = True
    breaker = _control_breaker(tok)
    for batch in _batches(texts):
        for text, ids in zip(batch, _encode_batch(batch, tok.tokenizer), strict=True):
            if control[ids].any():  # a model that spells control tokens itself (Unigram): break their names up
                ids = np.concatenate(_encode_batch(breaker.split(text), tok.tokenizer))
                ids = ids[~control[ids]]
            yield ids


def never_from_text(tok: LoadedTokenizer) -> list[int]:
    """Control ids that text must not give; the unknown token is what some models say of rare text."""
    unknown = getattr(tok.tokenizer.model, "unk_token", None)
    unknown_id = getattr(tok.tokenizer.model, "unk_id", None)
    return [i for name, i in tok.control.items() if name not in (unknown, "<unk>", "[UNK]") and i != unknown_id]


def _control_breaker(tok: LoadedTokenizer) -> re.Pattern[str]:
    """Matches the place behind the first character of each control token's name."""
    return re.compile("|".join(f"(?<={re.escape(n[0])})(?={re.escape(n[1:])})" for n in tok.control if len(n) > 1))


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and size + len(text) > BATCH_CHARS:
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _library_ids(texts: list[str], tokenizer: Tokenizer) -> list[NDArray[np.uint32]]:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # read by the library at each call
    try:
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of pyo3: no Exception, so that it would end the process
            raise
        raise StepFailed(
            f"the tokenizers library panicked on one of {len(texts)} texts of up to {max(map(len, texts)):,} "
            f"characters ({error}); drop documents of such length before tokenize"
        ) from error
    return [np.array(encoding.ids, np.uint32) for encoding in encodings]


def _encode_batch(texts: list[str], tokenizer: Tokenizer) -> list[NDArray[np.uint32]]:
    if len(texts) == 1 and len(texts[0]) > MAX_PIECE_CHARS:
        return [np.concatenate([_library_ids([piece], tokenizer)[0] for piece in _pieces(texts[0], tokenizer)])]
    return _library_ids(texts, tokenizer)


def _pieces(text: str, tokenizer: Tokenizer) -> Iterator[str]:
    """`text` cut into pieces of about `MAX_PIECE_CHARS` whose ids, joined, are the ids of the whole.

    Where no safe cut is found (one word of megabytes, a tokenizer that marks the start of a text)
    the piece grows, to the whole text if need be.
    """
    begin = 0
    while len(text) - begin > MAX_PIECE_CHARS:
        places = islice(_CUT.finditer(text, begin + MAX_PIECE_CHARS // 2), _MAX_TRIES)
        cut = next((m.end() for m in places if _safe(text, m.end(), tokenizer)), None)
        if cut is None:
            break
        yield text[begin:cut]
        begin = cut
    yield text[begin:]


def _safe(text: str, at: int, tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer puts a pre-token boundary at `at` and gives both sides the ids they have together."""
    if tokenizer.pre_tokenizer is None:
        return False
    left, right = text[max(at - _WINDOW, 0) : at], text[at : at + _WINDOW]
    whole = left + right
    if not any(begin == len(left) for _, (begin, _) in tokenizer.pre_tokenizer.pre_tokenize_str(whole)):
        return False
    ids = [tokenizer.encode(part, add_special_tokens=False).ids for part in (whole, left, right)]
    return ids[0] == ids[1] + ids[2]
