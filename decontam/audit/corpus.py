"""What a finished corpus is made of: pack sets, runs, Parquet files, JSON lines; found by looking."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError
from pipeline.packs import MANIFEST
from pipeline.packstep import sets_in
from pipeline.storage import place

from .documents import FilePiece, Piece

if TYPE_CHECKING:
    from pipeline.packreader import PackReader

SPLIT_BYTES = 64 << 20
"""Bytes of a Parquet file's row groups that one task reads."""


@dataclass(frozen=True)
class Packs:
    """Pack sets that belong together, one for each sequence length."""

    label: str
    """Stands for them in the report; empty where the corpus is nothing else."""
    documents: tuple[Path, ...]
    """Files that say where their documents come from."""


@dataclass
class Corpus:
    """The pieces that tasks read, in order, and what is known before any of them is read."""

    inputs: list[str]
    kinds: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    tokens: int | None = None
    sources: list[list[Any]] = field(default_factory=list)
    """What the texts depend on: files with size, time and text field, pack sets with their checksums."""
    packs: list[Packs] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """packs, documents, run, or several."""
        return " and ".join(dict.fromkeys(self.kinds))


def kind_of(path: str) -> tuple[str, list[str]]:
    """("packs", folders of the sets), ("run", files of documents) or ("documents", [path]). Raises ConfigError for a
    run without documents and for WARC files.

    A folder holds packs if its manifest, that of its `packset/` or those of the sets there by length say so, and is a
    run (or a step of one) if steps lie in it; the last step that kept documents counts, the packs if none did. What a
    mixture holds out (`sets/` of a pack step) is read where it is named itself.
    """
    folder = place(path)
    if path.endswith((".warc", ".warc.gz", ".arc", ".arc.gz", ".wet.gz")):
        raise ConfigError(f"'{path}' holds pages, not documents: `gristmill extract {path} -o texts.parquet` first")
    if not folder.is_dir():
        return "documents", [path]
    packs = sets_in(folder)
    if packs:
        return "packs", [str(one) for one in packs]
    steps = sorted(plan.parent for plan in folder.glob("[0-9][0-9]-*/plan.json"))
    if (folder / "plan.json").is_file():
        steps.append(folder)
    for step in reversed(steps):
        manifest = _json(step / MANIFEST) or {}
        files = [str(step / name) for name in manifest.get("artefact", ()) if name.endswith(".parquet")]
        if files:
            return "run", files
    packs = [found for step in reversed(steps) for found in sets_in(step)]
    if packs:
        return "packs", [str(one) for one in packs]
    if steps:
        raise ConfigError(f"run '{path}' holds no finished step with documents; run it, or name files or a pack folder")
    return "documents", [path]


def open_corpus(
    inputs: Sequence[str], links: Path, *, tokenizer: str | None = None, text_field: str = "text"
) -> Corpus:
    """The corpus of files, folders, globs, runs and pack sets. Writes to the folder `links` how packs hang together.

    Raises ConfigError for inputs that are not there, are no corpus, or can't be decoded.
    """
    from pipeline.documents import plan_documents
    from pipeline.packreader import open_packs

    from .packset import plan, tokenizer_of

    corpus = Corpus(list(inputs))
    links.mkdir(parents=True, exist_ok=True)
    found = [(path, *kind_of(path)) for path in inputs]
    corpus.kinds = [kind for _, kind, _ in found]
    together = dict.fromkeys(tuple(paths) for _, kind, paths in found if kind == "packs")
    if tokenizer and not together:
        raise ConfigError("--tokenizer is for packs, and the corpus has none")
    sets = [folder for folders in together for folder in folders]
    if len(set(sets)) < len(sets):
        raise ConfigError(f"the corpus names packs twice: {', '.join(inputs)}")
    for number, folders in enumerate(together):
        readers = [open_packs(folder) for folder in folders]
        loaded = tokenizer_of(readers, tokenizer)
        label = ""
        if len(together) > 1 or len(set(corpus.kinds)) > 1:
            label = folders[0] if len(folders) == 1 else str(place(folders[0]).parent)
        corpus.pieces += plan(readers, label, loaded, links / f"packs-{number}")
        described = (tuple(path for path in reader.document_files() if path.is_file()) for reader in readers)
        corpus.packs.append(Packs(label, next(filter(None, described), ())))  # each set describes all documents
        for reader in readers:
            corpus.tokens = (corpus.tokens or 0) + reader.manifest["tokens"] - reader.manifest.get("removed_tokens", 0)
            corpus.sources.append([str(reader.folder.absolute()), label, *_marks(reader), loaded.fingerprint])
    paths = [path for _, kind, paths in found if kind != "packs" for path in paths]
    if paths:
        splits = plan_documents(paths, SPLIT_BYTES)
        corpus.pieces += [FilePiece(split, text_field) for split in splits]
        corpus.sources += [
            [split.path, split.size, list(split.row_groups or ()), _time(split.path), text_field] for split in splits
        ]
    if corpus.packs and paths:
        corpus.tokens = None
    return corpus


def _marks(reader: PackReader) -> list[Any]:
    return [[entry["path"], entry["bytes"], entry.get("blake2b")] for entry in reader.manifest["files"]]


def _time(path: str) -> int | None:
    local = Path(path.removeprefix("file://"))
    return local.stat().st_mtime_ns if local.exists() else None


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
