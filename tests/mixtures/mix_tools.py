"""What the mixture tests share: runs that have tokens, made from plain lists, and what a mix step drew from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mixtures.step import Mix
from pipeline.packing.draws import DrawSet, read_draws
from pipeline.progress import Progress
from pipeline.runner import InlineRunner, Runner
from pipeline.schema import RECORD
from pipeline.steps import StepContext
from pipeline.store import StepFolder, file_digest
from tests.pipeline.token_tools import byte_tokenizer, write_shard


@dataclass
class Doc:
    """A document of a test run; `ids` without the end of document."""

    id: str
    ids: list[int]
    lang: str = "en"
    url: str = "https://a.example/1"
    date: str = "2025-01-01T00:00:00Z"
    quality: float | None = None

    @property
    def n(self) -> int:
        return len(self.ids) + 1 if self.ids else 0


def random_docs(prefix: str, number: int, seed: int, longest: int = 60, **fields: Any) -> list[Doc]:
    """Documents of 1 to `longest` random ids in some languages and domains, with dates and scores."""
    draw = np.random.default_rng(seed)
    out = []
    for i in range(number):
        out.append(
            Doc(
                f"{prefix}{i:028x}",
                draw.integers(0, 256, draw.integers(1, longest)).tolist(),
                lang=str(draw.choice(["en", "en", "en", "en", "de", "fr"])),
                url=f"https://{draw.choice(['www.a', 'b', 'c', 'd'])}.example/{i}",
                date=f"2025-0{draw.integers(1, 10)}-11T10:00:00Z",
                quality=float(draw.random()) if draw.random() < 0.9 else None,
            )
        )
        for name, value in fields.items():
            setattr(out[-1], name, value)
    return out


def make_run(folder: Path, docs: list[Doc], shards: int = 2) -> Path:
    """A run's folder with a finished step `tokenize` over the documents, in `shards` token shards."""
    step = folder / "07-tokenize"
    (step / "tokens").mkdir(parents=True)
    (step / "documents").mkdir()
    byte_tokenizer(step / "tokenizer.json")
    files = []
    for k in range(shards):
        own = docs[k::shards]
        write_shard(step / "tokens" / f"{k:05d}.arrow", [(d.id, [*d.ids, 256] if d.ids else []) for d in own], 7)
        table = pa.table(
            {
                "id": [d.id for d in own],
                "url": [d.url for d in own],
                "record": pa.array([{"file": "f", "offset": i, "date": d.date} for i, d in enumerate(own)], RECORD),
                "title": pa.nulls(len(own), pa.string()),
                "n_tokens": pa.array([d.n for d in own], pa.int64()),
                "text_bytes": pa.array([4 * d.n for d in own], pa.int64()),
                "lang": [d.lang for d in own],
                "quality": pa.array([d.quality for d in own], pa.float32()),
            }
        )
        pq.write_table(table, step / "documents" / f"{k:05d}.parquet")
        files.append(f"tokens/{k:05d}.arrow")
    manifest = {
        "fingerprint": file_digest(step / "tokens" / "00000.arrow"), "artefact": files, "rows": len(docs), "eos": "",
        "allow_tokens": [], "empty_documents": sum(not d.ids for d in docs),
    }  # fmt: skip
    (step / "manifest.json").write_text(json.dumps(manifest))
    kept = folder / "05-pii"
    (kept / "kept").mkdir(parents=True)
    pq.write_table(
        pa.table({"id": [d.id for d in docs], "text": [d.id for d in docs]}), kept / "kept" / "00000.parquet"
    )
    manifest = {"fingerprint": manifest["fingerprint"], "artefact": ["kept/00000.parquet"], "rows": len(docs)}
    (kept / "manifest.json").write_text(json.dumps(manifest))
    return folder


@dataclass
class Mixed:
    """What a mix step made."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def report(self) -> dict[str, Any]:
        return dict(self.manifest["report"])

    def draws(self, name: str = "") -> list[dict[str, Any]]:
        """All draws of a set, in order, with `source` and `phase`."""
        drawn = DrawSet.read(self.folder / "sets" / name if name else self.folder)
        rows = []
        for phase in drawn.phases:
            for row in read_draws(drawn.files, range(phase.first, phase.last)).to_pylist():
                rows.append({**row, "phase": phase.name, "path": drawn.shards[row["shard"]]})
        return rows


def mix(folder: Path, recipe: dict[str, Any], runner: Runner | None = None, **options: Any) -> Mixed:
    """Run the step on a recipe given as plain values."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump({"name": "test", **recipe}, sort_keys=False))
    step = Mix(mixture=str(path), **{"tolerance_tokens": 32, **options})
    step.check()
    with runner or InlineRunner() as active:
        context = StepContext("01-mix", StepFolder(folder), {}, active, Progress(quiet=True))
        fingerprint = step.fingerprint([])
        context.folder.begin(fingerprint, {"step": "mix", "config": step.config()})
        made = step.run(context)
        context.folder.finish(fingerprint, made)
    return Mixed(folder, made)
