"""Files of records: every format, and files that are broken in every way."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from decontam import readers
from decontam.readers import BenchmarkError, ending, records

RECORDS = [
    {"q": "Où est la gare ?", "options": ["ici", "là"], "right": 1, "deep": {"a": [1, 2]}},
    {"q": "Quelle heure ?", "options": ["une", "deux"], "right": 0, "deep": {"a": []}},
]


def jsonl(values) -> bytes:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()


def zst(data: bytes) -> bytes:
    half = len(data) // 2
    return zstandard.compress(data[:half]) + zstandard.compress(data[half:])


def parquet(values) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(values), out, row_group_size=1)
    return out.getvalue()


def arrow(values, new) -> bytes:
    out = io.BytesIO()
    table = pa.Table.from_pylist(values)
    with new(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    return out.getvalue()


FORMS = {
    "x.jsonl": jsonl(RECORDS),
    "x.ndjson": jsonl(RECORDS),
    "X.JSONL": jsonl(RECORDS),
    "x.jsonl.gz": gzip.compress(jsonl(RECORDS)),
    "two-members.jsonl.gz": gzip.compress(jsonl(RECORDS[:1])) + gzip.compress(jsonl(RECORDS[1:])),
    "x.jsonl.zst": zst(jsonl(RECORDS)),
    "lines.json": jsonl(RECORDS),
    "array.json": json.dumps(RECORDS, indent=1).encode(),
    "array.json.gz": gzip.compress(json.dumps(RECORDS).encode()),
    "object.json": json.dumps({"canary": "c", "version": 1, "examples": RECORDS}).encode(),
    "bom.jsonl": b"\xef\xbb\xbf" + jsonl(RECORDS),
    "bom.json": b"\xef\xbb\xbf" + json.dumps(RECORDS).encode(),
    "no-newline.jsonl": jsonl(RECORDS).rstrip(b"\n"),
    "crlf.jsonl": jsonl(RECORDS).replace(b"\n", b"\r\n"),
    "x.parquet": parquet(RECORDS),
    "stream.arrow": arrow(RECORDS, pa.ipc.new_stream),
    "file.arrow": arrow(RECORDS, pa.ipc.new_file),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_format_gives_the_same_records(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(FORMS[name])
    rows = list(records(path))
    above = {"canary": "c", "version": 1} if name == "object.json" else {}  # plain fields beside the list
    assert [row.record for row in rows] == [{**above, **record} for record in RECORDS]
    assert [row.number for row in rows] == [1, 2]
    assert all(row.problem is None for row in rows)


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.csv.gz", "bom.csv", "headless.csv"])
def test_tables(tmp_path, name):
    rows = [["a", 'with "quotes", a comma\nand a line'], ["b", "plain"], ["", "x" * 200_000]]
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t" if name.endswith(".tsv") else ",")
    headless = name == "headless.csv"
    writer.writerows(rows if headless else [["k", "Best Answer"], *rows])
    data = out.getvalue().encode()
    data = b"\xef\xbb\xbf" + data if name == "bom.csv" else data
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    found = list(records(path, columns=("k", "Best Answer") if headless else ()))
    assert [list(row.record.values()) for row in found] == rows
    assert list(found[0].record) == ["k", "Best Answer"]
    assert [row.number for row in found] == [1, 2, 3]
    assert [row.line for row in found] == ([1, 3, 4] if headless else [2, 4, 5])


def test_records_inside_nested_json_inherit_what_is_above(tmp_path):
    squad = {
        "version": "1.1",
        "data": [
            {
                "title": "T",
                "paragraphs": [
                    {"context": "C1", "qas": [{"question": "Q1"}, {"question": "Q2", "title": "own"}]},
                    {"context": "C2", "qas": []},
                    {"context": "C3", "qas": [{"question": "Q3"}]},
                ],
            }
        ],
    }
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(squad))
    found = [row.record for row in records(path, inside="data.paragraphs.qas")]
    assert [(one["question"], one["context"], one["title"]) for one in found] == [
        ("Q1", "C1", "T"), ("Q2", "C1", "own"), ("Q3", "C3", "T"),
    ]  # fmt: skip
    path.write_text(json.dumps({"nfl_1": {"passage": "P", "qa_pairs": [{"question": "Q"}]}, "nfl_2": {"passage": "R"}}))
    found = [row.record for row in records(path, inside="*.qa_pairs")]
    assert found == [{"passage": "P", "question": "Q"}]


@pytest.mark.parametrize(
    ("line", "kind", "word"),
    [
        (b'{"q": "a"', "json", "character 11"),
        (b"{'q': 1}", "json", "character 2"),
        (b"[1, 2]", "not_object", "a list"),
        (b'"text"', "not_object", "a text"),
        (b"null", "not_object", "null"),
        (b"17", "not_object", "a number"),
        (b'{"q": "caf\xe9"}', "encoding", "byte 11"),
        (b'{"q": "\xed\xa0\x80"}', "encoding", "byte 8"),
        (b'{"q": ' + b"[" * 100_000, "json", "nests too deep"),
        (b'{"q": ' + b"1" * 5000 + b"}", "json", "digits"),
        (b'{"q": "a\x00b"}', "json", "control character"),
        (b"\x00\x01\x02", "json", "no JSON"),
    ],
)
def test_a_broken_line_is_named_and_the_others_are_read(tmp_path, line, kind, word):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"q": "before"}\n\n' + line + b'\n{"q": "behind"}\n')
    rows = list(records(path))
    assert [(row.number, row.line) for row in rows] == [(1, 1), (2, 3), (3, 4)]
    assert rows[0].record == {"q": "before"} and rows[2].record == {"q": "behind"}
    assert rows[1].problem.kind == kind and word in rows[1].problem.detail


def test_a_line_over_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MAX_LINE_BYTES", 1000)
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"q": "' + b"x" * 5000 + b'"}\n{"q": "behind"}\n')
    rows = list(records(path))
    assert [(row.line, row.problem and row.problem.kind) for row in rows] == [(1, "too_long"), (2, None)]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.jsonl", '{"q": 1}\n'.encode("utf-16"), "line 1: the file is UTF-16"),
        ("x.csv", "q\n1\n".encode("utf-32"), "UTF-32"),
        ("x.json", '[{"q": 1}]'.encode("utf-16-be"), "no JSON"),
        ("x.json", b'{"q": 1,\n "r": }', "line 2: this is no JSON"),
        ("x.json", b'[{"q":\n"caf\xe9"}]', "line 2: the text is not UTF-8"),
        ("x.json", b"[" * 200_000, "nests too deep"),
        ("x.jsonl.gz", b'{"q": 1}\n', "its compression breaks off"),
        ("x.jsonl.zst", b'{"q": 1}\n', "its compression breaks off"),
        ("x.parquet", b"PAR1 but no more", "can't be read as Parquet"),
        ("x.parquet", b"", "can't be read as Parquet"),
        ("x.arrow", b"nothing of the kind", "can't be read as Arrow"),
        ("x.csv", b"q,q\n1,2\n", "names 'q' twice"),
        ("x.txt", b"q", "can't be read: benchmarks are"),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BenchmarkError, match=message) as error:
        list(records(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.zst"])
def test_a_cut_file_says_how_far_it_was_read(tmp_path, name):
    lines = jsonl({"q": os.urandom(40).hex()} for _ in range(20_000))
    whole = gzip.compress(lines) if name.endswith(".gz") else zst(lines)
    path = tmp_path / name
    path.write_bytes(whole[: len(whole) * 2 // 3])
    read = 0
    with pytest.raises(BenchmarkError, match=r"breaks off after line \d+"):
        for _ in records(path):
            read += 1
    assert 1000 < read < 20_000


def test_bad_rows_of_a_table(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b'q,a\none,1\ntwo\nthree,3,3\ncaf\xe9,4\n"fi"ve,5\n\nsix,6\n"seven,7\n')
    rows = list(records(path))
    assert [(row.line, row.record or row.problem.kind) for row in rows] == [
        (2, {"q": "one", "a": "1"}), (3, "row"), (4, "row"), (5, "encoding"), (6, "row"),
        (8, {"q": "six", "a": "6"}), (9, "row"),
    ]  # fmt: skip
    assert rows[1].problem.detail == "the row has 1 cells, and there are 2 columns"


def test_text_in_parquet_that_is_no_utf8(tmp_path):
    bad = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.array([0, 3, 7, 10], pa.int32()).buffers()[1], pa.py_buffer(b"onecaf\xe9two")]
    )
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"q": bad}), path)
    rows = list(records(path))
    assert [row.record for row in rows] == [{"q": "one"}, None, {"q": "two"}]
    assert rows[1].problem.kind == "encoding" and rows[1].line == 2


def test_empty_files_have_no_records(tmp_path):
    for name, data in (("x.jsonl", b""), ("y.jsonl", b"\n \n"), ("x.csv", b""), ("x.jsonl.gz", gzip.compress(b""))):
        path = tmp_path / name
        path.write_bytes(data)
        assert list(records(path)) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.jsonl.gz", ".jsonl.gz"), ("a.JSON", ".json"), ("a.tsv.zst", ".tsv.zst"), ("a.parquet", ".parquet"),
     ("a.parquet.gz", None), ("a.md", None), ("jsonl", None)],
)  # fmt: skip
def test_ending(name, expected):
    assert ending(name) == expected
