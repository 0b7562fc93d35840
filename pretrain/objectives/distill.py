"""Distillation (Hinton et al. 2015): a student learns the next token from a teacher and from the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from pipeline.errors import ConfigError
from pipeline.packreader import PackReader
from pretrain.inputs import Inputs, Output, Teacher

from .causal import Causal
from .options import DistillOptions

if TYPE_CHECKING:
    from pretrain.model import Transformer


class Distill(Causal[DistillOptions]):
    """The causal objective with a frozen teacher beside it, run on each micro-batch as it comes.

    The loss of a target is (1 - weight) * cross-entropy + weight * temperature^2 * KL(teacher || student), both at
    `temperature`; `top_k` keeps only the teacher's likeliest ids, and with them most of the memory free. The teacher is
    a decoder whose checkpoint was trained with the pack set's tokenizer, or a model that the caller vouches for.

    Raises ConfigError for a teacher of another tokenizer or form.
    """

    name = "distill"

    def __init__(self, reader: PackReader, options: DistillOptions, teacher: Transformer | None = None) -> None:
        super().__init__(reader, options)
        found = teacher if teacher is not None else load_teacher(options.teacher, self.vocabulary.tokenizer)
        if found.config.form != "decoder" or found.config.vocab_size < self.vocabulary.total_ids:
            raise ConfigError(
                f"distill: the teacher must be a decoder with at least {self.vocabulary.total_ids} ids, not of form"
                f" '{found.config.form}' with {found.config.vocab_size}"
            )
        if options.top_k > self.vocabulary.total_ids:
            raise ConfigError(
                f"distill: top_k {options.top_k} is above the {self.vocabulary.total_ids} ids that there are"
            )
        self.teacher = found.eval().requires_grad_(False)

    def made_for(self, reader: PackReader) -> Distill:
        return Distill(reader, self.options, self.teacher)

    def loss(self, model: nn.Module, inputs: Inputs) -> Output:
        """The mixed loss; `cross_entropy` and `divergence` (at the temperature, not scaled) are its parts."""
        output: Output = model(inputs._replace(teacher=self.teach(inputs)))
        return output

    def teach(self, inputs: Inputs) -> Teacher:
        """The teacher's distribution at each position over the pack set's ids."""
        options, device = self.options, inputs.input_ids.device
        if self.teacher.embedding.weight.device != device:
            self.teacher.to(device)
        with torch.no_grad():
            logits = self.teacher.logits(inputs)[..., : self.vocabulary.total_ids].float()
            log_probs = (logits / options.temperature).log_softmax(-1)
            if not options.top_k:
                return Teacher(log_probs, None, options.temperature, options.weight)
            best = log_probs.topk(options.top_k, dim=-1)
            return Teacher(best.values, best.indices, options.temperature, options.weight)


def load_teacher(path: str, tokenizer: str) -> Transformer:
    """The model of a checkpoint, on the CPU. Raises ConfigError unless it was trained with that tokenizer."""
    from pretrain.checkpoint import find_checkpoint, load_model

    found = find_checkpoint(path, "distill: teacher").meta["tokenizer"]
    if found != tokenizer:
        raise ConfigError(
            f"distill: teacher {path} was trained with tokenizer {found}, the packs were made with {tokenizer}:"
            " their ids don't mean the same"
        )
    model: Transformer = load_model(path)
    return model
