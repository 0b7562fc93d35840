"""A small decoder-only Transformer: RMSNorm, rotary positions, SwiGLU, causal attention within documents.

Follows the Llama layout (Touvron et al. 2023): pre-normalisation, no biases; input and output
embeddings are shared. Shapes: B sequences, T positions, D width, H heads, V ids.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.errors import ConfigError, nearest

from .sizes import SIZES


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of the model. `d_ff` is the hidden width of the SwiGLU block."""

    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5


def model_config(size: str, vocab_size: int) -> ModelConfig:
    """The configuration of a named size; `vocab_size` is rounded up to a multiple of 64."""
    if size not in SIZES:
        raise ConfigError(f"no model size is called '{size}'{nearest(size, SIZES)}; there are {', '.join(SIZES)}")
    return ModelConfig(vocab_size=-(-vocab_size // 64) * 64, **SIZES[size])


def rotary_table(length: int, head_dim: int, theta: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """cos and sin, each (T, head_dim / 2), of the rotary position embedding (Su et al. 2021)."""
    rates = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), rates)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + head_dim / 2) of x (B, H, T, head_dim) by their position's angles."""
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1).to(x.dtype)


def document_mask(segment_ids: Tensor) -> Tensor:
    """(B, 1, T, T) bool: position i may see j if j <= i lies in the same document; padding sees padding only,
    so that no row is empty."""
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    return same.tril().unsqueeze(1)


class Attention(nn.Module):
    """Multi-head causal self-attention, (B, T, D) -> (B, T, D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model, bias=False)
        self.out = nn.Linear(config.d_model, config.d_model, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.n_heads, d // self.n_heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(
            rotate(q, cos, sin), rotate(k, cos, sin), v, attn_mask=mask, is_causal=mask is None
        )
        return self.out(y.transpose(1, 2).reshape(b, t, d))


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020): W_down(silu(W_gate x) * W_up x)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.d_model, 2 * config.d_ff, bias=False)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Layer(nn.Module):
    """Attention and feed-forward, each on the normalised residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin, mask)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Transformer(nn.Module):
    """The language model. Weights are normal with deviation 0.02, those that write to the residual
    stream divided by sqrt(2 n_layers) (Radford et al. 2019), so an untrained model's loss is about ln V."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        self.norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                residual = name.endswith(("attention.out.weight", "feed_forward.down.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * config.n_layers) ** 0.5 if residual else 0.02)

    def hidden(self, input_ids: Tensor, segment_ids: Tensor | None = None) -> Tensor:
        """Last normalised hidden states, (B, T) -> (B, T, D). Without segments attention is plainly causal."""
        head_dim = self.config.d_model // self.config.n_heads
        cos, sin = rotary_table(input_ids.shape[1], head_dim, self.config.rope_theta, input_ids.device)
        mask = None if segment_ids is None else document_mask(segment_ids)
        x = self.embedding(input_ids)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return self.norm(x)

    def forward(self, input_ids: Tensor, segment_ids: Tensor | None = None) -> Tensor:
        """Logits, (B, T) -> (B, T, V)."""
        return F.linear(self.hidden(input_ids, segment_ids), self.embedding.weight)
