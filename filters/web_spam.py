"""Web spam: keyword stuffing, doorway, affiliate, link-list and slot-filled pages.

Reads `text` and `lang`; adds `web_spam`, float32: the probability by a logistic model over eight measures
(`spam_measures`), null for other languages than English and for texts under 20 words. Null passes. There is no
labelled set of web spam to learn from: the model was fitted on made-up pages against real web pages (its card says
what share of others it drops). It sees repetition and sales talk,
not cloaking, hidden links or fluent text by language models.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Filter, Rule, register
from pipeline.store import digest

from .spam_measures import MEASURES, measure


@functools.lru_cache(maxsize=8)
def read_weights(path: str) -> dict[str, Any]:
    """A model's card with `weights` (one a measure, for logarithms), `bias` and `threshold`. Raises ConfigError."""
    file = Path(path) if path else Path(str(resources.files("filters"))) / "models" / "web-spam.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        weights = [float(found["weights"][name]) for name in MEASURES]
        numbers = {"bias": float(found["bias"]), "threshold": float(found["threshold"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"web_spam: '{file}' is no model: JSON with `weights` for {', '.join(MEASURES)}, `bias` and `threshold` "
            f"is needed ({error!r})"
        ) from error
    return {"weights": weights, **numbers}


FLOOR = 0.01
"""Added to measures before the logarithm."""


def probabilities(measures: np.ndarray, weights: np.ndarray, bias: float) -> np.ndarray:
    """float64[n] of measures float64[n, m]: logistic of weighted logarithms; nan where nothing was measured."""
    logit = np.log(measures + FLOOR) @ weights + bias
    return 1 / (1 + np.exp(-np.clip(logit, -60, 60)))


@register
@dataclass(frozen=True, kw_only=True)
class WebSpam(Filter):
    """Drops pages that repeat key phrases and sales talk as search-engine spam does."""

    name: ClassVar[str] = "web_spam"
    reads: ClassVar[tuple[str, ...]] = ("text", "lang")
    score_column: ClassVar[str] = "web_spam"
    decides: ClassVar[tuple[str, ...]] = ("threshold",)
    rules: ClassVar[tuple[Rule, ...]] = (Rule("threshold", "", "<"),)
    sources: ClassVar[tuple[str, ...]] = (
        "Gyöngyi and Garcia-Molina 2005, Web Spam Taxonomy (AIRWeb): kinds of term spam",
        "Ntoulas et al. 2006, Detecting spam web pages through content analysis (WWW): features",
        "weights: own, see filters/models/web-spam.json",
    )

    threshold: float | None = field(default=None, metadata={"help": "drop from this score on (default: the model's)"})
    model: str = field(default="", metadata={"help": "a JSON file of weights instead of the bundled one"})
    languages: tuple[str, ...] = field(
        default=("en",), metadata={"help": "only these are scored, the others pass; none = all"}
    )

    def check(self) -> None:
        """As `Stage.check`."""
        read_weights(self.model)
        value = self.threshold
        if value is not None and (isinstance(value, bool) or not 0 <= value <= 1.0001):
            raise ConfigError(f"web_spam: threshold must lie in [0, 1], not {value}")

    def limit(self) -> float:
        """The score that decides."""
        return float(read_weights(self.model)["threshold"] if self.threshold is None else self.threshold)

    def config(self) -> dict[str, Any]:
        """The options; the model enters by its content."""
        weights = json.dumps(read_weights(self.model), sort_keys=True)
        return {"threshold": self.limit(), "model": digest(weights), "languages": list(self.languages)}

    def score(self, docs: pa.Table) -> pa.Array:
        """float32, one per document; null = not scored."""
        served = np.ones(docs.num_rows, bool)
        if self.languages:
            known = pc.is_in(docs["lang"], pa.array(self.languages, pa.string()))
            served = np.asarray(pc.fill_null(known, False))
        model = read_weights(self.model)
        found = np.full(docs.num_rows, np.nan)
        texts = docs["text"] if served.all() else docs["text"].filter(pa.array(served))
        found[served] = probabilities(measure(texts), np.array(model["weights"]), model["bias"])
        return pa.array(found.astype(np.float32), mask=np.isnan(found))

    def keep(self, score: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """True below the threshold, or where there is no score."""
        return pc.fill_null(pc.less(score.cast(pa.float64()), pa.scalar(self.limit())), True)
