"""Indexes on disk: made once a machine, by whoever comes first, and read by memory map by all others.

An index lies in `decontam/<key>/` of the cache folder (`pipeline.cache`). The key is a hash of all that decides about
it: the content of benchmark files, the entries they are read with, normalisation, and the code. A folder appears by
one rename, so there is never half an index; a lock keeps processes of one machine from building the same one twice.
Where benchmarks are added to those of an index that is there, only their items are cut into tokens. An index that
nobody has opened for KEPT_DAYS goes when the next one is built.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.cache import cache_folder
from pipeline.errors import ConfigError
from pipeline.mapped import forget_unused, locked, whole_folder
from pipeline.store import content_digest, digest, file_digest, read_json, write_json

from .expressions import Expression
from .index import FORMAT, Index, N, build_index
from .left_out import counts_of, files_that_fit_none
from .normalise import Normalisation

if TYPE_CHECKING:
    from .sources import BenchmarkFile

Say = Callable[[str], None]
_CODE = (
    "expressions", "items", "readers", "registry", "normalise", "index", "index_build", "index_merge", "background",
    "seeds", "kernels/tokens", "kernels/search",
)  # fmt: skip
"""The modules that decide what an index holds."""
_MANIFEST = "made_of.json"
KEPT_DAYS = 30
"""Days that an index is kept for after it was last opened; one of some 100 000 items takes 600 MB."""


def _quiet(text: str) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class IndexOf:
    """What an index is made of; the options are those of `items.read`. Files are looked at when asked for."""

    benchmarks: tuple[str, ...]
    registry: tuple[str, ...] = ()
    data: str = ""
    only: tuple[str, ...] = ()
    on_error: str = "raise"
    background: tuple[str, ...] = ()
    """Files of documents in which n-grams are counted (`Index.with_background`)."""
    normalisation: Normalisation = field(default_factory=Normalisation)

    def files(self) -> list[BenchmarkFile]:
        """The benchmark files. Raises ConfigError."""
        return self._found()[0]

    def unknown(self) -> list[str]:
        """The files of folders that no entry of the registry fits and that are not looked for."""
        return self._found()[1]

    def _found(self) -> tuple[list[BenchmarkFile], list[str]]:
        from .items import benchmark_files
        from .registry import load_registry

        registry = load_registry(self.registry)
        return benchmark_files(self.benchmarks, registry, data=self.data or None, only=self.only)

    def described(self) -> dict[str, Any]:
        """The same as plain JSON, by content and free of absolute paths. Raises ConfigError for what is not there."""
        benchmarks: dict[str, list[Any]] = {}
        for file in self.files():
            of = benchmarks.setdefault(file.benchmark, [])
            of.append([file.source, file.known_as, content_digest(file.path), digest(_plain(file.entry))])
        return {
            "benchmarks": benchmarks,
            "on_error": self.on_error,
            "background": [[Path(name).name, content_digest(Path(name))] for name in self._background_files()],
            "normalisation": dataclasses.asdict(self.normalisation),
        }

    def _background_files(self) -> list[str]:
        from pipeline.documents import list_files

        files = list_files(self.background) if self.background else []
        paths = [path.removeprefix("file://") for path, _, _ in files]
        for path in paths:
            if not Path(path).is_file():
                raise ConfigError(f"background: '{path}' must be a file on this machine")
        return paths

    def key(self) -> str:
        """The name of the index in the cache."""
        return key_of(self.described())

    def open(self, key: str | None = None, say: Say = _quiet) -> Index:
        """The index by memory map, built first where the cache lacks it.

        `key`: the one that was asked for, where a driver has found it out; raises ConfigError if the files that are
        here now make another one. `say` is told what is built.
        """
        wanted = key or self.key()
        made = _opened(_folder() / wanted)
        if made is not None:
            return made
        described = self.described()
        if key_of(described) != wanted:
            raise ConfigError(
                f"the benchmarks {', '.join(self.benchmarks)} are not on this machine as they were when the run "
                "began: another content, or another version of Gristmill; put the same files there and run again"
            )
        waiting = "decontamination: waiting for the index that another process builds"
        with locked(_folder(), wanted, lambda: say(waiting)):
            made = _opened(_folder() / wanted)
            return made or self._build(wanted, described, say)

    def check(self) -> None:
        """Read the benchmarks unless their index is there: errors come before a run, not in the middle of it."""
        from pipeline.documents import plan_documents

        if self.background:
            plan_documents(self.background, 1 << 30)
        plain = {**self.described(), "background": []}
        if not (_folder() / key_of(plain) / _MANIFEST).is_file():
            self._reading(_base(plain)[1])

    def _build(self, key: str, described: dict[str, Any], say: Say) -> Index:
        start = time.monotonic()
        if self.background:
            plain = dataclasses.replace(self, background=()).open(say=say)
            index, what = plain.with_background(self.background_texts()), "counted in a background sample"
        else:
            index, what = self._of_items(described, say)
        _save(index, key, described)
        names = len(described["benchmarks"])
        say(
            f"decontamination: index of {len(index):,} items of {names} benchmark{'s' if names != 1 else ''}, {what}, "
            f"in {time.monotonic() - start:.1f} s"
        )
        forget_unused(_folder(), _MANIFEST, KEPT_DAYS)
        opened = _opened(_folder() / key)
        if opened is None:
            raise ConfigError(f"the index in {_folder() / key} can't be read back; delete that folder and run again")
        return opened

    def _of_items(self, described: dict[str, Any], say: Say) -> tuple[Index, str]:
        base, known = _base(described)
        items, problems = self._reading(known)
        _remembered.clear()
        if problems:
            say(
                f"decontamination: {sum(problems.values()):,} records of benchmarks are not used: {counts_of(problems)}"
            )
        if base is None:
            return build_index(items, self.normalisation), "built"
        return base.added(items), f"{items.num_rows:,} of them added to an earlier index"

    def _reading(self, known: frozenset[str]) -> tuple[pa.Table, dict[str, int]]:
        """(items, records not used by kind) of all benchmarks but these."""
        from .items import read_files

        key = digest(self.described(), sorted(known))
        if key not in _remembered:
            reading = read_files([file for file in self.files() if file.benchmark not in known], on_error=self.on_error)
            problems: Counter[str] = Counter()
            for count in reading.files:
                problems.update(count.problems)
            if not reading.items.num_rows and not known:
                raise ConfigError(self._no_item(problems))
            _remembered.clear()
            _remembered[key] = reading.items, dict(problems)
        return _remembered[key]

    def _no_item(self, problems: Mapping[str, int]) -> str:
        unknown = self.unknown()
        whys = [counts_of(problems)] if problems else []
        whys += [files_that_fit_none(unknown)] if unknown else []
        return f"the benchmarks {', '.join(self.benchmarks)} hold no item that can be used{': ' if whys else ''}" + (
            "; ".join(whys)
        )

    def background_texts(self) -> Iterator[pa.ChunkedArray]:
        """The texts of the background files, in columns. Raises ConfigError for files without texts."""
        from pipeline.documents import plan_documents, read_documents

        for split in plan_documents(self.background, 1 << 30):
            for batch in read_documents(split):
                yield batch.table["text"]


def key_of(described: dict[str, Any]) -> str:
    """A hash of a description and of the code."""
    return digest(described, _code())


_remembered: dict[str, tuple[pa.Table, dict[str, int]]] = {}
"""The items that `check` read, for the build that follows."""


def _base(described: dict[str, Any]) -> tuple[Index | None, frozenset[str]]:
    """The largest index in the cache of some of these very benchmarks, read by the same code; and their names."""
    wanted = described["benchmarks"]
    best: tuple[int, str, frozenset[str]] = 0, "", frozenset()
    for file in sorted(_folder().glob(f"*/{_MANIFEST}")):
        made = read_json(file)
        have = made["described"]["benchmarks"]
        same = {**made["described"], "benchmarks": wanted} == described and made["code"] == _code()
        if same and all(wanted.get(name) == files for name, files in have.items()) and made["items"] > best[0]:
            best = made["items"], file.parent.name, frozenset(have)
    index = _opened(_folder() / best[1]) if best[0] else None
    return (index, best[2]) if index is not None else (None, frozenset())


def _folder() -> Path:
    return cache_folder("decontam")


def _opened(folder: Path) -> Index | None:
    """The index in a folder; None where there is none, or a damaged one."""
    if not (folder / _MANIFEST).is_file():
        return None
    try:
        index = Index.open(folder)
    except ConfigError:
        return None
    with suppress(OSError):  # of a cache that may only be read
        os.utime(folder / _MANIFEST)
    return index


def _save(index: Index, key: str, described: dict[str, Any]) -> None:
    """Write an index under a name of its own and give it its name when it is whole. Called under the lock."""
    folder = _folder()
    try:
        with whole_folder(folder / key, lambda: _opened(folder / key) is not None) as temporary:
            index.save(temporary)
            write_json(temporary / _MANIFEST, {"described": described, "code": _code(), "items": len(index)})
    except OSError as error:
        why = error.strerror or f"is the disk full? {error}"
        raise ConfigError(
            f"the index can't be written to the cache '{folder}' ({why}); make room there, or name another folder in "
            "GRISTMILL_CACHE"
        ) from error


@functools.lru_cache(maxsize=1)
def _code() -> str:
    here = Path(__file__).parent
    return digest(FORMAT, N, [file_digest(here / f"{name}.py") for name in _CODE])


def _plain(value: Any) -> Any:
    """An entry of the registry as plain values; expressions by their text."""
    if isinstance(value, Expression):
        return value.text
    if dataclasses.is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    return [_plain(one) for one in value] if isinstance(value, (tuple, list)) else value
