"""Removes documents from a pack set, in place or as a new set that shares the files it leaves as they are.

Nothing is edited where it lies: a changed pack file is written under a name of its own generation
(`packs/00003-r1.arrow`), then the log `removals/00001.jsonl`, and with the manifest, last of all, the set
becomes the new one. A removal killed before that leaves the old set as it was; the same command does it again.
Several sets that go into one new folder appear there together, once all of them are done.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import ConfigError, nearest
from ..packfiles import link_or_copy
from ..packreader import Block, PackReader, open_packs
from ..packs import MANIFEST, TOKENIZER, VERSION, seal
from ..storage import StorePath
from ..storage.lease import LOCK
from ..storage.mirror import fetched, staged, stand_in
from ..store import atomic_path, file_digest, locked, write_json
from .files import Removed, hits, rewrite, without_text
from .lists import Lists, Wanted, matching

FILLS = ("pad", "mask")


@dataclass(frozen=True)
class Removal:
    """What a removal did. `parent` is the old set's fingerprint, equal to the new one where nothing was found."""

    folder: Path
    fingerprint: str
    parent: str
    documents: int
    pieces: int
    tokens: int
    files: int
    """Pack files written anew."""
    matched: frozenset[str] = frozenset()
    """Entries of the lists (`Lists.unmatched`) that name documents of the set, removed now or before."""


def remove(packs: Path, lists: Lists, *, output: Path | None = None, fill: str = "pad") -> Removal:
    """`remove_all` of one pack set, which becomes `output` itself."""
    return remove_all([(packs, Path())], lists, output=output, fill=fill)[0]


