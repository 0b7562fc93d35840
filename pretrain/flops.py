"""Floating-point operations of training, by form, objective and length; needs no torch.

A product of a token's vector with a matrix takes two operations a weight, and its backward pass twice as many: 6 in
all. With width d, l layers, attention's four matrices A = 2 d^2 + 2 d k (k: width of the keys), the feed-forward
block's B weights that a token meets (with experts those of `top_k`, and the router), V ids:

    a side of n tokens in rows of T     l n (6 (A + B) + 12 d T)
    attention of m to n tokens          l (6 (2 d^2 m + 2 d k n) + 12 d T m)     T: the encoder's rows
    logits of p positions               6 d V p

An encoder or a decoder is one side, with p the targets (all tokens but a document's last; of masked training a seventh;
of contrastive pairs none). An encoder-decoder is two and the attention between them. For a decoder that is
6 N + 12 l d T a token (Chowdhery et al. 2022, appendix B), but for norms. As there, attention counts whole rows: what
causal masks and other documents leave out is not subtracted. Padding, recomputation, dropout's and norms' elementwise
work, a teacher's forward pass and the look-up in the embedding count for nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from .config import ModelConfig


class Work(NamedTuple):
    """What a model is given: tokens that are no padding, in rows of a length, and how many positions get logits.

    Of an encoder-decoder `tokens` and `length` are the encoder's.
    """

    tokens: float
    length: int
    logits: float
    decoder_tokens: float = 0
    decoder_length: int = 0


def training_flops(config: ModelConfig, work: Work) -> float:
    """FLOPs of a forward and backward pass, by the formula above."""
    width, keys, layers = config.d_model, config.kv_heads * config.head_dim, config.n_layers
    queries = 2 * width * width  # and attention's output
    block = (3 if config.activation == "swiglu" else 2) * width * config.d_ff
    if config.n_experts:
        block = config.top_k * block + width * config.n_experts

    def side(tokens: float, length: int) -> float:
        return layers * tokens * (6 * (queries + 2 * width * keys + block) + 12 * width * length)

    found = side(work.tokens, work.length) + 6.0 * config.vocab_size * width * work.logits
    if config.form == "encoder_decoder":
        across = 6 * (queries * work.decoder_tokens + 2 * width * keys * work.tokens)
        across += 12 * width * work.length * work.decoder_tokens
        found += side(work.decoder_tokens, work.decoder_length) + layers * across
    return found


def flops_per_token(config: ModelConfig, sequence_length: int) -> float:
    """FLOPs of training a decoder on one token of a full row."""
    return training_flops(config, Work(1, sequence_length, 1))
