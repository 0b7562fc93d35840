"""Columns of users' files: odd types, bytes that are no UTF-8, names taken twice; the language in JSON lines."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.columns import complete, text_column
from pipeline.documents import DocumentSplit, read_documents, split_schema
from pipeline.errors import ConfigError


def unchecked(*values: bytes) -> pa.Array:
    """Texts with these bytes, whatever they are."""
    plain = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(plain), plain.buffers())


def read(path: Path) -> tuple[pa.Table, list[tuple[str, int]]]:
    split = DocumentSplit(str(path), path.name, 0)
    batches = list(read_documents(split))
    table = pa.concat_tables([batch.table for batch in batches])
    assert table.schema.equals(split_schema(split, "text"))
    return table, [(skip.kind, skip.offset) for batch in batches for skip in batch.skips]


@pytest.mark.parametrize("kind", [pa.string(), pa.binary()])
def test_texts_that_are_no_utf8_are_counted_skips(kind: pa.DataType, tmp_path: Path) -> None:
    texts = unchecked(b"good", b"bad\xff", "gut é".encode(), b"\xed\xa0\x80").cast(pa.binary())
    column = texts if kind == pa.binary() else unchecked(*texts.to_pylist())
    pq.write_table(
        pa.table({"text": column, "url": unchecked(b"u", b"v", b"http://x\xff", b"w")}), tmp_path / "a.parquet"
    )
    table, skips = read(tmp_path / "a.parquet")
    assert table["text"].to_pylist() == ["good", "gut é"]
    assert table["url"].to_pylist() == ["u", "http://x\ufffd"]
    assert skips == [("bad_utf8", 1), ("bad_utf8", 3)]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "é"]).dictionary_encode(),
        pa.array(["a", None, "é"], pa.string_view()),
        pa.array(["a", None, "é"], pa.large_string()),
        pa.array([b"a", None, "é".encode()], pa.binary()),
    ],
)
def test_texts_of_all_kinds(column: pa.Array) -> None:
    table, bad = text_column(pa.table({"body": column, "text": [1, 2, 3]}), "body", "here")
    assert table["text"].type == pa.large_string()
    assert table["text"].to_pylist() == ["a", None, "é"] and bad == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"text": [["a"]]}), r"x.parquet: column 'text' holds list.*, not texts"),
        (pa.table({"text": [{"a": 1}]}), "column 'text' holds struct"),
        (pa.table({"text": ["a"], "id": [[1]]}), "column 'id' holds list"),
        (pa.table({"text": ["a"], "lang": [{"a": 1}]}), "column 'lang' holds struct"),
        (pa.table({"text": ["a"], "cut_spans": ["mine"]}), "column 'cut_spans' holds string.*rename"),
        (pa.table([pa.array(["a"])] * 2, ["text", "text"]), "two columns called 'text'"),
        (pa.table([pa.array(["a"])] * 3, ["text", "x", "x"]), "two columns called 'x'"),
        (pa.table({"body": ["a"]}), "--text-field"),
    ],
)
def test_columns_that_can_not_be_read(table: pa.Table, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        complete(text_column(table, "text", "x.parquet")[0], "x.parquet", 0)


def test_languages_and_ids_become_texts() -> None:
    table = pa.table({"text": ["a", "b"], "lang": pa.nulls(2), "id": pa.array([5, None]), "url": [1, 2]})
    made = complete(text_column(table, "text", "x")[0], "x", 0)
    assert [made.schema.field(name).type for name in ("id", "url", "lang")] == [pa.string()] * 3
    assert made["id"].to_pylist()[0] == "5" and len(made["id"].to_pylist()[1]) == 32
    coded = pa.table({"text": ["a"], "lang": pa.array(["en"]).dictionary_encode()})
    assert complete(coded, "x", 0)["lang"].to_pylist() == ["en"]


def test_a_damaged_parquet_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"some words {i}" for i in range(5000)]}), path, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[2000:2400] = b"\xff" * 400
    path.write_bytes(content)
    assert main(["filter", "c4_documents", str(path), "-o", str(tmp_path / "o.parquet")]) == 2
    assert "a.parquet: rows from 0 on can't be read" in capsys.readouterr().err


def test_json_lines_with_a_language_go_through_filters_that_read_it(tmp_path: Path) -> None:
    rows = [
        {"text": "one"},
        {"text": "zwei", "lang": "de", "x": 1},
        {"text": "drei", "lang": 5},
        {"text": "4", "lang": None},
    ]
    (tmp_path / "a.jsonl").write_text("{\n" + "".join(json.dumps(row) + "\n" for row in rows))
    table, skips = read(tmp_path / "a.jsonl")
    assert table["lang"].to_pylist() == [None, "de", None, None] and skips == [("bad_json", 0)]
    assert main(["filter", "quality", str(tmp_path / "a.jsonl"), "-o", str(tmp_path / "o.jsonl"), "--quiet"]) == 0
    written = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [row["lang"] for row in written] == [None, "de", 5, None] and written[1]["x"] == 1


def test_without_a_language_the_way_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a \\"lang\\""}\n')
    table, _ = read(tmp_path / "a.jsonl")
    assert "lang" not in table.column_names
    assert main(["filter", "quality", str(tmp_path / "a.jsonl"), "-o", str(tmp_path / "o.jsonl")]) == 2
    error = capsys.readouterr().err
    assert "reads ['lang']" in error and "added by language" in error


@pytest.mark.parametrize("option", ["-o", "--dropped"])
@pytest.mark.parametrize("named", ["in.jsonl", "../data/./in.jsonl", "*.jsonl", "."])
def test_an_input_is_never_overwritten(
    option: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    content = '{"text": "dropped by the filter"}\n'
    Path("in.jsonl").write_text(content)
    outputs = {"-o": str(tmp_path / "o.jsonl"), "--dropped": str(tmp_path / "d.jsonl"), option: "in.jsonl"}
    words = [word for pair in outputs.items() for word in pair]
    assert main(["filter", "gopher_quality", named, *words]) == 2
    assert "is one of the inputs" in capsys.readouterr().err
    assert Path("in.jsonl").read_text() == content
    assert main(["filter", "gopher_quality", str(tmp_path / "data"), "-o", "new.jsonl"]) == 2
    assert "lies in an input folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", " ", "a\0b"])
def test_an_input_needs_a_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "c4_documents", name, "-o", str(tmp_path / "o.jsonl")]) == 2
    assert main(["classifier", "eval", "quality-en", name]) == 2
    assert capsys.readouterr().err.count("an input can't be called") == 2


def test_columns_that_do_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"text": ["a"], "x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["b"], "x": ["s"]}), tmp_path / "b.parquet")
    files = [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    assert main(["filter", "mojibake", *files, "-o", str(tmp_path / "o.parquet"), "--quiet"]) == 2
    assert "don't go together" in capsys.readouterr().err
    assert main(["filter", "mojibake", *files, "-o", str(tmp_path / "o.jsonl"), "--quiet"]) == 0
    assert [json.loads(line)["x"] for line in (tmp_path / "o.jsonl").read_text().splitlines()] == [1, "s"]
