"""The command line's words as a command's arguments; what none of them stands for is named, with the nearest name."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import ConfigError, nearest
from .options import add_options, option_classes
from .storage.urls import check_meant, check_output_place, is_url


def parse_words(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, with options made of what the command runs, and `argv` itself.

    Raises ConfigError for words that stand for nothing: argparse alone would first ask for what is missing beside a
    misspelt option, and take its value for an input.
    """
    commands = _subcommands(parser)
    words = [word for word in argv if not word.startswith("-")]
    classes = option_classes(argv)
    if words:
        _check_command(words[0], commands)
        add_options(commands[words[0]], classes)
    # `gristmill filter` and overviews such as `gristmill mix` say themselves that their next word is misspelt
    next_misspelt = len(words) > 1 and (
        (words[0] == "filter" and len(classes) == 1) or commands[words[0]].get_default("parser") is not None
    )
    if words and not next_misspelt:
        _check_options(argv[argv.index(words[0]) :], parser, commands)
    args, unknown = parser.parse_known_args(argv)
    if unknown and not next_misspelt:
        shown, near = f"gristmill {args.command or ''}".strip(), nearest(unknown[0], _long_names(parser))
        raise ConfigError(f"can't make sense of '{' '.join(unknown)}'{near}; `{shown} --help` lists what there is")
    args.argv = list(argv)
    return args


def path_or_url(text: str) -> Path:
    """An argument that is a path, or a URL of a store (`s3://bucket/run`). Raises ConfigError."""
    if is_url(text):
        from .storage import place

        return place(text)
    check_meant(text)
    return Path(text)


def add_registry(parser: Any) -> None:
    """Add `--registry`: files of entries for `decontam.registry`, beside those that are bundled."""
    parser.add_argument(
        "--registry", nargs="+", action="extend", default=[], type=path_or_url, metavar="FILE",
        help="YAML entries of your own",
    )  # fmt: skip


def output_path(text: str) -> Path:
    """An argument for what is written: a path, or a URL of a store that takes writes. Raises ConfigError."""
    found = path_or_url(text)
    if is_url(str(found)):
        check_output_place(str(found), processes=False)
    return found


def check_file_target(option: str, target: Path) -> None:
    """Raise ConfigError unless a file can be made there: in a folder that exists, or in a store."""
    if not is_url(str(target)) and not target.absolute().parent.is_dir():
        raise ConfigError(f"{option} '{target}': its folder does not exist")
    if target.is_dir():
        raise ConfigError(f"{option} '{target}' is a folder; name a file")


def _check_command(word: str, commands: Mapping[str, Any]) -> None:
    if word not in commands:
        raise ConfigError(f"no command is called '{word}'{nearest(word, commands)}; `gristmill --help` lists all")


def _check_options(words: Sequence[str], parser: argparse.ArgumentParser, commands: Mapping[str, Any]) -> None:
    """Raise ConfigError for a `--name` behind the command `words[0]` that is no option's, nor a beginning."""
    chain = _chain(commands[words[0]], words[1:])
    if _subcommands(chain[-1]):
        return  # that one is missing is said first
    known, general = [name for one in chain for name in _long_names(one)], _long_names(parser)
    command = chain[-1].prog.partition(" ")[2]
    for word in itertools.takewhile(lambda one: one != "--", words[1:]):
        flag = word.partition("=")[0]
        if not flag.startswith("--") or " " in flag or any(name.startswith(flag) for name in known):
            continue
        if flag in general:
            raise ConfigError(f"{flag} stands before the command: gristmill {flag} {command} ...")
        raise ConfigError(
            f"{command} has no option '{flag}'{nearest(flag, known)}; `gristmill {command} --help` lists all"
        )


def _chain(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[argparse.ArgumentParser]:
    """The command's parser, and those of its subcommand (`decontam report`) and so on."""
    chain = [parser]
    for word in words:
        nested = _subcommands(chain[-1])
        if nested and not word.startswith("-"):
            if word not in nested:
                name = chain[-1].prog.partition(" ")[2]
                raise ConfigError(
                    f"{name} has no command '{word}'{nearest(word, nested)}; `gristmill {name} --help` lists all"
                )
            chain.append(nested[word])
    return chain


def _subcommands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return next((one.choices for one in parser._actions if isinstance(one, argparse._SubParsersAction)), {})


def _long_names(parser: argparse.ArgumentParser) -> list[str]:
    return [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
