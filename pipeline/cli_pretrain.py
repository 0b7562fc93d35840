"""`gristmill pretrain`: train a model on packs, plan a training run, plot what came of it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from .arguments import output_path, path_or_url
from .cli_reports import add_json_target
from .storage import StorePath
from .storage.mirror import stand_in

WORDS = ("plan", "plot")
"""Second words that make a command of their own."""

_HELP = """Trains a language model on packs. A stopped run goes on from its newest checkpoint when the same command is
given again. What comes out:

  metrics.jsonl    loss, learning rate, gradient norm and tokens of every step
  held_out.jsonl   bits per byte on held-out sets
  spikes.jsonl     updates that were left out, with the documents in their batches
  checkpoints/     the last one is the trained model
  summary.json     the run in a few numbers; timing/ has seconds, tokens/s, MFU, memory
  tensorboard/     the same for TensorBoard

Options may come from a YAML file (--config), the command line goes before it. The sets that a mixture held out beside
the packs (sets/held_out, sets/fresh) are measured unless --held-out names others."""
_EPILOG = """
examples:
  gristmill pretrain runs/mine -o model --steps 200                          the packs of a run, its held-out sets
  gristmill pretrain packs -o model --size 20M --batch-size 32 --lr 1e-3 --eval-every 100 --save-every 500
  gristmill pretrain packs -o model --config train.yaml --steps 5000 --check
  gristmill pretrain packs -o model --eval-control low high           held-out sets also given control tokens
  gristmill pretrain packs -o model --objective spans --held-out wiki=packs-wiki news=packs-news
  gristmill pretrain packs -o model --model n_layers=8 qk_norm=false --schedule wsd --muon true
  torchrun --nproc-per-node 8 -m pipeline.cli pretrain packs -o model --size 124M --precision bf16 --parallel fsdp

  gristmill pretrain plan --tokens 2e9                  how large a model, how long, how much memory
  gristmill pretrain plot model other-model             curves of runs over each other

docs/pretraining.md says more.
"""
_PLAN = """From a budget (parameters, tokens, FLOPs or hours) to a training run: parameters and tokens, batch, learning
rate, warm-up, memory, hours on named accelerators. Nothing is trained."""
_PLAN_EPILOG = """
examples:
  gristmill pretrain plan --tokens 2B                            the model for so much data
  gristmill pretrain plan --parameters 124M --packs packs        what there is of data, and for how many epochs
  gristmill pretrain plan --hours 24 --accelerator h100 --devices 8
  gristmill pretrain plan --flops 1e20 --json -
"""
_PLOT = """Curves of one or several training runs over each other: loss, bits per byte on held-out sets, gradient norm,
learning rate, tokens a second; updates that were left out are marked. Writes curves.html, one self-contained page
without scripts, and, where matplotlib is installed, curves.png."""
_PLOT_EPILOG = """
examples:
  gristmill pretrain plot model                          model/curves.html, model/curves.png
  gristmill pretrain plot runs/a runs/b --x steps -o compared
"""
_PREFIX = {"optim": "", "spike": "spike-"}
"""What options of the configuration's parts are called."""


def add_commands(sub: Any) -> None:
    """Add `pretrain`, `pretrain plan` and `pretrain plot` to the parsers of `gristmill`."""
    raw = argparse.RawDescriptionHelpFormatter
    train = sub.add_parser(
        "pretrain", help="train a model on packs; plan a run; plot it", description=_HELP, epilog=_EPILOG,
        formatter_class=raw, usage="gristmill pretrain PACKS -o OUTPUT [--config FILE] [--check] [--OPTION VALUE ...]",
    )  # fmt: skip
    train.add_argument("packs", type=path_or_url, help="a pack folder, or a run's folder")
    train.add_argument("--output", "-o", type=output_path, required=True, help="folder for metrics and checkpoints")
    train.add_argument(
        "--config", type=path_or_url, metavar="FILE", help="YAML with options by their names (optim: {lr: ..})"
    )
    train.add_argument("--check", action="store_true", help="validate everything, say what would be trained, and stop")
    train.add_argument("--quiet", action="store_true", help="print errors only")
    _config_options(train)
    train.set_defaults(function=_train)

    plan = sub.add_parser(
        "pretrain plan", help="a budget -> a training run", description=_PLAN, epilog=_PLAN_EPILOG, formatter_class=raw
    )
    add_json_target(plan)
    plan.add_argument("--quiet", action="store_true", help="no text, errors only")
    plan.set_defaults(function=_plan)

    plot = sub.add_parser(
        "pretrain plot", help="curves of training runs", description=_PLOT, epilog=_PLOT_EPILOG, formatter_class=raw
    )
    plot.add_argument(
        "runs", nargs="+", type=path_or_url, metavar="RUN", help="outputs of `gristmill pretrain`, or runs"
    )
    plot.add_argument(
        "--output", "-o", type=output_path, metavar="FOLDER", help="where to write (default: the first run's)"
    )
    plot.add_argument("--x", default="tokens", help="lay the curves over each other by tokens (default) or steps")
    plot.add_argument("--quiet", action="store_true", help="no table, errors only")
    plot.set_defaults(function=_plot)


