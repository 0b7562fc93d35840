"""Tokens a second, model FLOPs utilisation and memory of a training run; for files that nothing compares.

MFU (Chowdhery et al. 2022) is the FLOPs that training takes (`flops.training_flops` of what each step's micro-batches
hold: forward and backward, nothing for recomputed activations, padding or evaluation) a second, divided by what the
accelerators could do: their number times the dense bf16 peak of `accelerators`. It is left out on CPUs and on devices
whose peak is not known.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .accelerators import Accelerator


def mfu(flops_per_s: float, peak_flops: float, devices: int = 1) -> float:
    """Share of the devices' peak that the model's own FLOPs reach."""
    return flops_per_s / (peak_flops * devices)


@dataclass
class Throughput:
    """Times steps. `lap` after each step, `restart` after anything that is no part of one (evaluation, a checkpoint).

    `accelerator` gives the MFU over `devices`; without one there is none. `clock` gives seconds.
    """

    accelerator: Accelerator | None = None
    devices: int = 1
    clock: Callable[[], float] = time.perf_counter

    def __post_init__(self) -> None:
        self.seconds, self.tokens, self.flops = 0.0, 0, 0.0
        self.restart()

    def restart(self) -> None:
        """The next step begins now."""
        self._begun = self.clock()

    def lap(self, tokens: int, flops: float) -> dict[str, float]:
        """The step that ends now: its `seconds`, `tokens_per_s` and, where it is known, `mfu`. The next one begins.

        `tokens` and `flops` are the step's, of all devices.
        """
        now = self.clock()
        seconds, self._begun = now - self._begun, now
        self.seconds += seconds
        self.tokens += tokens
        self.flops += flops
        return {"seconds": seconds, **self._rates(tokens, flops, seconds)}

    def total(self) -> dict[str, Any]:
        """The same over all steps, with what the MFU's denominator is."""
        found: dict[str, Any] = {
            "seconds": self.seconds,
            "tokens": self.tokens,
            "model_flops": self.flops,
            **self._rates(self.tokens, self.flops, self.seconds),
        }
        if self.accelerator is not None:
            found["mfu_denominator"] = {
                "accelerator": self.accelerator.name,
                "dense_bf16_flops": self.accelerator.bf16_flops,
                "devices": self.devices,
            }
        return found

    def _rates(self, tokens: int, flops: float, seconds: float) -> dict[str, float]:
        seconds = max(seconds, 1e-9)
        if self.accelerator is None:
            return {"tokens_per_s": tokens / seconds}
        peak = self.accelerator.bf16_flops
        return {"tokens_per_s": tokens / seconds, "mfu": mfu(flops / seconds, peak, self.devices)}


def device_accelerator(device: Any) -> Accelerator | None:
    """The accelerator that a torch device is; None for a CPU, and for one whose peak is not known."""
    import torch

    from .accelerators import recognised

    device = torch.device(device)
    return recognised(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def memory(device: Any = "cpu") -> dict[str, int]:
    """Most bytes that this process has held: `peak_rss_bytes`, and on a CUDA device `peak_cuda_bytes` (in tensors) and
    `peak_cuda_reserved_bytes` (by torch). Empty where the system does not say (Windows)."""
    found = {}
    resident = _peak_rss()
    if resident is not None:
        found["peak_rss_bytes"] = resident
    if str(device).startswith("cuda"):
        import torch

        found["peak_cuda_bytes"] = torch.cuda.max_memory_allocated(device)
        found["peak_cuda_reserved_bytes"] = torch.cuda.max_memory_reserved(device)
    return found


def _peak_rss() -> int | None:
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage counts what the parent held when it started this process, too
        line = next(
            line for line in status.read_text(encoding="ascii", errors="replace").splitlines() if "VmHWM" in line
        )
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
