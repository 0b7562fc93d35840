"""Documents sampled, tokenised and packed by the pipeline's own steps, each in a run folder of its own.

What is there and fits is not made again. `mixtures/search` prepares its sources with it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, SchemaError, StepFailed
from pipeline.packreader import open_packs
from pipeline.progress import Progress
from pipeline.recipe import build
from pipeline.run import RunResult, execute
from pipeline.runner import Runner

BYTES_PER_TOKEN = 8
"""Of a sample: so many bytes for each token that a run takes, which is enough for any tokenizer and padding."""


@dataclass(frozen=True)
class Sample:
    """Some documents: their files, bytes of text, and how many bytes there were to draw from."""

    files: str
    documents: int
    text_bytes: int
    available_bytes: int
    left_out: str
    """Records that are no documents, in words; empty if there were none."""


def left_out(manifest: dict[str, Any]) -> str:
    """What a step that reads documents passed over, in words: `3 of 273 records (2 bad_json, 1 no_text)`."""
    kinds = {kind: count for kind, count in manifest.get("skipped", {}).items() if count}
    if not kinds:
        return ""
    named = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    return f"{sum(kinds.values()):,} of {manifest['records']:,} records ({named})"


class Workshop:
    """Runs chains of steps in folders below `folder`. `label` names the command in messages."""

    def __init__(self, folder: Path, runner: Runner, progress: Progress, label: str) -> None:
        self.folder, self.label = folder, label
        self._runner, self._progress = runner, progress
        self._quiet = Progress(quiet=True)

    def run(self, name: str, source: dict[str, Any], steps: list[dict[str, Any]]) -> RunResult:
        """Run steps (plain, as in a recipe) on documents into the folder `name`."""
        self._progress.say(f"{self.label}: {name}: {', '.join(next(iter(step)) for step in steps)}")
        recipe = build({"name": name, "source": {"documents": source}, "steps": steps}, f"{self.label}: {name}")
        try:
            return execute(recipe, self.folder / name, self._runner, self._quiet)
        except (StepFailed, SchemaError) as error:
            raise type(error)(f"{self.label}: {name}: {error}") from error

    def sample(self, name: str, source: dict[str, Any], size: int, seed: int, whose: str) -> Sample:
        """Documents of at most `size` bytes of text, by a hash of seed and id; all if there are no more.

        Where long documents leave over half of that empty the size is doubled, until they don't or all are drawn.
        Raises ConfigError, naming `whose` text it is, where there is none.
        """
        drawn, attempt = self._drawn(name, source, size, seed), 1
        while 2 * drawn.text_bytes < size and drawn.text_bytes < drawn.available_bytes:
            attempt *= 2
            drawn = self._drawn(f"{name}-x{attempt}", source, attempt * size, seed)
        if not drawn.text_bytes:
            raise ConfigError(f"{self.label}: no text of '{whose}' is left for a sample; give more, or other files")
        return drawn

    def _drawn(self, name: str, source: dict[str, Any], size: int, seed: int) -> Sample:
        first, last = self.run(name, source, [{"select_random": {"keep": f"{size} bytes", "seed": seed}}]).steps
        assert first.manifest is not None and last.manifest is not None
        told = last.manifest["selection"]
        available = told["groups"][0]["available"] if told["groups"] else 0
        return Sample(
            str(last.folder / "kept"), last.manifest["rows"], told["kept"], available, left_out(first.manifest)
        )

    def train_tokenizer(self, name: str, inputs: list[str], vocab_size: int) -> str:
        """Path of a byte-level BPE trained on documents."""
        last = self.run(name, {"inputs": inputs}, [{"train_tokenizer": {"vocab_size": vocab_size}}]).steps[-1]
        return str(last.folder / "tokenizer.json")

    def pack(self, name: str, files: list[str], tokenizer: str, **packing: Any) -> tuple[str, int]:
        """(pack folder, tokens) of documents; `packing` are options of the step `pack`."""
        last = self.run(name, {"inputs": files}, [{"tokenize": {"tokenizer": tokenizer}}, {"pack": packing}]).steps[-1]
        assert last.manifest is not None
        packs = last.folder / last.manifest["artefact"][0]
        return str(packs), int(open_packs(packs).manifest["tokens"])
