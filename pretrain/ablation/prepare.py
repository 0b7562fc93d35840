"""Arms and held-out texts made ready alike: sampled, cut into tokens by one tokenizer, packed, searched for copies.

OUT/prepare/arm-NAME/       the run of an arm's recipe, or the documents of its packs
OUT/prepare/sample-NAME/    as much of an arm as a run takes, drawn by a hash of seed and document id
OUT/prepare/tokenizer/      trained on equal bytes of each arm, unless one is named
OUT/prepare/packs-NAME/     an arm's packs: concatenated, so that equal steps are equal tokens
OUT/prepare/held-NAME/      a held-out set's sample, and its packs
OUT/prepare/overlap/        which held-out texts an arm holds
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.documents import export
from pipeline.errors import ConfigError
from pipeline.packreader import open_packs
from pipeline.progress import Progress
from pipeline.runner import Runner, Task
from pipeline.steps import StepContext
from pipeline.store import StepFolder, digest, write_json

from .arms import Corpus, decoded, resolve, trained_as_they_are
from .design import WHERE, Arm, Design
from .gold import encode, read_gold
from .overlap import OverlapTask, look_for
from .samples import BYTES_PER_TOKEN, Sample, Workshop
from .task import items_json, read_items
from .texts import as_documents, preset, write_texts

TOKENIZER_BYTES = 4 << 20
"""Text of each arm that a tokenizer is trained on, at most."""
CURVE_SHARE, CURVE_CHARACTERS = 8, 2000
"""Points of a curve are measured on an eighth of a set's bytes: the beginnings of documents."""
LEAST_DOCUMENTS = 5
"""A held-out set with fewer documents left is left out."""


@dataclass(frozen=True)
class ReadyArm:
    """An arm's packs and what is in them."""

    name: str
    kind: str
    packs: str
    fingerprint: str
    documents: int
    text_bytes: int
    tokens: int
    sequences: int

    @property
    def bytes_per_token(self) -> float:
        return self.text_bytes / max(1, self.tokens)


@dataclass(frozen=True)
class Measured:
    """A held-out set (`packs`) or a benchmark: names and bytes of its documents or items, and which of them count."""

    group: str
    name: str
    packs: str
    ids: tuple[str, ...]
    text_bytes: NDArray[np.float64]  # that the predicted tokens stand for
    keep: NDArray[np.bool_]
    copies: dict[str, int]  # by arm
    curve: str  # packs that points of a curve are measured on

    @property
    def key(self) -> str:
        """As results name it."""
        return f"{self.group}/{self.name}"


@dataclass(frozen=True)
class Ready:
    """Everything that runs need. `design` has the sequence length of packs that are taken as they are."""

    design: Design
    arms: tuple[ReadyArm, ...]
    measured: tuple[Measured, ...]
    gold: str
    tokenizer: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def held_out(self) -> tuple[tuple[str, str], ...]:
        """(name, packs) of the held-out sets."""
        return tuple((one.name, one.packs) for one in self.measured if one.group == "held_out")

    @property
    def curves(self) -> dict[str, str]:
        """Packs by name that points of a curve are measured on."""
        return {one.name: one.curve for one in self.measured if one.curve}


def prepare(arms: Sequence[Arm], design: Design, out: Path, runner: Runner, progress: Progress) -> Ready:
    """Make everything ready in `out`/prepare. What is there and fits is not made again. Raises ConfigError."""
    folder = out / "prepare"
    if design.preset:
        sets, benchmarks = preset(design.preset, folder / "preset")
        design = replace(design, held_out={**sets, **design.held_out}, gold=(*benchmarks, *design.gold))
    shop = Workshop(folder, runner, progress, WHERE)
    corpora = [resolve(arm, folder / f"arm-{arm.name}", runner, progress) for arm in arms]
    passed_over: list[str] = []
    if trained_as_they_are(corpora, design.tokenizer):
        design = replace(design, sequence_length=open_packs(corpora[0].packs).sequence_length)
        packs = [corpus.packs for corpus in corpora]
        texts = [(corpus.packs,) for corpus in corpora]
        told = _tokenizer(str(Path(packs[0]) / "tokenizer.json"), "that of the arms' packs")
    else:
        corpora = [decoded(corpus, folder / f"arm-{corpus.arm.name}") for corpus in corpora]
        size = design.run_steps * design.step_tokens * BYTES_PER_TOKEN
        samples = [shop.sample(f"sample-{c.arm.name}", c.source, size, design.seed, c.arm.name) for c in corpora]
        passed_over = [
            f"arm '{corpus.arm.name}': {sample.left_out} are no documents and were left out"
            for corpus, sample in zip(corpora, samples, strict=True)
            if sample.left_out
        ]
        told = _choose_tokenizer(corpora, samples, design, shop)
        packing = {"sequence_length": design.sequence_length, "seed": design.seed, "method": "concatenate"}
        packs = [
            shop.pack(f"packs-{corpus.arm.name}", [sample.files], told["path"], **packing)[0]
            for corpus, sample in zip(corpora, samples, strict=True)
        ]
        texts = [(sample.files,) for sample in samples]
    held = _held_out(design, shop, told["path"])
    gold_file, items = _gold(design, folder, told["path"])
    held += items
    found = _overlap(arms, packs, texts, held, folder / "overlap", runner, progress)
    made = [
        _ready_arm(corpus, path, counted, design)
        for corpus, path, (counted, _) in zip(corpora, packs, found, strict=True)
    ]
    shares = [one for _, one in found]
    measured, notes = _measured(held, [arm.name for arm in arms], shares, design)
    notes = (*passed_over, *notes)
    told = {key: value for key, value in told.items() if key != "path"}
    return Ready(design, tuple(made), measured, gold_file, told, notes)


