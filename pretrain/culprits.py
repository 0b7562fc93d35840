"""A spike names its documents: which of the batch's sequences, and which documents in them, the model finds worst.

Each sequence of the batch is run alone, without dropout, by the weights that the step saw. Of the worst the documents
are then run one by one: the same sequence with the targets of one document only. What comes first is what to look at.
The worst is what has the highest loss; where the gradient's norm was the reason, what has the largest gradient, for
text that is easy to predict can pull hard. With several processes the loss decides.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from pipeline.packreader import PackReader

from .inputs import IGNORED, Inputs

if TYPE_CHECKING:
    from .loop import Event, Loop

SEQUENCES = 3
"""Sequences of each rank whose documents are told apart."""


def culprits(loop: Loop, event: Event) -> dict[str, Any]:
    """The line of `spikes.jsonl` for a step whose update was left out; every rank calls it.

    {"step", "epoch", "reason", "loss", "grad_norm", "loss_limit", "grad_norm_limit", "sequences": [{"sequence", "loss",
    "documents": [{"id", "url", "loss"}]}]}: the worst first, losses in nats a target; a document's loss is null
    beyond the worst sequences and where nothing of it is predicted, its url where the packs don't tell. Where gradients
    decide, sequences and documents have `grad_norm` too: that of their share of the step's loss.
    """
    batch, objective = event.batch, loop.objective
    rows = [objective.prepare(batch.rows(i, i + 1), loop.config.seed) for i in range(len(batch.indices))]
    by_gradient = event.skipped == "grad_norm" and loop.parallel.kind == "none"
    key = "grad_norm" if by_gradient else "loss"

    def measured(inputs: list[Inputs]) -> list[dict[str, float | None]]:
        found = {"loss": _losses(loop, inputs)}
        if by_gradient:
            found["grad_norm"] = _gradient_norms(loop, inputs, event.targets)
        return [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]

    whole = measured(rows)
    order = sorted(range(len(rows)), key=lambda i: _badness(whole[i][key]), reverse=True)
    documents = loop.source.documents(batch)
    parts = [(i, k, part) for i in order[:SEQUENCES] for k, part in enumerate(_by_document(rows[i], documents[i][1]))]
    each = {(i, k): one for (i, k, _), one in zip(parts, measured([part for _, _, part in parts]), strict=True)}
    found: list[dict[str, Any]] = []
    for i in order:
        number, ids = documents[i]
        named: list[dict[str, Any]] = [{"id": name, "loss": None, **each.get((i, k), {})} for k, name in enumerate(ids)]
        named.sort(key=lambda one: _badness(one.get(key)), reverse=True)
        found.append({"sequence": number, **whole[i], "documents": named})
    gathered = [one for rank in loop.parallel.gather(found) for one in rank]
    gathered.sort(key=lambda one: _badness(one[key]), reverse=True)
    verdict = event.verdict
    return {
        "step": event.step,
        "epoch": event.epoch,
        "reason": event.skipped,
        "loss": event.loss,
        "grad_norm": event.grad_norm,
        "loss_limit": None if verdict is None else verdict.loss_limit,
        "grad_norm_limit": None if verdict is None else verdict.grad_norm_limit,
        "sequences": gathered,
    }


def add_urls(record: dict[str, Any], readers: list[PackReader]) -> None:
    """Give the documents of a record their `url`, from the tables beside the pack sets that are on this machine."""
    documents = [one for sequence in record["sequences"] for one in sequence["documents"]]
    urls: dict[str, str | None] = {}
    for reader in readers:
        if reader.store.local:
            urls.update(_urls(reader, {one["id"] for one in documents} - urls.keys()))
    for one in documents:
        one["url"] = urls.get(one["id"])


def _urls(reader: PackReader, ids: set[str]) -> dict[str, str | None]:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    files = [str(path) for path in reader.document_files() if path.is_file()]
    if not files or not ids:
        return {}
    table = ds.dataset(files)
    if "url" not in table.schema.names:
        return {}
    rows = table.to_table(columns=["id", "url"], filter=pc.field("id").isin(sorted(ids))).to_pylist()
    return {row["id"]: row["url"] for row in rows}


def _losses(loop: Loop, micros: list[Inputs]) -> list[float | None]:
    """Loss of each in nats a target; None where nothing is predicted. Every rank calls it."""
    training = loop.model.training
    loop.model.eval()
    try:
        outputs = loop.parallel.evaluate(loop.model, loop.objective.loss, micros)
    finally:
        loop.model.train(training)
    return [
        float(output.loss_sum) / inputs.n_valid if inputs.n_valid else None
        for output, inputs in zip(outputs, micros, strict=True)
    ]


def _gradient_norms(loop: Loop, micros: list[Inputs], targets: int) -> list[float | None]:
    """L2 norm of the gradient of each one's share of a step's loss over `targets` targets; None where nothing is
    predicted. The model's gradients are None before and after."""
    training, found = loop.model.training, []
    loop.model.eval()
    try:
        for inputs in micros:
            loop.parallel.accumulate(
                loop.model, loop.objective.loss, [inputs], lambda output, _: output.loss_sum / max(1, targets)
            )
            norm = float(loop.parallel.clip(loop.model.parameters(), math.inf)) if inputs.n_valid else None
            found.append(norm)
            loop.model.zero_grad(set_to_none=True)
    finally:
        loop.model.train(training)
    return found


def _by_document(row: Inputs, documents: list[str]) -> list[Inputs]:
    """The row with the targets of one document at a time; nothing where targets have no documents (text pairs)."""
    segments = row.segment_ids if row.decoder_segments is None else row.decoder_segments
    if row.targets is None or segments is None or row.pairs is not None:
        return []
    out = []
    for number in range(len(documents)):
        targets = torch.where(segments == number, row.targets, IGNORED)
        out.append(row._replace(targets=targets, n_valid=int((targets != IGNORED).sum())))
    return out


def _badness(loss: float | None) -> float:
    """Not finite before high before low before nothing."""
    if loss is None:
        return -math.inf
    return loss if math.isfinite(loss) else math.inf
