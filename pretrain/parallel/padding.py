"""Micro-batches of padding, or filled up with it, where ranks or stages need the same number or shape of them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..inputs import IGNORED, Inputs

FILL: dict[str, int] = {
    "input_ids": 0, "segment_ids": -1, "targets": IGNORED, "decoder_ids": 0, "decoder_segments": -1, "pairs": -1,
}  # fmt: skip
"""What padding is made of, of each field that has a row for each sequence."""


def rows_of(inputs: Inputs, first: int, last: int) -> Inputs:
    """Some of a micro-batch's sequences and their targets; not for pairs."""
    made = {name: x[first:last] for name in FILL if (x := getattr(inputs, name)) is not None}
    teacher = inputs.teacher
    if teacher is not None:
        ids = None if teacher.ids is None else teacher.ids[first:last]
        teacher = teacher._replace(log_probs=teacher.log_probs[first:last], ids=ids)
    targets = made.get("targets")
    n_valid = 0 if targets is None else int((targets != IGNORED).sum())
    return inputs._replace(**made, teacher=teacher, n_valid=n_valid)


def blank(template: Inputs) -> Inputs:
    """A row of padding without targets, of the template's form and lengths: its loss and gradients are 0."""
    made = {
        name: tensor.new_full((1, *tensor.shape[1:]), value)
        for name, value in FILL.items()
        if (tensor := getattr(template, name)) is not None
    }
    teacher = template.teacher
    if teacher is not None:
        ids, log_probs = teacher.ids, teacher.log_probs
        ids = None if ids is None else ids.new_zeros((1, *ids.shape[1:]))
        teacher = teacher._replace(log_probs=log_probs.new_zeros((1, *log_probs.shape[1:])), ids=ids)
    groups = None if template.groups is None else template.groups[:0]
    return template._replace(**made, teacher=teacher, groups=groups, n_valid=0)


def filled(inputs: Inputs, rows: int, length: int) -> Inputs:
    """A decoder's or an encoder's micro-batch with rows and positions of padding added, to (rows, length).

    They have no targets, so sums and gradients stay as they are.
    """
    if inputs.input_ids.shape == (rows, length):
        return inputs
    if inputs.segment_ids is None:
        inputs = inputs._replace(segment_ids=torch.zeros_like(inputs.input_ids, dtype=torch.int32))

    def larger(tensor: Tensor, value: float) -> Tensor:
        made = tensor.new_full((rows, length, *tensor.shape[2:]), value)
        made[: tensor.shape[0], : tensor.shape[1]] = tensor
        return made

    made = {name: larger(x, value) for name, value in FILL.items() if (x := getattr(inputs, name)) is not None}
    teacher = inputs.teacher
    if teacher is not None:
        ids = None if teacher.ids is None else larger(teacher.ids, 0)
        teacher = teacher._replace(log_probs=larger(teacher.log_probs, 0), ids=ids)
    return inputs._replace(**made, teacher=teacher)