def remove_all(
    sets: Sequence[tuple[Path, Path]], lists: Lists, *, output: Path | None = None, fill: str = "pad"
) -> list[Removal]:
    """Take the documents that `lists` names out of pack sets, each given with its place below `output`.

    `output` None means in place: one set after the other, and the same call goes on after a kill. A new folder is
    there with all of its sets or not at all. Every copy and every piece is overwritten with the reserved id `fill`
    and masked from the loss; lengths, order and the numbers of sequences stay. Raises ConfigError for an output that
    exists, a set inside a run's folder (in place), one without `documents/`, and for an unknown `fill`.
    """
    if fill not in FILLS:
        raise ConfigError(f"remove: fill is one of {list(FILLS)}, not '{fill}'{nearest(fill, FILLS)}")
    if output is None:
        for packs, _ in sets:
            _refuse_run(packs)
        return [_in_place(packs, lists, fill) for packs, _ in sets]
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"output '{output}' exists; choose a new folder, or --in-place")
    with staged(output) as whole:
        partial = whole.with_name(f".{whole.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        made = []
        for packs, place in sets:
            with fetched(packs) as folder:
                made.append(_remove(folder, partial / place, lists, fill))
        if whole.is_dir():
            whole.rmdir()
        os.rename(partial, whole)
    return [dataclasses.replace(one, folder=output / place) for one, (_, place) in zip(made, sets, strict=True)]


def _in_place(packs: Path, lists: Lists, fill: str) -> Removal:
    busy = f"another removal is at work on {packs}; wait for it"
    with stand_in(packs, (MANIFEST,), "pack set") as folder, locked(folder / ".removal.lock", busy):
        return dataclasses.replace(_remove(folder, folder, lists, fill), folder=packs)


def _refuse_run(packs: Path) -> None:
    """A run's own packs would be made anew, with everything in them, by the next `gristmill run`."""
    for folder in packs.resolve().parents[:4]:  # run/09-pack/sets/held_out/512
        if (folder / "recipe.yaml").exists() and (isinstance(folder, StorePath) or (folder / LOCK).exists()):
            raise ConfigError(
                f"'{packs}' belongs to the run '{folder}', which would make it anew; use -o to write a set beside it"
            )


def _remove(packs: Path, target: Path, lists: Lists, fill: str) -> Removal:
    reader = open_packs(packs)
    described = _documents(reader)
    wanted, matched = matching(packs, [entry["path"] for entry in described], lists)
    if target == packs:
        _clear(reader)
    generation = len(reader.manifest.get("removals", [])) + 1
    fill_id = int(reader.manifest["reserved_ids"][fill])
    files, log, written = _files(reader, target, wanted, fill_id, generation)
    told = _told(packs, target, described, wanted, generation)
    if target != packs:
        for entry in reader.manifest.get("removals", []):
            link_or_copy(packs / entry["path"], target / entry["path"])
        link_or_copy(packs / TOKENIZER, target / TOKENIZER)
    if not log.tokens and told == described:
        if target != packs:
            link_or_copy(packs / MANIFEST, target / MANIFEST)
        return Removal(target, reader.fingerprint, reader.fingerprint, 0, 0, 0, 0, frozenset(matched))
    entry = _log(target, generation, wanted, log, fill)
    old = {key: value for key, value in reader.manifest.items() if key != "fingerprint"}
    made = seal(
        target,
        {
            **old,
            "version": VERSION,
            "files": files,
            "document_files": told,
            "removed_tokens": old.get("removed_tokens", 0) + log.tokens.total(),
            "removals": [*old.get("removals", []), entry],
            "parent": reader.fingerprint,
            "ancestors": [*old["ancestors"], reader.fingerprint],
        },
    )
    if target == packs:
        _clear(open_packs(packs))
    return Removal(
        target,
        made["fingerprint"],
        reader.fingerprint,
        len(log.tokens),
        log.pieces.total(),
        log.tokens.total(),
        written,
        frozenset(matched),
    )


def _documents(reader: PackReader) -> list[dict[str, Any]]:
    """The entries of the set's `documents/` files; version 1 did not list them."""
    found: list[dict[str, Any]] = reader.manifest.get("document_files", [])
    if reader.version == 1:
        paths = reader.document_files()
        found = [{"path": f"documents/{p.name}", "bytes": p.stat().st_size, "blake2b": file_digest(p)} for p in paths]
    if not found:
        raise ConfigError(f"{reader.folder} has no documents/*.parquet to look URLs and ids up in; run pack again")
    return found


def _told(
    packs: Path, target: Path, described: list[dict[str, Any]], wanted: dict[str, Wanted], generation: int
) -> list[dict[str, Any]]:
    """The entries of the new set's `documents/` files, in which the documents have no title or other text left."""
    documents, entries = pa.array(sorted(wanted), pa.string()), []
    for entry in described:
        name = f"{entry['path'].removesuffix('.parquet').split('-r')[0]}-r{generation}.parquet"
        if without_text(packs / entry["path"], target / name, documents):
            path = target / name
            entries.append({"path": name, "bytes": path.stat().st_size, "blake2b": file_digest(path)})
            continue
        if target != packs:
            link_or_copy(packs / entry["path"], target / entry["path"])
        entries.append(entry)
    return entries


def _files(
    reader: PackReader, target: Path, wanted: dict[str, Wanted], fill: int, generation: int
) -> tuple[list[dict[str, Any]], Removed, int]:
    """(entries of the new set's pack files, what was taken out, files written); the others are linked."""
    documents, log, entries, written = pa.array(sorted(wanted), pa.string()), Removed(), [], 0
    parts = list(_blocks(reader))
    touched = [any(hits(block, documents).any() for block in blocks) for blocks in parts]
    upgrade = reader.version < VERSION and any(touched)  # all files of a set are of one version
    for entry, blocks, changes in zip(reader.manifest["files"], parts, touched, strict=True):
        if not changes and not upgrade:
            if target != reader.folder:
                link_or_copy(reader.folder / entry["path"], target / entry["path"])
            entries.append(entry)
            continue
        name = f"{entry['path'].removesuffix('.arrow').split('-r')[0]}-r{generation}.arrow"
        new = rewrite(reader, blocks, documents, target / name, entry["path"], fill, log)
        taken = entry.get("removed_tokens", 0) + new.pop("taken")
        entries.append({**entry, **new, "path": name, "removed_tokens": taken})
        written += 1
    return entries, log, written


def _blocks(reader: PackReader) -> Iterator[list[Block]]:
    """The blocks of each pack file."""
    at = 0
    for entry in reader.manifest["files"]:
        blocks, rows = [], 0
        while rows < entry["sequences"]:
            blocks.append(reader.blocks[at])
            rows += blocks[-1].rows
            at += 1
        yield blocks


def _log(target: Path, generation: int, wanted: dict[str, Wanted], log: Removed, fill: str) -> dict[str, Any]:
    """Write the log, one line a document; returns its entry for the manifest. When and where goes beside it."""
    path = target / "removals" / f"{generation:05d}.jsonl"
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as out:
        for document in sorted(log.tokens):
            line = {
                "id": document,
                "url": wanted[document].url,
                "why": wanted[document].why,
                "tokens": log.tokens[document],
                "pieces": log.pieces[document],
                "files": log.files[document],
            }
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    write_json(target / "removals" / f"{generation:05d}.run.json", {"date": when, "host": platform.node()})
    return {
        "path": f"removals/{path.name}",
        "bytes": path.stat().st_size,
        "blake2b": file_digest(path),
        "documents": len(log.tokens),
        "pieces": log.pieces.total(),
        "tokens": log.tokens.total(),
        "fill": fill,
    }


def _clear(reader: PackReader) -> None:
    """Delete files that the manifest doesn't name: of the set before, or of a removal that was killed."""
    named = {*(entry["path"] for entry in reader.manifest["files"]), *(_name(p) for p in reader.document_files())}
    for folder in ("packs", "documents"):
        for path in sorted((reader.folder / folder).iterdir()):
            if _name(path) not in named and path.suffix in (".arrow", ".parquet", ".tmp"):
                path.unlink()


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
