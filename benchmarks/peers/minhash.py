"""datasketch's and rensa's MinHash signatures of texts, in their own environment, on one thread.

    python minhash.py TEXTS.arrow NUM_PERM N

Prints a JSON line: {seconds: {way: {cpu, wall}}, digest, versions}. The ways end in `given` where the shingles (N words
between white space, small letters, as bytes) are ready-made and only the signatures are timed, in `whole` where
splitting is timed too, in `hashed` where even the shingles' hashes are ready-made: permutations alone. `digest` is the
SHA-256 of datasketch's signatures.
"""

import hashlib
import json
import os
import sys
import time
from importlib import metadata

os.environ["RAYON_NUM_THREADS"] = "1"  # rensa's threads

import numpy as np
import pyarrow as pa
import xxhash
from datasketch import MinHash
from rensa import RMinHash

path, num_perm, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with pa.memory_map(path) as source:
    texts = pa.ipc.open_file(source).read_all()["text"].to_pylist()


def shingles(text: str) -> list[bytes]:
    """Words in a row as bytes; all of a shorter text."""
    words = text.lower().split()
    if len(words) <= n:
        return [" ".join(words).encode()] if words else []
    return [" ".join(words[i : i + n]).encode() for i in range(len(words) - n + 1)]


def datasketch_each(sets: list[list[bytes]]) -> list[MinHash]:
    """A MinHash a document, as most programs do it."""
    out = []
    for one in sets:
        m = MinHash(num_perm=num_perm)
        m.update_batch(one)
        out.append(m)
    return out


ready = [shingles(text) for text in texts]
WAYS = {
    "datasketch_update_batch": datasketch_each,
    "datasketch_bulk": lambda sets: MinHash.bulk(sets, num_perm=num_perm),
    "datasketch_bulk_xxhash": lambda sets: MinHash.bulk(sets, num_perm=num_perm, hashfunc=xxhash.xxh32_intdigest),
    "rensa_bulk": lambda sets: RMinHash.digest_matrix_from_token_byte_sets(sets, num_perm, 1),
    "rensa_bulk_rho": lambda sets: RMinHash.digest_matrix_from_token_sets_rho(sets, num_perm, 1),
}
seconds = {}
kept = {}
for name, way in WAYS.items():
    for mode in ("given", "whole"):
        wall, cpu = time.perf_counter(), time.process_time()
        kept[name] = way(ready if mode == "given" else [shingles(text) for text in texts])
        seconds[f"{name}_{mode}"] = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
flat = np.array([xxhash.xxh64_intdigest(one) for sets in ready for one in sets], np.uint64)
offsets = np.concatenate([[0], np.cumsum([len(one) for one in ready])]).astype(np.uint64)
low = [part.tolist() for part in np.split(flat & np.uint64(0xFFFFFFFF), offsets[1:-1].astype(np.int64))]
HASHED = {
    "datasketch_bulk_hashed": lambda: MinHash.bulk(low, num_perm=num_perm, hashfunc=lambda h: h),
    "rensa_bulk_hashed": lambda: RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, num_perm, 1),
}
for name, run in HASHED.items():
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    seconds[name] = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
made = np.stack([m.hashvalues for m in kept["datasketch_bulk"]])
print(
    json.dumps(
        {
            "seconds": seconds,
            "digest": hashlib.sha256(made.tobytes()).hexdigest(),
            "documents": kept["rensa_bulk"].len(),
            "versions": {p: metadata.version(p) for p in ("datasketch", "rensa", "xxhash", "numpy")},
        }
    )
)
