"""The search: sampled mixtures, a proxy run of each, a regression, and the mixture that it predicts to be best.

After RegMix (Liu et al. 2024, arXiv 2407.01492): weights are sampled around the natural ones, a small model is trained
on each, a regression maps weights to held-out loss, and the predicted best samples of many more are averaged. Added
here: the loss is in bits per byte, so that it holds for any tokenizer; the kind of regression is chosen by its
leave-one-out error; a bootstrap over proxies says how sure it is; simple baselines stand beside it, and the chosen
mixture and the baselines are trained as proxies too, so that predictions can be held against measurements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, nearest
from pipeline.progress import Progress
from pipeline.runner import Runner, Task
from pipeline.steps import StepContext
from pipeline.store import StepFolder, digest
from pretrain.ablation.samples import BYTES_PER_TOKEN

from . import regression
from .prepare import Preparation, Ready, Sampling
from .proxy import Domain, Proxy, Training, run_proxy
from .weights import MINIMUM, caps, natural, samples, temperature, unimax

if TYPE_CHECKING:
    from mixtures.recipe import Mixture

AVERAGED = 100
"""The best predicted samples whose mean is chosen (Liu et al. 2024, section 3)."""
CHOSEN = "chosen"


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Options of `gristmill mix search`."""

    name = "mix search"

    proxies: int = field(default=32, metadata={"help": "proxy runs, the natural mixture among them"})
    steps: int = field(default=200, metadata={"help": "optimiser steps of a proxy"})
    batch_size: int = field(default=8, metadata={"help": "sequences in a step"})
    sequence_length: int = field(default=256, metadata={"help": "tokens in a sequence"})
    model: str = field(default="tiny", metadata={"help": "size of the proxies"})
    lr: float = field(default=2e-3, metadata={"help": "peak learning rate"})
    tokenizer: str = field(default="", metadata={"help": "a tokenizer.json (default: one trained on the samples)"})
    vocab_size: int = field(default=4096, metadata={"help": "size of the tokenizer that is trained"})
    held_out_share: float = field(
        default=0.05, metadata={"help": "share of each source's documents that is held out, without --held-out"}
    )
    held_out_bytes: int = field(default=500_000, metadata={"help": "text of each held-out set, at most"})
    objective: tuple[str, ...] = field(
        default=(), metadata={"help": "held-out sets whose mean bits per byte is made least (default: all)"}
    )
    simulated: int = field(default=20_000, metadata={"help": "mixtures that the regression chooses among"})
    measure: bool = field(default=True, metadata={"help": "train the chosen mixture and the baselines too"})
    threads: int = field(
        default=1, metadata={"help": "threads of a proxy; another number gives slightly other results"}
    )
    seed: int = field(default=0, metadata={"help": "seed of samples, parameters and order"})

    def check(self) -> None:
        """Raise ConfigError for options that can't work."""
        from pretrain.sizes import SIZES

        for name, least in (("proxies", 4), ("steps", 1), ("batch_size", 1), ("sequence_length", 2), ("threads", 1),
                            ("simulated", AVERAGED), ("held_out_bytes", 1), ("vocab_size", 257)):  # fmt: skip
            if getattr(self, name) < least:
                raise ConfigError(f"mix search: {name} must be at least {least}, not {getattr(self, name)}")
        if self.model not in SIZES:
            raise ConfigError(f"mix search: no model size is called '{self.model}'{nearest(self.model, SIZES)}")
        if not 0 < self.held_out_share < 1:
            raise ConfigError(f"mix search: held_out_share must lie between 0 and 1, not {self.held_out_share}")
        if not self.lr > 0:
            raise ConfigError(f"mix search: lr must be above 0, not {self.lr}")
        if self.tokenizer:
            from pipeline.bpe import load_tokenizer

            load_tokenizer(self.tokenizer)