@dataclass(frozen=True)
class Held:
    """Texts to measure on, before copies are left out."""

    group: str
    name: str
    packs: str
    ids: tuple[str, ...]
    text_bytes: NDArray[np.float64]
    texts: tuple[str, ...]
    curve: str = ""


def _tokenizer(path: str, what: str) -> dict[str, Any]:
    from pipeline.bpe import load_tokenizer

    loaded = load_tokenizer(path)
    return {"path": path, "from": what, "fingerprint": loaded.fingerprint, "vocab_size": loaded.vocab_size}


def _choose_tokenizer(
    corpora: Sequence[Corpus], samples: Sequence[Sample], design: Design, shop: Workshop
) -> dict[str, Any]:
    """One tokenizer for all: the named one, one of a named text, or one of equal bytes of each arm."""
    if design.tokenizer:
        return _tokenizer(design.tokenizer, "named")
    if design.tokenizer_text:
        path = shop.train_tokenizer("tokenizer", list(design.tokenizer_text), design.vocab_size)
        return _tokenizer(path, "trained on the text that was named")
    size = min(TOKENIZER_BYTES, *(one.text_bytes for one in samples))
    drawn = [
        shop.sample(f"tokenizer-{corpus.arm.name}", {"inputs": [one.files]}, size, design.seed, corpus.arm.name)
        for corpus, one in zip(corpora, samples, strict=True)
    ]
    together = shop.folder / "tokenizer-text.jsonl"
    export([file for one in drawn for file in sorted(Path(one.files).glob("*.parquet"))], together)
    path = shop.train_tokenizer("tokenizer", [str(together)], design.vocab_size)
    return _tokenizer(path, f"trained on some {size:,} bytes of each arm")


def _held_out(design: Design, shop: Workshop, tokenizer: str) -> list[Held]:
    import pyarrow.parquet as pq

    from pretrain.held_out import held_out

    made = []
    for one in design.held_out_sets():
        source = {"inputs": as_documents(one, shop.folder / "texts")}
        sample = shop.sample(f"held-{one.name}", source, design.held_out_bytes, design.seed, one.name)
        packing = {"sequence_length": design.sequence_length, "seed": design.seed}
        packs, tokens = shop.pack(f"packs-held-{one.name}", [sample.files], tokenizer, **packing)
        if not tokens:
            raise ConfigError(f"{WHERE}: held-out set '{one.name}' has no token")
        held = held_out(one.name, [open_packs(packs)])
        table = pq.read_table(sample.files, columns=["id", "text"])
        texts = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
        if len(set(held.names)) < len(held.names):
            raise ConfigError(f"{WHERE}: held-out set '{one.name}' has documents of the same id: give each its own")
        found = tuple(texts[name] for name in held.names)
        beginnings = write_texts(shop.folder / "texts" / f"curve-{one.name}.jsonl", _beginnings(found, design))
        curve, _ = shop.pack(f"packs-curve-{one.name}", [beginnings], tokenizer, **packing)
        made.append(Held("held_out", one.name, packs, tuple(held.names), held.doc_bytes, found, curve))
    return made


def _beginnings(texts: Sequence[str], design: Design) -> Iterator[str]:
    """The first part of each text, until they make up a curve's share of a held-out set."""
    total = 0
    for text in texts:
        if total >= design.held_out_bytes / CURVE_SHARE:
            return
        total += len(text[:CURVE_CHARACTERS].encode())
        yield text[:CURVE_CHARACTERS]


