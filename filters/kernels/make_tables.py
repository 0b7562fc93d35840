"""Makes filters/data/unicode.npz, the character properties of the kernels, from the module `regex`.

    python -m filters.kernels.make_tables

One word of 32 bits a code point (the fields are named in `tables`), in a two-stage table: blocks of 128 code points,
equal blocks stored once. The file names the version of `regex`, whose Unicode version is what counts.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np

from . import tables as t

TARGET = Path(__file__).parents[1] / "data" / "unicode.npz"
UNICODE = "18.0.0"


def _set(pattern: str) -> np.ndarray:
    import regex

    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    found = regex.compile(rf"[{pattern}]+")
    out = np.zeros(0x110000, bool)
    for match in found.finditer(text):
        first, last = ord(match[0][0]), ord(match[0][-1])
        out[first : last + 1] = True
    out[0xD800:0xE000] = False
    return out


def properties() -> np.ndarray:
    """uint32[0x110000]: the word of every code point."""
    out = np.zeros(0x110000, np.uint32)
    for number, name in enumerate(t.WORD_BREAK):
        out[_set(rf"\p{{Word_Break={name}}}")] |= number
    for number, name in enumerate(t.SENTENCE_BREAK):
        out[_set(rf"\p{{Sentence_Break={name}}}")] |= number << t.SENTENCE_SHIFT
    for number, name in enumerate(t.SCRIPTS):
        if name != "other":
            out[_set(rf"\p{{Script={name}}}")] |= number << t.SCRIPT_SHIFT
    flags = {
        t.LETTER: r"\p{L}", t.NUMBER: r"\p{N}", t.PUNCTUATION: r"\p{P}", t.SYMBOL: r"\p{S}",
        t.SPACE: r"\p{White_Space}\x1c-\x1f", t.UPPER: r"\p{Uppercase}", t.LOWER: r"\p{Lowercase}", t.MARK: r"\p{M}",
        t.PICTURE: r"\p{Extended_Pictographic}", t.CONTROL: r"\p{Cc}",
        t.TERMINAL: r"\p{Sentence_Terminal}\u17D6\u17D9\u17DA",
    }  # fmt: skip
    for flag, pattern in flags.items():
        out[_set(pattern)] |= flag
    out[(out & (t.CONTROL | t.TERMINAL)) > 0] |= t.NO_WORD
    out[[ord(c) for c in t.CCNET_PUNCTUATION]] |= t.NO_WORD
    return out


def main() -> None:
    """Write the file."""
    words = properties().reshape(-1, t.BLOCK)
    blocks, first = np.unique(words, axis=0, return_inverse=True)
    np.savez_compressed(
        TARGET,
        blocks=blocks.reshape(-1),
        first=first.reshape(-1).astype(np.uint16),
        unicode=np.array(UNICODE),
        regex=np.array(metadata.version("regex")),
    )
    print(f"{TARGET.name}: {len(blocks)} blocks, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
