"""Exports, read back by readers that know only the formats' descriptions."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.exports.arrow import export_datasets
from pipeline.exports.megatron import export_megatron
from pipeline.exports.nanogpt import export_nanogpt
from pipeline.packreader import open_packs
from pipeline.removal.apply import remove
from pipeline.removal.lists import Lists

from .token_tools import described_packs, pack_set


def _megatron(prefix: Path) -> tuple[list[list[int]], list[int]]:
    """(sequences, document bounds) by the layout that Megatron-LM's indexed_dataset.py gives."""
    types = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 6: "<f8", 7: "<f4", 8: "<u2"}
    index, data = Path(f"{prefix}.idx").read_bytes(), Path(f"{prefix}.bin").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    (version,) = struct.unpack_from("<Q", index, 9)
    (code,) = struct.unpack_from("<B", index, 17)
    sequences, bounds = struct.unpack_from("<QQ", index, 18)
    assert version == 1
    at = 34
    lengths = struct.unpack_from(f"<{sequences}i", index, at)
    at += 4 * sequences
    pointers = struct.unpack_from(f"<{sequences}q", index, at)
    at += 8 * sequences
    documents = struct.unpack_from(f"<{bounds}q", index, at)
    assert at + 8 * bounds == len(index)
    assert documents[0] == 0 and documents[-1] == sequences
    width = np.dtype(types[code]).itemsize
    out = [np.frombuffer(data[p : p + n * width], types[code]).tolist() for p, n in zip(pointers, lengths, strict=True)]
    assert sum(lengths) * width == len(data)
    return out, list(documents)


def _pieces(folder: Path, unit: str) -> list[list[int]]:
    """What is left of each sequence, or of each piece, position by position."""
    out = []
    for row in open_packs(folder):
        ends = [*row.doc_starts[1:].tolist(), row.length]
        parts = [
            row.input_ids[a:b].tolist()
            for a, b, gone in zip(row.doc_starts.tolist(), ends, row.removed.tolist(), strict=True)
            if not gone
        ]
        out += parts if unit == "document" else [[i for part in parts for i in part]]
    return [one for one in out if one]


@pytest.fixture(params=["whole", "removed"])
def packs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = described_packs(tmp_path / "set", 16, method="best_fit")
    if request.param == "removed":
        remove(folder, Lists({}, {}, {f"{3:032x}": "id"}))
    return folder


@pytest.mark.parametrize("unit", ["sequence", "document"])
def test_megatron(packs: Path, tmp_path: Path, unit: str) -> None:
    made = export_megatron(open_packs(packs), tmp_path / "out" / "train", unit=unit)
    sequences, documents = _megatron(tmp_path / "out" / "train")
    assert sequences == _pieces(packs, unit)
    assert documents == list(range(len(sequences) + 1))
    assert made == {"sequences": len(sequences), "tokens": sum(map(len, sequences))}


def test_megatron_of_wide_ids(tmp_path: Path) -> None:
    documents = [(f"{i:032x}", [i, 256] * 9) for i in range(7)]
    folder = pack_set(tmp_path / "set", [documents], 8, 4, dtype="uint32")
    assert open_packs(folder).dtype == np.uint32
    export_megatron(open_packs(folder), tmp_path / "wide")
    assert _megatron(tmp_path / "wide")[0] == _pieces(folder, "sequence")
    assert (tmp_path / "wide.idx").read_bytes()[17] == 4


def test_nanogpt(packs: Path, tmp_path: Path) -> None:
    made = export_nanogpt(open_packs(packs), tmp_path / "out", val_sequences=2)
    train, val = (np.fromfile(tmp_path / "out" / f"{name}.bin", "<u2").tolist() for name in ("train", "val"))
    rows = []
    for row in open_packs(packs):
        rows.append(row.input_ids[row.loss_mask()].tolist())
    assert train == [i for one in rows[:-2] for i in one] and val == [i for one in rows[-2:] for i in one]
    assert made == {"train": len(train), "val": len(val)}
    assert json.loads((tmp_path / "out" / "meta.json").read_text())["dtype"] == "uint16"
    export_nanogpt(open_packs(packs), tmp_path / "all")
    assert not (tmp_path / "all" / "val.bin").exists()
    assert np.fromfile(tmp_path / "all" / "train.bin", "<u2").tolist() == train + val
    with pytest.raises(ConfigError, match="val_sequences"):
        export_nanogpt(open_packs(packs), tmp_path / "none", val_sequences=100)


