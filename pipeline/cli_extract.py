"""The commands beside `gristmill extract INPUT...`: how its engines are judged, and how its own is trained."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .arguments import check_file_target, output_path, path_or_url
from .storage.mirror import fetched, staged

WORDS = ("eval", "train")
"""Words after `extract` that make a command of their own; a file of such a name is written `./eval`."""

_EVAL_HELP = """Runs extraction engines over pages whose main content people have marked, and prints how near each
comes and how fast it is.

Every engine gets the same decoded page in the same run. Scores are word F1 on WCXB (by page type), 4-gram F1 on DANIEL
(by language) and F1 of found and leaked snippets on trafilatura's segments. The last column is by how much the first
contender leads, with the paired 95 % bootstrap interval over sites: an interval that has no 0 in it is a
difference that will likely hold on other pages."""

_EVAL_EPILOG = """
examples:
  gristmill extract eval --data ../shared/data --every 20            a first look, seconds
  gristmill extract eval --data ../shared/data --workers 2 --json eval.json
  gristmill extract eval --data ../shared/data --engines trafilatura,trafilatura-fast --sets daniel_waddle
  gristmill extract eval --data ../shared/data --texts folds.jsonl --sets wcxb
      judges texts made before, such as those of a model trained without the page's fold; the file has a line
      {"set": "wcxb", "id": "dev/0001", "text": "..."} for each page

