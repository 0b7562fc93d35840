"""AdamW, and Muon for the matrices of the layers, in one optimiser.

Muon (Jordan 2024, kellerjordan.github.io/posts/muon) replaces a matrix's momentum by the nearest orthogonal matrix,
which five steps of a quintic Newton-Schulz iteration come close enough to. An update is scaled by
0.2 sqrt(max(rows, columns)), so that its entries are about as large as AdamW's and both take the same learning rate and
weight decay (Liu et al. 2025, arXiv 2502.16982). Embeddings, output layer and vectors stay with AdamW.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .config import OptimConfig
from .parallel.state import alike, part_of, whole

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of x, x^3 and x^5: chosen by Jordan for speed; singular values end between about 0.7 and 1.2, not at 1."""
ITERATIONS = 5
RMS = 0.2
"""Root mean square that an update's entries have, as AdamW's do in practice (Liu et al. 2025)."""
_ADAM_ONLY = ("embedding", "head", "router")
"""Modules whose matrices are AdamW's: rows of the first two belong to single ids, of a router to single experts."""


def orthogonalised(matrix: Tensor) -> Tensor:
    """U V^T of the singular value decomposition of `matrix` (..., M, N), nearly: singular values come to lie around 1.

    Computed in the matrix's precision on the CPU and in bfloat16 on a GPU, where five iterations bear it.
    """
    x = matrix.bfloat16() if matrix.is_cuda else matrix.float()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrix.dtype)


class MuonAdamW(torch.optim.AdamW):
    """AdamW whose parameter groups with `muon` true take Muon's updates; `momentum` is Nesterov's.

    A parameter of a Muon group is a matrix, or a stack of matrices (..., M, N), such as a layer's experts. Its state is
    `momentum_buffer`. Of a sharded matrix every rank orthogonalises the whole and keeps its part.
    """

    param_groups: list[dict[str, Any]]

    def __init__(self, groups: list[dict[str, Any]], *, momentum: float = 0.95, **options: Any) -> None:
        super().__init__([{"muon": False, **group} for group in groups], **options)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        if closure is not None:
            raise ValueError("MuonAdamW takes no closure")
        every = self.param_groups
        try:
            self.param_groups = [group for group in every if not group["muon"]]
            super().step()
        finally:
            self.param_groups = every
        for group in every:
            if group["muon"]:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._muon(parameter, group["lr"], group["weight_decay"])

    def _muon(self, parameter: Tensor, lr: float, weight_decay: float) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        buffer = state["momentum_buffer"]
        buffer.lerp_(gradient, 1 - self.momentum)
        update = part_of(orthogonalised(whole(gradient.lerp(buffer, self.momentum))), parameter)
        parameter.mul_(1 - lr * weight_decay)
        parameter.add_(update, alpha=-lr * RMS * max(parameter.shape[-2:]) ** 0.5)


def make_optimiser(model: nn.Module, config: OptimConfig) -> MuonAdamW:
    """The optimiser of a model's parameters: matrices decay, vectors (norms) don't; with `muon` the matrices of the
    layers are Muon's."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    hidden = {name for name, p in named if config.muon and p.dim() > 1 and not set(name.split(".")) & set(_ADAM_ONLY)}
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in named if name in hidden], "weight_decay": config.weight_decay, "muon": True},
        {"params": [p for name, p in named if p.dim() > 1 and name not in hidden], "weight_decay": config.weight_decay},
        {"params": [p for _, p in named if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return MuonAdamW(
        [{**group, "params": together} for group in groups for together in alike(group["params"])],
        momentum=config.momentum, lr=config.lr, betas=(config.betas[0], config.betas[1]), eps=config.eps,
        fused=True,
    )  # fmt: skip
