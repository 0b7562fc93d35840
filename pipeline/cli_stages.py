"""What the commands share that run one stage or step on plain files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .arguments import output_path
from .options import given_options
from .storage import StorePath, place, remove_tree

STAGE_HELP = """Runs one stage on files. The ending of --output says the format: .parquet, .jsonl, .jsonl.gz or
.jsonl.zst. A killed command goes on from OUTPUT.work when it is given again."""


def runner_options(parser: argparse.ArgumentParser, *, inline: bool = False) -> None:
    """Add the options that say where a command runs; `inline`: in this process unless said otherwise."""
    group = parser.add_argument_group("where it runs")
    default = "none: this process does it" if inline else "one a core"
    group.add_argument("--workers", type=int, help=f"worker processes on this machine (default: {default})")
    group.add_argument("--address", help="join this Ray cluster: host:port, ray://host:port, or `auto`: the one here")
    group.add_argument(
        "--memory-per-task",
        metavar="SIZE",
        help="what each task reserves, such as 2GB (default: as its step asks)",
    )
    if not inline:
        group.add_argument("--inline", action="store_true", help="in this process, without Ray")
    group.add_argument("--quiet", action="store_true", help="no progress and no tables, errors only")


def io_options(parser: argparse.ArgumentParser, what: str, *, dropped: bool = True) -> None:
    """Add the input files (`what` they are), the output file and where it runs."""
    parser.add_argument("inputs", nargs="+", help=what)
    parser.add_argument("--output", "-o", type=output_path, required=True, help="the file to write")
    if dropped:
        parser.add_argument("--dropped", type=output_path, help="also write what was dropped, with filter and reason")
    runner_options(parser, inline=True)


def make_runner(args: argparse.Namespace, *, default_inline: bool = False) -> Any:
    """The runner that the options ask for. Raises ConfigError."""
    from .errors import ConfigError
    from .resources import read_bytes
    from .runner import InlineRunner, RayRunner

    if args.workers is not None and args.workers < 1:
        raise ConfigError("--workers must be at least 1")
    memory = read_bytes(args.memory_per_task, "--memory-per-task") if args.memory_per_task else None
    if getattr(args, "inline", False):
        for name in ("address", "workers", "memory_per_task"):
            if getattr(args, name) is not None:
                raise ConfigError(f"--inline runs everything in this process: leave out --{name.replace('_', '-')}")
        return InlineRunner()
    if default_inline and args.workers is None and not args.address:
        return InlineRunner()
    return RayRunner(address=args.address, workers=args.workers, memory_per_task=memory)


def check_stand_in(args: argparse.Namespace) -> None:
    """Raise ConfigError for `--address` with an output in a store whose stand-in (a local folder) all workers need."""
    from .errors import ConfigError

    if args.address and isinstance(args.output, StorePath):
        raise ConfigError(
            f"--output '{args.output}': with --address the output must be a folder that all nodes share; "
            "into a store this command writes with workers of this machine only"
        )


def add_overview(sub: Any, name: str, short: str, commands: dict[str, str]) -> None:
    """Add the command `name` alone: it lists its `commands` (words and what they do) and names the nearest one."""
    lines = "\n".join(f"  gristmill {name} {word:<8} {what}" for word, what in commands.items())
    parser = sub.add_parser(
        name, help=short, description=f"{short}\n\n{lines}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("word", nargs="*", metavar="|".join(commands), help="each has its own --help")
    parser.set_defaults(function=_overview, parser=parser, words=tuple(commands))


def _overview(args: argparse.Namespace) -> int:
    from .errors import ConfigError, nearest

    if args.word:
        known = ", ".join(args.words)
        raise ConfigError(
            f"no command is called '{args.command} {args.word[0]}'{nearest(args.word[0], args.words)}; known: {known}"
        )
    args.parser.print_help()
    return 0


def mini_run(args: argparse.Namespace, source: dict[str, Any], steps: list[dict[str, Any]]) -> Any:
    """A recipe made of a source and one or two steps, run in OUTPUT.work; what is refused leaves no such folder."""
    from .errors import ConfigError, SchemaError
    from .progress import Progress
    from .recipe import build
    from .run import execute

    if args.output.is_dir() and args.command != "pack":
        raise ConfigError(f"output '{args.output}' is a folder; name a file")
    recipe = build({"name": args.command, "source": source, "steps": steps}, args.command)
    work = args.output.with_name(args.output.name + ".work")
    with make_runner(args, default_inline=True) as runner:
        went_on = work.exists()
        try:
            return execute(recipe, work, runner, Progress(quiet=args.quiet))
        except (ConfigError, SchemaError):
            if work.exists() and not went_on:
                remove_tree(work)
            raise


def export_run(args: argparse.Namespace, result: Any) -> int:
    """Write the last step's kept documents (and what all steps dropped) as plain files; drop the work folder."""
    from .documents import export
    from .store import read_json

    last = result.steps[-1]
    stages = [stage for step in result.steps for stage in _stages_run(read_json(step.folder / "plan.json"))]
    export([last.folder / file for file in last.manifest["artefact"]], args.output, stages)
    if args.dropped:
        files = [
            step.folder / entry["file"]
            for step in result.steps
            for entry in step.manifest["files"]
            if entry["file"].startswith("dropped/")
        ]
        export(files, args.dropped, stages)
    written = [args.output, *([args.dropped] if args.dropped else []), *_logs(args.output, result, stages)]
    show_counts(args, result)
    if not args.quiet:
        print(f"written: {', '.join(map(str, written))}")
    remove_tree(result.output)
    return 0