@dataclass(frozen=True)
class _Bench:
    """What all proxies share."""

    context: StepContext
    sources: Sequence[Ready]
    domains: Sequence[Domain]
    training: Training

    def run(self, mixtures: Mapping[str, NDArray[np.float64]], label: str) -> Sequence[dict[str, Any]]:
        """A proxy of each mixture, in order; those that were done before are not trained again."""
        packs = tuple(one.packs for one in self.sources)
        tasks = [
            Task(name, Proxy(name, tuple(weights.tolist()), packs, tuple(self.domains), self.training))
            for name, weights in mixtures.items()
        ]
        return self.context.map(run_proxy, tasks, unit="proxies", label=label)


def why_impossible() -> str | None:
    """A message where torch is missing."""
    from pretrain.train import torch_available

    if torch_available():
        return None
    return "mix search trains small models and needs torch: pip install 'gristmill[pretrain]'"


def search(
    mixture: Mixture,
    held_out: Mapping[str, Sequence[str]],
    options: SearchOptions,
    output: Path,
    runner: Runner,
    progress: Progress,
) -> dict[str, Any]:
    """Run (or go on with) a search in `output`; returns what `search.json` holds. Raises ConfigError."""
    options.check()
    if len(mixture.sources) < 2:
        raise ConfigError("mix search: the mixture has one source, so there are no weights to choose")
    if any(phase.weights for phase in mixture.phases):
        raise ConfigError("mix search: phases have weights of their own; search without them, and set them afterwards")
    names = list(held_out) or list(mixture.sources)
    for one in options.objective:
        if one not in names:
            raise ConfigError(f"mix search: no held-out set is called '{one}'{nearest(one, names)}; {', '.join(names)}")
    reason = why_impossible()
    if reason:
        raise ConfigError(reason)
    train_bytes = options.steps * options.batch_size * options.sequence_length * BYTES_PER_TOKEN
    how = Sampling(
        train_bytes, options.held_out_bytes, options.held_out_share, options.sequence_length, options.tokenizer,
        options.vocab_size, options.seed,
    )  # fmt: skip
    sources, domains = Preparation(output / "prepare", how, runner, progress).ready(mixture.sources, held_out)
    bench = _bench(sources, domains, options, output, runner, progress)
    tokens = [one.tokens for one in sources]
    budget = float(mixture.total_tokens or sum(tokens))
    limits = caps(tokens, budget, mixture.max_epochs)
    drawn = samples(tokens, limits, options.seed, 0, options.proxies - 1)
    results = bench.run({f"{i:04d}": one for i, one in enumerate([natural(tokens), *drawn])}, "proxies")
    objective = list(options.objective) or names
    weights = np.array([one["weights"] for one in results])
    losses = {name: np.array([one["bits_per_byte"][name] for one in results]) for name in names}
    target = np.mean([losses[name] for name in objective], axis=0)
    models = regression.candidates(weights, target)
    pool = samples(tokens, limits, options.seed, 1 << 20, options.simulated)
    predicted = models[0].fit(weights, target)(pool)
    best = np.argsort(predicted, kind="stable")[:AVERAGED]
    mixtures = {
        CHOSEN: tidy(pool[best].mean(axis=0)),
        "natural": natural(tokens),
        "temperature 0.3": temperature(tokens, 0.3),
        "unimax": unimax(tokens, budget, mixture.max_epochs),
        "uniform": temperature(tokens, 0.0),
    }
    spread = _spread(models[0], weights, target, mixtures, pool, options.seed)
    measured: dict[str, Any] = {"natural": results[0]["bits_per_byte"]}
    if options.measure:
        again = {f"check-{digest(w.tolist())[:12]}": w for name, w in mixtures.items() if name != "natural"}
        done = {one["name"]: one for one in bench.run(again, "the chosen mixture and baselines")}
        for name, w in mixtures.items():
            if name != "natural":
                measured[name] = done[f"check-{digest(w.tolist())[:12]}"]["bits_per_byte"]
    per_domain = {name: regression.candidates(weights, losses[name])[0] for name in names}
    return {
        "mixture": mixture.name,
        "options": asdict(options),
        "budget_tokens": budget,
        "max_epochs": mixture.max_epochs,
        "sources": [
            {**asdict(one), "packs": Path(one.packs).relative_to(output).as_posix(), "natural": n, "limit": limit}
            for one, n, limit in zip(sources, natural(tokens).tolist(), limits.tolist(), strict=True)
        ],
        "held_out": [{"name": one.name} for one in domains],
        "objective": objective,
        "regressions": [asdict(model) for model in models],
        "target_deviation": float(target.std()),
        "mixtures": {
            name: {
                "weights": w.tolist(),
                "predicted": float(models[0].fit(weights, target)(w[None])[0]),
                "predicted_by_domain": {d: float(per_domain[d].fit(weights, losses[d])(w[None])[0]) for d in names},
                "measured": _mean(measured.get(name), objective),
                "measured_by_domain": measured.get(name),
                **spread[name],
            }
            for name, w in mixtures.items()
        },
        "proxies": [
            {key: one[key] for key in ("name", "weights", "bits_per_byte", "loss", "tokens")} for one in results
        ],
        "proxy_epochs": [
            float(weights[:, i].max() * options.steps * options.batch_size / one.sequences)
            for i, one in enumerate(sources)
        ],
    }


