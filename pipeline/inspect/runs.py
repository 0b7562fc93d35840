"""The steps and stages of a finished run, with the options that they ran with, from `plan.json` and `manifest.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.names import check_entries
from pipeline.stage import Filter, Rule, Stage, registered
from pipeline.steps import registered_steps
from pipeline.store import read_json
from pipeline.yaml_input import load_yaml


@dataclass(frozen=True)
class StageRun:
    """A stage as it ran. `config` is None where nothing says what it was (a file of JSON lines)."""

    step: str
    name: str
    version: int | None = None
    config: dict[str, Any] | None = None
    counts: dict[str, Any] | None = None  # of the manifest: n_in, n_split, n_kept, dropped by reason
    settings: tuple[str, ...] = ()  # names or files of tables of thresholds by language that it may have used

    @property
    def cls(self) -> type[Stage] | None:
        """The registered class, None for global steps and for stages that are no longer known."""
        return registered().get(self.name)

    @property
    def kind(self) -> str:
        """ "filter", "editor" (of a shard, or global), "stage" (adds columns, may drop) or "step" (global)."""
        cls = self.cls
        if cls is None:
            known = registered_steps().get(self.name)
            return "editor" if known is not None and known.edits else "step"
        if cls.edits(self.config or {}):
            return "editor"
        return "filter" if issubclass(cls, Filter) else "stage"

    @property
    def score_column(self) -> str | None:
        """The column that holds the filter's scores."""
        cls = self.cls
        column = getattr(cls, "score_column", None) if cls is not None else None
        return column if isinstance(column, str) else None

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The comparisons that decide."""
        rules = getattr(self.cls, "rules", ())
        return rules if isinstance(rules, tuple) else ()

    def threshold(self, rule: Rule) -> tuple[float | None, str]:
        """(value, where it comes from): "run", "default" where the files don't say, or "off"."""
        if self.config is not None:
            value = self.config.get(rule.option)
            return (None, "off") if _no_number(value) else (float(value), "run")  # type: ignore[arg-type]
        value = getattr(self.cls, rule.option, None)
        return (None, "off") if _no_number(value) else (float(value), "default")  # type: ignore[arg-type]

    def by_language(self, rule: Rule) -> dict[str, float | None] | None:
        """{language: threshold} where the run had thresholds by language; None if the table is not at hand any more."""
        digest = (self.config or {}).get("by_language")
        if not digest:
            return {}
        table = _settings(digest, self.settings, self.name, tuple(r.option for r in self.rules))
        if table is None:
            return None
        return {lang: own[rule.option] for lang, own in table.items() if rule.option in own}


def _no_number(value: Any) -> bool:
    return value is None or isinstance(value, bool) or not isinstance(value, (int, float))


def _settings(
    digest: str, named: tuple[str, ...], stage: str, options: tuple[str, ...]
) -> dict[str, dict[str, Any]] | None:
    """The bundled table or the named file whose content is the one that the run had."""
    from filters.settings import settings_by_language, settings_digest

    folder = resources.files("filters") / "data" / "settings"
    bundled = [p.name.removesuffix(".yaml") for p in folder.iterdir()] if folder.is_dir() else []
    for name in (*named, *sorted(n for n in bundled if not n.endswith(".txt"))):
        try:
            if settings_digest(name) == digest:
                return settings_by_language(name, stage, options)
        except ConfigError:  # a file that is gone or has changed: not the one that the run had
            continue
    return None


@dataclass(frozen=True)
class StepFiles:
    """A step that made documents: its stages in order, and its files."""

    step: str
    stages: tuple[StageRun, ...]
    kept: tuple[Path, ...]
    dropped: tuple[Path, ...]
    before: tuple[Path, ...] = ()  # what the step before kept: the texts that the first editor read
    recipe: Path | None = None  # the recipe as it ran


@dataclass
class Found:
    """What there is to inspect."""

    where: str
    steps: list[StepFiles]
    n_input: int | None  # documents that entered the first stage; None if unknown
    notes: list[str] = field(default_factory=list)


