"""datatrove's four MinHash stages over a folder of Parquet shards, in its own environment, in this one process.

    python datatrove_minhash.py SHARDS WORK

FineWeb's settings: 14 buckets of 8 hashes, shingles of 5 words, its English tokenizer. The steps are called one after
the other as its local executor would call them, without that executor's own cost. WORK gets what the stages write.
Prints a JSON line: wall and CPU seconds of the start (imports, tokenizer) and of each stage, peak memory, versions,
and `removed`: [shard's number, row] of every removed document.
"""

import json
import resource
import struct
import sys
import time
from importlib import metadata
from pathlib import Path

WALL, CPU = time.perf_counter(), time.process_time()

from datatrove.pipeline.dedup import (  # noqa: E402
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig  # noqa: E402
from datatrove.pipeline.readers import ParquetReader  # noqa: E402
from datatrove.pipeline.writers import ParquetWriter  # noqa: E402
from loguru import logger  # noqa: E402


def main() -> None:
    """See the module."""
    logger.remove()
    shards, work = sys.argv[1], Path(sys.argv[2])
    files = len(list(Path(shards).glob("*.parquet")))
    config = MinhashConfig()
    signature = MinhashDedupSignature(str(work / "signatures"), config)
    signature.get_shingles("The first text starts the tokenizer of this process.")
    start = {"wall_s": time.perf_counter() - WALL, "cpu_s": time.process_time() - CPU}

    def read():
        return ParquetReader(shards, glob_pattern="*.parquet")

    def signatures() -> None:
        for rank in range(files):
            signature.run(read().run(None, rank, files), rank, files)

    def buckets() -> None:
        step = MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets"), config=config)
        for rank in range(config.num_buckets):
            step.run(None, rank, config.num_buckets)

    def cluster() -> None:
        MinhashDedupCluster(str(work / "buckets"), str(work / "remove"), config=config).run(None, 0, 1)

    def split() -> None:
        for rank in range(files):
            gone = ParquetWriter(str(work / "removed"))
            kept = MinhashDedupFilter(str(work / "remove"), exclusion_writer=gone)
            for _ in ParquetWriter(str(work / "kept")).run(kept.run(read().run(None, rank, files), rank, files), rank):
                pass

    stages = {}
    for stage in (signatures, buckets, cluster, split):
        wall, cpu = time.perf_counter(), time.process_time()
        stage()
        stages[stage.__name__] = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    removed = []
    for path in sorted((work / "remove").glob("*.remove")):
        rows = struct.iter_unpack("<I", path.read_bytes())
        removed += [[int(path.stem), row] for (row,) in rows]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    versions = {p: metadata.version(p) for p in ("datatrove", "spacy")}
    found = {"start": start, "stages": stages, "peak_bytes": peak, "removed": removed, "versions": versions}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
