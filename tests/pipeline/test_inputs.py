"""Changes of input files under a run: every byte counts, dates and places don't."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixtures.dsir import SelectDsir
from mixtures.step import Mix
from pipeline.inputs import RECORD, Extent
from pipeline.progress import Progress
from pipeline.recipe import build
from pipeline.run import execute, run_one
from pipeline.runner import InlineRunner
from pipeline.sources import DocumentsSource, WarcSource, sample_warc
from tests.pipeline.token_tools import byte_tokenizer
from tests.runs import digests

MIDDLE = 1_500_000


class Said(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def compared(self) -> int:
        """How many times files were read for a comparison."""
        return sum("is compared" in line for line in self.lines)


def write_lines(path: Path, megabytes: float = 3.0) -> Path:
    """A file of documents, the same each time."""
    draw = random.Random(5)
    line = 0
    with open(path, "w") as file:
        while file.tell() < megabytes * 1e6:
            words = " ".join(draw.choice(["stone", "river", "night", "seven", "green"]) for _ in range(1000))
            file.write(json.dumps({"id": str(line), "text": words}) + "\n")
            line += 1
    return path


def change_middle(path: Path, where: int = MIDDLE) -> None:
    """Other letters in the middle, the same size."""
    data = bytearray(path.read_bytes())
    at = data.index(b"river", where)
    data[at : at + 5] = b"marsh"
    with open(path, "r+b") as file:
        file.write(data)


def recipe(inputs: Path | str):
    return build(
        {"name": "x", "source": {"documents": {"inputs": [str(inputs)]}}, "steps": ["mojibake", "exact_dedup"]}
    )


def run(inputs: Path | str, output: Path) -> tuple[list[bool], Said]:
    """Run; for each step whether it was done before, and what was said."""
    said = Said()
    with InlineRunner() as runner:
        result = execute(recipe(inputs), output, runner, said)
    return [step.resumed for step in result.steps], said


def texts(output: Path) -> str:
    return "".join(pq.read_table(output / "02-exact_dedup" / "kept")["text"].to_pylist())


@pytest.mark.parametrize("set_back", [False, True])
def test_a_changed_middle_is_noticed_by_all_steps(tmp_path, set_back):
    """Also where the date is set back, as `rsync -t` and unpackers do; what is made then is what a fresh run makes."""
    path = write_lines(tmp_path / "a.jsonl")
    assert run(path, tmp_path / "out")[0] == [False, False]
    assert run(path, tmp_path / "out")[0] == [True, True]
    before, facts = DocumentsSource(inputs=(str(path),)).fingerprint(), path.stat()
    change_middle(path)
    if set_back:
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert path.stat().st_size == facts.st_size
    assert DocumentsSource(inputs=(str(path),)).fingerprint() == before  # else this test tests nothing new
    done, said = run(path, tmp_path / "out")
    assert done == [False, False] and "marsh" in texts(tmp_path / "out")
    assert any("a.jsonl" in line and "changed" in line for line in said.lines)
    run(path, tmp_path / "fresh")
    assert digests(tmp_path / "out", ("recipe.yaml",)) == digests(tmp_path / "fresh", ("recipe.yaml",))
    assert run(path, tmp_path / "out")[0] == [True, True]


def test_a_touched_file_is_read_once_more_and_nothing_is_done_again(tmp_path):
    path = write_lines(tmp_path / "a.jsonl")
    run(path, tmp_path / "out")
    kept = digests(tmp_path / "out")
    os.utime(path, (1e9, 1e9))
    done, said = run(path, tmp_path / "out")
    assert done == [True, True] and said.compared() == 1
    done, said = run(path, tmp_path / "out")
    assert done == [True, True] and said.compared() == 0
    assert digests(tmp_path / "out") == kept


def test_a_copied_corpus_is_not_done_again_nor_a_moved_one_read(tmp_path):
    (tmp_path / "one").mkdir()
    write_lines(tmp_path / "one" / "a.jsonl", 0.5)
    write_lines(tmp_path / "one" / "b.jsonl", 3.0)
    run(tmp_path / "one", tmp_path / "out")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    done, said = run(tmp_path / "two", tmp_path / "out")
    assert done == [True, True] and said.compared() == 1 and any("2 input file(s)" in line for line in said.lines)
    (tmp_path / "two").rename(tmp_path / "three")
    done, said = run(tmp_path / "three", tmp_path / "out")
    assert done == [True, True] and said.compared() == 0
    change_middle(tmp_path / "three" / "b.jsonl")
    done, said = run(tmp_path / "three", tmp_path / "out")
    assert done == [False, False] and any("b.jsonl" in line for line in said.lines)


def test_a_change_between_a_kill_and_the_next_start(tmp_path):
    """Shards that were done before the change are not kept."""
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_lines(tmp_path / "in" / f"{name}.jsonl")
    run(tmp_path / "in", tmp_path / "out")
    for gone in ("01-mojibake/manifest.json", "01-mojibake/done/00001.json"):
        (tmp_path / "out" / gone).unlink()
    shutil.rmtree(tmp_path / "out" / "02-exact_dedup")
    change_middle(tmp_path / "in" / "a.jsonl")
    run(tmp_path / "in", tmp_path / "out")
    run(tmp_path / "in", tmp_path / "fresh")
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")


def test_runs_of_earlier_versions_go_on(tmp_path):
    """Without a record, and with shards that say nothing of what they were made of, the ends of a file decide."""
    path = write_lines(tmp_path / "a.jsonl")
    run(path, tmp_path / "out")
    step = tmp_path / "out" / "01-mojibake"
    (step / RECORD).unlink()
    for file in (step / "manifest.json", step / "done" / "00000.json"):
        file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "content"}))
    os.utime(path)
    assert run(path, tmp_path / "out")[0][0]
    kept = (step / "manifest.json").read_bytes()
    shutil.rmtree(tmp_path / "out" / "02-exact_dedup")  # the next start does it, and from then on it is left alone
    run(path, tmp_path / "out")
    assert run(path, tmp_path / "out")[0] == [True, True] and (step / "manifest.json").read_bytes() == kept


def test_a_changed_middle_of_a_warc_file(tmp_path):
    whole = max(sample_warc().glob("*.warc.gz"), key=lambda path: path.stat().st_size)
    path = Path(shutil.copy(whole, tmp_path / "a.warc.gz"))
    source = WarcSource(inputs=(str(path),), split_bytes=60_000)
    splits = source.splits(None)
    assert len(splits) > 2
    parts = [source.extent(split) for split in splits]
    assert joined(path, parts) == path.read_bytes()
    plain = {"name": "x", "source": {"warc": {"inputs": [str(path)], "split_bytes": 60_000}}, "steps": ["url"]}
    with InlineRunner() as runner:
        execute(build(plain), tmp_path / "out", runner, Progress(quiet=True))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        (step,) = execute(build(plain), tmp_path / "out", runner, Progress(quiet=True)).steps
    assert not step.resumed


def joined(path: Path, parts: list[Extent | None]) -> bytes:
    data = path.read_bytes()
    assert all(part is not None and part.path == str(path) for part in parts)
    return b"".join(data[part.start : part.end] for part in parts if part)


@pytest.mark.parametrize("dictionary", [True, False])
def test_the_splits_of_a_parquet_file_are_all_of_it(tmp_path, dictionary):
    """Each row group's pages, by pyarrow's own statistics, lie in its split's part."""
    table = pa.table({"text": [f"text {i} " * 50 for i in range(4000)], "n": list(range(4000))})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=500, use_dictionary=dictionary, compression="none")
    source = DocumentsSource(inputs=(str(path),), split_bytes=150_000)
    splits = source.splits(None)
    assert len(splits) > 3
    assert joined(path, [source.extent(split) for split in splits]) == path.read_bytes()
    meta = pq.read_metadata(path)
    for split in splits:
        start, end = split.extent
        for group in split.row_groups:
            for column in range(2):
                facts = meta.row_group(group).column(column)
                assert start <= facts.data_page_offset < end


