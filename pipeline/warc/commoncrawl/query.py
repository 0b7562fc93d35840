"""Which records of a release are wanted: the answer of an index, kept in the cache."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import ConfigError, nearest
from . import cdx, columnar
from .polite import CLOCK, Clock, default_cache
from .release import check_subset, parts_of, release_paths, subset
from .rows import load, ordered, save
from .wanted import wanted

INDEXES = {"columnar": columnar.look_up, "cdx": cdx.look_up}
VERSION = 1
"""Part of what an answer is kept under; goes up when the same question gets another answer."""


def find_records(
    text: str,
    domains: Sequence[str],
    urls: Sequence[str],
    index: str = "columnar",
    *,
    warcs: int | None = None,
    share: float | None = None,
    spread: bool = False,
    cache_dir: Path | None = None,
    clock: Clock = CLOCK,
) -> pa.Table:
    """The records (schema `rows.ROW`, by file and offset) of the release `text` whose URLs are wanted.

    With `warcs` or `share` only those in that part of the release's files. Raises ConfigError (an unknown index,
    nothing found, a WET release, an index that leads elsewhere), StepFailed.
    """
    if index not in INDEXES:
        raise ConfigError(f"no index is called '{index}'{nearest(index, INDEXES)}; there are {', '.join(INDEXES)}")
    release, form = parts_of(text)
    if form != "warc":
        raise ConfigError(f"input '{text}': the URL index is of the WARC files; name the release without :{form}")
    if warcs is not None or share is not None:
        check_subset(text, warcs, share)
    question = wanted(domains, urls)
    cache = Path(cache_dir or default_cache())
    blob = json.dumps([VERSION, index, sorted(set(domains)), sorted(set(urls))])
    name = hashlib.blake2b(blob.encode(), digest_size=12).hexdigest()
    kept = cache / "queries" / release / f"{name}.arrow"
    if not kept.exists():
        work = kept.with_suffix(".work")
        work.mkdir(parents=True, exist_ok=True)
        found = ordered(INDEXES[index](release, question, cache, work, clock=clock), f"the {index} index of {release}")
        save(found, kept)
        shutil.rmtree(work)
    rows = load(kept)
    if warcs is not None or share is not None:
        names = subset(release_paths(text, cache, clock=clock), warcs, share, spread)
        rows = rows.filter(pc.is_in(rows["file"], value_set=pa.array(names, pa.string())))
    if not rows.num_rows:
        asked = ", ".join([*domains, *urls][:5])
        raise ConfigError(f"input '{text}': the {index} index has no pages of {asked}")
    return rows
