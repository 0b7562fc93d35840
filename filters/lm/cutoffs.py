"""CCNet's cutoffs: percentiles of the perplexities of a set of documents, by language (cc_net's cutoff.csv)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.storage import open_input

HEAD, TAIL = 30.0, 60.0
"""CCNet's percentiles: a third each would be 33 and 67; its code uses these."""


def cutoffs(
    langs: Sequence[str | None],
    perplexities: Sequence[float | None],
    *,
    head: float = HEAD,
    tail: float = TAIL,
    drop_above: float | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
    """{language: {"perplexity": {"head": h, "tail": t}}}, the percentiles `head` and `tail` of each language.

    With `drop_above` also "max_perplexity", that percentile. As YAML it is a file for the option `by_language`.
    Documents without language or score are left out. Raises ConfigError for percentiles that can't be.
    """
    wanted = {"head": head, "tail": tail} | ({} if drop_above is None else {"max_perplexity": drop_above})
    if head > tail or not all(0 <= p <= 100 for p in wanted.values()):
        raise ConfigError(f"cutoffs: percentiles lie in [0, 100], head not above tail; got {wanted}")
    own: dict[str, list[float]] = {}
    for lang, value in zip(langs, perplexities, strict=True):
        if lang and value is not None:
            own.setdefault(lang, []).append(value)
    if not own:
        raise ConfigError("cutoffs: no document has a language and a perplexity")
    return {
        lang: {"perplexity": {option: float(np.percentile(values, p)) for option, p in wanted.items()}}
        for lang, values in sorted(own.items())
    }


def read_scores(inputs: Sequence[str]) -> tuple[list[str | None], list[float | None]]:
    """(languages, perplexities) of Parquet files that the stage `perplexity` has scored. Raises ConfigError."""
    import pyarrow.parquet as pq

    from pipeline.documents import is_parquet, list_files

    langs: list[str | None] = []
    values: list[float | None] = []
    for path, name, _ in list_files(inputs):
        if not is_parquet(path):
            raise ConfigError(f"cutoffs: '{name}' is no Parquet file; a run and `gristmill filter` write such")
        with open_input(path) as handle:
            try:
                file = pq.ParquetFile(handle)
            except pa.ArrowInvalid as error:
                raise ConfigError(f"cutoffs: '{name}' can't be read: {error}") from error
            for column in ("lang", "perplexity"):
                if column not in file.schema_arrow.names:
                    raise ConfigError(f"cutoffs: '{name}' has no column {column}: run the stages language, perplexity")
            table = file.read(["lang", "perplexity"])
        langs += table["lang"].to_pylist()
        values += table["perplexity"].to_pylist()
    return langs, values
