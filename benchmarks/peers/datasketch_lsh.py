"""datasketch's MinHashLSH over a folder of Parquet shards, in its own environment.

    python datasketch_lsh.py SHARDS OUT.json

14 bands of 8 rows. datasketch leaves shingles to its caller: here five words in a row between spaces, of the text as
datatrove simplifies it. Each document is looked up, removed if anything is found, and put in if not. Writes CPU seconds
of the parts and the ids of the removed documents.
"""

import json
import sys
import time
from importlib import metadata
from pathlib import Path

import pyarrow.parquet as pq
from datasketch import MinHash, MinHashLSH
from datatrove.utils.text import simplify_text

BANDS, ROWS, SHINGLE = 14, 8, 5


def main() -> None:
    """See the module."""
    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    drawn = MinHash(num_perm=BANDS * ROWS)
    seconds = dict.fromkeys(("shingles", "minhash", "lsh"), 0.0)
    removed = []
    wall, cpu = time.perf_counter(), time.process_time()
    for path in sorted(Path(sys.argv[1]).glob("*.parquet")):
        table = pq.read_table(path, columns=["id", "text"])
        for name, text in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True):
            start = time.process_time()
            words = simplify_text(text).split()
            if not words:
                continue
            shingles = {" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}
            data = [one.encode() for one in shingles]
            cut = time.process_time()
            minhash = MinHash(num_perm=BANDS * ROWS, permutations=drawn.permutations, scheme=drawn.scheme)
            minhash.update_batch(data)
            signed = time.process_time()
            if index.query(minhash):
                removed.append(name)
            else:
                index.insert(name, minhash)
            end = time.process_time()
            seconds["shingles"] += cut - start
            seconds["minhash"] += signed - cut
            seconds["lsh"] += end - signed
    whole = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    found = {"parts": seconds, **whole, "removed": removed, "version": metadata.version("datasketch")}
    Path(sys.argv[2]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
