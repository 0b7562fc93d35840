"""Repeated lines against a plain-Python count, over methods, orders, shards and workers."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dedup.lines as lines
from dedup.lines import LineDedup
from dedup.linetexts import Lines
from pipeline.errors import ConfigError, SchemaError
from pipeline.runner import RayRunner
from tests.dedup.test_exact import Stopping, contents
from tests.dedup.tools import context_in, corpus, run_step

Row = dict[str, Any]
CCNET = "$+<=>^`|~"


def folded(line: str, plain: bool = False) -> str:
    """A line as it is compared, character by character."""
    out = []
    for c in line:
        category = unicodedata.category(c)
        if c.isspace():
            out.append(" ")
        elif plain:
            out.append(c)
        elif category == "Nd":
            out.append("0")
        elif category[0] != "P" and category not in ("Cc", "Cf") and c not in CCNET:
            out.append("σ" if c == "ς" else c.lower()[0])
    return " ".join("".join(out).split())


def size(line: str) -> tuple[int, float]:
    """(columns, words) of a folded line."""
    columns, words = 0, 0.0
    for word in line.split(" "):
        inside = False
        for c in word:
            assigned = unicodedata.category(c) != "Cn"
            wide = assigned and unicodedata.east_asian_width(c) in "WF" or "\U00020000" <= c <= "\U0003ffff"
            columns += 1 + wide
            if wide and "HANGUL" not in unicodedata.name(c, ""):
                words, inside = words + 0.5, False
            elif "\u0e00" <= c <= "\u0eff" or "\u1000" <= c <= "\u109f" or "\u1780" <= c <= "\u17ff":
                words, inside = words + 0.25, False
            elif c != "0" and not inside:
                words, inside = words + 1, True
    return columns + line.count(" "), words


def oracle(rows: list[Row], step: LineDedup) -> dict[str, tuple[list[str], float]]:
    """{id: (lines that are cut, in order)}; order by date, then id."""

    def counts(line: str) -> bool:
        key = folded(line, step.normalise == "space")
        columns, words = size(key)
        enough = columns >= max(1, step.min_chars) and words >= step.min_words
        return enough and (step.indented or not line.startswith(("\t", "  ")))

    where: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda r: (r["date"] is None, r["date"] or "", r["id"])):
        keys = {folded(x, step.normalise == "space") for x in row["text"].split("\n") if counts(x)}
        for key in keys:
            where.setdefault(key, []).append(row["id"])
    cut = {}
    for row in rows:
        gone = []
        for line in row["text"].split("\n"):
            found = where.get(folded(line, step.normalise == "space"), [])
            if counts(line) and len(found) > step.max_count and (step.keep == "none" or found[0] != row["id"]):
                gone.append(line)
        cut[row["id"]] = gone
    return cut


LINES = [
    "Share this page", "share THIS page!", "a line of its own", "}", ")", "", " ", "\tcode line here x", "  two or so",
    "版权所有，未经许可不得转载", "ห้ามทำซ้ำโดยไม่ได้รับอนุญาต", "12 34 56 78", "call 555-1234 now", "call 555-9876 now",
    "ΟΔΟΣ ΟΔΟΣ", "οδος οδός",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(LINES), max_size=7).map("\n".join)
SMALL = {"min_chars": 3, "min_words": 2}


def rows_of(data: list[list[tuple[str, str | None]]]) -> list[list[Row]]:
    number, shards = 0, []
    for shard in data:
        shards.append([])
        for text, date in shard:
            shards[-1].append({"id": f"{(number * 7919) % 1000:03d}", "text": text, "date": date})
            number += 1
    return shards


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(st.lists(st.tuples(TEXTS, st.sampled_from(["2020", "2021", None])), max_size=5), max_size=4),
    keep=st.sampled_from(["first", "none"]),
    method=st.sampled_from(["exact", "bloom"]),
    max_count=st.integers(1, 4),
    options=st.sampled_from([SMALL, {**SMALL, "indented": True}, {**SMALL, "normalise": "space"}, {}]),
    per_partition=st.sampled_from([1, 10**6]),
    turn=st.randoms(use_true_random=False),
)
def test_against_counts_in_python(tmp_path_factory, data, keep, method, max_count, options, per_partition, turn):
    tmp = tmp_path_factory.mktemp("lines")
    step = LineDedup(keep=keep, method=method, max_count=max_count, expected_lines=1000, error_rate=1e-6, **options)
    shards = rows_of(data)
    want = oracle([row for shard in shards for row in shard], step)
    turn.shuffle(shards)
    for shard in shards:
        turn.shuffle(shard)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "LINES_PER_PARTITION", per_partition)
        patch.setattr(lines, "FILTERS", 2)
        kept, dropped, manifest = run_step(step, tmp / "out", corpus(tmp / "in", shards))
    texts = {row["id"]: row["text"] for shard in shards for row in shard}
    assert len(kept) + len(dropped) == len(texts) == sum(c["n_in"] for c in manifest["counts"])
    for row in [*kept, *dropped]:
        raw = texts[row["id"]].encode()
        cut = [raw[s["start"] : s["end"]].decode() for s in row["cut_spans"]]
        assert cut == want[row["id"]]
        assert {(s["editor"], s["kind"]) for s in row["cut_spans"]} <= {("line_dedup", "repeated_line")}
        left = list(texts[row["id"]].split("\n"))
        for line in cut:
            left.remove(line)
        if "drop_reason" in row:
            assert row["text"] == texts[row["id"]] and row["drop_reason"] == "empty" and row["line_dedup_left"] == 0
            assert not any(x.strip() for x in left)
            continue
        assert [x for x in row["text"].split("\n") if x.strip()] == [x for x in left if x.strip()]
        assert row["line_dedup_left"] == (len(row["text"].encode()) / len(raw) if raw else 1.0)
        assert row["text"] or not raw
        if not cut:
            assert row["text"] == texts[row["id"]]
    assert manifest["line_dedup"]["lines_cut"] == sum(map(len, want.values()))
    assert {p.name for p in (tmp / "out").iterdir()} <= {"plan.json", "done", "timings", "kept", "dropped"}


def facts_of(line: str, plain: bool = False) -> tuple[int, int, int]:
    from dedup.kernels import lines as kernels

    raw = np.frombuffer(line.encode() + b"\0", np.uint8)
    out = np.zeros(1, np.uint64), np.zeros(1, np.int64), np.zeros(1, np.int64)
    kernels.line_hashes(raw, np.zeros(1, np.int64), np.array([len(raw) - 1]), *kernels.tables(plain), *out)
    return int(out[0][0]), int(out[1][0]), int(out[2][0])


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12), st.booleans())
def test_hashes_agree_where_folded_lines_do(one, other, plain):
    a, b = folded(one, plain), folded(other, plain)
    assert (facts_of(one, plain)[0] == facts_of(other, plain)[0]) == (a == b)
    assert facts_of(one, plain)[0] == facts_of(f" {one}\u3000", plain)[0] == facts_of(a, plain)[0]
    _, columns, words = facts_of(one, plain)
    want = size(a) if a else (0, 0)
    assert (columns, max(words, 0) / 4) == want
    assert (words == -1) == (not one.strip())


def test_every_character_is_folded_as_python_folds_it():
    every = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    text = "\n".join(f"x{c}y" for c in every if c != "\n")
    step = LineDedup(min_chars=0, min_words=0)
    found = Lines.of(pa.chunked_array([pa.array([text], pa.large_string())]), step, 0)
    by_key: dict[str, int] = {}
    hashes = found.hashes.tolist()
    for c, h in zip((c for c in every if c != "\n"), hashes, strict=True):
        assert by_key.setdefault(folded(f"x{c}y"), h) == h
    assert len(set(by_key.values())) == len(by_key)


def cut(texts: list[str], tmp: Path, **options: Any) -> list[str]:
    rows = [{"id": f"{i:03d}", "text": text} for i, text in enumerate(texts)]
    kept, dropped, _ = run_step(LineDedup(**options), tmp, corpus(tmp.with_name(tmp.name + "-in"), [rows]))
    assert all(row["text"] == texts[int(row["id"])] and row["drop_reason"] == "empty" for row in dropped)
    left = {row["id"]: row["text"] for row in kept}
    return [left.get(row["id"], "") for row in rows]


FOOTER = "All rights reserved by the company, 2024"


def test_blank_lines_around_a_cut(tmp_path):
    got = cut(
        [FOOTER, f"One\n\n{FOOTER}\n\nTwo", f"{FOOTER}\n\nThree", f"Four\n\n{FOOTER}\n", f"a\n{FOOTER}\nb"],
        tmp_path / "o",
    )
    assert got == [FOOTER, "One\n\nTwo", "Three", "Four", "a\nb"]


def test_lines_one_document_repeats_for_itself_stay(tmp_path):
    refrain = "and the rain it raineth every day\nfa la la la la la la la la"
    assert cut([f"{refrain}\n\nverse\n\n{refrain}", "other"], tmp_path / "o") == [
        f"{refrain}\n\nverse\n\n{refrain}",
        "other",
    ]


def test_code_and_figures_stay(tmp_path):
    code = "def f(x):\n    return the_value_of(x, 1, 2, 3)\n}\n* \n1 2 3 4 5 6 7 8 9 10 11 12 13 14\n2024-01-01 1,234"
    assert cut([code, code + "\nmore"], tmp_path / "o") == [code, code + "\nmore"]


def test_paragraphs(tmp_path):
    shared = "A paragraph of a few lines\nthat several pages hold, word for word."
    got = cut(
        [f"{shared}\n\nOne.", f"Two.\n\n{shared}\n\n\nThree.", f"{shared.splitlines()[0]}\nelse"],
        tmp_path / "o",
        unit="paragraph",
    )
    assert got == [f"{shared}\n\nOne.", "Two.\n\n\nThree.", f"{shared.splitlines()[0]}\nelse"]


def test_what_lost_most_goes_with_a_reason(tmp_path):
    rows = [
        {"id": "0", "text": FOOTER},
        {"id": "1", "text": FOOTER},
        {"id": "2", "text": f"{FOOTER}\nand"},
        {"id": "3", "text": ""},
    ]
    kept, dropped, manifest = run_step(LineDedup(min_left=0.5), tmp_path / "o", corpus(tmp_path / "i", [rows]))
    assert [row["id"] for row in kept] == ["0", "3"]
    assert [(row["id"], row["drop_reason"], row["drop_filter"]) for row in dropped] == [
        ("1", "empty", "line_dedup"), ("2", "min_left", "line_dedup"),
    ]  # fmt: skip
    assert manifest["counts"] == [
        {"stage": "line_dedup", "n_in": 4, "n_split": 0, "n_kept": 2, "dropped": {"empty": 1, "min_left": 1}}
    ]


def many(n: int) -> list[list[Row]]:
    turn = random.Random(3)
    rows = [
        {"id": f"{i:05d}", "date": str(turn.randrange(2000, 2020)),
         "text": "\n".join(f"this is line number {'x' * turn.randrange(30)} of it" for _ in range(6)) + f"\n{'y' * i}"}
        for i in range(n)
    ]  # fmt: skip
    return [rows[i::3] for i in range(3)]


@pytest.mark.parametrize("method", ["exact", "bloom"])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch, method):
    monkeypatch.setattr(lines, "LINES_PER_PARTITION", 100)
    documents = corpus(tmp_path / "in", many(60))
    step = LineDedup(method=method, expected_lines=1000, order=("newest", "longest"))
    run_step(step, tmp_path / "whole", documents)
    for tasks in (0, 2, 4, 7, 11):
        folder = tmp_path / f"killed{tasks}"
        with pytest.raises(KeyboardInterrupt):
            step.run(context_in(folder, {"documents": documents}, Stopping(tasks)))
        run_step(step, folder, documents)
        assert contents(folder) == contents(tmp_path / "whole")
    (tmp_path / "killed0" / "kept" / "00000.parquet").unlink()  # after the folders between are gone
    run_step(step, tmp_path / "killed0", documents)
    assert contents(tmp_path / "killed0") == contents(tmp_path / "whole")


@pytest.mark.ray
def test_workers_change_nothing(tmp_path):
    documents = corpus(tmp_path / "in", many(60))
    with RayRunner(workers=2) as runner:
        for method in ("exact", "bloom"):
            step = LineDedup(method=method, expected_lines=1000)
            run_step(step, tmp_path / f"one-{method}", documents)
            run_step(step, tmp_path / f"two-{method}", documents, runner)
            assert contents(tmp_path / f"one-{method}") == contents(tmp_path / f"two-{method}")


def test_hostile_texts(tmp_path):
    texts = [
        "x\n" * 200_000,
        "a" * 5_000_000,
        "\0" * 1000,
        "\n" * 100_000,
        "\u202e" * 50,
        "",
        "\r\n\r\n",
        "a b c d " * 10**5,
    ]
    texts += texts
    got = cut(texts, tmp_path / "o", min_chars=0, min_words=0)
    assert got[:8] == texts[:8] and got[9] == "" and got[10] == texts[2] and got[11] == texts[3]


def test_documents_without_a_cut_keep_every_byte(tmp_path):
    texts = ["\n\na line\r\n\r\n b \n\n", "\u2028x\x0b\n", "   "]
    assert cut(texts, tmp_path / "o") == texts


def test_earlier_cut_spans_stay(tmp_path):
    rows = [{"id": "0", "text": FOOTER}, {"id": "1", "text": f"{FOOTER}\nrest"}]
    artefact = corpus(tmp_path / "i", [rows])
    path = artefact.path / artefact.files[0]
    from pipeline.stage import SPAN

    before = [{"editor": "e", "start": 1, "end": 2, "kind": "k"}]
    pq.write_table(pq.read_table(path).append_column("cut_spans", pa.array([[], before], pa.list_(SPAN))), path)
    kept, _, _ = run_step(LineDedup(), tmp_path / "o", artefact)
    assert [(s["editor"], s["kind"]) for s in kept[1]["cut_spans"]] == [("e", "k"), ("line_dedup", "repeated_line")]


def test_errors():
    for option, value, said in (
        ("unit", "lines", "did you mean 'line'"), ("keep", "last", "first or none"), ("method", "blom", "bloom"),
        ("normalise", "x", "ccnet"), ("max_count", 0, "at least 1"), ("min_left", 1.5, "min_left"),
        ("error_rate", 0.0, "error_rate"), ("order", ("a b",), "is no key"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            LineDedup(**{option: value}).check()
    with pytest.raises(ConfigError, match="exact"):
        LineDedup(method="bloom", max_count=255).check()
    with pytest.raises(SchemaError, match="quality"):
        LineDedup(order=("-quality",)).columns({"text", "id", "record"})
    assert LineDedup(keep="none", order=("-quality",)).columns({"text"}) == {"text", "cut_spans", "line_dedup_left"}
