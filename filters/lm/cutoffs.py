"""CCNet's cutoffs: percentiles of the perplexities of a set of documents, by language (cc_net's cutoff.csv)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from filters.perplexity import Perplexity

HEAD, TAIL = 30.0, 60.0
"""CCNet's percentiles: a third each would be 33 and 67; its code uses these."""


def cutoffs(
    langs: Sequence[str | None], perplexities: Sequence[float | None], *, head: float = HEAD, tail: float = TAIL
) -> dict[str, dict[str, dict[str, float]]]:
    """{language: {"perplexity": {"head": h, "tail": t}}}, the percentiles `head` and `tail` of each language.

    As YAML it is a file for the option `by_language`. Documents without language or score are left out.
    """
    own: dict[str, list[float]] = {}
    for lang, value in zip(langs, perplexities, strict=True):
        if lang and value is not None:
            own.setdefault(lang, []).append(value)
    return {
        lang: {"perplexity": {"head": float(np.percentile(v, head)), "tail": float(np.percentile(v, tail))}}
        for lang, v in sorted(own.items())
    }


def cutoffs_of(
    docs: pa.Table, stage: Perplexity, *, head: float = HEAD, tail: float = TAIL
) -> dict[str, dict[str, dict[str, float]]]:
    """As `cutoffs`, of a table with `text` and `lang`, scored by the stage if it is not yet."""
    scored = stage.scored(docs)
    return cutoffs(scored["lang"].to_pylist(), scored["perplexity"].to_pylist(), head=head, tail=tail)
