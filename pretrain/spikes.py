"""Which steps' updates are left out: those that are not finite, and spikes of the loss or the gradient norm.

A step is a spike if its loss or its gradient norm lies more than `sigma` deviations above the mean of the last `window`
accepted steps (the rule of OLMo-core's SkipStepOptimizer, AI2), and at least the share `min_rise` of the mean, so
that a loss that hardly varies is no trap. Steps that were left out don't enter the window: a spike does not raise the
bar for the next one. More than `max_skips` of them within `window` steps are no accident of single batches: then the
run goes back to a good checkpoint and on with other batches (as PaLM did; Chowdhery et al. 2022, section 5.1: to about
100 steps before the spike).

A loss that rises slowly raises the bar with it and is no spike, but what is learned meanwhile is not worth going back
to. So a run is `calm` only while no step was left out within the window and the mean of the window's newest quarter
isn't above that of the rest by `RISE` standard errors. The bad stretch that ends in a rewind begins where the run
ceased to be calm; a rise takes up to a quarter of the window to show. The rewind goes to the newest checkpoint that was
calm when it was made and is older than that by a quarter of the window (`lag`).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, NamedTuple

from .config import SpikeConfig

RISE = 3.0
"""Standard errors by which the newest quarter of the window's losses is above the rest where a loss is rising."""


class Verdict(NamedTuple):
    """What is to become of a step. The limits are None as long as there is too little to judge by."""

    skip: str | None  # "loss", "grad_norm", "nonfinite", or None: take the step
    too_many: bool  # more than `max_skips` within the window
    loss_limit: float | None
    grad_norm_limit: float | None


class SpikeGuard:
    """Judges the steps in order; its state is plain JSON."""

    def __init__(self, config: SpikeConfig) -> None:
        self.config = config
        self._losses: deque[float] = deque(maxlen=config.window)
        self._norms: deque[float] = deque(maxlen=config.window)
        self._recent: deque[bool] = deque(maxlen=config.window)

    @property
    def calm(self) -> bool:
        """Whether none of the last `window` steps was left out and the loss isn't rising."""
        return not any(self._recent) and not self._rising()

    @property
    def lag(self) -> int:
        """Steps within which a rise of the loss shows."""
        return -(-self.config.window // 4)

    def _rising(self) -> bool:
        """Whether the newest quarter's mean lies above the others' by `RISE` standard errors of the difference."""
        count, newest = len(self._losses), self.lag
        if count < max(self.config.min_history, 2 * newest):
            return False
        losses = list(self._losses)
        mean = math.fsum(losses) / count
        deviation = math.sqrt(math.fsum((loss - mean) ** 2 for loss in losses) / count)
        before, after = math.fsum(losses[:-newest]) / (count - newest), math.fsum(losses[-newest:]) / newest
        return after - before > RISE * deviation * math.sqrt(1 / newest + 1 / (count - newest))

    def judge(self, loss: float, grad_norm: float) -> Verdict:
        """The verdict on the next step, which the window then knows of."""
        limits = self._limit(self._losses), self._limit(self._norms)
        skip = None
        if not math.isfinite(loss) or not math.isfinite(grad_norm):
            skip = "nonfinite"
        elif self.config.enabled and limits[0] is not None and loss > limits[0]:
            skip = "loss"
        elif self.config.enabled and limits[1] is not None and grad_norm > limits[1]:
            skip = "grad_norm"
        self._recent.append(skip is not None)
        if skip is None:
            self._losses.append(loss)
            self._norms.append(grad_norm)
        return Verdict(skip, sum(self._recent) > self.config.max_skips, *limits)

    def _limit(self, values: deque[float]) -> float | None:
        if len(values) < self.config.min_history:
            return None
        mean = math.fsum(values) / len(values)
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        return mean + max(self.config.sigma * deviation, self.config.min_rise * abs(mean))

    def forget(self) -> None:
        """Begin anew, as at the first step."""
        for one in (self._losses, self._norms, self._recent):
            one.clear()

    def state(self) -> dict[str, Any]:
        """The window."""
        return {"losses": list(self._losses), "grad_norms": list(self._norms), "skipped": list(self._recent)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.forget()
        self._losses.extend(state["losses"])
        self._norms.extend(state["grad_norms"])
        self._recent.extend(state["skipped"])