def test_the_digest_is_of_these_bytes(tmp_path):
    import xxhash

    data = random.Random(1).randbytes(3_000_000)
    (tmp_path / "a").write_bytes(data)
    for start, end in ((0, 3_000_000), (5, 2_500_001), (2_999_999, 3_000_000), (7, 7)):
        assert Extent(str(tmp_path / "a"), start, end).digest() == xxhash.xxh3_128_hexdigest(data[start:end])


def test_a_mixture_notices_its_files(tmp_path):
    path = write_lines(tmp_path / "a.jsonl")
    byte_tokenizer(tmp_path / "tokenizer.json")
    (tmp_path / "mix.yaml").write_text(f"name: x\nsources:\n  a: {{inputs: ['{path}'], epochs: 1}}\n")
    step = Mix(mixture=str(tmp_path / "mix.yaml"), tokenizer=str(tmp_path / "tokenizer.json"))
    made = []

    def mixed() -> bool:
        with InlineRunner() as runner:
            artefacts: dict = {}
            result = run_one("01-mix", step, tmp_path / "out", artefacts, runner, Progress(quiet=True))
        made.append(artefacts[step.makes].fingerprint)
        return result.resumed

    assert not mixed() and mixed()
    os.utime(path, (1e9, 1e9))
    assert mixed() and len(set(made)) == 1
    own = step.fingerprint([])
    change_middle(path)
    assert step.fingerprint([]) == own
    assert not mixed() and made[-1] != made[0]
    assert mixed()


def test_a_target_corpus_counts_to_the_last_byte(tmp_path):
    path = write_lines(tmp_path / "a.jsonl")
    step = SelectDsir(target=(str(path),))
    before = step.config()
    os.utime(path, (1e9, 1e9))
    assert step.config() == before
    change_middle(path)
    assert step.config() != before
