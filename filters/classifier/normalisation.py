"""What is done to a text before a classifier reads it: part of the model's contract, stated in its card."""

from __future__ import annotations

import dataclasses
import functools
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.errors import ConfigError, nearest

_TABLE = 0x20000  # Han letters behind it are told by their range; nothing else there has digits or capitals
_CJK = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
)

if TYPE_CHECKING:  # numpy waits: the command line reads the options of this module
    import numpy as np
    from numpy.typing import NDArray

    Spans: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """How texts are written before the model splits them at white space. Line breaks always count as spaces."""

    lowercase: bool = field(default=False, metadata={"help": "small letters (Unicode's simple mapping)"})
    digits_to_zero: bool = field(default=False, metadata={"help": "each decimal digit of any script to 0"})
    split_punctuation: bool = field(default=False, metadata={"help": "punctuation and symbols as words of their own"})
    split_cjk: bool = field(
        default=False, metadata={"help": "letters of scripts without spaces as words of their own (not Korean)"}
    )
    mark_capitals: bool = field(
        default=False,
        metadata={"help": "`^` as a word before capitalised words inside a line's sentence; with lowercase"},
    )
    plain_punctuation: bool = field(
        default=False, metadata={"help": "curly quotation marks, dashes and the ellipsis as in ASCII"}
    )
    letters_only: bool = field(
        default=False, metadata={"help": "digits, punctuation and symbols to spaces: only letters and marks are read"}
    )
    max_bytes: int = field(default=0, metadata={"help": "only so many bytes of a text, at a character; 0 = all"})

    def card(self) -> dict[str, Any]:
        """As it stands in a card."""
        return {"newlines_to_spaces": True, **dataclasses.asdict(self)}

    @classmethod
    def from_card(cls, value: Any, where: str) -> Normalisation:
        """From a card's `normalisation`. Raises ConfigError for what this version can't do."""
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: `normalisation` must be an object")
        options = [f.name for f in dataclasses.fields(cls)]
        if value.get("newlines_to_spaces") is False:
            raise ConfigError(f"{where}: newlines_to_spaces can't be false: fastText would read the first line only")
        for key, given in value.items():
            if key == "newlines_to_spaces":
                continue
            if key not in options:
                raise ConfigError(f"{where}: unknown normalisation '{key}'{nearest(key, options)}")
            if type(given) is not (int if key == "max_bytes" else bool) or given < 0:
                raise ConfigError(f"{where}: normalisation '{key}' can't be {given!r}")
        return cls(**{k: v for k, v in value.items() if k != "newlines_to_spaces"})

    @property
    def flags(self) -> int:
        """The bits that the kernel takes."""
        rewritten = self.lowercase or self.plain_punctuation
        split = self.split_punctuation << 2 | self.split_cjk << 3
        return rewritten | self.digits_to_zero << 1 | split | self.mark_capitals << 4 | self.letters_only << 5

    def apply(self, data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Spans:
        """The texts data[starts[i]:ends[i]] normalised: (bytes, starts, ends), read-only; no copy if nothing is done.

        Needs memory of twice the texts; callers give some megabytes at a time.
        """
        if self.max_bytes:
            ends = capped(data, starts, ends, self.max_bytes)
        if not self.flags:
            return data, starts, ends
        import numpy as np

        from filters.kernels import normalise as k

        kinds, lower = code_point_tables(self.lowercase, self.plain_punctuation)
        out = np.empty(2 * int((ends - starts).sum()) + 4, np.uint8)
        out_starts, out_ends = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
        size = k.normalise(data, starts, ends, kinds, lower, self.flags, out, out_starts, out_ends)
        out = out[:size]
        for made in (out, out_starts, out_ends):
            made.flags.writeable = False  # the type that Arrow's buffers have, so that kernels are compiled once
        return out, out_starts, out_ends

    def text(self, text: str) -> str:
        """One text normalised, for training files and for people."""
        import numpy as np

        raw = text.encode("utf-8", "replace")
        bounds = np.array([0, len(raw)])
        bounds.flags.writeable = False
        data, starts, ends = self.apply(np.frombuffer(raw, np.uint8), bounds[:1], bounds[1:])
        return data[int(starts[0]) : int(ends[0])].tobytes().decode("utf-8", "replace")


def capped(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], max_bytes: int
) -> NDArray[np.int64]:
    """The ends of texts cut to `max_bytes` at a character."""
    import numpy as np

    found = np.minimum(ends, starts + max_bytes)
    for _ in range(3):
        cut = (found < ends) & (found > starts)
        found[cut] -= (data[found[cut]] & 0xC0) == 0x80
    found.flags.writeable = False
    return found


_PLAIN = dict(zip("‘’‚“”„–—‐‑…", "'''\"\"\"----.", strict=True))


@functools.lru_cache(maxsize=4)
def code_point_tables(
    lowercase: bool = True, plain_punctuation: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """(kinds, lower) for the kernel, by Python's version of the Unicode database."""
    import numpy as np

    from filters.kernels import normalise as k

    category = unicodedata.category
    chars = [chr(c) for c in range(_TABLE)]
    categories = np.array([category(c) for c in chars], "U2")
    kinds = np.zeros(_TABLE, np.uint8)
    kinds[categories == "Nd"] |= k.K_DIGIT
    kinds[np.isin(categories.astype("U1"), ["P", "S"])] |= k.K_PUNCTUATION
    marks = categories.astype("U1") == "M"
    kinds[marks] |= k.K_MARK
    for first, last in _CJK:
        letters = np.arange(first, last + 1)
        kinds[letters[np.char.startswith(categories[letters], "L")]] |= k.K_CJK
    for bit, test in (
        (k.K_SPACE, str.isspace),
        (k.K_ALPHA, str.isalpha),
        (k.K_UPPER, str.isupper),
        (k.K_NOT_UPPER, lambda c: c.islower() or unicodedata.category(c) == "Lt"),
    ):
        kinds[[test(c) for c in chars]] |= bit
    lower = np.array([ord(c.lower()[0]) if lowercase else ord(c) for c in chars], np.int32)
    for sign, plain in _PLAIN.items() if plain_punctuation else ():
        lower[ord(sign)] = ord(plain)
    return kinds, lower
