"""Plans against numbers worked out by hand, and measurements against the run that they are read from."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.cli_plan import size_in_bytes
from pipeline.errors import ConfigError
from pipeline.planning.extrapolate import Nodes, Target, effort, plan
from pipeline.planning.fixed import Costs
from pipeline.planning.kinds import CONSTANT, DOCUMENTS_PER_TASK, MAP, SERIAL, SHUFFLE, kind_of
from pipeline.planning.measured import (
    FORMAT,
    Measured,
    MeasuredPhase,
    MeasuredStep,
    Stored,
    _phase,
    _stored,
    bundled,
    measure,
)
from pipeline.runner import Task
from pipeline.status.counts import PhaseCounts
from pipeline.status.observer import TaskCost

EXTRACT = MeasuredStep(
    step="01-extract", name="map", rows_in=1000, rows_out=800, driver_s=2.0,
    phases=(MeasuredPhase("", tasks=10, task_s=109.0, peak_bytes=500_000_000, first_tasks=1, first_s=19.0,
                          first_share=0.1),),
    stored={"kept": Stored(by_rows=8e6, per_shard=1000.0), "dropped": Stored(by_rows=1e6)}, files=20, mark_bytes=500.0,
)  # fmt: skip
DEDUP = MeasuredStep(
    step="02-minhash_dedup", name="minhash_dedup", rows_in=800, rows_out=600, driver_s=1.0,
    phases=(MeasuredPhase("sign", 10, 8.0, 400_000_000), MeasuredPhase("link", 1, 2.0, 400_000_000)),
    stored={"kept": Stored(by_rows=6e6)}, files=10,
)  # fmt: skip
MIX = MeasuredStep(
    step="03-mix", name="mix", rows_in=600, rows_out=600, driver_s=0.0,
    phases=(MeasuredPhase("plan", 1, 0.5, 300_000_000),), tokens=500_000,
)  # fmt: skip
TRAIN = MeasuredStep(
    step="04-pretrain", name="pretrain", rows_in=600, rows_out=600, driver_s=30.0, phases=(),
    stored={"other": Stored(by_rows=5e6)},
)  # fmt: skip
MEASURED = Measured("by-hand", 10_000_000, 1000, 1_000_000, 10, (EXTRACT, DEDUP, MIX, TRAIN))
NODES = Nodes(2, 4, 64e9, map_efficiency=0.5, shuffle_efficiency=0.25)


def test_by_hand():
    """A hundred times the bytes, fifty times the pages, on 8 cores, by the rules of docs/plan.md."""
    made = plan(MEASURED, Target(1e9, 50_000.0, 1_000_000), NODES)
    assert (made.pages, made.slots) == (50_000, 8)
    extract, dedup, mix, train = made.steps
    # nine tasks took 90 s for nine tenths: 100 s of work, and 9 s that the first took longer
    (phase,) = extract.phases
    assert phase.tasks == 1000 and phase.kind == MAP and phase.bound == "cores"
    assert phase.cpu_s == pytest.approx(100 * 100 + 8 * 9)
    assert phase.wall_s == pytest.approx(100 * 100 / (8 * 0.5) + 9)
    assert extract.cpu_s == pytest.approx(phase.cpu_s + 2) and extract.wall_s == pytest.approx(phase.wall_s + 2)
    assert (extract.rows_in, extract.rows_out) == (50_000, 40_000)
    assert extract.bytes == {"kept": 8e6 * 50 + 1000 * 1000, "dropped": 50e6}
    assert extract.files == 20 * 100
    # the next step grows with the pages
    sign, link = dedup.phases
    assert (sign.kind, link.kind) == (MAP, SHUFFLE)
    assert sign.cpu_s == pytest.approx(8 * 50) and link.cpu_s == pytest.approx(2 * 50**1.2)
    assert sign.wall_s == pytest.approx(8 * 50 / 4) and sign.tasks == 1000
    assert link.tasks == 1 and link.wall_s == pytest.approx(2 * 50**1.2 / 0.25)
    assert dedup.working_bytes == 1350 * 40_000 and dedup.rows_out == 30_000
    # one task: 25 s if it grew like a long one, but .5 s are mostly its start, and 7 microseconds a document are known
    (serial,) = mix.phases
    assert serial.kind == SERIAL and serial.wall_s == pytest.approx(max(0.5, 7e-6 * 30_000))
    assert serial.task_bytes == pytest.approx(300e6 + 27 * (30_000 - 600))
    assert mix.tokens == 500_000 * 50 == made.tokens
    assert train.cpu_s == 30 and train.bytes == {"other": 5e6}
    assert made.cpu_s == pytest.approx(sum(step.cpu_s for step in made.steps))
    assert made.stored_bytes == pytest.approx(401e6 + 50e6 + 300e6 + 5e6)
    assert made.requests["ranged reads of WARC files"] == 1000 * (1 + 2)
    assert made.driver_bytes == pytest.approx(400e6 + 8 * 500 * 1000)


def test_what_bounds_the_wall_time():
    quick = Nodes(100, 100, 640e9, map_efficiency=1.0)
    many = plan(MEASURED, Target(1e9, None, 10_000), quick).steps[0].phases[0]
    assert many.tasks == 100_000 and many.bound == "driver" and many.wall_s == pytest.approx(1000.0)
    few = plan(MEASURED, Target(1e9, None, 500_000_000), quick).steps[0].phases[0]
    assert few.tasks == 2 and few.wall_s == pytest.approx(10_000 / 2 + 9)
    slow = replace(quick, nodes=1, bandwidth=1e4)
    net = plan(MEASURED, Target(1e9, None, 1_000_000), slow).steps[0].phases[0]
    assert net.bound == "network" and net.wall_s == pytest.approx(1e9 / 1e4)


def test_memory_limits_the_tasks_at_once():
    tight = plan(MEASURED, Target(1e9), Nodes(2, 64, 7e9))
    assert tight.slots == 2 * math.floor((7e9 - 2e9) / 500e6)
    assert any("memory allows 20 tasks" in note for note in tight.notes)
    with pytest.raises(ConfigError, match="can't hold one task"):
        plan(MEASURED, Target(1e9), Nodes(2, 64, 2.1e9))


def test_shards_are_kept_to_what_a_driver_can_take():
    made = plan(MEASURED, Target(9e13, None, None, 90_000), NODES)
    assert made.steps[0].phases[0].tasks == 90_000  # a file each
    assert any("warc.split_bytes=1000000000" in note for note in made.notes)
    assert plan(MEASURED, Target(1e8, None, None, 7), NODES).steps[0].phases[0].tasks == 7 * 14


def _round(sizes: list[int], seconds: list[float], firsts: int = 0) -> MeasuredPhase:
    """What a plan reads of a round in run.json, by way of what the driver gathers; the first tasks were `firsts`."""
    counts = PhaseCounts("x", "documents", len(sizes), 0, sum(sizes))
    for i, (size, taken) in enumerate(zip(sizes, seconds, strict=True)):
        cost = TaskCost("worker", wall_s=taken, peak_bytes=1, first=i < firsts)
        counts.add(Task(name=str(i), payload={}, size=size), cost, items=1, size=1)
    return _phase(json.loads(json.dumps(counts.cost())), "x", "run")


@pytest.mark.parametrize(
    ("start", "each", "work", "sizes", "workers"),
    [
        (5.0, 0.5, 100.0, [10, 10, 20, 20, 25, 15], 1),
        (3.0, 0.0, 60.0, [5, 15, 20, 25, 10, 15, 10], 2),
        (0.0, 0.2, 10.0, [40, 1, 9, 10, 25, 15], 1),
    ],
)
def test_what_a_rounds_seconds_consist_of(start, each, work, sizes, workers):
    """Seconds made by the rule give the rule's numbers back."""
    seconds = [each + work * size / 100 + (start if i < workers else 0) for i, size in enumerate(sizes)]
    found = effort(_round(sizes, seconds, workers))
    assert (found.start_s, found.task_s, found.work_s) == pytest.approx((start, each, work), abs=1e-4)


