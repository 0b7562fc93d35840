"""Attention within documents: rotary positions, shared key heads, normalised queries and keys.

Shapes: B sequences, T query positions, K key positions, D width, H heads, G key heads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig
from .rope import rotate


class Context(NamedTuple):
    """What all layers of a stack share: angles, and which key positions a query position sees."""

    cos: Tensor | None  # (T, head_dim / 2); None: positions are not turned (cross attention)
    sin: Tensor | None
    mask: Any  # (B, 1, T, K) bool, True: seen; or a BlockMask; None: all, or all up to itself if `causal`
    causal: bool
    seen: Tensor | None = None  # (B, T, 1) bool: whether the position sees any key; None: all do


def one_document_a_row(segment_ids: Tensor) -> bool:
    """Whether each row is one document and padding after it, so that plain causal attention leaks nothing."""
    later = segment_ids[:, 1:]
    return bool(((later == segment_ids[:, :-1]) | (later == -1)).all())


def document_mask(queries: Tensor, keys: Tensor, causal: bool) -> Tensor:
    """(B, T), (B, K) segment ids -> (B, 1, T, K) bool: seen is the same document, up to itself if causal.

    Padding sees padding only, so that in self-attention no row is empty.
    """
    same = queries[:, :, None] == keys[:, None, :]
    return (same.tril() if causal else same).unsqueeze(1)


class Attention(nn.Module):
    """Multi-head attention, (B, T, D) -> (B, T, D); to `memory` (B, K, D), if given, instead of itself."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_dim, self.dropout = config.head_dim, config.dropout
        self.grouped = config.kv_heads != config.n_heads
        width = config.kv_heads * config.head_dim
        self.query = nn.Linear(config.d_model, config.d_model, bias=False)
        self.key = nn.Linear(config.d_model, width, bias=False)
        self.value = nn.Linear(config.d_model, width, bias=False)
        self.out = nn.Linear(config.d_model, config.d_model, bias=False)
        self.query_norm = nn.RMSNorm(config.head_dim, eps=config.norm_eps) if config.qk_norm else None
        self.key_norm = nn.RMSNorm(config.head_dim, eps=config.norm_eps) if config.qk_norm else None

    def forward(self, x: Tensor, context: Context, memory: Tensor | None = None) -> Tensor:
        q, k = self.queries_keys(x, context, memory)
        v = self._heads(self.value(x if memory is None else memory))
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=context.mask, is_causal=context.causal and context.mask is None,
            dropout_p=self.dropout if self.training else 0.0, enable_gqa=self.grouped,
        )  # fmt: skip
        y = y.transpose(1, 2).flatten(2)
        return self.out(y if context.seen is None else y * context.seen)

    def queries_keys(self, x: Tensor, context: Context, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Normalised and turned queries (B, H, T, head_dim) and keys (B, G, K, head_dim)."""
        q, k = self._heads(self.query(x)), self._heads(self.key(x if memory is None else memory))
        if self.query_norm is not None and self.key_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        if context.cos is not None and context.sin is not None:
            q, k = rotate(q, context.cos, context.sin), rotate(k, context.cos, context.sin)
        return q, k

    def _heads(self, x: Tensor) -> Tensor:
        """(B, T, heads * head_dim) -> (B, heads, T, head_dim)."""
        return x.view(x.shape[0], x.shape[1], -1, self.head_dim).transpose(1, 2)
