"""The whole evaluation, from a data folder to one plain result; what `gristmill extract eval` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import ConfigError
from ...progress import Progress
from ..engines import EngineOptions, Favor, engine_names
from .bootstrap import RESAMPLES
from .evaluate import metadata_rows, page_rows, read_texts, score_outputs, speeds, summarise
from .folds import groups
from .gold import load
from .running import OWN_METADATA, SCAN, Output, TrafilaturaFast, engine, run


def default_engines() -> list[str]:
    """The bundled engines, our own first."""
    return sorted(engine_names(), key=lambda name: (name != "gristmill", name != "trafilatura", name))


def known_engines() -> list[str]:
    """Names that `evaluation` takes, besides `package.module:Class`."""
    return [*default_engines(), TrafilaturaFast.name]


def evaluation(
    data: str | Path,
    *,
    engines: Sequence[str],
    texts: Mapping[str, Path] | None = None,
    sets: Sequence[str] | None = None,
    every: int = 1,
    favor: Favor = "balanced",
    own_metadata: bool = False,
    per_page: bool = False,
    workers: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run and score engines and ready-made texts (name -> file, see `read_texts`), texts first.

    The result is plain JSON: versions, settings, pages and missing by set, scores (`summarise`), speed (`speeds`),
    metadata (`metadata_rows`) and, with `per_page`, page_rows. Raises ConfigError, StepFailed.
    """
    given = dict(texts or {})
    contenders = [*given, *engines]
    if not contenders:
        raise ConfigError("extract eval: name at least one engine or a file of texts")
    if len(set(contenders)) < len(contenders):
        raise ConfigError(f"extract eval: two contenders have the same name: {', '.join(contenders)}")
    if resamples < 1:
        raise ConfigError("resamples must be at least 1")
    versions = {name: engine(name, EngineOptions(favor=favor)).version() for name in engines}
    ready = {name: read_texts(Path(file)) for name, file in given.items()}
    shown = progress or Progress(quiet=True)
    gold = load(data, sets, every=every)
    pages = gold.pages
    if not pages:
        raise ConfigError(f"extract eval: '{data}' has no page for the gold of these sets")
    outputs: dict[str, list[Output]] = {}
    for name, found in ready.items():
        lacking = [page for page in pages if (page.set, page.id) not in found]
        if lacking:
            raise ConfigError(
                f"texts '{given[name]}' lack {len(lacking)} of {len(pages)} pages, first {lacking[0].set} "
                f"'{lacking[0].id}'; --sets and --every choose pages"
            )
        outputs[name] = [found[page.set, page.id] for page in pages]
    ran = run(pages, engines, favor=favor, workers=workers, own_metadata=own_metadata, progress=shown)
    outputs |= {name: ran[name] for name in engines}
    shown.say(f"grouping {len(pages)} pages by domain and near-duplicates")
    grouped = groups(pages)
    scores = score_outputs(pages, outputs, shown)
    said = outputs | {name: ran[name] for name in (SCAN, OWN_METADATA) if name in ran}
    result: dict[str, Any] = {
        "first": contenders[0],
        "versions": {"gristmill": __version__} | {f"engine {name}": v for name, v in versions.items()},
        "settings": {"favor": favor, "every": every, "resamples": resamples, "seed": seed, "workers": workers},
        "pages": {name: sum(page.set == name for page in pages) for name in gold.missing},
        "missing": gold.missing,
        "groups": len(set(grouped)),
        "scores": summarise(pages, scores, grouped, resamples=resamples, seed=seed),
        "speed": speeds({name: ran[name] for name in engines}),
        "metadata": metadata_rows(pages, said),
    }
    if per_page:
        result["per_page"] = page_rows(pages, scores, outputs, grouped)
    return result
