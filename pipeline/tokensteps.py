"""The steps between documents and packs: a tokenizer, and token shards.

train_tokenizer   documents -> tokenizer.json (trained on a sample, or a file of the user's)
tokenize          documents -> tokens/<shard>.arrow and documents/<shard>.parquet (what `trace` looks up)

What follows is `packstep`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .documents import DocumentSplit, read_documents, split_schema
from .engines.encoder import ENGINES, MAX_MISMATCHES, VERIFY_SHARE, Encoder, Tally
from .errors import ConfigError, StepFailed
from .runner import Task
from .schema import RECORD
from .steps import Artefact, Step, StepContext, register_step
from .storage import local_file, place
from .store import PARQUET_OPTIONS, atomic_path, file_digest, parquet_shards, read_json

TOKENIZER_FILE = "tokenizer.json"
_BATCH_ROWS = 256

TOKEN_DOCUMENT = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("record", RECORD),
        ("title", pa.string()),
        ("n_tokens", pa.int64()),
        ("text_bytes", pa.int64()),
    ]
)
"""What is known of each tokenised document, in the order of its tokens; `LABELS` and all scores may follow."""

LABELS = ("lang", "lang_hint", "published", "extra")
"""Columns of texts that a mixture may ask for; `extra` has the other keys of JSON lines."""


def _is_score(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _is_label(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(
        is_kind(kind)
        for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_temporal)
    )


def described_schema(documents: pa.Schema) -> pa.Schema:
    """Schema of the documents table for documents of a schema: all labels and scores are kept.

    A label is a text, a number or a date, a score a number or a struct of numbers.
    """
    kept = [pa.field(c.name, pa.string()) for c in documents if c.name in LABELS and _is_label(c.type)]
    kept.sort(key=lambda column: LABELS.index(column.name))
    for column in documents:
        inner = list(column.type) if pa.types.is_struct(column.type) else [column]
        if column.name not in (*TOKEN_DOCUMENT.names, *LABELS) and all(_is_score(one.type) for one in inner):
            kept.append(pa.field(column.name, column.type))
    return pa.schema([*TOKEN_DOCUMENT, *kept])


def described(docs: pa.Table, counts: pa.Array | pa.ChunkedArray, schema: pa.Schema) -> pa.Table:
    """The documents table of `docs` with `counts` tokens each."""
    made = {"n_tokens": counts, "text_bytes": pc.fill_null(pc.binary_length(docs["text"]), 0)}
    columns = []
    for column in schema:
        values = made.get(column.name)
        if values is None:
            values = docs[column.name] if column.name in docs.column_names else pa.nulls(docs.num_rows, column.type)
        columns.append(values.cast(column.type))
    return pa.table(columns, schema=schema)


def _entry(folder: Path, file: str, rows: int) -> dict[str, Any]:
    path = folder / file
    return {"file": file, "rows": rows, "bytes": path.stat().st_size, "blake2b": file_digest(path)}


@dataclass(frozen=True)
class _Train:
    folder: str
    shards: tuple[str, ...]
    path: str
    vocab_size: int
    max_bytes: int
    eos: str


def _sample(shards: tuple[str, ...], max_bytes: int) -> Iterator[list[str]]:
    """Texts of about `max_bytes` bytes: each document is in or out by a hash of its id, whatever its shard."""
    total = 0
    for shard in shards:
        meta = pq.read_metadata(local_file(shard))
        leaf = next(i for i in range(meta.num_columns) if meta.schema.column(i).path == "text")
        for group in range(meta.num_row_groups):
            total += meta.row_group(group).column(leaf).total_uncompressed_size
    share = min(1.0, max_bytes / total) if total else 1.0
    limit = int(share * (1 << 64))
    for shard in shards:
        for batch in pq.ParquetFile(local_file(shard)).iter_batches(1024, columns=["id", "text"]):
            rows = zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True)
            texts = [t for i, t in rows if int.from_bytes(hashlib.blake2b(i.encode(), digest_size=8).digest()) < limit]
            if texts:
                yield texts


def train_tokenizer(task: _Train) -> dict[str, Any]:
    """Train on a sample of the shards, or take over the user's file. The function that a worker runs."""
    from .bpe import load_tokenizer, train_bpe

    folder = place(task.folder)
    target = folder / TOKENIZER_FILE
    if task.path:
        with atomic_path(target) as temporary:
            shutil.copyfile(local_file(task.path), temporary)
    else:
        tokenizer = train_bpe(_sample(task.shards, task.max_bytes), task.vocab_size)
        with atomic_path(target) as temporary:
            temporary.write_text(tokenizer.to_str(pretty=False), encoding="utf-8")
    loaded = load_tokenizer(target, task.eos or None)
    return {"files": [_entry(folder, TOKENIZER_FILE, 0)], "vocab_size": loaded.vocab_size}


