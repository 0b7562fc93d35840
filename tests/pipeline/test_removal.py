"""Documents taken out of finished packs, against the old set token by token."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.packreader import open_packs
from pipeline.packs import seal
from pipeline.removal import apply
from pipeline.removal.apply import remove
from pipeline.removal.lists import Lists, read_lists
from pipeline.store import file_digest, read_json
from pipeline.trace import trace

from .token_tools import described_packs

V1 = Path(__file__).parent / "packs_v1"
IDS = [f"{i:032x}" for i in range(6)]


def _lists(**named: str) -> Lists:
    return Lists({}, {}, {IDS[int(i)]: why for i, why in ((k[1:], v) for k, v in named.items())})


def _check(old: Path, new: Path, gone: set[str], fill: str = "pad") -> None:
    """`new` is `old` but for the pieces of `gone`, which hold the fill alone and are masked."""
    before, after = open_packs(old), open_packs(new)
    after.verify()
    assert len(before) == len(after) and after.version == 2
    tokens = 0
    for a, b in zip(before, after, strict=True):
        assert (a.length, a.doc_ids) == (b.length, b.doc_ids)
        assert a.doc_starts.tolist() == b.doc_starts.tolist() and a.doc_offsets.tolist() == b.doc_offsets.tolist()
        assert b.removed.tolist() == [name in gone for name in b.doc_ids]
        owner = np.repeat(np.arange(len(a.doc_ids)), np.diff(a.doc_starts, append=a.length))
        taken = np.zeros(len(a.input_ids), bool)
        taken[: a.length] = b.removed[owner]
        assert np.array_equal(a.input_ids[~taken], b.input_ids[~taken])
        assert (b.input_ids[taken] == after.manifest["reserved_ids"][fill]).all()
        mask = np.arange(len(taken)) < a.length
        assert np.array_equal(b.loss_mask(), mask & ~taken)
        tokens += int(taken.sum())
    assert after.manifest["removed_tokens"] == tokens


@pytest.mark.parametrize("method", ["concatenate", "best_fit"])
@pytest.mark.parametrize("fill", ["pad", "mask"])
def test_every_piece_goes_and_nothing_else(tmp_path: Path, method: str, fill: str) -> None:
    old = described_packs(tmp_path / "old", 16, method=method)
    digest = {p: p.read_bytes() for p in old.rglob("*") if p.is_file()}
    made = remove(old, _lists(_3="id 3", _0="id 0"), output=tmp_path / "new", fill=fill)
    _check(old, tmp_path / "new", {IDS[3], IDS[0]}, fill)
    assert (made.documents, made.tokens) == (2, 42 + 16)
    assert {p: p.read_bytes() for p in digest} == digest  # the old set is as it was
    manifest = open_packs(tmp_path / "new").manifest
    assert manifest["parent"] == open_packs(old).fingerprint and manifest["ancestors"] == [manifest["parent"]]
    assert manifest["fingerprint"] == made.fingerprint != made.parent


def test_in_place_twice_and_the_chain_of_ancestors(tmp_path: Path) -> None:
    old = described_packs(tmp_path / "old", 16)
    new = Path(shutil.copytree(old, tmp_path / "new"))
    fingerprints = [open_packs(new).fingerprint]
    for gone in ("3", "2"):
        fingerprints.append(remove(new, _lists(**{f"_{gone}": "asked for"})).fingerprint)
    _check(old, new, {IDS[3], IDS[2]})
    reader = open_packs(new)
    assert reader.manifest["ancestors"] == fingerprints[:2] and reader.fingerprint == fingerprints[2]
    assert all(reader.descends_from(one) for one in fingerprints) and not open_packs(old).descends_from(fingerprints[1])
    named = {entry["path"] for entry in reader.manifest["files"]}
    assert {f"packs/{p.name}" for p in (new / "packs").iterdir()} == named  # nothing of the old sets is left
    again = remove(new, _lists(_3="again"))
    assert again.documents == 0 and again.fingerprint == fingerprints[2]


def test_copies_of_a_document_go_too(tmp_path: Path) -> None:
    """A mixture may draw a document several times: its id stands in the packs several times."""
    from .token_tools import TEXTS

    double = described_packs(tmp_path / "double", 16)
    names = Counter(name for row in open_packs(double) for name in row.doc_ids)
    assert names[IDS[3]] > 1 and TEXTS[3]
    remove(double, _lists(_3="id"))
    assert not any(
        (row.input_ids[: row.length] < 257)[np.repeat(row.removed, np.diff(row.doc_starts, append=row.length))].any()
        for row in open_packs(double)
    )


def test_the_log_and_the_trace_say_what_and_why(tmp_path: Path) -> None:
    old = described_packs(tmp_path / "old", 16)
    new = tmp_path / "new"
    remove(old, _lists(_3="domain example.org"), output=new)
    lines = [json.loads(line) for line in (new / "removals" / "00001.jsonl").read_text().splitlines()]
    assert [(x["id"], x["url"], x["why"], x["tokens"]) for x in lines] == [
        (IDS[3], "https://example.org/3", "domain example.org", 42)
    ]
    for sequence, row in enumerate(open_packs(new)):
        for position in range(row.length):
            was, now = trace(old, sequence, position), trace(new, sequence, position)
            assert (was.document, was.url, was.record, was.token_offset) == (
                now.document, now.url, now.record, now.token_offset,
            )  # fmt: skip
            if was.document == IDS[3]:
                assert now.removed == "domain example.org" and now.context is None and now.token_id == 257
            else:
                assert now.removed is None and now == was


def test_a_set_of_version_1_becomes_one_of_version_2(tmp_path: Path) -> None:
    remove(V1, _lists(_3="id"), output=tmp_path / "new")
    _check(V1, tmp_path / "new", {IDS[3]})
    old = Path(shutil.copytree(V1, tmp_path / "old"))
    remove(old, _lists(_5="id"))
    _check(V1, old, {IDS[5]})
    assert open_packs(old).descends_from(open_packs(V1).fingerprint)


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("where", ["id_places", "link_or_copy", "_log", "seal"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_killed_removal_leaves_the_old_set_and_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, in_place: bool
) -> None:
    from pipeline.removal import files

    if in_place and where == "link_or_copy":
        pytest.skip("nothing is linked in place")
    old = described_packs(tmp_path / "old", 16)
    before = open_packs(old)
    module = files if where == "id_places" else apply
    real, calls = getattr(module, where), []

    def dies(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 1 and where not in ("id_places", "link_or_copy"):
            raise _Killed
        if len(calls) == 2:
            raise _Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(module, where, dies)
    output = None if in_place else tmp_path / "new"
    with pytest.raises(_Killed):
        remove(old, _lists(_3="id", _5="id"), output=output)
    assert not (tmp_path / "new").exists()
    assert open_packs(old).fingerprint == before.fingerprint
    open_packs(old).verify()
    monkeypatch.undo()
    copy = Path(shutil.copytree(old, tmp_path / "copy"))
    remove(old, _lists(_3="id", _5="id"), output=output)
    _check(copy, output or old, {IDS[3], IDS[5]})
    left = {p.name for p in (output or old).rglob("*") if p.name.endswith((".tmp", ".partial"))}
    assert not left and not (tmp_path / ".new.partial").exists()


def test_lists_of_urls_domains_and_ids(tmp_path: Path) -> None:
    urls, domains, ids = tmp_path / "u", tmp_path / "d", tmp_path / "i"
    urls.write_text("# takedowns\n\nhttp://www.example.org/1/?utm_source=x\nhttps://other.net/a\n")
    domains.write_text("*.Example.COM\nbücher.example\n")
    ids.write_text(f"{IDS[2]}\n")
    lists = read_lists([urls], [domains], [ids])
    for url, why in [
        ("https://example.org/1", "url http://www.example.org/1/?utm_source=x"),
        ("https://example.org/2", None),
        ("https://a.b.example.com/x", "domain *.Example.COM"),
        ("https://example.com/", "domain *.Example.COM"),
        ("https://notexample.com/", None),
        ("https://xn--bcher-kva.example/", "domain bücher.example"),
        ("no url", None),
        (None, None),
    ]:
        assert lists.why("f" * 32, url) == ([why] if why else [])
    assert lists.why(IDS[2] + "#4", None) == [f"id {IDS[2]}"]
    assert lists.why(IDS[2], "https://example.org/1") == [f"id {IDS[2]}", "url http://www.example.org/1/?utm_source=x"]
    for text, message in [("https://example.org/x", "line 1.*no domain"), ("a b", "no domain")]:
        domains.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_lists([], [domains], [])
    urls.write_text("\n# none\n")
    with pytest.raises(ConfigError, match="at least one line"):
        read_lists([urls], [], [])
    with pytest.raises(ConfigError, match="can't be read"):
        read_lists([tmp_path / "none"], [], [])


@pytest.mark.parametrize("line", ["com", "*.com", "co.uk", "github.io", "intranet", "公司.cn"])
def test_a_public_suffix_is_meant_only_if_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str) -> None:
    old = described_packs(tmp_path / "old", 16)
    (tmp_path / "d").write_text(f"example.org\n{line}\n")
    words = ["remove", str(old), "--domains", str(tmp_path / "d"), "-o", str(tmp_path / "new")]
    assert main(words) == 2
    assert f"line 2: '{line}' is a public suffix" in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert main([*words, "--public-suffixes"]) == 0
    (tmp_path / "d").write_text("example.co.uk\nme.github.io\n192.168.0.1\n")
    assert len(read_lists([], [tmp_path / "d"], [])) == 3


def test_entries_that_name_nothing_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An entry counts as matched in any of the sets, beside others that name the same document, and when done again."""
    step = tmp_path / "run" / "09-pack"
    described_packs(step / "packset")
    described_packs(step / "sets" / "held_out")
    (tmp_path / "urls").write_text("https://example.org/3\nhttps://example.org/77\n")
    (tmp_path / "domains").write_text("none.example\n")
    (tmp_path / "ids").write_text("\n".join([IDS[3], IDS[2], *(f"{i:032x}" for i in range(100, 106))]))
    words = ["remove", str(tmp_path / "run")]
    for kind in ("urls", "domains", "ids"):
        words += [f"--{kind}", str(tmp_path / kind)]
    none = ["url https://example.org/77", "domain none.example", *(f"id {i:032x}" for i in range(100, 106))]
    assert main([*words, "-o", str(tmp_path / "new"), "--unmatched", str(tmp_path / "none")]) == 0
    assert f"8 of 11 entries name no document: {', '.join(none[:5])}, ...\n" in capsys.readouterr().out
    assert (tmp_path / "none").read_text().splitlines() == none
    for _ in range(2):  # what was removed before is no mistake in the list
        words[1] = str(tmp_path / "new")
        assert main([*words, "--in-place"]) == 0
        assert "8 of 11 entries" in capsys.readouterr().out
    (tmp_path / "ids").write_text(IDS[3])
    assert main(["remove", str(tmp_path / "run"), "--ids", str(tmp_path / "ids"), "-o", str(tmp_path / "more")]) == 0
    assert "name no document" not in capsys.readouterr().out
    assert main([*words, "--in-place", "--unmatched", str(tmp_path)]) == 2
    assert "--unmatched" in capsys.readouterr().err


