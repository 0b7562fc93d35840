"""Keeps or drops documents by the licence that their page states (column `license` of the stage `consent`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate
from typing import ClassVar

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.stage import Filter, register


@register
@dataclass(frozen=True, kw_only=True)
class License(Filter):
    """Keeps documents whose stated licence is wanted; patterns as `CC-BY-[0-9]*`, `CC0-*`, `https://example.org/*`.

    Reasons: `license_excluded`, `license_missing` (none stated though one is required), `license_other`.
    """

    name: ClassVar[str] = "license"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("license",)
    score_column: ClassVar[str] = "license"
    sources: ClassVar[tuple[str, ...]] = ("SPDX licence list; https://spdx.org/licenses/",)

    require: tuple[str, ...] = field(default=(), metadata={"help": "keep only these (patterns); none = no demand"})
    exclude: tuple[str, ...] = field(default=(), metadata={"help": "drop these (patterns)"})

    def check(self) -> None:
        """As `Stage.check`."""
        for key in ("require", "exclude"):
            patterns = getattr(self, key)
            if not isinstance(patterns, tuple) or not all(isinstance(one, str) and one for one in patterns):
                raise ConfigError(f"license: {key} must be a list of licences or patterns such as CC-BY-SA-*")
        if not self.require and not self.exclude:
            raise ConfigError("license: name licences under `require` or `exclude`")

    def scored(self, docs: pa.Table) -> pa.Table:
        """The table as it is: the column is the score."""
        return docs

    def score(self, docs: pa.Table) -> pa.ChunkedArray:
        """The column `license`."""
        return docs["license"]

    def _reasons(self, licenses: list[str | None]) -> list[str | None]:
        required, excluded = (
            re.compile("|".join(translate(pattern) for pattern in patterns), re.IGNORECASE) if patterns else None
            for patterns in (self.require, self.exclude)
        )
        out: list[str | None] = []
        for license in licenses:
            if license is not None and excluded is not None and excluded.fullmatch(license):
                out.append("license_excluded")
            elif required is not None and license is None:
                out.append("license_missing")
            elif required is not None and not required.fullmatch(license or ""):
                out.append("license_other")
            else:
                out.append(None)
        return out

    def keep(self, score: pa.Array | pa.ChunkedArray) -> pa.Array:
        """As `Filter.keep`."""
        return pa.array([reason is None for reason in self._reasons(score.to_pylist())], pa.bool_())

    def reason(self, docs: pa.Table) -> pa.Array:
        """Why a document goes."""
        return pa.array(self._reasons(docs["license"].to_pylist()), pa.string())