def test_seconds_that_fit_no_rule_still_add_up():
    """All of it fixed, or first tasks quicker than others, or fixed parts longer than the tasks."""
    for first_s, each_s in ((0.1, 4.0), (0.1, 0.1), (9.0, 4.0), (9.0, 0.0)):
        found = effort(MeasuredPhase("", 4, 10.0, 1, 1, first_s, 0.25, each_s))
        assert min(found.work_s, found.task_s, found.start_s) >= 0
        assert found.work_s + 4 * found.task_s + found.start_s == pytest.approx(10.0)


EQUAL = {"the same": 0.0, "within 1 %": 0.01, "within a third": 0.15}


@pytest.mark.parametrize("off", EQUAL.values(), ids=EQUAL)
@pytest.mark.parametrize("count", [4, 6, 40])
def test_nearly_equal_shards_tell_nothing_so_all_grows(off: float, count: int):
    """Seconds and bytes are linear in sizes and scatter by a tenth: at 1000 times the size that is what is planned."""
    rng = random.Random(7)
    for _ in range(200):
        sizes = [round(1e6 * (1 + rng.uniform(-off, off))) for _ in range(count)]
        seconds = [2e-6 * size * rng.uniform(0.9, 1.1) for size in sizes]
        found = effort(_round(sizes, seconds))
        assert found.work_s * 1000 + found.task_s * count == pytest.approx(1000 * sum(seconds), rel=0.01)
        files = [(size, round(3 * size * rng.uniform(0.9, 1.1))) for size in sizes]
        total = sum(size for _, size in files)
        assert _stored(files, count).at(1000, count) == pytest.approx(1000 * total, rel=0.01)


