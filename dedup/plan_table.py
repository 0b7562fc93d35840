"""The table of sizes in docs/dedup.md, made from the plan: `python -m dedup.plan_table docs/dedup.md` puts it in."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.cli_dedup_plan import duration, size
from pipeline.store import atomic_path

from . import rates
from .minhash import LEAST_GB, MinhashDedup
from .plan import BYTES_PER_SHARD, NAMES, Corpus, plan

COLUMNS = (
    (10**7, None, LEAST_GB),
    (10**8, None, LEAST_GB),
    (10**9, None, LEAST_GB),
    (10**9, 1_700, 8.0),
    (10**10, None, LEAST_GB),
    (10**10, 17_000, 16.0),
)
"""Documents, shards (None: BYTES_PER_SHARD each), `worker_gb`."""
WORDS, WORD_BYTES, DUPLICATES, WORKERS = 600, 6, 0.3, 64
BEGIN, END = "<!-- made by dedup.plan_table -->\n", "<!-- end -->\n"


def table() -> str:
    """The table in Markdown, with what it supposes."""
    size_ = WORDS * WORD_BYTES
    plans = []
    for n, shards, worker_gb in COLUMNS:
        corpus = Corpus(
            documents=n,
            bytes_per_document=size_,
            shingles=WORDS - 4,
            duplicates=DUPLICATES,
            shards=shards or max(1, round(n * size_ / BYTES_PER_SHARD)),
        )
        plans.append(plan(corpus, MinhashDedup(worker_gb=worker_gb), WORKERS))
    rows = [["documents", *(f"{p['corpus']['documents']:,}" for p in plans)]]
    for name, key in (
        ("text", lambda p: size(p["corpus"]["text_bytes"])),
        ("`worker_gb`", lambda p: f"{p['worker_gb']:g}"),
        ("shards", lambda p: f"{p['corpus']['shards']:,}"),
        ("partitions of band keys", lambda p: f"{p['files']['partitions']:,}"),
        ("files x partitions", lambda p: f"{p['files']['parts_of_band_keys']:,}"),
        ("partitions of links", lambda p: f"{p['files']['link_partitions']:,}"),
        ("files of sets to compare", lambda p: f"{p['files']['set_files']:,}"),
        ("groups to compare", lambda p: f"{p['files']['groups']:,}"),
        ("disk: band keys", lambda p: size(p["disk_bytes"]["bands"])),
        ("disk: links, stars, labels", lambda p: size(sum(p["disk_bytes"][k] for k in ("links", "stars", "labels")))),
        ("disk: sets to compare", lambda p: size(p["disk_bytes"]["groups"])),
        ("disk: kept and dropped", lambda p: size(p["disk_bytes"]["kept and dropped"])),
        ("disk at the peak", lambda p: size(p["disk_bytes"]["peak"])),
        ("memory of a worker", lambda p: size(p["memory_bytes"]["worker"])),
        *(
            (f"time: {part}", lambda p, part=part: duration(p["seconds"][part]))
            for part in (NAMES.get(part, part) for part in rates.UNITS)
        ),
        ("time in all", lambda p: duration(p["seconds"]["all"])),
    ):
        rows.append([name, *(key(p) for p in plans)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---" + "|--:" * len(plans) + "|")
    told = (
        f"{WORDS} words of {WORD_BYTES} bytes a document, {DUPLICATES:.0%} that will go, preset fineweb, {WORKERS} "
        f"workers.\nRates: {rates.MEASURED}.\n\n"
    )
    return told + "\n".join(lines) + "\n"


def put(text: str) -> str:
    """The page with the table between its marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + table() + "\n" + END + after


if __name__ == "__main__":
    page = Path(sys.argv[1])
    with atomic_path(page) as temporary:
        temporary.write_text(put(page.read_text(encoding="utf-8")), encoding="utf-8")
