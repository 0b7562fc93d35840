"""The README's commands run as they stand there, on the sample crawl (all but `make test`, which is this)."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.sources import sample_warc
from tests.commoncrawl_server import serving
from tests.storage.faulty import ENVIRONMENT as S3_ENVIRONMENT
from tests.storage.faulty import S3Server
from tests.storage.faulty import environment as variables

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [
    line.split("   #")[0].strip()
    for language, block in BLOCKS
    if language == "sh"
    for line in block.splitlines()
    if line.strip() and line.split("   #")[0].strip() != "make test"
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which the files that the README speaks of exist."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "crawl").mkdir()
    shutil.copy(sample_warc() / "sample-00001.warc.gz", folder / "crawl")
    shutil.copy(sample_warc() / "sample-00000.warc.gz", folder / "more.warc.gz")
    shutil.copy(sample_warc() / "sample-00000.warc.gz", folder / "crawl.warc.gz")
    (mixture,) = [block for language, block in BLOCKS if language == "yaml" and "\nsources:" in block]
    (folder / "mixture.yaml").write_text(mixture)
    plain = yaml.safe_load(mixture)
    del plain["phases"]
    (folder / "sources.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    (folder / "optout.txt").write_text("larkfieldtown.example\n")
    return folder


@pytest.fixture(scope="module")
def common_crawl():
    """A stand-in of Common Crawl's public servers on this machine, with the sample crawl as its files; and of S3."""
    with serving() as crawl, S3Server() as store:
        store.make_bucket("bucket")
        with variables(**S3_ENVIRONMENT, AWS_ENDPOINT_URL=store.url):
            yield crawl.url


