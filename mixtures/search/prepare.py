"""Sources and held-out sets made ready for proxies: a sample of each, tokenised and packed by the run's own steps.

    OUT/prepare/split-00/   a source's documents parted into held-out ones (kept) and the others (dropped)
    OUT/prepare/train-00/   a sample of a source, as much as a proxy that sees nothing else takes
    OUT/prepare/held-00/    a sample of a held-out set
    OUT/prepare/tokenizer/  trained on the samples, unless one is given
    OUT/prepare/packs-.../  token shards and packs of each sample

Each is a run in itself: what is there and fits is not made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError
from pipeline.packreader import open_packs
from pipeline.progress import Progress
from pipeline.recipe import build
from pipeline.run import RunResult, execute
from pipeline.runner import Runner

from .proxy import Domain

if TYPE_CHECKING:
    from mixtures.recipe import SourceSpec

BYTES_PER_TOKEN = 8
"""Of the samples: so many bytes for each token that a proxy takes, which is enough for any tokenizer and padding."""


@dataclass(frozen=True)
class Sampling:
    """How samples are drawn and packed."""

    train_bytes: int
    held_bytes: int
    held_share: float
    sequence_length: int
    tokenizer: str
    vocab_size: int
    seed: int


@dataclass(frozen=True)
class Ready:
    """A source: its packs, and about how many tokens all of it has."""

    name: str
    packs: str
    sequences: int
    tokens: float


@dataclass(frozen=True)
class _Sample:
    files: str
    text_bytes: int
    available_bytes: int


class Preparation:
    """Runs the steps above, in `folder`."""

    def __init__(self, folder: Path, how: Sampling, runner: Runner, progress: Progress) -> None:
        self.folder, self.how, self._runner, self._progress = folder, how, runner, progress
        self._quiet = Progress(quiet=True)

    def ready(
        self, sources: Mapping[str, SourceSpec], held_out: Mapping[str, Sequence[str]]
    ) -> tuple[list[Ready], list[Domain]]:
        """The sources and the held-out domains; without `held_out` a share of each source is its domain."""
        train: dict[str, _Sample] = {}
        held: dict[str, _Sample] = {}
        for i, (name, spec) in enumerate(sources.items()):
            source = {"inputs": list(source_inputs(name, spec)), "text_field": spec.text_field}
            if not held_out:
                source, apart = self._split(f"split-{i:02d}", source)
                held[name] = self._sample(f"held-{i:02d}", apart, self.how.held_bytes, name)
            train[name] = self._sample(f"train-{i:02d}", source, self.how.train_bytes, name)
        for i, (name, inputs) in enumerate(held_out.items()):
            held[name] = self._sample(f"held-{i:02d}", {"inputs": list(inputs)}, self.how.held_bytes, name)
        tokenizer = self.how.tokenizer or self._train_tokenizer()
        made = []
        for i, (name, sample) in enumerate(train.items()):
            packs, tokens = self._pack(f"packs-train-{i:02d}", sample, tokenizer)
            whole = tokens * sample.available_bytes / sample.text_bytes
            made.append(Ready(name, packs, len(open_packs(packs)), whole))
        domains = []
        for i, (name, sample) in enumerate(held.items()):
            packs, tokens = self._pack(f"packs-held-{i:02d}", sample, tokenizer)
            domains.append(Domain(name, packs, tokens / sample.text_bytes))
        return made, domains

    def _run(self, name: str, source: dict[str, Any], steps: list[dict[str, Any]]) -> RunResult:
        self._progress.say(f"mix search: {name}: {', '.join(next(iter(step)) for step in steps)}")
        recipe = build({"name": name, "source": {"documents": source}, "steps": steps}, f"mix search: {name}")
        return execute(recipe, self.folder / name, self._runner, self._quiet)

    def _split(self, name: str, source: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        options = {"keep": f"{self.how.held_share * 100:.6f}%", "seed": self.how.seed}
        folder = self._run(name, source, [{"select_random": options}]).steps[-1].folder
        return {"inputs": [str(folder / "dropped")]}, {"inputs": [str(folder / "kept")]}

    def _sample(self, name: str, source: dict[str, Any], size: int, whose: str) -> _Sample:
        options = {"keep": f"{size} bytes", "seed": self.how.seed + 1}
        last = self._run(name, source, [{"select_random": options}]).steps[-1]
        assert last.manifest is not None
        told = last.manifest["selection"]
        if not told["kept"]:
            raise ConfigError(
                f"mix search: no text of '{whose}' is left for a sample of {size:,} bytes: it has"
                f" {told['groups'][0]['documents']:,} documents; give more text, or held-out files of your own"
            )
        return _Sample(str(last.folder / "kept"), told["kept"], told["groups"][0]["available"])

    def _train_tokenizer(self) -> str:
        source = {"inputs": [str(self.folder / "train-*" / "*-select_random" / "kept" / "*.parquet")]}
        result = self._run("tokenizer", source, [{"train_tokenizer": {"vocab_size": self.how.vocab_size}}])
        return str(result.steps[-1].folder / "tokenizer.json")

    def _pack(self, name: str, sample: _Sample, tokenizer: str) -> tuple[str, int]:
        steps: list[dict[str, Any]] = [
            {"tokenize": {"tokenizer": tokenizer}},
            {"pack": {"sequence_length": self.how.sequence_length, "seed": self.how.seed}},
        ]
        last = self._run(name, {"inputs": [sample.files]}, steps).steps[-1]
        assert last.manifest is not None
        packs = last.folder / last.manifest["artefact"][0]
        return str(packs), int(open_packs(packs).manifest["tokens"])


def source_inputs(name: str, spec: SourceSpec) -> Sequence[str]:
    """The files of a mixture's source; of a run the documents that its last step on documents kept.

    Raises ConfigError where there are none.
    """
    if spec.inputs:
        return spec.inputs
    from mixtures.recipe import THIS

    if spec.run == THIS:
        raise ConfigError(f"mix search: source '{name}' is `run: this`; say which with --run FOLDER")
    steps = [path for path in sorted(Path(spec.run).glob("[0-9][0-9]-*/kept")) if any(path.glob("*.parquet"))]
    if not steps:
        raise ConfigError(f"mix search: source '{name}': '{spec.run}' is no run with documents (NN-step/kept/)")
    return [str(steps[-1])]
