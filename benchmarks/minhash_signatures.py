"""MinHash signatures on one core, beside datasketch and rensa on the same documents.

    python -m benchmarks.minhash_signatures [--texts FOLDER] [--documents N] [--runs N] [--no-write]

Texts: all pages of ../shared/data/html of 3 to 8 kB of extracted text. 128 permutations, shingles of five words. Ours
always starts from the Arrow column: normalising, splitting, hashing and all permutations are timed. The peers start
from Python lists of ready-made shingles (`given`) or split by `text.lower().split()` themselves (`whole`); both, and
ours, on one thread. `native_hashed` and the peers' `hashed` have the shingles' hashes given: permutations alone.
`rensa_bulk_rho` is another sketch than MinHash, shown for its speed. CPU seconds decide, for a machine that others
use; wall seconds are beside them. The peers need `make peers` (or GRISTMILL_PEERS).
Writes benchmarks/results/minhash_signatures.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dedup.presets import PRESETS
from dedup.shingles import Shingling, hash_chunks, shingle_hashes
from dedup.signatures import signatures, signatures_of_hashes
from filters.kernels.columns import view

from .common import start_seconds, write
from .texts import FOLDER, PEER, real_texts, write_ipc

NUM_PERM, WORDS = 128, 5
MIN_BYTES, MAX_BYTES = 3000, 8000
SPACES = Shingling(n=WORDS, splitter="whitespace")
"""The same shingles as the peers'."""
OURS: dict[str, Callable[[pa.Array], Any]] = {
    "native_uax29": lambda texts: signatures(view(texts), Shingling(n=WORDS), "native", NUM_PERM),
    "native_whitespace": lambda texts: signatures(view(texts), SPACES, "native", NUM_PERM),
    "native_fineweb_text": lambda texts: signatures(view(texts), PRESETS["fineweb"].shingling, "native", NUM_PERM),
    "datasketch_identical": lambda texts: signatures(view(texts), SPACES, "datasketch", NUM_PERM),
    "sets_uax29": lambda texts: shingle_hashes(view(texts), Shingling(n=WORDS)),
}
"""`sets_uax29`: no signatures, but the sorted sets of shingle hashes for the true similarity."""
COLD = """
import time
start, cpu = time.perf_counter(), time.process_time()
import pyarrow as pa
from dedup.presets import PRESETS
from dedup.shingles import shingle_hashes
from dedup.signatures import band_keys, signatures
p = PRESETS["fineweb"]
column = pa.array(["one two three four five six"], pa.large_string())
band_keys(signatures(column, p.shingling, p.scheme, p.num_perm, p.seed), p.bands, p.rows)
shingle_hashes(column, p.shingling)
print(time.perf_counter() - start, time.process_time() - cpu)
"""


def timed(part: Callable[[pa.Array], Any], texts: pa.Array) -> dict[str, float]:
    """CPU and wall seconds of one pass."""
    wall, cpu = time.perf_counter(), time.process_time()
    part(texts)
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def peers(path: Path) -> dict[str, Any]:
    """The peers once over the documents."""
    script = Path(__file__).parent / "peers" / "minhash.py"
    command = [str(PEER), str(script), str(path), str(NUM_PERM), str(WORDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, default=FOLDER, help="where extracted texts are kept")
    parser.add_argument("--documents", type=int, default=0, help="read only so many")
    parser.add_argument("--runs", type=int, default=5, help="alternating runs")
    parser.add_argument("--no-write", action="store_true", help="print, and leave the result file alone")
    options = parser.parse_args()
    docs = real_texts(options.texts).select(["text"])
    sizes = pc.binary_length(docs["text"])
    docs = docs.filter(pc.and_(pc.greater_equal(sizes, MIN_BYTES), pc.less_equal(sizes, MAX_BYTES))).combine_chunks()
    if options.documents:
        docs = docs.slice(0, options.documents).combine_chunks()
    texts = docs["text"].chunk(0)
    n, megabytes = len(texts), pc.sum(pc.binary_length(texts)).as_py() / 1e6
    chunks = list(hash_chunks(view(texts), SPACES))
    ways = {**OURS, "native_hashed": lambda _: [signatures_of_hashes(*one, "native", NUM_PERM) for one in chunks]}
    for part in ways.values():
        part(texts)
    identical = hashlib.sha256(OURS["datasketch_identical"](texts).tobytes()).hexdigest()
    runs: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.arrow"
        write_ipc(docs, path)
        for _ in range(options.runs):
            ours = {name: timed(part, texts) for name, part in ways.items()}
            theirs = peers(path)
            if theirs["digest"] != identical:
                raise SystemExit("signatures differ from datasketch's")
            runs.append({**ours, **theirs["seconds"]})
    cpu = {name: statistics.median(run[name]["cpu"] for run in runs) for name in runs[0]}
    wall = {name: statistics.median(run[name]["wall"] for run in runs) for name in runs[0]}

    def ratio(name: str, ours: str) -> float:
        return statistics.median(run[name]["cpu"] / run[ours]["cpu"] for run in runs)

    theirs_names = [name for name in cpu if name not in ways]
    result = {
        "documents": n,
        "megabytes": megabytes,
        "bytes_per_document": 1e6 * megabytes / n,
        "permutations": NUM_PERM,
        "documents_per_cpu_second": {name: n / s for name, s in cpu.items()},
        "mb_per_cpu_second": {name: megabytes / s for name, s in cpu.items()},
        "documents_per_wall_second": {name: n / s for name, s in wall.items()},
        "times_faster": {ours: {name: ratio(name, ours) for name in theirs_names} for ours in ways},
        "bit_identical_with_datasketch": True,
        "peer_versions": theirs["versions"],
        "start": start_seconds(COLD),
        "seconds": runs,
    }
    print(json.dumps({key: value for key, value in result.items() if key != "seconds"}, indent=1))
    if not options.no_write:
        write("minhash_signatures", result, ("numpy", "pyarrow", "numba", "datasketch"))


if __name__ == "__main__":
    main()