def _bench(
    sources: Sequence[Ready],
    domains: Sequence[Domain],
    options: SearchOptions,
    output: Path,
    runner: Runner,
    progress: Progress,
) -> _Bench:
    """The proxies' folder, emptied where packs or training differ from what it was begun with."""
    from pipeline.packreader import open_packs

    training = Training(
        options.steps, options.batch_size, options.model, options.lr, options.seed, options.threads
    )  # fmt: skip
    folder = StepFolder(output / "proxies")
    packs = [open_packs(path).fingerprint for path in [one.packs for one in sources] + [one.packs for one in domains]]
    plan = {"training": asdict(training), "packs": packs}
    folder.begin(digest("proxies", plan, [one.name for one in domains]), plan)
    context = StepContext("mix search", folder, {}, runner, progress)
    return _Bench(context, sources, domains, training)


def tidy(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights in four digits, and none for a source with less than `MINIMUM`; they sum to 1."""
    made = np.where(weights < MINIMUM, 0.0, weights)
    made = np.round(made / made.sum(), 4)
    made[np.argmax(made)] += 1 - made.sum()
    return np.asarray(np.round(made, 4))


def _spread(
    model: regression.Model,
    weights: NDArray[np.float64],
    target: NDArray[np.float64],
    mixtures: Mapping[str, NDArray[np.float64]],
    pool: NDArray[np.float64],
    seed: int,
) -> dict[str, dict[str, Any]]:
    """By a bootstrap over proxies: each mixture's 5 and 95 % quantiles, how often the chosen one is predicted better,
    and the deviation of the chosen weights."""
    few = pool[: max(AVERAGED, 2000)]
    drawn = regression.bootstrap(model, weights, target, np.concatenate([np.stack(list(mixtures.values())), few]), seed)
    own, rest = drawn[:, : len(mixtures)], drawn[:, len(mixtures) :]
    top = max(1, AVERAGED * len(few) // len(pool))
    again = np.stack([few[np.argsort(row, kind="stable")[:top]].mean(axis=0) for row in rest])
    found: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(mixtures):
        low, high = np.quantile(own[:, i], [0.05, 0.95])
        found[name] = {"low": float(low), "high": float(high)}
        if name == CHOSEN:
            found[name]["weights_deviation"] = again.std(axis=0).tolist()
        else:
            found[name]["chosen_better"] = float(np.mean(own[:, 0] < own[:, i]))
    return found


def _mean(by_domain: Mapping[str, float] | None, objective: Sequence[str]) -> float | None:
    return None if by_domain is None else float(np.mean([by_domain[name] for name in objective]))