def test_unequal_shards_that_scatter_lose_a_quarter_of_the_growth_at_most_and_seldom_any():
    """No fixed part; sizes from 1 to 8, seconds scatter by a quarter."""
    rng = random.Random(11)
    kept = []
    for _ in range(500):
        sizes = [round(1e6 * rng.uniform(1, 8)) for _ in range(6)]
        seconds = [2e-6 * size * rng.uniform(0.75, 1.25) for size in sizes]
        kept.append(effort(_round(sizes, seconds)).work_s / sum(seconds))
    assert min(kept) >= 0.75 - 1e-9
    assert sum(share < 0.9999 for share in kept) <= 0.05 * len(kept)


def test_a_fixed_part_that_many_unequal_shards_show_is_found():
    """A second each, beside 1 to 9: found within what the scatter leaves open, and not too large."""
    rng = random.Random(13)
    sizes = [rng.randint(1000, 9000) for _ in range(300)]
    seconds = [1.0 + size / 1000 * rng.uniform(0.9, 1.1) for size in sizes]
    assert 0.75 < effort(_round(sizes, seconds)).task_s < 1.0


@pytest.mark.parametrize("count", [5, 12, 60])
def test_the_fixed_part_is_the_lines_intercept_less_three_of_its_errors(count: int):
    """numpy's least squares, and the error by the textbook's matrix."""
    rng = np.random.default_rng(count)
    sizes = rng.uniform(1, 9, count)
    costs = 1.5 + 2 * sizes + rng.normal(0, 0.1, count)
    columns = np.stack([np.ones(count), sizes], axis=1)
    line, left, *_ = np.linalg.lstsq(columns, costs, rcond=None)
    error = np.sqrt(left[0] / (count - 2) * np.linalg.inv(columns.T @ columns)[0, 0])
    gathered = Costs()
    for size, cost in zip(sizes, costs, strict=True):
        gathered.add(float(size), float(cost))
    assert gathered.fixed() == pytest.approx(min(max(line[0] - 3 * error, 0.0), costs.mean() / 4))
    assert 0 < gathered.fixed() < 1.5


README_NODES = Nodes(20, 32, 128e9)
CRAWL = Target(90_000 * 1e9, 90_000 * 29_300.0, None, 90_000)


def test_the_bundled_measurements_grow_as_they_should():
    """README's example: hours and bytes against linear growth, straight from the JSON file, within a quarter."""
    base = json.loads(resources.files("pipeline.planning").joinpath("measured.json").read_text(encoding="utf-8"))
    made = plan(bundled(), CRAWL, README_NODES)
    by_pages, by_bytes = 90_000 * 29_300 / base["pages"], 90_000 * 1e9 / base["input_bytes"]
    seen = 0
    for step, out in zip(base["steps"], made.steps, strict=True):
        growth = by_bytes if step is base["steps"][0] else by_pages
        for phase, planned in zip(step["phases"], out.phases, strict=True):
            if planned.kind == MAP:
                # without the tasks in which workers started, where there are others
                part = 1 - phase["first_share"]
                rest = (phase["task_s"] - phase["first_s"]) / part if part else phase["task_s"]
                assert planned.cpu_s == pytest.approx(rest * growth, rel=0.25), (out.step, phase["label"])
                seen += 1
        if out.step != "06-train_tokenizer":
            for kind, stored in step["stored"].items():
                seen_bytes = stored["by_rows"] + stored["per_shard"] * base["shards"]
                planned_bytes = (out.bytes[kind] - stored["fixed"]) / out.rows_out
                assert planned_bytes == pytest.approx(seen_bytes / step["rows_out"], rel=0.25), (out.step, kind)
    assert seen == 13
    kept = [out.bytes["kept"] for out in made.steps if "kept" in out.bytes]
    assert len(kept) == 5 and kept == sorted(kept, reverse=True)  # fewer documents take no more room