@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_sets_appear_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int) -> None:
    step = tmp_path / "run" / "09-pack"
    sets = [step / "packset", step / "sets" / "held_out", step / "sets" / "fresh"]
    for one in sets:
        described_packs(one)
    (tmp_path / "ids").write_text(IDS[3])
    words = ["remove", str(tmp_path / "run"), "--ids", str(tmp_path / "ids")]
    real, calls = apply.seal, []

    def dies(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == dies_at:
            raise _Killed
        return real(*args)

    for where in (["-o", str(tmp_path / "new")], ["--in-place"]):
        calls.clear()
        with monkeypatch.context() as patched, pytest.raises(_Killed):
            patched.setattr(apply, "seal", dies)
            main([*words, *where])
        assert not (tmp_path / "new").exists() or where == ["--in-place"]
        assert main([*words, *where]) == 0
    for name, old in ((".", sets[0]), ("sets/held_out", sets[1]), ("sets/fresh", sets[2])):
        made = open_packs(tmp_path / "new" / name)
        made.verify()
        assert made.fingerprint == open_packs(old).fingerprint and made.manifest["removed_tokens"] == 42
    assert not list(tmp_path.glob(".new*"))


def _texts(folder: Path) -> str:
    """All that can be read in a folder's files."""
    tables = [pq.read_table(path).to_pydict() for path in sorted(folder.rglob("*.parquet"))]
    logs = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.json*"))]
    decoded = [open_packs(path.parent) for path in folder.rglob("manifest.json")]
    ids = [bytes(int(i) for i in row.input_ids if i < 256) for reader in decoded for row in reader]
    return repr((tables, logs, ids))


@pytest.mark.parametrize("in_place", [True, False])
def test_no_word_of_a_document_is_left(tmp_path: Path, in_place: bool) -> None:
    old = described_packs(tmp_path / "old", 16)
    path = old / "documents" / "0.parquet"
    table = pq.read_table(path)
    extra = [json.dumps({"abstract": f"abstract {i}"}) for i in range(table.num_rows)]
    table = table.append_column("extra", pa.array(extra, pa.string())).append_column("quality", pa.array([0.5] * 4))
    pq.write_table(table, path)
    manifest = {k: v for k, v in read_json(old / "manifest.json").items() if k != "fingerprint"}
    entry = {"path": "documents/0.parquet", "bytes": path.stat().st_size, "blake2b": file_digest(path)}
    seal(old, {**manifest, "document_files": [entry, manifest["document_files"][1]]})
    made = remove(old, _lists(_3="id", _1="id"), output=None if in_place else tmp_path / "new")
    seen = _texts(made.folder)
    assert "Title 3" not in seen and "abstract 3" not in seen and "xxxx" not in seen
    assert "Title 1" not in seen and "abstract 1" not in seen  # a document without a token
    assert "Title 2" in seen and "abstract 2" in seen and "Title 5" in seen
    rows = {
        row["id"]: row for file in open_packs(made.folder).document_files() for row in pq.read_table(file).to_pylist()
    }
    assert rows[IDS[3]]["url"] == "https://example.org/3" and rows[IDS[3]]["record"]["offset"] == 300
    assert rows[IDS[3]]["quality"] == 0.5 and len(rows) == 6
    open_packs(made.folder).verify()
    found = trace(made.folder, *_place(made.folder, IDS[3]))
    assert (found.url, found.title, found.context) == ("https://example.org/3", None, None) and found.removed
    again = remove(made.folder, _lists(_3="id"))
    assert again.fingerprint == again.parent  # nothing left to do


def test_sets_beside_the_packs_are_done_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = tmp_path / "run" / "09-pack"
    described_packs(step / "packset")
    described_packs(step / "sets" / "held_out")
    described_packs(step / "sets" / "fresh" / "16")
    (tmp_path / "ids").write_bytes(f"\ufeff{IDS[3]}\r\n".encode())  # as editors on Windows save it
    words = ["remove", str(tmp_path / "run"), "--ids", str(tmp_path / "ids"), "-o", str(tmp_path / "new")]
    assert main(words) == 0
    assert capsys.readouterr().out.count("1 documents") == 3
    for name in (".", "sets/held_out", "sets/fresh/16"):
        open_packs(tmp_path / "new" / name).verify()
        assert "Title 3" not in _texts(tmp_path / "new" / name)
    assert main(["remove", str(tmp_path / "new"), "--ids", str(tmp_path / "ids"), "--in-place"]) == 0
    assert capsys.readouterr().out.count("0 documents") == 3
    (tmp_path / "run" / "recipe.yaml").touch()
    (tmp_path / "run" / ".lock").touch()
    with pytest.raises(ConfigError, match="belongs to the run"):
        remove(step / "sets" / "fresh" / "16", _lists(_3="id"))


def _place(folder: Path, document: str) -> tuple[int, int]:
    """(sequence, position) of a document's first piece."""
    for number, row in enumerate(open_packs(folder)):
        if document in row.doc_ids:
            return number, int(row.doc_starts[row.doc_ids.index(document)])
    raise AssertionError(document)


def test_what_is_refused(tmp_path: Path) -> None:
    old = described_packs(tmp_path / "run" / "09-pack" / "packset", 16)
    (tmp_path / "run" / "recipe.yaml").touch()
    (tmp_path / "run" / ".lock").touch()
    with pytest.raises(ConfigError, match="belongs to the run"):
        remove(old, _lists(_3="id"))
    with pytest.raises(ConfigError, match="exists"):
        remove(old, _lists(_3="id"), output=old)
    with pytest.raises(ConfigError, match="fill"):
        remove(old, _lists(_3="id"), output=tmp_path / "new", fill="zero")
    shutil.rmtree(old / "documents")
    bare = tmp_path / "bare"
    shutil.copytree(V1, bare)
    shutil.rmtree(bare / "documents")
    with pytest.raises(ConfigError, match="no documents"):
        remove(bare, _lists(_3="id"))


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = described_packs(tmp_path / "old", 16)
    urls = tmp_path / "urls.txt"
    urls.write_text("example.org/3\nhttps://example.org/0\n")
    assert main(["remove", str(old), "--urls", str(urls), "-o", str(tmp_path / "new")]) == 0
    assert "2 documents" in capsys.readouterr().out
    _check(old, tmp_path / "new", {IDS[3], IDS[0]})
    same = [(where / "documents" / "1.parquet").stat().st_ino for where in (old, tmp_path / "new")]
    assert same[0] == same[1]  # a link: no document of that file was removed
    assert main(["trace", str(tmp_path / "new"), "--sequence", "0", "--position", "3"]) == 0
    assert "removed: url https://example.org/0" in capsys.readouterr().out
    assert main(["remove", str(old), "--urls", str(urls), "--in-place"]) == 0
    _check(tmp_path / "new", old, {IDS[3], IDS[0]})
    assert main(["remove", str(old), "--in-place"]) == 2
