"""The faults: what is done to a run, what is expected, and what is seen."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.runner import RayRunner
from pipeline.runner.flight import OOMS, OUT_OF_MEMORY
from tests.runs import digests

from .lab import NO_DATA, Lab, ended, shards_done, wait_for
from .memory import GreedyRunner, low_limit, too_little_memory

SAME = "the run goes on and ends with the same bytes"
AGAIN = "a clear error; the same command goes on from there and ends with the same bytes"


@dataclass(frozen=True)
class Seen:
    """What came of a fault. `borne`: whether it is what was expected; `struck`: whether it was seen to hit the run."""

    told: str
    bytes_lost: int
    borne: bool
    struck: bool

    @property
    def held(self) -> bool:
        """A fault that never struck is not held, whatever became of the run."""
        return self.struck and self.borne


@dataclass(frozen=True)
class Fault:
    """`small`: takes part in the tests (the others take a cluster of nodes, or long).

    `lacks`: what this machine has too little of for it.
    """

    expected: str
    put: Callable[[Lab], Seen]
    small: bool = True
    ray: bool = False
    lacks: Callable[[], str] = str


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, expected: str, *, small: bool = True, ray: bool = False, lacks: Callable[[], str] = str
) -> Callable[[Callable[[Lab], Seen]], None]:
    """Register a fault."""

    def add(put: Callable[[Lab], Seen]) -> None:
        FAULTS[name] = Fault(expected, put, small, ray, lacks)

    return add


def _after(lab: Lab, output: Path, first: str, needles: tuple[str, ...]) -> Seen:
    """The first run failed with a message that names the fault, so it struck; the same again must finish."""
    clear = bool(first) and "Traceback" not in first and any(one.lower() in first.lower() for one in needles)
    second = lab.run(output)
    lost = lab.lost(output)
    return Seen(
        f"{first[:160] or 'no error'}; again: {second[:80] or 'finished'}", lost, not second and not lost, clear
    )


def working(output: Path) -> set[int]:
    """The processes that did the shards so far and are there still (`ray::` by name are Ray's own agents too)."""
    done = (json.loads(path.read_text())["worker"] for path in output.glob("01-extract/timings/*.json"))
    return {pid for pid in (int(worker.rpartition(":")[2]) for worker in done) if Path(f"/proc/{pid}").exists()}


@fault("worker killed (SIGKILL) twice", SAME, small=False, ray=True)  # tests/test_determinism.py kills one in every run
def worker_killed(lab: Lab) -> Seen:
    output = lab.fresh()
    process = lab.command(output, "--workers", "2")
    killed: set[int] = set()
    for wanted in (2, 8):
        if not wait_for(lambda n=wanted: shards_done(output) >= n and bool(working(output) - killed), process):  # type: ignore[misc]
            break
        victim = min(working(output) - killed)
        os.kill(victim, signal.SIGKILL)
        killed.add(victim)
    said = ended(process)
    return Seen(f"{len(killed)} workers killed; {said or 'finished'}", lab.lost(output), not said, len(killed) == 2)


@fault("node lost (three Ray nodes, one killed)", SAME, small=False, ray=True)
def node_lost(lab: Lab) -> Seen:
    from tests.cluster.nodes import Nodes

    output = lab.fresh()
    nodes = Nodes(lab.folder / "nodes", 3)
    killed: list[str] = []

    def kill() -> None:
        wait_for(lambda: shards_done(output) >= 5)
        if shards_done(output) < lab.shards:  # else the step is over
            killed.append(nodes.kill(0))

    try:
        thread = threading.Thread(target=kill)
        thread.start()
        said = lab.run(output, RayRunner(address=nodes.address))
        thread.join()
    finally:
        nodes.cluster.shutdown()
    return Seen(
        f"{len(killed)} node killed after 5 shards; {said or 'finished'}", lab.lost(output), not said, bool(killed)
    )


@fault("driver killed (SIGKILL), same command again", SAME)
def driver_killed(lab: Lab) -> Seen:
    output = lab.fresh()
    process = lab.command(output)
    wait_for(lambda: shards_done(output) >= 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = shards_done(output)
    said = lab.run(output)
    return Seen(
        f"killed after {before} shards; {said or 'finished'}",
        lab.lost(output),
        not said,
        process.returncode == -signal.SIGKILL and before < lab.shards,
    )


@fault(
    "task out of memory (address space of a worker cut)",
    "tried again, elsewhere if need be; else " + AGAIN,
    small=False,
    ray=True,
)
def out_of_memory(lab: Lab) -> Seen:
    output = lab.fresh()
    process = lab.command(output, "--workers", "2")
    cut = 0
    if wait_for(lambda: shards_done(output) >= 3 and bool(working(output)), process):
        cut = min(working(output))
        held = int(Path(f"/proc/{cut}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.prlimit(cut, resource.RLIMIT_AS, (held, held))
    _, errors = process.communicate(timeout=300)
    tries, hung = errors.count("; trying again"), "starting a second copy" in errors
    first = errors.strip().splitlines()[-1] if process.returncode else ""
    struck = bool(cut and (tries or hung))
    told = f"{tries} tries failed{', one hung and was done elsewhere' if hung else ''}; {first[:160] or 'finished'}"
    if not first:
        return Seen(told, lab.lost(output), "Traceback" not in errors, struck)
    clear = re.match(r"gristmill: step '[^']+', task '[^']+' ", first) is not None and "Traceback" not in errors
    second = lab.run(output)
    return Seen(f"{told}; again: {second or 'finished'}", lab.lost(output), clear and not second, struck)


# In every run tests/chaos/test_memory.py does these two with a step of its own.
@fault("task killed by Ray's memory monitor", SAME, small=False, ray=True, lacks=too_little_memory)
def killed_for_memory(lab: Lab) -> Seen:
    output = lab.fresh()
    runner = GreedyRunner(lab.fresh("-marks"), 1, "01-extract")
    with low_limit():
        said = lab.run(output, runner)
    return Seen(
        f"{' and '.join(runner.retried) or 'was not killed'}; {said or 'finished'}",
        lab.lost(output),
        not said,
        set(runner.retried) == {OUT_OF_MEMORY},
    )


@fault("task killed by Ray's memory monitor at each try", AGAIN, small=False, ray=True, lacks=too_little_memory)
def always_killed_for_memory(lab: Lab) -> Seen:
    output = lab.fresh()
    with low_limit():
        first = lab.run(output, GreedyRunner(lab.fresh("-marks"), OOMS, "01-extract"))
    return _after(lab, output, first, ("ran out of memory 3 times, at last alone on a node",))


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[bool]:
    """A tmpfs of its own in a folder; False where this user may not mount."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)], capture_output=True)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=False)


@fault("disk full", AGAIN)
def disk_full(lab: Lab) -> Seen:
    folder = lab.fresh()
    with mounted(folder, "size=400k") as real:
        if real:
            first = lab.run(folder / "run")
            subprocess.run(["mount", "-o", "remount,size=200m", str(folder)], check=True)
            return _after(lab, folder / "run", first, ("no space left",))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)  # not root: files that may not grow
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        first = lab.run(folder / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return _after(lab, folder / "run", first, ("file too large",))


def _never_read_only() -> str:
    """Why nothing can be made read-only to this process; "" where it can."""
    if os.geteuid():
        return ""
    with tempfile.TemporaryDirectory() as name, mounted(Path(name) / "tried") as real:
        return "" if real else "this is root, to whom modes mean nothing, and it may not mount"


@contextmanager
def read_only_at_will(folder: Path, real: bool) -> Iterator[Callable[[], None]]:
    """A function that makes a folder (`real`: a mount) read-only in a moment, under whatever works there; undone after.

    A file system with a file open for writing (the run's lock) refuses `remount,ro`. So a second, read-only mount of it
    lies ready, and is put over the first: every path is then read-only, as after a kernel's remount for an I/O error.
    """
    if not real:  # not root: folders in which nothing may be made or renamed
        yield lambda: _modes(folder, 0o555)
        _modes(folder, 0o755)
        return
    ready = folder.with_name(f"{folder.name}-ready")
    ready.mkdir()
    _mount("--bind", str(folder), str(ready))
    over = [ready]
    try:
        _mount("-o", "remount,bind,ro", str(ready))

        def put() -> None:
            _mount("--bind", str(ready), str(folder))
            over.append(folder)

        yield put
    finally:
        for one in reversed(over):
            subprocess.run(["umount", "-l", str(one)], check=True)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def _modes(folder: Path, mode: int) -> None:
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        path.chmod(mode)


@fault("output read-only in mid-run", AGAIN, lacks=_never_read_only)
def read_only(lab: Lab) -> Seen:
    folder = lab.fresh()
    output = folder / "run"
    with mounted(folder, "size=200m") as real:
        with read_only_at_will(folder, real) as put:
            process = lab.command(output)
            wait_for(lambda: shards_done(output) >= 1, process)
            put()
            done, running = shards_done(output), process.poll() is None
            first = ended(process)
            ended_status, after = process.returncode, shards_done(output)
        named = re.search("read-only file system|permission denied", first, re.IGNORECASE) is not None
        clear = first.startswith("gristmill: ") and "Traceback" not in first and ended_status == 2
        again = ended(lab.command(output))
        return Seen(
            f"read-only after {done} of {lab.shards} shards; {first[:200] or 'no error'}; again: {again or 'finished'}",
            lab.lost(output),
            clear and not again,
            named and running and 1 <= done == after < lab.shards,
        )


def _store(lab: Lab, kinds: tuple[str, ...], share: float) -> Seen:
    from tests.storage.faulty import ENVIRONMENT, FaultyFront, S3Server

    with S3Server() as server, FaultyFront(server.url, share=share, seed=3, kinds=kinds) as front:
        output = lab.fresh()
        bucket = f"chaos-{output.name}"  # moto's buckets outlive its server
        server.make_bucket(bucket)
        environment = {**os.environ, **ENVIRONMENT, "AWS_ENDPOINT_URL": front.url,
                       "GRISTMILL_SCRATCH": str(lab.fresh("-scratch"))}  # fmt: skip
        said = ended(lab.command(f"s3://{bucket}/run", "--inline", env=environment))
        failed, asked = sum(front.failed.values()), front.requests
        front.share = 0.0
        _fetch(environment, bucket, output)
    return Seen(f"{failed} of {asked} requests failed; {said or 'finished'}", lab.lost(output), not said, failed > 0)


def _fetch(environment: dict[str, str], bucket: str, output: Path) -> None:
    """Copy the run out of the store by another way than ours."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=environment["AWS_ENDPOINT_URL"], aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"], region_name=environment["AWS_DEFAULT_REGION"],
    )  # fmt: skip
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="run/"):
        for one in page.get("Contents", []):
            target = output / one["Key"].removeprefix("run/")
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, one["Key"], str(target))


@fault("object store: 500 and 503 to 10 % of requests", SAME, small=False)
def store_errors(lab: Lab) -> Seen:
    return _store(lab, ("500", "503"), 0.1)


@fault("object store: cut connections, lost and cut answers, 10 %", SAME, small=False)
def store_cuts(lab: Lab) -> Seen:
    return _store(lab, ("cut", "lost answer", "cut answer"), 0.1)


@fault("object store: slow answers, 20 %", SAME, small=False)
def store_slow(lab: Lab) -> Seen:
    return _store(lab, ("slow",), 0.2)


def _damaged(lab: Lab, damage: Callable[[list[Path]], None], step: str = "01-extract/kept", steps: int = 1) -> Seen:
    output = lab.begun(steps)
    files = [file for file in sorted((output / step).glob("*")) if file.stat().st_size > 2000]
    before = lab.lost(output)
    damage(files)
    harmed = lab.lost(output) > before
    said = lab.run(output)
    return Seen(f"{said[:160] or 'noticed, made anew, finished'}", lab.lost(output), not said, harmed)


@fault("intermediate shard: one bit flipped", "the checksum notices; the shard is made anew; the same bytes")
def bit_flip(lab: Lab) -> Seen:
    def flip(files: list[Path]) -> None:
        data = bytearray(files[3].read_bytes())
        data[len(data) // 3] ^= 1 << random.Random(1).randrange(8)
        files[3].write_bytes(data)

    return _damaged(lab, flip)


@fault("intermediate shard: cut off", "the size notices; the shard is made anew; the same bytes")
def truncated(lab: Lab) -> Seen:
    return _damaged(lab, lambda files: os.truncate(files[2], files[2].stat().st_size // 2))


@fault("intermediate shard: two files swapped", "the checksums notice; both are made anew; the same bytes")
def swapped(lab: Lab) -> Seen:
    def swap(files: list[Path]) -> None:
        one, two = files[0].read_bytes(), files[1].read_bytes()
        files[0].write_bytes(two.ljust(len(one), b"\0")[: len(one)])
        files[1].write_bytes(one.ljust(len(two), b"\0")[: len(two)])

    return _damaged(lab, swap)


@fault("shard of a global step (dedup): one bit flipped", "the checksum notices; the step is made anew; the same bytes")
def dedup_flipped(lab: Lab) -> Seen:
    def flip(files: list[Path]) -> None:
        data = bytearray(files[0].read_bytes())
        data[-1000] ^= 4
        files[0].write_bytes(data)

    return _damaged(lab, flip, "04-minhash_dedup/kept", 4)


@fault("clock ten years ahead, five behind, and turned back in mid-run", "no byte depends on it")
def clock(lab: Lab) -> Seen:
    real, lost, told, read = time.time, 0, [], []
    year = 365.25 * 86400
    clocks: dict[str, Callable[[Path], float]] = {  # how many years off
        "ahead": lambda output: 10,
        "behind": lambda output: -5,
        "turned back": lambda output: -1 if (output / "05-train_tokenizer" / "manifest.json").exists() else 1,
    }
    for name, off in clocks.items():
        output = lab.begun(4)
        for path in output.rglob("*"):
            os.utime(path, (real() + off(output) * year,) * 2)
        years: list[float] = []

        def other(off: Callable[[Path], float] = off, output: Path = output, years: list[float] = years) -> float:
            years.append(off(output))
            return real() + years[-1] * year

        time.time = other
        try:
            said = lab.run(output)
        finally:
            time.time = real
        lost += lab.lost(output)
        told.append(f"{name}: {said or 'finished'}")
        read.append(set(years))
    return Seen("; ".join(told), lost, all(one.endswith("finished") for one in told), read == [{10}, {-5}, {1, -1}])


@fault("two runs on one output folder", "the second is refused and changes nothing; the first ends with the same bytes")
def two_runs(lab: Lab) -> Seen:
    output = lab.fresh()
    first = lab.command(output)
    wait_for(lambda: shards_done(output) >= 1, first)
    second = ended(lab.command(output))
    running = first.poll() is None
    said = ended(first)
    refused = "another run is writing" in second
    return Seen(f"second: {second[:100]}; first: {said or 'finished'}", lab.lost(output), refused and not said, running)


def _changed(lab: Lab, change: Callable[[Path], None]) -> Seen:
    """What becomes of a finished run when its input folder is changed."""
    inputs = lab.fresh("-input")
    shutil.copytree(lab.input, inputs)
    output, other = lab.fresh(), lab.fresh()
    said = lab.run(output, inputs=inputs)
    before = lab.lost(output)
    change(inputs)
    said = said or lab.run(output, inputs=inputs) or lab.run(other, inputs=inputs)
    wanted = digests(other, NO_DATA)
    same = lab.lost(output, wanted)
    return Seen(
        said or f"redone, {'same' if not same else 'not the same'} as afresh",
        before + same,
        not said,
        wanted != lab.wanted,
    )


REDONE = "noticed: done again; the bytes are those of a fresh run on the new input"


@fault("input changed under a finished run", REDONE)
def changed_input(lab: Lab) -> Seen:
    return _changed(lab, lambda inputs: (inputs / "sample-00003.warc.wet.gz").unlink())


@fault("one byte in the middle of an input changed under a finished run, its date set back", REDONE)
def changed_byte(lab: Lab) -> Seen:
    def change(inputs: Path) -> None:
        path = inputs / "sample-00001.warc.gz"
        facts, data = path.stat(), bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    return _changed(lab, change)


@fault(
    "input copied to another place, with new dates, under a finished run", "read once more, and nothing is done again"
)
def copied_input(lab: Lab) -> Seen:
    inputs, output = lab.fresh("-input"), lab.begun(99)
    shutil.copytree(lab.input, inputs, copy_function=shutil.copyfile)
    moved = all(path.stat().st_mtime_ns != (lab.input / path.name).stat().st_mtime_ns for path in inputs.iterdir())
    before = {path: path.stat().st_mtime_ns for path in output.glob("*/kept/*")}
    said = lab.run(output, inputs=inputs)
    same = {path: path.stat().st_mtime_ns for path in output.glob("*/kept/*")} == before
    told = said or ("nothing written anew" if same else "done again")
    return Seen(told, lab.lost(output), not said and same, moved and bool(before))
