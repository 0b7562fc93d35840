"""What a tokenizer.json asks for, as far as the fast engine does it exactly; else the reason why it does not."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .classes import (
    LETTER_BIT,
    LOWER_BIT,
    MARK_BIT,
    NUMBER_BIT,
    PUNCTUATION_BIT,
    SPACE_BIT,
    SYMBOL_BIT,
    UPPER_BIT,
    unicode_classes,
)

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""GPT-2's (Radford et al. 2019), which `ByteLevel` applies itself where `use_regex` is set."""
_CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_DEEPSEEK = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
)
_HAN = ((0x4E00, 0x9FA5), (0x3040, 0x309F), (0x30A0, 0x30FF))
_O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""GPT-4o's and gpt-oss's; without the contractions Mistral's Tekken."""

MAX_ADDED_BYTES = 1 << 13
"""Added tokens that text may give, together: they stand in a tree with 257 numbers for each of their bytes."""


_NOT_IN_UTF8 = frozenset((0xC0, 0xC1, *range(0xF5, 0x100)))


class NotSupported(Exception):
    """The tokenizer does something that the fast engine doesn't know; the message says what."""


@dataclass(frozen=True)
class Split:
    """A split pattern: which family, digits in one number (0: no rule), and whether marks count as letters."""

    family: str
    digits: int = 0
    marks: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """All that the fast engine needs of a tokenizer.

    `byte_ids` int64[256]: the id of each byte. `left, right, made` int64[merges], by rank. `words` are the
    vocabulary's entries as bytes with their ids, and only for `ignore_merges`. `raw_added` are added tokens found
    before NFC, `added` after it (or where there is none); both map UTF-8 to an id.
    """

    split: Split
    nfc: bool
    byte_ids: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    made: NDArray[np.int64]
    words: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]] | None
    added: dict[bytes, int]
    raw_added: dict[bytes, int]

    def spells(self, number: int, pre_tokens: int) -> bool:
        """Whether text may give this id by its bytes and merges, or as a whole word if it is one pre-token."""
        whole = self.words is not None and pre_tokens == 1 and bool(np.any(self.words[2] == number))
        return whole or bool(np.any(self.byte_ids == number) or np.any(self.made == number))


def _single_splits() -> dict[str, Split]:
    """Tokenizers with one pattern: cl100k's and o200k's, with other digits, marks in words, or no contractions."""
    marked = _CL100K.replace(r"\p{L}\p{N}", r"\p{L}\p{M}\p{N}").replace(r"]?\p{L}+", r"]?[\p{L}\p{M}]+")
    tekken = _O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "")
    families = (
        (_CL100K, "cl100k", False),
        (marked, "cl100k", True),
        (_O200K, "o200k", False),
        (tekken, "tekken", False),
    )
    return {
        pattern.replace(r"\p{N}{1,3}", text): Split(family, digits, marks)
        for pattern, family, marks in families
        for text, digits in ((r"\p{N}{1,3}", 3), (r"\p{N}{1,2}", 2), (r"\p{N}", 1))
    }


def plan(spec: dict[str, Any], added_ids: dict[str, int]) -> Plan:
    """The plan of a tokenizer.json's content, which the library has loaded; `added_ids` as it numbered added tokens.

    Raises NotSupported.
    """
    model = spec["model"]
    _check_model(model)
    split = _split(spec.get("pre_tokenizer"))
    nfc = _is_nfc(spec.get("normalizer"))
    vocabulary: dict[str, int] = model["vocab"]
    if max(vocabulary.values(), default=0) >= 1 << 21:
        raise NotSupported("ids of 2^21 and more")
    alphabet = byte_alphabet()
    if any(char not in vocabulary and byte not in _NOT_IN_UTF8 for byte, char in enumerate(alphabet)):
        raise NotSupported("a vocabulary without all bytes of UTF-8")
    byte_ids = np.array([vocabulary.get(char, vocabulary["?"]) for char in alphabet], np.int64)
    pairs = [one.split(" ") if isinstance(one, str) else one for one in model["merges"]]
    left = np.fromiter((vocabulary[a] for a, _ in pairs), np.int64, len(pairs))
    right = np.fromiter((vocabulary[b] for _, b in pairs), np.int64, len(pairs))
    made = np.fromiter((vocabulary[a + b] for a, b in pairs), np.int64, len(pairs))
    words = _vocabulary_bytes(vocabulary, alphabet) if model.get("ignore_merges") else None
    added, raw = _added(spec.get("added_tokens") or [], added_ids, nfc)
    return Plan(split, nfc, byte_ids, left, right, made, words, added, raw)


def _check_model(model: dict[str, Any]) -> None:
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        raise NotSupported(f"a {model.get('type')} model")
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if model.get(option):
            raise NotSupported(f"BPE with {option}")