The folder --data has html/*.warc.gz and html/gold/*.jsonl.gz; a gold record names its page by the SHA-1 of the bytes.
With --workers above 1 engines share cores and their speed suffers: for speed use the default and a quiet machine.
"""

_TRAIN_HELP = """Trains the engine `gristmill` on pages whose main content people have marked, and writes one file: word
weights, two judges of text blocks and a judge of page types, as plain arrays with a card that says what they come from.

How it learns: each block of a page is labelled by how well its words align with the gold text. A first judge
(gradient-boosted trees) scores blocks by themselves, a second one in the light of their surroundings. The second
learns from scores of pages that the first had not seen, for which the pages are split into five folds; pages of one
site, or with nearly the same text or markup, share a fold. Training needs the extra `train`:
pip install 'gristmill[train]'. Using the model does not."""

_TRAIN_EPILOG = """
examples:
  gristmill extract train --data ../shared/data --output runs/model --every 15      a first look, a minute
  gristmill extract train --data ../shared/data --output model.npz                  all of it, some minutes
  gristmill extract train --data ../shared/data --output runs/model --cross-validate --leave-sets-out
      also says how good it is on pages, and on kinds of page, that it has not seen; then beside others:
  gristmill extract eval --data ../shared/data --texts runs/model/cross_validated.jsonl --engines trafilatura

Written are model.npz and, if asked for, cross_validated.jsonl (each page by a model that saw nothing of its fold) and
left_out.jsonl (each set by a model of the others). The same command gives the same bytes, with any --threads.
The model scores itself too well on pages that it was trained on: quote the cross-validated figures only.
"""


def add_commands(sub: Any) -> None:
    """Add `extract eval` and `extract train` to the parsers of `gristmill`."""
    _add_eval(sub)
    _add_train(sub)


def _add_eval(sub: Any) -> None:
    command = sub.add_parser(
        "extract eval",
        help="score extraction engines against gold texts",
        description=_EVAL_HELP,
        epilog=_EVAL_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--data", type=path_or_url, required=True, metavar="FOLDER", help="where html/ with its gold/ is"
    )
    command.add_argument(
        "--engines",
        type=_words,
        metavar="NAME,...",
        help="engines, the first being the one that is compared; also trafilatura-fast and package.module:Class "
        "(default: all bundled ones, or none if there are --texts)",
    )
    command.add_argument(
        "--texts",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="ready-made texts, JSON lines; takes part as NAME (default: the file's), ahead of the engines",
    )
    command.add_argument(
        "--sets", type=_words, metavar="NAME,...", help="wcxb, daniel_waddle, trafilatura_segments (default: all)"
    )
    command.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th page of a set (default: 1)")
    command.add_argument(
        "--favor", default="balanced", metavar="WHAT", help="balanced, precision or recall (default: balanced)"
    )
    command.add_argument(
        "--metadata", action="store_true", help="also ask trafilatura for its own title, author and date (slow)"
    )
    command.add_argument("--workers", type=int, default=1, metavar="N", help="worker processes (default: 1)")
    command.add_argument(
        "--resamples", type=int, default=2000, metavar="N", help="draws of the bootstrap (default: 2000)"
    )
    command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the draws (default: 0)")
    command.add_argument("--json", type=output_path, metavar="FILE", help="write all figures, with versions")
    command.add_argument("--per-page", action="store_true", help="with --json: also every page's scores")
    command.add_argument("--quiet", action="store_true", help="no progress and no tables, errors only")
    command.set_defaults(function=_eval)


def _add_train(sub: Any) -> None:
    command = sub.add_parser(
        "extract train",
        help="train the engine gristmill on gold texts",
        description=_TRAIN_HELP,
        epilog=_TRAIN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--data", type=path_or_url, required=True, metavar="FOLDER", help="where html/ with its gold/ is"
    )
    command.add_argument(
        "--output", "-o", type=output_path, required=True, metavar="WHERE", help="a folder, or the model's file (.npz)"
    )
    command.add_argument(
        "--sets", type=_words, metavar="NAME,...", help="wcxb, daniel_waddle, trafilatura_segments (default: all)"
    )
    command.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th page of a set (default: 1)")
    command.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of the folds and of the trees' draws (default: 1)"
    )
    command.add_argument(
        "--no-silver",
        dest="silver",
        action="store_false",
        help="leave out the pages that trafilatura labels as a teacher",
    )
    command.add_argument("--threads", type=int, default=2, metavar="N", help="threads of LightGBM (default: 2)")
    command.add_argument(
        "--cross-validate",
        action="store_true",
        help="first write and score cross_validated.jsonl (three times as long)",
    )
    command.add_argument(
        "--leave-sets-out", action="store_true", help="first write and score left_out.jsonl (one training a set)"
    )
    command.add_argument(
        "--favor",
        default="balanced",
        metavar="WHAT",
        help="balanced, precision or recall: for the texts; the model serves all three (default: balanced)",
    )
    command.add_argument("--quiet", action="store_true", help="no progress and no tables, errors only")
    command.set_defaults(function=_train)


def joined(argv: list[str]) -> list[str]:
    """The arguments with `extract eval` made one word, as the parser knows it."""
    at = next((i for i, word in enumerate(argv) if not word.startswith("-")), len(argv))
    if argv[at : at + 1] == ["extract"] and argv[at + 1 : at + 2] and argv[at + 1] in WORDS:
        return [*argv[:at], f"extract {argv[at + 1]}", *argv[at + 2 :]]
    return argv


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _texts(given: list[str]) -> dict[str, Path]:
    from .errors import ConfigError

    found: dict[str, Path] = {}
    for word in given:
        name, equals, file = word.partition("=")
        path = Path(file if equals else word)
        name = name if equals else path.name.partition(".")[0]
        if not name or name in found:
            raise ConfigError(f"--texts {word}: " + ("the name is taken" if name else "the name is empty"))
        found[name] = path
    return found


def _eval(args: argparse.Namespace) -> int:
    from .errors import ConfigError
    from .extract.evaluation.report import default_engines, evaluation
    from .extract.evaluation.tables import sections
    from .progress import Progress
    from .report import print_sections
    from .store import write_json

    if args.per_page and args.json is None:
        raise ConfigError("--per-page needs --json FILE")
    if args.json is not None:
        check_file_target("--json", args.json)
    texts = _texts(args.texts)
    with fetched(args.data) as data:
        result = evaluation(
            data,
            engines=args.engines if args.engines is not None else ([] if texts else default_engines()),
            texts=texts,
            sets=args.sets,
            every=args.every,
            favor=args.favor,
            own_metadata=args.metadata,
            per_page=args.per_page,
            workers=args.workers,
            resamples=args.resamples,
            seed=args.seed,
            progress=Progress(quiet=args.quiet),
        )
    if args.json is not None:
        write_json(args.json, result)
    if not args.quiet:
        print_sections(sections(result), sys.stdout)
        if args.json is not None:
            print(f"written: {args.json}")
    return 0


def _train(args: argparse.Namespace) -> int:
    from .extract.training.command import train
    from .progress import Progress
    from .report import print_sections

    with fetched(args.data) as data, staged(args.output) as output:
        trained = train(
            data,
            output,
            sets=args.sets,
            silver=args.silver,
            every=args.every,
            seed=args.seed,
            threads=args.threads,
            favor=args.favor,
            cross_validation=args.cross_validate,
            left_out=args.leave_sets_out,
            progress=Progress(quiet=args.quiet),
        )
    if not args.quiet:
        print_sections(trained.tables, sys.stdout)
        for file in (*trained.texts.values(), trained.model):
            print(f"written: {str(file).replace(str(output), str(args.output))}")
    return 0
