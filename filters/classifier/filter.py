"""Base of the filters that decide by a fastText model's score.

Reads `text` (and `lang` where the model serves some languages only); adds the score column, float32: the probability
of one label, null where the model does not serve the document's language or knows nothing of its text. Null passes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError, nearest
from pipeline.stage import Filter, Rule
from pipeline.store import file_digest

from .card import LABEL, Card, read_card


def bundled_models() -> dict[str, Path]:
    """The models that come with Gristmill, by name."""
    folder = Path(str(resources.files("filters"))) / "models"
    files = sorted([*folder.glob("*.ftz"), *folder.glob("*.bin")])
    return {file.stem: file for file in files}


def model_path(named: str, where: str, *, sha256: str = "") -> Path:
    """The file of a model named by a path, an address, or a bundled model's name.

    Addresses (http, https, hf and what fsspec knows) are fetched into the cache once. Raises ConfigError.
    """
    from pipeline.storage import is_url

    from .fetch import checked, fetch

    known = bundled_models()
    if named in known:
        return checked(known[named], sha256)
    if is_url(named):
        return fetch(named, sha256=sha256)
    if Path(named).is_file():
        return checked(Path(named), sha256)
    raise ConfigError(
        f"{where}: '{named}' is no model file, no address (https://, hf://org/repo/file) and no bundled model"
        f"{nearest(named, known)}; bundled: {', '.join(known) or 'none'}"
    )


@dataclass(frozen=True, kw_only=True)
class ClassifierFilter(Filter):
    """Keeps documents by the score of a classifier. Subclasses name the model, the score column and the direction."""

    keeps_above: ClassVar[bool] = True
    """True: a document is kept if its score is at least the threshold; False: if it is below."""
    decides: ClassVar[tuple[str, ...]] = ("threshold", "quantile")

    model: str = field(default="", metadata={"help": "a bundled model's name, a .ftz or .bin file, or an address"})
    model_sha256: str = field(default="", metadata={"help": "SHA-256 that the model's file must have"})
    positive: str = field(
        default="", metadata={"help": "the label whose probability is the score (default: the card's)"}
    )
    threshold: float | None = field(default=None, metadata={"help": "score that decides (default: the card's)"})
    quantile: float | None = field(
        default=None, metadata={"help": "instead of a threshold: the card's score for this quantile of a corpus"}
    )
    max_bytes: int = field(default=0, metadata={"help": "how much of a text is read; 0 = all (or what the card says)"})
    languages: tuple[str, ...] | None = field(
        default=None, metadata={"help": "only these are scored, the others pass (default: the card's); none = all"}
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.rules = (Rule("threshold", "", ">=" if cls.keeps_above else "<"),)

    def path(self) -> Path:
        """The model's file; fetches an address."""
        return model_path(self.model, self.name, sha256=self.model_sha256)

    def card(self) -> Card:
        """The model's card, with what the options change."""
        card = read_card(self.path()) or Card()
        if self.max_bytes:
            card = dataclasses.replace(
                card, normalisation=dataclasses.replace(card.normalisation, max_bytes=self.max_bytes)
            )
        return card

    def served(self) -> tuple[str, ...]:
        """The languages that are scored; none = all."""
        if self.languages is not None:
            return self.languages
        return self.card().languages if self.model else ()

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The text, and the language where the model serves some only."""
        return ("text", "lang") if self.served() else ("text",)

    def limit(self) -> float:
        """The score that decides. Raises ConfigError where neither the options nor the card say."""
        if self.threshold is not None:
            return float(self.threshold)
        card = self.card()
        if self.quantile is not None:
            found = {float(q): score for q, score in card.quantiles.items()}
            if self.quantile not in found:
                raise ConfigError(
                    f"{self.name}: the card of '{self.model}' has no score for quantile {self.quantile}: a quantile is "
                    "taken over a whole corpus, so measure it once: gristmill classifier calibrate MODEL DOCUMENTS... "
                    f"--quantile {self.quantile} (it writes the card, or prints the threshold for the recipe)"
                )
            return float(found[self.quantile])
        if card.threshold is None:
            raise ConfigError(f"{self.name}: neither the recipe nor the card of '{self.model}' has a threshold")
        return float(card.threshold)

    def check(self) -> None:
        if not self.model:
            raise ConfigError(f"{self.name}: the option `model` is missing")
        if self.threshold is not None and (isinstance(self.threshold, bool) or not 0 <= self.threshold <= 1.0001):
            raise ConfigError(f"{self.name}: threshold must lie in [0, 1], not {self.threshold}")
        if self.quantile is not None and not 0 < self.quantile < 1:
            raise ConfigError(f"{self.name}: quantile must lie between 0 and 1, not {self.quantile}")
        if self.threshold is not None and self.quantile is not None:
            raise ConfigError(f"{self.name}: give threshold or quantile, not both")
        if self.max_bytes < 0:
            raise ConfigError(f"{self.name}: max_bytes can't be negative")
        classifier = self.classifier()
        classifier.position(classifier.positive(self.positive))
        self.limit()

    def classifier(self) -> Any:
        """The model in memory (`model.Classifier`), normalising as the card and the options say."""
        from .model import load

        return dataclasses.replace(load(self.path()), card=self.card())

    def config(self) -> dict[str, Any]:
        """The options; the model enters by its content, the rest by what it comes to."""
        path = self.path()
        card = self.card()
        return {
            "model": file_digest(path),
            "normalisation": card.normalisation.card(),
            "positive": (self.positive or card.positive).removeprefix(LABEL),
            "languages": list(self.served()),
            "threshold": self.limit(),
        }

    def score(self, docs: pa.Table) -> pa.Array:
        """float32, one per document; null = not scored."""
        served = self.served()
        mask = np.ones(docs.num_rows, bool)
        if served:
            mask = pc.fill_null(pc.is_in(docs["lang"], pa.array(served, pa.string())), False).to_numpy()
        scores = np.full(docs.num_rows, np.nan, np.float32)
        texts = docs["text"] if mask.all() else docs["text"].filter(pa.array(mask))
        scores[mask] = self.classifier().scores(texts, self.positive)
        return pa.array(scores, pa.float32(), mask=np.isnan(scores))

    def keep(self, score: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """True where the score is on the right side of the threshold, or null."""
        limit = pa.scalar(self.limit(), pa.float64())
        values = score.cast(pa.float64())
        return pc.fill_null(pc.greater_equal(values, limit) if self.keeps_above else pc.less(values, limit), True)
