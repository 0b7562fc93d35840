"""Names that drivers give are recognised, others are not taken for their neighbours."""

from __future__ import annotations

import pytest

from pipeline.errors import ConfigError
from pretrain.accelerators import ACCELERATORS, accelerator, recognised


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", "a100-80gb"),
        ("NVIDIA A100-PCIE-40GB", "a100-40gb"),
        ("NVIDIA A100 80GB PCIe", "a100-80gb"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA GH200 480GB", "h200"),
        ("NVIDIA B200", "b200"),
        ("NVIDIA GB200", "gb200"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40", "l40"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA A10", "a10"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("AMD Instinct MI300X", "mi300x"),
        ("AMD Instinct MI250X / MI250", "mi250x"),
    ],
)
def test_drivers_names(device: str, name: str) -> None:
    found = recognised(device)
    assert found is not None and found is ACCELERATORS[name]


@pytest.mark.parametrize(
    "device", ["NVIDIA RTX A1000", "NVIDIA A10G", "NVIDIA GeForce RTX 4090 D", "NVIDIA GeForce RTX 5090 Laptop GPU",
               "Tesla V100-SXM2-16GB", "Tesla T4", "cpu", ""],
)  # fmt: skip
def test_unknown_devices_have_no_peak(device: str) -> None:
    assert recognised(device) is None


def test_our_own_names() -> None:
    assert accelerator("H100").bf16_flops == 989e12
    with pytest.raises(ConfigError, match="did you mean 'h100'"):
        accelerator("h1000")
