"""From what a run took to what another input would take on given nodes.

A step that reads WARC files grows with their bytes, all that follow with the documents that reach them, which are
pages x the shares that survived in the measured run. What a worker's first task took more than the others (imports,
models, kernels) is paid once a worker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError
from .kinds import CONSTANT, SERIAL, SERIAL_BYTES, SERIAL_S, SHUFFLE, WORKING_BYTES, exponent_of, kind_of, tasks_of
from .measured import Measured, MeasuredPhase, MeasuredStep

READ_BLOCK = 4 << 20
"""Bytes of one ranged request to a remote WARC file (pipeline/warc/ranged.py)."""
SCHEDULING_S = 0.010
"""Seconds of the driver for a task: the most that benchmarks allow it."""
SAMPLING_BYTES_PER_S = 100e6
"""Parquet bytes a second that the one task reads which draws the tokenizer's sample."""
DRIVER_BYTES, MARK_FACTOR = 400e6, 8
"""Memory of a driver at rest, and of a finished task's mark beside its size as JSON."""
MAX_SHARDS = 100_000
"""Shards of a run, where the plan may choose: what one driver was measured with."""
NODE_BYTES = 2e9
"""Memory of a node that Ray and the system keep."""


@dataclass(frozen=True)
class Nodes:
    """The machines. `bandwidth` in bytes a second of each; efficiencies are shares of perfect scaling."""

    nodes: int
    cpus: int
    memory_bytes: float
    bandwidth: float = 10e9 / 8
    map_efficiency: float = 0.93
    shuffle_efficiency: float = 0.85

    def check(self) -> None:
        """Raise ConfigError for numbers that can't be."""
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise ConfigError(f"plan: {name} must be a number over 0, not {value!r}")
        for name in ("map_efficiency", "shuffle_efficiency"):
            if getattr(self, name) > 1:
                raise ConfigError(f"plan: {name} is a share and must not be over 1")


