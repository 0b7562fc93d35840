"""The command `gristmill mix search`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .arguments import output_path, path_or_url
from .cli_stages import check_stand_in, make_runner, runner_options
from .options import given_options
from .storage.mirror import stand_in

COMMAND = "mix search"
_HELP = """Chooses the weights of a mixture's sources by experiment (RegMix, Liu et al. 2024): trains small proxy models
on sampled mixtures, fits a regression from weights to held-out bits per byte, and writes the mixture that it predicts
to be best, with its uncertainty and beside simple baselines, as OUTPUT/mixture.yaml. A stopped search goes on when the
same command is given again, and more --proxies are added to those that are done."""
_EPILOG = """
examples:
  gristmill mix search mixture.yaml -o search --proxies 64 --steps 500
  gristmill mix search mixture.yaml -o search --held-out wiki=wiki.jsonl --held-out code=code/ --objective wiki
  gristmill mix plan search/mixture.yaml                       what the chosen mixture takes

Small models prefer what is easy to learn; give a few hundred steps, and look at the measured figures of the chosen
mixture and the baselines before trusting the predicted ones.
"""


def add_commands(sub: Any) -> None:
    """Add `mix search` to the parsers of `gristmill`."""
    parser = sub.add_parser(
        COMMAND,
        help="choose a mixture's weights by small proxy runs",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mixture", help="a mixture's YAML file")
    parser.add_argument("--output", "-o", type=output_path, required=True, help="the search's folder")
    parser.add_argument("--run", type=path_or_url, metavar="FOLDER", help="the run that `run: this` stands for")
    parser.add_argument(
        "--held-out", nargs="+", action="append", default=[], metavar=("NAME=FILE", "FILE"),
        help="a held-out set of documents; once for each (default: a share of each source)",
    )  # fmt: skip
    runner_options(parser, inline=True)
    parser.set_defaults(function=_search)


def held_out_sets(given: list[list[str]]) -> dict[str, list[str]]:
    """Files by name, of `name=file file ...`. Raises ConfigError."""
    from .errors import ConfigError

    found: dict[str, list[str]] = {}
    for words in given:
        name, sign, first = words[0].partition("=")
        if not sign or not name or not first or name in found:
            raise ConfigError(f"--held-out is written NAME=FILE [FILE ...], each name once; not '{' '.join(words)}'")
        found[name] = [first, *words[1:]]
    return found


def _with_run(mixture: Any, run: Path | None) -> Any:
    """The mixture with a run's folder for `run: this`."""
    from dataclasses import replace

    from mixtures.recipe import THIS

    if run is None:
        return mixture
    sources = {
        name: replace(spec, run=str(run)) if spec.run == THIS else spec for name, spec in mixture.sources.items()
    }
    return replace(mixture, sources=sources)


def _search(args: argparse.Namespace) -> int:
    from mixtures.recipe import load_mixture
    from mixtures.search.report import sections, write
    from mixtures.search.search import SearchOptions, search

    from .errors import ConfigError
    from .progress import Progress
    from .report import print_sections
    from .run import lock
    from .stage import configured

    path = Path(args.mixture)
    if not path.is_file():
        raise ConfigError(f"mixture '{args.mixture}' is not a file")
    mixture = _with_run(load_mixture(args.mixture), args.run)
    options: SearchOptions = configured(SearchOptions, given_options(args, SearchOptions), COMMAND)
    held_out = held_out_sets(args.held_out)
    check_stand_in(args)
    with (
        stand_in(args.output, ("prepare/",), "search") as output,
        lock(output),
        make_runner(args, default_inline=True) as runner,
    ):
        found = search(mixture, held_out, options, output, runner, Progress(quiet=args.quiet))
        write(output, path.read_text(encoding="utf-8"), found)
    if not args.quiet:
        print_sections(sections(found)[:3], sys.stdout)
        print(f"written: {args.output}/mixture.yaml, report.html, search.json")
    return 0
