"""All methods on the same cases: the figures of `gristmill decontam benchmark` as one plain value.

    half, seed, per_form, level, plants_per_negative
    items, benchmarks     items in the index; name -> evaluated split, of the benchmarks that cases are made of
    hosts                 pages read, those that can hold a case (short, long), those left out as they quote an item
    forms                 form, contaminated, expected, doc, cases; `short` -> forms with fewer cases than asked for
    methods               name -> options, sources, able (items that its own rule does not leave out), summary
                          and forms (counts and shares, see score.FormScore), the same on `matchable` plants
    guard                 the limits that were on; off, common: name -> form -> share flagged with all limits off, and
                          with a background sample in which what many pages quote stands many times
    real                  what methods say of the half's pages without any plant, and of those that quote an item

Everything hangs on the inputs, the half, the seed and the options alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.progress import Progress

from ..index import Index
from ..methods import Method
from ..scan import ScanOptions
from .carried import with_carried
from .cases import FORMS, Bench, Case, Workshop, shortfalls
from .forms import VERDICTS
from .judged import able_items, judge_all
from .score import PLANTS_PER_NEGATIVE, Scorecard, Verdict, scorecard

GUARD = ("max_items", "max_benchmarks", "max_places", "max_documents")
"""The limits of ScanOptions that guard against what is common."""
COMMON = ("famous_passage", "quoted_source", "passage_source", "choice_boilerplate", "code_boilerplate")
"""Forms of negatives whose texts many pages of a corpus may have."""
COPIES = 12
"""How often each of them stands in the background sample: more often than GPT-3's limit of 10 documents."""
MOST_PAGES = 60
"""Quoting pages that a result lists."""


@dataclass(frozen=True)
class Comparison:
    """The figures (`result`), and what they were counted from."""

    result: dict[str, Any]
    cases: list[Case]
    verdicts: dict[str, list[Verdict]]
    """By method, one a case."""


