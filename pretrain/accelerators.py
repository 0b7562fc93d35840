"""Accelerators by name: dense bf16 peak and memory. No torch here, for `gristmill pretrain plan` needs none.

Peaks are the makers' own figures for bf16 matrix products with fp32 accumulation, without structured sparsity; a data
sheet that shows only the figure with sparsity is halved (NVIDIA's of A100, L4, L40, L40S, H100, H200, GB200 and the
Ada and Blackwell architecture papers; AMD's of MI250X, MI300X, MI325X, MI355X). An MI250X is two devices to torch,
each with half the peak.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import ConfigError, nearest


@dataclass(frozen=True)
class Accelerator:
    """One device: `bf16_flops` operations a second at most, `memory_gb` (10^9 bytes)."""

    name: str
    bf16_flops: float
    memory_gb: float


ACCELERATORS = {
    one.name: one
    for one in (
        Accelerator("a10", 125e12, 24),
        Accelerator("a30", 165e12, 24),
        Accelerator("a40", 149.7e12, 48),
        Accelerator("a100-40gb", 312e12, 40),
        Accelerator("a100-80gb", 312e12, 80),
        Accelerator("l4", 121e12, 24),
        Accelerator("l40", 181e12, 48),
        Accelerator("l40s", 362e12, 48),
        Accelerator("h100-pcie", 756e12, 80),
        Accelerator("h100-nvl", 835e12, 94),
        Accelerator("h100", 989e12, 80),
        Accelerator("h200-nvl", 835e12, 141),
        Accelerator("h200", 989e12, 141),
        Accelerator("b200", 2250e12, 180),
        Accelerator("gb200", 2500e12, 186),
        Accelerator("rtx3090", 71e12, 24),
        Accelerator("rtx4090", 165.2e12, 24),
        Accelerator("rtx5090", 209.5e12, 32),
        Accelerator("mi250x", 191.5e12, 64),
        Accelerator("mi300x", 1307e12, 192),
        Accelerator("mi325x", 1307e12, 256),
        Accelerator("mi355x", 2500e12, 288),
    )
}
"""h100 and h200 are the SXM modules, b200 one of an HGX board."""

# Regular expressions for a driver's name of a device, the narrower first. "RTX 4090 D" and laptops have other peaks.
_NAMES = (
    (r"\bA100\b.*40GB", "a100-40gb"),
    (r"\bA100\b", "a100-80gb"),
    (r"\bH100\b.*PCIe", "h100-pcie"),
    (r"\bH100\b.*NVL", "h100-nvl"),
    (r"\bG?H100\b", "h100"),
    (r"\bH200\b.*NVL", "h200-nvl"),
    (r"\bG?H200\b", "h200"),
    (r"\bGB200\b", "gb200"),
    (r"\bB200\b", "b200"),
    (r"\b(A10|A30|A40|L4|L40|L40S)\b", ""),
    (r"\bRTX (3090|4090|5090)$", "rtx"),
    (r"\bMI250X?\b", "mi250x"),
    (r"\b(MI300X|MI325X|MI355X)\b", ""),
)


def accelerator(name: str) -> Accelerator:
    """The accelerator of a name of ours (`h100`, any case). Raises ConfigError for an unknown one."""
    found = ACCELERATORS.get(name.lower())
    if found is None:
        known = ", ".join(ACCELERATORS)
        raise ConfigError(f"no accelerator is called '{name}'{nearest(name.lower(), ACCELERATORS)}; there are {known}")
    return found


def recognised(device_name: str) -> Accelerator | None:
    """The accelerator behind a driver's name for it, e.g. 'NVIDIA H100 80GB HBM3'; None if its peak is not known."""
    for pattern, name in _NAMES:
        match = re.search(pattern, device_name)
        if match:
            return ACCELERATORS[name + (match[1].lower() if match.groups() else "")]
    return None
