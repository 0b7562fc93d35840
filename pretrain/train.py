"""The training loop: AdamW with warm-up and cosine decay over a pack set's shuffled batches.

Writes `metrics.jsonl` (one line a step) and `summary.json`, which hold nothing that differs between
two runs on the same machine and number of threads, and `timing/run.json` with what does.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError
from pipeline.packreader import PackReader, open_packs
from pipeline.store import atomic_path, write_json

if TYPE_CHECKING:
    import torch

    from .data import Batch, PackLoader
    from .model import Transformer

MIN_LR_SHARE = 0.1
"""The cosine ends at this share of the peak learning rate."""


def torch_available() -> bool:
    """Whether torch is installed; does not import it."""
    return find_spec("torch") is not None


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Rate of step `step` (from 0): linear warm-up over a tenth of the steps, then a cosine down to a tenth."""
    warmup = max(1, steps // 10)
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (MIN_LR_SHARE + (1 - MIN_LR_SHARE) * 0.5 * (1 + math.cos(math.pi * share)))


def train(
    pack_dir: str | Path,
    out_dir: str | Path,
    *,
    steps: int = 40,
    batch_size: int = 8,
    size: str = "tiny",
    seed: int = 0,
    lr: float = 2e-3,
    weight_decay: float = 0.1,
    max_grad_norm: float = 1.0,
    threads: int | None = None,
    log: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train a model of a named size from scratch on the pack set and return the summary.

    `log` gets each step's metrics: `step, epoch, loss` (nats a token, before the step), `lr,
    grad_norm, tokens` (in the batch, padding not counted). The summary has `first_loss, last_loss,
    untrained_loss` (ln of the number of ids: a uniform guess), `parameters, tokens`, and, outside
    `summary.json`, `seconds` and `tokens_per_s`. A pack set that is smaller than the steps need is
    gone through again in another order. Raises ConfigError for a bad size or an empty pack set.
    """
    # Threads that spin at barriers stall each other where cores are shared: a step took 1.5 s with
    # spinning and 0.7 s without on two busy cores. Read once, when torch loads its OpenMP.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from .model import Transformer
    from .sizes import model_config

    if steps < 1 or batch_size < 1:
        raise ConfigError(f"steps ({steps}) and batch_size ({batch_size}) must be at least 1")
    reader = open_packs(pack_dir)
    config = model_config(size, reader.total_ids)
    loader = _loader(reader, batch_size, seed)
    batches = iter(loader)
    if threads is not None:
        torch.set_num_threads(threads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Transformer(config)

    out_dir = Path(out_dir)
    metrics = []
    started = time.perf_counter()
    epoch = loader.state()["epoch"]
    for event in optimise(model, batches, steps=steps, lr=lr, weight_decay=weight_decay, max_grad_norm=max_grad_norm):
        metrics.append({"step": event["step"], "epoch": epoch, **event})
        epoch = loader.state()["epoch"]
        if log is not None:
            log(metrics[-1])
    seconds = time.perf_counter() - started

    tokens = sum(event["tokens"] for event in metrics)
    summary = {
        "size": size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": steps,
        "batch_size": batch_size,
        "sequence_length": reader.sequence_length,
        "tokens": tokens,
        "epochs": metrics[-1]["epoch"] + 1,
        "seed": seed,
        "lr": lr,
        "first_loss": metrics[0]["loss"],
        "last_loss": metrics[-1]["loss"],
        "untrained_loss": math.log(config.vocab_size),
    }
    timing = {"seconds": seconds, "tokens_per_s": tokens / seconds}
    with atomic_path(out_dir / "metrics.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(event) + "\n" for event in metrics), encoding="utf-8")
    write_json(out_dir / "summary.json", summary)
    write_json(
        out_dir / "timing" / "run.json",
        {**timing, "threads": torch.get_num_threads(), "torch": str(torch.__version__)},
    )
    return {**summary, **timing}


def optimise(
    model: Transformer,
    batches: Iterator[Batch],
    *,
    steps: int,
    lr: float,
    weight_decay: float = 0.1,
    max_grad_norm: float = 1.0,
) -> Iterator[dict[str, Any]]:
    """Take `steps` steps of AdamW on the model, a batch each; yields `step, loss, lr, grad_norm, tokens` after each.

    Batches have segment ids.
    """
    import torch

    from .objective import causal_loss

    optimizer = _optimizer(model, lr, weight_decay)
    for step in range(steps):
        batch = next(batches)
        assert batch.segment_ids is not None
        loss, _ = causal_loss(model, batch.input_ids, batch.segment_ids)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        rate = learning_rate(step, steps, lr)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        yield {
            "step": step + 1,
            "loss": loss.item(),
            "lr": rate,
            "grad_norm": norm.item(),
            "tokens": int((batch.segment_ids >= 0).sum()),
        }


def _loader(reader: PackReader, batch_size: int, seed: int) -> PackLoader:
    """Batches without end. The last, smaller batch of an epoch is left out unless it is the only one."""
    from .data import PackLoader

    size = max(1, min(batch_size, len(reader)))
    return PackLoader(reader, size, seed, epochs=None, segments=True, drop_last=True, reuse=True)


def _optimizer(model: Transformer, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW that decays matrices, not norms."""
    import torch

    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))
