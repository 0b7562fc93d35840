"""The step `mix`: draws documents of several sources until each source's target of tokens is met.

Its folder:

    sources/<name>/        tokens of the sources that are not this run's
    near/labels.parquet    clusters of near-duplicates (`near`)
    decisions.json         strata, targets, cuts, what is thrown away (`planning.Decisions`)
    draws.json, draws/, documents/    what `pack` reads (`pipeline.packing.draws`)
    sets/held_out/draws.json, sets/fresh/draws.json    the sets that nothing is trained on

The tokens of each source, in each phase, are within less than `tolerance_tokens` of the target: the packs' sequence
length, unless said otherwise.
"""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dedup.shuffle import remove
from pipeline.documents import EXTRA
from pipeline.errors import ConfigError, SchemaError, StepFailed, nearest
from pipeline.packing.draws import DRAWS, DrawSet, Phase
from pipeline.packs import TOKENIZER, reserved_ids
from pipeline.packstep import SETS, Pack
from pipeline.runner import Task
from pipeline.steps import Step, StepContext, register_step
from pipeline.storage import local_file, place
from pipeline.store import atomic_path, digest, file_digest, write_json

from .amounts import totals
from .catalogue import CatalogueTask, catalogue_shard, scan
from .cuts import settle
from .dates import dated
from .drawing import DECISIONS, DrawTask, draw_shard
from .near import label
from .planning import TRAIN, Decisions, decide, read_decisions
from .recipe import NAMES_OF_SETS, THIS, Mixture, load_mixture
from .same_ids import check_ids
from .sources import Tokenizer, fingerprint, forget_changed, shared_tokenizer, tokenise, tokenizer_of

PARTITION_TOKENS = 64 << 20
"""Tokens in a partition of the draws, which becomes one pack file, about."""


