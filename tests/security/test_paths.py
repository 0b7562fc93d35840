"""Names in manifests, archives and listings can't lead out of their folders."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from pipeline.errors import SchemaError
from pipeline.names import check_inside
from pipeline.packreader import open_packs
from pipeline.packs import MANIFEST, fingerprint
from pipeline.packstep import find_packs
from pipeline.store import StepFolder, write_json
from tests.pipeline.test_warc_build import batches, gz, page, rows, write

LEADING_OUT = (
    "../x",
    "/etc/passwd",
    "a/../../x",
    "a//b",
    "./a",
    "",
    "a\\..\\b",
    "a\0b",
    "C:/x",
    "s3://bucket/x",
    "a/",
    5,
    None,
)


@pytest.mark.parametrize("name", LEADING_OUT)
def test_names_that_lead_out(name: object) -> None:
    with pytest.raises(SchemaError, match="leads out of its folder"):
        check_inside(name, "manifest.json")


def test_plain_names() -> None:
    for name in ("kept/00000.parquet", "a.b/c..d", "...", "a:b/c"[2:], "00000.arrow"):
        assert check_inside(name, "m") == name


@pytest.mark.parametrize("kind", ["files", "document_files", "removals"])
def test_pack_sets(sample_run: Path, tmp_path: Path, kind: str) -> None:
    packs = find_packs(sample_run)
    copy = tmp_path / "packs"
    shutil.copytree(packs, copy)
    manifest = json.loads((copy / MANIFEST).read_text())
    outside = tmp_path / "outside.arrow"
    shutil.copy(copy / manifest["files"][0]["path"], outside)
    manifest[kind] = [{**manifest["files"][0], "path": "../outside.arrow"}]
    manifest["fingerprint"] = fingerprint(manifest)
    write_json(copy / MANIFEST, manifest)
    with pytest.raises(SchemaError, match="leads out of its folder"):
        open_packs(copy)


def test_step_folders(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    folder = StepFolder(tmp_path / "01-step")
    folder.mark("t", {"files": [{"file": "../x", "bytes": 3}]})
    with pytest.raises(SchemaError, match="leads out"):
        folder.marked("t")
    folder.finish("f", {"files": [{"file": str(tmp_path / "x"), "bytes": 3}]})
    with pytest.raises(SchemaError, match="leads out"):
        folder.finished("f")
    folder.finish("f", {"files": [], "artefact": ["../../x"]})
    with pytest.raises(SchemaError, match="leads out"):
        folder.finished("f")


def test_runs_given_to_inspect_and_to_mixtures(sample_run: Path, tmp_path: Path) -> None:
    from mixtures.sources import documents_of
    from pipeline.inspect.runs import find_run

    run = tmp_path / "run"
    shutil.copytree(sample_run, run)
    for step in run.glob("*/manifest.json"):
        manifest = json.loads(step.read_text())
        for entry in manifest.get("files", []):
            entry["file"] = "kept/../../../" + entry["file"]
        manifest["artefact"] = ["kept/../../../x" for _ in manifest.get("artefact", [])]
        write_json(step, manifest)
    with pytest.raises(SchemaError, match="leads out"):
        find_run(run)
    with pytest.raises(SchemaError, match="leads out"):
        documents_of(run)


def test_archive_entries_are_never_paths(tmp_path: Path) -> None:
    """A WACZ entry's name is only looked at for `.warc`; its pages are named by the file that holds it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../../escaped/evil.warc.gz", gz(page(1, "words")))
        archive.writestr("/abs/evil.warc.gz", gz(page(2, "words")))
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    found = rows(batches(write(folder, buffer.getvalue(), "a.wacz")))
    assert len(found) == 2 and {row["record"]["file"] for row in found} == {"a.wacz"}
    assert sorted(path for path in tmp_path.rglob("*") if path not in before) == [folder / "a.wacz"]