def compare(
    items: pa.Table,
    index: Index,
    hosts: pa.Table,
    methods: Sequence[Method],
    half: str,
    *,
    per_form: int = 200,
    seed: int = 0,
    forms: Sequence[str] | None = None,
    quotations: Sequence[str] = (),
    options: ScanOptions | None = None,
    bench: Bench | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Make the cases of one half and count all methods' verdicts on them.

    items: ITEM, as in the index; hosts: `id, text, url`; `quotations` are added to the built-in famous passages.
    bench: the items as `cases.Bench`, if they were read already. Raises ConfigError for an unknown half, or one without
    benchmarks or pages.
    """
    progress = progress or Progress(quiet=True)
    options = options or ScanOptions()
    progress.say(f"scorecard: {items.num_rows:,} items, {hosts.num_rows:,} pages; looking for pages that quote items")
    shop = Workshop(bench or Bench(items), hosts, half, seed=seed, quotations=quotations)
    named = list(FORMS if forms is None else forms)
    made: list[Case] = []
    with progress.bar("making cases", total=len(named), unit="cases") as bar:
        for name in named:
            found = shop.make(FORMS[name], per_form)
            made += found
            bar.advance(1, len(found))
    texts = pa.chunked_array([pa.array([case.text for case in made], pa.large_string())])
    pages = hosts.filter(pa.array(shop.in_half(hosts)))
    with_common = index.with_background(_background(made, hosts, pages))
    with progress.bar("methods on the cases", total=3 * len(made)) as bar:
        verdicts = judge_all(texts, index, methods, options, lambda n: bar.advance(n, n))
        off = dataclasses.replace(options, max_items=None, max_benchmarks=None, max_places=None, max_documents=None)
        unguarded = judge_all(texts, index, methods, off, lambda n: bar.advance(n, n))
        guarded = judge_all(texts, with_common, methods, options, lambda n: bar.advance(n, n))
    cases = with_carried(made, [*verdicts.values(), *unguarded.values(), *guarded.values()], shop.bench.pool)
    with progress.bar("methods on the pages", total=pages.num_rows) as bar:
        said = judge_all(pages["text"], index, methods, options, lambda n: bar.advance(n, n))
    able = able_items(index, methods)
    result = {
        "half": half,
        "seed": seed,
        "per_form": per_form,
        "level": "dirty",
        "plants_per_negative": PLANTS_PER_NEGATIVE,
        "items": items.num_rows,
        "benchmarks": {item.benchmark: item.split for item in shop.evaluated},
        "hosts": {
            "pages": pages.num_rows, "short": len(shop.hosts), "long": len(shop.long_hosts),
            "quoting": len(shop.quoting_hosts),
        },
        "forms": [
            {**_about(name), "cases": sum(case.form == name for case in cases)} for name in named
        ],
        "short": shortfalls(cases, per_form, named),
        "methods": {
            method.name: _method(method, cases, verdicts[method.name], able[method.name]) for method in methods
        },
        "guard": {
            "limits": {name: getattr(options, name) for name in GUARD},
            "sources": [name for name in COMMON if name in named],
            "copies": COPIES,
            "documents": with_common.documents,
            "off": {name: _rates(scorecard(cases, given)) for name, given in unguarded.items()},
            "common": {name: _rates(scorecard(cases, given)) for name, given in guarded.items()},
        },
        "real": _real(pages, said, shop.quoting_hosts),
    }  # fmt: skip
    return Comparison(result, cases, verdicts)


def _about(name: str) -> dict[str, Any]:
    form = FORMS[name]
    return {"form": name, "contaminated": form.contaminated, "expected": form.expected, "doc": form.doc}


def _method(method: Method, cases: Sequence[Case], verdicts: Sequence[Verdict], able: set[str]) -> dict[str, Any]:
    assert dataclasses.is_dataclass(method)
    card = scorecard(cases, verdicts)
    judged = list(zip(cases, verdicts, strict=True))
    some = [pair for pair in judged if not FORMS[pair[0].form].contaminated or not able.isdisjoint(pair[0].carries)]
    matchable = scorecard([case for case, _ in some], [verdict for _, verdict in some])
    return {
        "sources": list(method.sources),
        "options": {name: _plain(value) for name, value in dataclasses.asdict(method).items()},
        "able": len(able),
        "summary": _summary(card),
        "suspect": _summary(scorecard(cases, verdicts, "suspect")),
        "forms": card.rows(),
        "matchable": {
            "summary": _summary(matchable),
            "forms": [row for row in matchable.rows() if row["contaminated"]],
        },
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _summary(card: Scorecard) -> dict[str, Any]:
    plants = [form for form in card.forms if form.contaminated]
    return {
        **{
            name: _plain(getattr(card, name))
            for name in (
                "recall", "recall_interval", "precision", "precision_interval", "f1", "false_positive_rate",
                "false_positive_interval",
            )
        },
        "as_expected": sum(form.as_expected / form.cases for form in plants) / len(plants) if plants else None,
        "others": sum(form.others for form in plants),
        "plants": sum(form.cases for form in plants),
    }  # fmt: skip


def _rates(card: Scorecard) -> dict[str, float | None]:
    return {"recall": card.recall, **{form.form: form.rate for form in card.forms}}


def _background(cases: Sequence[Case], hosts: pa.Table, pages: pa.Table) -> list[pa.Array | pa.ChunkedArray]:
    """The other half's pages, and COPIES of each text of the COMMON forms."""
    texts = sorted({case.text.encode()[case.start : case.end].decode() for case in cases if case.form in COMMON})
    other = hosts.filter(pc.invert(pc.is_in(hosts["id"], pages["id"].combine_chunks())))
    return [other["text"], *([pa.array(texts, pa.large_string())] * COPIES)]


def _real(pages: pa.Table, said: dict[str, list[Verdict]], quoting: Sequence[str]) -> dict[str, Any]:
    names, urls = pages["id"].to_pylist(), pages["url"].to_pylist()
    quotes = set(quoting)
    counts: dict[str, Any] = {}
    for method, given in said.items():
        ranks = [max((VERDICTS.index(word) for word in _words(one)), default=0) for one in given]
        dirty = {name for name, rank in zip(names, ranks, strict=True) if rank == 2}
        counts[method] = {
            "dirty": ranks.count(2),
            "suspect": ranks.count(1),
            "dirty_quoting": len(dirty & quotes),
        }
    listed = [at for at, name in enumerate(names) if name in quotes][:MOST_PAGES]
    found = {at: {name: given[at] for name, given in said.items() if given[at]} for at in listed}
    return {
        "pages": pages.num_rows,
        "bytes": pc.sum(pc.binary_length(pages["text"])).as_py() or 0,
        "methods": counts,
        "quoting": [{"id": names[at], "url": urls[at], "methods": found[at]} for at in listed],
    }


def _words(verdict: Verdict) -> Sequence[str]:
    return [verdict] if isinstance(verdict, str) else list(verdict.values())
