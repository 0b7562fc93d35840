"""What an arm's inputs are, and the documents in them.

A recipe is run (its steps on documents; tokens and packs are made anew, alike for all arms), of a finished run the
documents that its last step kept are taken, of a pack folder the documents are put together again and decoded, with
their repeats. Pack folders are trained on as they are where all arms are pack folders of one tokenizer and length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.packreader import PackReader, open_packs
from pipeline.progress import Progress
from pipeline.run import execute
from pipeline.runner import Runner
from pipeline.store import ParquetShard, digest, read_json

from .design import WHERE, Arm

NOT_DOCUMENTS = ("train_tokenizer", "tokenize", "pack", "pretrain", "mix")
"""Steps of a recipe that come after its documents."""


@dataclass(frozen=True)
class Corpus:
    """An arm's documents as a recipe's source, or its packs."""

    arm: Arm
    kind: str  # "documents", "run", "recipe" or "packs"
    source: dict[str, Any]
    packs: str = ""


def is_recipe(arm: Arm) -> bool:
    """Whether the arm is a run recipe: a YAML file, or a bundled one's name where no file is called so."""
    from pipeline.recipe import bundled

    if len(arm.inputs) != 1:
        return False
    path = Path(arm.inputs[0])
    return path.suffix in (".yaml", ".yml") or (not path.exists() and arm.inputs[0] in bundled())


def resolve(arm: Arm, folder: Path, runner: Runner, progress: Progress) -> Corpus:
    """The arm's documents; a recipe is run in `folder`, unless it was run there before. Raises ConfigError."""
    return _run_recipe(arm, folder, runner, progress) if is_recipe(arm) else found(arm)


def found(arm: Arm) -> Corpus:
    """The documents or packs of an arm that is no recipe. Raises ConfigError."""
    from decontam.audit.corpus import kind_of

    if any(one.endswith((".yaml", ".yml")) for one in arm.inputs):
        raise ConfigError(f"{WHERE}: arm '{arm.name}' names a recipe and other inputs: give each recipe an arm")
    each = [kind_of(one) for one in arm.inputs]
    kinds = {kind for kind, _ in each}
    if kinds == {"packs"}:
        packs = [path for _, paths in each for path in paths]
        if len(packs) > 1:
            raise ConfigError(f"{WHERE}: arm '{arm.name}' has several pack sets; name one: {', '.join(packs)}")
        return Corpus(arm, "packs", {}, packs[0])
    if "packs" in kinds:
        raise ConfigError(f"{WHERE}: arm '{arm.name}' mixes packs and documents: name the one or the other")
    paths = [path for _, paths in each for path in paths]
    source = {"inputs": paths, "text_field": "text" if "run" in kinds else arm.text_field}
    return Corpus(arm, "run" if "run" in kinds else "documents", source)


def documents_recipe(arm: Arm) -> dict[str, Any]:
    """The arm's recipe up to its documents. Raises ConfigError."""
    from pipeline.recipe import entry, read_recipe, without

    plain = read_recipe(arm.inputs[0])
    names = [entry(one, f"{WHERE}: arm '{arm.name}'")[0] for one in plain.get("steps") or ()]
    return without(plain, [name for name in names if name in NOT_DOCUMENTS])


def _run_recipe(arm: Arm, folder: Path, runner: Runner, progress: Progress) -> Corpus:
    from pipeline.recipe import build

    where = f"{WHERE}: arm '{arm.name}'"
    recipe = build(documents_recipe(arm), where)
    progress.say(f"{where}: recipe {arm.inputs[0]}")
    result = execute(recipe, folder, runner, progress)
    last = next((step for step in reversed(result.steps) if step.manifest and step.manifest.get("artefact")), None)
    if last is None or last.manifest is None or not last.manifest["rows"]:
        raise ConfigError(f"{where}: its recipe keeps no document")
    files = [str(last.folder / file) for file in last.manifest["artefact"]]
    return Corpus(arm, "recipe", {"inputs": files, "text_field": "text"})


def trained_as_they_are(corpora: Sequence[Corpus], tokenizer: str) -> bool:
    """Whether all arms are pack folders of one tokenizer (that of `tokenizer`, if named) and sequence length."""
    from pipeline.bpe import load_tokenizer

    if any(not one.packs for one in corpora):
        return False
    readers = [open_packs(one.packs) for one in corpora]
    known = {_tokenizer(reader) for reader in readers}
    if tokenizer:
        known.add(load_tokenizer(tokenizer).fingerprint)
    shapes = {(reader.sequence_length, reader.total_ids, reader.dtype) for reader in readers}
    return len(known) == 1 and None not in known and len(shapes) == 1


def _tokenizer(reader: PackReader) -> str | None:
    fingerprint = (reader.manifest.get("tokenizer") or {}).get("fingerprint")
    return None if fingerprint is None else str(fingerprint)


def decoded(corpus: Corpus, folder: Path) -> Corpus:
    """The corpus with the documents of its packs in a Parquet file; one of documents as it is.

    A document that the packs repeat is there as often, under ids of its own: by one id its copies would lie next to
    each other in the new packs.
    """
    from decontam.audit.corpus import open_corpus
    from pipeline.schema import DOCUMENT

    if not corpus.packs:
        return corpus
    target = folder / "documents.parquet"
    key = digest(open_packs(corpus.packs).fingerprint)
    if read_json(folder / "made.json") != {"of": key}:
        from pipeline.store import write_json

        shard, seen = ParquetShard(target, DOCUMENT), Counter[str]()
        try:
            for piece in open_corpus([corpus.packs], folder / "links").pieces:
                for documents in piece.read():
                    shard.write(_rows(documents.table, DOCUMENT, seen))
        except BaseException as error:
            shard.abandon(error)
            raise
        shard.close()
        write_json(folder / "made.json", {"of": key})
    return Corpus(corpus.arm, corpus.kind, {"inputs": [str(target)], "text_field": "text"})


def _rows(table: Any, schema: Any, seen: Counter[str]) -> Any:
    """The table in the schema, with a number behind each id that was `seen` before."""
    import pyarrow as pa

    ids = []
    for name in table["id"].to_pylist():
        seen[name] += 1
        ids.append(name if seen[name] == 1 else f"{name}~{seen[name]}")
    made = {"id": pa.array(ids, pa.string()), "text": table["text"], "url": table["url"]}
    columns = [made.get(one.name, pa.nulls(table.num_rows, one.type)) for one in schema]
    return pa.table(columns, schema=schema)
