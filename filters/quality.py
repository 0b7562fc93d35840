"""Quality: edited, informative text against raw web pages, by a fastText model (Li et al. 2024; Brown et al. 2020).

Reads `text` and, where the model serves some languages only, `lang`; adds `quality`, float32: the probability of good
text, null where the model does not serve the language and for texts under `min_words`. Null passes. The bundled
models are `quality-en` (edited text of all sorts, DCLM's recipe changed as its card says) and `wikipedia-en`
(encyclopaedic and textbook text, as in CCNet and GPT-3); their cards beside them hold sources, figures on held-out
sources and limits. Neither knows a text's length: drop short texts by `gopher_quality.min_words`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import register

from .classifier.filter import ClassifierFilter


@register
@dataclass(frozen=True, kw_only=True)
class Quality(ClassifierFilter):
    """Keeps documents that a quality model scores at or above the threshold."""

    name: ClassVar[str] = "quality"
    score_column: ClassVar[str] = "quality"
    sources: ClassVar[tuple[str, ...]] = (
        "Li et al. 2024 (DCLM), section 4.4: fastText on word bigrams; https://arxiv.org/abs/2406.11794",
        "Brown et al. 2020, appendix A, and Wenzek et al. 2020 (CCNet): encyclopaedic text against raw web",
        "models: own, see filters/models/quality-en.json and wikipedia-en.json",
    )

    model: str = field(
        default="quality-en",
        metadata={"help": "quality-en, wikipedia-en, a .ftz or .bin file, or an address (https://, hf://)"},
    )
    min_words: int = field(
        default=25, metadata={"help": "texts of fewer words are not scored: the bundled models never saw any"}
    )

    def check(self) -> None:
        """As `Stage.check`."""
        super().check()
        if self.min_words < 0:
            raise ConfigError(f"quality: min_words can't be negative: {self.min_words}")

    def config(self) -> dict[str, Any]:
        """As `ClassifierFilter.config`."""
        return {**super().config(), "min_words": self.min_words}

    def score(self, docs: pa.Table) -> pa.Array:
        """float32, one per document; null = not scored."""
        from .kernels.segments import whitespace_words

        found = super().score(docs)
        long_enough = np.asarray(whitespace_words(docs["text"]).counts >= self.min_words)
        return pc.if_else(pa.array(long_enough), found, pa.scalar(None, pa.float32()))
