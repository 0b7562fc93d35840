"""What an ablation will take, before it starts: runs, tokens, and minutes by a few timed steps on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError

from .design import BUDGET, PRESET_SETS, WHERE, Arm, Design
from .prepare import CURVE_SHARE

if TYPE_CHECKING:
    from pretrain.data import Batch
    from pretrain.inputs import Inputs

BYTES_A_TOKEN = 3.5
"""Of held-out text, for the estimate."""
ANSWER_TOKENS = 64
"""Of an item with its prompt, for the estimate."""
TIMED_STEPS = 3


@dataclass(frozen=True)
class Plan:
    """Seconds are of one worker that has its core to itself."""

    runs: int
    steps: int
    tokens: int  # of all runs
    parameters: int
    step_s: float
    measure_s: float  # of a run: the curve and the end
    workers: int

    @property
    def run_s(self) -> float:
        return self.steps * self.step_s + self.measure_s

    @property
    def total_s(self) -> float:
        """Of all runs; preparing the arms comes on top."""
        return -(-self.runs // self.workers) * self.run_s

    def lines(self) -> list[str]:
        """The plan in words."""
        return [
            f"{self.runs} runs of {self.steps:,} steps, a model of {self.parameters:,} parameters,"
            f" {self.tokens:,} tokens in all",
            f"a run takes about {self.run_s / 60:.1f} minutes ({self.step_s:.2f} s a step,"
            f" {self.measure_s:.0f} s to measure), all of them {self.total_s / 60:.0f} minutes"
            f" on {self.workers} worker(s), and the arms' preparation on top",
        ]


def plan(arms: Sequence[Arm], design: Design, workers: int) -> Plan:
    """The plan of an ablation. Times a few steps on made-up tokens; reads no arm."""
    count = len(arms)
    runs = design.seeds * (count if "tokens" in design.readings else 0)
    if "bytes" in design.readings:  # at most: arms of like bytes a token share their runs
        runs += design.seeds * (count - 1 if "tokens" in design.readings else count)
    parameters, step_s, token_s = _timed(design)
    steps = design.run_steps
    return Plan(
        runs, steps, runs * steps * design.step_tokens, parameters, step_s, _measured_tokens(design) * token_s, workers
    )


def within_budget(arms: Sequence[Arm], design: Design, minutes: float, workers: int, out: Path) -> Design:
    """The design with as many steps as end within `minutes` by the plan.

    Where the folder holds the same ablation, begun with the same budget, its steps are taken: timing again would give
    another number, and other runs. Raises ConfigError where the minutes don't suffice for 10 steps, and where the
    ablation in the folder was begun with another budget or with steps.
    """
    steps, before = _begun(design, out)
    if steps and before == minutes:
        return replace(design, steps=steps, tokens=0)
    if steps:
        how = f"--budget {before:g}, which gave {steps} steps" if before else f"--steps {steps} and no --budget"
        again = f"--budget {before:g}" if before else "no --budget"
        raise ConfigError(
            f"{WHERE}: '{out}' holds this ablation, begun with {how}; --budget {minutes:g} would be other runs: give"
            f" {again} to go on, --steps N for runs of N steps beside those, or another --output"
        )
    planned = plan(arms, design, workers)
    rounds = -(-planned.runs // workers)
    steps = int((minutes * 60 / rounds - planned.measure_s) / planned.step_s)
    if steps < 10:
        least = rounds * (10 * planned.step_s + planned.measure_s) / 60
        raise ConfigError(
            f"{WHERE}: {minutes:g} minutes are not enough for {planned.runs} runs, which take {least:.1f} for 10 steps:"
            " take fewer seeds, a smaller model or batch, less held-out text, or one reading"
        )
    return replace(design, steps=steps, tokens=0)


def _begun(design: Design, out: Path) -> tuple[int, float | None]:
    """(steps, budget) of the ablation that the folder holds; no steps where it holds none or one of another design."""
    from pipeline.yaml_input import load_yaml

    path = out / "design.yaml"
    plain = load_yaml(path.read_bytes(), str(path)) if path.is_file() else None
    if not isinstance(plain, dict) or not isinstance(old := plain.get("design"), dict):
        return 0, None
    ignored = ("steps", "tokens", "seeds", "margin", "alpha", "judge", "compare", "resamples")
    mine = {key: value for key, value in design.plain().items() if key not in ignored}
    if mine != {key: value for key, value in old.items() if key not in ignored}:
        return 0, None
    return int(old.get("steps", 0)), plain.get(BUDGET)


def _measured_tokens(design: Design) -> float:
    """Tokens that a run's model reads to be measured."""
    sets = len(design.held_out) + (len(PRESET_SETS) if design.preset else 0)
    held_out = sets * design.held_out_bytes / BYTES_A_TOKEN
    gold = (len(design.gold) + (4 if design.preset else 0)) * design.gold_items * ANSWER_TOKENS
    return held_out * (1 + design.evaluations / CURVE_SHARE) + gold


def _timed(design: Design) -> tuple[int, float, float]:
    """(parameters, seconds of a step, seconds of a token without gradients) on made-up tokens."""
    import torch

    from pretrain.inputs import Inputs
    from pretrain.loop import optimise
    from pretrain.model import Transformer
    from pretrain.parallel import plan as parallel_plan
    from pretrain.sizes import model_config

    from .measure import MAX_BATCH_TOKENS, token_nats

    config = design.train_config(design.first_seed, TIMED_STEPS + 1)
    rows = vocabulary(design)
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads or before)
    try:
        model = Transformer(model_config(config.size, rows, **config.model))
        marks = [time.perf_counter()]
        for _ in optimise(model, _NextToken(), _MadeUp(design, rows), config, parallel=parallel_plan(config)):
            marks.append(time.perf_counter())
        ids = torch.randint(rows, (max(1, MAX_BATCH_TOKENS // design.sequence_length), design.sequence_length))
        begin = time.perf_counter()
        token_nats(model, Inputs(ids, torch.zeros(ids.shape, dtype=torch.int32), ids))
        measured = time.perf_counter() - begin
    finally:
        torch.set_num_threads(before)
    return sum(p.numel() for p in model.parameters()), (marks[-1] - marks[1]) / TIMED_STEPS, measured / ids.numel()


def vocabulary(design: Design) -> int:
    """Ids of the models."""
    from pipeline.bpe import load_tokenizer
    from pipeline.packs import RESERVED

    return (load_tokenizer(design.tokenizer).vocab_size if design.tokenizer else design.vocab_size) + RESERVED


class _NextToken:
    """The causal objective, without a pack set."""

    def prepare(self, batch: Batch, seed: int) -> Inputs:
        from pretrain.inputs import Inputs
        from pretrain.objectives.causal import causal_targets

        assert batch.segment_ids is not None
        targets = causal_targets(batch.input_ids, batch.segment_ids)
        return Inputs(batch.input_ids, batch.segment_ids, targets, n_valid=int((targets >= 0).sum()))

    def loss(self, model: Any, inputs: Inputs) -> Any:
        return model(inputs)


class _MadeUp:
    """A source of batches of random tokens, one document a sequence."""

    def __init__(self, design: Design, vocabulary: int) -> None:
        self._shape, self._vocabulary = (design.batch_size, design.sequence_length), vocabulary

    def __iter__(self) -> Iterator[Batch]:
        import numpy as np
        import torch

        from pretrain.data import Batch

        while True:
            ids = torch.randint(self._vocabulary, self._shape)
            yield Batch(ids, torch.zeros(self._shape, dtype=torch.int32), np.arange(self._shape[0]), 0)
