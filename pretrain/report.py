"""What the terminal and the run report show of a training run. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.packreader import PackReader, open_packs
from pipeline.packstep import find_pack_sets, find_packs
from pipeline.report import Cell, Measure, Section

from .config import ModelConfig, TrainConfig, whole_steps
from .flops import training_flops
from .objectives.options import objective_options
from .sizes import model_config, parameters

KEPT = ("objective", "parameters", "steps", "tokens", "first_loss", "last_loss", "untrained_loss", "held_out")
"""What of a run's summary goes into the run report."""


def section(summary: Mapping[str, Any]) -> Section:
    """A run in a table: size, losses, and of each held-out set bits per byte (or the loss, where there are none)."""
    rows: list[tuple[str, Cell]] = []
    for key, name in (
        ("objective", "objective"),
        ("parameters", "parameters"),
        ("steps", "steps"),
        ("tokens", "tokens read"),
    ):
        if key in summary:
            rows.append((name, summary[key]))
    for key, name in (
        ("untrained_loss", "loss of a uniform guess, nats a token"),
        ("first_loss", "first loss"),
        ("last_loss", "last loss"),
    ):
        if summary.get(key) is not None:
            rows.append((name, Measure(summary[key])))
    for name, found in (summary.get("held_out") or {}).items():
        if "bits_per_byte" in found:
            told = f"{name}: bits per byte, over {found['bytes']:,} bytes of {found['documents']:,} documents"
            rows.append((told, Measure(found["bits_per_byte"])))
        else:
            rows.append((f"{name}: loss, over {found['targets']:,} targets", Measure(found["loss"])))
    left_out = sum((summary.get("skipped") or {}).values())
    if left_out:
        rows.append(("updates left out", left_out))
    if "tokens_per_s" in summary:
        rows.append(("tokens a second", round(summary["tokens_per_s"])))
    return Section("Training on the packs", ("what", "value"), rows)


def intended(config: TrainConfig, packs: Path, shape: ModelConfig | None = None) -> list[Section]:
    """What a configuration would train on a pack set: a model of `shape`, or the size's without the objective's ids.

    Raises ConfigError where it can't, SchemaError for bad packs.
    """
    reader = open_packs(packs)
    if not len(reader):
        raise ConfigError(f"pack set {packs} is empty: there is nothing to train on")
    options = objective_options(config.objective, config.objective_options)
    form = "decoder" if getattr(options, "prefix", False) else options.forms[0]
    sizes = shape or model_config(config.size, reader.total_ids, **{"form": form, **config.model})
    length = reader.sequence_length
    batch = min(config.batch_size, len(reader))
    phases = [(config.steps, batch, length)]
    if config.long_packs is not None:
        long = opened("long_packs", config.long_packs)
        rows_then = max(1, round(config.batch_size * length / long.sequence_length))
        phases = [(config.steps - config.long_steps, batch, length)]
        phases.append((config.long_steps, min(rows_then, len(long)), long.sequence_length))
    positions = sum(steps * each * size for steps, each, size in phases)
    rows: list[tuple[str, Cell]] = [
        ("packs", str(packs)),
        ("sequences", len(reader)),
        ("tokens in a sequence", length),
        ("parameters", parameters(sizes)),
        ("width, layers, heads", f"{sizes.d_model}, {sizes.n_layers}, {sizes.n_heads}"),
        ("ids", sizes.vocab_size),
        ("objective", config.objective),
        ("steps", config.steps),
        ("of them warm-up", whole_steps(config.optim.warmup, config.steps)),
        ("tokens in a step", batch * length),
        ("tokens", positions),
        ("tokens a parameter", positions / parameters(sizes)),
        ("epochs", config.steps * batch / len(reader)),
        ("FLOPs", Measure(sum(n * each * training_flops(sizes, options.work(size)) for n, each, size in phases))),
        ("checkpoints, MB each", round(12 * parameters(sizes) / 1e6)),
    ]
    sets: list[tuple[str, int, int, str]] = []
    for name, where in config.held_out.items():
        for folder in find_pack_sets(Path(where)):
            held = open_packs(folder)
            check_tokenizer(name, held, reader)
            sets.append((name, len(held), held.manifest["tokens"], str(folder)))
    out = [Section("What would be trained", ("what", "value"), rows)]
    if sets:
        out.append(Section("Held-out sets", ("set", "sequences", "tokens", "packs"), sets))
    else:
        out.append(Section("Held-out sets", text="none: no bits per byte (--held-out NAME=PACKS)"))
    return out


def opened(option: str, path: str) -> PackReader:
    """The pack set that an option names: its folder, or a run's."""
    try:
        return open_packs(find_packs(Path(path)))
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error


def check_tokenizer(name: str, held: Any, reader: Any) -> None:
    """Raise ConfigError unless a held-out set's ids are those of the packs that are trained on."""
    if held.manifest["tokenizer"]["fingerprint"] != reader.manifest["tokenizer"]["fingerprint"]:
        raise ConfigError(
            f"held-out set '{name}' ({held.store.where}) has another tokenizer than the packs ({reader.store.where}):"
            " tokenise and pack it with theirs"
        )
