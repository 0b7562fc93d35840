"""Plain files in and out: what comes back is what went in, and bad lines are counted skips."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.documents import DocumentSplit, export, list_files, plan_documents, read_documents
from pipeline.errors import ConfigError

GOOD = [
    {"text": "one", "url": "https://a.example/1", "id": "abc", "score": 0.5, "tags": ["x"]},
    {"text": "zwei\nZeilen ü 🙂", "nested": {"a": 1}},
]
BAD = [b"{bad", b"[1]", b'{"x": 1}', b'{"text": 5}', b"\xff\xfe", b"[" * 100_000]


def lines(rows):
    return b"".join(json.dumps(r).encode() + b"\n" for r in rows)


def test_names_with_the_marks_of_globs_are_files(tmp_path) -> None:
    folder = tmp_path / "my [1] dir"
    folder.mkdir()
    for name in ("a[2].jsonl", "what?.jsonl"):
        (folder / name).write_text('{"text": "x"}\n')
    assert [name for _, name, _ in list_files([str(folder)])] == ["a[2].jsonl", "what?.jsonl"]
    assert [name for _, name, _ in list_files([str(folder / "a[2].jsonl")])] == ["a[2].jsonl"]


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_jsonl_round_trip_and_skips(tmp_path, ending):
    data = lines(GOOD) + b"\n" + b"\n".join(BAD) + b"\n" + b'{"text": "lone \\ud800 surrogate"}'
    packed = {".jsonl": bytes, ".jsonl.gz": gzip.compress, ".jsonl.zst": zstandard.ZstdCompressor().compress}[ending](
        data
    )
    path = tmp_path / f"in{ending}"
    path.write_bytes(packed)
    (split,) = plan_documents([str(path)], 1 << 20)
    batches = list(read_documents(split))
    table = pa.concat_tables(b.table for b in batches)
    skips = [s for b in batches for s in b.skips]
    assert sum(b.records for b in batches) == table.num_rows + len(skips) == 9
    assert [s.kind for s in skips] == [
        "bad_json",
        "not_an_object",
        "no_text",
        "text_not_a_string",
        "bad_json",
        "bad_json",
    ]
    assert [s.offset for s in skips] == [3, 4, 5, 6, 7, 8]
    assert table["text"].to_pylist() == ["one", "zwei\nZeilen ü 🙂", "lone \ufffd surrogate"]
    assert table["id"][0].as_py() == "abc"
    assert len(set(table["id"].to_pylist())) == 3
    pq.write_table(table, tmp_path / "shard.parquet")
    export([tmp_path / "shard.parquet"], tmp_path / f"out{ending}")
    raw = (tmp_path / f"out{ending}").read_bytes()
    opened = {
        ".jsonl": bytes,
        ".jsonl.gz": gzip.decompress,
        ".jsonl.zst": lambda d: zstandard.ZstdDecompressor().stream_reader(d).read(),
    }[ending](raw)
    back = [json.loads(line) for line in opened.splitlines()]
    assert back[0] | GOOD[0] == back[0]
    assert back[1]["nested"] == {"a": 1}
    assert back[1]["record"]["offset"] == 1


def test_odd_rows_are_no_errors(tmp_path):
    rows = [
        {"text": "a", "record": {"offset": 10**30, "status": True, "file": 3}},
        {"text": "b", "record": {"offset": 5, "status": 1 << 40}},
        {"text": "c", "record": "x", "url": 7, "id": None},
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + lines(rows))
    (batch,) = read_documents(DocumentSplit(str(path), "a.jsonl", 0))
    assert batch.table["text"].to_pylist() == ["a", "b", "c"]
    records = batch.table["record"].to_pylist()
    assert [r["offset"] for r in records] == [None, 5, 2]
    assert [r["status"] for r in records] == [None, None, None]
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"")[:10] + b"\x07" * 50)
    (batch,) = read_documents(DocumentSplit(str(tmp_path / "b.jsonl.gz"), "b", 0))
    assert [s.kind for s in batch.skips] == ["truncated"]


def test_a_file_named_twice_is_read_once(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jsonl").write_bytes(lines(GOOD))
    found = list_files([str(tmp_path), str(tmp_path / "sub" / "a.jsonl")])
    assert [name for _, name, _ in found] == ["sub/a.jsonl"]


def test_ids_that_are_null_are_made(tmp_path):
    pq.write_table(pa.table({"text": ["a", "b"], "id": pa.array([None, "x"], pa.string())}), tmp_path / "a.parquet")
    (batch,) = read_documents(DocumentSplit(str(tmp_path / "a.parquet"), "a", 0))
    first, second = batch.table["id"].to_pylist()
    assert len(first) == 32
    assert second == "x"


def test_what_was_dropped_can_be_read_again(tmp_path):
    table = pa.table({"text": ["a"], "drop_filter": ["language"], "drop_reason": ["language:fr"]})
    pq.write_table(table, tmp_path / "a.parquet")
    (batch,) = read_documents(DocumentSplit(str(tmp_path / "a.parquet"), "a", 0))
    assert not {"drop_filter", "drop_reason"} & set(batch.table.column_names)


def test_truncated_gzip_is_a_counted_skip(tmp_path):
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(lines([{"text": f"text {i} {'x' * (i % 97)}"} for i in range(5000)]))[:-3000])
    batches = list(read_documents(DocumentSplit(str(path), "cut", 0)))
    rows = sum(b.table.num_rows for b in batches)
    assert 0 < rows < 5000
    assert [s.kind for b in batches for s in b.skips] == ["truncated"]
    assert sum(b.records for b in batches) == rows + 1


def test_parquet_keeps_columns_and_splits_by_row_group(tmp_path):
    table = pa.table({"body": [f"text {i}" * 50 for i in range(100)] + [None], "n": range(101)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    splits = plan_documents([str(tmp_path)], 1000)
    assert len(splits) > 3
    batches = [b for s in splits for b in read_documents(s, text_field="body")]
    whole = pa.concat_tables(b.table for b in batches)
    assert whole["text"].to_pylist() == table["body"].to_pylist()[:100]
    assert whole["n"].to_pylist() == list(range(100))
    assert len(set(whole["id"].to_pylist())) == 100
    assert [s.offset for b in batches for s in b.skips] == [100]
    one = plan_documents([str(tmp_path)], 1 << 30)
    again = pa.concat_tables(b.table for b in read_documents(one[0], text_field="body"))
    assert again["id"].equals(whole["id"])


def test_errors_name_the_way_out(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        list_files([str(tmp_path / "none")])
    with pytest.raises(ConfigError, match="holds no file"):
        list_files([str(tmp_path)])
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match="--text-field"):
        list(read_documents(DocumentSplit(str(tmp_path / "a.parquet"), "a", 0)))
    (tmp_path / "b.parquet").write_bytes(b"not parquet")
    with pytest.raises(ConfigError, match="not a Parquet file"):
        list(read_documents(DocumentSplit(str(tmp_path / "b.parquet"), "b", 0)))
    with pytest.raises(ConfigError, match="ending"):
        export([tmp_path / "a.parquet"], tmp_path / "out.txt")


def test_names_do_not_depend_on_where_the_folder_lies(tmp_path):
    for place in ("one", "two"):
        (tmp_path / place / "sub").mkdir(parents=True)
        (tmp_path / place / "sub" / "a.jsonl").write_bytes(lines(GOOD[1:]))
    ids = []
    for place in ("one", "two"):
        (split,) = plan_documents([str(tmp_path / place)], 1 << 20)
        assert split.name == "sub/a.jsonl"
        ids.append(next(read_documents(split)).table["id"].to_pylist())
    assert ids[0] == ids[1]