@register_step
@dataclass(frozen=True, kw_only=True)
class TrainTokenizer(Step):
    """A byte-level BPE trained on the run's own documents, or a tokenizer.json that the user names."""

    name: ClassVar[str] = "train_tokenizer"
    needs: ClassVar[tuple[str, ...]] = ("documents",)
    makes: ClassVar[str] = "tokenizer"

    path: str = field(default="", metadata={"help": "use this Hugging Face tokenizer.json instead of training"})
    vocab_size: int = field(default=8192, metadata={"help": "size of the trained vocabulary"})
    max_bytes: int = field(default=64 << 20, metadata={"help": "train on a sample of about this much text"})
    eos: str = field(default="", metadata={"help": "name of the end-of-document token (default: found by known names)"})

    def check(self) -> None:
        from .bpe import load_tokenizer

        if not isinstance(self.vocab_size, int) or not 257 <= self.vocab_size <= 1 << 20:
            raise ConfigError(f"train_tokenizer: vocab_size must lie in 257..{1 << 20}, not {self.vocab_size}")
        if not isinstance(self.max_bytes, int) or self.max_bytes < 1:
            raise ConfigError(f"train_tokenizer: max_bytes must be at least 1, not {self.max_bytes}")
        if self.path:
            load_tokenizer(self.path, self.eos or None)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "path": file_digest(place(self.path)) if self.path else ""}

    def run(self, context: StepContext) -> dict[str, Any]:
        documents = context.inputs["documents"]
        shards = tuple(str(documents.path / file) for file in documents.files)
        if not self.path and documents.rows == 0:
            raise StepFailed(
                f"step '{context.step}': no document came this far, so there is nothing to train a tokenizer on; "
                "see the drops in the folders before it (dropped/), or name a tokenizer with train_tokenizer.path"
            )
        payload = _Train(str(context.folder.path), shards, self.path, self.vocab_size, self.max_bytes, self.eos)
        (result,) = context.map(train_tokenizer, [Task("tokenizer", payload)], unit="documents")
        return {
            "artefact": [TOKENIZER_FILE],
            "files": result["files"],
            "vocab_size": result["vocab_size"],
            "eos": self.eos,
        }


@dataclass(frozen=True)
class ShardTask:
    """One shard to tokenise into `folder`: a Parquet file of ours, or a user's file (then `split` says which part)."""

    index: int
    path: str
    folder: str
    tokenizer: str
    eos: str
    allow: tuple[str, ...]
    digest: str
    engine: Any
    verify_share: float
    split: DocumentSplit | None = None
    text_field: str = "text"


@lru_cache(maxsize=1)
def _encoder(path: str, eos: str, allow: tuple[str, ...], digest: str, engine: Any, verify_share: float) -> Encoder:
    """The tokenizer and its engine, once for a worker's shards of a step; `digest` is of the file at `path`."""
    from .bpe import load_tokenizer

    return Encoder(load_tokenizer(path, eos or None, allow), engine, verify_share)


