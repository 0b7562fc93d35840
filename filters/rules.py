"""Filters that decide by several comparisons over measures of a document (Gopher, C4, FineWeb ...).

The score column is a struct with one field a measure; the decision walks the rules in order, and the reason
for a drop is the option of the first rule that failed. Thresholds may differ by language (`by_language`).
"""

from __future__ import annotations

import dataclasses
import operator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.stage import Filter

from .settings import settings_by_language, settings_digest

_COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}


@dataclass(frozen=True, kw_only=True)
class RuleFilter(Filter):
    """Scores a struct of measures (`measures`, one field each) and keeps what passes all `rules`.

    An option that a rule names holds its threshold; None switches the rule off. A measure that is null or
    not a number passes every rule. Comparisons are made in double precision.
    """

    measures: ClassVar[pa.StructType]
    cutoffs: ClassVar[tuple[str, ...]] = ()
    """Options that hold numbers and may differ by language, besides those of the rules."""

    by_language: str = field(
        default="",
        metadata={"help": "thresholds by `lang`: `fineweb2`, or a YAML file {language: {filter: {option: value}}}"},
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.decides = tuple(dict.fromkeys((*cls.numbers(), *cls.decides, "by_language")))

    @classmethod
    def numbers(cls) -> tuple[str, ...]:
        """The options that `by_language` may set."""
        return (*(rule.option for rule in cls.rules), *cls.cutoffs)

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The text, and the language where thresholds go by it."""
        return ("text", "lang") if self.by_language else ("text",)

    def check(self) -> None:
        """As `Stage.check`."""
        for option in self.numbers():
            value = getattr(self, option)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise ConfigError(f"{self.name}: {option} must be a number or null, not {value!r}")
        if self.by_language:
            settings_by_language(self.by_language, self.name, self.numbers())

    def config(self) -> dict[str, Any]:
        """The options; a settings file enters by its content."""
        return {**super().config(), "by_language": settings_digest(self.by_language)}

    def thresholds(self, docs: pa.Table, option: str) -> np.ndarray:
        """float64[n]: the threshold of an option for each document; nan = the rule is off."""
        value = getattr(self, option)
        default = np.nan if value is None else float(value)
        out = np.full(docs.num_rows, default)
        if self.by_language:
            table = settings_by_language(self.by_language, self.name, self.numbers())
            langs = docs["lang"].to_pylist()
            for i, lang in enumerate(langs):
                own = table.get(lang or "", {})
                if option in own:
                    out[i] = np.nan if own[option] is None else own[option]
        return out

    def failed(self, docs: pa.Table, margin: float = 0.0) -> np.ndarray:
        """int64[n]: the number of the first rule that a scored document fails, -1 where it passes all.

        `margin` loosens each threshold by this share of itself.
        """
        score = docs[self.score_column]
        first = np.full(docs.num_rows, -1)
        for number, rule in enumerate(self.rules):
            values = np.asarray(_field(score, rule.measure), dtype=np.float64)
            limit = self.thresholds(docs, rule.option)
            if margin:
                limit = limit + np.abs(limit) * (-margin if rule.keep[0] == ">" else margin)
            passes = _COMPARE[rule.keep](values, limit) | np.isnan(values) | np.isnan(limit)
            first[(first < 0) & ~passes] = number
        return first

    def keep(self, score: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Mask by the options alone; with `by_language` use `decide`."""
        plain = dataclasses.replace(self, by_language="")
        return plain.decide(pa.table({self.score_column: score}))

    def decide(self, docs: pa.Table) -> pa.Array:
        """As `Filter.decide`."""
        return pa.array(self.failed(docs) < 0)

    def reason(self, docs: pa.Table) -> pa.Array:
        """The option of the first rule that fails."""
        options = [rule.option for rule in self.rules]
        return pa.array([options[i] if i >= 0 else "" for i in self.failed(docs)], pa.string())


def _field(score: pa.ChunkedArray, measure: str) -> np.ndarray:
    column = score.combine_chunks() if isinstance(score, pa.ChunkedArray) else score
    if isinstance(column, pa.ChunkedArray):  # no chunks
        return np.zeros(0)
    return (column.field(measure) if measure else column).cast(pa.float64()).to_numpy(zero_copy_only=False)
