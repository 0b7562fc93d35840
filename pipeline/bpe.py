"""Tokenizers: load any Hugging Face `tokenizer.json`, or train a byte-level BPE on the run's own text.

The library `tokenizers` is the reference for ids. What a file may carry that has no place in
pretraining is switched off on loading: truncation, padding, BPE dropout, and the reading of control
tokens out of plain text (a web page that says `<|endoftext|>` must not end a document).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, nearest
from .packs import id_dtype
from .storage import place

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_DOCUMENT = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|end▁of▁sentence|>",
    "<｜end▁of▁sentence｜>",
    "</s>",
    "<eos>",
    "<|eos|>",
    "<|eot_id|>",
    "<|endofdocument|>",
    "<|im_end|>",
    "[EOS]",
    "[SEP]",
)
"""Names that end a document, the first one found is taken."""

SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{M}\p{N}]?[\p{L}\p{M}]+"
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where a trained tokenizer may not merge: the cl100k rule (contractions, words with one leading mark,
digits by threes, punctuation, line ends, spaces) with combining marks kept inside words, so that
Indic and pointed scripts are not cut at every vowel sign."""

_BLANK = " \t\r\n\v\f\u00a0▁"
"""What ordinary added tokens are runs of (GPT-NeoX, Phi, Gemma); ▁ stands for a space in SentencePiece's models."""

_MAX_RUN = 256
_LONG_RUN = re.compile(rf"\S{{{_MAX_RUN + 1}}}|\s{{{_MAX_RUN + 1}}}")