def joined(argv: list[str]) -> list[str]:
    """The arguments with `pretrain plot` and its like made one word, as the parser knows it."""
    at = next((i for i, word in enumerate(argv) if not word.startswith("-")), len(argv))
    if argv[at : at + 1] == ["pretrain"] and argv[at + 1 : at + 2] and argv[at + 1] in WORDS:
        return [*argv[:at], f"pretrain {argv[at + 1]}", *argv[at + 2 :]]
    return argv


def _parts() -> list[tuple[str, str, type]]:
    """(key in the configuration or "", prefix of the options' names, class) of each part of the configuration."""
    from pretrain.config import OptimConfig, SpikeConfig, TrainConfig

    return [("", "", TrainConfig), ("optim", _PREFIX["optim"], OptimConfig), ("spike", _PREFIX["spike"], SpikeConfig)]


def _config_options(parser: argparse.ArgumentParser) -> None:
    """An option for each field of the configuration and its parts."""
    import dataclasses

    titles = {"": "training", "optim": "optimiser", "spike": "loss spikes"}
    for part, prefix, cls in _parts():
        group = parser.add_argument_group(titles[part])
        for f in dataclasses.fields(cls):
            if f.name in _PREFIX:
                continue
            kind = str(f.type)
            mapping, listed = kind.startswith("dict"), kind.startswith("tuple")
            default = "" if mapping else _shown(f.default)
            text = f.metadata["help"] + (f" (default: {default})" if default else "")
            group.add_argument(
                f"--{prefix}{f.name.replace('_', '-')}",
                dest=f"option_{part}.{f.name}",
                nargs="*" if mapping or listed else None,
                default=argparse.SUPPRESS,
                metavar="KEY=VALUE" if mapping else "VALUE",
                help=text.replace("%", "%%"),
            )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def configuration(args: argparse.Namespace) -> dict[str, Any]:
    """The options of the file and the command line as a recipe's mapping; the command line goes before the file.

    Raises ConfigError for what is no YAML, no mapping or no KEY=VALUE.
    """
    import dataclasses

    from .errors import ConfigError
    from .yaml_input import load_word, load_yaml

    values: dict[str, Any] = {}
    if args.config is not None:
        try:
            content = args.config.read_bytes()
        except OSError as error:
            raise ConfigError(f"--config {args.config}: {error.strerror}") from error
        read = load_yaml(content, str(args.config))
        if not isinstance(read, dict):
            raise ConfigError(f"{args.config} must be a mapping of options, e.g. `steps: 100`")
        values = dict(read)
    for part, prefix, cls in _parts():
        target = values
        if part:
            target = values.setdefault(part, {})
            if not isinstance(target, dict):
                raise ConfigError(f"{args.config}: {part} must be a mapping of options, not {target!r}")
        for f in dataclasses.fields(cls):
            given = getattr(args, f"option_{part}.{f.name}", None)
            if given is None:
                continue
            flag = f"--{prefix}{f.name.replace('_', '-')}"
            if str(f.type).startswith("dict"):
                sets = f.name == "held_out"  # these replace the file's; of other mappings the named keys do
                before = {} if sets or not isinstance(target.get(f.name), dict) else target[f.name]
                pairs = [_pair(word, flag, sets) for word in given]
                target[f.name] = {
                    **(before if isinstance(before, dict) and f.name != "held_out" else {}),
                    **dict(pairs),
                }
            elif str(f.type).startswith("tuple"):
                target[f.name] = list(given) if "str" in str(f.type) else [load_word(word, flag) for word in given]
            else:
                text = str(f.type).startswith("str") and (given != "null" or str(f.type) == "str")
                target[f.name] = given if text else load_word(given, flag)
    return values


def _pair(word: str, flag: str, path: bool) -> tuple[str, Any]:
    """KEY=VALUE; a path without a key has its folder's name as key."""
    from .errors import ConfigError
    from .yaml_input import load_word

    key, equals, value = word.partition("=")
    if path:
        return (key, value) if equals else (Path(word).name, word)
    if not equals or not key:
        raise ConfigError(f"{flag} '{word}' must be KEY=VALUE")
    return key, load_word(value, f"{flag} {key}")


