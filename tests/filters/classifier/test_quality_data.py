"""What the bundled quality models are made from: passages, balance, and that nothing is on two sides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from filters.classifier.bundle.quality_passages import LONGEST, balanced, draw, passages
from filters.classifier.bundle.quality_sources import SOURCES, Document, Source, read_documents, tidy


def source(name: str, good: bool) -> Source:
    return Source(name, good, 1, "own")


def document(of: Source, number: int, lines: int, part: str = "") -> Document:
    text = "\n".join(f"line {i} of text {number} in {of.name} has these nine" for i in range(lines))
    return Document(of, part, f"{of.name}{number}", text, bool(of.good) and part != "boilerplate")


A, B, C = source("a", True), source("b", True), source("c", False)


def sample() -> list[Document]:
    found = [document(A, i, 5 + i) for i in range(90)] + [document(B, i, 5 + 2 * i) for i in range(10)]
    return found + [document(C, i, 3 + i) for i in range(40)] + [document(C, i, 9, "boilerplate") for i in range(40)]


def test_passages_are_of_their_document_and_within_length() -> None:
    found = passages(sample())
    assert found == passages(sample())
    assert {p.document.group for p in found} == {d.group for d in sample()}
    for passage in found:
        whole = [line.split() for line in passage.document.text.split("\n")]
        cut = [line.split() for line in passage.text.split("\n")]
        at = whole.index(cut[0]) if cut[0] in whole else 0
        assert cut[:-1] == whole[at : at + len(cut) - 1]
        assert passage.words == len(passage.text.split()) <= 1.3 * LONGEST


def test_balanced_in_every_stratum_of_length() -> None:
    chosen = balanced(passages(sample()))
    good = Counter(p.stratum for p in chosen if p.document.good)
    bad = Counter(p.stratum for p in chosen if not p.document.good)
    assert bad and all(good[s] == n for s, n in bad.items())


def test_sources_give_in_turn() -> None:
    """The small source is drawn on as long as it has any: its share is larger than among all."""
    chosen = Counter(p.document.source.name for p in balanced(passages(sample())) if p.document.good)
    every = Counter(p.document.source.name for p in passages(sample()) if p.document.good)
    assert chosen["b"] / chosen["a"] > every["b"] / every["a"]


def test_draws_are_even_and_repeatable() -> None:
    values = [draw(3, i) for i in range(2000)]
    assert values == [draw(3, i) for i in range(2000)]
    assert abs(sum(values) / 2000 - 0.5) < 5 * (1 / 12 / 2000) ** 0.5


def test_evaluation_only_sources_never_train() -> None:
    for one in SOURCES:
        assert one.trains == ("evaluation only" not in one.licence)
        assert one.licence
    assert len({s.name for s in SOURCES}) == len(SOURCES)


def test_tidy_drops_empty_lines_and_outer_space() -> None:
    assert tidy("  a  b \n\n \t\nc\u00a0d\n") == "a b\nc d"


def test_held_out_fold_shares_no_group_with_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from filters.classifier.bundle import quality as module

    seen: list[set[str]] = []

    def note(found, output, settings):  # type: ignore[no-untyped-def]
        seen.append({p.document.group for p in found})
        return None

    monkeypatch.setattr(module, "train", note)
    monkeypatch.setattr(module, "scores", lambda model, texts: texts)
    own = [s for s in SOURCES if s.fold in (0, 1, 4)]
    documents = [document(Source(s.name, bool(s.good), s.fold, "own"), i, 9) for s in own for i in range(3)]
    twin = Document(documents[0].source, "", documents[-1].group, documents[0].text + " x", True)
    judged = module.held_out([*documents, twin], tmp_path)
    for (held, _), groups in zip(judged.values(), seen, strict=True):
        assert groups and not groups & {d.group for d in held}


def test_real_sources_are_read_alike(shared_data: Path) -> None:
    few = tuple(s for s in SOURCES if s.name in ("wikitext2", "autopager", "inaugural"))
    found = read_documents(shared_data, few)
    assert {d.source.name for d in found} == {s.name for s in few}
    assert len({d.text for d in found}) == len(found)
    assert not any("@-@" in d.text or "<unk>" in d.text or "\n\n" in d.text for d in found)
    assert all(not d.good for d in found if d.source.name == "autopager")
