"""The files that a training run's metrics go to.

    metrics.jsonl        a line a step: `step, epoch, loss, lr, grad_norm, tokens, ...`; the same from run to run
    held_out.jsonl       a line for each evaluation of a held-out set: `step, set, loss, bits_per_byte, tokens, bytes`
    spikes.jsonl         a line for each update that was left out as a spike, with the batch's documents (`culprits`)
    timing/steps.jsonl   a line a step: `step, seconds, tokens_per_s, mfu`; nothing compares it
    tensorboard/         the same for TensorBoard, if the package `tensorboard` is installed

A number that is not finite is written as null. A resumed run goes on in the same files; what they hold of later steps
than its checkpoint's is taken out first.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from pipeline.errors import SchemaError
from pipeline.store import atomic_path

METRICS, HELD_OUT, SPIKES = "metrics.jsonl", "held_out.jsonl", "spikes.jsonl"
STEPS, TENSORBOARD = "timing/steps.jsonl", "tensorboard"
NOT_INSTALLED = (
    "no files for TensorBoard are written: the package tensorboard is not installed (pip install 'gristmill[pretrain]')"
)


class MetricsWriter:
    """Writes the metrics of a run into its folder; a context manager.

    `after` is the step of the checkpoint that the run goes on from, 0 for a new run, which begins its files anew;
    `lines`, the files' lines as `lines()` counted them then: a run that went back has lines of later steps before them.
    `say` gets a note if `tensorboard` is wanted and the package is not there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        after: int = 0,
        lines: Mapping[str, int] | None = None,
        tensorboard: bool = True,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._files: dict[str, TextIO] = {}
        self._lines: dict[str, int] = {}
        for name in (METRICS, HELD_OUT, SPIKES, STEPS):
            path = folder / name
            self._lines[name] = _keep(path, after, None if lines is None else lines[name])
            self._files[name] = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115  closed by close()
        if not after:
            shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)
        self._board: _Board | None = None
        if tensorboard and find_spec("tensorboard") is not None:
            self._board = _Board(folder / TENSORBOARD, after)
        elif tensorboard and say is not None:
            say(NOT_INSTALLED)

    def step(self, values: Mapping[str, Any]) -> None:
        """A step's metrics; `values` has `step`."""
        self._write(METRICS, values)
        self._show("train", values)

    def timing(self, values: Mapping[str, Any]) -> None:
        """A step's times; `values` has `step`."""
        self._write(STEPS, values)
        self._show("speed", values)

    def held_out(self, step: int, found: Mapping[str, Mapping[str, Any]]) -> None:
        """What `evaluate` found after a step, set by set."""
        for name, values in found.items():
            self._write(HELD_OUT, {"step": step, "set": name, **values})
            self._show(f"held_out/{name}", {"step": step, **values})

    def spike(self, record: Mapping[str, Any]) -> None:
        """A step whose update was left out, and its documents."""
        self._write(SPIKES, record)

    def lines(self) -> dict[str, int]:
        """Lines of each file so far."""
        return dict(self._lines)

    def flush(self) -> None:
        """Give all lines to the system: before a checkpoint, which a resumed run's files must reach to."""
        for file in self._files.values():
            file.flush()
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()
        if self._board is not None:
            self._board.close()

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _write(self, name: str, values: Mapping[str, Any]) -> None:
        self._files[name].write(json.dumps(finite(values), ensure_ascii=False, allow_nan=False) + "\n")
        self._lines[name] += 1

    def _show(self, prefix: str, values: Mapping[str, Any]) -> None:
        if self._board is not None:
            self._board.scalars(prefix, values)


def finite(value: Any) -> Any:
    """Plain values with None for each number that is not finite: JSON has neither NaN nor infinity."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a JSONL file of metrics; none if it is not there. A last line that was not finished is left out.

    Raises SchemaError for anything else that is not JSON.
    """
    if not path.is_file():
        return
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                if not line.endswith(b"\n"):
                    return
                raise SchemaError(f"{path}, line {number} is not JSON ({error}): damaged; train again") from error
            if not isinstance(value, dict) or type(value.get("step")) is not int:
                raise SchemaError(f"{path}, line {number} names no step: it is no file of a training run's metrics")
            yield value


def _keep(path: Path, after: int, count: int | None) -> int:
    """Leave only the first `count` lines in a file, or those up to step `after`; returns how many it has."""
    kept = [line for line in islice(read_lines(path), count) if count is not None or line["step"] <= after]
    lines = kept if after else []
    with atomic_path(path) as temporary:
        temporary.write_text(
            "".join(json.dumps(finite(line), ensure_ascii=False, allow_nan=False) + "\n" for line in lines),
            encoding="utf-8",
        )
    return len(lines)


class _Board:
    """TensorBoard's event files, by the writer of the package `tensorboard`; it takes neither torch nor TensorFlow."""

    def __init__(self, folder: Path, after: int) -> None:
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event = event_pb2
        self._writer = EventFileWriter(str(folder))
        if after:  # hides what was shown of later steps before the run was stopped
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._writer.add_event(event_pb2.Event(step=after + 1, wall_time=time.time(), session_log=start))

    def scalars(self, prefix: str, values: Mapping[str, Any]) -> None:
        """All numbers of `values` but the step itself; texts are left out."""
        from tensorboard.compat.proto import summary_pb2

        shown = [
            summary_pb2.Summary.Value(tag=f"{prefix}/{name}", simple_value=value)
            for name, value in values.items()
            if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool)
        ]
        summary = summary_pb2.Summary(value=shown)
        self._writer.add_event(self._event.Event(step=values["step"], wall_time=time.time(), summary=summary))

    def flush(self) -> None:
        """Write what is queued."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is queued and close the file."""
        self._writer.close()