def tokenize_shard(shard: ShardTask) -> dict[str, Any]:
    """Write `tokens/<shard>.arrow` and `documents/<shard>.parquet`. The function that workers run."""
    from .tokenise import tokenise_table

    folder = place(shard.folder)
    encoder = _encoder(shard.tokenizer, shard.eos, shard.allow, shard.digest, shard.engine, shard.verify_share)
    tally = Tally()
    name = f"{shard.index:05d}"
    rows = tokens = empty = 0
    schema = described_schema(_input_schema(shard))
    with (
        parquet_shards((folder / "documents" / f"{name}.parquet", schema)) as (documents,),
        atomic_path(folder / "tokens" / f"{name}.arrow") as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
    ):
        writer = None
        for batch in _document_batches(shard, schema):
            made = tokenise_table(batch, encoder.tok, encoder=encoder, tally=tally)
            if writer is None:
                writer = pa.ipc.new_file(sink, made.schema)
            writer.write_table(made.combine_chunks(), max_chunksize=made.num_rows or None)
            counts = pc.list_value_length(made["input_ids"]).cast(pa.int64())
            documents.write(described(batch, counts, schema))
            rows += batch.num_rows
            tokens += int(pc.sum(counts).as_py() or 0)
            empty += int(pc.sum(pc.equal(counts, 0)).as_py() or 0)
        assert writer is not None
        writer.close()
        sink.close()
        described_file = documents.close()
    files = [_entry(folder, f"tokens/{name}.arrow", rows), described_file]
    engine = {"name": encoder.name, "note": encoder.note, **tally.to_json()}
    return {"files": files, "n_in": rows, "tokens": tokens, "empty": empty, "engine": engine}


def _input_schema(shard: ShardTask) -> pa.Schema:
    if shard.split is None:
        return pq.read_schema(local_file(shard.path))
    return split_schema(shard.split, shard.text_field)


def _document_batches(shard: ShardTask, schema: pa.Schema) -> Iterator[pa.Table]:
    """The documents of a shard; one table without rows where there are none."""
    empty = True
    if shard.split is not None:
        for made in read_documents(shard.split, text_field=shard.text_field, batch_rows=_BATCH_ROWS):
            empty = False
            yield made.table
    else:
        file = pq.ParquetFile(local_file(shard.path))
        columns = [name for name in file.schema_arrow.names if name == "text" or name in schema.names]
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
            empty = False
            yield pa.Table.from_batches([batch])
    if empty:
        yield _input_schema(shard).empty_table()


@register_step
@dataclass(frozen=True, kw_only=True)
class Tokenize(Step):
    """Turns documents into token ids, one end-of-document id after each."""

    name: ClassVar[str] = "tokenize"
    version: ClassVar[int] = 3
    makes: ClassVar[str] = "tokens"

    tokenizer: str = field(default="", metadata={"help": "a tokenizer.json (default: what train_tokenizer made)"})
    eos: str = field(default="", metadata={"help": "name of the end-of-document token (default: found by known names)"})
    allow_tokens: tuple[str, ...] = field(
        default=(),
        metadata={"help": "added tokens of the tokenizer that text may give, such as <think>"},
    )
    engine: str = field(
        default="auto",
        metadata={"help": "auto (the fast one where its ids are proven), reference (the library tokenizers), fast"},
    )
    verify_share: float = field(
        default=VERIFY_SHARE,
        metadata={"help": "share of documents whose ids are compared with the reference's, from 0 to 1"},
    )

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("documents",) if self.tokenizer else ("documents", "tokenizer")

    def check(self) -> None:
        from .bpe import load_tokenizer

        if self.engine not in ENGINES:
            raise ConfigError(f"tokenize: engine must be one of {', '.join(ENGINES)}, not '{self.engine}'")
        if not 0 <= self.verify_share <= 1:
            raise ConfigError(f"tokenize: verify_share must lie in 0..1, not {self.verify_share}")
        if self.tokenizer:
            load_tokenizer(self.tokenizer, self.eos or None, self.allow_tokens)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "tokenizer": file_digest(place(self.tokenizer)) if self.tokenizer else ""}

    def run(self, context: StepContext) -> dict[str, Any]:
        documents = context.inputs["documents"]
        made: Artefact | None = context.inputs.get("tokenizer")
        source = place(self.tokenizer) if made is None else made.path / made.files[0]
        eos = self.eos or (read_json(made.path / "manifest.json")["eos"] if made else "")
        with atomic_path(context.folder.path / TOKENIZER_FILE) as temporary:
            shutil.copyfile(source, temporary)
        target = context.folder.path / TOKENIZER_FILE
        settings = (eos, tuple(self.allow_tokens), file_digest(target), self.engine, float(self.verify_share))
        shards = [
            ShardTask(i, str(documents.path / file), str(context.folder.path), str(target), *settings)
            for i, file in enumerate(documents.files)
        ]
        results, engine = _by_engine(context, shards)
        return {
            "artefact": [r["files"][0]["file"] for r in results],
            "files": [entry for r in results for entry in r["files"]]
            + [_entry(context.folder.path, TOKENIZER_FILE, 0)],
            "rows": sum(r["n_in"] for r in results),
            "shard_tokens": [r["tokens"] for r in results],
            "empty_documents": sum(r["empty"] for r in results),
            "eos": eos,
            "allow_tokens": list(self.allow_tokens),
            "engine": engine,
            "summary": {"tokens": {"tokens": sum(r["tokens"] for r in results)}},
        }


