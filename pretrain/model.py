"""A Transformer as decoder, encoder or both: RMSNorm, rotary positions, attention within documents.

Follows the Llama layout (Touvron et al. 2023): pre-normalisation, no biases. Shapes: B sequences, T positions,
S positions of the decoder, D width, V ids.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention, Context, cross_context, self_context
from .config import ModelConfig
from .inputs import Inputs, Output
from .losses import cross_entropy, distillation
from .moe import MixtureOfExperts
from .norm import RMSNorm
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
        self.attention_norm = RMSNorm(config.d_model, eps=config.norm_eps)
        self.attention = Attention(config)
        self.cross_norm = RMSNorm(config.d_model, eps=config.norm_eps) if cross else None
        self.cross = Attention(config) if cross else None
        self.feed_forward_norm = RMSNorm(config.d_model, eps=config.norm_eps)
        self.feed_forward = MixtureOfExperts(config) if config.n_experts else FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, context: Context, memory: Tensor | None = None, cross: Context | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """(B, T, D) -> (B, T, D); with experts also the router's losses (2,)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), context))
        if self.cross is not None and self.cross_norm is not None:
            x = x + self.dropout(self.cross(self.cross_norm(x), cross, memory))
        if isinstance(self.feed_forward, FeedForward):
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        y, losses = self.feed_forward(self.feed_forward_norm(x), context.valid)
        return x + self.dropout(y), losses


class Stack(nn.Module):
    """Layers and a last normalisation."""

    def __init__(self, config: ModelConfig, cross: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config, cross) for _ in range(config.n_layers))
        self.norm = RMSNorm(config.d_model, eps=config.norm_eps)

    def forward(
        self, x: Tensor, context: Context, memory: Tensor | None = None, cross: Context | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """(B, T, D) -> the same, and the losses of each layer's router (2,)."""
        losses = []
        for layer in self.layers:
            x = layer(x, context, memory, cross)
            if isinstance(x, tuple):
                x, one = x
                losses.append(one)
        return self.norm(x), losses


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
                residual = name.endswith(("out.weight", "down.weight", "feed_forward.down"))
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
        """The loss of a micro-batch; everything that training needs of the model is in this one call.

        Without targets the objective makes its loss of the hidden states.
        """
        hidden, losses = self._run(inputs)
        aux, parts = self._router(losses, inputs.n_valid, hidden.device)
        kept = hidden if want_hidden else None
        if inputs.targets is None:
            zero = torch.zeros((), device=hidden.device)
            return Output(zero, zero.clone(), aux, kept, parts)
        if inputs.teacher is not None:
            loss_sum, z_sum, more = distillation(hidden, self.output_weight, inputs.targets, inputs.teacher)
            return Output(loss_sum, z_sum, aux, kept, {**parts, **more})
        loss_sum, z_sum = self.cross_entropy(hidden, self.output_weight, inputs.targets)
        return Output(loss_sum, z_sum, aux, kept, parts)

    def hidden(self, inputs: Inputs) -> Tensor:
        """Last normalised hidden states (B, T, D), of an encoder-decoder the decoder's (B, S, D)."""
        return self._run(inputs)[0]

    def logits(self, inputs: Inputs) -> Tensor:
        """(B, T, V) logits, for evaluation of small batches."""
        return F.linear(self.hidden(inputs), self.output_weight)

    def context(self, ids: Tensor, segment_ids: Tensor | None, causal: bool) -> Context:
        """Angles and mask that the layers of one stack share; (B, T) ids and segment ids."""
        table = rotary_table(self.config, ids.shape[1], ids.device)
        return self_context(segment_ids, table, self.config, causal)

    def _run(self, inputs: Inputs) -> tuple[Tensor, list[Tensor]]:
        ids, segments = inputs.input_ids, inputs.segment_ids
        if self.encoder is None:
            assert self.decoder is not None
            return self.decoder(self._embed(ids), self.context(ids, segments, causal=True))
        memory, losses = self.encoder(self._embed(ids), self.context(ids, segments, causal=False))
        if self.decoder is None:
            return memory, losses
        assert inputs.decoder_ids is not None
        context = self.context(inputs.decoder_ids, inputs.decoder_segments, causal=True)
        cross = cross_context(inputs.decoder_segments, segments, self.config)
        hidden, more = self.decoder(self._embed(inputs.decoder_ids), context, memory, cross)
        return hidden, losses + more

    def _router(self, losses: list[Tensor], n_valid: int, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        """(the weighted router losses of all layers times n_valid, their means over the layers for the log)."""
        if not losses:
            return torch.zeros((), device=device), {}
        balance, z = torch.stack(losses).sum(0).unbind()
        aux = (self.config.balance_weight * balance + self.config.router_z_weight * z) * n_valid
        return aux, {"balance": balance.detach() / len(losses), "router_z": z.detach() / len(losses)}

    def _embed(self, ids: Tensor) -> Tensor:
        return self.dropout(self.embedding(ids))
