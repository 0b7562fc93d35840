"""Peak memory of a worker (its process and its extraction child) at 1x and 6x the file size, both engines' extremes.

The file is the shared set wcxb (46 MiB of gzip members) once, and six times over; resiliparse, the fast engine, moves
the most pages, trafilatura is measured at 1x. Bar: 1 GB together, whatever the file's size.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from .common import SHARED, write
from .crawl import part, subset

BAR_MB = 1024


def main() -> None:
    """Measure and write `results/memory.json`."""
    data = (SHARED / "html" / "wcxb.warc.gz").read_bytes()
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm = folder / "warm.warc.gz"
        subset(warm, step=400)
        for label, engine, copies in (
            ("resiliparse 1x", "resiliparse", 1),
            ("resiliparse 6x", "resiliparse", 6),
            ("trafilatura 1x", "trafilatura", 1),
        ):
            warc = folder / "pages.warc.gz"
            warc.write_bytes(data * copies)
            made = part("gristmill", warc, folder / f"out-{engine}-{copies}", engine, warm)
            peak = made["worker_peak_rss_mb"] + made["child_peak_rss_mb"]
            table[label] = {
                "file_mib": round(len(data) * copies / 2**20),
                **made,
                "together_mb": peak,
                "within_bar": peak <= BAR_MB,
            }
            print(label, table[label], flush=True)
    write(
        "memory",
        {"bar_mb": BAR_MB, "sum": "peak of the worker + peak of its largest child", "runs": table},
        ("trafilatura", "resiliparse"),
    )


if __name__ == "__main__":
    main()
