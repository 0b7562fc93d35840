"""Runs steps of a bundled recipe, with the recipe's own options, over a table of documents.

A repair is not tuned to the defect: it is what `crawl-to-shards` does anyhow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, nearest
from pipeline.progress import Progress
from pipeline.recipe import build, entry, read_recipe
from pipeline.run import execute
from pipeline.runner import InlineRunner

RECIPE = "crawl-to-shards"
DEDUP = ("exact_dedup", "minhash_dedup")
FILTERS = (
    "language", "mojibake_repair", "mojibake", "placeholder", "refinedweb_lines", "c4_lines", "gopher_repetition",
    "gopher_quality", "c4_documents", "fineweb_quality", "perplexity", "web_spam", "hate", "nsfw", "mask_toxic",
    "quality",
)  # fmt: skip
DECONTAMINATE = ("decontaminate",)


def recipe_steps(
    names: Sequence[str], options: Mapping[str, Mapping[str, Any]] | None = None, recipe: str = RECIPE
) -> list[dict[str, Any]]:
    """The named steps of a recipe in the recipe's order, with its options and then `options` by step.

    Raises ConfigError if the recipe has no such step.
    """
    own = [entry(one, recipe) for one in read_recipe(recipe)["steps"]]
    have = [name for name, _ in own]
    for name in names:
        if name not in have:
            raise ConfigError(f"recipe '{recipe}' has no step '{name}'{nearest(name, have)}")
    given = options or {}
    return [{name: {**config, **given.get(name, {})}} for name, config in own if name in names]


def run_steps(docs: pa.Table, steps: Sequence[Mapping[str, Any]], folder: Path) -> pa.Table:
    """What the steps keep of the documents (`id`, `text`, `planted`), run in `folder` in this process.

    Goes on where an earlier call with the same documents and steps left off.
    """
    source = folder / "documents.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(docs, source)
    plain = {"name": folder.name, "source": {"documents": {"inputs": [str(source)]}}, "steps": list(steps)}
    last = execute(build(plain, f"defects: {folder.name}"), folder / "run", InlineRunner(), Progress(quiet=True)).steps[
        -1
    ]
    files = sorted((last.folder / "kept").glob("*.parquet"))
    return pa.concat_tables([pq.read_table(f, columns=["id", "text", "planted"]) for f in files])