def environment(place: Path, common_crawl: str) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {
        **{k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")},
        "PATH": path,
        "GRISTMILL_CC_URL": common_crawl,
        "GRISTMILL_CC_INDEX_URL": common_crawl,
        "XDG_CACHE_HOME": str(place / "cache"),
    }


README = (ROOT / "README.md").read_text(encoding="utf-8")
LONG_COMMANDS = re.findall(r"^    ((?:gristmill|make) .*)$", README, re.MULTILINE)
"""Those that stand indented take long, and run here on less."""
GOLD_COMMANDS = [command for command in LONG_COMMANDS if command.startswith("gristmill extract")]
SEARCH_COMMANDS = [command for command in LONG_COMMANDS if command.startswith("gristmill mix search")]
ABLATE_COMMANDS = [command for command in LONG_COMMANDS if command.startswith("gristmill ablate")]


def test_there_are_commands():
    assert len(GOLD_COMMANDS) == 2 and len(SEARCH_COMMANDS) == 1 and len(ABLATE_COMMANDS) == 1
    assert sorted(LONG_COMMANDS) == sorted(GOLD_COMMANDS + SEARCH_COMMANDS + ABLATE_COMMANDS)
    assert sum(c.startswith("gristmill") for c in COMMANDS) >= 9
    assert sum(c.startswith("make crawl-to-shards") for c in COMMANDS) == 3


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, place, common_crawl):
    """In the README's order; later commands use what earlier ones wrote."""
    if command.startswith("make"):
        venv = Path(sys.prefix)
        if not (venv / ".gristmill-setup").exists():
            pytest.skip("this environment was not made by `make setup`")
        rest = command.removeprefix("make ").replace("crawl/ more.warc.gz", f"{place}/crawl/ {place}/more.warc.gz")
        rest = re.sub(r"OUTPUT=(\S+)", rf"OUTPUT={place}/\1", rest)
        if "OUTPUT" not in rest:
            rest += f" OUTPUT={place}/runs/default"
        command = f"make -C {ROOT} VENV={venv} {rest}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=place,
        env=environment(place, common_crawl),
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.slow
@pytest.mark.parametrize("command", SEARCH_COMMANDS)
def test_command_of_small_trainings(command, place, common_crawl):
    """The search of weights, with the README's mixture and few, short proxies."""
    pytest.importorskip("torch")
    for name in ("unique", "prose"):
        if not (place / f"{name}.parquet").exists():  # by itself, without the commands above it
            texts = [f"The {name} number {i} of many turns slowly in the wind of the valley." * 3 for i in range(120)]
            pq.write_table(pa.table({"text": texts}), place / f"{name}.parquet")
    less = {"--proxies 64": "--proxies 4", "--steps 500": "--steps 4 --sequence-length 64 --vocab-size 300"}
    for option, value in less.items():
        assert option in command
        command = command.replace(option, value)
    done = subprocess.run(
        f"{command} --batch-size 4 --simulated 200 --workers 1", shell=True, cwd=place,
        env=environment(place, common_crawl), capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    found = json.loads((place / "search" / "search.json").read_text())
    assert set(found) and (place / "search" / "report.html").is_file()
    chosen = yaml.safe_load((place / "search" / "mixture.yaml").read_text())
    assert set(chosen["sources"]) == {"web", "prose"} and chosen["held_out"] == {"share": 0.02}


@pytest.mark.slow
@pytest.mark.parametrize("command", ABLATE_COMMANDS)
def test_command_of_an_ablation(command, place, common_crawl):
    """Two corpora by the README's command, with few, short runs, on texts that no command made."""
    pytest.importorskip("torch")
    words = ["river", "stone", "light", "engine", "market", "letter", "winter", "garden", "signal", "harbour", "copper"]
    texts = [" ".join(words[(i * k + k * k) % len(words)] for k in range(1, 90)) for i in range(150)]
    for name in ("pages.jsonl.gz", "unlike.parquet"):
        if not (place / name).exists():  # by itself, without the commands above it
            rows = [f"{name} {text}" for text in texts]
            if name.endswith(".parquet"):
                pq.write_table(pa.table({"text": rows}), place / name)
            else:
                with gzip.open(place / name, "wt") as out:
                    out.writelines(json.dumps({"text": row}) + "\n" for row in rows)
    (place / "wiki.jsonl").write_text("".join(json.dumps({"text": text[::-1]}) + "\n" for text in texts))
    less = {"--seeds 5": "--seeds 2", "--steps 500": "--steps 3 --sequence-length 64 --batch-size 4 --vocab-size 400"}
    for option, value in less.items():
        assert option in command
        command = command.replace(option, value)
    done = subprocess.run(
        command, shell=True, cwd=place, env=environment(place, common_crawl), capture_output=True, text=True,
        timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    found = json.loads((place / "ablation" / "results.json").read_text())
    assert {arm["name"] for arm in found["arms"]} == {"raw", "mine"} and (place / "ablation" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("command", GOLD_COMMANDS)
def test_command_on_gold_pages(command, tmp_path, shared_data):
    """The two that need pages with gold text, on a small part of ours."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = command.replace("DATA", str(shared_data)) + " --every 60"
    if " train " in command:  # the two reports of fairness take six times as long; test_extract_training.py has them
        command = command.replace("--cross-validate --leave-sets-out", "--no-silver --threads 1")
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    if " train " in command:
        assert (tmp_path / "model" / "model.npz").is_file()
    else:
        assert "gristmill" in done.stdout and "resiliparse" in done.stdout


@pytest.mark.ray
@pytest.mark.slow
def test_what_the_commands_made(place):
    """After the commands above: what the README says comes out is there."""
    for run in ("default", "mine", "cc"):
        output = place / "runs" / run
        if not output.exists():
            pytest.skip("the make commands were skipped")
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        for name in [
            "01-extract/",
            "02-fineweb_quality/",
            "03-exact_dedup/",
            "05-pii/",
            "09-pack/packset/",
            "report.json",
        ]:
            assert f"`{name}`" in readme
            assert (output / name).exists()
        assert json.loads((output / "report.json").read_text())["tokens"]["tokens"] > 10_000


def test_python_example():
    (code,) = [block for language, block in BLOCKS if language == "python"]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'lang': 'de'" in done.stdout
