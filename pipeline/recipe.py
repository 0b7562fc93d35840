"""Run recipes: YAML files that list a source and steps. Validated whole before anything runs.

    name: my-run
    source:
      warc: {inputs: [crawl/], split_bytes: 33554432}
    steps:
      - url: {blocklists: [ut1/adult/domains]}
      - extract
      - language: {languages: [en], min_score: 0.65}
      - exact_dedup
      - train_tokenizer: {vocab_size: 8192}
      - tokenize
      - pack: {sequence_length: 1024}

A step is a name or a one-key mapping from the name to its options. Consecutive per-shard stages are
fused into one step; extraction always ends one, so that nothing after it ever extracts again.

`mode: all_scores` at the top lets documents that a filter drops go on through the later filters and editors of their
step, so that `dropped/` carries every score; the default, `early_exit`, saves that work. Decisions are the same.

`resources` at the top says what tasks of a step ask of a machine (`pipeline/resources.py`); it changes no byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from .documents import PEEK
from .errors import ConfigError, GristmillError, SchemaError, nearest
from .mapstep import MODES, MapStep
from .resources import read_resources
from .runner import Resources
from .sources import SOURCES, DocumentsSource, Source, make_source
from .stage import Stage, make, registered
from .steps import Step, make_step, registered_steps
from .storage import place
from .storage.urls import check_urls
from .yaml_input import load_word, load_yaml

TOP_KEYS = ("name", "source", "steps", "output", "mode", "resources")


@dataclass(frozen=True)
class Recipe:
    """A validated recipe: the chain of steps and its plain form."""

    name: str
    steps: tuple[Step, ...]
    output: str | None
    plain: dict[str, Any]
    resources: dict[str, Resources] = field(default_factory=dict)


def bundled() -> list[str]:
    """Names of the recipes that come with Gristmill."""
    return sorted(
        p.name.removesuffix(".yaml") for p in resources.files("pipeline.recipes").iterdir() if p.name.endswith(".yaml")
    )


def read_recipe(name_or_path: str) -> dict[str, Any]:
    """The plain mapping of a recipe file, or of a bundled recipe's name. Raises ConfigError."""
    path = place(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.exists():
        if not path.is_file():
            raise ConfigError(f"recipe '{name_or_path}' is not a file")
        text = path.read_bytes()
    elif name_or_path in bundled():
        text = resources.files("pipeline.recipes").joinpath(f"{name_or_path}.yaml").read_bytes()
    else:
        raise ConfigError(
            f"no recipe '{name_or_path}'{nearest(name_or_path, bundled())}; bundled: {', '.join(bundled())}"
        )
    value = load_yaml(text, f"recipe '{name_or_path}'")
    if not isinstance(value, dict):
        raise ConfigError(f"recipe '{name_or_path}' must be a mapping with the keys {', '.join(TOP_KEYS)}")
    _refuse_code(value, f"recipe '{name_or_path}'")
    return value


def _refuse_code(plain: dict[str, Any], where: str) -> None:
    """Raise ConfigError for a step whose engine is `module:Class`: a recipe is data, and may be a stranger's.

    On the command line, as `--engine` or `--set`, the user says it and not the file.
    """
    from .extract.engines import OUTSIDE

    steps = plain.get("steps")
    for one in steps if isinstance(steps, list) else ():
        for name, config in one.items() if isinstance(one, dict) else ():
            engine = config.get("engine") if isinstance(config, dict) else None
            if isinstance(engine, str) and OUTSIDE.fullmatch(engine):
                raise ConfigError(
                    f"{where}: step '{name}' names Python code to run, '{engine}', which a recipe must not; if you "
                    f"trust it, leave the option out and give --set {name}.engine={engine}"
                )


def entry(one: Any, where: str) -> tuple[str, dict[str, Any]]:
    """(name, options) of `name` or `{name: options}`. Raises ConfigError."""
    if isinstance(one, str):
        return one, {}
    if isinstance(one, dict) and len(one) == 1:
        (name, config), *_ = one.items()
        if not isinstance(name, str) or not (config is None or isinstance(config, dict)):
            raise ConfigError(f"{where}: write a step as `- name` or `- name: {{option: value}}`, not {one!r}")
        if any(not isinstance(key, str) for key in config or {}):
            raise ConfigError(f"{where}: option names of '{name}' must be words")
        return name, dict(config or {})
    raise ConfigError(f"{where}: write a step as `- name` or `- name: {{option: value}}`, not {one!r}")


def _entries(plain: dict[str, Any]) -> list[Any]:
    steps = plain.get("steps")
    if not isinstance(steps, list):
        raise ConfigError("recipe: `steps` must be a list")
    return steps


def override(plain: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """A copy with `step.option=value` settings put in; values are YAML. Raises ConfigError for unknown steps."""
    plain = {**plain, "steps": list(_entries(plain))}
    if isinstance(plain.get("source"), dict):
        plain["source"] = {k: dict(v) if isinstance(v, dict) else v or {} for k, v in plain["source"].items()}
    for setting in settings:
        target, sign, text = setting.partition("=")
        step, dot, option = target.partition(".")
        if not sign or not dot:
            raise ConfigError(f"--set wants STEP.OPTION=VALUE, not '{setting}'")
        value = load_word(text, f"--set {setting}: the value")
        if isinstance(plain.get("source"), dict) and isinstance(plain["source"].get(step), dict):
            plain["source"][step][option] = value
            continue
        names = [entry(one, "recipe")[0] for one in plain["steps"]]
        if step not in names:
            raise ConfigError(f"--set {setting}: the recipe has no step '{step}'{nearest(step, names)}")
        index = names.index(step)
        plain["steps"][index] = {step: {**entry(plain["steps"][index], "recipe")[1], option: value}}
    return plain


def without(plain: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A copy without the steps named."""
    have = [entry(one, "recipe")[0] for one in _entries(plain)]
    for name in names:
        if name not in have:
            raise ConfigError(f"--without {name}: the recipe has no such step{nearest(name, have)}")
    return {**plain, "steps": [e for e, n in zip(_entries(plain), have, strict=True) if n not in names]}


def _source(plain: dict[str, Any], where: str) -> Source:
    source = plain.get("source")
    if not isinstance(source, dict) or len(source) != 1:
        raise ConfigError(f"{where}: `source` must be one of {', '.join(SOURCES)} with its options")
    (name, config), *_ = source.items()
    if name not in SOURCES:
        raise ConfigError(f"{where}: no source is called '{name}'{nearest(str(name), SOURCES)}")
    if config is not None and not isinstance(config, dict):
        raise ConfigError(f"{where}: the options of source '{name}' must be a mapping")
    made = make_source(name, dict(config or {}), where)
    inputs = getattr(made, "inputs", ())
    if not isinstance(inputs, tuple) or not inputs or not all(isinstance(one, str) for one in inputs):
        raise ConfigError(
            f"{where}: source '{name}' needs `inputs`, a list of files, folders, globs or URLs (or --input)"
        )
    return made


def build(plain: dict[str, Any], where: str = "recipe") -> Recipe:
    """Validate a plain recipe and build its chain. Raises ConfigError or SchemaError; runs nothing."""
    for key in plain:
        if key not in TOP_KEYS:
            raise ConfigError(f"{where}: no key is called '{key}'{nearest(str(key), TOP_KEYS)}")
    check_urls(plain)
    entries = plain.get("steps")
    if not isinstance(entries, list):
        raise ConfigError(f"{where}: `steps` must be a list")
    name = plain.get("name", "run")
    if not isinstance(name, str) or not name or name.startswith(".") or "/" in name:
        raise ConfigError(f"{where}: `name` must be a plain word, not {name!r}")
    mode = plain.get("mode", MODES[0])
    if mode not in MODES:
        raise ConfigError(f"{where}: `mode` must be one of {', '.join(MODES)}, not {mode!r}{nearest(str(mode), MODES)}")
    stages, steps = registered(), registered_steps()
    chain: list[Step] = []
    source: Source | None = _source(plain, where)
    pending: list[Stage] = []

    def flush() -> None:
        nonlocal source
        if pending or source is not None:
            chain.append(MapStep(source=source, stages=tuple(pending), mode=mode))
            source = None
            pending.clear()

    for number, one in enumerate(entries, 1):
        step_name, config = entry(one, f"{where}, step {number}")
        here = f"{where}, step {number}"
        if step_name in stages:
            stage = make(step_name, config, here)
            pending.append(stage)
            if stage.removes:  # extraction: its output is always written
                flush()
        elif step_name in steps:
            flush()
            chain.append(make_step(step_name, config, here))
        else:
            known = [*stages, *steps]
            raise ConfigError(
                f"{here}: no step is called '{step_name}'{nearest(step_name, known)}; known: {', '.join(known)}"
            )
    flush()
    try:
        chain = [step.beside(chain[number:]) for number, step in enumerate(chain, 1)]
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    _check_chain(chain, where)
    output = plain.get("output")
    if output is not None and not isinstance(output, str):
        raise ConfigError(f"{where}: `output` must be a folder's name")
    known_names = [entry(one, where)[0] for one in entries]
    resources = read_resources(plain.get("resources", {}), known_names, where)
    return Recipe(name, tuple(chain), output, plain, resources)


def _check_key(first: Step, key: str) -> None:
    """Raise SchemaError where the run's documents are JSON lines whose first records don't hold a key."""
    source = first.source if isinstance(first, MapStep) else None
    if isinstance(source, DocumentsSource):
        known = source.first_keys(until=key)
        if known and key not in known:
            raise SchemaError(
                f"no column is called '{key}', and none of the first {PEEK} documents of a file has that key"
                f"{nearest(key, known)}"
            )


def _check_chain(chain: Sequence[Step], where: str) -> None:
    columns: set[str] = set()
    made: set[str] = set()
    for number, step in enumerate(chain, 1):
        missing = [kind for kind in step.needs if kind not in made]
        if missing:
            raise ConfigError(f"{where}: step '{step.folder_name()}' needs {missing}, which no earlier step makes")
        for kind in made & set(step.passes_over):
            raise ConfigError(
                f"{where}: step '{step.folder_name()}' would pass over the {kind} that an earlier step makes: say"
                " `drawn: true`, or leave that step out"
            )
        try:
            for key in step.keys(columns):
                _check_key(chain[0], key)
            columns = step.columns(columns)
        except GristmillError as error:
            raise type(error)(f"{where}, {number:02d}-{step.folder_name()}: {error}") from error
        made.add(step.makes)
