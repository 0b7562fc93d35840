"""Which steps' updates are left out: those that are not finite, and spikes of the loss or the gradient norm.

A step is a spike if its loss or its gradient norm lies more than `sigma` deviations above the mean of the last `window`
accepted steps (the rule of OLMo-core's SkipStepOptimizer, AI2), and at least the share `min_rise` of the mean, so
that a loss that hardly varies is no trap. Steps that were left out don't enter the window: a spike does not raise the
bar for the next one. More than `max_skips` of them within `window` steps are no accident of single batches: then the
run goes back to a good checkpoint and on with other batches (as PaLM did; Chowdhery et al. 2022, section 5.1).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, NamedTuple

from .config import SpikeConfig


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
        """Whether none of the last `window` steps was left out: what was learned by then is good to go back to."""
        return not any(self._recent)

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