def test_exports_over_many_sequences(tmp_path: Path) -> None:
    """Over more than one part of what is written at a time."""
    documents = [(f"{i:032x}", [(i + k) % 250 for k in range(1 + i % 9)]) for i in range(3000)]
    folder = pack_set(tmp_path / "set", [documents], 4, 10_000)
    assert len(open_packs(folder)) > 3000
    export_megatron(open_packs(folder), tmp_path / "m")
    assert _megatron(tmp_path / "m")[0] == _pieces(folder, "sequence")
    export_nanogpt(open_packs(folder), tmp_path / "n", val_sequences=1500)
    flat = [i for one in _pieces(folder, "sequence") for i in one]
    parts = [np.fromfile(tmp_path / "n" / f"{name}.bin", "<u2").tolist() for name in ("train", "val")]
    assert parts[0] + parts[1] == flat and len(parts[1]) == 1500 * 4 - (-len(flat) % 4)


def test_datasets(packs: Path, tmp_path: Path) -> None:
    """The files agree in their columns and hold the sequences."""
    reader = open_packs(packs)
    export_datasets(reader, tmp_path / "out")
    files = sorted((tmp_path / "out").glob("train-*.arrow"))
    tables = [pa.ipc.open_file(pa.memory_map(str(file))).read_all() for file in files]
    assert len({str(table.schema.remove_metadata()) for table in tables}) == 1
    rows = pa.concat_tables(tables).to_pylist()
    assert [row["input_ids"] for row in rows] == [row.input_ids.tolist() for row in reader]
    if any(row.removed.any() for row in reader):
        assert [row["removed"] for row in rows] == [row.removed.tolist() for row in reader]


LOAD = """
import json, sys, datasets
loaded = datasets.load_dataset("arrow", data_files=sys.argv[1] + "/train-*.arrow", split="train", cache_dir=sys.argv[2])
json.dump({"version": datasets.__version__, "rows": loaded[:]}, sys.stdout)
"""


def _datasets_python(root: Path) -> str:
    """A Python that has `datasets`: $GRISTMILL_DATASETS, or the one of `make peers`."""
    named = os.environ.get("GRISTMILL_DATASETS")
    if named is None and not (root / ".venv-datasets" / "bin" / "python").exists():
        pytest.skip("needs a Python with `datasets`: make peers, or $GRISTMILL_DATASETS")
    return named or str(root / ".venv-datasets" / "bin" / "python")


def test_datasets_itself_reads_them(packs: Path, tmp_path: Path, root: Path) -> None:
    """`load_dataset`, from an environment of its own, gives every column of every sequence."""
    python = _datasets_python(root)
    reader = open_packs(packs)
    export_datasets(reader, tmp_path / "out")
    quiet = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | quiet
    done = subprocess.run(
        [python, "-c", LOAD, str(tmp_path / "out"), str(tmp_path / "cache")],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout)["rows"]
    assert rows["input_ids"] == [row.input_ids.tolist() for row in reader]
    for column in ("length", "doc_starts", "doc_ids", "doc_offsets"):
        assert rows[column] == [_plain(getattr(row, column)) for row in reader]
    if any(row.removed.any() for row in reader):
        assert rows["removed"] == [row.removed.tolist() for row in reader]


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packs = described_packs(tmp_path / "set", 16)
    assert main(["export", "megatron", str(packs), "-o", str(tmp_path / "m" / "train"), "--unit", "document"]) == 0
    assert _megatron(tmp_path / "m" / "train")[0] == _pieces(packs, "document")
    assert main(["export", "nanogpt", str(packs), "-o", str(tmp_path / "n")]) == 0
    assert main(["export", "datasets", str(packs), "-o", str(tmp_path / "d")]) == 0
    assert "sequences" in capsys.readouterr().out
    stale = tmp_path / "d" / "train-00007-of-00008.arrow"  # of an earlier, larger set: the glob would read it
    stale.write_bytes(b"")
    assert main(["export", "datasets", str(packs), "-o", str(tmp_path / "d")]) == 0 and not stale.exists()
    assert len(list((tmp_path / "d").glob("train-*.arrow"))) == len(open_packs(packs).manifest["files"])
    assert main(["export", "nanogpt", str(packs), "-o", str(tmp_path / "x"), "--unit", "document"]) == 2
    assert main(["export", "megatron", str(packs), "-o", str(tmp_path / "x"), "--val-sequences", "1"]) == 2
    assert "--val-sequences is an option of nanogpt" in capsys.readouterr().err
    assert main(["export", "megatron", str(packs), "-o", str(tmp_path / "x"), "--unit", "word"]) == 2
    assert "sequence" in capsys.readouterr().err