def _train(args: argparse.Namespace) -> int:
    from pretrain.config import train_config
    from pretrain.parallel import is_main
    from pretrain.step import Pretrain, with_held_out

    from .errors import ConfigError
    from .packstep import find_packs
    from .progress import Progress

    values = configuration(args)
    packs = find_packs(args.packs)
    config = train_config(values, "pretrain")
    if "held_out" not in values:
        config = with_held_out(config, args.packs)
    _check_output(args.output)
    if args.check:
        return _check(args, packs, config)
    message = Pretrain().why_skipped()
    if message:
        print(f"gristmill: {message}", file=sys.stderr)
        return 2
    if missing := _missing_processes(args, config):
        raise ConfigError(missing)
    if isinstance(args.output, StorePath) and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            f"--output '{args.output}': under torchrun all processes write to one folder; name a local one"
        )
    from pretrain.train import train

    with stand_in(args.output, ("metrics.jsonl", "checkpoints/"), "training") as output:
        summary = train(config, packs, output, progress=Progress(quiet=args.quiet))
    if not args.quiet and is_main() and summary.get("first_loss") is not None:
        from pretrain.report import section

        from .report import print_sections

        print_sections([section(summary)], sys.stdout)
        print(f"written: {args.output}")
    return 0


def leave_group(status: int) -> None:
    """End a process of torchrun's without the interpreter's own end.

    Threads of torch's process groups (gloo) outlive them, and now and then abort the interpreter's end: torchrun would
    report a run that is finished as failed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "torch" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _check_output(folder: Path) -> None:
    """Raise ConfigError for an output that is something else: training would write among its files."""
    from .errors import ConfigError

    for name, what in (("manifest.json", "a pack folder"), ("recipe.yaml", "a run of recipes")):
        if (folder / name).exists():
            raise ConfigError(f"--output '{folder}' is {what}: name a folder of its own for the model")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--output '{folder}' is a file: name a folder")


def _check(args: argparse.Namespace, packs: Path, config: Any) -> int:
    """Say what would be trained. Raises ConfigError for what training would be refused for."""
    import dataclasses

    from pretrain.parallel import is_main
    from pretrain.report import intended
    from pretrain.step import Pretrain

    from .errors import ConfigError
    from .packreader import open_packs
    from .report import print_sections

    shape, missing = None, _missing_processes(args, config)
    if Pretrain().why_skipped() is None and len(reader := open_packs(packs)):
        from pretrain.feed import check_run

        alone = dataclasses.replace(config, parallel="none") if missing else config
        shape = check_run(alone, reader, args.output)
    shown = intended(config, packs, shape)
    if not args.quiet and is_main():
        print_sections(shown, sys.stdout)
    if missing:
        raise ConfigError(missing)
    return 0


def _missing_processes(args: argparse.Namespace, config: Any) -> str:
    """What to say where the configuration needs processes that only torchrun starts; empty where it started them."""
    import shlex

    from pretrain.parallel import parse

    spec = parse(config.parallel)
    if spec.kind == "none" or "RANK" in os.environ or "WORLD_SIZE" in os.environ:
        return ""
    command = shlex.join(["torchrun", "--nproc-per-node", str(spec.tensor or 2), "-m", "pipeline.cli", *args.argv])
    return f"--parallel {config.parallel} needs several processes, which torchrun starts, on GPUs one each: {command}"


def _plan(args: argparse.Namespace) -> int:
    import json

    from pretrain.plan import PlanOptions, plan
    from pretrain.plan_text import plan_text

    from .options import given_options
    from .store import write_json

    found = plan(PlanOptions(**given_options(args, PlanOptions)))
    if args.json == "-":
        print(json.dumps(found, indent=1))
        return 0
    if args.json is not None:
        write_json(args.json, found)
    if not args.quiet:
        print(plan_text(found))
    return 0


def _plot(args: argparse.Namespace) -> int:
    from pretrain.figures import write_png
    from pretrain.plot import figures, find_run, overview, page, read_runs

    from .errors import ConfigError
    from .report import print_sections
    from .store import atomic_path

    runs = read_runs(args.runs)
    shown = figures(runs, args.x)
    folder = args.output or find_run(args.runs[0])
    with atomic_path(folder / "curves.html") as temporary:
        temporary.write_text(page(runs, args.x), encoding="utf-8")
    written, note = [folder / "curves.html"], ""
    try:
        with atomic_path(folder / "curves.png") as temporary:
            write_png(shown, temporary, ", ".join(run.label for run in runs))
        written.append(folder / "curves.png")
    except ConfigError as error:
        note = f"; no curves.png: {error}"
    if not args.quiet:
        print_sections([overview(runs)], sys.stdout)
        print(f"written: {', '.join(map(str, written))}{note}")
    return 0