def test_the_documented_example_is_what_is_planned():
    text = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")
    made = plan(bundled(), CRAWL, README_NODES)
    for step in made.steps:
        assert f"| {step.step} | {step.cpu_s / 3600:,.0f} | {sum(step.bytes.values()) / 1e12:.2f} TB |\n" in text
    assert f"| all | {made.cpu_s / 3600:,.0f} | {made.stored_bytes / 1e12:.2f} TB |\n" in text
    hours = made.wall_s / 3600, made.steps[5].wall_s / 3600
    assert "Its wall time is {:.0f} hours, of which {:.0f} are `train_tokenizer`".format(*hours) in text


def test_the_bundled_plan_hardly_depends_on_the_size_of_a_task():
    plans = [plan(bundled(), replace(CRAWL, split_bytes=split), README_NODES) for split in (32 << 20, 10**9)]
    for small, large in zip(*(made.steps for made in plans), strict=True):
        for one, other in zip(small.phases, large.phases, strict=True):
            if one.kind == MAP:
                assert other.cpu_s == pytest.approx(one.cpu_s, rel=0.25), (small.step, one.label)
        assert sum(large.bytes.values()) == pytest.approx(sum(small.bytes.values()), rel=0.25), small.step


def test_where_nothing_can_be_told_apart_all_grows():
    assert effort(MeasuredPhase("", 1, 7.0, 1, 1, 7.0, 1.0)).work_s == 7.0


def test_a_run_is_measured_as_it_was(sample_run: Path):
    measured = measure(sample_run)
    facts = json.loads((sample_run / "run.json").read_text())["steps"]
    warcs = Path(__file__).parents[2] / "pipeline" / "sample" / "crawl"
    assert measured.input_bytes == sum(path.stat().st_size for path in warcs.iterdir())
    for step in measured.steps:
        folder = sample_run / step.step
        timings = [json.loads(path.read_text()) for path in (folder / "timings").glob("*.json")]
        assert sum(timing["wall_s"] for timing in timings) == pytest.approx(step.task_s, abs=1e-3)
        assert max((timing["peak_bytes"] for timing in timings), default=0) == max(
            (phase.peak_bytes for phase in step.phases), default=0
        )
        files = [path for path in folder.rglob("*") if path.is_file()]
        left_out = ("done", "timings", "inputs.json", "manifest.json", "plan.json")
        files = [path for path in files if path.relative_to(folder).parts[0] not in left_out]
        stored = sum(one.at(1.0, measured.shards) for one in step.stored.values())
        assert stored == pytest.approx(sum(path.stat().st_size for path in files))
        assert step.driver_s == facts[step.step]["driver_s"]
        for phase in facts[step.step]["phases"]:
            first, others = phase["first"], phase["others"]
            assert first["tasks"] + others["count"] == phase["tasks"]
            assert first["task_s"] + others["count"] * others["mean_cost"] == pytest.approx(phase["task_s"], abs=1e-5)
            known = next((unit for unit in ("size", "items") if phase[unit]), "items")
            assert first[known] + others["count"] * others["mean_size"] == pytest.approx(phase[known])
    report = json.loads((sample_run / "report.json").read_text())
    assert measured.pages == report["pages"] and measured.steps[-1].rows_out == report["kept"]
    assert plan(measured, Target(measured.input_bytes, None, None, 4), NODES).tokens == report["tokens"]["tokens"]
    assert Measured.from_json(json.loads(json.dumps(measured.to_json()))) == measured


