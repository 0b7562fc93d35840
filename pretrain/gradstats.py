"""What goes on inside a model during a step: by layer, the gradient's norm, the update's size, activations, attention.

`found` is {kind: {layer: value}} with the kinds
grad_norm         L2 norm of the layer's gradient, before clipping
update_to_weight  L2 norm of the step's change over that of the weights; about 1e-3 is healthy
activation_rms    root mean square of what the layer gives to the residual stream's next layer
attention_logit   largest absolute attention logit of the layer that a position sees (Dehghani et al. 2023: above some
                  1e2 the softmax saturates)
The last two come from a forward pass of their own over one sequence, eagerly and without dropout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .attention import Attention, Context, document_mask
from .inputs import Inputs
from .parallel.base import Parallel


class Statistics:
    """Gathers one step's statistics: `activations` before the step, `gradients` before the update, `updates` after."""

    def __init__(self, model: nn.Module, parallel: Parallel) -> None:
        self.model, self.parallel = parallel.plain(model), parallel
        self.found: dict[str, dict[str, float]] = {}
        self._before: dict[str, list[Tensor]] = {}

    def activations(self, forward: Callable[[nn.Module, Inputs], Any], inputs: Inputs) -> None:
        """Run the model on one micro-batch."""
        rms: dict[str, Tensor] = {}
        logits: dict[str, Tensor] = {}
        handles = []
        for name, module in self.model.named_modules():
            if ".layers." in name and layer_of(f"{name}.") == name:
                handles.append(module.register_forward_hook(_rms_hook(name, rms)))
            if isinstance(module, Attention):
                handles.append(module.register_forward_pre_hook(_logit_hook(layer_of(name), logits), with_kwargs=True))
        training = self.model.training
        self.model.eval()
        try:
            with torch.compiler.set_stance("force_eager"):
                self.parallel.evaluate(self.model, forward, [inputs])
        finally:
            self.model.train(training)
            for handle in handles:
                handle.remove()
        for kind, values in (("activation_rms", rms), ("attention_logit", logits)):
            own = torch.stack(list(values.values())).tolist() if values else []
            found = self.parallel.largest(dict(zip(values, own, strict=True)))
            if found:
                self.found[kind] = found

    def gradients(self) -> None:
        """Norms of the gradients that lie there, and a copy of the weights."""
        groups = self._groups()
        gradients = {layer: [p.grad for p in found if p.grad is not None] for layer, found in groups.items()}
        self.found["grad_norm"] = self.parallel.norms(gradients)
        self._before = {layer: [p.detach().clone() for p in found] for layer, found in groups.items()}

    def updates(self) -> None:
        """How far the weights moved since `gradients`."""
        weights = self.parallel.norms(self._before)
        for layer, found in self._groups().items():
            for before, parameter in zip(self._before[layer], found, strict=True):
                before.sub_(parameter.detach())
        moved = self.parallel.norms(self._before)
        self.found["update_to_weight"] = {name: moved[name] / max(weights[name], 1e-12) for name in weights}
        self._before = {}

    def _groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by layer, with the same layers on every rank, also those that another one holds."""
        config: Any = self.model.config
        stacks = [name for name in ("encoder", "decoder") if config.form in (name, "encoder_decoder")]
        groups: dict[str, list[nn.Parameter]] = {"embedding": []}
        for stack in stacks:
            groups.update({f"{stack}.layers.{i}": [] for i in range(config.n_layers)}, **{f"{stack}.norm": []})
        if not config.tied:
            groups["head"] = []
        for name, parameter in self.model.named_parameters():
            if layer_of(name) in groups:  # a copy of a tied head on another rank is the embedding's
                groups[layer_of(name)].append(parameter)
        return groups


def layer_of(name: str) -> str:
    """The layer that something in a model belongs to: `decoder.layers.3`, or the module it hangs on (`embedding`)."""
    words = name.split(".")
    if "layers" in words[:-1]:
        return ".".join(words[: words.index("layers") + 2])
    return ".".join(words[:-1]) or name


def _rms_hook(name: str, into: dict[str, Tensor]) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, result: Any) -> None:
        tensor = result[0] if isinstance(result, tuple) else result
        into[name] = tensor.detach().float().square().mean().sqrt()

    return hook


def _logit_hook(name: str, into: dict[str, Tensor]) -> Callable[..., None]:
    """Of a layer with two attentions the larger one's."""

    def hook(module: Attention, args: Any, kwargs: Any) -> None:
        largest = _largest_logit(module, *args, **kwargs)
        into[name] = torch.maximum(into[name], largest) if name in into else largest

    return hook


def _largest_logit(module: Attention, x: Tensor, context: Context, memory: Tensor | None = None) -> Tensor:
    """Largest absolute logit among the pairs that are seen; head by head, so that one T x T matrix is held."""
    q, k = module.queries_keys(x, context, memory)
    seen = _seen(context, q.shape[0], q.shape[2], k.shape[2], q.device)
    largest = torch.zeros((), device=q.device)
    for head in range(q.shape[1]):
        keys = k[:, head * k.shape[1] // q.shape[1]].float()
        logits = q[:, head].float() @ keys.mT * module.head_dim**-0.5
        largest = torch.maximum(largest, logits.masked_fill(~seen, 0.0).abs().max())
    return largest


def _seen(context: Context, rows: int, queries: int, keys: int, device: torch.device) -> Tensor:
    """(B or 1, T, K) bool: which key positions a query position sees."""
    if context.pieces is not None:
        number = torch.arange(len(context.pieces)).repeat_interleave(torch.tensor(context.pieces)).view(rows, queries)
        return document_mask(number, number, context.causal).squeeze(1)
    if isinstance(context.mask, Tensor):
        return context.mask.squeeze(1)
    if context.mask is not None:
        from torch.nn.attention.flex_attention import create_mask

        return create_mask(context.mask.mask_mod, rows, 1, queries, keys, device=str(device)).squeeze(1)
    every = torch.ones(1, queries, keys, dtype=torch.bool, device=device)
    return every.tril() if context.causal else every
