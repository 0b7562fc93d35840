"""A plain training loop over packs: next-token loss, AdamW, warm-up and cosine. It shows that the packs train."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, nearest
from pipeline.packs import open_packs
from pipeline.store import write_json

BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.1
CLIP = 1.0
WARM_UP_SHARE = 0.1
FINAL_LR_SHARE = 0.1


def torch_available() -> bool:
    """Whether torch is installed; does not import it."""
    return importlib.util.find_spec("torch") is not None


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over the first tenth, then a cosine down to a tenth of the peak (step counts from 0)."""
    warm = max(1, round(WARM_UP_SHARE * steps))
    if step < warm:
        return peak * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return peak * (FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * 0.5 * (1 + math.cos(math.pi * done)))


def targets(ids: Any, segments: Any) -> Any:
    """The next id within the same document, -100 (no loss) at a document's last token and in padding."""
    import torch

    out = torch.full_like(ids, -100)
    same = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] >= 0)
    out[:, :-1] = torch.where(same, ids[:, 1:], out[:, :-1])
    return out


def train(
    packs: Path,
    output: Path,
    *,
    steps: int = 40,
    batch_size: int = 4,
    size: str = "tiny",
    lr: float = 3e-3,
    seed: int = 0,
    threads: int | None = None,
    log: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train from scratch and write `metrics.jsonl` (one line a step) and `summary.json` into `output`.

    `size` names a shape in `model.SHAPES`; `lr` is the peak; epochs follow one another with new orders. The
    losses are nats a token, over tokens that have a next one in their document. Raises ConfigError for an
    unknown size and for packs with less than one batch, FloatingPointError where the loss is not finite.
    """
    import torch
    import torch.nn.functional as F

    from .data import PackLoader
    from .model import SHAPES, Transformer

    if size not in SHAPES:
        raise ConfigError(f"no model size is called '{size}'{nearest(size, SHAPES)}; there are {', '.join(SHAPES)}")
    reader = open_packs(packs)
    batch_size = min(batch_size, max(1, len(reader)))
    torch.manual_seed(seed)
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    model = Transformer(SHAPES[size], reader.total_ids, reader.sequence_length)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=lr, betas=BETAS)
    output.mkdir(parents=True, exist_ok=True)
    losses: list[float] = []
    tokens = epoch = 0
    start = time.perf_counter()
    loading = 0.0
    with open(output / "metrics.jsonl", "w", encoding="utf-8") as metrics:
        batches = iter(PackLoader(reader, batch_size, seed=seed, epoch=epoch, segments=True))
        for step in range(steps):
            before = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                epoch += 1
                batches = iter(PackLoader(reader, batch_size, seed=seed, epoch=epoch, segments=True))
                batch = next(batches)
            loading += time.perf_counter() - before
            assert batch.segments is not None
            wanted = targets(batch.input_ids, batch.segments)
            logits = model(batch.input_ids, batch.segments)
            loss = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=-100)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss.item()} at step {step}; lower the learning rate ({lr})")
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, steps, lr)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimiser.step()
            seen = int((wanted >= 0).sum())
            tokens += seen
            losses.append(loss.item())
            event = {
                "step": step, "epoch": epoch, "loss": losses[-1], "grad_norm": float(norm),
                "lr": learning_rate(step, steps, lr), "tokens": seen,
            }  # fmt: skip
            metrics.write(json.dumps(event, sort_keys=True) + "\n")
            if log is not None:
                log(event)
    seconds = time.perf_counter() - start
    last = losses[-5:]
    summary = {
        "steps": steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "untrained_loss": math.log(reader.total_ids),
        "first_loss": losses[0],
        "last_loss": sum(last) / len(last),  # mean of the last five steps
        "tokens": tokens,
        "tokens_per_s": tokens / seconds,
        "loader_share": loading / seconds,
    }
    write_json(output / "summary.json", summary)
    return summary
