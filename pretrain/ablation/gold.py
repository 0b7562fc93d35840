"""Gold answers of benchmarks as token sequences: the prompt is given, only the answer's bits are counted.

A prompt is the passage, if there is one, and `Question: ...`, `Answer:`, each on a line; the answer follows after a
blank. That blank belongs to the answer's first token, whose bits count; its byte does not, as in AI2's OLMES
(Gu et al. 2024). Prompt and answer are cut into tokens apart, so that every arm counts the same tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError

from .design import WHERE

if TYPE_CHECKING:
    from pipeline.bpe import LoadedTokenizer


@dataclass(frozen=True)
class GoldItem:
    """An item: ids of the prompt and of the answer, and the answer's UTF-8 bytes."""

    name: str
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    answer_bytes: int


@dataclass(frozen=True)
class GoldText:
    """An item's texts. `item`: BENCHMARK/SPLIT/NUMBER."""

    benchmark: str
    item: str
    prompt: str
    answer: str


def read_gold(sources: Sequence[str], most: int, seed: int) -> list[GoldText]:
    """Items with an answer, of each benchmark at most `most`, chosen by a hash of seed and item.

    `sources` are those of `decontam.items.read`. Records that give no item are passed over. Raises ConfigError where
    none is left.
    """
    from decontam.items import read

    if not sources:
        return []
    by_set: dict[str, list[tuple[bytes, GoldText]]] = {}
    for row in read(list(sources), on_error="skip").items.to_pylist():
        if not (row["answer"] or "").strip():
            continue
        made = GoldText(row["benchmark"], row["item"], prompt_of(row), row["answer"].strip())
        rank = hashlib.blake2b(f"{seed}\0{made.item}".encode(), digest_size=8).digest()
        by_set.setdefault(made.benchmark, []).append((rank, made))
    if not by_set:
        raise ConfigError(f"{WHERE}: no item of {', '.join(sources)} has an answer")
    return [made for rows in by_set.values() for _, made in sorted(rows, key=lambda row: row[0])[:most]]


def prompt_of(row: dict[str, Any]) -> str:
    """The text before an item's answer."""
    passage = f"{row['passage'].strip()}\n" if (row["passage"] or "").strip() else ""
    return f"{passage}Question: {row['question'].strip()}\nAnswer:"


def encode(texts: Sequence[GoldText], tokenizer: LoadedTokenizer, sequence_length: int) -> dict[str, list[GoldItem]]:
    """The items by benchmark as ids; a prompt that is too long loses its beginning.

    An answer that leaves no room for a token of its prompt is left out.
    """
    found: dict[str, list[GoldItem]] = {}
    for text in texts:
        prompt = tokenizer.tokenizer.encode(text.prompt, add_special_tokens=False).ids
        answer = tokenizer.tokenizer.encode(f" {text.answer}", add_special_tokens=False).ids
        room = sequence_length - len(answer)
        if room >= 1:
            item = GoldItem(text.item, tuple(prompt[-room:]), tuple(answer), len(text.answer.encode()))
            found.setdefault(text.benchmark, []).append(item)
    return found