def test_the_same_input_again_takes_the_same(sample_run: Path):
    """Planned for its own input on one core, a run takes what it took."""
    measured = measure(sample_run)
    same = plan(
        measured, Target(measured.input_bytes, None, None, measured.shards), Nodes(1, 1, 64e9, map_efficiency=1.0)
    )
    for step, out in zip(measured.steps, same.steps, strict=True):
        assert out.rows_out == pytest.approx(step.rows_out)
        if step.name != "train_tokenizer":  # its reading is counted apart
            assert out.cpu_s <= step.task_s + step.driver_s + 0.01
    stored = sum(one.at(1.0, measured.shards) for step in measured.steps for one in step.stored.values())
    assert same.stored_bytes == pytest.approx(stored)


def test_what_cannot_be_measured(tmp_path):
    with pytest.raises(ConfigError, match="is no run"):
        measure(tmp_path)
    with pytest.raises(ConfigError, match="no measurements"):
        Measured.from_json({"format": FORMAT})
    with pytest.raises(ConfigError, match="format 99"):
        Measured.from_json({"format": 99})


def test_partitions_hold_what_the_steps_say():
    from dedup import lsh
    from dedup.exact import ROWS_PER_PARTITION

    assert DOCUMENTS_PER_TASK["exact_dedup", "choose"] == ROWS_PER_PARTITION
    assert DOCUMENTS_PER_TASK["minhash_dedup", "link"] == lsh.KEYS_PER_PARTITION // 14
    assert DOCUMENTS_PER_TASK["minhash_dedup", "label"] == 4 * lsh.LINKS_PER_PARTITION // 14


@pytest.mark.parametrize(
    ("step", "label", "kind"),
    [
        ("map", "", MAP), ("tokenize", "", MAP), ("minhash_dedup", "gather", SHUFFLE), ("minhash_dedup", "split", MAP),
        ("mix", "catalogue", MAP), ("mix", "clusters", SERIAL), ("mix", "link", SHUFFLE), ("pack", "order", SHUFFLE),
        ("pack", "packset", MAP), ("train_tokenizer", "", CONSTANT), ("exact_dedup", "choose", SHUFFLE),
    ],
)  # fmt: skip
def test_kinds(step, label, kind):
    assert kind_of(step, label) == kind


def test_command(sample_run: Path, capsys):
    nodes = ["--nodes", "10", "--cpus-per-node", "16", "--memory-per-node", "64GB"]
    words = ["plan", "--crawl", "CC-MAIN-2025-08", *nodes]
    assert main([*words, "--json", "--price-per-cpu-hour", "0.05"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["input"]["pages"] == 90_000 * 29_300 and value["downloaded_bytes"] == 90_000 * 1e9
    assert value["price"]["busy"] == pytest.approx(0.05 * value["cpu_hours"])
    assert value["price"]["held"] == pytest.approx(0.05 * 160 * value["wall_hours"])
    base = bundled()
    by_hand = value["input"]["pages"] / base.pages * base.steps[-1].rows_out
    assert value["steps"][-1]["rows_out"] == pytest.approx(by_hand)
    more = ["--from", str(sample_run), "--warcs", "10", "--pages-per-warc", "100", "--warc-bytes", "1MB"]
    assert main([*words, *more, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["input"] == {"bytes": 1e7, "pages": 1000}
    assert main([*words, *more]) == 0
    shown = capsys.readouterr().out
    for said in ("Assumptions", "documents that each step keeps", "wall time", "CC-MAIN-2025-08", "10 ms a task"):
        assert said in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--crawl", "2025-08"], "CC-MAIN-2025-08"),
        (["--memory-per-node", "lots"], "a size like 64GB"),
        (["--nodes", "0"], "nodes must be"),
        (["--warcs", "0"], "--warcs"),
        (["--map-efficiency", "1.5"], "not be over 1"),
        (["--from", "nowhere"], "is no run"),
        (["--price-per-cpu-hour", "nan"], "price"),
    ],
)
def test_wrong_options(change, message, capsys):
    words = ["--crawl", "CC-MAIN-2025-08", "--nodes", "1", "--cpus-per-node", "1", "--memory-per-node", "64GB"]
    assert main(["plan", *words, *change]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"), [("64GB", 64e9), ("64GiB", 64 * 2**30), ("1.5 TB", 1.5e12), ("1000", 1000), ("2mib", 2 << 20)]
)
def test_sizes(text, size):
    assert size_in_bytes(text, "--x") == size