@dataclass(frozen=True)
class Target:
    """The input that is planned for.

    `pages` None: as many to a byte as in the measured run. `split_bytes` None: as in the measured run, but so large
    that there are no more than `MAX_SHARDS` shards, or whole files.
    """

    bytes: float
    pages: float | None = None
    split_bytes: int | None = None
    files: int = 1

    def split(self, measured: Measured) -> int:
        """Bytes of the input that one task takes."""
        if self.split_bytes is not None:
            return self.split_bytes
        if self.shards_of(measured.split_bytes) <= MAX_SHARDS:
            return measured.split_bytes
        return max(measured.split_bytes, math.ceil(self.bytes / max(1, MAX_SHARDS // self.files) / self.files))

    def shards_of(self, split_bytes: int) -> int:
        """Shards where a task takes so many bytes: the pieces of each file (`pipeline.warc.plan_splits`)."""
        each = self.bytes / self.files
        return self.files * max(1, int((each + split_bytes // 2) // split_bytes))


@dataclass(frozen=True)
class PlannedPhase:
    """A round of tasks at the target's size."""

    label: str
    kind: str
    tasks: int
    cpu_s: float
    start_s: float  # of cpu_s: what workers take to start
    wall_s: float
    bound: str  # what the wall time follows from: cores, one task, driver, network
    task_bytes: float  # memory of one task


@dataclass(frozen=True)
class PlannedStep:
    """A step at the target's size."""

    step: str
    rows_in: float
    rows_out: float
    cpu_s: float
    wall_s: float
    bytes: dict[str, float]
    working_bytes: float
    files: float
    tokens: float
    phases: tuple[PlannedPhase, ...]


@dataclass
class Plan:
    """The whole."""

    input_bytes: float
    pages: float
    slots: int
    steps: list[PlannedStep] = field(default_factory=list)
    driver_bytes: float = 0.0
    task_bytes: float = 0.0
    requests: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def cpu_s(self) -> float:
        return sum(step.cpu_s for step in self.steps)

    @property
    def wall_s(self) -> float:
        return sum(step.wall_s for step in self.steps)

    @property
    def stored_bytes(self) -> float:
        return sum(sum(step.bytes.values()) for step in self.steps)

    @property
    def tokens(self) -> float:
        """What is packed, or as far as the recipe goes, tokenised."""
        return next((step.tokens for step in reversed(self.steps) if step.tokens), 0.0)


def plan(measured: Measured, target: Target, nodes: Nodes) -> Plan:
    """What the target would take. Raises ConfigError."""
    nodes.check()
    if not target.bytes > 0:
        raise ConfigError("plan: there is nothing to read")
    by_bytes = target.bytes / measured.input_bytes if measured.input_bytes else 0.0
    if not by_bytes and target.pages is None:
        raise ConfigError("plan: the measured run does not say how many bytes it read; give --pages-per-warc")
    pages = target.pages if target.pages is not None else by_bytes * measured.pages
    by_pages = pages / measured.pages
    split = target.split(measured)
    shards = target.shards_of(split)
    task_bytes = max((phase.peak_bytes for step in measured.steps for phase in step.phases), default=0)
    slots = _slots(nodes, task_bytes)
    out = Plan(target.bytes, pages, slots, task_bytes=task_bytes)
    before = 0.0
    for number, step in enumerate(measured.steps):
        growth = by_bytes if number == 0 and by_bytes else by_pages
        read = target.bytes if number == 0 else before
        made = _step(step, growth, by_pages, shards, slots, nodes, read)
        out.steps.append(made)
        before = sum(made.bytes.values())
    marks = [
        step.mark_bytes * max((phase.tasks for phase in made.phases), default=0)
        for step, made in zip(measured.steps, out.steps, strict=True)
    ]
    out.driver_bytes = DRIVER_BYTES + MARK_FACTOR * max(marks, default=0.0)
    out.requests = _requests(out, shards, split)
    out.notes = _notes(measured, out, by_pages, split, nodes)
    return out


def _slots(nodes: Nodes, task_bytes: float) -> int:
    """Tasks at once: as many as there are cores, or as there is memory for."""
    free = nodes.memory_bytes - NODE_BYTES
    fit = int(free // task_bytes) if task_bytes else nodes.cpus
    if fit < 1:
        raise ConfigError(
            f"plan: a node of {nodes.memory_bytes / 1e9:.1f} GB can't hold one task of {task_bytes / 1e9:.2f} GB "
            f"beside the {NODE_BYTES / 1e9:.0f} GB that Ray and the system take"
        )
    return nodes.nodes * min(nodes.cpus, fit)


def _step(
    step: MeasuredStep, growth: float, by_pages: float, shards: int, slots: int, nodes: Nodes, read_bytes: float
) -> PlannedStep:
    documents = step.rows_in * by_pages
    phases = tuple(_phase(step, phase, growth, documents, shards, slots, nodes, read_bytes) for phase in step.phases)
    constant = kind_of(step.name, "") == CONSTANT
    of_rows = 1.0 if constant else by_pages
    written = {kind: stored.at(of_rows, shards) for kind, stored in step.stored.items()}
    driver_s = step.driver_s
    return PlannedStep(
        step=step.step,
        rows_in=documents,
        rows_out=step.rows_out * by_pages,
        cpu_s=sum(phase.cpu_s for phase in phases) + driver_s,
        wall_s=sum(phase.wall_s for phase in phases) + driver_s,
        bytes=written,
        working_bytes=WORKING_BYTES.get(step.name, 0) * documents,
        files=step.files * (1.0 if constant else max(1.0, shards / max(1, _most_tasks(step)))),
        tokens=step.tokens * by_pages,
        phases=phases,
    )


def _most_tasks(step: MeasuredStep) -> int:
    return max((phase.tasks for phase in step.phases), default=1)


def _phase(
    step: MeasuredStep,
    phase: MeasuredPhase,
    growth: float,
    documents: float,
    shards: int,
    slots: int,
    nodes: Nodes,
    read_bytes: float,
) -> PlannedPhase:
    kind = kind_of(step.name, phase.label)
    took = effort(phase)
    if kind == CONSTANT:
        cpu = phase.task_s + (read_bytes / SAMPLING_BYTES_PER_S if step.name == "train_tokenizer" else 0.0)
        return PlannedPhase(phase.label, kind, phase.tasks, cpu, took.start_s, cpu, "one task", phase.peak_bytes)
    growth = growth ** exponent_of(step.name, phase.label) if growth > 1 else growth
    tasks = 1 if kind == SERIAL else tasks_of(step.name, phase.label, shards, documents)
    workers = min(slots, tasks)
    work, start = took.work_s * growth + took.task_s * tasks, took.start_s * workers
    if kind == SERIAL:
        work = min(work, max(took.work_s, SERIAL_S.get((step.name, phase.label), math.inf) * documents))
        memory = phase.peak_bytes + SERIAL_BYTES.get((step.name, phase.label), 0) * max(0.0, documents - step.rows_in)
        return PlannedPhase(phase.label, kind, 1, work + start, start, work + start, "one task", memory)
    efficiency = nodes.shuffle_efficiency if kind == SHUFFLE else nodes.map_efficiency
    bounds = {
        "cores": work / (workers * efficiency) + took.start_s,
        "one task": work / tasks + took.start_s,
        "driver": tasks * SCHEDULING_S,
        "network": read_bytes / (nodes.nodes * nodes.bandwidth),
    }
    bound = max(bounds, key=lambda name: bounds[name])
    return PlannedPhase(phase.label, kind, tasks, work + start, start, bounds[bound], bound, phase.peak_bytes)


@dataclass(frozen=True)
class Effort:
    """Seconds of a round: what grows with the input, what each task takes anyway, what a worker takes to start."""

    work_s: float
    task_s: float = 0.0
    start_s: float = 0.0


def effort(phase: MeasuredPhase) -> Effort:
    """What a round's seconds consist of, told by the tasks that were their worker's first and by the others' sizes.

    Where all, or nearly all, of the work lay in first tasks, nothing can be told apart and all of it grows; so does all
    of the others' where their sizes don't tell what each takes anyway (`pipeline.planning.fixed`).
    """
    share, tasks = 1.0 - phase.first_share, phase.tasks - phase.first_tasks
    if share < 0.2 or tasks < 1:
        return Effort(phase.task_s)
    rest = phase.task_s - phase.first_s
    each = min(phase.each_s, rest / tasks)
    work = (rest - tasks * each) / share
    start = phase.first_s - work * phase.first_share - each * phase.first_tasks
    if start <= 0 or not phase.first_tasks:  # first tasks were no slower
        each = min(each, phase.task_s / phase.tasks)
        return Effort(phase.task_s - phase.tasks * each, each)
    return Effort(work, each, start / phase.first_tasks)


def _requests(out: Plan, shards: int, split: int) -> dict[str, float]:
    files = sum(step.files for step in out.steps)
    tasks = sum(phase.tasks for step in out.steps for phase in step.phases)
    later = sum(phase.tasks for step in out.steps[1:] for phase in step.phases)
    return {
        "ranged reads of WARC files": shards * (math.ceil(split / READ_BLOCK) + 2),
        "writes to an object store (data, marks, timings)": files + 2 * tasks,
        "reads from an object store (at least one a task)": later,
    }


def _notes(measured: Measured, out: Plan, by_pages: float, split: int, nodes: Nodes) -> list[str]:
    notes = []
    if out.slots < nodes.nodes * nodes.cpus:
        notes.append(
            f"memory allows {out.slots:,} tasks at once, fewer than the {nodes.nodes * nodes.cpus:,} cores: "
            "nodes with more memory would be quicker"
        )
    if split != measured.split_bytes:
        notes.append(
            f"a task takes {split:,} bytes of the input, not {measured.split_bytes:,} as was measured: "
            f"run with --set warc.split_bytes={split}"
        )
    if by_pages > 10:
        notes.append(
            f"the input is {by_pages:,.0f} times what was measured: a larger corpus holds more duplicates, so what "
            "dedup keeps, and all after it, is at most what stands here"
        )
    serial = {phase.label or step.step: phase for step in out.steps for phase in step.phases if phase.kind == SERIAL}
    for label, phase in serial.items():
        if phase.task_bytes > nodes.memory_bytes:
            notes.append(
                f"'{label}' is one task and would take {phase.task_bytes / 1e9:,.0f} GB at this size, more than a node "
                "has: give it one with more, or run the crawl in parts"
            )
    if "InlineRunner" in measured.machine:
        notes.append("memory was measured in one process that ran all steps: a worker of a cluster takes less")
    return notes


def to_json(measured: Measured, out: Plan, nodes: Nodes, price_per_cpu_hour: float | None) -> dict[str, Any]:
    """Everything, for `--json`."""
    import dataclasses

    value = {
        "input": {"bytes": out.input_bytes, "pages": out.pages},
        "nodes": dataclasses.asdict(nodes),
        "tasks_at_once": out.slots,
        "cpu_hours": out.cpu_s / 3600,
        "held_cpu_hours": nodes.nodes * nodes.cpus * out.wall_s / 3600,
        "wall_hours": out.wall_s / 3600,
        "stored_bytes": out.stored_bytes,
        "peak_working_bytes": max((step.working_bytes for step in out.steps), default=0.0),
        "tokens": out.tokens,
        "memory_bytes": {"task": out.task_bytes, "driver": out.driver_bytes},
        "requests": out.requests,
        "downloaded_bytes": out.input_bytes,
        "steps": [dataclasses.asdict(step) for step in out.steps],
        "notes": out.notes,
        "measured": {
            "recipe": measured.recipe, "pages": measured.pages, "bytes": measured.input_bytes,
            "machine": measured.machine, "date": measured.date,
        },
    }  # fmt: skip
    if price_per_cpu_hour is not None:
        value["price"] = {
            "per_cpu_hour": price_per_cpu_hour,
            "busy": out.cpu_s / 3600 * price_per_cpu_hour,
            "held": nodes.nodes * nodes.cpus * out.wall_s / 3600 * price_per_cpu_hour,
        }
    return value
