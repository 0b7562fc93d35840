"""Memory that training takes on one device: weights, gradients, optimiser, activations, logits; needs no torch.

Bytes a parameter. bf16: fp32 weights 4 and the bf16 copies that autocast keeps 2, fp32 gradients 4. fp32: 4 and 4.
AdamW keeps two fp32 moments, 8; Muon one of each matrix and AdamW's two of embeddings, head and norms. DDP and one
process hold all of it on each device; FSDP2 an equal share, the largest layer whole and its gradient; tensor and
pipeline parallel their part of the layers, pipeline the embedding too.

Activations are counted from what the layers keep for the backward pass (nothing is recomputed but logits beyond one
slice), attention by a kernel that keeps no T x T matrix. The output layer's probabilities take the logits' place.
"""

from __future__ import annotations

from dataclasses import dataclass

from .config import MAX_LOGITS, ModelConfig
from .sizes import layer_parameters, parameters

PARALLEL = ("single", "ddp", "fsdp", "tensor", "pipeline")
OPTIMISERS = ("adamw", "muon")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one device."""

    weights: int
    gradients: int
    optimiser: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimiser + self.activations + self.logits


def memory(
    config: ModelConfig,
    sequence_length: int,
    micro_batch: int,
    *,
    precision: str = "bf16",
    optimiser: str = "adamw",
    parallel: str = "single",
    devices: int = 1,
) -> Memory:
    """What a step on `micro_batch` sequences takes on the fullest device."""
    count, largest = parameters(config), layer_parameters(config)
    embeddings = config.vocab_size * config.d_model * (1 if config.tied else 2)
    tokens = micro_batch * sequence_length
    held: float = count
    whole, kept_layers = 0, float(stacks(config) * config.n_layers)
    if parallel == "fsdp":
        held, whole = count / devices, largest if devices > 1 else 0
    elif parallel == "tensor":
        held = count / devices
    elif parallel == "pipeline":
        held = embeddings + (count - embeddings) / devices
        kept_layers /= devices
    share = held / count
    copies = 6 if precision == "bf16" else 4
    moments = 8 * held
    if optimiser == "muon":
        moments = 4 * (count - embeddings) * share + 8 * embeddings * share
    split = devices if parallel == "tensor" else 1
    in_flight = devices if parallel == "pipeline" else 1  # 1F1B's first stage holds as many micro-batches as stages
    layer = activation_bytes(config, precision, split)
    ends = 2 * 4 * config.d_model  # the embedding's output and the last norm's
    return Memory(
        weights=round(copies * held + whole * (2 if precision == "bf16" else 4)),
        gradients=round(4 * held + 4 * whole),
        optimiser=round(moments),
        activations=round(tokens * (kept_layers * layer + ends) * in_flight),
        logits=round(min(tokens * config.vocab_size / split, MAX_LOGITS) * (6 if precision == "bf16" else 4)),
    )


def activation_bytes(config: ModelConfig, precision: str = "bf16", split: int = 1) -> float:
    """Bytes that one layer keeps for the backward pass, a token; `split` tensor ranks share what is inside blocks.

    Kept are: both norms' inputs and the root of each (fp32); their outputs; queries and keys before their norms and as
    turned; values; attention's output and its normaliser; the feed-forward block's hidden values (of SwiGLU gate, up,
    silu(gate) and the product; of ReLU^2 two).
    """
    size = 2 if precision == "bf16" else 4
    width, keys = config.d_model, config.kv_heads * config.head_dim
    norms = 2 * (4 * width + 4) + 2 * size * width
    queries_keys = size * (width + keys) * (2 if config.qk_norm else 1)
    attention = queries_keys + size * keys + size * width + 4 * config.n_heads
    hidden = (4 if config.activation == "swiglu" else 2) * size * config.d_ff
    if config.n_experts:
        hidden = config.top_k * (hidden + 2 * size * width) + 4 * 2 * config.n_experts
    cross = attention + norms / 2 if config.form == "encoder_decoder" else 0
    return norms + (attention + hidden + cross) / split


def stacks(config: ModelConfig) -> int:
    """One, or an encoder and a decoder."""
    return 2 if config.form == "encoder_decoder" else 1
