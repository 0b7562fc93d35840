"""The page docs/mixtures.md, from the classes of `recipe`: `python -m mixtures.page docs/mixtures.md`."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from . import recipe

_TOP = """# Mixtures

This page is made from the code by `make docs`; change the classes in `mixtures/recipe.py`, not the page.

A mixture is a YAML file that says which documents are trained on, how often and when. The step `mix` of a run draws
them (`make crawl-to-shards MIXTURE=mine.yaml`), and so does `gristmill mix run mine.yaml -o runs/mixed` over several
earlier runs and files. `gristmill mix plan mine.yaml` says what would be drawn, before any work. A mistake in the file
is told before anything runs.

```yaml
{example}
```

## How documents are drawn

Tokens come first: each source is tokenised once, by the same tokenizer. Then every document has one fate:

1. `fresh`: its date is after `held_out.after`. It is never trained on, and becomes a pack set of its own. A document
   without a date is not fresh; there is a warning where more than a tenth have none, and `newest_share` is an error
   where all have none.
2. `near_duplicate_of_fresh`: it is in a cluster with such a document, so it is thrown away.
3. `held_out`: its cluster of near-duplicates was drawn for the held-out set. Whole clusters go, over all sources.
4. `domain_cap`: its domain has more than the cap, and this document is over it.
5. `train`: all others.

The last ones fall into *strata*: source, language or domain (with a temperature), quality bucket. A stratum's
documents stand in the order of a hash of (seed, document id, epoch), epoch after epoch, and the phases take consecutive
parts of that stream; so no document comes a second time before all others of its stratum have come once. Nothing
depends on the number of workers. What a stratum may not give because of `max_epochs` goes to the others of its source;
what a source can't give is a shortfall, which the plan, the run and the report state. A later phase is served first.

A source's tokens in a phase are within less than one sequence of the packs (the shortest kind, where there are
several) of its target; `mix.tolerance_tokens` can make that less. Where whole documents can't do it, one document is
divided.

Repeated tokens: U tokens drawn D = U (1 + R) times over are worth U + U R* (1 - exp(-R / R*)) fresh ones, R* = 15.39
(Muennighoff et al. 2023, https://arxiv.org/abs/2305.16264); past four epochs there is a warning with that number.
Chinchilla's position is C = 6 N D and D / N against 20 (Hoffmann et al. 2022, https://arxiv.org/abs/2203.15556).

Clusters are connected components of documents that share a MinHash band of {bands} x {rows} over {shingle} tokens,
without verification; a cluster larger than the held-out share is never held out. Duplicates within a run are the work
of the dedup steps before; these clusters also see copies in other sources.

Two runs may give one id to two documents, if their files are called the same. The step says which, and stops before
anything is drawn; `prefix_ids: true` tells them apart. The same document in two runs is no mistake.

Memory: all queries over the catalogue stream; what is held at once is a histogram for each cut, the documents that
have near-duplicates, and one shard's draws.
"""

_SECTIONS: tuple[tuple[str, type, str], ...] = (
    ("The file", recipe.Mixture, ""),
    ("sources", recipe.SourceSpec, "One entry for each source, by name. A source gets its `tokens`, its `epochs`, or "
     "its part of the rest by `weight`; without any it goes by what it has."),
    ("temperature", recipe.Temperature, ""),
    ("quality", recipe.Quality, ""),
    ("domain_cap", recipe.DomainCap, ""),
    ("held_out", recipe.HeldOut, "Written to `sets/held_out` and `sets/fresh` in the folder of the step `pack`."),
    ("phases", recipe.PhaseSpec, "A list, in order. The packs keep them apart, and a loader keeps to the order."),
    ("control", recipe.Control, "See https://arxiv.org/abs/2302.08582. The ids are in the packs' manifest, under "
     "`recipe.mixture.control_ids`."),
)  # fmt: skip


def markdown() -> str:
    """The page."""
    from .near import SHINGLE

    lines = (recipe.__doc__ or "").split("\n\n")[1].splitlines()
    example = "\n".join(line[4:] for line in lines)
    top = _TOP.replace("{example}", example)
    for name, value in (("bands", recipe.HeldOut().bands), ("rows", recipe.HeldOut().rows), ("shingle", SHINGLE)):
        top = top.replace(f"{{{name}}}", str(value))
    out = [top]
    for title, cls, text in _SECTIONS:
        doc = (cls.__doc__ or "").strip().splitlines()[0]
        out += [f"## {title}" if cls is recipe.Mixture else f"### `{title}`", "", f"{doc} {text}".strip(), ""]
        out += ["| key | default | meaning |", "| --- | --- | --- |"]
        for field in dataclasses.fields(cls):
            out.append(f"| `{field.name}` | {_default(field)} | {field.metadata.get('help', 'see below')} |")
        out.append("")
    return "\n".join(out)


def _default(field: Any) -> str:
    if field.default is dataclasses.MISSING or dataclasses.is_dataclass(field.default):
        return ""
    value = field.default
    if isinstance(value, tuple):
        value = [] if not value or dataclasses.is_dataclass(value[0]) else list(value)
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(markdown(), encoding="utf-8")