def _gold(design: Design, folder: Path, tokenizer: str) -> tuple[str, list[Held]]:
    """(file of the items, the benchmarks)."""
    from pipeline.bpe import load_tokenizer

    if not design.gold:
        return "", []
    texts = read_gold(design.gold, design.gold_items, design.seed)
    path = folder / "gold.json"
    write_json(path, items_json(encode(texts, load_tokenizer(tokenizer), design.sequence_length)))
    whole = {text.item: f"{text.prompt} {text.answer}" for text in texts}
    made = []
    for name, items in read_items(str(path)).items():
        sizes = np.array([one.answer_bytes for one in items], np.float64)
        names = tuple(one.name for one in items)
        made.append(Held("gold", name, "", names, sizes, tuple(whole[one] for one in names)))
    return str(path), made


def _overlap(
    arms: Sequence[Arm], packs: Sequence[str], texts: Sequence[tuple[str, ...]], held: Sequence[Held], path: Path,
    runner: Runner, progress: Progress,
) -> list[tuple[dict[str, Any], NDArray[np.float64]]]:  # fmt: skip
    """(counts, share of each held-out text's n-grams found) for each arm."""
    probe = [text for one in held for text in one.texts]
    key = digest(probe)
    folder = StepFolder(path)
    folder.begin(digest("overlap", 1, key), {"probe": key})
    write_json(path / "probe.json", probe)
    names = [f"{arm.name}-{open_packs(one).fingerprint[:12]}" for arm, one in zip(arms, packs, strict=True)]
    tasks = [
        Task(name, OverlapTask(name, inputs, "text", str(path / "probe.json"), str(path)))
        for name, inputs in zip(names, texts, strict=True)
    ]
    context = StepContext(WHERE, folder, {}, runner, progress)
    counts = context.map(look_for, tasks, unit="documents", label=f"{WHERE}: copies of held-out texts")
    return [(one, np.load(path / f"{name}.npy")) for one, name in zip(counts, names, strict=True)]


def _ready_arm(corpus: Corpus, packs: str, counted: dict[str, Any], design: Design) -> ReadyArm:
    reader = open_packs(packs)
    if len(reader) < design.batch_size:
        raise ConfigError(
            f"{WHERE}: arm '{corpus.arm.name}' has {len(reader)} sequences of {reader.sequence_length} tokens, a batch"
            f" takes {design.batch_size}: give more text, or a smaller batch_size or sequence_length"
        )
    return ReadyArm(
        corpus.arm.name, corpus.kind, packs, reader.fingerprint, counted["documents"], counted["text_bytes"],
        int(reader.manifest["tokens"]), len(reader),
    )  # fmt: skip


def _measured(
    held: Sequence[Held], arms: Sequence[str], shares: Sequence[NDArray[np.float64]], design: Design
) -> tuple[tuple[Measured, ...], tuple[str, ...]]:
    """The sets with copies left out, and notes on what was. Raises ConfigError where copies are not allowed."""
    made, notes, first = [], [], 0
    for one in held:
        last = first + len(one.ids)
        found = np.array([share[first:last] >= design.max_overlap for share in shares])
        first = last
        copies = {arm: int(row.sum()) for arm, row in zip(arms, found, strict=True)}
        keep = np.ones(len(one.ids), bool)
        if design.on_overlap == "drop":
            keep[found.any(axis=0)] = False
        if any(copies.values()):
            told = f"{one.group} {one.name}: " + ", ".join(f"arm '{arm}' has {n}" for arm, n in copies.items() if n)
            told += f" of its {len(one.ids)} texts"
            if design.on_overlap == "raise":
                raise ConfigError(
                    f"{WHERE}: {told}; take other texts, or leave copies out (--on-overlap drop) or in (keep)"
                )
            notes.append(f"{told}; {'they are left out' if design.on_overlap == 'drop' else 'they are kept'}")
        if keep.sum() < min(LEAST_DOCUMENTS, len(one.ids)):
            notes.append(f"{one.group} {one.name} is left out: {int(keep.sum())} of its texts are in no arm")
            keep = np.zeros(len(one.ids), bool)
        made.append(Measured(one.group, one.name, one.packs, one.ids, one.text_bytes, keep, copies, one.curve))
    if not any(one.keep.any() for one in made):
        raise ConfigError(f"{WHERE}: no text is left to measure on: the arms hold them all; take other texts")
    return tuple(made), tuple(notes)


def overlap_rows(ready: Ready) -> list[dict[str, Any]]:
    """What was found of each set in each arm."""
    return [
        {"set": one.key, "texts": len(one.ids), "kept": int(one.keep.sum()), "copies": one.copies}
        for one in ready.measured
    ]
