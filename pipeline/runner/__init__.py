"""The runner: where tasks run. Ray sits behind this package and nowhere else.

A task's function is a module-level callable from a small picklable payload to a small JSON value; it
reads and writes files itself, so that no table of documents passes through the driver. All runners
give each result to `on_result` as it comes, whatever the order, so that a straggler blocks nobody.
What several payloads hold in common (stages, lists of all shards) travels to a cluster once
(`shared.py`): a payload stays small however many shards there are.
"""

from .base import Observer, Resources, Runner, Task, available_cpus, call
from .inline import InlineRunner
from .ray_runner import RayRunner

__all__ = ["InlineRunner", "Observer", "RayRunner", "Resources", "Runner", "Task", "available_cpus", "call"]
