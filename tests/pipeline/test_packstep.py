"""The step `pack`: the same bytes after a kill, several lengths, and packs of a mixture's draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline import packstep
from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.packing.draws import DrawSet, Phase, draw_table, order_keys, write_draws
from pipeline.packreader import open_packs
from pipeline.packstep import Pack, find_pack_sets, find_packs
from pipeline.progress import Progress
from pipeline.runner import InlineRunner
from pipeline.steps import Artefact, StepContext
from pipeline.store import StepFolder

from .token_tools import byte_tokenizer, write_shard

NUMBER = 90


def _documents(folder: Path) -> list[str]:
    """90 documents in three JSONL files; one is empty."""
    files = []
    for part in range(3):
        lines = []
        for i in range(part, NUMBER, 3):
            text = "" if i == 7 else f"{i} " + "words and more " * (1 + i * 7 % 23)
            lines.append(json.dumps({"id": f"{i:032x}", "text": text, "url": f"https://example.org/{i}"}))
        path = folder / f"{part}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        files.append(str(path))
    return files


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "timings" not in p.parts and p.name != "run.json"
    }


@pytest.mark.parametrize("options", [[], ["--long-lengths", "128", "256"], ["--method", "concatenate"]])
def test_packs_of_a_killed_command_are_those_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    files = _documents(tmp_path)
    byte_tokenizer(tmp_path / "t.json")
    how = ["--tokenizer", str(tmp_path / "t.json"), "--sequence-length", "64", "--sequences-per-file", "12", *options]

    def pack(name: str) -> int:
        return main(["pack", *files, "-o", str(tmp_path / name), "--quiet", *how])

    assert pack("one") == 0
    sets = find_pack_sets(tmp_path / "one")
    assert len(sets) == (3 if "--long-lengths" in options else 1)
    assert sum(len(open_packs(s).manifest["files"]) for s in sets) > 3

    real, calls = packstep.make_pack, []

    def dies(*args):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(packstep, "make_pack", dies)
    assert pack("two") == 130
    assert pack("two") == 0
    tasks = len(list((tmp_path / "two" / "done").glob("pack-*.json")))
    assert len(calls) == tasks + 1  # what was done before is not done again
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")
    held: dict[str, int] = {}
    for folder in sets:
        reader = open_packs(folder)
        reader.verify()
        assert reader.manifest["empty_documents"] == 1 and reader.manifest["recipe"]["pack"]["sequence_length"] == 64
        for row in reader:
            ends = np.append(row.doc_starts[1:], row.length)
            for name, count in zip(row.doc_ids, (ends - row.doc_starts).tolist(), strict=True):
                held[name] = held.get(name, 0) + count
    texts = {f"{i:032x}": f"{i} " + "words and more " * (1 + i * 7 % 23) for i in range(NUMBER) if i != 7}
    assert held == {name: len(text) + 1 for name, text in texts.items()}
    if len(sets) == 3:
        with pytest.raises(ConfigError, match="several lengths"):
            find_packs(tmp_path / "one")


def test_pack_takes_the_options_of_tokenize(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = byte_tokenizer(tmp_path / "t.json").tokenizer
    made.add_tokens(["<think>"])
    made.save(str(tmp_path / "t.json"))
    (tmp_path / "a.jsonl").write_text('{"text": "<think>x"}\n')

    def pack(*how: str) -> list[int]:
        words = ["pack", str(tmp_path / "a.jsonl"), "-o", str(tmp_path / "p"), "--tokenizer", str(tmp_path / "t.json")]
        assert main([*words, "--quiet", "--sequence-length", "16", *how]) == 0
        (row,) = open_packs(find_packs(tmp_path / "p"))
        return [int(i) for i in row.input_ids[: row.length]]

    plain = pack("--engine", "reference", "--verify-share", "1")
    assert len(plain) == len("<think>x") + 1 and 257 not in plain
    assert pack("--engine", "fast") == plain
    allowed = pack("--allow-tokens", "<think>")
    assert allowed[0] == 257 and len(allowed) == 3
    recipe = open_packs(find_packs(tmp_path / "p")).manifest["recipe"]
    assert recipe["tokenize"] == {"eos": "", "allow_tokens": ["<think>"]}
    words = ["pack", str(tmp_path / "a.jsonl"), "-o", str(tmp_path / "p"), "--tokenizer", str(tmp_path / "t.json")]
    assert main([*words, "--engine", "quick"]) == 2
    assert "'quick'" in capsys.readouterr().err


def test_what_a_mixture_drew_is_packed_phase_by_phase(tmp_path: Path) -> None:
    """Some documents twice, some never; the second phase's sequences come last, and the loader keeps them there."""
    tokenizer = byte_tokenizer(tmp_path / "t.json")
    documents = [(f"{i:032x}", [i] * (5 + i % 20) + [256]) for i in range(60)]
    shards = [write_shard(tmp_path / f"{k}.arrow", documents[k::2], 7) for k in range(2)]
    drawn = [draw_table(k, shard, "uint16") for k, shard in enumerate(shards)]
    early = drawn[0].slice(0, 20)
    copy = early.set_column(2, "copy", pa.array(np.ones(20, np.int32)))
    late = pa.concat_tables([drawn[1].slice(3, 15), copy])
    folder = tmp_path / "draws"
    table = pa.concat_tables([early, late])
    keys = np.concatenate([order_keys(t["id"].combine_chunks(), 4) for t in (early, late)])
    table = table.set_column(5, "key", pa.array(keys))
    partition = np.repeat([0, 1], [20, 35])
    made = write_draws(folder / "a.arrow", table, partition, 2)
    DrawSet(
        files=(str(folder / "a.arrow"),), shards=tuple(shards), tokens=tuple(made["tokens"]),
        documents=tuple(made["documents"]), phases=(Phase("early", 0, 1), Phase("late", 1, 2)),
        tokenizer=str(tokenizer.path), recipe={"mixture": "test"},
    ).write(folder)  # fmt: skip
    step = Pack(sequence_length=32, drawn=True)
    step.check()
    assert step.needs == ("draws",)
    context = StepContext(
        "pack", StepFolder(tmp_path / "pack"), {"draws": Artefact("draws", folder, "f" * 32)}, InlineRunner(),
        Progress(quiet=True),
    )  # fmt: skip
    context.folder.begin("x", {})
    made = step.run(context)
    reader = open_packs(tmp_path / "pack" / "packset")
    reader.verify()
    names = [{name for name in row.doc_ids} for row in reader]
    first = reader.phases[0]
    assert [p["name"] for p in reader.manifest["phases"]] == ["early", "late"] and sum(reader.phases) == len(reader)
    assert set().union(*names[:first]) == set(early["id"].to_pylist())
    assert set().union(*names[first:]) == set(late["id"].to_pylist())
    assert reader.manifest["tokens"] == int(np.sum(table["n_tokens"].to_numpy()))
    assert reader.manifest["documents"] == 55 and reader.manifest["recipe"]["mixture"] == "test"
    assert reader.manifest["provenance"]["inputs"] == {"draws": "f" * 32}
    assert made["rows"] == len(reader)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": 0}, "sequence_length"),
        ({"long_lengths": (512,)}, "ascend"),
        ({"long_lengths": (2048,), "method": "concatenate"}, "best_fit"),
        ({"method": "bestfit"}, "did you mean 'best_fit'"),
        ({"order": "random"}, "order is one of"),
        ({"sequences_per_file": -1}, "sequences_per_file"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Pack(**options).check()  # type: ignore[arg-type]
