"""datatrove's DocumentTokenizer and its merger over a folder of Parquet shards, in its own environment.

    python datatrove_tokens.py SHARDS WORK TOKENIZER EOS WORKERS

Documents are shuffled, in each task and by the merger, as its documentation has it. Prints a JSON line: tokens,
seconds of the start (imports) and of both steps, versions.
"""

import json
import sys
import time
from importlib import metadata
from pathlib import Path

WALL = time.perf_counter()

from datatrove.executor import LocalPipelineExecutor  # noqa: E402
from datatrove.pipeline.readers import ParquetReader  # noqa: E402
from datatrove.pipeline.tokens import DocumentTokenizer, DocumentTokenizerMerger  # noqa: E402
from loguru import logger  # noqa: E402


def main() -> None:
    """See the module."""
    shards, work, tokenizer, eos, workers = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
    logger.remove()
    files = len(list(Path(shards).glob("*.parquet")))
    start = time.perf_counter() - WALL
    reader = ParquetReader(shards, glob_pattern="*.parquet")
    tokens = DocumentTokenizer(str(work / "tokens"), tokenizer, eos_token=eos, seed=0, batch_size=1000)
    LocalPipelineExecutor(
        [reader, tokens], tasks=files, workers=workers, logging_dir=str(work / "logs1"), skip_completed=False
    ).run()
    tokenised = time.perf_counter() - WALL
    merger = DocumentTokenizerMerger(str(work / "tokens"), str(work / "merged"), "merged", seed=0, progress=False)
    LocalPipelineExecutor([merger], tasks=1, workers=1, logging_dir=str(work / "logs2"), skip_completed=False).run()
    size = sum(path.stat().st_size for path in (work / "merged").glob("*.ds"))
    print(
        json.dumps(
            {
                "tokens": size // 2,
                "start_s": start,
                "tokenise_s": tokenised - start,
                "merge_s": time.perf_counter() - WALL - tokenised,
                "versions": {p: metadata.version(p) for p in ("datatrove", "tokenizers")},
            }
        )
    )


if __name__ == "__main__":
    main()
