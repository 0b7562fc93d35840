"""Published scaling rules: compute, batch size, learning rate, warm-up, loss. Plain numbers; N parameters, D tokens.

C = 6 N D FLOPs (Kaplan et al. 2020). Learning rate and batch size, for AdamW:
`step`      Li et al. 2025, "Step Law" (arXiv:2503.04715): lr = 1.79 N^-0.713 D^0.307, batch = 0.58 D^0.571 tokens, N
            without embeddings; fitted on 60M to 1B parameters and 2B to 100B tokens.
`deepseek`  DeepSeek-AI 2024 (arXiv:2401.02954): lr = 0.3118 C^-0.125, batch = 0.2920 C^0.3271 tokens, C without
            embeddings; fitted on 1e17 to 2e19 FLOPs and used for 7B and 67B parameters on 2T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

CHINCHILLA_LOSS = (1.69, 406.4, 0.34, 410.7, 0.28)
"""E, A, alpha, B, beta of Hoffmann et al. 2022 (arXiv:2203.15556), approach 3."""
WARMUP_STEPS = 2000
"""Of Llama (Touvron et al. 2023) and DeepSeek LLM."""
MOST_WARMUP = 0.1
"""Share of a run that warm-up takes at most, for short runs."""


@dataclass(frozen=True)
class Rule:
    """A rule for AdamW's peak learning rate and the batch: functions of N without embeddings and D."""

    name: str
    source: str
    lr: Callable[[float, float], float]
    batch_tokens: Callable[[float, float], float]
    fitted: Callable[[float, float], bool]


STEP = Rule(
    "step",
    "Li et al. 2025, arXiv:2503.04715",
    lambda n, d: 1.79 * n**-0.713 * d**0.307,
    lambda n, d: 0.58 * d**0.571,
    lambda n, d: 60e6 <= n <= 1.1e9 and 2e9 <= d <= 100e9,
)
DEEPSEEK = Rule(
    "deepseek",
    "DeepSeek-AI 2024, arXiv:2401.02954",
    lambda n, d: 0.3118 * compute(n, d) ** -0.125,
    lambda n, d: 0.2920 * compute(n, d) ** 0.3271,
    lambda n, d: 1e17 <= compute(n, d) <= 1e24,
)
RULES = {rule.name: rule for rule in (STEP, DEEPSEEK)}


def compute(n: float, d: float) -> float:
    """C = 6 N D."""
    return 6 * n * d


def choose_rule(name: str, n: float, d: float) -> Rule:
    """The named rule; of `auto` the one that was fitted there, the step law first, else DeepSeek's, which is milder."""
    if name != "auto":
        return RULES[name]
    return next((rule for rule in RULES.values() if rule.fitted(n, d)), DEEPSEEK)


def warmup_steps(steps: int) -> int:
    """Of a run of so many steps."""
    return max(1, min(WARMUP_STEPS, round(MOST_WARMUP * steps)))


def chinchilla_loss(n: float, d: float) -> float:
    """Loss in nats a token that Hoffmann et al. fitted for their data and tokenizer: good for comparing plans only."""
    e, a, alpha, b, beta = CHINCHILLA_LOSS
    return e + a / n**alpha + b / d**beta