_OF_RUNS = ("Time", "Where it lies")
"""Sections that say nothing of a command's output."""


def show_counts(args: argparse.Namespace, result: Any) -> None:
    """Print what was read, skipped, dropped and made, unless --quiet."""
    from .report import print_sections, sections, summary

    if not args.quiet:
        shown = sections(summary(result), result.output)
        print_sections([one for one in shown if one.title not in _OF_RUNS], sys.stdout)


def _logs(output: Path, result: Any, stages: list[list[Any]]) -> list[Path]:
    """Put what stages logged beside the output, `OUTPUT.<log>.jsonl`; the files written."""
    from .stage import registered
    from .store import atomic_path

    known = registered()
    made = []
    for log in dict.fromkeys(known[name].log for name, *_ in stages if name in known and known[name].log):
        files = [
            step.folder / entry["file"]
            for step in result.steps
            for entry in step.manifest["files"]
            if entry["file"].startswith(f"{log}/")
        ]
        target = output.with_name(f"{output.name}.{log}.jsonl")
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"".join(file.read_bytes() for file in files))
        made.append(target)
    return made


def _stages_run(plan: dict[str, Any]) -> list[list[Any]]:
    """[name, version, options] of what a step ran: its stages, or itself."""
    from .steps import registered_steps

    step = registered_steps().get(plan["step"])
    if step is not None:
        return [[step.name, step.version, plan["config"]]]
    return list(plan["config"].get("stages") or [])


def check_output(args: argparse.Namespace) -> None:
    """Raise ConfigError for files to write that have no known ending, or are one and the same."""
    from .documents import ENDINGS
    from .errors import ConfigError

    for target in (args.output, args.dropped):
        if target is not None and not target.name.endswith(ENDINGS):
            raise ConfigError(f"output '{target}': the ending must be one of {', '.join(ENDINGS)}")
    if args.dropped is not None and args.dropped.resolve() == args.output.resolve():
        raise ConfigError(f"--output and --dropped are both '{args.output}'")


def check_inputs(args: argparse.Namespace) -> None:
    """Raise ConfigError for an output that is an input, or would be one the next time; nothing may be lost."""
    from .documents import list_files
    from .errors import ConfigError

    files = {place(path).resolve() for path, _, _ in list_files(args.inputs)}
    folders = [place(one).resolve() for one in args.inputs if place(one).is_dir()]
    for target in (args.output, getattr(args, "dropped", None)):
        if target is not None and target.resolve() in files:
            raise ConfigError(f"output '{target}' is one of the inputs and would be lost: name another file")
        if target is not None and any(target.resolve().is_relative_to(folder) for folder in folders):
            raise ConfigError(f"output '{target}' lies in an input folder and would be read with it: choose another")


def documents_source(args: argparse.Namespace) -> dict[str, Any]:
    """The input files as a recipe's source."""
    from .sources import DocumentsSource

    check_inputs(args)
    return {"documents": {"inputs": list(args.inputs), **given_options(args, DocumentsSource)}}
