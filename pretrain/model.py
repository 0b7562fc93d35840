"""A Transformer as decoder, encoder or both: RMSNorm, rotary positions, attention within documents.

Follows the Llama layout (Touvron et al. 2023): pre-normalisation, no biases. Shapes: B sequences, T positions,
S positions of the decoder, D width, V ids.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention, Context, document_mask, one_document_a_row
from .config import ModelConfig
from .inputs import Inputs, Output
from .losses import cross_entropy, distillation
from .rope import rotary_table


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020): W_down(silu(W_gate x) * W_up x); or ReLU^2 (So et al. 2021): W_down(relu(W_up x)^2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        gated = config.activation == "swiglu"
        self.gate = nn.Linear(config.d_model, config.d_ff, bias=False) if gated else None
        self.up = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.up(x)).square() if self.gate is None else F.silu(self.gate(x)) * self.up(x)
        return self.down(inner)


class Layer(nn.Module):
    """Attention, attention to the encoder if `cross`, and feed-forward, each on the normalised residual stream."""

    def __init__(self, config: ModelConfig, cross: bool) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.attention = Attention(config)
        self.cross_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps) if cross else None
        self.cross = Attention(config) if cross else None
        self.feed_forward_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, context: Context, memory: Tensor | None = None, cross_context: Context | None = None
    ) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), context))
        if self.cross is not None and self.cross_norm is not None and cross_context is not None:
            x = x + self.dropout(self.cross(self.cross_norm(x), cross_context, memory))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class Stack(nn.Module):
    """Layers and a last normalisation."""

    def __init__(self, config: ModelConfig, cross: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config, cross) for _ in range(config.n_layers))
        self.norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)

    def forward(
        self, x: Tensor, context: Context, memory: Tensor | None = None, cross_context: Context | None = None
    ) -> Tensor:
        for layer in self.layers:
            x = layer(x, context, memory, cross_context)
        return self.norm(x)


class Transformer(nn.Module):
    """The language model. Weights are normal with deviation 0.02, those that write to the residual
    stream divided by sqrt(2 n_layers) (Radford et al. 2019), so an untrained model's loss is about ln V."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.cross_entropy = cross_entropy  # tensor parallel replaces it
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = Stack(config) if config.form != "decoder" else None
        self.decoder = Stack(config, cross=self.encoder is not None) if config.form != "encoder" else None
        self.head = None if config.tied else nn.Linear(config.d_model, config.vocab_size, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                residual = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * config.n_layers) ** 0.5 if residual else 0.02)

    @property
    def output_weight(self) -> Tensor:
        """(V, D) of the output layer."""
        return self.embedding.weight if self.head is None else self.head.weight

    def layers(self) -> list[Layer]:
        """All layers, the encoder's first: the units that parallel training shards and statistics go by."""
        stacks = [stack for stack in (self.encoder, self.decoder) if stack is not None]
        return [layer for stack in stacks for layer in stack.layers]  # type: ignore[misc]

    def forward(self, inputs: Inputs, want_hidden: bool = False) -> Output:
        """The loss of a micro-batch; everything that training needs of the model is in this one call."""
        hidden = self.hidden(inputs)
        zero = hidden.new_zeros((), dtype=torch.float32)
        if inputs.targets is None:  # the objective makes its loss of the hidden states
            return Output(zero, zero, zero, hidden if want_hidden else None)
        if inputs.teacher is not None:
            loss_sum, z_sum, parts = distillation(hidden, self.output_weight, inputs.targets, inputs.teacher)
            return Output(loss_sum, z_sum, zero, hidden if want_hidden else None, parts)
        loss_sum, z_sum = self.cross_entropy(hidden, self.output_weight, inputs.targets)
        return Output(loss_sum, z_sum, zero, hidden if want_hidden else None)

    def hidden(self, inputs: Inputs) -> Tensor:
        """Last normalised hidden states (B, T, D), of an encoder-decoder the decoder's (B, S, D)."""
        ids, segments = inputs.input_ids, inputs.segment_ids
        if self.encoder is None:
            assert self.decoder is not None
            return self.decoder(self._embed(ids), self.context(ids, segments, causal=True))
        memory = self.encoder(self._embed(ids), self.context(ids, segments, causal=False))
        if self.decoder is None:
            return memory
        assert inputs.decoder_ids is not None
        context = self.context(inputs.decoder_ids, inputs.decoder_segments, causal=True)
        cross = Context(None, None, None, False)
        if segments is not None and inputs.decoder_segments is not None:
            mask = document_mask(inputs.decoder_segments, segments, causal=False)
            seen = mask.any(-1, keepdim=True)  # a row without keys would be NaN: it sees all, and its result is made 0
            cross = Context(None, None, mask | ~seen, False, seen.squeeze(1))
        return self.decoder(self._embed(inputs.decoder_ids), context, memory, cross)

    def logits(self, inputs: Inputs) -> Tensor:
        """(B, T, V) logits, for evaluation of small batches."""
        return F.linear(self.hidden(inputs), self.output_weight)

    def context(self, ids: Tensor, segment_ids: Tensor | None, causal: bool) -> Context:
        """Angles and mask that the layers of one stack share; (B, T) ids and segment ids."""
        cos, sin = rotary_table(self.config, ids.shape[1], ids.device)
        plain = segment_ids is None or (causal and segment_ids.device.type == "cpu" and one_document_a_row(segment_ids))
        mask = None if plain or segment_ids is None else document_mask(segment_ids, segment_ids, causal)
        return Context(cos, sin, mask, causal)

    def _embed(self, ids: Tensor) -> Tensor:
        return self.dropout(self.embedding(ids))