@dataclass(frozen=True)
class LoadedTokenizer:
    """A tokenizer made ready for pretraining text.

    `fingerprint` is a hash of the file's content; `vocab_size`
    the highest id plus one, added tokens included; `dtype` the narrowest of uint16 and uint32 that
    also holds the ids which the pack format reserves above the vocabulary. `control` maps the texts
    of all control tokens to their ids, `added` those of all added tokens; `allow` are added tokens
    that text may give.
    """

    tokenizer: Tokenizer
    fingerprint: str
    vocab_size: int
    eos: str
    eos_id: int
    dtype: str
    path: Path
    control: dict[str, int] = field(repr=False)
    added: dict[str, int] = field(repr=False)
    allow: tuple[str, ...] = ()

    def read_spec(self) -> dict[str, Any]:
        """The file's content as it was loaded: without dropout, and with control tokens marked special."""
        return _for_text(json.loads(self.path.read_bytes()), self.allow)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`; control tokens show by their names, ids above the vocabulary are left out."""
        return str(self.tokenizer.decode([i for i in ids if i < self.vocab_size], skip_special_tokens=False))

    def __reduce__(self) -> tuple[Any, ...]:
        return load_tokenizer, (self.path, self.eos, self.allow)


def load_tokenizer(path: str | Path, eos: str | None = None, allow_tokens: Iterable[str] = ()) -> LoadedTokenizer:
    """Load a Hugging Face `tokenizer.json`.

    Added tokens are control tokens, whether their file marks them special or not (`<think>`,
    `|||EMAIL_ADDRESS|||`): text never turns into them. Only runs of white space, and those named in
    `allow_tokens`, are read out of text.

    `eos` names the end-of-document token; without it the first of `END_OF_DOCUMENT` in the vocabulary.
    Raises ConfigError for a missing or unreadable file, where no end-of-document token is found, and
    if `allow_tokens` names it or what is no added token.
    """
    from tokenizers import Tokenizer

    path, allow = place(path), tuple(sorted(set(allow_tokens)))
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"tokenizer {path} can't be read: {error.strerror or error}") from error
    try:
        spec = json.loads(raw)
    except ValueError as error:
        raise ConfigError(f"tokenizer {path} is not JSON: {error}") from error
    if not isinstance(spec, dict) or not isinstance(spec.get("model"), dict):
        raise ConfigError(
            f"tokenizer {path} has no 'model': not a Hugging Face tokenizer.json"
            " (a vocab.json, a tokenizer_config.json or a .tiktoken file won't do)"
        )
    try:
        changed = _for_text(spec, allow)
        tokenizer = (
            Tokenizer.from_buffer(raw)
            if changed == spec
            else Tokenizer.from_str(json.dumps(changed, ensure_ascii=False))
        )
    except Exception as error:  # the library raises bare Exception, whatever the fault
        raise ConfigError(f"tokenizer {path} is not understood by the tokenizers library: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True

    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    if not vocabulary:
        raise ConfigError(f"tokenizer {path} has an empty vocabulary")
    added = sorted(tokenizer.get_added_tokens_decoder().items())
    names = {token.content: i for i, token in added}
    special = {token.content: i for i, token in added if token.special}
    for name in allow:
        if name not in names:
            raise ConfigError(f"allow_tokens: tokenizer {path} has no added token '{name}'{nearest(name, names)}")
    eos_name = _choose_eos(eos, vocabulary, special, path)
    if eos_name in allow:
        raise ConfigError(f"allow_tokens: '{eos_name}' ends documents and can't come from text")
    vocab_size = max(vocabulary.values()) + 1
    return LoadedTokenizer(
        tokenizer=tokenizer,
        fingerprint=hashlib.blake2b(raw, digest_size=16).hexdigest(),
        vocab_size=vocab_size,
        eos=eos_name,
        eos_id=vocabulary[eos_name],
        dtype=id_dtype(vocab_size),
        path=path,
        control={**special, eos_name: vocabulary[eos_name]},
        added=names,
        allow=allow,
    )


def _for_text(spec: dict[str, Any], allow: tuple[str, ...]) -> dict[str, Any]:
    """The file's content with dropout off, and special just those added tokens that text must not give."""
    spec = dict(spec)
    if spec["model"].get("dropout"):
        spec["model"] = {**spec["model"], "dropout": None}
    if spec.get("added_tokens"):
        spec["added_tokens"] = [_added_token(token, allow) for token in spec["added_tokens"]]
    return spec


def _added_token(token: dict[str, Any], allow: tuple[str, ...]) -> dict[str, Any]:
    name = token.get("content", "")
    if name in allow:
        return {**token, "special": False}
    return {**token, "special": True} if name.strip(_BLANK) else token


def _choose_eos(eos: str | None, vocabulary: dict[str, int], special: dict[str, int], path: Path) -> str:
    if eos is not None:
        if eos not in vocabulary:
            hint = nearest(eos, special) or nearest(eos, vocabulary)
            raise ConfigError(f"tokenizer {path} has no token '{eos}' to end documents with{hint}")
        if len(eos) < 2:
            raise ConfigError(f"tokenizer {path}: '{eos}' is ordinary text and can't end documents")
        return eos
    for name in END_OF_DOCUMENT:
        if name in vocabulary:
            return name
    raise ConfigError(
        f"tokenizer {path} has no known end-of-document token; name one (eos=...)."
        f" Its special tokens: {list(special)[:20]}"
    )


def train_bpe(
    texts: Iterable[str] | Iterable[list[str]],
    vocab_size: int,
    special_tokens: Iterable[str] = ("<|endoftext|>",),
) -> Tokenizer:
    """Train a byte-level BPE; `texts` yields documents or lists of documents and is read once.

    The vocabulary holds the special tokens (ids from 0), all 256 bytes and merges up to `vocab_size`
    (fewer if the text has no pair that occurs twice), so any text round-trips. Only the counts of
    pre-tokens matter: the order of the documents and the number of threads don't change the result.
    Runs of over 256 characters without a space (base64, rulers) are cut there for training only:
    the trainer is quadratic in the length of a word (51 s for one of 300 000 letters).

    Raises ConfigError if `vocab_size` can't hold the bytes and special tokens.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    special = list(dict.fromkeys(special_tokens))
    if vocab_size < 256 + len(special):
        raise ConfigError(f"vocab_size {vocab_size} is under 256 bytes + {len(special)} special tokens")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=64,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_training_batches(texts), trainer)
    return tokenizer


def _training_batches(texts: Iterable[str] | Iterable[list[str]]) -> Iterator[list[str]]:
    for item in texts:
        batch = [item] if isinstance(item, str) else item
        yield [piece for text in batch for piece in _cut_long_runs(text)]


def _cut_long_runs(text: str) -> list[str]:
    """`text` in pieces (nothing lost) none of which has more than 256 characters in a row (non-)space."""
    if not _LONG_RUN.search(text):
        return [text]
    pieces, begin = [], 0
    while (match := _LONG_RUN.search(text, begin)) is not None:
        pieces.append(text[begin : match.end() - 1])
        begin = match.end() - 1
    pieces.append(text[begin:])
    return pieces
