"""What the tasks of an audit found, put together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..evidence import VERDICTS
from ..index import Index
from ..methods import Method
from .excerpts import mark_overlaps, shortened_parts
from .mixture import Mixture
from .result import BENCHMARKS, CORPUS_WIDE, ITEMS, MATCHES
from .unions import Unions, verdicts_of

if TYPE_CHECKING:
    import polars as pl

    from .corpus import Packs

_ABOUT = ("document", "url", "file", "offset", "corpus")


@dataclass(frozen=True)
class Found:
    """An item and a method: the worst verdict over the corpus, and the documents and copies that have it."""

    verdict: int
    score: float
    documents: int
    copies: int
    exposure: float | None


class Gathered:
    """The tables of a result, from the files of all tasks."""

    def __init__(
        self,
        folder: Path,
        tasks: Sequence[str],
        items: pa.Table,
        index: Index,
        methods: Sequence[Method],
        default: str,
        *,
        most: int,
        mixture: Mixture | None = None,
        packs: Sequence[Packs] = (),
    ) -> None:
        self.items, self.index, self.methods, self.most, self.mixture = items, index, methods, most, mixture
        self.names = [method.name for method in methods]
        self.default = self.names.index(default)
        hits = _read(folder / "hits", tasks)
        kept = _read(folder / "matches", tasks)
        self.provenance = _provenance(packs, [hits, kept]) if packs else {}
        self.found = self._found(hits)
        self.kept = kept
        unions = Unions(index, methods)
        for task in tasks:
            unions.merge(folder / "unions" / f"{task}.arrow")
        self.unions = unions.tables()

    def _found(self, hits: pl.DataFrame) -> dict[tuple[int, int], Found]:
        """By item and method."""
        import polars as pl

        keys = ["item", "method"]
        worst = hits.filter(pl.col("verdict") == pl.col("verdict").max().over(keys))
        exposures: dict[tuple[int, int], float] = {}
        if self.mixture is not None:
            documents = worst.group_by([*keys, *_ABOUT]).agg(pl.col("copies").sum()).sort([*keys, *_ABOUT])
            exposures = self._exposures(documents)
        table = worst.group_by(keys).agg(
            pl.col("verdict").first(),
            pl.col("score").max(),
            pl.col("text_hash").n_unique().alias("documents"),
            pl.col("copies").sum(),
        )
        return {
            (item, method): Found(verdict, score, documents, copies, exposures.get((item, method)))
            for item, method, verdict, score, documents, copies in table.sort(keys).iter_rows()
        }

    def _exposures(self, documents: pl.DataFrame) -> dict[tuple[int, int], float]:
        assert self.mixture is not None
        known: dict[tuple[Any, ...], float] = {}
        parts: dict[tuple[int, int], list[float]] = {}
        for item, method, document, url, file, offset, corpus, copies in documents.iter_rows():
            url, file, _ = self._origin(document, url, file, offset, corpus)
            key = (url, file, corpus)
            if key not in known:
                known[key] = self.mixture.epochs(corpus, file, url=url)
            parts.setdefault((item, method), []).append(copies * known[key])
        return {key: math.fsum(values) for key, values in parts.items()}

    def _origin(
        self, document: str, url: str | None, file: str | None, offset: int | None, corpus: str
    ) -> tuple[str | None, str | None, int | None]:
        """(url, file, offset) of a document; of one in packs as their folder `documents/` has it."""
        return self.provenance.get((corpus, document), (url, file, offset))

    def benchmarks(self) -> pa.Table:
        """BENCHMARKS"""
        names, splits = self.items["benchmark"].to_pylist(), self.items["split"].to_pylist()
        groups = list(zip(names, splits, strict=True))
        order = sorted(set(groups))
        number = {group: i for i, group in enumerate(order)}
        of_item = np.array([number[group] for group in groups], np.int64)
        rows = []
        for m, method in enumerate(self.methods):
            verdicts = np.zeros(len(groups), np.int64)
            for (item, of), found in self.found.items():
                if of == m:
                    verdicts[item] = found.verdict
            unable = ~method.able(self.index) & (verdicts == 0)
            union = verdicts_of(self.unions[m], self.index) if m in self.unions else None
            for g, (benchmark, split) in enumerate(order):
                mine = of_item == g
                suspect, dirty = (int((verdicts[mine] == v).sum()) for v in (1, 2))
                total = int(mine.sum())
                wide = [None if union is None else int((union[mine] == v).sum()) for v in (1, 2)]
                rows.append(
                    {
                        "benchmark": benchmark, "split": split, "method": method.name, "items": total, "dirty": dirty,
                        "suspect": suspect, "clean": total - dirty - suspect, "unmatchable": int(unable[mine].sum()),
                        "corpus_dirty": wide[1], "corpus_suspect": wide[0], "order": (g, m),
                    }
                )  # fmt: skip
        rows.sort(key=lambda row: row.pop("order"))
        return pa.Table.from_pylist(rows, BENCHMARKS)

    def corpus_wide(self) -> pa.Table:
        """CORPUS_WIDE"""
        rows = []
        for m, table in self.unions.items():
            verdicts = verdicts_of(table, self.index)
            of = {row["item"]: row for row in table.to_pylist() if row["verdict"] != VERDICTS[0]}
            for item in np.flatnonzero(verdicts).tolist():
                row = of[self.index.item_names[item].as_py()]
                alone = self.found.get((item, m))
                rows.append((item, m, row | {"alone": VERDICTS[alone.verdict if alone else 0]}))
        rows.sort(key=lambda one: one[:2])
        return pa.Table.from_pylist([row for _, _, row in rows], CORPUS_WIDE)

    def found_items(self) -> pa.Table:
        """ITEMS"""
        of: dict[int, dict[int, Found]] = {}
        for (item, method), found in self.found.items():
            of.setdefault(item, {})[method] = found
        rows = []
        for item in self._order(of):
            by_method, row = of[item], self.items.slice(item, 1).to_pylist()[0]
            own = by_method.get(self.default)
            rows.append(
                {
                    "item": row["item"], "benchmark": row["benchmark"], "split": row["split"], **shortened_parts(row),
                    "verdict": VERDICTS[own.verdict if own else 0],
                    "score": own.score if own else None,
                    "documents": own.documents if own else 0,
                    "copies": own.copies if own else 0,
                    "exposure": None if self.mixture is None else (own.exposure or 0.0) if own else 0.0,
                    "by_method": [
                        {
                            "method": self.names[m], "verdict": VERDICTS[one.verdict], "score": one.score,
                            "documents": one.documents, "copies": one.copies,
                        }
                        for m, one in sorted(by_method.items())
                    ],
                }
            )  # fmt: skip
        return pa.Table.from_pylist(rows, ITEMS)

    def _order(self, of: dict[int, dict[int, Found]]) -> list[int]:
        """Items with hits, in the order of ITEMS."""

        def rank(item: int) -> tuple[int, int]:
            own = of[item].get(self.default)
            return (-own.verdict if own else 0), item

        return sorted(of, key=rank)

    def matches(self) -> pa.Table:
        """MATCHES"""
        of: dict[int, dict[int, Found]] = {}
        for (item, method), found in self.found.items():
            of.setdefault(item, {})[method] = found
        by_item: dict[int, dict[int, list[dict[str, Any]]]] = {}
        for match in self.kept.iter_rows(named=True):
            by_item.setdefault(match["item"], {}).setdefault(match["method"], []).append(match)
        chosen = [match for item in self._order(of) for match in self._chosen(by_item.get(item, {}))]
        numbers = sorted({match["item"] for match in chosen})
        texts = [shortened_parts(row) for row in self.items.take(pa.array(numbers, pa.int64())).to_pylist()]
        place = {item: i for i, item in enumerate(numbers)}
        marked = mark_overlaps(
            [(match["text"], match["part"], place[match["item"]]) for match in chosen], texts, self.index.normalisation
        )
        names = self.items["item"].to_pylist() if chosen else []
        rows = []
        for match, (overlap, item_overlap) in zip(chosen, marked, strict=True):
            url, file, offset = self._origin(*(match[name] for name in _ABOUT))
            rows.append(
                {
                    **{name: match[name] for name in MATCHES.names if name in match},
                    "item": names[match["item"]], "method": self.names[match["method"]],
                    "verdict": VERDICTS[match["verdict"]], "url": url, "record_file": file, "record_offset": offset,
                    "overlap": overlap, "item_overlap": item_overlap,
                }
            )  # fmt: skip
        return pa.Table.from_pylist(rows, MATCHES)

    def _chosen(self, of_item: dict[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """The matches to show of one item."""
        shown: list[dict[str, Any]] = []
        for method in sorted(of_item, key=lambda m: (m != self.default, m)):
            best: list[dict[str, Any]] = []
            # the pieces' matches come in their order, so that a stable sort puts the first of equals first
            for match in sorted(of_item[method], key=lambda one: (-one["verdict"], -one["score"])):
                if not any(_same(match, other) for other in best):
                    best.append(match)
            del best[self.most :]  # of more than these a piece keeps none
            if method == self.default:
                shown += best
            else:
                shown += [match for match in best if not any(_overlap(match, other) for other in shown)][:1]
        return shown


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["text_hash"] == other["text_hash"] and one["start"] == other["start"])


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    same = one["text_hash"] == other["text_hash"]
    return bool(same and one["start"] < other["end"] and other["start"] < one["end"])


def _read(folder: Path, tasks: Sequence[str]) -> pl.DataFrame:
    """The tables of all tasks, in order."""
    import polars as pl

    from .scanning import HITS, KEPT

    tables = []
    for task in tasks:
        with pa.memory_map(str(folder / f"{task}.arrow")) as source:
            tables.append(pa.ipc.open_file(source).read_all())
    schema = HITS if folder.name == "hits" else KEPT
    made = pl.from_arrow(pa.concat_tables([schema.empty_table(), *tables]))
    assert isinstance(made, pl.DataFrame)
    return made


def _provenance(packs: Sequence[Packs], frames: Sequence[pl.DataFrame]) -> dict[tuple[str, str], tuple[Any, ...]]:
    """(url, file, offset) by label and id of the documents in these frames, from the files beside the packs."""
    import pyarrow.dataset as ds

    found: dict[tuple[str, str], tuple[Any, ...]] = {}
    for one in packs:
        wanted = sorted({i for f in frames for i in f.filter(f["corpus"] == one.label)["document"].to_list()})
        if not wanted or not one.documents:
            continue
        documents = ds.dataset([str(file) for file in one.documents])
        columns = [name for name in ("id", "url", "record") if name in documents.schema.names]
        rows = documents.to_table(columns=columns, filter=pc.field("id").isin(wanted))
        for row in rows.to_pylist():
            record = row.get("record") or {}
            found.setdefault((one.label, row["id"]), (row.get("url"), record.get("file"), record.get("offset")))
    return found
