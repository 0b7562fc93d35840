"""Runs targets in a child process, so that an abort, a hang or a full memory is a finding and not the end.

The child writes each input to a file before it tries it. The parent watches: where the child dies, or one input takes
longer than `hang_s`, the input in the file is the finding, and a new child goes on with another seed.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import resource
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .coverage import Coverage
from .mutate import mutate
from .targets import SCRATCH, TARGETS, Target

REGRESSIONS = Path(__file__).parent / "regressions"
TRACED_SHARE = 0.25
"""Of inputs that are tried with coverage, which takes several times as long; all are tried for what they break."""
MAX_CORPUS = 2000
MEMORY_BYTES = 2 << 30
"""What a child may take beyond what it holds when it begins."""


@dataclass
class Finding:
    """What went wrong, and the input."""

    target: str
    kind: str  # "error", "died", "hang"
    detail: str
    data: bytes

    @property
    def name(self) -> str:
        return hashlib.blake2b(self.data, digest_size=8).hexdigest()


@dataclass
class Outcome:
    """A target's run."""

    target: str
    tried: int = 0
    seconds: float = 0.0
    edges: int = 0
    corpus: int = 0
    findings: list[Finding] = field(default_factory=list)


def attempt(target: Target, data: bytes) -> str | None:
    """What is wrong with an input, as the end of a traceback; None where nothing is."""
    try:
        target.run(data)
    except target.allowed:
        return None
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        at = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
        return f"{type(error).__name__}: {str(error)[:200]} at {at}"
    return None


def _child(name: str, seed: int, seconds: float, folder: str, told: Any) -> None:
    os.nice(5)
    os.environ[SCRATCH] = folder
    target = TARGETS[name]
    target.prepare()
    with open("/proc/self/statm") as handle:
        held = int(handle.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    rng = random.Random(f"{name} {seed}")
    coverage = Coverage(target.traced)
    corpus = [*target.seeds()]
    current = os.open(os.path.join(folder, "current"), os.O_RDWR | os.O_CREAT)
    known: set[str] = set()
    end = time.monotonic() + seconds
    tried, last = 0, 0.0
    queue = list(corpus)
    while (now := time.monotonic()) < end:
        fresh = bool(queue)
        data = queue.pop() if fresh else mutate(rng.choice(corpus[-200:] + corpus[:50]), rng, corpus, target.tokens)
        os.ftruncate(current, 0)
        os.pwrite(current, data, 0)
        tried += 1
        traced = bool(target.traced) and (fresh or rng.random() < TRACED_SHARE)
        wrong: str | None
        if traced:
            kept: list[str | None] = []
            coverage.run(lambda d, kept=kept: kept.append(attempt(target, d)), data)  # type: ignore[misc]
            wrong = kept[0] if kept else None
            if coverage.new and not fresh and len(corpus) < MAX_CORPUS:
                corpus.append(data)
        else:
            wrong = attempt(target, data)
        place = wrong.rpartition(" at ")[2] if wrong else ""
        if wrong and place not in known and len(known) < 20:
            known.add(place)
            told.send(("error", wrong, data))
        if now - last > 0.5 or tried == 1:
            told.send(("alive", tried, len(coverage.seen), len(corpus)))
            last = now
    told.send(("end", tried, len(coverage.seen), len(corpus)))


def fuzz(name: str, seconds: float, folder: Path, *, seed: int = 0, hang_s: float = 30.0) -> Outcome:
    """Try inputs on a target for so long. Children are spawned: forks would share the locks of numba and Arrow."""
    folder.mkdir(parents=True, exist_ok=True)
    outcome = Outcome(name)
    context = multiprocessing.get_context("spawn")
    begun = time.monotonic()
    while (left := seconds - (time.monotonic() - begun)) > 0 and len(outcome.findings) < 50:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(name, seed, left, str(folder), theirs))
        child.start()
        theirs.close()
        how, tried = _watch(child, ours, outcome, hang_s)
        outcome.tried += tried
        if how == "end":
            break
        data = (folder / "current").read_bytes() if (folder / "current").exists() else b""
        detail = f"exit code {child.exitcode}" if how == "died" else f"over {hang_s:.0f} s"
        outcome.findings.append(Finding(name, how, detail, data))
        seed += 1
    outcome.seconds = time.monotonic() - begun
    return outcome


def _watch(child: Any, pipe: Any, outcome: Outcome, hang_s: float) -> tuple[str, int]:
    """How a child ended and how many inputs it tried."""
    tried = 0
    patience = max(hang_s, 120.0)  # it has to compile its kernels first
    while True:
        try:
            if not pipe.poll(patience):
                child.kill()
                child.join()
                return "hang", tried
            message = pipe.recv()
        except EOFError:
            child.join()
            return "died", tried
        patience = hang_s
        if message[0] == "error":
            outcome.findings.append(Finding(outcome.target, "error", message[1], message[2]))
            continue
        _, tried, edges, corpus = message
        outcome.edges, outcome.corpus = max(outcome.edges, edges), max(outcome.corpus, corpus)
        if message[0] == "end":
            child.join()
            return "end", tried
