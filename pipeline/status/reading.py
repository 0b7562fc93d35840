"""What a run's folder says of it: from `progress.json`, or from the marks of its steps where there is none.

A driver is held to live while its process does (seen from the same machine) or its signs of life are fresh; a run that
says "running" with no living driver is "stopped".
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..yaml_input import load_yaml
from .journal import FILE, FORMAT
from .process import lives

MISSED_BEATS = 4
"""A driver elsewhere is held to be gone after so many signs of life have not come."""

SKEW_S = 60.0
"""Two machines' clocks may differ by this: it is added to what is waited for, and a larger difference is said."""

EXIT = {"finished": 0, "running": 3, "failed": 4, "stopped": 5}
"""The command's exit status by the run's state; 2 is for what is no run."""


@dataclass
class Status:
    """A run as it stands."""

    where: str
    state: str
    driver_lives: bool | None  # None: nothing tells
    value: dict[str, Any]  # what progress.json holds, as far as it is known
    source: str  # "progress.json" or "marks"
    notes: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        return EXIT[self.state]

    def to_json(self) -> dict[str, Any]:
        return {
            **self.value,
            "where": self.where,
            "state": self.state,
            "driver_lives": self.driver_lives,
            "source": self.source,
            "notes": self.notes,
        }


def read_status(output: Any, now: float | None = None) -> Status:
    """The state of the run in `output`, at `now` (seconds of the epoch). Raises ConfigError where there is no run."""
    now = time.time() if now is None else now
    notes: list[str] = []
    value = _progress(output, notes)
    if value is None:
        return _from_marks(output, notes)
    alive = _driver_lives(value, now, notes)
    state = value["state"]
    if state == "running" and alive is False:
        state = "stopped"
        notes.append(
            "the driver is gone without a word (killed, or its machine lost): the same command goes on from here"
        )
    if state != "running":
        alive = False
    return Status(str(output), state, alive, value, FILE, notes)


def _progress(output: Any, notes: list[str]) -> dict[str, Any] | None:
    try:
        value = json.loads((output / FILE).read_text(encoding="utf-8"))
        known = value["state"] in EXIT and isinstance(value["steps"], list) and value["format"] == FORMAT
        if known:
            return dict(value)
        notes.append(f"{FILE} is of another version of Gristmill; what follows is from the marks of finished shards")
    except FileNotFoundError:
        notes.append(f"there is no {FILE}; what follows is from the marks of finished shards")
    except (ValueError, KeyError, TypeError, RecursionError):
        notes.append(f"{FILE} is damaged; what follows is from the marks of finished shards")
    return None


def _driver_lives(value: dict[str, Any], now: float, notes: list[str]) -> bool | None:
    driver = value.get("driver", {})
    if driver.get("host") == socket.gethostname() and lives(int(driver["pid"]), driver.get("process_started")):
        return True
    if driver.get("host") == socket.gethostname() and driver.get("process_started") is not None:
        return False
    age = now - float(value.get("updated_s", 0.0))
    if age < -SKEW_S:
        notes.append(f"the driver's clock is {-age:,.0f} s ahead of this machine's")
    return age < MISSED_BEATS * float(value.get("beat_s", 30.0)) + SKEW_S


def _from_marks(output: Any, notes: list[str]) -> Status:
    """Steps by the recipe and the folders, finished shards by counting `done/`."""
    if not (output / "recipe.yaml").exists():
        raise ConfigError(f"'{output}' is no run: it has neither {FILE} nor recipe.yaml")
    steps = []
    for folder in sorted(output.glob("[0-9][0-9]-*")):
        if not (folder / "plan.json").exists():
            continue
        finished = (folder / "manifest.json").exists()
        done = _count(folder / "done")
        shards = {"total": done if finished else None, "done": done, "running": None, "failed": None}
        steps.append(
            {
                "step": folder.name,
                "state": "finished" if finished else "running",
                "phases": [{"label": folder.name, "unit": "shards", "shards": shards}] if done else [],
            }
        )
    ended = (output / "run.json").exists() and all(step["state"] == "finished" for step in steps)
    alive = None if ended else _locked(output)
    state = "finished" if ended else "stopped" if alive is False else "running"
    for step in steps:
        if state == "stopped" and step["state"] == "running":
            step["state"] = "stopped"
    if alive is None and not ended:
        notes.append("whether its driver lives can't be told from here")
    value = {"recipe": _recipe_name(output), "steps": steps, "errors": []}
    return Status(str(output), state, False if ended else alive, value, "marks", notes)


def _recipe_name(output: Any) -> str:
    recipe = load_yaml((output / "recipe.yaml").read_bytes(), f"{output}/recipe.yaml")
    return str(recipe.get("name", "")) if isinstance(recipe, dict) else ""


def _count(folder: Any) -> int:
    if isinstance(folder, Path):
        if not folder.is_dir():
            return 0
        with os.scandir(folder) as entries:  # a hundred thousand in a tenth of a second
            return sum(1 for entry in entries if entry.name.endswith(".json"))
    return sum(1 for _ in folder.glob("*.json"))


def _locked(output: Any) -> bool | None:
    """Whether a process of this machine holds the run's lock; asking for the lock itself might refuse a driver it."""
    if not isinstance(output, Path):
        return None
    try:
        inode = os.stat(output / ".lock").st_ino
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    return any(line.split()[-3].endswith(f":{inode}") for line in locks if "FLOCK" in line)