def is_run(path: Path) -> bool:
    """Whether a folder is a run or one step of a run."""
    return path.is_dir() and (bool(list(path.glob("[0-9][0-9]-*/plan.json"))) or (path / "plan.json").is_file())


def find_run(path: Path) -> Found:
    """The finished document steps of a run's folder (or of one step's). Raises ConfigError where there are none."""
    one = (path / "plan.json").is_file()
    plans = [path / "plan.json"] if one else sorted(path.glob("[0-9][0-9]-*/plan.json"))
    settings = _settings_named(path.parent if one else path)
    found = Found(str(path), [], None)
    unfinished = []
    before: tuple[Path, ...] = ()
    for plan_file in plans:
        folder = plan_file.parent
        manifest = read_json(folder / "manifest.json")
        if manifest is None:
            unfinished.append(folder.name)
            continue
        plan = read_json(plan_file)
        for value, name in ((manifest, "manifest.json"), (plan, "plan.json")):
            if not isinstance(value, dict):
                raise ConfigError(f"{folder / name} holds no object; delete it and run the recipe again")
        if "counts" not in manifest:
            continue
        stages = _stages(folder.name, plan, manifest["counts"], settings)
        if plan.get("config", {}).get("mode") == "all_scores":
            found.notes.append(
                f"{folder.name} ran with all scores: documents that a filter dropped were scored and edited further"
            )
        check_entries(manifest["files"], "file", folder / "manifest.json")
        files = [folder / entry["file"] for entry in manifest["files"]]
        gone = [file for file in files if not file.is_file()]
        if gone:
            raise ConfigError(f"{gone[0]} is gone; run the recipe again with the same --output, which makes it anew")
        kept = tuple(f for f in files if f.parent.name == "kept")
        dropped = tuple(f for f in files if f.parent.name == "dropped")
        recipe = folder.parent / "recipe.yaml"
        found.steps.append(StepFiles(folder.name, stages, kept, dropped, before, recipe if recipe.is_file() else None))
        before = kept
        if found.n_input is None and not one and manifest["counts"]:
            found.n_input = int(manifest["counts"][0]["n_in"])
    if unfinished:
        names = ", ".join(unfinished)
        if not found.steps:
            raise ConfigError(
                f"run '{path}' is not finished: {names} has no manifest.json; give its `gristmill run` "
                "command again, which goes on where it was stopped"
            )
        found.notes.append(f"the run is not finished: {names} is not shown")
    if not found.steps:
        raise ConfigError(f"run '{path}' has no finished step that keeps and drops documents")
    return found


def _stages(
    step: str, plan: dict[str, Any], counts: Sequence[dict[str, Any]], settings: dict[str, tuple[str, ...]]
) -> tuple[StageRun, ...]:
    """The stages of a step in order: those of the counts, with the configuration of the plan."""
    config = plan.get("config", {})
    planned = [s for s in config.get("stages") or [] if isinstance(s, list) and len(s) == 3]
    by_place = [s[0] for s in planned] == [c["stage"] for c in counts]
    out = []
    for number, count in enumerate(counts):
        name = count["stage"]
        own = planned[number] if by_place else next((s for s in planned if s[0] == name), None)
        if own is not None:
            out.append(StageRun(step, name, own[1], own[2], count, settings.get(name, ())))
        else:
            out.append(StageRun(step, name, None, config if name == plan.get("step") else None, count))
    return tuple(out)


def _settings_named(run: Path) -> dict[str, tuple[str, ...]]:
    """{stage: names of tables of thresholds by language} in the recipe as it ran."""
    file = run / "recipe.yaml"
    if not file.is_file():
        return {}
    recipe = load_yaml(file.read_bytes(), f"run '{run}': recipe.yaml")
    found: dict[str, tuple[str, ...]] = {}

    def walk(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            for name, options in value.items():
                if isinstance(options, dict) and isinstance(options.get("by_language"), str):
                    found[str(name)] = (*found.get(str(name), ()), options["by_language"])
                walk(options)

    walk(recipe)
    return found
