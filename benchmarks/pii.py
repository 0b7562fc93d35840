"""PII: speed on real pages beside datatrove's PIIFormatter (e-mail and IP only), and the generated set's scores.

Usage: python -m benchmarks.pii [pages] [runs]. Texts: all text of the pages (resiliparse, nothing left out).
"""

from __future__ import annotations

import collections
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.pii import KINDS, Pii, find
from filters.pii.stage import COUNTS
from tests.filters.pii import generate

from .common import ROOT, SHARED, write


def pages(limit: int) -> list[str]:
    """Up to `limit` pages' whole text, taken from all sources in turn."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding
    from resiliparse.parse.html import HTMLTree

    files = [
        ArchiveIterator(path.open("rb"), record_types=WarcRecordType.response)
        for path in sorted((SHARED / "html").glob("*.warc.gz"))
    ]
    out: list[str] = []
    for row in itertools.zip_longest(*files):
        for record in row:
            if record is not None and len(out) < limit:
                body = record.reader.read()
                tree = HTMLTree.parse(bytes_to_str(body, detect_encoding(body)))
                out.append(extract_plain_text(tree, main_content=False))
        if len(out) >= limit:
            break
    return out


def peer(texts: list[str], runs: int) -> tuple[list[float], list[str]]:
    """Seconds of each of datatrove's runs, and its texts."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        python = ROOT / ".venv-peers" / "bin" / "python"
        command = [str(python), str(ROOT / "benchmarks/peers/pii.py"), str(source), str(target), str(runs)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        out = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
        return json.loads(done.stdout.splitlines()[-1])["seconds"], out


def main() -> None:
    """Measure and write `results/pii.json`."""
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    texts = pages(limit)
    table = pa.table({"text": pa.array(texts, pa.large_string())})
    size = sum(len(text.encode()) for text in texts) / 1e6
    stages = {"gristmill_all": Pii(), "gristmill_email_ip": Pii(kinds=("email", "ip"))}
    seconds: dict[str, list[float]] = {**{name: [] for name in stages}, "datatrove_email_ip": []}
    outputs: dict[str, pa.Table] = {name: stage(table) for name, stage in stages.items()}
    theirs: list[str] = []
    for _ in range(runs):
        for name, stage in stages.items():
            start = time.perf_counter()
            outputs[name] = stage(table)
            seconds[name].append(time.perf_counter() - start)
        spent, theirs = peer(texts, 1)
        seconds["datatrove_email_ip"] += spent
    speed = {name: round(size / statistics.median(values), 2) for name, values in seconds.items()}
    ours = outputs["gristmill_email_ip"]["text"].to_pylist()
    counts: dict[str, Any] = {}
    for kind, mark in (("email", "<EMAIL>"), ("ip", "<IP>")):
        tally = collections.Counter(gristmill=0, datatrove=0)
        for mine, other in zip(ours, theirs, strict=True):
            tally["gristmill"] += len(re.findall(mark, mine))
            tally["datatrove"] += len(re.findall(mark, other))
        counts[kind] = dict(tally)
    hits = outputs["gristmill_all"][COUNTS].combine_chunks()
    generated = {
        part: generate.scores(part, 2026, 1500, lambda text: [(h.start, h.end, h.kind) for h in find(text)])
        for part in ("tune", "report")
    }
    write(
        "pii",
        {
            "pages": len(texts),
            "megabytes": round(size, 1),
            "seconds": seconds,
            "megabytes_per_second": speed,
            "ratio_email_ip": round(speed["gristmill_email_ip"] / speed["datatrove_email_ip"], 1),
            "same_text": sum(a == b for a, b in zip(ours, theirs, strict=True)),
            "masked": counts,
            "hits_by_kind": {kind: int(hits.field(kind).to_numpy().sum()) for kind in KINDS},
            "generated": generated,
        },
        ("resiliparse", "numba"),
    )


if __name__ == "__main__":
    main()
