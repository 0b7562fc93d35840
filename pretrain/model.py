"""A small decoder-only Transformer: RMSNorm, rotary positions, SwiGLU, SDPA, attention within documents only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Sizes of a model. `dim` must be divisible by `heads`, and the quotient be even."""

    layers: int
    dim: int
    heads: int

    @property
    def hidden(self) -> int:
        """Width of the feed-forward layer: 8/3 of `dim` in steps of 32, as in Llama."""
        return -(-8 * self.dim // 3 // 32) * 32


SHAPES = {
    "nano": Shape(2, 64, 2),
    "tiny": Shape(4, 128, 4),
    "small": Shape(6, 384, 6),
    "base": Shape(12, 768, 12),
}


def rotary(length: int, dim: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """(cos, sin), each (length, dim // 2), of the rotary embedding (Su et al. 2021)."""
    frequency = base ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    angle = torch.outer(torch.arange(length, dtype=torch.float32), frequency)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (first half, second half) of the last dimension of (..., length, dim) by their position."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def document_mask(segments: Tensor) -> Tensor:
    """(batch, 1, length, length), True where a token may look: back, and within its own document."""
    length = segments.shape[1]
    same = segments[:, :, None] == segments[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    return (same & causal)[:, None]


class Block(nn.Module):
    """Attention and feed-forward, each behind an RMSNorm and added to the stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm_attention = nn.RMSNorm(shape.dim)
        self.norm_feed = nn.RMSNorm(shape.dim)
        self.qkv = nn.Linear(shape.dim, 3 * shape.dim, bias=False)
        self.out = nn.Linear(shape.dim, shape.dim, bias=False)
        self.gate_up = nn.Linear(shape.dim, 2 * shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.dim, bias=False)

    def forward(self, x: Tensor, mask: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: (batch, length, dim)."""
        batch, length, dim = x.shape
        heads = self.qkv(self.norm_attention(x)).view(batch, length, 3, self.heads, dim // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, attn_mask=mask)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, dim))
        gate, up = self.gate_up(self.norm_feed(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Transformer(nn.Module):
    """Token ids and document segments to logits; the head shares the embedding's weights."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape, vocab_size: int, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, shape.dim)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.dim)
        cos, sin = rotary(length, shape.dim // shape.heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        deep = 0.02 / (2 * shape.layers) ** 0.5
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=deep if name.endswith(("out.weight", "down.weight")) else 0.02)

    def forward(self, ids: Tensor, segments: Tensor) -> Tensor:
        """ids, segments: (batch, length) of int64; returns logits (batch, length, vocabulary)."""
        mask = document_mask(segments)
        length = ids.shape[1]
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, mask, self.cos[:length], self.sin[:length])
        return F.linear(self.norm(x), self.embedding.weight)
