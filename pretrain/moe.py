"""Mixture of experts in place of the feed-forward block: top-k routing without capacity, so that no token is dropped.

Shapes: N tokens, D width, E experts, F hidden width of an expert, K experts of a token.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig


class MixtureOfExperts(nn.Module):
    """Each token goes to its K likeliest experts by a softmax gate (Shazeer et al. 2017; GShard, Lepikhin et al. 2020).

    The gates of the chosen experts are scaled to sum to one, as in GShard's top-2, so that identical experts are one
    dense block; with K = 1 the gate is the probability itself, as in Switch, or the router would learn nothing.
    The router works in float32. Tokens are sorted by expert; the experts' products are a loop on the CPU and one
    grouped product on a GPU.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_experts, self.top_k = config.n_experts, config.top_k
        inner, outer = (config.n_experts, config.d_ff, config.d_model), (config.n_experts, config.d_model, config.d_ff)
        self.router = nn.Linear(config.d_model, config.n_experts, bias=False)
        self.gate = nn.Parameter(torch.empty(inner)) if config.activation == "swiglu" else None
        self.up = nn.Parameter(torch.empty(inner))
        self.down = nn.Parameter(torch.empty(outer))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, D) -> the same, and (load-balance loss, router z-loss) as a (2,) tensor, over the `valid` (B, T)."""
        flat = x.flatten(0, 1)
        with torch.autocast(x.device.type, enabled=False):
            logits = F.linear(flat.float(), self.router.weight.float())
        gates, chosen = logits.softmax(-1).topk(self.top_k, dim=-1)
        if self.top_k > 1:
            gates = gates / gates.sum(-1, keepdim=True)
        losses = router_losses(logits, chosen, None if valid is None else valid.flatten())
        order = chosen.flatten().argsort(stable=True)
        tokens = order // self.top_k
        y = self._experts(flat[tokens], chosen.flatten()[order])
        y = y * gates.flatten()[order].unsqueeze(1).to(y.dtype)
        return torch.zeros_like(flat, dtype=y.dtype).index_add(0, tokens, y).view(x.shape), losses

    def _experts(self, x: Tensor, expert: Tensor) -> Tensor:
        """Tokens sorted by expert (N K, D), and each one's expert, to the experts' outputs (N K, D)."""
        counts = torch.zeros(self.n_experts, dtype=torch.int32, device=x.device)
        counts = counts.index_add(0, expert, torch.ones_like(expert, dtype=torch.int32))
        if x.is_cuda:
            return self._block(x, counts.cumsum(0, dtype=torch.int32))
        parts = x.split(counts.tolist())
        return torch.cat([self._one(part, i) for i, part in enumerate(parts) if len(part)])

    def _one(self, x: Tensor, i: int) -> Tensor:
        up = F.linear(x, self.up[i])
        return F.linear(
            F.relu(up).square() if self.gate is None else F.silu(F.linear(x, self.gate[i])) * up, self.down[i]
        )

    def _block(self, x: Tensor, ends: Tensor) -> Tensor:
        """All experts at once; expert i has the rows up to `ends[i]` (E,) int32. The kernel takes bfloat16."""
        dtype, x = x.dtype, x.bfloat16()

        def product(rows: Tensor, weight: Tensor) -> Tensor:
            return F.grouped_mm(rows, weight.bfloat16().transpose(1, 2), offs=ends)

        up = product(x, self.up)
        inner = F.relu(up).square() if self.gate is None else F.silu(product(x, self.gate)) * up
        return product(inner, self.down).to(dtype)


def router_losses(logits: Tensor, chosen: Tensor, valid: Tensor | None) -> Tensor:
    """(load-balance loss, router z-loss) of (N, E) logits and (N, K) chosen experts, over the valid tokens (N,).

    Balance is E * sum_i f_i P_i, f_i the share of the N K assignments that expert i got and P_i its mean probability
    (Fedus et al. 2021, eq. 4): 1 if both are even. The z-loss is the mean of logsumexp(logits)^2 (Zoph et al. 2022,
    eq. 5). Both are 0 without a valid token.
    """
    n_experts = logits.shape[1]
    weight = logits.new_ones(logits.shape[0]) if valid is None else valid.to(logits.dtype)
    total = weight.sum().clamp(min=1)
    probability = (logits.softmax(-1) * weight[:, None]).sum(0) / total
    assigned = logits.new_zeros(n_experts).index_add(0, chosen.flatten(), weight.repeat_interleave(chosen.shape[1]))
    balance = n_experts * (assigned / (total * chosen.shape[1]) * probability).sum()
    return torch.stack((balance, (logits.logsumexp(-1).square() * weight).sum() / total))