def _by_engine(context: StepContext, shards: list[ShardTask]) -> tuple[Sequence[dict[str, Any]], dict[str, Any]]:
    """The shards' results and what is to be said of the engine.

    Where the sample showed more differences than `MAX_MISMATCHES` all shards are made anew by the reference: which
    shards had been written by then depends on the workers, and bytes must not.
    """
    off = context.folder.marked("engine-off")
    if off is None:
        results = context.map(tokenize_shard, [Task(f"{s.index:05d}", s) for s in shards])
        seen = _engine_counts(results)
        if seen["mismatches"] <= MAX_MISMATCHES:
            if seen["note"] or seen["mismatches"]:
                differs = f"; {seen['mismatches']} verified document differed and has the reference's ids"
                context.progress.say(
                    f"{context.step}: {seen['note']}{differs if seen['mismatches'] else ''}".strip("; ")
                )
            return results, seen
        note = f"{seen['mismatches']} of {seen['verified_documents']} verified documents differed from the reference"
        off = {"files": [], "mismatches": seen["mismatches"], "note": f"engine '{seen['name']}' switched off: {note}"}
        context.folder.mark("engine-off", off)
    context.progress.say(f"{context.step}: {off['note']}; tokenising anew with the reference")
    again = [Task(f"{s.index:05d}-reference", replace(s, engine="reference")) for s in shards]
    results = context.map(tokenize_shard, again)
    return results, {**_engine_counts(results), "mismatches": off["mismatches"], "note": off["note"]}


def _engine_counts(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The shards' tallies added up, with the engine's name and note."""
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    for result in results:
        for key, value in result["engine"].items():
            if isinstance(value, str):
                names[key] = value
            else:
                counts[key] += value
    return {"name": "", "note": "", "mismatches": 0, **names, **counts}


def export_tokens(shards: list[Path], target: Path) -> int:
    """Write token shards as one Parquet file (id, input_ids, title_tokens); returns the number of tokens."""
    tokens = 0
    with atomic_path(target) as temporary:
        schema = pa.ipc.open_file(pa.memory_map(local_file(shards[0]))).schema
        with pq.ParquetWriter(temporary, schema, **PARQUET_OPTIONS) as writer:
            for shard in shards:
                file = pa.ipc.open_file(pa.memory_map(local_file(shard)))
                for number in range(file.num_record_batches):
                    batch = file.get_batch(number)
                    writer.write_batch(batch)
                    tokens += len(batch.column("input_ids").flatten())
    return tokens
