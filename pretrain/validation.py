"""What a run is measured on: its held-out sets, as its objective reads them, also given control tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.errors import ConfigError
from pipeline.packreader import PackReader, open_packs
from pipeline.packstep import find_pack_sets

from .config import TrainConfig
from .evaluate import LEFT_TO_RIGHT, evaluate, evaluate_objective
from .held_out import HeldOut, held_out
from .objectives.base import Objective
from .objectives.controls import control_id
from .parallel.base import Parallel
from .report import check_tokenizer

BYTES_A_TOKEN = 4
"""Bytes of text in a token, about: what `held_out_bytes` means for objectives that don't read from left to right."""


class Validation:
    """The held-out sets of a configuration, ready to be measured.

    With control tokens (`eval_control`) each set is measured once more for each, as `SET@CONTROL`, with that token
    before every document. Raises ConfigError for sets of another tokenizer than `reader`'s, sets that the objective
    can't be measured on, and control tokens that the packs don't have.
    """

    def __init__(self, config: TrainConfig, reader: PackReader, objective: Objective[Any]) -> None:
        self.batch_size, self.objective = config.eval_batch, objective
        self._sets: dict[str, HeldOut] = {}
        self._sequences: dict[str, Sequence[PackReader]] = {}
        self._controls = {name: control_id(reader, name) for name in config.eval_control}
        self._most: int | None = None
        if self._controls and config.objective == "contrastive":
            raise ConfigError("eval_control: text pairs are made without control tokens; leave it out")
        limit = config.held_out_bytes
        for name, path in config.held_out.items():
            found = [open_packs(folder) for folder in find_pack_sets(Path(path))]
            for one in found:
                check_tokenizer(name, one, reader)
            if not any(map(len, found)):
                raise ConfigError(f"held-out set '{name}' ({path}) is empty: there is nothing to measure")
            if config.objective in LEFT_TO_RIGHT:
                self._sets[name] = held_out(name, found, max_bytes=limit)
                for word, number in self._controls.items():
                    self._sets[f"{name}@{word}"] = held_out(name, found, max_bytes=limit, control=number)
            else:
                found = [one for one in found if len(one)]  # of a set with several lengths some may have nothing
                for one in found:
                    objective.of(one)  # refuses now what it can't be measured on later
                self._sequences[name] = found
        if limit is not None:
            self._most = max(1, limit // (BYTES_A_TOKEN * reader.sequence_length))

    def measure(self, model: nn.Module, parallel: Parallel) -> Mapping[str, Mapping[str, Any]]:
        """What `evaluate`, or `evaluate_objective`, finds of each set; every process comes here."""
        how: dict[str, Any] = {"batch_size": self.batch_size, "parallel": parallel}
        found = evaluate(model, self._sets, **how)
        how["max_sequences"] = self._most
        found |= evaluate_objective(model, self.objective, self._sequences, **how)
        for word, number in self._controls.items():
            given = evaluate_objective(model, self.objective, self._sequences, control=number, **how)
            found |= {f"{name}@{word}": values for name, values in given.items()}
        return found
