"""Which identity terms a text names: terms of the document's own language, whole words, without case.

The bundled table `filters/data/identity_terms.yaml` is {language: {group: [terms]}}. A text is put into small letters
and everything between words becomes one space; a term then matches between spaces, in Chinese, Japanese, Thai, Lao,
Khmer and Burmese anywhere, in Korean at the start of a word (particles follow).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.yaml_input import load_yaml

NO_SPACES = frozenset({"zh", "ja", "th", "lo", "km", "my"})
PREFIX = frozenset({"ko"})
_BETWEEN = r"\W+"


@dataclass(frozen=True)
class Term:
    """One term; its place in the list is its number."""

    lang: str
    group: str
    term: str
    pattern: str


@dataclass(frozen=True)
class Terms:
    """All terms, and the groups by number."""

    terms: tuple[Term, ...]
    groups: tuple[str, ...]

    def table(self) -> Any:
        """A polars frame pattern, lang, term (number), bit (1 << number of the group)."""
        import polars as pl

        return pl.DataFrame(
            {
                "pattern": [t.pattern for t in self.terms],
                "lang": [t.lang for t in self.terms],
                "term": list(range(len(self.terms))),
                "bit": [1 << self.groups.index(t.group) for t in self.terms],
            },
            schema={"pattern": pl.String, "lang": pl.String, "term": pl.UInt32, "bit": pl.Int64},
        )


def read_terms(path: Path | None = None) -> Terms:
    """The bundled table, or a YAML file of the same form. Raises ConfigError where it has another form."""
    file = path or resources.files("filters") / "data" / "identity_terms.yaml"
    try:
        table = load_yaml(file.read_bytes(), f"identity terms '{file}'")
    except OSError as error:
        raise ConfigError(f"identity terms '{file}': {error.strerror}") from error
    rows = []
    for lang, groups in (table if isinstance(table, dict) else {"": None}).items():
        if not isinstance(groups, dict) or not all(isinstance(terms, list) for terms in groups.values()):
            raise ConfigError(f"identity terms '{file}' must map languages to {{group: [terms]}}")
        rows += [(str(lang), str(group), str(term)) for group, terms in groups.items() for term in terms]
    plain = normalised([term for _, _, term in rows])
    terms = tuple(
        Term(lang, group, term, _pattern(lang, text))
        for (lang, group, term), text in zip(rows, plain, strict=True)
        if text.strip()
    )
    if not terms:
        raise ConfigError(f"identity terms '{file}' hold no term with a letter or digit; --no-terms leaves them out")
    names = tuple(dict.fromkeys(t.group for t in terms))
    if len(names) > 60:
        raise ConfigError(f"identity terms '{file}' have {len(names)} groups; at most 60 are possible")
    return Terms(terms, names)


def _pattern(lang: str, text: str) -> str:
    if lang in NO_SPACES:
        return text.strip()
    return text.rstrip() if lang in PREFIX else text


def normalise_expr(text: Any) -> Any:
    """The polars expression that makes ` small letters with single spaces `."""
    import polars as pl

    return pl.concat_str(pl.lit(" "), text.fill_null("").str.to_lowercase(), pl.lit(" ")).str.replace_all(_BETWEEN, " ")


def normalised(texts: list[str]) -> list[str]:
    """The same for a list."""
    import polars as pl

    frame = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    return frame.select(text=normalise_expr(pl.col("text")))["text"].to_list()


def match_expr(text: Any, lang: Any, terms: Terms) -> Any:
    """The polars expression struct{terms: list<u32>, groups: i64}: numbers of terms named, and the groups' bits."""
    import polars as pl

    table = terms.table()
    patterns = table["pattern"].unique().sort()
    kind = pl.Struct({"terms": pl.List(pl.UInt32), "groups": pl.Int64})

    def matched(batch: Any) -> Any:
        rows = batch.struct.unnest().with_row_index("row")
        found = (
            rows.select("row", "lang", pattern=pl.col("found"))
            .explode("pattern")
            .drop_nulls()
            .join(table, on=["pattern", "lang"])
            .group_by("row")
            .agg(terms=pl.col("term").unique().sort(), groups=pl.col("bit").unique().sum())
        )
        out = rows.select("row").join(found, on="row", how="left", maintain_order="left")
        empty = pl.lit([], pl.List(pl.UInt32))
        return out.select(pl.struct(pl.col("terms").fill_null(empty), pl.col("groups").fill_null(0)).alias("matched"))[
            "matched"
        ]

    found = normalise_expr(text).str.extract_many(patterns.to_list(), overlapping=True)
    return pl.struct(found=found, lang=lang).map_batches(matched, return_dtype=kind, is_elementwise=True)
