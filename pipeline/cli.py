"""The command `gristmill`. Costly imports wait until a command needs them, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import errno
import io
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import (
    cli_ablate,
    cli_classifier,
    cli_cutoffs,
    cli_decontam,
    cli_dedup,
    cli_extract,
    cli_inspect,
    cli_mix,
    cli_packs,
    cli_plan,
    cli_pretrain,
    cli_select,
    cli_status,
)
from .arguments import parse_words, path_or_url
from .cli_crawl import crawl_options, given_crawl_options
from .cli_stages import (
    STAGE_HELP,
    check_output,
    documents_source,
    export_run,
    io_options,
    make_runner,
    mini_run,
    runner_options,
    show_counts,
)
from .options import given_options
from .storage import StorePath, check_output_place, local_file, move_tree, place, remove_tree

EPILOG = """
examples:
  gristmill run crawl-to-shards                                the whole job on the sample crawl
  gristmill run crawl-to-shards --input crawl/ --output runs/mine --set extract.engine=resiliparse
  gristmill status runs/mine --watch                           how a run goes
  gristmill run crawl-to-shards --input CC-MAIN-2025-08 --warcs 20 --stream     a part of Common Crawl
  gristmill plan --crawl CC-MAIN-2025-08 --nodes 20 --cpus-per-node 32 --memory-per-node 128GB
  gristmill extract page.warc.gz -o pages.jsonl.gz             one stage, on a file of your own
  gristmill extract CC-MAIN-2025-08 --domains example.org -o pages.parquet      its pages in Common Crawl
  gristmill extract eval --data data/ --every 20              which engine is best? (needs gold texts)
  gristmill filter language pages.jsonl.gz -o en.parquet --languages en --dropped rest.parquet
  gristmill dedup en.parquet -o unique.parquet                 exact; also: dedup lines|substrings|minhash
  gristmill select dsir crawl/ --target wiki.jsonl -o sel.parquet --keep 10%    distributed as a target corpus
  gristmill inspect runs/mine --html inspect.html              what did each filter drop?
  gristmill decontam report packs/ --bench evals/              does it hold what it will be tested with?
  gristmill classifier train labelled.jsonl --positive-label good -o good.ftz
  gristmill mix plan mixture.yaml --model-params 1.5e9         what a mixture would draw, before any work
  gristmill mix run mixture.yaml -o runs/mixed                 several runs or files -> one pack set
  gristmill ablate raw.jsonl mine.jsonl -o ablation --held-out wiki=wiki.jsonl   which data is better?
  gristmill packs report runs/mine --html packs.html           what is in the packs
  gristmill pretrain runs/mine -o model --steps 200            does a small model learn from it?
  gristmill pretrain plan --tokens 2B                          model, batch, memory and hours for so much data
  gristmill trace runs/mine --sequence 12 --position 345       whose token is this?
  gristmill remove packs --domains optout.txt --in-place       opt-outs and takedowns, without a rebuild
  gristmill export megatron packs -o megatron/train            also: nanogpt, datasets
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gristmill",
        description="Turns raw web crawl into training shards: WARC -> text -> filters -> dedup -> tokens -> packs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    sub = parser.add_subparsers(dest="command", metavar="COMMAND")

    run = sub.add_parser("run", help="run a recipe, or go on with a run that was stopped", description=_RUN_HELP)
    run.add_argument("recipe", help="a bundled recipe's name (see `gristmill recipes`) or a YAML file")
    run.add_argument(
        "--input", nargs="+", action="extend", default=[], metavar="WHERE", help="replaces the recipe's inputs"
    )
    crawl_options(run)
    run.add_argument("--output", "-o", type=path_or_url, help="the run's folder (default: runs/NAME)")
    run.add_argument("--set", action="append", default=[], metavar="STEP.OPTION=VALUE", help="change one option")
    run.add_argument("--without", action="append", default=[], metavar="STEP", help="leave a step out")
    run.add_argument("--mode", help="all_scores: dropped documents get the later filters' scores too (or: early_exit)")
    run.add_argument(
        "--price-per-cpu-hour", type=float, metavar="PRICE", help="what a core costs: `gristmill status` then says more"
    )
    run.add_argument("--check", action="store_true", help="validate the recipe, show its steps and stop")
    runner_options(run)
    run.set_defaults(function=_run)

    extract = sub.add_parser("extract", help="WARC/WET/ARC files -> documents", description=STAGE_HELP)
    io_options(extract, "WARC, WET or ARC files, folders, globs, URLs, or CC-MAIN-YYYY-WW")
    crawl_options(extract)
    extract.set_defaults(function=_extract)
    cli_extract.add_commands(sub)

    filter_ = sub.add_parser("filter", help="documents -> documents that pass a filter", description=STAGE_HELP)
    filter_.add_argument("filter", help="the filter's name (see `gristmill filters`)")
    io_options(filter_, "Parquet or JSONL(.gz, .zst) files, folders or globs")
    filter_.set_defaults(function=_filter)

    cli_dedup.add_commands(sub)
    cli_select.add_commands(sub)
    cli_decontam.add_commands(sub)

    train = sub.add_parser("train-tokenizer", help="documents -> a byte-level BPE tokenizer.json")
    io_options(train, "Parquet or JSONL(.gz, .zst) files, folders or globs", dropped=False)
    train.set_defaults(function=_train_tokenizer)

    tokenize = sub.add_parser("tokenize", help="documents -> token ids, a Parquet file")
    io_options(tokenize, "Parquet or JSONL(.gz, .zst) files, folders or globs", dropped=False)
    tokenize.set_defaults(function=_tokenize)

    pack = sub.add_parser("pack", help="documents -> Arrow packs of fixed length")
    io_options(pack, "Parquet or JSONL(.gz, .zst) files, folders or globs", dropped=False)
    pack.add_argument("--tokenizer", required=True, help="a Hugging Face tokenizer.json")
    pack.set_defaults(function=_pack)

    cli_classifier.add_commands(sub)
    cli_cutoffs.add_commands(sub)

    cli_pretrain.add_commands(sub)
    cli_ablate.add_command(sub)
    cli_mix.add_commands(sub)
    cli_packs.add_commands(sub)
    cli_inspect.add_commands(sub)
    cli_status.add_command(sub)
    cli_plan.add_command(sub)
    recipes = sub.add_parser("recipes", help="list the bundled recipes, or print one")
    recipes.add_argument("name", nargs="?", help="print this one")
    recipes.set_defaults(function=_recipes)
    return parser


