"""The commands of `gristmill dedup`: one for each kind of duplicates, on plain files of documents."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import cli_dedup_index, cli_dedup_plan, cli_dedup_report
from .cli_stages import check_output, documents_source, export_run, io_options, mini_run
from .options import DEDUP, given_options

WORDS = tuple(name.removeprefix("dedup ") for name in DEDUP if name != "dedup")
"""Words after `dedup` that make a command of their own; a file of such a name is written `./lines`."""
_OTHERS = (*cli_dedup_index.WORDS, *cli_dedup_plan.WORDS, *cli_dedup_report.WORDS)
"""Further commands; longer ones first."""

_FILES = "Parquet or JSONL(.gz, .zst) files, folders or globs"
_END = """
The ending of --output says the format: .parquet, .jsonl, .jsonl.gz or .jsonl.zst. The same files and options give the
same output, whatever the order of files and the number of --workers. A killed command goes on from OUTPUT.work when it
is given again. As a step of a recipe: `- {step}: {{option: value}}`.
"""


@dataclass(frozen=True)
class _Page:
    """A command's help: one line, what it does, examples."""

    short: str
    text: str
    examples: str


_EXACT = _Page(
    "documents -> one document of each text, or of each URL",
    """Keeps one of the documents whose texts are equal but for case and white space, or whose URLs lead to one page.

URLs are compared without scheme, `www.`, default port, trailing slash, fragment and tracking parameters. Documents
without a URL are never duplicates by it. With `--by url text` URLs count first, then texts among what is left: a page
captured often is there once, and then no text is there twice. What is kept says in `copies` how many documents it
stands for; what is dropped names the kept one in `duplicate_of`, and `duplicate_text` or `duplicate_url` as reason.""",
    """
  gristmill dedup exact crawl/ -o unique.parquet                by text; the same as `gristmill dedup crawl/ ...`
  gristmill dedup exact crawl/ --by url text --keep newest -o unique.parquet --dropped copies.parquet
  gristmill dedup exact a.jsonl b.jsonl --keep "source=wiki|books" -quality longest -o unique.jsonl.gz
      wiki before books before the rest; then the best quality, the longest, and last the smallest id
""",
)
_LINES = _Page(
    "documents -> documents without the lines that others have too",
    """Cuts lines (or paragraphs) that several documents share: menus, notices, terms of use.

A line counts once a document. With `--keep first` it stays in one of them, with `--keep none` in none. Lines are
compared without case and punctuation and with all digits as 0. Short lines, rows of figures and indented lines stay,
and so does what a document repeats for itself: brackets, list marks, most code and refrains survive. Documents of which
nothing is left, or less than `--min-left`, are dropped. `cut_spans` says what went: bytes of the text as it was.""",
    """
  gristmill dedup lines crawl/ -o clean.parquet                           a repeated line stays in the oldest document
  gristmill dedup lines crawl/ -o clean.parquet --keep none --max-count 10      in over 10 documents: boilerplate, goes
  gristmill dedup lines crawl/ -o clean.parquet --unit paragraph --min-left 0.3 --dropped gone.parquet
  gristmill dedup lines crawl/ -o clean.parquet --method bloom --expected-lines 1000000000 --error-rate 0.0001
      a filter of a fixed size (here 4.5 GiB) in place of files of all line hashes
""",
)
_SUBSTRINGS = _Page(
    "documents -> documents without long spans that stand elsewhere too",
    """Cuts or marks spans of many tokens that the files have more than once, wherever they begin and end (Lee et al.
2022): quotations, templates and boilerplate inside of lines that are otherwise new.""",
    """
  gristmill dedup substrings crawl/ -o clean.parquet
  gristmill dedup substrings crawl/ -o marked.parquet --action mark       the text stays, spans are told in a column
""",
)
_MINHASH = _Page(
    "documents -> one of each set of near-duplicates",
    """Finds documents whose sets of shingles are alike (MinHash, LSH) and keeps one of each set.

A document goes only if its true similarity with one that stays passes the threshold; with `--verify false` whole
connected components go but for one, as other tools have it.""",
    """
  gristmill dedup minhash crawl/ -o unique.parquet                        FineWeb's bands and shingles
  gristmill dedup minhash crawl/ -o unique.parquet --preset nemo --threshold 0.8 --dropped copies.parquet
""",
)
_PAGES = {"exact": _EXACT, "lines": _LINES, "substrings": _SUBSTRINGS, "minhash": _MINHASH}
_ALL = """Finds duplicates and keeps one of each. Without a further word: exact duplicates.

  gristmill dedup exact FILES -o OUT         equal texts or URLs
  gristmill dedup lines FILES -o OUT         lines and paragraphs that several documents share
  gristmill dedup substrings FILES -o OUT    long spans that the files have more than once
  gristmill dedup minhash FILES -o OUT       documents that are alike
  gristmill dedup index build|add|remove|info|find    documents of earlier crawls, to dedup against
  gristmill dedup plan --documents N         memory, disk and time that minhash will take
  gristmill dedup report RUN                 what went: shares, clusters, pairs with their differences

Each has its own --help. Cheap before dear: exact, then minhash, then lines or substrings.

"""


def add_commands(sub: Any) -> None:
    """Add `dedup` and `dedup WORD` to the parsers of `gristmill`."""
    for command, step in DEDUP.items():
        word = command.removeprefix("dedup").strip()
        page = _PAGES[word or "exact"]
        parser = sub.add_parser(
            command,
            help=page.short if word else "documents -> one of each: exact, or by lines, substrings, minhash",
            description=page.text if word else _ALL + page.text,
            epilog=f"examples:{page.examples}{_END.format(step=step)}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        io_options(parser, _FILES)
        parser.set_defaults(function=_dedup)
    cli_dedup_index.add_commands(sub)
    cli_dedup_plan.add_commands(sub)
    cli_dedup_report.add_commands(sub)


def joined(argv: list[str]) -> list[str]:
    """The arguments with `dedup lines` and its like made one word, as the parser knows it.

    Keys such as `-quality` after --keep and --order get a space in front, so that they aren't taken for options.
    """
    at = next((i for i, word in enumerate(argv) if not word.startswith("-")), len(argv))
    if argv[at : at + 1] != ["dedup"]:
        return argv
    for word in (*_OTHERS, *WORDS):
        parts = ["dedup", *word.split()]
        if argv[at : at + len(parts)] == parts:
            argv = [*argv[:at], " ".join(parts), *argv[at + len(parts) :]]
            break
    out: list[str] = []
    in_keys = False
    for word in argv:
        if word.startswith("--") or word in ("-o", "-h"):
            in_keys = word in ("--keep", "--order")
        out.append(f" {word}" if in_keys and word.startswith("-") and not word.startswith("--") else word)
    return out


def _dedup(args: argparse.Namespace) -> int:
    from .errors import ConfigError, nearest
    from .steps import registered_steps

    check_output(args)
    first = args.inputs[0]
    if args.command == "dedup" and not Path(first).exists() and nearest(first, WORDS):
        raise ConfigError(f"there is no file '{first}', and no kind of dedup is called so{nearest(first, WORDS)}")
    step = DEDUP[args.command]
    given = given_options(args, registered_steps()[step])
    options = {k: tuple(map(str.strip, v)) if isinstance(v, tuple) else v for k, v in given.items()}
    return export_run(args, mini_run(args, documents_source(args), [{step: options}]))
