"""Extracted text of all real pages, made once: what the measurements of filters read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .common import ROOT, SHARED

FOLDER = ROOT / "runs" / "benchmark-texts"
PEER = Path(os.environ.get("GRISTMILL_PEERS", ROOT / ".venv-peers" / "bin" / "python"))
"""The interpreter that has datatrove and spaCy (make peers)."""
RECIPE = """
name: texts
source: {warc: {inputs: [PAGES]}}
steps:
  - extract: {engine: gristmill}
  - language: {languages: [], min_score: 0.0}
"""


def real_texts(folder: Path = FOLDER) -> pa.Table:
    """The pages of ../shared/data/html (url, text, lang), extracted by our engine once; kept in `folder`."""
    made = folder / "texts.arrow"
    if not made.is_file():
        write_ipc(real_pages(folder, ["url", "text", "lang"]).combine_chunks(), made)
    return read_ipc(made)


def real_pages(folder: Path = FOLDER, columns: list[str] | None = None) -> pa.Table:
    """The same pages with all that extraction knows of them (`id`, `record` ...), in the same order."""
    if not (folder / "run" / "02-language" / "manifest.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        recipe = folder / "texts.yaml"
        recipe.write_text(RECIPE.replace("PAGES", str(SHARED / "html")))
        command = [sys.executable, "-m", "pipeline.cli", "run", str(recipe), "--output", str(folder / "run"), "--quiet"]
        subprocess.run([*command, "--inline"], check=True, cwd=ROOT)
    files = sorted((folder / "run").glob("02-*/kept/*.parquet"))
    return pa.concat_tables([pq.read_table(f, columns=columns) for f in files], promote_options="permissive")


def write_ipc(table: pa.Table, path: Path) -> None:
    """One Arrow file, through a temporary name."""
    part = path.with_suffix(".part")
    with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    part.replace(path)


def read_ipc(path: Path) -> pa.Table:
    """All of an Arrow file, by memory map."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()
