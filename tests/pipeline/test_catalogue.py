"""`gristmill filters` and docs/filters.md: what they say is what the classes have."""

from __future__ import annotations

import dataclasses
import json
import re

from pipeline.catalogue import markdown
from pipeline.cli import main
from pipeline.stage import Editor, Filter, registered
from pipeline.steps import registered_steps


def test_the_committed_page_is_current(root):
    assert (root / "docs" / "filters.md").read_text(encoding="utf-8") == markdown(), "run `make docs`"


def test_json_has_every_stage_with_its_options(capsys):
    assert main(["filters", "--json"]) == 0
    found = {e["name"]: e for e in json.loads(capsys.readouterr().out)}
    assert set(found) == set(registered())
    for name, cls in registered().items():
        entry = found[name]
        assert (entry["kind"] == "filter") == issubclass(cls, Filter)
        assert (entry["kind"] == "editor") == issubclass(cls, Editor)
        assert entry["version"] == cls.version and cls.__doc__.strip().startswith(entry["summary"])
        fields = dataclasses.fields(cls)
        assert [o["name"] for o in entry["options"]] == [f.name for f in fields]
        assert [o["help"] for o in entry["options"]] == [f.metadata.get("help", "") for f in fields]
        assert [r["option"] for r in entry["rules"]] == [r.option for r in getattr(cls, "rules", ())]
        assert {r["option"] for r in entry["rules"]} <= {f.name for f in fields}
        assert entry["sources"] == list(cls.sources)
        assert all(isinstance(column, str) for column in entry["reads"] + entry["adds"])


def test_page_names_each_once():
    page = markdown()
    assert sorted(re.findall(r"^### (\S+)$", page, re.MULTILINE)) == sorted(registered())
    for name in re.findall(r"\]\(#(\S+?)\)", page):
        assert f"### {name}\n" in page
    assert "| `min_score` | `0.65` |" in page and "- `lang_score >= min_score (0.65)`" in page


def test_commands(capsys):
    assert main(["filters", "language"]) == 0
    out = capsys.readouterr().out
    assert "min_score" in out and "0.65" in out and "drop below this score" in out
    assert main(["filters"]) == 0
    out = capsys.readouterr().out
    assert "url_flag" in out and "filter" in out
    assert main(["filters", "langage"]) == 2
    assert "did you mean 'language'" in capsys.readouterr().err
    assert main(["filters", "exact_dedup"]) == 2
    assert "exact_dedup" in capsys.readouterr().err
    assert main(["filters", "language", "--markdown"]) == 2
    assert "whole page" in capsys.readouterr().err
    assert main(["stages"]) == 0
    out = capsys.readouterr().out
    for name in (*registered(), *registered_steps()):
        assert re.search(rf"^{name}: ", out, re.MULTILINE)
    assert "min_score = 0.65  drop below this score" in out
