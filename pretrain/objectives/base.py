"""What an objective is: it makes a model's inputs out of a batch, and its loss out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from torch import nn

from pipeline.errors import ConfigError, SchemaError
from pipeline.packreader import PackReader

from ..sources import check_alike
from .options import Options
from .vocabulary import Vocabulary, vocabulary

if TYPE_CHECKING:
    from pretrain.data import Batch
    from pretrain.inputs import Inputs, Output

O = TypeVar("O", bound=Options)  # noqa: E741
_WORD = (1 << 64) - 1


class Objective(Generic[O]):
    """What a model is trained for on a pack set.

    `prepare` runs on the CPU and is a function of the sequences, their numbers, the epoch and the seed alone, so that
    the ranks, their number and a resumed run change nothing. `extra_ids` is how many ids above the set's `total_ids`
    the model must have.
    """

    name: ClassVar[str]

    def __init__(self, reader: PackReader, options: O, sentinels: int = 0) -> None:
        self.reader, self.options = reader, options
        self.vocabulary: Vocabulary = vocabulary(reader, sentinels)
        self._others: dict[str, Objective[O]] = {}

    @property
    def extra_ids(self) -> int:
        return self.vocabulary.extra_ids

    @property
    def forms(self) -> tuple[str, ...]:
        """Forms of the model that can be trained for it."""
        return self.options.forms

    def check_form(self, form: str) -> None:
        """Raise ConfigError unless a model of that form can be trained for it."""
        if form not in self.forms:
            raise ConfigError(f"objective '{self.name}' trains models of form {' or '.join(self.forms)}, not '{form}'")

    def of(self, reader: PackReader) -> Objective[O]:
        """The same objective for another pack set, made once: to measure a held-out one.

        Raises ConfigError for a set of another tokenizer, and where the objective can't be made for it.
        """
        if reader.fingerprint == self.reader.fingerprint:
            return self
        check_alike(self.reader, reader, f"objective '{self.name}'")
        if reader.fingerprint not in self._others:
            self._others[reader.fingerprint] = self.made_for(reader)
        return self._others[reader.fingerprint]

    def made_for(self, reader: PackReader) -> Objective[O]:
        """One for another pack set, with the same options."""
        return type(self)(reader, self.options)

    def prepare(self, batch: Batch, seed: int) -> Inputs:
        """A micro-batch for the model. The batch has segment ids. Raises SchemaError for ids that there aren't."""
        raise NotImplementedError

    def loss(self, model: nn.Module, inputs: Inputs) -> Output:
        """The model's loss on what `prepare` made."""
        output: Output = model(inputs)
        return output

    def arrays(self, batch: Batch) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """(ids, segments) of a batch as numpy arrays, both (B, T), checked against the vocabulary."""
        if batch.segment_ids is None:
            raise ConfigError(f"objective '{self.name}' needs batches with segment ids (segments=True)")
        ids, segments = batch.input_ids.numpy(), batch.segment_ids.numpy()
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < self.vocabulary.total_ids:
            raise SchemaError(
                f"pack set {self.reader.store.where} holds ids outside 0..{self.vocabulary.total_ids - 1}:"
                " run `gristmill packs verify`"
            )
        return ids, segments


def word(number: int) -> Any:
    """A whole number as a kernel's uint64, modulo 2^64."""
    return np.uint64(number & _WORD)
