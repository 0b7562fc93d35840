"""A plain training loop in the manner of nanoGPT: a GPT-2-like model on random windows of one file of ids.

Written for comparison, importing nothing of Gristmill: LayerNorm and GELU, learned positions, one matrix for queries,
keys and values, tied embeddings, no biases, PyTorch's own attention; batches are windows of a uint16 memmap at random
places; AdamW with warm-up, cosine and clipping.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Sizes of the model."""

    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    block: int
    dropout: float = 0.0


class Block(nn.Module):
    """Attention and a four times wider GELU layer, each after a LayerNorm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d = shape.d_model
        self.heads, self.dropout = shape.n_heads, shape.dropout
        self.ln1, self.ln2 = nn.LayerNorm(d, bias=False), nn.LayerNorm(d, bias=False)
        self.qkv, self.proj = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.up, self.down = nn.Linear(d, 4 * d, bias=False), nn.Linear(4 * d, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = (
            part.view(b, t, self.heads, d // self.heads).transpose(1, 2) for part in self.qkv(self.ln1(x)).split(d, 2)
        )
        p = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=p)
        x = x + F.dropout(self.proj(y.transpose(1, 2).reshape(b, t, d)), self.dropout, self.training)
        return x + F.dropout(self.down(F.gelu(self.up(self.ln2(x)))), self.dropout, self.training)


class Gpt(nn.Module):
    """Token and position embeddings, blocks, a last LayerNorm, the token embedding as output layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.dropout = shape.dropout
        self.tokens = nn.Embedding(shape.vocab_size, shape.d_model)
        self.positions = nn.Embedding(shape.block, shape.d_model)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.n_layers))
        self.norm = nn.LayerNorm(shape.d_model, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                residual = name.endswith(("proj.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * shape.n_layers) if residual else 0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) ids -> (B, T, V) logits."""
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        x = F.dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.tokens.weight)

    def parameter_count(self, positions: bool = False) -> int:
        """Parameters; nanoGPT's own count leaves out the position embedding."""
        return sum(p.numel() for p in self.parameters()) - (0 if positions else self.positions.weight.numel())


@dataclass
class Loop:
    """Trains the model on a file of uint16 ids. `seconds` counts steps only, not `each`."""

    model: Gpt
    path: Path
    block: int
    batch_size: int
    steps: int
    lr: float = 1e-3
    min_lr: float = 1e-4
    warmup: int = 100
    betas: tuple[float, float] = (0.9, 0.99)
    device: str = "cpu"

    def run(self, seed: int, each: Callable[[int], None] | None = None) -> float:
        """All steps; returns their seconds. `each` is called after every step."""
        random = torch.Generator().manual_seed(seed)
        model = self.model.to(self.device).train()
        decayed = [p for p in model.parameters() if p.dim() >= 2]
        others = [p for p in model.parameters() if p.dim() < 2]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.lr, betas=self.betas)
        seconds = 0.0
        for step in range(self.steps):
            start = time.perf_counter()
            for group in optimizer.param_groups:
                group["lr"] = self.rate(step)
            ids, targets = self.batch(random)
            loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()
            seconds += time.perf_counter() - start
            if each is not None:
                each(step + 1)
        return seconds

    def batch(self, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Windows at random places, and the ids that follow each of theirs."""
        data = np.memmap(self.path, dtype=np.uint16, mode="r")
        at = torch.randint(len(data) - self.block, (self.batch_size,), generator=random).tolist()
        ids = torch.stack([torch.from_numpy(data[i : i + self.block].astype(np.int64)) for i in at])
        targets = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + self.block].astype(np.int64)) for i in at])
        return ids.to(self.device), targets.to(self.device)

    def rate(self, step: int) -> float:
        """Linear warm-up, then a cosine down to `min_lr` at the last step."""
        if step < self.warmup:
            return self.lr * (step + 1) / (self.warmup + 1)
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.min_lr + 0.5 * (1 + math.cos(math.pi * share)) * (self.lr - self.min_lr)
