"""How much a selection keeps: `10000`, `10%`, `2e9 tokens`, `500M bytes`, `5% tokens`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from pipeline.errors import ConfigError, nearest

UNITS = ("documents", "tokens", "bytes")
HELP = "how much to keep: 10000 (documents), 10% (of the documents), 2e9 tokens, 500M bytes, 5% tokens"
_FORM = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?(?:[eE]\+?[0-9]{1,2})?)\s*(%|[kKMGBT](?![a-zA-Z]))?\s*([a-z]*)\s*")
_SCALE = {"": 1, "%": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


@dataclass(frozen=True)
class Budget:
    """An amount, or a share of all that came in, of documents, tokens or bytes of text."""

    amount: Fraction
    share: bool
    unit: str

    @classmethod
    def parse(cls, value: object, where: str) -> Budget:
        """From what an option holds. Raises ConfigError; `where` names the step."""
        form = f"{where}: keep must be written as {HELP.partition(': ')[2]}"
        if isinstance(value, bool) or not isinstance(value, (str, int, float)) or value == "":
            raise ConfigError(f"{form}; not {value!r}")
        found = _FORM.fullmatch(repr(value) if isinstance(value, float) else str(value))
        if found is None:
            raise ConfigError(f"{form}; not {value!r}")
        number, scale, word = found[1].replace("_", "").replace(",", ""), found[2] or "", found[3] or UNITS[0]
        if word not in UNITS and f"{word}s" not in UNITS:
            raise ConfigError(f"{form}; there is no unit '{word}'{nearest(word, UNITS)}")
        unit = word if word in UNITS else f"{word}s"
        amount = Fraction(number) * _SCALE[scale]
        if scale == "%" and amount > 100:
            raise ConfigError(f"{where}: keep can't be more than 100 %, not {value!r}")
        if scale != "%" and amount.denominator != 1:
            raise ConfigError(f"{where}: keep {value!r} is no whole number; write a share as {float(amount) * 100:g}%")
        if amount == 0:
            raise ConfigError(f"{where}: keep {value!r} would keep nothing")
        return cls(amount / 100 if scale == "%" else amount, scale == "%", unit)

    def of(self, total: int) -> int:
        """The amount in units where `total` of them came in; shares are rounded down."""
        return int(self.amount * total) if self.share else int(self.amount)
