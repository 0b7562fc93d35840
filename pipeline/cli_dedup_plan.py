"""`gristmill dedup plan`: memory, disk and time of a MinHash dedup before it is begun."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .options import given_options

WORDS = ("plan",)

_HELP = """Says what `gristmill dedup minhash` will take: partitions and files, disk by folder, memory of a worker by
kind of task, time by part, and which share of near-duplicates it will find (the S-curve of its bands and rows).

Counts follow from the code's own constants, times from rates that were measured once (named in the output): on other
machines they are a guide. Say --duplicates as you know it from a sample: most figures after LSH grow with it."""
_EPILOG = """
examples:
  gristmill dedup plan --documents 1e9 --words 600 --workers 64
  gristmill dedup plan --documents 5e7 --preset refinedweb --workers 16 --duplicates 0.5 --json
  gristmill dedup plan --corpus crawl/ --workers 8             number and lengths from the files themselves
"""
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def add_commands(sub: Any) -> None:
    """Add `dedup plan` to the parsers of `gristmill`."""
    parser = sub.add_parser(
        "dedup plan",
        help="memory, disk and time that MinHash dedup will take",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--documents", metavar="N", help="how many documents, such as 1e9")
    parser.add_argument(
        "--corpus", nargs="+", metavar="FILES", help="take number and lengths from these Parquet or JSONL files"
    )
    parser.add_argument("--words", metavar="N", help="mean words a document (default: 600)")
    parser.add_argument("--word-bytes", metavar="N", help="bytes a word, its space included (default: 6)")
    parser.add_argument("--shards", metavar="N", help="files of documents (default: of 512 MiB of text each)")
    parser.add_argument("--duplicates", default="0.3", metavar="SHARE", help="documents that will go (default: 0.3)")
    parser.add_argument("--workers", default="1", metavar="N", help="worker processes, one a core (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(function=_plan)


def _number(text: str, option: str, least: float, most: float = float("inf")) -> float:
    from .errors import ConfigError

    try:
        value = float(text.replace(",", "").replace("_", ""))
    except ValueError as error:
        raise ConfigError(f"{option} must be a number such as 1e9, not '{text}'") from error
    if not least <= value <= most:
        raise ConfigError(f"{option} must lie between {least:g} and {most:g}, not {text}")
    return value


def _plan(args: argparse.Namespace) -> int:
    from dedup.minhash import MinhashDedup
    from dedup.minhash_options import PlanOptions
    from dedup.plan import plan

    from .report import print_sections
    from .stage import configured

    workers = int(_number(args.workers, "--workers", 1, 1e6))
    step = configured(MinhashDedup, given_options(args, PlanOptions), args.command)
    corpus, exact = _corpus(args, step)
    result = {**plan(corpus, step, workers), "documents_counted": exact}
    if args.json:
        print(json.dumps(result, indent=1))
    else:
        print_sections(sections(result), sys.stdout)
    return 0


def _corpus(args: argparse.Namespace, step: Any) -> tuple[Any, bool]:
    """(the corpus, whether its documents are known and not reckoned). Raises ConfigError."""
    from dedup.plan import BYTES_PER_SHARD, Corpus
    from dedup.plan_corpus import corpus_of

    from .errors import ConfigError
    from .sources import DocumentsSource, make_source

    duplicates = _number(args.duplicates, "--duplicates", 0, 1)
    if bool(args.documents) == bool(args.corpus):
        raise ConfigError("dedup plan wants --documents N or --corpus FILES")
    given = given_options(args, DocumentsSource)
    if args.corpus:
        too_much = [o for o in ("words", "word_bytes", "shards") if getattr(args, o) is not None]
        if too_much:
            raise ConfigError(f"--corpus tells it already: leave --{too_much[0].replace('_', '-')} out")
        source = make_source("documents", {"inputs": tuple(args.corpus), **given}, args.command)
        return corpus_of(source, step.parameters.shingling, duplicates)  # type: ignore[arg-type]
    documents = int(_number(args.documents, "--documents", 1, 1e15))
    words = _number(args.words or "600", "--words", 1, 1e9)
    word_bytes = _number(args.word_bytes or "6", "--word-bytes", 1, 100)
    size, shingling = words * word_bytes, step.parameters.shingling
    units = words if shingling.unit == "words" else size
    shards = (
        int(_number(args.shards, "--shards", 1)) if args.shards else max(1, round(documents * size / BYTES_PER_SHARD))
    )
    made = Corpus(
        documents=documents,
        bytes_per_document=size,
        shingles=max(1.0, units - shingling.n + 1),
        duplicates=duplicates,
        shards=min(shards, documents),
    )
    return made, True


def size(value: float) -> str:
    """Bytes as a person reads them."""
    unit = 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{value:.3g} {UNITS[unit]}"


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    for length, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {name}"
    return f"{seconds:.0f} s"


def sections(result: dict[str, Any]) -> list[Any]:
    """The plan as a report's sections."""
    from .report import Section, Share

    corpus, parameters, files = result["corpus"], result["parameters"], result["files"]
    about = "" if result["documents_counted"] else "about "
    intro = (
        f"{about}{corpus['documents']:,} documents, {size(corpus['text_bytes'])} of text, in {corpus['shards']:,} "
        f"shards; {corpus['duplicates']:.0%} will go; {parameters['shingles']}, {parameters['bands']} x "
        f"{parameters['rows']}, threshold {parameters['threshold']:.2f}; {result['workers']} workers"
    )
    names = {
        "band_keys": "band keys",
        "band_files": "files of band keys",
        "partitions": "partitions of band keys",
        "parts_of_band_keys": "parts (files x partitions)",
        "links": "links",
        "link_partitions": "partitions of links",
        "in_components": "documents to compare",
        "set_files": "files of sets to compare",
        "groups": "groups to compare",
        "removed": "documents that go",
    }
    disk, memory, times = result["disk_bytes"], result["memory_bytes"], result["seconds"]
    out = [
        Section("Plan", (), (), intro),
        Section("Work", ("what", "count"), [(names[key], files[key]) for key in names]),
        Section("Disk at the peak", ("folder", "size"), [(key, size(value)) for key, value in disk.items()]),
        Section("Memory", ("task", "a worker"), [(key, size(value)) for key, value in memory.items()]),
        Section("Time", ("part", "wall time"), [(key, duration(value)) for key, value in times.items()]),
        Section("Rates", (), (), f"measured on {result['rates']['measured']}"),
        Section(
            "Pairs that are found, by similarity",
            ("similarity", "found"),
            [(key, Share(value)) for key, value in result["recall"].items()],
            f"what is found under the threshold of {parameters['threshold']:.2f} is compared and kept",
        ),
        Section(
            "Exact dedup before it",
            ("what", "value"),
            [
                ("partitions", result["exact_dedup"]["partitions"]),
                ("disk", size(result["exact_dedup"]["disk_bytes"])),
            ],
        ),
    ]
    out += [Section("Beware", (), (), one) for one in result["warnings"]]
    return out
