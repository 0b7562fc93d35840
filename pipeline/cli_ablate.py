"""The command `gristmill ablate`."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import output_path, path_or_url
from .cli_stages import check_stand_in, make_runner, runner_options
from .options import given_options
from .storage.mirror import stand_in

if TYPE_CHECKING:
    from pretrain.ablation.design import Arm, Design

_HELP = """Judges data by experiment: trains small models alike on each arm (same tokenizer, shapes, schedule and seeds,
equal tokens, and once more equal bytes of text) and compares their bits per byte on held-out texts and on gold answers
of benchmarks, with a paired test over seeds. An arm is a run recipe (YAML or a bundled name), a finished run's folder,
a pack folder, or files of documents. A stopped ablation goes on when the same command is given again."""
_EPILOG = """
examples:
  gristmill ablate raw=raw.jsonl filtered=filtered.jsonl -o ablation --held-out wiki=wiki.jsonl --dry-run
  gristmill ablate mine.yaml c4.yaml -o ablation --held-out wiki=wiki.jsonl --gold evals/ --seeds 5 --steps 500
  gristmill ablate runs/a runs/b -o ablation --held-out news=news.parquet --budget 30 --workers 4
  gristmill ablate a=packs-a b=packs-b -o ablation --design design.yaml

Write the margin and the seeds down before you look: design.yaml in OUTPUT has them. docs/ablation.md says how verdicts
are made.
"""


def add_command(sub: Any) -> None:
    """Add `ablate` to the parsers of `gristmill`."""
    parser = sub.add_parser(
        "ablate",
        help="train small models on several corpora: which data is better?",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "arms", nargs="*", metavar="ARM", help="NAME=WHERE or WHERE: a recipe, a run, a pack folder, documents"
    )
    parser.add_argument(
        "--arm", nargs="+", action="append", default=[], metavar=("NAME=FILE", "FILE"), help="an arm of several files"
    )
    parser.add_argument("--output", "-o", type=output_path, required=True, help="the ablation's folder")
    parser.add_argument(
        "--design", type=path_or_url, metavar="FILE", help="YAML with the options below; they go before it"
    )
    parser.add_argument("--text-field", default="text", metavar="NAME", help="column or key of the arms' texts")
    parser.add_argument(
        "--held-out", nargs="+", action="append", default=[], metavar=("NAME=FILE", "FILE"),
        help="a held-out set of documents, or plain text (.txt); once for each",
    )  # fmt: skip
    parser.add_argument("--budget", type=float, metavar="MINUTES", help="take as many steps as end in so many minutes")
    parser.add_argument("--dry-run", action="store_true", help="say what will run and how long it takes, and stop")
    runner_options(parser, inline=True)
    parser.set_defaults(function=_ablate)


def _ablate(args: argparse.Namespace) -> int:
    from pretrain.ablation.check import check_inputs
    from pretrain.ablation.experiment import check_arms, need_torch, run_ablation
    from pretrain.ablation.plan import plan, within_budget
    from pretrain.ablation.report import terminal, write

    from .errors import ConfigError
    from .progress import Progress
    from .report import print_sections
    from .runner import available_cpus

    arms, design = _arms(args), _design(args)
    check_arms(arms)
    for name, what in (("manifest.json", "a pack folder"), ("recipe.yaml", "a run"), ("checkpoints", "a model")):
        if (args.output / name).exists():
            raise ConfigError(f"--output '{args.output}' is {what}: name a folder of its own for the ablation")
    need_torch()
    workers = args.workers or (1 if not args.address else available_cpus())
    if args.budget is not None:
        if not args.budget > 0:
            raise ConfigError(f"--budget must be above 0 minutes, not {args.budget:g}")
        for name in ("steps", "tokens"):
            if hasattr(args, f"option_{name}"):
                raise ConfigError(f"--budget chooses the steps itself: leave --{name} out, or --budget")
        check_inputs(arms, design)
        design = within_budget(arms, design, args.budget, workers, args.output)
    if args.dry_run:
        check_inputs(arms, design)
        print("\n".join(plan(arms, design, workers).lines()))
        return 0
    check_stand_in(args)
    with (
        stand_in(args.output, ("design.yaml",), "ablation") as output,
        make_runner(args, default_inline=True) as runner,
    ):
        result = run_ablation(
            arms, design, output, runner=runner, progress=Progress(quiet=args.quiet), budget=args.budget
        )
        write(result, output)
    if not args.quiet:
        print_sections(terminal(result), sys.stdout)
        for note in result.notes:
            print(f"note: {note}")
    for line in result.verdicts():
        print(line)
    if not args.quiet:
        print(f"written: {args.output}/report.html, results.json")
    return 0


def _arms(args: argparse.Namespace) -> list[Arm]:
    """The arms of the command line. Raises ConfigError."""
    from pretrain.ablation.design import Arm, named_inputs

    words = [[word] if _is_named(word) else [f"{_name_of(word)}={word}"] for word in args.arms]
    return [named_inputs(Arm, one, text_field=args.text_field) for one in (*words, *args.arm)]


def _is_named(word: str) -> bool:
    return bool(re.match(r"[\w.+-]+=", word)) and not Path(word).exists()


def _name_of(word: str) -> str:
    """A name for an arm that was given none: the last part of its path, without endings."""
    name = Path(word).name.split(".")[0] if Path(word).name.strip(".") else Path(word).resolve().name
    return re.sub(r"[^\w+-]+", "_", name).strip("_") or "arm"


def _design(args: argparse.Namespace) -> Design:
    """The design: the file's values, and above them those of the command line. Raises ConfigError."""
    from pretrain.ablation.design import Design, HeldOut, load_design, make_design, named_inputs

    from .errors import ConfigError

    options = given_options(args, Design)
    sets = [named_inputs(HeldOut, words) for words in args.held_out]
    twice = {one.name for one in sets if sum(other.name == one.name for other in sets) > 1}
    if twice:
        raise ConfigError(f"--held-out: two sets are called '{min(twice)}': list the files of a set after one name")
    if sets:
        options["held_out"] = {one.name: list(one.inputs) for one in sets}
    return load_design(args.design, **options) if args.design is not None else make_design(options)
