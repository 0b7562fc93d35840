"""`gristmill mix plan` and `gristmill mix run`: several sources to one pack set by a mixture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from . import cli_mix_search
from .arguments import output_path, path_or_url
from .cli_reports import add_targets, check_targets, deliver
from .cli_stages import add_overview, make_runner, runner_options
from .options import given_options

_COMMANDS = {
    "plan": "what a mixture would draw, before any work",
    "run": "several runs or files -> one pack set",
    "search": "weights by small training runs and a regression",
    "show": "the bundled mixtures",
}
WORDS = tuple(_COMMANDS)

_PLAN = """Says what a mixture would draw, before any work: tokens of each source (counted where it is tokenised, else
estimated from bytes of text), epochs, what repeated tokens are worth, what is not trained on and why, and where a model
of N parameters would stand on Chinchilla's line."""
_RUN = """Draws documents of several sources (earlier runs, or Parquet and JSONL files) by a mixture and packs them.
Tokens of earlier runs are taken as they are where the tokenizer is the same. A stopped run goes on where it was when
the same command is given again."""
_PLAN_EPILOG = """
examples:
  gristmill mix plan natural --run runs/mine --model-params 1.5e9
  gristmill mix plan mixture.yaml --json plan.json --html plan.html
"""
_RUN_EPILOG = """
example:
  gristmill mix run mixture.yaml -o runs/mixed --sequence-length 2048
"""


def add_commands(sub: Any) -> None:
    """Add `mix plan`, `mix run`, `mix search` and `mix show` to the parsers of `gristmill`."""
    add_overview(sub, "mix", "mixtures: which documents are trained on, how often and when", _COMMANDS)
    raw = argparse.RawDescriptionHelpFormatter
    what = "a mixture's YAML file, or a bundled one's name (see `gristmill mix show`)"
    plan = sub.add_parser(
        "mix plan", help="what a mixture would draw", description=_PLAN, epilog=_PLAN_EPILOG, formatter_class=raw
    )
    plan.add_argument("mixture", help=what)
    plan.add_argument("--run", type=path_or_url, metavar="FOLDER", help="the run that `run: this` stands for")
    plan.add_argument("--model-params", type=float, metavar="N", help="parameters of the model to train")
    plan.add_argument(
        "--bytes-per-token", type=float, metavar="X", help="for sources without tokens (default: measured, or 4.2)"
    )
    add_targets(plan)
    plan.add_argument("--quiet", action="store_true", help="no tables, errors only")
    plan.set_defaults(function=_plan)

    run = sub.add_parser(
        "mix run",
        help="several runs or files -> one pack set",
        description=_RUN,
        epilog=_RUN_EPILOG,
        formatter_class=raw,
    )
    run.add_argument("mixture", help=what)
    run.add_argument("--output", "-o", type=output_path, required=True, help="the run's folder")
    runner_options(run)
    run.set_defaults(function=_run)

    show = sub.add_parser("mix show", help="list the bundled mixtures, or print one")
    show.add_argument("name", nargs="?", help="print this one")
    show.set_defaults(function=_show)
    cli_mix_search.add_commands(sub)


def joined(argv: list[str]) -> list[str]:
    """The arguments with `mix plan` and its like made one word, as the parser knows it."""
    at = next((i for i, word in enumerate(argv) if not word.startswith("-")), len(argv))
    if argv[at : at + 1] == ["mix"] and argv[at + 1 : at + 2] and argv[at + 1] in WORDS:
        return [*argv[:at], f"mix {argv[at + 1]}", *argv[at + 2 :]]
    return argv


def _plan(args: argparse.Namespace) -> int:
    from mixtures.estimate import plan
    from mixtures.recipe import load_mixture
    from mixtures.show import page, sections

    check_targets(args, [Path(args.mixture)])
    result = plan(
        load_mixture(args.mixture), this=args.run, model_params=args.model_params,
        bytes_per_token=args.bytes_per_token,
    )  # fmt: skip
    return deliver(args, result, page, sections)


def _run(args: argparse.Namespace) -> int:
    from mixtures.step import Mix
    from pipeline.packstep import Pack

    from .progress import Progress
    from .recipe import Recipe
    from .report import print_sections, sections, summary, write_report
    from .run import execute
    from .stage import configured

    packing = {**given_options(args, Pack), "drawn": True}
    pack = configured(Pack, packing, "mix run: step 'pack'")
    mixing = given_options(args, Mix)
    mix = configured(Mix, {**mixing, "mixture": args.mixture}, "mix run: step 'mix'")
    mix.check_alone()
    plain = {"name": "mix", "steps": [{"mix": {**mixing, "mixture": args.mixture}}, {"pack": packing}]}
    runner = make_runner(args)
    with runner:
        result = execute(
            Recipe("mix", (mix.beside((pack,)), pack), None, plain), args.output, runner, Progress(quiet=args.quiet)
        )
    write_report(result, None)
    if not args.quiet:
        shown = sections(summary(result), args.output)
        print_sections([one for one in shown if one.title != "Documents"], sys.stdout)
    return 0


def _show(args: argparse.Namespace) -> int:
    from importlib import resources

    from mixtures.recipe import bundled, load_mixture

    if args.name:
        load_mixture(args.name)
        path = Path(args.name)
        source = path if path.exists() else resources.files("mixtures").joinpath(f"{args.name}.yaml")
        print(source.read_text(encoding="utf-8"), end="")
        return 0
    for name in bundled():
        print(name)
    return 0
