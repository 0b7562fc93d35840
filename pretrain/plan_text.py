"""A compute plan as text for the terminal."""

from __future__ import annotations

from typing import Any


def plan_text(plan: dict[str, Any]) -> str:
    """The tables of `plan.plan`'s result."""
    budget, model, training, memory = plan["budget"], plan["model"], plan["training"], plan["memory"]
    assumed = plan["assumptions"]
    per_param = f"{budget['tokens_per_param']:.1f} a parameter"
    vocabulary = f"vocabulary {model['vocab_size']:,}, {'tied' if model['tied'] else 'untied'}"
    shape = f"{model['n_layers']} layers, {model['d_model']} wide, {model['n_heads']} heads, d_ff {model['d_ff']}"
    rows = [
        ("parameters N", f"{short(budget['parameters'])}   ({shape}; {vocabulary})"),
        ("tokens D", f"{short(budget['tokens'])}   ({per_param})"),
        (
            "compute C = 6 N D",
            f"{budget['flops_6nd']:.3g} FLOPs   (with attention {budget['flops_with_attention']:.3g})",
        ),
        ("batch", f"{training['batch_sequences']:,} sequences, {short(training['batch_tokens'])} tokens"),
        ("steps", f"{training['steps']:,}, of them {training['warmup_steps']:,} warm-up"),
        ("learning rate", f"{training['lr']:.3g} at its peak   ({training['rule']}: {training['source']})"),
        *(
            (f"  by rule {name}", f"{other['lr']:.3g}, batch {short(other['batch_tokens'])} tokens")
            for name, other in training["other_rules"].items()
        ),
        ("schedule", training["schedule"]),
    ]
    out = [*_table("Training", rows)]
    parts = ("weights", "gradients", "optimiser", "activations", "logits", "total")
    out += _table(
        f"Memory of each of {memory['devices']} {assumed['accelerator']}",
        [
            ("layout", f"{memory['parallel']}, {memory['precision']}, {training['optimiser']}"),
            ("micro-batch", f"{memory['micro_batch']} sequences, {memory['accumulation']} a step"),
            *((part, gigabytes(memory[part])) for part in parts),
            ("there is", gigabytes(memory["device_bytes"])),
        ],
    )
    out += _table(
        f"Hours on {assumed['devices']} of them, at {assumed['mfu']:.0%} of the dense peak",
        [(name, f"{hours:,.3g}") for name, hours in plan["hours"].items()],
    )
    out += _table(
        "More tokens for a smaller model, at equal compute (loss: Hoffmann et al. 2022, to compare only)",
        [
            (
                f"{row['tokens_per_param']:g} a parameter",
                f"N {short(row['parameters'])}   D {short(row['tokens'])}   loss {row['loss']:.3f}",
            )
            for row in plan["ratios"]
        ],
    )
    if plan["data"]:
        data = plan["data"]
        out += _table(
            "Data",
            [
                ("unique tokens", short(data["unique_tokens"])),
                ("epochs", f"{data['epochs']:.2f}"),
                ("worth", f"{short(data['effective_tokens'])} fresh tokens   (Muennighoff et al. 2023)"),
            ],
        )
    return "\n".join([*out, *(f"note: {note}" for note in plan["notes"])]).rstrip() + "\n"


def short(count: float) -> str:
    """12.3M, 1.40T, 950."""
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= unit * 0.9995:
            return f"{count / unit:.3g}{name}"
    return f"{count:.3g}"


def gigabytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB"


def _table(title: str, rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    return [title, *(f"  {name:<{width}}  {value}" for name, value in rows), ""]
