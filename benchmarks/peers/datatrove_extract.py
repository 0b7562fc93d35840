"""datatrove's WarcReader + Trafilatura + JsonlWriter over a folder of WARC files, one task, one worker.

Usage: python datatrove_extract.py WARC_FOLDER OUTPUT_FOLDER. Prints one JSON line with the seconds of the
run (imports and set-up apart), the documents written, and the versions.
"""

import gzip
import json
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path

start = time.perf_counter()
from datatrove.executor import LocalPipelineExecutor  # noqa: E402
from datatrove.pipeline.extractors import Trafilatura  # noqa: E402
from datatrove.pipeline.readers import WarcReader  # noqa: E402
from datatrove.pipeline.writers import JsonlWriter  # noqa: E402

imported = time.perf_counter() - start
warcs, output = sys.argv[1], Path(sys.argv[2])
shutil.rmtree(output, ignore_errors=True)
executor = LocalPipelineExecutor(
    pipeline=[WarcReader(warcs), Trafilatura(), JsonlWriter(str(output / "docs"))],
    tasks=1,
    workers=1,
    logging_dir=str(output / "logs"),
)
start = time.perf_counter()
executor.run()
seconds = time.perf_counter() - start
documents = 0
for path in (output / "docs").glob("*.jsonl.gz"):
    with gzip.open(path, "rb") as lines:
        documents += sum(1 for _ in lines)
versions = {name: metadata.version(name) for name in ("datatrove", "trafilatura", "warcio")}
print(json.dumps({"seconds": seconds, "import_s": imported, "documents": documents, "versions": versions}))
