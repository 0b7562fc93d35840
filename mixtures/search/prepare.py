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
from pipeline.runner import Runner
from pretrain.ablation.samples import Sample, Workshop

from .proxy import Domain

if TYPE_CHECKING:
    from mixtures.recipe import SourceSpec


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


class Preparation:
    """Runs the steps above, in `folder`."""

    def __init__(self, folder: Path, how: Sampling, runner: Runner, progress: Progress) -> None:
        self.how = how
        self._shop = Workshop(folder, runner, progress, "mix search")

    def ready(
        self, sources: Mapping[str, SourceSpec], held_out: Mapping[str, Sequence[str]]
    ) -> tuple[list[Ready], list[Domain]]:
        """The sources and the held-out domains; without `held_out` a share of each source is its domain."""
        shop, how = self._shop, self.how
        train: dict[str, Sample] = {}
        held: dict[str, Sample] = {}
        for i, (name, spec) in enumerate(sources.items()):
            source = {"inputs": list(source_inputs(name, spec)), "text_field": spec.text_field}
            if not held_out:
                source, apart = self._split(f"split-{i:02d}", source)
                held[name] = shop.sample(f"held-{i:02d}", apart, how.held_bytes, how.seed + 1, name)
            train[name] = shop.sample(f"train-{i:02d}", source, how.train_bytes, how.seed + 1, name)
        for i, (name, inputs) in enumerate(held_out.items()):
            source = {"inputs": list(inputs)}
            held[name] = shop.sample(f"held-{i:02d}", source, how.held_bytes, how.seed + 1, name)
        samples = str(shop.folder / "train-*" / "*-select_random" / "kept" / "*.parquet")
        tokenizer = how.tokenizer or shop.train_tokenizer("tokenizer", [samples], how.vocab_size)
        made = []
        for i, (name, sample) in enumerate(train.items()):
            packs, tokens = self._pack(f"packs-train-{i:02d}", sample, tokenizer)
            whole = tokens * sample.available_bytes / sample.text_bytes
            made.append(Ready(name, packs, len(open_packs(packs)), whole))
        domains = []
        for i, (name, sample) in enumerate(held.items()):
            domains.append(Domain(name, self._pack(f"packs-held-{i:02d}", sample, tokenizer)[0]))
        return made, domains

    def _split(self, name: str, source: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        options = {"keep": f"{self.how.held_share * 100:.6f}%", "seed": self.how.seed}
        folder = self._shop.run(name, source, [{"select_random": options}]).steps[-1].folder
        return {"inputs": [str(folder / "dropped")]}, {"inputs": [str(folder / "kept")]}

    def _pack(self, name: str, sample: Sample, tokenizer: str) -> tuple[str, int]:
        return self._shop.pack(
            name, [sample.files], tokenizer, sequence_length=self.how.sequence_length, seed=self.how.seed
        )


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
