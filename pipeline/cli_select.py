"""The commands of `gristmill select`: ways to keep a budget's worth of documents, on plain files."""

from __future__ import annotations

import argparse
from typing import Any

from .cli_stages import check_output, documents_source, export_run, io_options, mini_run
from .options import SELECT, given_options

_PAGES = {
    "select dsir": (
        "draw documents that are distributed as a target corpus (DSIR)",
        """Data selection by importance resampling (Xie et al. 2023): documents are drawn without replacement, by
weights that make their hashed unigrams and bigrams distributed as those of the target corpus. Each kept document says
its log weight in `dsir_weight`.""",
        """
  gristmill select dsir crawl/ --target wiki.jsonl.gz --keep 10% -o like-wiki.parquet
  gristmill select dsir crawl/ --target papers/ --keep "2e9 tokens" --tokenizer tokenizer.json -o papers-like.parquet
""",
    ),
    "select top": (
        "keep the highest values of a column, up to a budget",
        """Keeps the documents with the highest values of a column of numbers, such as a classifier's score, up to a
budget of documents, tokens or bytes: ways to choose are compared at an equal budget of tokens.""",
        """
  gristmill select top scored.parquet --by quality --keep "1e9 tokens" --tokenizer tokenizer.json -o best.parquet
  gristmill select top scored.parquet --by -perplexity --keep 30% -o head.parquet            the lowest values
""",
    ),
    "select buckets": (
        "keep a part of the budget from each bucket of a column",
        """Keeps a part of the budget from each bucket of a column of texts, by chance within the bucket. The stage
`perplexity` adds CCNet's buckets head, middle and tail (`gristmill cutoffs` makes cutoffs from the corpus itself).""",
        """
  gristmill select buckets scored.parquet --shares head=0.7 middle=0.2 tail=0.1 --keep "500M bytes" -o mixed.parquet
""",
    ),
    "select random": (
        "keep documents by chance, up to a budget",
        "Keeps documents by chance: what other selections are to be held against.",
        """
  gristmill select random crawl/ --keep 10% -o tenth.parquet
""",
    ),
}
WORDS = tuple(name.removeprefix("select ") for name in _PAGES)
_ALL = """Keeps a budget's worth of documents.

  gristmill select dsir FILES --target FILES --keep 10% -o OUT    distributed as a target corpus
  gristmill select top FILES --by COLUMN --keep 10% -o OUT        the highest values of a column
  gristmill select buckets FILES --shares head=0.7 tail=0.3 --keep 10% -o OUT
  gristmill select random FILES --keep 10% -o OUT

Each has its own --help."""
_END = """
Budgets: 10000 (documents), 10%, 2e9 tokens, 500M bytes, 5% tokens. Never more than that is kept. The same files and
options give the same output, whatever the number of --workers. As a step of a recipe: `- {step}: {{keep: 10%, ...}}`.
"""


def add_commands(sub: Any) -> None:
    """Add `select` and `select WORD` to the parsers of `gristmill`."""
    overview = sub.add_parser(
        "select",
        help="documents -> a budget's worth of them: dsir, top, buckets, random",
        description=_ALL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    overview.add_argument("method", nargs="?", help=f"one of {', '.join(WORDS)}")
    overview.set_defaults(function=_overview, parser=overview)
    for command, (short, text, examples) in _PAGES.items():
        parser = sub.add_parser(
            command,
            help=short,
            description=text,
            epilog=f"examples:{examples}{_END.format(step=SELECT[command])}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        io_options(parser, "Parquet or JSONL(.gz, .zst) files, folders or globs")
        parser.set_defaults(function=_select)


def joined(argv: list[str]) -> list[str]:
    """The arguments with `select dsir` and its like as one word, as the parser knows it; `--by -column` stays whole."""
    at = next((i for i, word in enumerate(argv) if not word.startswith("-")), len(argv))
    if argv[at : at + 1] != ["select"] or argv[at + 1 : at + 2] == [] or argv[at + 1] not in WORDS:
        return argv
    argv = [*argv[:at], f"select {argv[at + 1]}", *argv[at + 2 :]]
    out: list[str] = []
    for word in argv:
        plain = word.startswith("-") and not word.startswith("--") and bool(out) and out[-1] == "--by"
        out.append(f" {word}" if plain else word)
    return out


def _overview(args: argparse.Namespace) -> int:
    from .errors import ConfigError, nearest

    if args.method is not None:
        raise ConfigError(
            f"select: no method is called '{args.method}'{nearest(args.method, WORDS)}; {', '.join(WORDS)}"
        )
    args.parser.print_help()
    return 0


def _select(args: argparse.Namespace) -> int:
    from .steps import registered_steps

    check_output(args)
    step = SELECT[args.command]
    options = given_options(args, registered_steps()[step])
    if isinstance(options.get("by"), str):
        options["by"] = options["by"].strip()
    return export_run(args, mini_run(args, documents_source(args), [{step: options}]))
