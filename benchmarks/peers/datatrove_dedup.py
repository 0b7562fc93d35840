"""datatrove's exact dedup and its dedup of lines over Parquet files, in its own environment, in one process.

    python datatrove_dedup.py exact|lines INPUT_FOLDER WORK_FOLDER

Prints a JSON line: CPU and wall seconds from files to files (imports left out), documents kept, the version.
"""

import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path

os.environ["DATATROVE_COLORIZE_LOGS"] = "0"

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import sentence_dedup
from datatrove.pipeline.dedup.exact_dedup import (
    ExactDedupConfig,
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
)
from datatrove.pipeline.dedup.sentence_dedup import (
    SentDedupConfig,
    SentenceDedupFilter,
    SentenceDedupSignature,
    SentenceFindDedups,
)
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from loguru import logger

sentence_dedup.load_word_tokenizer = lambda language: None  # lines need no tokenizer, and spaCy takes long to load


def content(document: Document) -> str:
    """The text as exact dedup compares it."""
    return " ".join(document.text.split()).lower()


def stages(kind: str, source: str, work: str) -> list[list]:
    """The three pipelines of a kind of dedup."""
    reader, writer = ParquetReader(source), ParquetWriter(f"{work}/out", compression="zstd")
    first, found = f"{work}/signatures", f"{work}/found"
    if kind == "exact":
        config = ExactDedupConfig(content_getter=content)
        return [
            [reader, ExactDedupSignature(first, config=config)],
            [ExactFindDedups(first, found, config=config)],
            [reader, ExactDedupFilter(found, config=config), writer],
        ]
    config = SentDedupConfig(n_sentences=1, split_sentences=False, min_doc_words=0, min_num_sentences=0)
    return [
        [reader, SentenceDedupSignature(first, config=config)],
        [SentenceFindDedups(first, found, config=config)],
        [reader, SentenceDedupFilter(found, config=config), writer],
    ]


if __name__ == "__main__":
    kind, source, work = sys.argv[1:]
    files = len(list(Path(source).glob("*.parquet")))
    logger.remove()
    pipelines = stages(kind, source, work)
    wall, cpu = time.perf_counter(), time.process_time()
    for number, steps in enumerate(pipelines):
        tasks = 1 if number == 1 else files
        LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=f"{work}/logs{number}").run()
    seconds = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    import pyarrow.parquet as pq

    kept = sum(pq.read_metadata(path).num_rows for path in Path(f"{work}/out").rglob("*.parquet"))
    print(json.dumps({"seconds": seconds, "kept": kept, "version": metadata.version("datatrove")}))
