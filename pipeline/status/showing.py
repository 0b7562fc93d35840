"""A run's status as tables for a terminal. Names and errors may come from hostile pages: `report.show` tames them."""

from __future__ import annotations

from typing import Any

from ..progress import duration
from ..report import Cell, Measure, Section
from .reading import Status


def sections(status: Status, price_per_cpu_hour: float | None = None) -> list[Section]:
    """What `gristmill status` prints."""
    value = status.value
    shown = [Section("Run", text=_headline(status))]
    if value["steps"]:
        columns = ("step", "state", "done", "of", "running", "failed", "tried again", "rate", "left", "took")
        shown.append(Section("Steps", columns, [_row(step) for step in value["steps"]]))
    costs = cost(value, price_per_cpu_hour)
    if costs:
        shown.append(Section("Cost so far", ("what", "value"), [(k, Measure(v)) for k, v in costs.items()]))
    if value.get("errors"):
        rows = [
            (one.get("time"), one.get("level"), one.get("step"), one.get("shard"), one.get("message"))
            for one in value["errors"][-5:]
        ]
        shown.append(Section("Last errors", ("time", "level", "step", "shard", "message"), rows))
    shown += [Section("Note", text=note) for note in status.notes]
    return shown


def _headline(status: Status) -> str:
    value = status.value
    parts = [f"{status.where}: {status.state}"]
    if value.get("recipe"):
        parts.append(f"recipe {value['recipe']}")
    if "workers" in value:
        parts.append(f"{value['workers']} workers ({value['runner']})")
    driver = value.get("driver")
    if driver:
        lives = {True: "lives", False: "has ended", None: "unknown"}[status.driver_lives]
        parts.append(f"driver {driver['host']}:{driver['pid']} {lives}")
    if "started" in value:
        parts.append(f"started {value['started']}, last sign {value['updated']}")
    return "; ".join(parts)


def _row(step: dict[str, Any]) -> tuple[Cell, ...]:
    if not step["phases"]:
        return (step["step"], step["state"], None, None, None, None, None, None, None, _took(step))
    phase = step["phases"][-1]
    shards = phase["shards"]
    name = step["step"] if phase["label"] in ("", step["step"]) else phase["label"]
    rate = phase.get("items_per_s")
    unit = phase["unit"]
    if rate is None and phase.get("shards_per_s"):
        rate, unit = phase["shards_per_s"], "shards"
    eta = phase.get("eta_s") if step["state"] == "running" else None
    return (
        name,
        step["state"],
        shards["done"],
        shards["total"],
        shards["running"],
        shards["failed"],
        shards.get("retried"),
        None if rate is None else f"{rate:,.1f} {unit}/s",
        None if eta is None else duration(eta),
        _took(step),
    )


def _took(step: dict[str, Any]) -> str | None:
    return duration(step["wall_s"]) if step.get("wall_s") else None


def cost(value: dict[str, Any], price_per_cpu_hour: float | None = None) -> dict[str, float]:
    """CPU hours that were busy and that were held (workers x time), of all runs in the folder; and their price."""
    seconds = value.get("cpu_s")
    if not seconds:
        return {}
    price = value.get("price_per_cpu_hour") if price_per_cpu_hour is None else price_per_cpu_hour
    out: dict[str, float] = {}
    for kind in ("busy", "held"):
        out[f"CPU hours {kind}"] = (seconds[kind] + seconds[f"{kind}_before"]) / 3600
    if price is not None:
        for kind in ("busy", "held"):
            out[f"price of CPU hours {kind}"] = out[f"CPU hours {kind}"] * price
    return out
