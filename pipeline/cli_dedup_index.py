"""`gristmill dedup index ...`: an index of documents that were kept, to dedup later crawls against."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .arguments import output_path, path_or_url
from .cli_stages import make_runner, runner_options
from .options import given_options
from .storage import local_file, place

WORDS = ("index build", "index add", "index remove", "index info", "index find", "index")
"""Words after `dedup` that make a command of their own."""
SHOWN = 50

_HELP = """An index holds the band keys and shingle sets of documents (about 1.3 times their text), so that a later
crawl is compared with them without their files. What the index holds is never removed by it; a new document that is
like one of the index goes, and says which one it was: `duplicate_of`, `similarity`, and in `duplicate_in` the index."""
_EXAMPLES = """
  gristmill dedup index build unique.parquet -o seen.index --preset fineweb
  gristmill dedup minhash crawl-2/ --against seen.index -o new.parquet --dropped matches.parquet
  gristmill dedup exact crawl-2/ --against seen.index -o unseen.parquet         equal texts alone, by their hashes
  gristmill dedup index find seen.index --matches matches.parquet        which page was like which, with both URLs
  gristmill dedup index add seen.index new.parquet
  gristmill dedup index remove seen.index --ids withdrawn.txt
  gristmill dedup index info seen.index
"""
_FILES = "Parquet or JSONL(.gz, .zst) files, folders or globs"
_IDS = "ids, or files of them: documents (.parquet, .jsonl, .jsonl.gz, .jsonl.zst), others an id a line"


def add_commands(sub: Any) -> None:
    """Add the commands to the parsers of `gristmill`."""

    def command(word: str, short: str, text: str, function: Any) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = sub.add_parser(
            f"dedup {word}",
            help=short,
            description=f"{text}\n\n{_HELP}",
            epilog=f"examples:{_EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(function=function)
        return parser

    def index(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("index", type=path_or_url, metavar="INDEX", help="the index's folder")

    top = command("index", "an index of documents to dedup later crawls against", "Commands on an index.", _index)
    top.add_argument("word", nargs="*", metavar="build|add|remove|info|find", help="each has its own --help")

    build = command("index build", "documents -> an index of them", "Makes an index of all documents.", _build)
    build.add_argument("inputs", nargs="+", metavar="FILES", help=_FILES)
    build.add_argument("--output", "-o", type=output_path, required=True, metavar="INDEX", help="the folder to make")
    runner_options(build, inline=True)

    add = command("index add", "put more documents into an index", "Adds documents; their ids must be new.", _add)
    index(add)
    add.add_argument("inputs", nargs="+", metavar="FILES", help=_FILES)
    runner_options(add, inline=True)

    remove = command("index remove", "take documents out of an index", "Removes documents by their ids.", _remove)
    index(remove)
    remove.add_argument("--ids", nargs="+", required=True, metavar="ID|FILE", help=_IDS)
    remove.add_argument("--quiet", action="store_true", help="errors only")

    info = command("index info", "what an index holds", "Says what an index holds and how it was made.", _info)
    index(info)
    info.add_argument("--json", action="store_true", help="print JSON")

    find = command("index find", "look documents of an index up", "Shows documents of an index by their ids.", _find)
    index(find)
    find.add_argument("ids", nargs="*", metavar="ID|FILE", help=_IDS)
    find.add_argument(
        "--matches",
        type=path_or_url,
        metavar="FILE",
        help="what `dedup minhash --against INDEX --dropped FILE` wrote: shows each new document beside its match",
    )
    find.add_argument("--json", action="store_true", help="print JSON, all of it")


def _index(args: argparse.Namespace) -> int:
    from .errors import ConfigError, nearest

    known = [word.removeprefix("index ") for word in WORDS if word != "index"]
    said = f"no command is called '{args.word[0]}'{nearest(args.word[0], known)}" if args.word else "say what to do"
    raise ConfigError(f"dedup index: {said}; there are {', '.join(known)}")


def _source(args: argparse.Namespace) -> Any:
    from .cli_stages import documents_source
    from .sources import make_source

    return make_source("documents", documents_source(args)["documents"], args.command)


def _build(args: argparse.Namespace) -> int:
    from dedup.index_build import build
    from dedup.minhash import MinhashDedup
    from dedup.minhash_options import IndexOptions

    from .progress import Progress
    from .stage import configured

    step = configured(MinhashDedup, given_options(args, IndexOptions), args.command)
    with make_runner(args, default_inline=True) as runner:
        index, counts = build(args.output, step.parameters, _source(args), runner, Progress(quiet=args.quiet))
    _say(args, index, counts)
    return 0


def _add(args: argparse.Namespace) -> int:
    from dedup.index import Index
    from dedup.index_build import add_files

    from .progress import Progress

    index = Index.open(args.index)
    args.output = args.index  # which may not lie among the inputs
    with make_runner(args, default_inline=True) as runner:
        index, counts = add_files(index, _source(args), runner, Progress(quiet=args.quiet))
    _say(args, index, counts)
    return 0


def _say(args: argparse.Namespace, index: Any, counts: dict[str, Any]) -> None:
    if args.quiet:
        return
    left = [f"{counts['without_words']:,} without words left out"] if counts["without_words"] else []
    left += [f"{n:,} skipped ({kind})" for kind, n in counts["skipped"].items()]
    print(
        f"{counts['added']:,} of {counts['records']:,} documents added{''.join(', ' + one for one in left)}; "
        f"index '{index.path}' holds {index.documents():,}"
    )


def _remove(args: argparse.Namespace) -> int:
    from dedup.index import Index

    ids = set(_ids(args.ids))
    index, removed = Index.open(args.index).remove(ids)
    if not args.quiet:
        missing = f", {len(ids) - removed:,} were not in it" if removed < len(ids) else ""
        print(f"{removed:,} documents removed{missing}; index '{index.path}' holds {index.documents():,}")
    return 0


def _ids(given: Sequence[str]) -> Iterator[str]:
    """Ids said and ids in files. Raises ConfigError for documents without ids."""
    from .documents import JSONL_ENDINGS, is_parquet
    from .errors import ConfigError

    for one in given:
        path = place(one)
        if not path.is_file():
            if is_parquet(one) or one.endswith((*JSONL_ENDINGS, ".txt")):
                raise ConfigError(f"file '{one}' does not exist")
            yield one
        elif is_parquet(one) or one.endswith(JSONL_ENDINGS):
            yield from (row["id"] for row in _rows(path, ["id"]))
        else:
            yield from filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines()))


def _rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """These columns of a file of documents; ids as strings. Raises ConfigError where a row has no id."""
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .documents import is_parquet
    from .errors import ConfigError

    def row(number: int, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or value.get("id") is None:
            raise ConfigError(f"{path}, row {number}: there is no 'id'")
        return {**{name: value.get(name) for name in columns}, "id": str(value["id"])}

    if is_parquet(path.name):
        try:
            table = pq.read_table(path, columns=[c for c in columns if c in pq.read_schema(path).names])
        except pa.ArrowInvalid as error:
            raise ConfigError(f"{path} is not a Parquet file: {error}") from error
        yield from (row(number, value) for number, value in enumerate(table.to_pylist()))
        return
    with fsspec.open(local_file(path), "rt", encoding="utf-8", compression="infer") as lines:
        for number, line in enumerate(lines):
            if line.strip():
                try:
                    yield row(number, json.loads(line))
                except ValueError as error:
                    raise ConfigError(f"{path}, line {number}: {error}") from error


def _info(args: argparse.Namespace) -> int:
    from dedup.index import Index

    from .report import Section, print_sections

    index = Index.open(args.index)
    parameters = index.parameters
    found = {
        "documents": index.documents(),
        "segments": len(index.segments),
        "files": len(index.files()),
        "bytes": index.size(),
        "revision": index.revision,
        "parameters": parameters.config(),
    }
    if args.json:
        print(json.dumps(found, indent=1))
        return 0
    rows: list[tuple[str, Any]] = [(k, v) for k, v in found.items() if k != "parameters"]
    rows += [
        ("shingles", parameters.shingling.text),
        ("bands x rows", f"{parameters.bands} x {parameters.rows}"),
        ("hash functions", f"{parameters.scheme}, seed {parameters.seed}"),
    ]
    print_sections([Section(f"Index {args.index}", ("what", "value"), rows)], sys.stdout)
    return 0


def _find(args: argparse.Namespace) -> int:
    from dedup.index import Index

    from .errors import ConfigError
    from .report import Section, print_sections
    from .terminal import json_text, plain

    index = Index.open(args.index)
    if bool(args.ids) == bool(args.matches):
        raise ConfigError("dedup index find wants ids, or --matches FILE")
    if args.matches:
        rows = _matches(index, args.matches)
        missing = [row["duplicate_of"] for row in rows if "url_of_match" not in row]
    else:
        ids = list(dict.fromkeys(_ids(args.ids)))
        rows = index.find(ids)
        held = {row["id"] for row in rows}
        missing = [one for one in ids if one not in held]
    if args.json:
        print(json_text(rows))
    elif rows:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        shown = [tuple(row.get(name) for name in columns) for row in rows[:SHOWN]]
        more = f"{len(rows) - SHOWN:,} more with --json" if len(rows) > SHOWN else ""
        print_sections([Section("Matches" if args.matches else "Documents", columns, shown, more)], sys.stdout)
    if missing:
        some = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        print(plain(f"not in the index: {some}"), file=sys.stderr)
    return 0 if rows else 1


def _matches(index: Any, path: Path) -> list[dict[str, Any]]:
    """Dropped documents whose kept partner is in an index, beside that one. Raises ConfigError for other files."""
    from .errors import ConfigError

    if not path.is_file():
        raise ConfigError(f"--matches '{path}' is no file")
    wanted = ("id", "url", "duplicate_of", "similarity", "duplicate_in")
    dropped = [row for row in _rows(path, wanted) if row["duplicate_in"] is not None]
    if not dropped:
        raise ConfigError(f"--matches '{path}' names no document of an index (column duplicate_in)")
    known = {row["id"]: row for row in index.find({row["duplicate_of"] for row in dropped})}
    out = []
    for row in dropped:
        match = known.get(row["duplicate_of"])
        about = {} if match is None else {"url_of_match": match["url"], "copies_of_match": match["copies"]}
        out.append({**{name: row[name] for name in wanted if name != "duplicate_in"}, **about})
    return out
