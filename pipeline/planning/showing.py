"""A plan as tables, each assumption with it."""

from __future__ import annotations

from ..report import Cell, Section
from .commoncrawl import CRAWL_SOURCES
from .extrapolate import READ_BLOCK, SAMPLING_BYTES_PER_S, SCHEDULING_S, Nodes, Plan
from .kinds import CONSTANT, EXPONENTS, MAP, SERIAL, SHUFFLE
from .measured import Measured

_UNITS = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def size(value: float) -> str:
    """Bytes as a person reads them, decimal units."""
    for unit, name in _UNITS:
        if value >= unit:
            return f"{value / unit:,.1f} {name}"
    return f"{value:,.0f} B"


def number(value: float) -> str:
    """A count: three digits and its power, whole below a million."""
    for unit, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= unit:
            return f"{value / unit:,.2f} {name}"
    return f"{value:,.0f}"


def hours(seconds: float) -> str:
    """Hours, with days beside many."""
    found = seconds / 3600
    return f"{found:,.1f} h ({found / 24:,.1f} days)" if found >= 48 else f"{found:,.2f} h"


def sections(
    measured: Measured, out: Plan, nodes: Nodes, given: dict[str, str], price_per_cpu_hour: float | None
) -> list[Section]:
    """What `gristmill plan` prints; `given` are the assumptions on the input, by name."""
    held = nodes.nodes * nodes.cpus * out.wall_s / 3600
    total: list[tuple[Cell, ...]] = [
        ("pages", number(out.pages)),
        ("download", size(out.input_bytes)),
        ("CPU hours", f"{out.cpu_s / 3600:,.1f}"),
        ("wall time", hours(out.wall_s)),
        ("CPU hours held by the nodes", f"{held:,.1f}"),
        ("storage that stays", size(out.stored_bytes)),
        ("storage that comes and goes", size(max((step.working_bytes for step in out.steps), default=0.0))),
        ("tokens", number(out.tokens)),
        ("memory of a task", size(out.task_bytes)),
        ("memory of the driver", size(out.driver_bytes)),
        ("tasks at once", f"{out.slots:,}"),
        *((what, number(n)) for what, n in out.requests.items()),
    ]
    if price_per_cpu_hour is not None:
        total += [
            ("price of the CPU hours", f"{out.cpu_s / 3600 * price_per_cpu_hour:,.2f}"),
            ("price of the held CPU hours", f"{held * price_per_cpu_hour:,.2f}"),
        ]
    steps = [
        (
            step.step, number(step.rows_in), number(step.rows_out), f"{step.cpu_s / 3600:,.1f}", hours(step.wall_s),
            *(size(step.bytes[kind]) if kind in step.bytes else "" for kind in ("kept", "dropped", "packs", "other")),
        )
        for step in out.steps
    ]  # fmt: skip
    rounds = [
        (step.step, phase.label, phase.kind, f"{phase.tasks:,}", f"{phase.cpu_s / 3600:,.2f}", hours(phase.wall_s),
         phase.bound, size(phase.task_bytes))
        for step in out.steps
        for phase in step.phases
    ]  # fmt: skip
    columns = ("step", "documents in", "out", "CPU hours", "wall time", "kept", "dropped", "packs", "other")
    of_rounds = ("step", "round", "grows", "tasks", "CPU hours", "wall time", "bound by", "memory of a task")
    return [
        Section("The whole", ("what", "planned"), total),
        Section("By step", columns, steps),
        Section("By round of tasks", of_rounds, rounds),
        Section("Assumptions", ("what", "assumed"), assumptions(measured, nodes, given)),
        *(Section("Note", text=note) for note in out.notes),
    ]


def assumptions(measured: Measured, nodes: Nodes, given: dict[str, str]) -> list[tuple[Cell, ...]]:
    """Every number that the plan rests on."""
    kept = [f"{step.step} {step.rows_out / step.rows_in:.1%}" for step in measured.steps if step.rows_in]
    grown = ", ".join(f"{step} {label}: documents to the power {power}" for (step, label), power in EXPONENTS.items())
    return [
        *given.items(),
        ("measured on", f"{measured.pages:,} pages, {size(measured.input_bytes)}, recipe {measured.recipe}, "
                        f"{measured.machine}, {measured.date}"),
        ("a core here", "is as fast as one of the machine that was measured on"),
        ("documents that each step keeps", "; ".join(kept)),
        (MAP, f"linear, on all cores at {nodes.map_efficiency:.0%} of perfect scaling"),
        (SHUFFLE, f"linear, on all cores at {nodes.shuffle_efficiency:.0%}; {grown}"),
        (SERIAL, "linear, one task on one core, memory too"),
        (CONSTANT, "as measured, whatever the size; the tokenizer's sample is drawn by one task at "
                   f"{size(SAMPLING_BYTES_PER_S)}/s"),
        ("start of a worker", "once a worker and round, as measured"),
        ("driver", f"{SCHEDULING_S * 1000:.0f} ms a task"),
        ("network", f"{size(nodes.bandwidth)}/s a node, {size(READ_BLOCK)} a ranged request"),
        ("sources", CRAWL_SOURCES),
    ]  # fmt: skip