@register_step
@dataclass(frozen=True, kw_only=True)
class Mix(Step):
    """Draws documents by a mixture: weights, epochs, temperature, quality buckets, held-out sets, phases."""

    name: ClassVar[str] = "mix"
    makes: ClassVar[str] = "draws"

    mixture: str = field(default="natural", metadata={"help": "a mixture's YAML file, or a bundled one's name"})
    tokenizer: str = field(
        default="", metadata={"help": "a tokenizer.json for the sources (default: this run's, or the runs' own)"}
    )
    eos: str = field(default="", metadata={"help": "name of the end-of-document token (default: found by known names)"})
    tolerance_tokens: int | None = field(
        default=None,
        metadata={"help": "a source may miss its target in a phase by less than this (default: a sequence, as packed)"},
    )
    partition_tokens: int = field(default=PARTITION_TOKENS, metadata={"help": "tokens in a pack file, about"})

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("tokens",) if self._uses_this() else ()

    def _uses_this(self) -> bool:
        return any(spec.run == THIS for spec in load_mixture(self.mixture).sources.values())

    @property
    def tolerance(self) -> int:
        """`tolerance_tokens`, or a sequence of the step pack's default where no step has said it (`beside`)."""
        return Pack.sequence_length if self.tolerance_tokens is None else self.tolerance_tokens

    def beside(self, later: Sequence[Step]) -> Step:
        """With `tolerance_tokens` the length of the sequences that the draws are packed into, the shortest of several.

        Raises ConfigError where it is said and is more than that.
        """
        packed = next((step for step in later if isinstance(step, Pack) and step.drawn), None)
        if packed is None:
            return self
        if self.tolerance_tokens is None:
            return dataclasses.replace(self, tolerance_tokens=packed.sequence_length)
        if self.tolerance_tokens > packed.sequence_length:
            raise ConfigError(
                f"mix: tolerance_tokens, {self.tolerance_tokens}, is more than a sequence of the step pack,"
                f" {packed.sequence_length}; leave it out, and it is that"
            )
        return self

    def check(self) -> None:
        mixture = load_mixture(self.mixture)
        if self.tolerance < 1 or self.partition_tokens < 1:
            raise ConfigError("mix: tolerance_tokens and partition_tokens must be at least 1")
        if self._uses_this() and self.tokenizer:
            raise ConfigError("mix: this run's tokens have their tokenizer; name another one in its step tokenize")
        for spec in mixture.sources.values():
            fingerprint(spec)
        if self.tokenizer:
            from pipeline.bpe import load_tokenizer

            load_tokenizer(self.tokenizer, self.eos or None)

    def keys(self, have: set[str]) -> tuple[str, ...]:
        """See `Step.keys`: the scores, where all documents are this run's."""
        mixture = load_mixture(self.mixture)
        if EXTRA not in have or any(spec.run != THIS for spec in mixture.sources.values()):
            return ()
        scores = [part.column for part in (mixture.quality, mixture.control) if part is not None]
        return tuple(score for score in scores if score.partition(".")[0] not in have)

    def columns(self, have: set[str]) -> set[str]:
        mixture = load_mixture(self.mixture)
        if EXTRA not in have and all(spec.run == THIS for spec in mixture.sources.values()):
            for part in (mixture.quality, mixture.control):
                if part is not None and part.column.partition(".")[0] not in have:
                    raise SchemaError(
                        f"mixture '{mixture.name}' asks for the score '{part.column}', which no earlier step adds"
                        f"{nearest(part.column, have)}"
                    )
        return have

    def check_alone(self) -> None:
        """Raise ConfigError unless the step can be the first of a run: no source is this run, a tokenizer is there."""
        mixture = load_mixture(self.mixture)
        if self._uses_this():
            raise ConfigError(
                f"mixture '{mixture.name}': a source is `run: this`, but there is no run to be a step of; name the"
                " run's folder instead"
            )
        if not self.tokenizer:
            shared_tokenizer(mixture)

    def config(self) -> dict[str, Any]:
        """Beside the options: the mixture as it is, and the content of what it names."""
        mixture = load_mixture(self.mixture)
        plain = mixture.plain()
        for name, spec in mixture.sources.items():
            where = ("run", "inputs") if spec.run != THIS else ()
            plain["sources"][name] = {k: v for k, v in plain["sources"][name].items() if k not in where}
            plain["sources"][name]["content"] = fingerprint(spec)
        tokenizer = file_digest(place(self.tokenizer)) if self.tokenizer else ""
        tolerance = {"tolerance_tokens": self.tolerance}
        return {**super().config(), **tolerance, "mixture": plain, "tokenizer": tokenizer}

    def forget_changed(self, context: StepContext, fingerprint: str) -> None:
        forget_changed(context, load_mixture(self.mixture), fingerprint)

    def run(self, context: StepContext) -> dict[str, Any]:
        mixture, folder = load_mixture(self.mixture), context.folder.path
        tokenizer = self._tokenizer(context, mixture)
        sources = tokenise(context, mixture, tokenizer)
        shards = [
            Shard(source.name, *pair)
            for source in sources
            for pair in zip(source.shards, source.documents, strict=True)
        ]
        check_ids(context, mixture, [shard.source for shard in shards], [shard.documents for shard in shards])
        described = [
            CatalogueTask(
                i, shard.documents, str(folder / "catalogue" / f"{i:05d}.parquet"), str(folder), shard.source,
                mixture.sources[shard.source], mixture,
            )
            for i, shard in enumerate(shards)
        ]  # fmt: skip
        rows = context.map(
            catalogue_shard,
            [Task(f"catalogue-{task.shard:05d}", task) for task in described],
            label=f"{context.step}: catalogue",
        )
        documents = sum(row["n_in"] for row in rows)
        files = tuple(task.target for task in described)
        mixture = dated(scan(files), mixture)
        labels = None
        if mixture.held_out is not None and mixture.held_out.near_duplicates and documents:
            labels = str(label(context, [shard.tokens for shard in shards], files, documents, mixture.held_out))
        plan = DecideTask(str(folder), files, labels, mixture, self.tolerance)
        context.map(decide_all, [Task("decisions", plan)], label=f"{context.step}: plan")
        made = read_decisions(folder / DECISIONS)
        for warning in made.warnings:
            context.progress.say(f"{context.step}: {warning}")
        drawn = self._draw(context, mixture, tokenizer, shards, labels, made, sum(s.empty_documents for s in sources))
        read = [source.fingerprint for source in sources if source.spec.inputs]
        return {**drawn, "content": digest(read)} if read else drawn

    def _tokenizer(self, context: StepContext, mixture: Mixture) -> Tokenizer:
        """The tokenizer of all sources, its file copied into the step's folder."""
        if self._uses_this():
            found = tokenizer_of(context.inputs["tokens"])
        elif self.tokenizer:
            found = Tokenizer(self.tokenizer, self.eos)
        else:
            found = shared_tokenizer(mixture)
        target = context.folder.path / TOKENIZER
        with atomic_path(target) as temporary:
            shutil.copyfile(local_file(found.path), temporary)
        return dataclasses.replace(found, path=str(target))

    def _draw(
        self, context: StepContext, mixture: Mixture, tokenizer: Tokenizer, shards: list[Shard], labels: str | None,
        made: Decisions, empty: int,
    ) -> dict[str, Any]:  # fmt: skip
        """Write all draws, and say what was drawn."""
        from pipeline.bpe import load_tokenizer

        folder = context.folder.path
        loaded = load_tokenizer(tokenizer.path, tokenizer.eos or None)
        first_control = int(reserved_ids(loaded.vocab_size)["control"][0])
        partitions = {TRAIN: tuple(self._partitions(sum(phase)) for phase in made.targets.tokens)}
        for name in NAMES_OF_SETS:
            held = sum(row["tokens"] for row in made.counts if row["fate"] == name)
            if held:
                partitions[name] = (self._partitions(held),)
        tasks = [
            DrawTask(
                i, shard.tokens, shard.documents, str(folder / "catalogue" / f"{i:05d}.parquet"), labels, str(folder),
                loaded.dtype, mixture, partitions, first_control,
            )
            for i, shard in enumerate(shards)
        ]  # fmt: skip
        results = context.map(
            draw_shard, [Task(f"draw-{task.shard:05d}", task) for task in tasks], label=f"{context.step}: draw"
        )
        after = mixture.held_out.after if mixture.held_out else None
        plain = {**self.config()["mixture"], "targets": made.targets.wanted, "fresh_after": after}
        if mixture.control is not None:
            plain["control_ids"] = {name: first_control + i for i, name in enumerate(mixture.control.names)}
        written = []
        for name, counts in partitions.items():
            phases = [phase.name for phase in mixture.phases] if name == TRAIN else ["all"]
            target = folder if name == TRAIN else folder / SETS / name
            ends = list(itertools.accumulate(counts, initial=0))
            own = [result["sets"][name] for result in results]
            DrawSet(
                files=tuple(str(folder / "draws" / name / f"{i:05d}.arrow") for i in range(len(shards))),
                shards=tuple(shard.tokens for shard in shards),
                tokens=tuple(map(sum, zip(*(one["tokens"] for one in own), strict=True))),
                documents=tuple(map(sum, zip(*(one["documents"] for one in own), strict=True))),
                phases=tuple(Phase(phase, *pair) for phase, pair in zip(phases, itertools.pairwise(ends), strict=True)),
                tokenizer=tokenizer.path,
                eos=tokenizer.eos,
                document_files=tuple(str(folder / "documents" / name / f"{i:05d}.parquet") for i in range(len(shards))),
                empty_documents=empty if name == TRAIN else 0,
                recipe={"mixture": plain, "set": name},
            ).write(target)
            written.append(target / DRAWS)
        report = drawn_report(mixture, made, shards, results)
        self._verify(context, report)
        remove(folder, "catalogue")
        entries = [
            {"file": path.relative_to(folder).as_posix(), "rows": 0, "bytes": path.stat().st_size,
             "blake2b": file_digest(path)}
            for path in (*written, *((place(labels),) if labels else ()), folder / DECISIONS, folder / TOKENIZER)
        ]  # fmt: skip
        return {
            "artefact": [DRAWS],
            "files": [file for result in results for file in result["files"]] + entries,
            "rows": sum(row["documents"] for row in report["drawn"]),
            "report": report,
            "summary": {"mixture": report},
        }

    def _partitions(self, tokens: int) -> int:
        return max(1, -(-tokens // self.partition_tokens))

    def _verify(self, context: StepContext, report: dict[str, Any]) -> None:
        """Raise StepFailed where a source's tokens are not what was decided."""
        for row in report["drawn"]:
            if abs(row["target_tokens"] - row["tokens"]) >= self.tolerance:
                raise StepFailed(
                    f"step '{context.step}': source '{row['source']}' gave {row['tokens']:,} tokens in phase"
                    f" '{row['phase']}', its target is {row['target_tokens']:,}; this is a bug"
                )


@dataclass(frozen=True)
class Shard:
    """A token shard of a source, with its documents table."""

    source: str
    tokens: str
    documents: str


@dataclass(frozen=True)
class DecideTask:
    """What `decide_all` needs."""

    folder: str
    catalogue: tuple[str, ...]
    labels: str | None
    mixture: Mixture
    tolerance: int


def decide_all(task: DecideTask) -> dict[str, Any]:
    """Write `decisions.json`. The function that a worker runs: all queries over the whole catalogue."""
    catalogue = scan(task.catalogue, task.labels)
    made = settle(catalogue, task.mixture, decide(catalogue, task.mixture), task.tolerance)
    path = place(task.folder) / DECISIONS
    write_json(path, made.to_json())
    entry = {"file": DECISIONS, "rows": 0, "bytes": path.stat().st_size, "blake2b": file_digest(path)}
    return {"files": [entry], "n_in": sum(row["documents"] for row in made.counts)}


def drawn_report(
    mixture: Mixture, made: Decisions, shards: list[Shard], results: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What was drawn of each source in each phase, what was held out and thrown away, warnings."""
    drawn = []
    for k, phase in enumerate(mixture.phases):
        for name in mixture.sources:
            own = [r["sets"][TRAIN]["phases"][k] for r, s in zip(results, shards, strict=True) if s.source == name]
            target = sum(n for s, n in zip(made.strata, made.targets.tokens[k], strict=True) if s.source == name)
            drawn.append(
                {
                    "phase": phase.name,
                    "source": name,
                    "wanted_tokens": made.targets.wanted[k][name],
                    "target_tokens": target,
                    **{key: sum(one[key] for one in own) for key in ("tokens", "documents", "divided")},
                }
            )
    train = [result["sets"][TRAIN] for result in results]
    return {
        "name": mixture.name,
        "drawn": drawn,
        "sources": totals(made.strata, made.targets, mixture),
        "fates": made.counts,
        "unique_documents": sum(one["unique_documents"] for one in train),
        "unique_tokens": sum(one["unique_tokens"] for one in train),
        "control_tokens": sum(one["control_tokens"] for one in train),
        "warnings": list(made.warnings),
    }
