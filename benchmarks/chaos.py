"""All faults put upon a reduced main job: expected, seen, bytes lost. `make chaos`.

    python -m benchmarks.chaos [--only NAME ...]

The faults are in tests/chaos/faults.py. Writes results/chaos.json and docs/faults.md; status 1 where one was not borne,
or never struck. With --only the rows of the other faults stay, with the commit and the day that they are of.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from tests.chaos.faults import FAULTS, Seen
from tests.chaos.lab import STEPS, Lab

from .common import RESULTS, ROOT, write

PAGE = ROOT / "docs" / "faults.md"

HEAD = """# Faults: what happens to a run, and what becomes of it

This page is made by `make chaos` (the faults are in `tests/chaos/faults.py`; the small ones run in every test run). The
job is the main job with less to compute on a part of the sample crawl, and after each fault all data files are
compared with those of an undisturbed run. *Bytes lost* counts data files that are missing, differ or are too many.
Its steps: {steps}.

| fault | expected | seen | bytes lost |
| --- | --- | --- | --- |
"""

TAIL = """
A change of a single byte of a local input file is noticed where its size or dates (mtime, ctime) tell that something
was done to it: then it is hashed in full and compared with what the shards were made of (`pipeline/inputs.py`), so a
touched file or a copied corpus costs one reading, not the work. Inputs in an object store go by their ETag
([storage.md](storage.md)). What is not noticed: damage by which a disk changes an input's bytes and no date; a file
that is changed, and perhaps changed back, in the very moment in which a shard reads it (inputs should lie still while a
run reads them); and damage to the files of a finished run that no further step reads (`PackReader.verify` checks packs
whenever it is asked to). What a run has written to an object store is left to the store's own checksums.
"""


def main() -> int:
    """Put the faults, print a line for each, write the page and the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(FAULTS), metavar="NAME", help="the rows of the others stay")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gristmill-chaos-"))
    rows: list[dict[str, Any]] = []
    try:
        lab = Lab(folder)
        for name, fault in FAULTS.items():
            if given.only and name not in given.only:
                continue
            start = time.monotonic()
            try:
                lacking = fault.lacks()
                seen = Seen(f"not put: {lacking}", 0, False, False) if lacking else fault.put(lab)
            except Exception as error:
                traceback.print_exc()
                seen = Seen(f"{type(error).__name__}: {error}", -1, False, False)
            told = seen.told.replace(str(folder), "...")
            rows.append({"fault": name, "expected": fault.expected, "seen": told, "bytes_lost": seen.bytes_lost,
                         "struck": seen.struck, "held": seen.held,
                         "seconds": round(time.monotonic() - start, 1)})  # fmt: skip
            word = "held" if seen.held else "NOT HELD" if seen.struck else "DID NOT STRIKE"
            print(f"{word}: {name}: {told}; {seen.bytes_lost} bytes lost", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    put_now = {row["fault"] for row in rows}
    if given.only:
        rows = merged(rows, json.loads((RESULTS / "chaos.json").read_text(encoding="utf-8")))
    bad = [row for row in rows if not row["held"] or row["bytes_lost"]]
    PAGE.write_text(page(rows), encoding="utf-8")
    write("chaos", {"faults": rows, "not_held": len(bad)}, packages=("ray", "pyarrow"))
    return 1 if any(row["fault"] in put_now for row in bad) else 0


def merged(rows: list[dict[str, Any]], before: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the faults put now, and those that an earlier result has of the others, in the suite's order."""
    of = {key: before[key] for key in ("commit", "date")}
    found = {row["fault"]: {**of, **row} for row in before["faults"]} | {row["fault"]: row for row in rows}
    return [found[name] for name in FAULTS if name in found]


def page(rows: list[dict[str, Any]]) -> str:
    """The text of docs/faults.md."""
    names = ", ".join(one if isinstance(one, str) else next(iter(one)) for one in STEPS)
    lines = (
        f"| {r['fault']} | {r['expected']} | {'' if r['held'] else '**not held:** '}{_cell(r['seen'])} | "
        f"{r['bytes_lost']} |\n"
        for r in rows
    )
    return HEAD.format(steps=names) + "".join(lines) + TAIL


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())
