"""The commands on finished packs: `packs report`, `trace`, `remove`, `export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import check_file_target, output_path, path_or_url
from .cli_reports import add_targets
from .cli_stages import add_overview

_REMOVE = """Takes documents out of finished packs without a rebuild, for opt-outs and takedowns. Every copy and every
piece of a document is overwritten and masked from the loss; sequences keep their numbers. The new set's
fingerprint names its parent, and a loader goes on with a state of the old set. The sets that a mixture held out
(sets/) are done too. Lists are files of one entry a line. The log is in removals/. Exports must be written anew."""

_REMOVE_EPILOG = """
examples:
  gristmill remove packs --domains optout.txt --in-place
  gristmill remove runs/mine --urls takedowns.txt --ids ids.txt -o packs-without
"""

_EXPORT = """Writes packs in the format of another trainer. megatron: OUT.bin and OUT.idx. nanogpt: OUT/train.bin (and
val.bin). datasets: OUT/train-*.arrow for `load_dataset("arrow", data_files=...)`."""


UNMATCHED_SHOWN = 5
"""Entries of lists that name no document which `remove` prints."""

_REPORT = """Shows what is in finished packs: tokens by source, language, domain and quality, lengths of documents,
utilisation and truncation, tokens a byte, the most frequent tokens, and a few sequences decoded with the boundaries of
their documents."""


def joined(argv: list[str]) -> list[str]:
    """The arguments with `packs report` made one word, as the parser knows it."""
    at = next((i for i, word in enumerate(argv) if not word.startswith("-")), len(argv))
    if argv[at : at + 2] == ["packs", "report"]:
        return [*argv[:at], "packs report", *argv[at + 2 :]]
    return argv


def add_commands(sub: Any) -> None:
    """Add `packs report`, `trace`, `remove` and `export` to the parsers of `gristmill`."""
    add_overview(sub, "packs", "what is in finished packs", {"report": "tokens by source, language, domain, quality"})
    report = sub.add_parser(
        "packs report", help="what is in packs: tokens by source, language, ...", description=_REPORT
    )
    report.add_argument("packs", type=path_or_url, help="a pack folder, or a run's folder")
    report.add_argument("--tokens", type=int, default=50, metavar="N", help="most frequent tokens (default: 50)")
    report.add_argument("--sequences", type=int, default=3, metavar="N", help="sequences to decode (default: 3)")
    report.add_argument("--seed", type=int, default=0, metavar="N", help="shows other sequences (default: 0)")
    add_targets(report)
    report.add_argument("--quiet", action="store_true", help="no tables, errors only")
    report.set_defaults(function=_report)

    trace = sub.add_parser("trace", help="from a position in a pack back to document, URL and WARC record")
    trace.add_argument("packs", type=path_or_url, help="a pack folder, or a run's folder")
    trace.add_argument("--sequence", type=int, required=True, help="number of the sequence over all pack files, from 0")
    trace.add_argument("--position", type=int, default=0, help="token in the sequence, from 0")
    trace.add_argument("--json", action="store_true", help="print JSON")
    trace.set_defaults(function=_trace)

    remove = sub.add_parser(
        "remove",
        help="take documents out of finished packs",
        description=_REMOVE,
        epilog=_REMOVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    remove.add_argument("packs", type=path_or_url, help="a pack folder, or a run's folder")
    for name, what in (("urls", "URLs"), ("domains", "domains, with their subdomains"), ("ids", "document ids")):
        remove.add_argument(
            f"--{name}", type=path_or_url, nargs="+", action="extend", default=[], metavar="FILE", help=what
        )
    where = remove.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--output", "-o", type=output_path, help="folder of the new set; here unchanged files are shared (links)"
    )
    where.add_argument("--in-place", action="store_true", help="the folder becomes the new set")
    remove.add_argument("--public-suffixes", action="store_true", help="let domains be such as com and github.io")
    remove.add_argument("--unmatched", type=output_path, metavar="FILE", help="write the entries that name no document")
    remove.add_argument("--fill", default="pad", help="reserved id written over them: pad or mask (default: pad)")
    remove.set_defaults(function=_remove)

    export = sub.add_parser(
        "export", help="packs -> Megatron, nanoGPT, datasets", description=_EXPORT,
    )  # fmt: skip
    export.add_argument("format", choices=("megatron", "nanogpt", "datasets"))
    export.add_argument("packs", type=path_or_url, help="a pack folder, or a run's folder")
    export.add_argument(
        "--output", "-o", type=output_path, required=True, metavar="OUT", help="folder (megatron: prefix)"
    )
    export.add_argument("--unit", help="megatron: a sample is a sequence (default) or a document")
    export.add_argument("--val-sequences", type=int, metavar="N", help="nanogpt: the last N go to val.bin")
    export.set_defaults(function=_export)


def _report(args: argparse.Namespace) -> int:
    from .cli_reports import check_targets, deliver
    from .packreport.build import page, report, sections

    check_targets(args)
    result = report(args.packs, top=args.tokens, samples=args.sequences, seed=args.seed)
    return deliver(args, result, page, sections)


def _trace(args: argparse.Namespace) -> int:
    import dataclasses

    from .packstep import find_packs
    from .report import show
    from .terminal import json_text
    from .trace import trace

    found = dataclasses.asdict(trace(find_packs(args.packs), args.sequence, args.position))
    if args.json:
        print(json_text(found))
        return 0
    for key, value in found.items():
        if isinstance(value, dict):
            for name, inner in value.items():
                if inner is not None:
                    print(f"{key}.{name}: {show(inner)}")
        elif value is not None:
            print(f"{key}: {show(value)}")
    return 0


def _remove(args: argparse.Namespace) -> int:
    from .packstep import SETS, find_pack_sets, find_sets_beside
    from .removal.apply import remove_all
    from .removal.lists import read_lists
    from .store import atomic_path

    if args.unmatched is not None:
        check_file_target("--unmatched", args.unmatched)
    lists = read_lists(args.urls, args.domains, args.ids, suffixes=args.public_suffixes)
    found = find_pack_sets(args.packs)
    sets = [(packs, Path() if len(found) == 1 else Path(packs.name)) for packs in found]
    for packs in find_sets_beside(args.packs):  # what a mixture held out: removed there too
        parts = packs.parts[len(packs.parts) - packs.parts[::-1].index(SETS) :]
        sets.append((packs, Path(SETS, *parts)))
    removals = remove_all(sets, lists, output=args.output, fill=args.fill)
    for made in removals:
        print(
            f"{made.folder}: {made.documents:,} documents, {made.pieces:,} pieces, {made.tokens:,} tokens removed;"
            f" {made.files} files written; fingerprint {made.fingerprint}"
            + (f", parent {made.parent}" if made.fingerprint != made.parent else " as before")
        )
    unmatched = lists.unmatched({entry for made in removals for entry in made.matched})
    if unmatched:
        some = ", ".join(unmatched[:UNMATCHED_SHOWN]) + (", ..." if len(unmatched) > UNMATCHED_SHOWN else "")
        print(f"{len(unmatched):,} of {len(lists):,} entries name no document: {some}")
    if args.unmatched is not None:
        with atomic_path(args.unmatched) as temporary:
            temporary.write_text("".join(f"{entry}\n" for entry in unmatched), encoding="utf-8")
    return 0


def _export(args: argparse.Namespace) -> int:
    from .errors import ConfigError
    from .exports.arrow import export_datasets
    from .exports.megatron import export_megatron
    from .exports.nanogpt import export_nanogpt
    from .packreader import open_packs
    from .packstep import find_packs

    for option, value, format_ in (("unit", args.unit, "megatron"), ("val-sequences", args.val_sequences, "nanogpt")):
        if value is not None and args.format != format_:
            raise ConfigError(f"export {args.format}: --{option} is an option of {format_}")
    reader = open_packs(find_packs(args.packs))
    if args.format == "megatron":
        made = export_megatron(reader, args.output, unit=args.unit or "sequence")
    elif args.format == "nanogpt":
        made = export_nanogpt(reader, args.output, val_sequences=args.val_sequences or 0)
    else:
        made = export_datasets(reader, args.output)
    print(f"written: {args.output} ({', '.join(f'{value:,} {key}' for key, value in made.items())})")
    return 0
