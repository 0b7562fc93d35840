"""Control tokens in evaluation: what a model thinks of text that is said to be of one kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.errors import ConfigError, nearest
from pipeline.packreader import PackReader

from .kernels import lead_with

if TYPE_CHECKING:
    from pretrain.data import Batch


def control_ids(reader: PackReader) -> dict[str, int]:
    """The control tokens of the mixture that a pack set was drawn by, by name, those of the lowest scores first.

    Raises ConfigError if it has none.
    """
    named = reader.manifest.get("recipe", {}).get("mixture", {}).get("control_ids")
    if not named:
        raise ConfigError(f"pack set {reader.store.where} has no control tokens: draw it with a mixture's `control`")
    return {str(name): int(number) for name, number in sorted(named.items(), key=lambda one: one[1])}


def control_id(reader: PackReader, name: str) -> int:
    """The id of one. Raises ConfigError for a name that there isn't."""
    known = control_ids(reader)
    if name not in known:
        raise ConfigError(f"no control token is called '{name}'{nearest(name, known)}; there are {', '.join(known)}")
    return known[name]


def conditioned(batch: Batch, reader: PackReader, control: int) -> Batch:
    """The batch with `control` before every document that begins in it, instead of the control token that it has.

    Rows become longer by the most documents that a sequence of the batch has, so that nothing is cut. A document that
    goes on from another sequence has no control token there, as in training. `reader` is the set of the batch, of
    which `control` is a control id; the model must not be one of absolute positions.
    """
    first, count = reader.manifest["reserved_ids"]["control"]
    if not first <= control < first + count:
        raise ConfigError(
            f"{control} is no control id of {reader.store.where}: these are {first} to {first + count - 1}"
        )
    assert batch.segment_ids is not None
    ids, segments = batch.input_ids.numpy(), batch.segment_ids.numpy()
    begins = np.zeros(ids.shape, bool)
    for b, index in enumerate(batch.indices.tolist()):
        block, row = reader.locate(index)
        low, high = block.doc_bounds[row], block.doc_bounds[row + 1]
        begins[b, block.doc_starts[low:high][block.doc_offsets[low:high] == 0]] = True
    begins &= segments >= 0
    width = ids.shape[1] + int(begins.sum(1).max(initial=0))
    new_ids = np.full((len(ids), width), reader.pad_id, np.int64)
    new_segments = np.full(new_ids.shape, -1, np.int32)
    lead_with(ids, segments, begins, control, first, first + count, new_ids, new_segments)
    return batch._replace(input_ids=torch.from_numpy(new_ids), segment_ids=torch.from_numpy(new_segments))
