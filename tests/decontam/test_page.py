"""docs/decontamination.md: its commands, options and methods are there, its tables are those of the measurements."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from decontam.doc_tables import TABLES, markdown, put, share
from decontam.methods import all_methods
from decontam.normalise import Normalisation
from decontam.stage import Decontaminate
from pipeline.cli import _parser

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "decontamination.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    line.split("  #")[0].strip()
    for line in [*(line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()),
                 *re.findall(r"`(gristmill [^`]+)`", PAGE)]
    if line.startswith("gristmill")
]  # fmt: skip


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_commands_are_there(command):
    assert callable(_parser().parse_args(shlex.split(command)[1:]).function)


def test_make_targets_are_there():
    targets = set(re.findall(r"(?m)^make ([a-z-]+)|`make ([a-z-]+)", PAGE))
    targets = {a or b for a, b in targets}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets >= {"crawl-to-shards", "decontam-report"}
    assert [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_options_of_the_step_are_there():
    step = yaml.safe_load(next(text for kind, text in BLOCKS if kind == "yaml" and "decontaminate" in text))
    assert set(step[0]["decontaminate"]) <= set(Decontaminate.__dataclass_fields__)
    assert "keep_identifiers" in Normalisation.__dataclass_fields__


def test_every_method_has_its_row():
    rows = re.findall(
        r"^\| `(\w+)`(?: \(default\))? \| .* \|$", PAGE.split("## Methods")[1].split("**The guard")[0], re.M
    )
    assert sorted(rows) == sorted(all_methods())
    for method in all_methods().values():
        for source in method.sources:
            for paper in re.findall(r"arxiv.org/abs/([\d.]+)", source):
                assert f"arxiv.org/abs/{paper})" in PAGE, method.name


def test_the_page_has_the_tables():
    assert put(PAGE, ROOT / "benchmarks" / "results") == PAGE, "run `make docs`"
    assert all(f"<!-- {name} -->\n" in PAGE for name in TABLES)


def test_tables(tmp_path):
    assert markdown(["a", "b"], [[1, "x"]]) == "| a | b |\n| --- | --- |\n| 1 | x |\n"
    assert [share(value) for value in (None, 0.0, 0.5, 1.0)] == ["-", ".000", ".500", "1"]
    decided = {
        "both": 3, "neither": 4, "theirs_only": [["numbers", 2]], "ours_only": [], "examined": 2,
        "their_decision_reproduced": 2, "ours_reproduced_with_all_switches": 1, "their_hash_collisions": 0,
    }  # fmt: skip
    (tmp_path / "decontam_peers.json").write_text(json.dumps({"decisions": decided}))
    made = TABLES["decisions"][1](json.loads((tmp_path / "decontam_peers.json").read_text()))
    assert "| only datatrove | 2 | numbers |" in made and "2 of datatrove's decisions and 1 of ours" in made
    assert (
        put("a\n<!-- decisions -->\nold\n<!-- end -->\nb\n", tmp_path / "no")
        == "a\n<!-- decisions -->\nold\n<!-- end -->\nb\n"
    )
