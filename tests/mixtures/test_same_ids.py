"""Runs over files of the same name: ids that mean two documents are told, or told apart; the same document is none."""

from __future__ import annotations

import dataclasses

import pytest

from mixtures import same_ids
from mixtures.estimate import plan
from mixtures.recipe import load_mixture
from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.packreader import open_packs
from pipeline.packstep import find_packs
from pipeline.trace import trace

from .mix_tools import make_run, mix, random_docs


def two(tmp_path, **change):
    """Runs a and b; 12 ids of a are in b too, there with another URL unless said otherwise."""
    docs = random_docs("a", 60, 1)
    copies = [dataclasses.replace(d, **(change or {"url": d.url.replace("https", "http")})) for d in docs[:12]]
    own = {"a": docs, "b": [*random_docs("b", 40, 2), *copies], "c": random_docs("c", 20, 3)}
    runs = {name: make_run(tmp_path / name, some, 3) for name, some in own.items()}
    return own, {"sources": {name: {"run": str(run)} for name, run in runs.items()}}


@pytest.mark.parametrize("rows", [same_ids.ROWS, 7])
def test_equal_ids_of_different_documents_are_told(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(same_ids, "ROWS", rows)  # in one partition, and in many
    _, recipe = two(tmp_path)
    with pytest.raises(
        ConfigError, match=r"12 documents have the id .* in source 'a', http:.* in 'b'.*prefix_ids: true"
    ):
        mix(tmp_path / "mix", recipe)
    assert not (tmp_path / "mix" / "draws.json").exists()


def test_of_documents_without_urls_place_and_size_count(tmp_path):
    _, recipe = two(tmp_path, url=None)
    mixed = {"sources": {name: recipe["sources"][name] for name in ("b", "c")}}
    assert mix(tmp_path / "fine", mixed)
    with pytest.raises(ConfigError, match="12 documents have the id"):
        mix(tmp_path / "mix", recipe)


def test_the_same_documents_in_two_runs_are_no_mistake(tmp_path):
    own, recipe = two(tmp_path, lang="fr", quality=0.1)
    made = mix(tmp_path / "mix", recipe)
    assert len(made.draws()) == sum(map(len, own.values()))
    assert not (tmp_path / "mix" / same_ids.FOLDER).exists()


def test_ids_behind_their_source_are_traced_and_removed(tmp_path):
    own, recipe = two(tmp_path)
    path = tmp_path / "m.yaml"
    path.write_text(
        f"sources:\n  a: {{run: {tmp_path}/a}}\n  b: {{run: {tmp_path}/b, prefix_ids: true}}\n"
        f"  c: {{run: {tmp_path}/c}}\n"
    )
    command = ["mix", "run", str(path), "-o", str(tmp_path / "out"), "--inline", "--quiet", "--sequence-length", "64"]
    assert main(command) == 0
    packs = find_packs(tmp_path / "out")
    pages = {d.id: d for name in "ac" for d in own[name]} | {f"b/{d.id}": d for d in own["b"]}
    seen = set()
    for number, row in enumerate(open_packs(packs)):
        for name, start in zip(row.doc_ids, row.doc_starts.tolist(), strict=True):
            assert trace(packs, number, start).url == pages[name].url
            seen.add(name)
    assert seen == set(pages)
    for line, gone in ((f"b/{own['a'][0].id}", {f"b/{own['a'][0].id}"}),
                       (own["a"][1].id, {own["a"][1].id, f"b/{own['a'][1].id}"})):  # fmt: skip
        (tmp_path / "ids").write_text(line)
        target = tmp_path / f"without{len(gone)}"
        assert main(["remove", str(packs), "--ids", str(tmp_path / "ids"), "-o", str(target)]) == 0
        rows = list(open_packs(target))
        assert {n for row in rows for n, r in zip(row.doc_ids, row.removed, strict=True) if r} == gone
    mixture = load_mixture(str(path))
    assert plan(mixture)["total_tokens"] == sum(d.n for d in pages.values())
    path.write_text(f"sources: {{a: {{inputs: ['{tmp_path}/*.jsonl'], prefix_ids: true}}}}\n")
    with pytest.raises(ConfigError, match="prefix_ids is for a run"):
        load_mixture(str(path))
