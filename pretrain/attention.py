"""Attention within documents: rotary positions, shared key heads, normalised queries and keys.

Shapes: B sequences, T query positions, K key positions, D width, H heads, G key heads.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from .config import ModelConfig
from .norm import RMSNorm
from .rope import rotate

PIECE_COST = 650_000
"""What a call of attention costs forward and back on a CPU core beside its work: as much as so many pairs of positions
at a width of one (0.13 ms at 0.2 ns a pair)."""


class Context(NamedTuple):
    """What all layers of a stack share: angles, and which key positions a query position sees."""

    table: Tensor | None  # of rope.rotary_table; None: positions are not turned (cross attention)
    mask: Any  # (B, 1, T, K) bool, True: seen; or a BlockMask; None: all, or all up to itself if `causal`
    causal: bool
    seen: Tensor | None = None  # (B, T, 1) bool: whether the position sees any key; None: all do
    valid: Tensor | None = None  # (B, T) bool: no padding; for routers. None: all are
    pieces: list[int] | None = None  # lengths that cut B * T positions into documents, for attention one by one


def one_document_a_row(segment_ids: Tensor) -> bool:
    """Whether each row is one document and padding after it, so that plain causal attention leaks nothing."""
    later = segment_ids[:, 1:]
    return bool(((later == segment_ids[:, :-1]) | (later == -1)).all())


def pieces_of(segment_ids: Tensor, width: int) -> list[int] | None:
    """Lengths that cut all rows' positions (B * T), row by row, into documents and runs of padding.

    None where a document is not in one piece, since something was removed from inside it, or where a mask is faster.
    """
    ids = segment_ids.numpy()
    rows, length = ids.shape
    begins = np.ones(ids.shape, bool)
    begins[:, 1:] = ids[:, 1:] != ids[:, :-1]
    starts = np.flatnonzero(begins)
    sizes = np.diff(starts, append=ids.size)
    if (sizes**2).sum() + len(sizes) * PIECE_COST / width >= ids.size * length:
        return None
    found = np.stack((starts // length, ids.reshape(-1)[starts]), 1)[ids.reshape(-1)[starts] >= 0]
    if len(np.unique(found, axis=0)) < len(found):
        return None
    pieces: list[int] = sizes.tolist()
    return pieces


def document_mask(queries: Tensor, keys: Tensor, causal: bool) -> Tensor:
    """(B, T), (B, K) segment ids -> (B, 1, T, K) bool: seen is the same document, up to itself if causal.

    Padding sees padding only, so that in self-attention no row is empty.
    """
    same = queries[:, :, None] == keys[:, None, :]
    return (same.tril() if causal else same).unsqueeze(1)


def block_mask(queries: Tensor, keys: Tensor, causal: bool) -> BlockMask:
    """The same as `document_mask` for FlexAttention: whole blocks that see nothing are left out."""

    def seen(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        same = queries[b, i] == keys[b, j]
        return same & (i >= j) if causal else same

    b, t = queries.shape
    return create_block_mask(seen, b, None, t, keys.shape[1], device=queries.device)


def self_context(segment_ids: Tensor | None, table: Tensor, config: ModelConfig, causal: bool) -> Context:
    """The context of self-attention in rows with these segment ids (B, T); None: each row is one document.

    On a CPU a batch with one document a row needs no mask, and documents much shorter than rows are attended one by
    one; elsewhere to find out would wait for the device, so give None there.
    """
    if segment_ids is None:
        return Context(table, None, causal)
    valid = segment_ids >= 0 if config.n_experts else None
    eager_cpu = segment_ids.device.type == "cpu" and not torch.compiler.is_compiling()
    if causal and eager_cpu and one_document_a_row(segment_ids):
        return Context(table, None, causal, valid=valid)
    by_blocks = _by_blocks(config, segment_ids)
    if eager_cpu and not by_blocks and (pieces := pieces_of(segment_ids, config.d_model)):
        return Context(table, None, causal, valid=valid, pieces=pieces)
    made = block_mask if by_blocks else document_mask
    return Context(table, made(segment_ids, segment_ids, causal), causal, valid=valid)


def cross_context(queries: Tensor | None, keys: Tensor | None, config: ModelConfig) -> Context:
    """The context of attention from a decoder's positions (B, T) to an encoder's (B, K), within documents."""
    if queries is None or keys is None:
        return Context(None, None, False)
    if _by_blocks(config, queries):
        return Context(None, block_mask(queries, keys, causal=False), False)
    mask = document_mask(queries, keys, causal=False)
    seen = mask.any(-1, keepdim=True)  # a row without keys would be NaN: it sees all, and its result is made 0
    return Context(None, mask | ~seen, False, seen.squeeze(1))


def _by_blocks(config: ModelConfig, segment_ids: Tensor) -> bool:
    """Whether to take FlexAttention, which has no dropout of its weights."""
    return config.attention == "flex" or (config.attention == "auto" and segment_ids.is_cuda and not config.dropout)


def _flat(x: Tensor) -> Tensor:
    """(B, H, T, head_dim) -> (B * T, H, head_dim)."""
    return x.transpose(1, 2).flatten(0, 1)


@cache
def _compiled_flex() -> Any:
    return torch.compile(flex_attention)


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
        self.query_norm = RMSNorm(config.head_dim, eps=config.norm_eps) if config.qk_norm else None
        self.key_norm = RMSNorm(config.head_dim, eps=config.norm_eps) if config.qk_norm else None

    def forward(self, x: Tensor, context: Context, memory: Tensor | None = None) -> Tensor:
        q, k = self.queries_keys(x, context, memory)
        v = self._heads(self.value(x if memory is None else memory)).transpose(1, 2)
        if isinstance(context.mask, BlockMask):
            flex = _compiled_flex() if q.is_cuda and not torch.compiler.is_compiling() else flex_attention
            y = flex(q, k, v, block_mask=context.mask, enable_gqa=self.grouped)
        elif context.pieces is not None:
            y = self._by_pieces(q, k, v, context.pieces, context.causal)
        else:
            y = self._attend(q, k, v, context.mask, context.causal and context.mask is None)
        y = y.transpose(1, 2).flatten(2)
        return self.out(y if context.seen is None else y * context.seen)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        dropped = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=causal, dropout_p=dropped, enable_gqa=self.grouped
        )

    def _by_pieces(self, q: Tensor, k: Tensor, v: Tensor, pieces: list[int], causal: bool) -> Tensor:
        """Each piece attends to itself: work grows with the square of documents, not of rows. Shapes as `_attend`'s."""
        parts = ([part.transpose(0, 1)[None] for part in _flat(x).split(pieces)] for x in (q, k, v))
        found = [self._attend(a, b, c, None, causal) for a, b, c in zip(*parts, strict=True)]
        rows = torch.cat([y.squeeze(0).transpose(0, 1) for y in found])
        return rows.view(q.shape[0], q.shape[2], -1, self.head_dim).transpose(1, 2)

    def queries_keys(self, x: Tensor, context: Context, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Normalised and turned queries (B, H, T, head_dim) and keys (B, G, K, head_dim)."""
        q, k = self._heads(self.query(x)), self._heads(self.key(x if memory is None else memory))
        if self.query_norm is not None and self.key_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        if context.table is not None:
            q, k = rotate(q, context.table), rotate(k, context.table)
        return q.transpose(1, 2), k.transpose(1, 2)

    def _heads(self, x: Tensor) -> Tensor:
        """(B, T, heads * head_dim) -> (B, T, heads, head_dim)."""
        return x.view(x.shape[0], x.shape[1], -1, self.head_dim)