_RUN_HELP = """Runs the steps of a recipe into a folder. A stopped run goes on where it was when the same command
is given again; a changed option redoes only what follows from it. Without --address a Ray cluster is started on
this machine and stopped at the end; --inline runs everything in this process."""


def _run(args: argparse.Namespace) -> int:
    from .errors import ConfigError
    from .mapstep import MapStep
    from .progress import Progress
    from .recipe import build, override, read_recipe, without
    from .report import write_report
    from .run import execute

    cli_status.check_price(args.price_per_cpu_hour)
    plain = override(without(read_recipe(args.recipe), args.without), args.set)
    given = given_crawl_options(args)
    if args.input or given:
        source = plain.get("source")
        if not isinstance(source, dict) or len(source) != 1:
            raise ConfigError(f"recipe '{args.recipe}': `source` must be one source with its options")
        name = next(iter(source))
        config = dict(source[name]) if isinstance(source[name], dict) else {}
        if args.input:
            config["inputs"] = args.input
        config.update(given)
        plain["source"] = {name: config}
    if args.mode:
        plain["mode"] = args.mode
    recipe = build(plain, f"recipe '{args.recipe}'")
    output = args.output or place(recipe.output or f"runs/{recipe.name}")
    runner = make_runner(args)
    if isinstance(output, StorePath):
        check_output_place(str(output), processes=not args.inline)
    if args.check:
        for step in recipe.steps:
            if isinstance(step, MapStep) and step.source is not None:
                step.source.splits(None)  # raises where an input is not there
        for number, step in enumerate(recipe.steps, 1):
            print(f"{number:02d}-{step.folder_name()}")
        return 0
    progress = Progress(quiet=args.quiet)
    with runner:
        result = execute(recipe, output, runner, progress, price_per_cpu_hour=args.price_per_cpu_hour)
    write_report(result, None if args.quiet else sys.stdout)
    return 0


def _extract(args: argparse.Namespace) -> int:
    from .sources import WarcSource
    from .stage import registered

    check_output(args)
    source: dict[str, Any] = {"inputs": list(args.inputs), **given_options(args, WarcSource)}
    source.update(given_crawl_options(args))
    return export_run(
        args, mini_run(args, {"warc": source}, [{"extract": given_options(args, registered()["extract"])}])
    )


def _filter(args: argparse.Namespace) -> int:
    from .errors import ConfigError, nearest
    from .stage import registered

    check_output(args)
    stages = {name: cls for name, cls in registered().items() if not cls.removes}
    if args.filter not in stages:
        raise ConfigError(f"no filter is called '{args.filter}'{nearest(args.filter, stages)}; see `gristmill filters`")
    options = given_options(args, stages[args.filter])
    return export_run(args, mini_run(args, documents_source(args), [{args.filter: options}]))


