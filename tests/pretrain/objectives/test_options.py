"""The options' tables in docs/objectives.md are the options."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

from pretrain.objectives.options import OPTIONS, Options


def test_the_page_names_every_option(root: Path) -> None:
    page = (root / "docs" / "objectives.md").read_text(encoding="utf-8")
    common = {f.name for f in dataclasses.fields(Options)}
    for name, cls in OPTIONS.items():
        part = page.split(f"### `{name}`")[1].split("\n## ")[0].split("\n### ")[0]
        rows = [line.split("|")[1:3] for line in part.splitlines() if line.startswith("| `")]
        listed: dict[str, str] = {}
        for names, values in rows:
            found = re.findall(r"`([^`]*)`", values) or [""] * 9
            listed |= dict(zip(re.findall(r"`(\w+)`", names), found, strict=False))
        own = {f.name: f.default for f in dataclasses.fields(cls) if f.name not in common or name == "causal"}
        assert listed.keys() == own.keys()
        for option, value in own.items():
            shown = listed[option]
            assert (float(shown) if isinstance(value, float) else shown) == (
                value if isinstance(value, float) else str(value).lower()
            )


def test_options_are_checked_without_torch(root: Path) -> None:
    code = "import sys; from pretrain.objectives import objective_options; objective_options('masked', {'rate': 0.3});"
    done = subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], cwd=root)
    assert done.returncode == 0