def byte_alphabet() -> str:
    """The characters that stand for the bytes 0 to 255 in byte-level vocabularies (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return "".join(chr(byte) if byte in plain else chr(next(others)) for byte in range(256))


def _is_nfc(normalizer: dict[str, Any] | None) -> bool:
    if normalizer is None:
        return False
    if normalizer.get("type") == "Sequence":
        steps = [_is_nfc(one) for one in normalizer["normalizers"]]
        return any(steps)
    if normalizer.get("type") == "NFC":
        return True
    raise NotSupported(f"the normaliser {normalizer.get('type')}")


def _split(pre: dict[str, Any] | None) -> Split:
    if pre is None:
        raise NotSupported("no pre-tokeniser")
    steps = list(pre["pretokenizers"]) if pre.get("type") == "Sequence" else [pre]
    if not steps or steps[-1].get("type") != "ByteLevel":
        raise NotSupported("a pre-tokeniser that isn't byte-level")
    if steps[-1].get("add_prefix_space", True):
        raise NotSupported("a space before each text")
    digits = 0
    if steps[0].get("type") == "Digits":
        digits = 1 if steps.pop(0).get("individual_digits") else 1 << 40
    patterns = [_pattern(one) for one in steps[:-1]]
    if steps[-1].get("use_regex", True):
        patterns.append(GPT2_PATTERN)
    if patterns == [GPT2_PATTERN]:
        return Split("gpt2", digits)
    if digits:
        raise NotSupported("numbers split off before another pattern than GPT-2's")
    if tuple(patterns) == _DEEPSEEK:
        return Split("deepseek", 3, True)
    known = _single_splits()
    if len(patterns) == 1 and patterns[0] in known:
        return known[patterns[0]]
    raise NotSupported(f"the split pattern {' then '.join(patterns)[:200]}")


def _pattern(step: dict[str, Any]) -> str:
    """The regular expression of a `Split` step that cuts text at every match and loses none of it."""
    pattern = step.get("pattern")
    if step.get("type") != "Split" or not isinstance(pattern, dict) or "Regex" not in pattern:
        raise NotSupported(f"the pre-tokeniser {step.get('type')}")
    behavior, invert = step.get("behavior"), step.get("invert", False)
    # these patterns match every character, so that keeping only what matches is the same as cutting there
    if (behavior, invert) not in (("Isolated", False), ("Removed", True)):
        raise NotSupported(f"the split behaviour {behavior}")
    regex = str(pattern["Regex"])
    if invert and regex in _DEEPSEEK:
        raise NotSupported("an inverted split")
    return regex


def _vocabulary_bytes(
    vocabulary: dict[str, int], alphabet: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """(bytes, offsets, ids) of the entries that stand for bytes."""
    table = str.maketrans({char: chr(byte) for byte, char in enumerate(alphabet)})
    known = set(alphabet)
    words, ids = [], []
    for word, number in vocabulary.items():
        if word and known.issuperset(word):
            words.append(word.translate(table).encode("latin-1"))
            ids.append(number)
    offsets = np.concatenate([[0], np.cumsum([len(word) for word in words])]).astype(np.int64)
    return np.frombuffer(b"".join(words), np.uint8), offsets, np.array(ids, np.int64)


def _added(tokens: list[dict[str, Any]], ids: dict[str, int], nfc: bool) -> tuple[dict[bytes, int], dict[bytes, int]]:
    """Added tokens that text may give: (found in normalised text, found before it is normalised)."""
    after: dict[bytes, int] = {}
    before: dict[bytes, int] = {}
    for token in tokens:
        if token.get("special"):
            continue
        content = token["content"]
        if not content:
            continue
        if any(token.get(flag) for flag in ("lstrip", "rstrip", "single_word")):
            raise NotSupported(f"the added token {content!r}, which looks at its neighbours")
        if nfc and not unicodedata.is_normalized("NFC", content):
            raise NotSupported(f"the added token {content!r}, which is not NFC")
        (after if token.get("normalized", True) else before)[content.encode()] = ids[content]
    if after and before:
        raise NotSupported("added tokens of which some are found before and some after normalising")
    if sum(map(len, after)) + sum(map(len, before)) > MAX_ADDED_BYTES:
        raise NotSupported("so many added tokens that are no control tokens")
    return after, before


def _digits() -> NDArray[np.int64]:
    """The code points that the library's `Digits` splits off: it asks Rust, not the regular expressions' engine."""
    from tokenizers import pre_tokenizers

    points = np.flatnonzero(unicode_classes())
    text = "".join("a" + chr(point) for point in points)  # what is no digit stays with its neighbours
    pieces = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str(text)
    return points[[begin // 2 for _, (begin, end) in pieces if end == begin + 1 and begin % 2]]


def kinds_of(split: Split) -> NDArray[np.uint8]:
    """uint8[0x110000]: the kind of each character in this split pattern (see `splits`)."""
    from .splits import HAN, LETTER, LOWER, MARK, NEWLINE, NUMBER, OTHER, REST, SPACE, UPPER

    classes = unicode_classes()
    deepseek = split.family == "deepseek"
    kinds = np.full(len(classes), REST if deepseek else OTHER, np.uint8)
    if deepseek:
        kinds[classes & (PUNCTUATION_BIT | SYMBOL_BIT) != 0] = OTHER
    kinds[classes & SPACE_BIT != 0] = SPACE
    kinds[classes & NUMBER_BIT != 0] = NUMBER
    if split.family == "gpt2" and split.digits and not np.array_equal(np.flatnonzero(kinds == NUMBER), _digits()):
        raise NotSupported("numbers that the library's Digits and its regular expressions see differently")
    kinds[classes & (LETTER_BIT | (MARK_BIT if split.marks else 0)) != 0] = LETTER
    if split.family in ("o200k", "tekken"):
        for bit, kind in ((UPPER_BIT, UPPER), (LOWER_BIT, LOWER), (MARK_BIT, MARK)):
            kinds[classes & bit != 0] = kind
    if split.family != "gpt2":
        kinds[[10, 13]] = NEWLINE
    if deepseek:
        for first, last in _HAN:
            kinds[first : last + 1] |= HAN
    return kinds
