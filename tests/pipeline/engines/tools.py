"""Small byte-level BPE tokenizers for the tests of engines: one vocabulary whose merges cross every border."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipeline.bpe import LoadedTokenizer, load_tokenizer
from pipeline.engines.encoder import Encoder, Tally

LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
GPT2 = {**LEVEL, "use_regex": True}


def split(pattern: str, behavior: str = "Isolated", invert: bool = False) -> dict[str, Any]:
    """A `Split` step as tokenizer.json has it."""
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def chain(*patterns: str, **how: Any) -> dict[str, Any]:
    """Splits one after the other, then bytes."""
    return {"type": "Sequence", "pretokenizers": [*(split(p, **how) for p in patterns), LEVEL]}


CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = CL100K.replace("{1,3}", "")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")
DEEPSEEK = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
)
CHARACTERS = [*"aZsStTrReEvVmMlLdDk'’ſ 09.,!-_#$~\n\r\t", *"…€^`|<>/ʰΣ中龥龦〇か゛ー・ナ゠한नक٣½Ⅷعǅ𝔘éÅ", "  ",
              "\u00a0", "\u2028", "\x85", "\x00", "\u200b", "\u200d", "e\u0301", "\u0301", "\u0323", "\u212b",
              "\u1100\u1161\u11a8", "\u0940", "\u09be", "\u064b", "👩\u200d👧", "🏳\ufe0f", "👍🏽", "\ue000",
              "\U000e0041", "\uffff"]  # fmt: skip


def random_texts(number: int, seed: int, longest: int = 40) -> list[str]:
    """Texts of characters that splits treat differently, in any order."""
    draw = random.Random(seed)
    return ["".join(draw.choices(CHARACTERS, k=draw.randint(1, longest))) for _ in range(number)]


def base_spec(vocab_size: int = 1500) -> dict[str, Any]:
    """A tokenizer.json's content, trained without any split, so that most borders lie inside of some merge."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=["<|endoftext|>"], show_progress=False, max_token_length=12,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    draw = random.Random(4)
    words = ["the", "miller's", "12", "sacks,", "don't", "we'll", "I'M", "2024", "e-mail", "...", "naïve\n"]
    lines = [" ".join(draw.choices(words, k=12)) + "  \n\n " for _ in range(200)]
    tokenizer.train_from_iterator(random_texts(3000, 9) + lines, trainer)
    return dict(json.loads(tokenizer.to_str()))


def made(folder: Path, spec: dict[str, Any], allow: Sequence[str] = (), **changes: Any) -> LoadedTokenizer:
    """The tokenizer with some of its parts changed (`model=` is merged into the model), loaded from a file."""
    model = {**spec["model"], **changes.pop("model", {})}
    path = folder / f"{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps({**spec, **changes, "model": model}, ensure_ascii=False), encoding="utf-8")
    return load_tokenizer(path, None, allow)


def added(content: str, number: int, **flags: bool) -> dict[str, Any]:
    """An added token as tokenizer.json has it."""
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": number, "content": content, **plain, **flags}


def gpt2_file(source: Path, path: Path) -> Path:
    """A tokenizer.json at `path` from GPT-2's `gpt2_encoder.json` and `gpt2_vocab.bpe` in the folder `source`."""
    vocabulary = json.loads((source / "gpt2_encoder.json").read_text(encoding="utf-8"))
    lines = (source / "gpt2_vocab.bpe").read_text(encoding="utf-8").splitlines()
    end = "<|endoftext|>"
    spec = {
        "version": "1.0",
        "added_tokens": [added(end, vocabulary[end], special=True)],
        "normalizer": None,
        "pre_tokenizer": GPT2,
        "post_processor": None,
        "decoder": GPT2,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [line for line in lines[1:] if line]},
    }
    path.write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")
    return path


def library_ids(tok: LoadedTokenizer, texts: Sequence[str]) -> list[list[int]]:
    """What the library itself makes of the file, with special tokens in text taken for text."""
    plain = Tokenizer.from_file(str(tok.path))
    plain.encode_special_tokens = True
    return [one.ids for one in plain.encode_batch_fast(list(texts), add_special_tokens=False)]


def engine_ids(
    tok: LoadedTokenizer, texts: Sequence[str | None], tally: Tally | None = None, encoder: Encoder | None = None
) -> list[list[int]]:
    """What the fast engine makes of the texts."""
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    encoder = encoder or Encoder(tok, "fast")
    offsets, ids = encoder.encode(column, eos=False, tally=tally if tally is not None else Tally())
    return [ids[a:b].tolist() for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
