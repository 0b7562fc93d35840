"""Where inputs and outputs lie: on the local disk, or behind a URL (`s3://`, `gs://`, `hf://`, `https://`, `memory://`).

One layer, fsspec, which alone has all of these behind one interface. `place` gives a path or a `StorePath`, which can
do what the pipeline asks of a path; `os.fspath` of it fetches the object to this node's scratch folder, so that
whatever opens files opens it. Writing goes through `pipeline.store.atomic_path`.
"""

from __future__ import annotations

from .asking import asking
from .filesystems import filesystem_path, with_retries
from .folders import fetch_tree, listed_sizes, move_tree, remove_tree
from .lease import assert_held, held
from .paths import StorePath, local_file, mark_of, place, relative_url, work_folder
from .ranged import open_input
from .urls import check_output_place, is_url, redacted

__all__ = [
    "StorePath",
    "asking",
    "assert_held",
    "check_output_place",
    "fetch_tree",
    "filesystem_path",
    "held",
    "is_url",
    "listed_sizes",
    "local_file",
    "mark_of",
    "move_tree",
    "open_input",
    "place",
    "redacted",
    "relative_url",
    "remove_tree",
    "with_retries",
    "work_folder",
]
