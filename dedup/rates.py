"""How fast the parts of MinHash dedup are, as measured: what `gristmill dedup plan` reckons times with.

The numbers come from `benchmarks/results/dedup_scale.json`; after a new measurement
`python -m dedup.rates benchmarks/results/dedup_scale.json` prints them anew, to be put here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

UNITS: dict[str, tuple[str, ...]] = {
    "sign": ("text_bytes",),
    "link": ("band_keys",),
    "components": ("links",),
    "gather": ("text_bytes",),
    "settle": ("set_bytes",),
    "apply": ("text_bytes",),
}
"""What a part's time grows with."""
PER_CORE: dict[str, float] = {
    "sign": 140e6,
    "link": 1.8e6,
    "components": 6.4e6,
    "gather": 180e6,
    "settle": 200e6,
    "apply": 140e6,
}
"""Units of each part that one core does in a second."""
MEASURED = "1 to 10 million documents, 2 cores of an AMD EPYC, 2026-11-21 (benchmarks/results/dedup_scale.json)"
STARTUP_S = 20.0
"""Ray, imports and kernels that are compiled at first use."""
PART_S, PART_OF_FILE_S = 2e-4, 2e-7
"""To read one partition of one file, and more for each partition that the file has (measured: 200 and 2 000)."""
LEAST_S = 0.5
"""A part that took less tells no rate."""


def measured(result: Mapping[str, Any]) -> dict[str, float]:
    """Units a core and second, by part, of the benchmark's result.

    With two sizes or more the time that grows from the smallest to the largest counts, so that what every run begins
    with takes no part. Parts that took less than LEAST_S are left out.
    """
    sizes = sorted(result["sizes"], key=lambda one: int(one["documents"]))
    first, last = ({}, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[-1])
    found = {}
    for part, (unit, *_) in UNITS.items():
        seconds = last["parts_s"].get(part, 0) - (first["parts_s"].get(part, 0) if first else 0)
        work = _work(last)[unit] - (_work(first)[unit] if first else 0)
        if seconds >= LEAST_S:
            found[part] = work / seconds / result["workers"]
    return found


def _work(size: Mapping[str, Any]) -> dict[str, float]:
    report = size["report"]
    text = size["text_gb"] * 1e9
    bands = report["band_keys"] / max(1, report["signed"])
    # a shingle a word: the corpus has words of 6 letters in the mean, and a space
    shingles = text / max(1, report["documents"]) / 7
    return {
        "text_bytes": text,
        "band_keys": report["band_keys"],
        "links": report["links"] * report["rounds"],
        "set_bytes": report["in_components"] * 8 * (shingles + bands),
    }


if __name__ == "__main__":
    for name, rate in measured(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))).items():
        print(f'    "{name}": {rate:.2g},')
