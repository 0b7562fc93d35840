"""The four experiments on planted defects as one ablation of eight arms, all of one clean corpus.

    OUT/texts/         corpora as planted and as mended (Parquet), held-out sets and the leaked items (JSON lines)
    OUT/mend/          runs of Gristmill's own stages on them
    OUT/ablation/      the instrument's folder
    OUT/defects.json   what was planted, what the stages took, all claims with their tests

| arm | its documents |
|---|---|
| clean | the clean corpus |
| repeated, deduplicated | with copies; what exact and MinHash deduplication leave of that |
| junk, filtered, random | with junk; what the recipe's filters leave; as many bytes of it by chance |
| leaked, decontaminated | with the held-out set's items; what decontamination leaves |
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.progress import Progress
from pipeline.runner import InlineRunner, Runner
from pipeline.store import atomic_path, write_json
from pretrain.ablation import Arm, Design, Result, run_ablation
from pretrain.ablation.design import make_design
from pretrain.metrics import finite

from .design import DefectDesign
from .generators import leak, plant_junk, planted_share, repeat_documents, text_bytes
from .mend import DECONTAMINATE, DEDUP, FILTERS, recipe_steps, run_steps
from .verdicts import LEAKED, Finding, judge, restored

ARMS = ("clean", "repeated", "deduplicated", "junk", "filtered", "random", "leaked", "decontaminated")


@dataclass(frozen=True)
class Item:
    """An item of the held-out set that is leaked; a benchmark's, so that decontamination can be told of it."""

    question: str
    answer: str
    passage: str

    @property
    def text(self) -> str:
        """As it is measured, and as it stands on the pages that leak it."""
        return f"{self.passage}\n{self.question} {self.answer}"


@dataclass(frozen=True)
class Texts:
    """What an experiment is made of: tables of `generators.corpus`, held-out texts by set, and the set to leak."""

    clean: pa.Table
    spare: pa.Table
    held_out: Mapping[str, Sequence[str]]
    items: Sequence[Item]


def corpora(texts: Texts, design: DefectDesign, out: Path) -> dict[str, pa.Table]:
    """The documents of each arm. The stages run in `out`/mend and go on where they left off."""
    benchmark = out / "texts" / f"{LEAKED}.jsonl"
    _write_lines(benchmark, [{"id": f"{LEAKED}-{i}", **asdict(one)} for i, one in enumerate(texts.items)])
    mend = out / "mend"
    arms = {"clean": texts.clean, "repeated": repeat_documents(texts.clean, design.repeat, design.seed)}
    arms["deduplicated"] = run_steps(arms["repeated"], recipe_steps(DEDUP, BY_TEXT), mend / "deduplicated")
    arms["junk"] = plant_junk(texts.clean, texts.spare, design.junk, design.seed)
    arms["filtered"] = run_steps(arms["junk"], recipe_steps(FILTERS), mend / "filtered")
    chance = {"keep": f"{text_bytes(arms['filtered'])} bytes", "seed": design.seed}
    arms["random"] = run_steps(arms["junk"], [{"select_random": chance}], mend / "random")
    arms["leaked"] = leak(texts.clean, [one.text for one in texts.items], design.leak, design.seed)
    steps = recipe_steps(DECONTAMINATE, {"decontaminate": {"benchmarks": [str(benchmark)]}})
    arms["decontaminated"] = run_steps(arms["leaked"], steps, mend / "decontaminated")
    return arms


BY_TEXT = {"exact_dedup": {"by": ["text"], "keep": ["id"]}, "minhash_dedup": {"keep": ["id"]}}
"""These documents have no address and no date, which the recipe's own keepers go by."""


def instrument(texts: Texts, design: DefectDesign, out: Path) -> Design:
    """The ablation's design: one tokenizer of the clean corpus, all held-out sets, the leaked one among them.

    Held-out texts that an arm has a copy of stay: the leak is such a copy.
    """
    sets = {**texts.held_out, LEAKED: [one.text for one in texts.items]}
    files = {}
    for name, some in sets.items():
        path = out / "texts" / f"held-out-{name}.jsonl"
        _write_lines(path, [{"id": f"{name}-{i}", "text": text} for i, text in enumerate(some)])
        files[name] = [str(path)]
    fixed = {
        "held_out": files, "tokenizer_text": [str(out / "texts" / "clean.parquet")], "on_overlap": "keep",
        "readings": ["tokens"], "judge": ["held_out"], "compare": "first", "margin": design.margin,
        "alpha": design.alpha,
    }  # fmt: skip
    return make_design({**design.instrument, **fixed}, "planted defects: instrument")


def run_defects(
    texts: Texts,
    design: DefectDesign,
    out: str | Path,
    *,
    runner: Runner | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Plant, mend, train and judge in the folder `out`; writes and returns what `defects.json` holds.

    Goes on where an earlier call with the same texts and design left off. Raises ConfigError.
    """
    out, progress = Path(out), progress or Progress(quiet=True)
    progress.say("defects: planting and mending")
    made = corpora(texts, design, out)
    for name, docs in made.items():
        with atomic_path(out / "texts" / f"{name}.parquet") as temporary:
            pq.write_table(docs.select(["id", "text"]), temporary)
    arms = [Arm(name=name, inputs=(str(out / "texts" / f"{name}.parquet"),)) for name in ARMS]
    result = run_ablation(
        arms, instrument(texts, design, out), out / "ablation", runner=runner or InlineRunner(), progress=progress
    )
    value = told(made, result, design)
    write_json(out / "defects.json", finite(value))
    return value


def told(made: Mapping[str, pa.Table], result: Result, design: DefectDesign) -> dict[str, Any]:
    """What `defects.json` holds: plain values, the same for the same runs."""
    sets = list(result.design.held_out)
    values = {arm: {name: np.array(result.values(f"held_out/{name}", arm)) for name in sets} for arm in made}
    findings = judge(values, design.margin, design.alpha)
    seen = {arm.name: arm.epochs["tokens"] for arm in result.arms}
    kinds = Counter(made["repeated"]["planted"].to_pylist())
    originals = {name.rpartition("-copy-")[0] for name in made["repeated"]["id"].to_pylist() if "-copy-" in name}
    copies = (kinds["copy"] + kinds["edited_copy"]) / max(1, len(originals))
    return {
        "design": asdict(design),
        "repeats": {"documents": len(originals), "copies_of_each": copies, "seen_in_a_run": copies * seen["repeated"]},
        "arms": {
            name: {
                "documents": docs.num_rows, "text_bytes": text_bytes(docs), "epochs": seen[name],
                "share_of_bytes": planted_share(docs), "documents_by_kind": dict(Counter(docs["planted"].to_pylist())),
                "bits_per_byte": {one: found.tolist() for one, found in values[name].items()},
            }
            for name, docs in made.items()
        },
        "claims": [_plain(one) for one in findings],
        "restored_share": restored(values),
        "all_held": all(one.held for one in findings),
    }  # fmt: skip


def _plain(one: Finding) -> dict[str, Any]:
    return {
        **asdict(one.claim), "difference": one.difference.mean, "low": one.difference.low, "high": one.difference.high,
        "seeds": one.difference.n, "p": one.p, "p_holm": one.corrected, "held": one.held,
    }  # fmt: skip


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(
            "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows), encoding="utf-8"
        )
