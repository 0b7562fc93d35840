"""The step `pack`: token shards (or a mixture's draws of them) become pack sets.

Its folder holds `packset/`, a self-contained pack set (`packs`), or, for several sequence lengths,
`packset/<length>/` for each. What a mixture holds out becomes sets of its own in `sets/<name>/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from .errors import ConfigError, StepFailed, nearest
from .packing.draws import DRAWS, ORDERS, DrawSet, default_draws, draw_shard
from .packing.statistics import shares
from .packing.tasks import PackTask, PackWork, make_pack, partitions_for, plan_tasks
from .packs import METHODS, TOKENIZER, id_dtype, reserved_ids, write_manifest
from .runner import Task
from .steps import Artefact, Step, StepContext, register_step
from .storage import place
from .store import file_digest, read_json

PACKSET = "packset"
SETS = "sets"
"""Folder of the sets beside the one to train on: what a mixture holds out."""
FILE_BYTES = 256 << 20
"""Ids in a pack file, about, unless the options say how many sequences."""


@dataclass(frozen=True)
class _DrawPayload:
    target: str
    shard: int
    path: str
    dtype: str
    seed: int
    order: str
    first: int
    total: int
    partitions: int


def _draw(payload: _DrawPayload) -> dict[str, Any]:
    """Write the default draws of one token shard. The function that workers run."""
    made = draw_shard(
        place(payload.target), payload.shard, payload.path, payload.dtype, seed=payload.seed, order=payload.order,
        first=payload.first, total=payload.total, partitions=payload.partitions,
    )  # fmt: skip
    file = {key: made.pop(key) for key in ("file", "rows", "bytes", "blake2b")}
    return {"files": [file], "file": file["file"], "n_in": file["rows"], **made}


@dataclass(frozen=True)
class _PackPayload:
    work: PackWork
    task: PackTask
    folder: str


def _pack(payload: _PackPayload) -> dict[str, Any]:
    """Write the pack files of one task. The function that workers run."""
    made = make_pack(payload.work, payload.task)
    files = []
    for folder, entry in zip(payload.work.folders, made["entries"], strict=True):
        if entry is not None:
            name = (place(folder) / entry["path"]).relative_to(payload.folder).as_posix()
            files.append(
                {"file": name, "rows": entry["sequences"], "bytes": entry["bytes"], "blake2b": entry["blake2b"]}
            )
    return {"files": files, **made}


@register_step
@dataclass(frozen=True, kw_only=True)
class Pack(Step):
    """Packs the documents' tokens into sequences of fixed length, in memory-mapped files."""

    name: ClassVar[str] = "pack"
    version: ClassVar[int] = 2
    makes: ClassVar[str] = "packs"

    sequence_length: int = field(default=1024, metadata={"help": "tokens in a sequence"})
    long_lengths: tuple[int, ...] = field(
        default=(),
        metadata={"help": "longer sequences too: a document goes to the shortest that holds it whole (best_fit)"},
    )
    method: str = field(
        default="best_fit",
        metadata={"help": "best_fit: cut only what is too long (Ding et al. 2024); or concatenate"},
    )
    order: str = field(
        default="shuffle", metadata={"help": "shuffle: by a hash of seed and document id; natural: as they come"}
    )
    seed: int = field(default=0, metadata={"help": "seed of the order"})
    sequences_per_file: int = field(
        default=0, metadata={"help": "sequences of the longest kind in a pack file, about (0: files of some 256 MB)"}
    )
    drawn: bool = field(
        default=False, metadata={"help": "pack what a mixture drew, in its order, instead of each document once"}
    )

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("draws",) if self.drawn else ("tokens",)

    @property
    def passes_over(self) -> tuple[str, ...]:  # type: ignore[override]
        return () if self.drawn else ("draws",)

    @property
    def lengths(self) -> tuple[int, ...]:
        """All sequence lengths, ascending."""
        return (self.sequence_length, *self.long_lengths)

    def check(self) -> None:
        for length in self.lengths:
            if not isinstance(length, int) or isinstance(length, bool) or not 1 <= length < 1 << 31:
                raise ConfigError(f"pack: sequence_length must be at least 1 and below 2^31, not {length}")
        if list(self.lengths) != sorted(set(self.lengths)):
            raise ConfigError(f"pack: long_lengths must ascend from sequence_length, not {list(self.lengths)}")
        if not isinstance(self.sequences_per_file, int) or self.sequences_per_file < 0:
            raise ConfigError(f"pack: sequences_per_file must not be negative: {self.sequences_per_file}")
        for option, value, known in (("method", self.method, METHODS), ("order", self.order, ORDERS)):
            if value not in known:
                raise ConfigError(f"pack: {option} is one of {list(known)}, not '{value}'{nearest(str(value), known)}")
        if self.long_lengths and self.method != "best_fit":
            raise ConfigError("pack: long_lengths need method best_fit, for concatenation cuts every document alike")

    def run(self, context: StepContext) -> dict[str, Any]:
        root = context.folder.path
        if self.drawn:
            drawn = context.inputs["draws"].path
            sets = {PACKSET: DrawSet.read(drawn)}
            for path in sorted((drawn / SETS).glob(f"*/{DRAWS}")):
                sets[f"{SETS}/{path.parent.name}"] = DrawSet.read(path.parent)
        else:
            sets = {PACKSET: self._default_draws(context, context.inputs["tokens"])}
        made = {name: self._pack_set(context, draws, root / name, name) for name, draws in sets.items()}
        if not self.drawn:
            from dedup.shuffle import remove

            remove(root, "draws")
        folders, manifests, statistics, _ = made[PACKSET]
        numbers = _numbers(manifests, statistics, self.method)
        for name, (_, others, _, _) in made.items():
            if name != PACKSET:
                numbers[f"tokens of {name}"] = sum(m["tokens"] for m in others)
        return {
            "artefact": [folder.relative_to(root).as_posix() for folder in folders],
            "files": [file for _, _, _, files in made.values() for file in files],
            "rows": sum(m["sequences"] for m in manifests),
            "summary": {"tokens": numbers},
        }

    def _pack_set(
        self, context: StepContext, draws: DrawSet, target: Path, name: str
    ) -> tuple[list[Path], list[dict[str, Any]], dict[str, Any], list[dict[str, Any]]]:
        """(folders of the sets by length, their manifests, statistics, entries of all files) of one set of draws."""
        from .bpe import load_tokenizer

        tokenizer = load_tokenizer(draws.tokenizer, draws.eos or None)
        folders = [target] if not self.long_lengths else [target / str(length) for length in self.lengths]
        prefix = "pack" if name == PACKSET else f"pack-{Path(name).name}"
        work = PackWork(
            folders=tuple(map(str, folders)),
            lengths=self.lengths,
            method=self.method,
            dtype=tokenizer.dtype,
            pad_id=int(reserved_ids(tokenizer.vocab_size)["pad"]),
            files=draws.files,
            shards=draws.shards,
        )
        tasks = [
            Task(f"{prefix}-{task.index:05d}", _PackPayload(work, task, str(context.folder.path)))
            for task in plan_tasks(draws, self.method, self.lengths, self._per_file(tokenizer.dtype))
        ]
        results = context.map(_pack, tasks, unit="tokens", label=f"{context.step}: {name}")
        statistics = self._statistics(draws, results)
        manifests, files = [], [file for result in results for file in result["files"]]
        for number, folder in enumerate(folders):
            (folder / "packs").mkdir(parents=True, exist_ok=True)
            documents = _documents(draws, folder)
            phases = [
                {
                    "name": phase.name,
                    "sequences": sum(
                        r["entries"][number]["sequences"] for r in results if r["phase"] == k and r["entries"][number]
                    ),
                }
                for k, phase in enumerate(draws.phases)
            ]
            manifests.append(
                write_manifest(
                    folder,
                    tokenizer=tokenizer,
                    sequence_length=self.lengths[number],
                    files=[r["entries"][number] for r in results if r["entries"][number]],
                    method=self.method,
                    empty_documents=draws.empty_documents,
                    documents=documents,
                    phases=phases,
                    recipe={"pack": self.config(), **draws.recipe},
                    provenance={
                        "inputs": {kind: made.fingerprint for kind, made in sorted(context.inputs.items())},
                        "statistics": statistics,
                    },
                )
            )
            names = [*(entry["path"] for entry in documents), "manifest.json", TOKENIZER]
            files += [_entry(context.folder.path, folder / name) for name in names]
        made, want = sum(m["tokens"] for m in manifests), sum(draws.tokens)
        if made != want:
            raise StepFailed(f"step '{context.step}': {made} tokens packed of {want}")
        return folders, manifests, statistics, files

    def _per_file(self, dtype: str) -> int:
        width = {"uint16": 2, "uint32": 4}[dtype]
        return self.sequences_per_file or max(1, FILE_BYTES // (width * self.lengths[-1]))

    def _default_draws(self, context: StepContext, tokens: Artefact) -> DrawSet:
        """Every document once: written out of core, shard by shard."""
        from .bpe import load_tokenizer

        manifest = read_json(tokens.path / "manifest.json")
        tokenizer_file = tokens.path / TOKENIZER
        dtype = id_dtype(load_tokenizer(tokenizer_file, manifest["eos"] or None).vocab_size)
        counts = manifest["shard_tokens"]
        partitions = partitions_for(sum(counts), self.lengths[-1], self._per_file(dtype))
        folder = context.folder.path / "draws"
        shards = [str(tokens.path / file) for file in tokens.files]
        payloads = [
            _DrawPayload(
                str(folder / f"{i:05d}.arrow"), i, shard, dtype, self.seed, self.order, sum(counts[:i]), sum(counts),
                partitions,
            )
            for i, shard in enumerate(shards)
        ]  # fmt: skip
        tasks = [Task(f"draw-{i:05d}", payload) for i, payload in enumerate(payloads)]
        made = context.map(_draw, tasks, unit="documents", label=f"{context.step}: order")
        draws = default_draws(
            context.folder.path,
            shards,
            made,
            tokenizer=tokenizer_file,
            eos=manifest["eos"],
            document_files=[str(tokens.path / "documents" / f"{Path(file).stem}.parquet") for file in tokens.files],
        )
        return replace(draws, recipe={"tokenize": {key: manifest[key] for key in ("eos", "allow_tokens")}})

    def _statistics(self, draws: DrawSet, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Truncation and utilisation of the method and of concatenation to the shortest length."""
        entries = [(k, e) for r in results for k, e in enumerate(r["entries"]) if e]
        documents, tokens = sum(draws.documents), sum(draws.tokens)
        positions = sum(entry["sequences"] * self.lengths[k] for k, entry in entries)
        totals = [sum(draws.tokens[phase.first : phase.last]) for phase in draws.phases]
        plain = sum(-(-total // self.sequence_length) * self.sequence_length for total in totals)
        return {
            "drawn_documents": documents,
            self.method: shares(documents, sum(e["truncated"] for _, e in entries), tokens, positions),
            "concatenate": shares(documents, sum(r["cut"] for r in results), tokens, plain),
        }


def _documents(draws: DrawSet, folder: Path) -> list[dict[str, Any]]:
    """The files in `documents/` of a set, with their entries for its manifest."""
    from .packfiles import link_or_copy

    entries = []
    for number, source in enumerate(draws.document_files):
        name = f"documents/{number:05d}.parquet"
        link_or_copy(place(source), folder / name)
        entries.append({"path": name, "bytes": (folder / name).stat().st_size, "blake2b": file_digest(folder / name)})
    return entries


def _entry(root: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(root).as_posix()
    return {"file": name, "rows": 0, "bytes": path.stat().st_size, "blake2b": file_digest(path)}


def _numbers(manifests: list[dict[str, Any]], statistics: dict[str, Any], method: str) -> dict[str, Any]:
    """What the report shows."""
    positions = sum(m["sequences"] * m["sequence_length"] for m in manifests)
    tokens = sum(m["tokens"] for m in manifests)
    lengths = [m["sequence_length"] for m in manifests]
    own, plain = statistics[method], statistics["concatenate"]
    return {
        "documents": statistics["drawn_documents"],
        "documents without a token": manifests[0]["empty_documents"],
        "tokens": tokens,
        "vocabulary": manifests[0]["vocab_size"],
        "sequence length": lengths[0] if len(lengths) == 1 else ", ".join(map(str, lengths)),
        "sequences": sum(m["sequences"] for m in manifests),
        "pack files": sum(len(m["files"]) for m in manifests),
        "padding tokens": positions - tokens,
        "utilisation": f"{own['utilisation']:.2%}",
        "truncated documents": own["truncated_documents"],
        "truncated by concatenation": plain["truncated_documents"],
    }


def sets_in(folder: Path) -> list[Path]:
    """The pack sets that a folder is or holds: itself, its `packset/`, or those there by length."""
    for one in (folder, folder / PACKSET):
        if _is_packs(one):
            return [one]
        several = sorted((f for f in one.glob("*") if f.name.isdigit() and _is_packs(f)), key=lambda f: int(f.name))
        if several:
            return several
    return []


def find_pack_sets(path: Path) -> list[Path]:
    """The pack folders that a path means: itself, its `packset/`, or those of a run's pack step, by length.

    Raises ConfigError where there is none.
    """
    for folder in (path, *sorted(path.glob("[0-9][0-9]-pack"))):
        found = sets_in(folder)
        if found:
            return found
    raise ConfigError(f"'{path}' is neither a pack folder nor a run with a pack step")


def find_sets_beside(path: Path) -> list[Path]:
    """The sets of a run's or a pack step's folder that nothing is trained on (`sets/<name>/`, by length)."""
    found = []
    for folder in (path, *sorted(path.glob("[0-9][0-9]-pack"))):
        for one in sorted((folder / SETS).glob("*")):
            found += find_pack_sets(one)
    return found


def find_packs(path: Path) -> Path:
    """The one pack folder that a path means; raises ConfigError where there are several to choose from."""
    first, *others = find_pack_sets(path)
    if others:
        raise ConfigError(f"'{first.parent}' has sets of several lengths; name one of them: {first}, ...")
    return first


def _is_packs(folder: Path) -> bool:
    manifest = read_json(folder / "manifest.json") if folder.is_dir() else None
    return isinstance(manifest, dict) and bool(manifest.get("format"))
