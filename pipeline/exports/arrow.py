"""Hugging Face `datasets`: the pack files themselves, by the names that it looks for.

`load_dataset("arrow", data_files="OUT/train-*.arrow")` maps them without a copy; columns are those of `packs`. Where
documents were removed from the set, the column `removed` marks their pieces.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from ..packfiles import link_or_copy
from ..packreader import PackReader
from ..storage import local_file
from ..store import atomic_path


def export_datasets(reader: PackReader, target: Path) -> dict[str, int]:
    """Write `train-00000-of-00003.arrow` and so on into the folder `target`: links where possible, else copies.

    Files must agree in their columns, so those without `removed` get it (all false) where another file has it.
    Files of an earlier export that has more of them are deleted: `train-*.arrow` would take them in. Returns the
    numbers of files and sequences.
    """
    entries = reader.manifest["files"]
    sources = [reader.folder / entry["path"] for entry in entries]
    marked = ["removed" in pa.ipc.open_file(pa.memory_map(local_file(source))).schema.names for source in sources]
    for number, (source, has) in enumerate(zip(sources, marked, strict=True)):
        path = target / f"train-{number:05d}-of-{len(sources):05d}.arrow"
        if has == any(marked):
            link_or_copy(source, path)
        else:
            _with_removed(source, path)
    for old in target.glob("train-[0-9]*-of-[0-9]*.arrow"):
        if not old.name.endswith(f"-of-{len(sources):05d}.arrow"):
            old.unlink()
    return {"files": len(sources), "sequences": len(reader)}


def _with_removed(source: Path, path: Path) -> None:
    file = pa.ipc.open_file(pa.memory_map(local_file(source)))
    schema = file.schema.append(pa.field("removed", pa.list_(pa.bool_())))
    with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as sink:
        with pa.ipc.new_file(sink, schema) as writer:
            for number in range(file.num_record_batches):
                batch = file.get_batch(number)
                starts = batch.column("doc_starts")
                none = pa.array([False] * len(starts.values), pa.bool_())
                removed = pa.ListArray.from_arrays(starts.offsets, none)
                writer.write_batch(pa.record_batch([*batch.columns, removed], schema=schema))
        sink.close()