def _train_tokenizer(args: argparse.Namespace) -> int:
    import shutil

    from .steps import registered_steps
    from .store import atomic_path

    options = given_options(args, registered_steps()["train_tokenizer"])
    result = mini_run(args, documents_source(args), [{"train_tokenizer": options}])
    last = result.steps[-1]
    with atomic_path(args.output) as temporary:
        shutil.copyfile(local_file(last.folder / last.manifest["artefact"][0]), temporary)
    show_counts(args, result)
    remove_tree(result.output)
    if not args.quiet:
        print(f"written: {args.output}")
    return 0


def _tokenize(args: argparse.Namespace) -> int:
    from .documents import is_parquet
    from .errors import ConfigError
    from .steps import registered_steps
    from .tokensteps import export_tokens

    if not is_parquet(args.output.name):
        raise ConfigError(f"output '{args.output}': token ids are written as .parquet")
    options = given_options(args, registered_steps()["tokenize"])
    if "tokenizer" not in options:
        raise ConfigError("tokenize needs --tokenizer tokenizer.json (`gristmill train-tokenizer` makes one)")
    result = mini_run(args, documents_source(args), [{"tokenize": options}])
    last = result.steps[-1]
    tokens = export_tokens([last.folder / file for file in last.manifest["artefact"]], args.output)
    show_counts(args, result)
    remove_tree(result.output)
    if not args.quiet:
        print(f"{tokens:,} tokens; written: {args.output}")
    return 0


def _pack(args: argparse.Namespace) -> int:
    from .steps import registered_steps

    _check_pack_output(args.output)
    steps = registered_steps()
    tokenize = {**given_options(args, steps["tokenize"]), "tokenizer": args.tokenizer}
    packing = given_options(args, steps["pack"])
    result = mini_run(args, documents_source(args), [{"tokenize": tokenize}, {"pack": packing}])
    if args.output.exists():
        remove_tree(args.output)
    show_counts(args, result)
    move_tree(result.steps[-1].folder, args.output)
    remove_tree(result.output)
    if not args.quiet:
        print(f"written: {args.output}")
    return 0


def _check_pack_output(target: Path) -> None:
    """Only an empty folder or an earlier pack folder may be replaced."""
    from .errors import ConfigError
    from .packstep import find_pack_sets

    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        find_pack_sets(target)
    except ConfigError as error:
        raise ConfigError(f"output '{target}' exists and is no pack folder; it will not be replaced") from error


def _recipes(args: argparse.Namespace) -> int:
    import yaml

    from .recipe import bundled, read_recipe

    if args.name:
        print(yaml.safe_dump(read_recipe(args.name), sort_keys=False), end="")
        return 0
    for name in bundled():
        print(name)
    return 0


_OF_THE_OUTPUT = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Errors by which a file system takes no more of a run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and turn Gristmill's own errors into one line on stderr and exit status 2."""
    from .errors import GristmillError
    from .terminal import guard_log, print_error

    guard_log(logging.getLogger("gristmill"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal or pipe that is not UTF-8 must not end a command
            stream.reconfigure(errors="backslashreplace")
    argv = list(sys.argv[1:] if argv is None else argv)
    for part in (cli_extract, cli_dedup, cli_select, cli_mix, cli_packs, cli_pretrain):
        argv = part.joined(argv)
    parser = _parser()
    try:
        args = parse_words(parser, argv)
    except GristmillError as error:
        print_error(error)
        return error.status
    if args.version:
        from . import __version__

        print(f"gristmill {__version__}")
        return 0
    if args.command is None:
        parser.print_help()
        return 0
    function: Callable[[argparse.Namespace], int] = args.function
    try:
        status = function(args)
        sys.stdout.flush()
        return status
    except GristmillError as error:
        if args.debug:
            raise
        print_error(error)
        return error.status
    except BrokenPipeError:  # `gristmill ... | head`
        _close_stdout()
        return 141
    except OSError as error:
        if args.debug:
            raise
        where = f": '{error.filename}'" if error.filename else ""
        ended = args.command == "run" and error.errno in _OF_THE_OUTPUT
        way_out = "; what is finished is kept: mend the cause and run the same command again" if ended else ""
        print_error(f"{error.strerror or error}{where}{way_out}")
        return 2
    except KeyboardInterrupt:
        print("gristmill: stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _close_stdout() -> None:
    """Let what is left for a closed pipe go nowhere, or Python would report it at its end."""
    import os

    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is no file
        sys.stdout = None  # type: ignore[assignment]


if __name__ == "__main__":
    ended = main()
    cli_pretrain.leave_group(ended)
    sys.exit(ended)
