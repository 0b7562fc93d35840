"""The log of what decontamination found and did: one line of JSON for each item in each document.

Keys: `item`, `benchmark`, `id` (the document's, as it was read), `url`, `record` (WARC file, offset and so on),
`method`, `part`, `verdict`, `score`, `start` and `end` (bytes of the text that was read), `matched` (tokens), `action`
(`drop`, `cut`, `annotate`), `cut` ([start, end] of what went with it, else null), `text` (the matched text, shortened).

The log of a run lies in `acts/<shard>.jsonl` of the step's folder, that of `gristmill filter` beside its output.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from filters.kernels.columns import text_of
from pipeline.errors import ConfigError
from pipeline.store import atomic_path

from .found import benchmark_of, found_in

if TYPE_CHECKING:
    from .cut_documents import CutDocuments

FOLDER = "acts"
MAX_CHARS = 300
"""Characters of the matched text in the log."""
_ACTIVE: ContextVar[tuple[Path, list[str]] | None] = ContextVar("gristmill_acts", default=None)


@contextmanager
def acts_file(path: Path) -> Iterator[None]:
    """While active, `write_acts` collects lines; they make the file when the block ends without an error, if any.

    Within another one of the same file it changes nothing: a shard has one log, whatever stages write to it.
    """
    outer = _ACTIVE.get()
    if outer is not None and outer[0] == path:
        yield
        return
    lines: list[str] = []
    token = _ACTIVE.set((path, lines))
    try:
        yield
    finally:
        _ACTIVE.reset(token)
    if lines:
        with atomic_path(path) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")


def write_acts(acts: Iterable[dict[str, Any]]) -> None:
    """Add acts to the open log; without one they are not even made."""
    active = _ACTIVE.get()
    if active is not None:
        active[1].extend(json.dumps(act, ensure_ascii=False) + "\n" for act in acts)


def acts_of(
    docs: pa.Table, column: str, verdicts: tuple[str, ...], action: str, cut: CutDocuments | None = None
) -> Iterator[dict[str, Any]]:
    """An act for each item that `column` names, document by document.

    Items of other verdicts than `verdicts` are only annotated. `cut`: what was cut, where the action is that.
    """
    names = [name for name in ("id", "url", "record") if name in docs.column_names]
    found = list(found_in(docs[column]))
    told = docs.select(names).take(pa.array([row for row, _ in found], pa.int64())).to_pylist()
    text = text_of(docs["text"])
    for (row, items), about in zip(found, told or [{}] * len(found), strict=True):
        begin = int(text.offsets[row])
        cuts = cut.cuttings[row].cuts if cut is not None and row in cut.cuttings else ()
        for one in items:
            did, span = (action if one["verdict"] in verdicts else "annotate"), None
            if did == "cut" and cut is not None:
                did = "drop" if row in cut.reasons else did
                span = next((list(c) for c in cuts if c[0] <= one["start"] < c[1]), None) if did == "cut" else None
            raw = text.data[begin + one["start"] : begin + min(one["end"], one["start"] + 4 * MAX_CHARS)].tobytes()
            yield {
                "item": one["item"],
                "benchmark": benchmark_of(one),
                **{name: about.get(name) for name in ("id", "url", "record")},
                **{key: value for key, value in one.items() if key != "item"},
                "action": did,
                "cut": span,
                "text": raw.decode("utf-8", "ignore")[:MAX_CHARS],
            }


def files_of(path: Path) -> list[Path]:
    """The logs of a run, of one of its steps, of an output of `gristmill filter`, or a log itself, in order.

    Raises ConfigError where there is none.
    """
    if path.is_file() and path.suffix == ".jsonl" and not beside(path).is_file():
        return [path]
    found = sorted(path.glob(f"{FOLDER}/*.jsonl")) or sorted(path.glob(f"[0-9][0-9]-*/{FOLDER}/*.jsonl"))
    if beside(path).is_file():
        found = [beside(path)]
    ran = path.is_dir() and any(path.glob("**/manifest.json"))
    if not found and not ran:
        raise ConfigError(f"'{path}' is no run, no step of one and no log of acts (nor is there a '{beside(path)}')")
    return found


def beside(output: Path) -> Path:
    """The log beside an output file of `gristmill filter`."""
    return output.with_name(f"{output.name}.{FOLDER}.jsonl")


def read_acts(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The acts of logs, in order. Raises ConfigError for a line that is none, naming it."""
    for file in files:
        with open(file, encoding="utf-8") as handle:
            for number, line in enumerate(handle, 1):
                try:
                    act = json.loads(line)
                    act["item"], act["action"]
                except (ValueError, KeyError, TypeError) as error:
                    raise ConfigError(f"{file}, line {number}: no act of decontamination ({error})") from error
                yield act


def counted(acts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By benchmark: items dirty, items only suspect, documents in which any was found, acts by kind."""
    items: dict[str, dict[str, bool]] = {}
    documents: dict[str, set[Any]] = {}
    actions: dict[str, Counter[str]] = {}
    for act in acts:
        name = act["benchmark"]
        of = items.setdefault(name, {})
        of[act["item"]] = of.get(act["item"], False) or act["verdict"] == "dirty"
        documents.setdefault(name, set()).add(act["id"])
        actions.setdefault(name, Counter())[act["action"]] += 1
    return [
        {
            "benchmark": name,
            "dirty": sum(items[name].values()),
            "suspect": len(items[name]) - sum(items[name].values()),
            "documents": len(documents[name]),
            "acts": dict(sorted(actions[name].items())),
        }
        for name in sorted(items)
    ]
